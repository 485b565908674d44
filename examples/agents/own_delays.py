"""Sells the recent delays of the airport asked about, as known two hours ahead."""

from flights_common import DataSeller


class OwnDelays(DataSeller):
    """Share of flights late by more than 15 minutes: those scheduled four to seven hours before (h4 to h7), and all of
    the 7 and of the 24 hours up to then.
    """

    documents = ("flights/own_delays",)
