"""Sells the schedule: how busy the hour is, who flies, and how late that hour usually runs."""

from flights_common import DataSeller


class Schedule(DataSeller):
    """Hour, weekday (0 is Monday), departures in the hour, the hub carriers' share of them, their mean distance in
    miles, departures in the five hours up to it, and the share late at that airport and hour from January to August.
    """

    documents = ("flights/schedule",)
