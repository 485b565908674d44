"""A forecaster to have several of: it buys what its options say and reads it with plain logistic regression."""

from flights_buyer import Forecaster


class Apprentice(Forecaster):
    """Learns with one regression for every coalition of its signals. Options: `buys`, `wager_ppm`."""

    buys = ("flights/schedule", "flights/weather")
    trees = False
