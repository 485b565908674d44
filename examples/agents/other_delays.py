"""Sells the recent delays of the two airports that the question is not about: storms and jams do not stop at one."""

from flights_common import DataSeller


class OtherDelays(DataSeller):
    """Share of flights late at the other two airports, in alphabetical order (first_, second_): those scheduled four to
    seven hours before (h4 to h7), and all of the 7 and of the 24 hours up to then.
    """

    documents = ("flights/other_delays",)
