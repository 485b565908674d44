"""What the flights agents sell, document by document: names of numbers, and the numbers for any hours asked about.

A document of data is a pure function of the table. Its numbers for January to August are what a buyer fits on (a seller
gives them away as a sample); its numbers for the hour asked about are the payload. A payload is a map from name to
thousandths of the unit; what was not measured is left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from flights_table import AIRPORTS, Floats, Slots, Table

from troth_protocol.wire.codec import Value

MILLI = 1000
LATE = ("h4", "h5", "h6", "h7", "past7h", "past24h")

SCHEDULE = ("hour", "weekday", "departures", "hub_share", "distance", "demand", "usual")
WEATHER = (
    *("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"),
    *("rain", "visib_min", "wind_max", "pressure_rise"),
)
OWN_DELAYS = LATE
OTHER_DELAYS = tuple(f"{which}_{name}" for which in ("first", "second") for name in LATE)
OTHERS = np.array([[1, 2], [0, 2], [0, 1]])


def schedule(table: Table, slots: Slots) -> Floats:
    """The hour's place in day and week, its flights, how many came before, and how late that hour usually is."""
    demand = sum(np.nan_to_num(table.look("departures", slots, ago)) for ago in range(5))
    return np.column_stack(
        [
            slots.hour % 24,
            (slots.hour // 24 + 1) % 7,
            table.look("departures", slots, 0),
            table.look("share_hub_carriers", slots, 0),
            table.look("mean_distance", slots, 0),
            demand,
            table.usual(slots),
        ]
    )


def weather(table: Table, slots: Slots) -> Floats:
    """The last measurement, two hours before, and what the seven hours up to it brought."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # hours without any measurement stay NaN
        rain, visibility, wind = (
            np.column_stack([table.look(column, slots, ago) for ago in range(2, 9)])
            for column in ("precip", "visib", "wind_speed")
        )
        return np.column_stack(
            [
                *(table.look(column, slots, 2) for column in WEATHER[:9]),
                np.nansum(rain, axis=1),
                np.nanmin(visibility, axis=1),
                np.nanmax(wind, axis=1),
                table.look("pressure", slots, 2) - table.look("pressure", slots, 8),
            ]
        )


def own_delays(table: Table, slots: Slots) -> Floats:
    """Share of late departures at the airport asked about, four to seven hours before, and longer averages."""
    return late(table, slots, 0)


def other_delays(table: Table, slots: Slots) -> Floats:
    """The same numbers for the other two airports, in alphabetical order."""
    return np.hstack([late(table, Slots(OTHERS[slots.airport, i], slots.hour), 0) for i in range(2)])


def late(table: Table, slots: Slots, lag: int) -> Floats:
    """The numbers named in LATE, `lag` hours staler than need be."""
    hours = [table.look("share_late", slots, ago + lag) for ago in range(4, 8)]
    return np.column_stack([*hours, _late_mean(table, slots, lag, 7), _late_mean(table, slots, lag, 24)])


def _late_mean(table: Table, slots: Slots, lag: int, span: int) -> Floats:
    ago = range(4 + lag, 4 + lag + span)
    departures = np.array([np.nan_to_num(table.look("departures", slots, hours)) for hours in ago])
    share = np.array([np.nan_to_num(table.look("share_late", slots, hours)) for hours in ago])
    total = departures.sum(axis=0)
    return np.where(total > 0, (departures * share).sum(axis=0) / np.maximum(total, 1), np.nan)


def spotter(airport: str, lag: int) -> Callable[[Table, Slots], Floats]:
    """One airport's delays whatever the airport asked about, `lag` hours staler than they could be."""
    index = AIRPORTS.index(airport)
    return lambda table, slots: late(table, Slots(np.full_like(slots.airport, index), slots.hour), lag)


def to_payload(names: Sequence[str], row: Floats) -> dict[str, Value]:
    """One row of numbers as a payload."""
    known = zip(names, row.tolist(), strict=True)
    return {name: round(MILLI * number) for name, number in known if np.isfinite(number)}


def from_payload(names: Sequence[str], payload: Value) -> Floats:
    """A payload as one row of numbers; whatever is missing or no number is NaN."""
    found = payload if isinstance(payload, dict) else {}
    numbers = [found.get(name) for name in names]
    return np.array([[number / MILLI if type(number) is int else np.nan for number in numbers]])
