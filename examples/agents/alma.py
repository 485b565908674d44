"""The best-informed forecaster: delays here and elsewhere, the nowcast, and the schedule."""

from flights_buyer import Forecaster


class Alma(Forecaster):
    """Buys four signals and lets gradient-boosted trees read them."""

    buys = ("flights/own_delays", "flights/other_delays", "flights/nowcast", "flights/schedule")
