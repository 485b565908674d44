"""The table of flights and weather, and the only way to read it: nothing later than the information rule allows.

Whoever is asked about an hour may know that hour's schedule, weather measured two hours before it or earlier, and
delays of flights that were scheduled four hours before it or earlier. Models are fitted on January to August.
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

DATA = Path(__file__).parents[1] / "data" / "nyc_hourly_2013.csv.gz"
AIRPORTS = ("EWR", "JFK", "LGA")
SCHEDULE = ("departures", "share_hub_carriers", "mean_distance")
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
COLUMNS = (*SCHEDULE, "share_late", *WEATHER)
LEAD_HOURS = {"share_late": 4} | dict.fromkeys(WEATHER, 2) | dict.fromkeys(SCHEDULE, 0)

BEGIN = datetime(2013, 1, 1)  # noqa: DTZ001 -- local hours, as in the data
HOURS = 365 * 24
FIT_FROM, FIT_UNTIL = 48, 243 * 24  # 3 January to 31 August
FIT_TIMES = range(6, 22)
BOUNDS = (0.10, 0.30)
DEPARTURES_MIN = 5


@dataclass(frozen=True)
class Slots:
    """Which hours are asked about: airports (index into AIRPORTS) and hours since the year began, side by side."""

    airport: Ints
    hour: Ints

    @classmethod
    def of(cls, subject: str) -> Slots:
        """The one slot that a question's subject names, such as "JFK 2013-09-05T15:00"."""
        airport, time = subject.split()
        hours = int((datetime.fromisoformat(time) - BEGIN).total_seconds()) // 3600
        return cls(np.array([AIRPORTS.index(airport)]), np.array([hours]))


class Table:
    """Values by airport, hour and column; NaN where nothing was measured."""

    def __init__(self, values: Floats) -> None:
        self._values = values
        self._usual = self._usual_by_hour()

    def look(self, column: str, slots: Slots, ago: int) -> Floats:
        """A column `ago` hours before the slots; ValueError if that is later than may be known."""
        if ago < LEAD_HOURS[column]:
            raise ValueError(f"{column} is known {LEAD_HOURS[column]} hours before, not {ago}")
        return np.asarray(self._values[slots.airport, slots.hour - ago, COLUMNS.index(column)])

    def usual(self, slots: Slots) -> Floats:
        """The share that was late at that airport and time of day from January to August."""
        return self._usual[slots.airport, slots.hour % 24]

    def outcome(self, slots: Slots) -> Ints:
        """What happened, for attesters and for fitting: 0, 1 or 2; −1 where nothing departed."""
        late = self._values[slots.airport, slots.hour, COLUMNS.index("share_late")]
        return np.where(np.isnan(late), -1, np.digitize(late, BOUNDS))

    def history(self) -> Slots:
        """The slots to fit on: daytime hours of January to August with enough departures."""
        departures = self._values[:, :FIT_UNTIL, COLUMNS.index("departures")]
        airport, hour = np.nonzero(departures >= DEPARTURES_MIN)
        chosen = (hour >= FIT_FROM) & np.isin(hour % 24, FIT_TIMES)
        return Slots(airport[chosen], hour[chosen])

    def _usual_by_hour(self) -> Floats:
        departures = np.nan_to_num(self._values[:, :FIT_UNTIL, COLUMNS.index("departures")])
        late = np.nan_to_num(self._values[:, :FIT_UNTIL, COLUMNS.index("share_late")]) * departures
        total = departures.reshape(len(AIRPORTS), -1, 24).sum(axis=1)
        return np.asarray(late.reshape(len(AIRPORTS), -1, 24).sum(axis=1) / np.maximum(total, 1))


@lru_cache(maxsize=4)
def load_table(path: Path = DATA) -> Table:
    """Read the table once per process."""
    return Table(read_values(path))


def read_values(path: Path = DATA) -> Floats:
    """The raw values: airports × hours of the year × COLUMNS."""
    values = np.full((len(AIRPORTS), HOURS, len(COLUMNS)), np.nan)
    with gzip.open(path, "rt", newline="") as file:
        rows = csv.reader(file)
        header = next(rows)
        places = [header.index(column) for column in COLUMNS]
        for row in rows:
            day = datetime.fromisoformat(row[1]) - BEGIN
            cells = [row[place] or "nan" for place in places]
            values[AIRPORTS.index(row[0]), day.days * 24 + day.seconds // 3600] = list(map(float, cells))
    return values
