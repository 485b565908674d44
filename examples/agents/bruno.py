"""A forecaster on a budget: the extractor's features and delays elsewhere."""

from flights_buyer import Forecaster


class Bruno(Forecaster):
    """Buys two signals and lets gradient-boosted trees read them."""

    buys = ("flights/own_delays", "flights/features")
