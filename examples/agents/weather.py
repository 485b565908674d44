"""Sells the weather at the airport, as known two hours ahead."""

from flights_common import DataSeller


class Weather(DataSeller):
    """The last measurement (°F, %, degrees, mph, inches, hPa, miles); then rain, least visibility and strongest wind of
    the seven hours up to it, and the rise of the pressure over six hours.
    """

    documents = ("flights/weather",)
