"""Makes examples/data/flights_forecasts.csv: what usual models said, week by week, of New York's departures in 2013.

Each week from September on is a round: every model is fitted anew on all that happened before the week and then
forecasts its questions (how late departures are at 9 and at 18 o'clock from each airport), seeing of each hour only
what the table's information rule allows. `climatology` says what is usual, `yesterday` looks at the day before,
`tea_leaves` knows nothing, `newcomer` comes in the seventh week, `naive_bayes` is away every fourth.

    python examples/flights_forecasts.py
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.append(str(Path(__file__).parent / "agents"))

from flights_table import AIRPORTS, BEGIN, FIT_FROM, SCHEDULE, Floats, Slots, Table, load_table

TARGET: Final = Path(__file__).parent / "data" / "flights_forecasts.csv"
FIRST_DAY: Final = 243  # 1 September
WEEKS: Final = 17
ASKED: Final = (9, 18)
OUTCOMES: Final = 3
#: What models look at of the hours before: (column, hours ago).
BEFORE: Final = (
    *((column, 2) for column in ("temp", "humid", "wind_speed", "precip", "pressure", "visib")),
    *(("share_late", ago) for ago in (4, 5, 24)),
)
NEWCOMER_FROM: Final = 6
AWAY_EVERY: Final = 4
SEED: Final = 2013


def slots(first_day: int, days: int) -> Slots:
    """The hours that are asked about in some days, airport by airport."""
    grid = [
        (airport, (first_day + day) * 24 + hour)
        for day in range(days)
        for hour in ASKED
        for airport in range(len(AIRPORTS))
    ]
    airports, hours = np.array(grid).T
    return Slots(airports, hours)


def features(table: Table, at: Slots) -> Floats:
    """One row a slot: where and when, the schedule, weather and delays as far as they may be known."""
    day = at.hour // 24
    columns = [at.airport == number for number in range(len(AIRPORTS))]
    columns += [at.hour % 24, day % 7, np.cos(2 * np.pi * day / 365), table.usual(at)]
    columns += [table.look(column, at, 0) for column in SCHEDULE]
    columns += [table.look(column, at, ago) for column, ago in BEFORE]
    return np.column_stack(columns).astype(float)


def models() -> dict[str, Any]:
    """What forecasts with features, by name."""
    scaled = StandardScaler
    return {
        "logistic": make_pipeline(SimpleImputer(), scaled(), LogisticRegression(C=0.3, max_iter=500)),
        "naive_bayes": make_pipeline(SimpleImputer(), scaled(), GaussianNB(var_smoothing=0.1)),
        "neighbours": make_pipeline(SimpleImputer(), scaled(), KNeighborsClassifier(40)),
        "forest": make_pipeline(
            SimpleImputer(), RandomForestClassifier(200, min_samples_leaf=8, random_state=SEED)
        ),
        "boosting": HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.08, max_leaf_nodes=8, random_state=SEED
        ),
    }


def smoothed(outcomes: np.ndarray, weight: float = 3.0) -> Floats:
    """Frequencies of outcomes, a little towards even."""
    counts = np.bincount(outcomes, minlength=OUTCOMES) + weight / OUTCOMES
    return np.asarray(counts / counts.sum())


def climatology(table: Table, past: Slots, week: Slots) -> Floats:
    """What was usual at that airport and hour."""
    seen = table.outcome(past)
    return np.array(
        [
            smoothed(seen[(past.airport == airport) & (past.hour % 24 == hour % 24)])
            for airport, hour in zip(week.airport, week.hour, strict=True)
        ]
    )


def yesterday(table: Table, past: Slots, week: Slots) -> Floats:
    """What used to follow a day such as the one before."""
    seen, before = table.outcome(past), _day_before(table, past)
    return np.array([smoothed(seen[before == state]) for state in _day_before(table, week)])


def _day_before(table: Table, at: Slots) -> np.ndarray:
    late = table.look("share_late", at, 24)
    return np.where(np.isnan(late), OUTCOMES, np.digitize(late, (0.10, 0.30)))


def forecasts(table: Table, week: int) -> dict[str, Floats]:
    """What everybody says of one week's questions."""
    first_day = FIRST_DAY + 7 * week
    past, asked = slots(FIT_FROM // 24, first_day - FIT_FROM // 24), slots(first_day, 7)
    departed = table.outcome(past) >= 0
    past = Slots(past.airport[departed], past.hour[departed])
    known, seen, new = features(table, past), table.outcome(past), features(table, asked)
    said = {"climatology": climatology(table, past, asked), "yesterday": yesterday(table, past, asked)}
    for name, model in models().items():
        said[name] = model.fit(known, seen).predict_proba(new)
    said["tea_leaves"] = np.random.default_rng(SEED + week).dirichlet((2,) * OUTCOMES, len(asked.hour))
    if week >= NEWCOMER_FROM:
        said["newcomer"] = (said["boosting"] + said["logistic"]) / 2
    if week % AWAY_EVERY == AWAY_EVERY - 1:
        del said["naive_bayes"]
    return said


def rows(table: Table, show: Callable[[str], None]) -> Iterator[list[object]]:
    """The table, row by row."""
    for week in range(WEEKS):
        asked = slots(FIRST_DAY + 7 * week, 7)
        outcomes, said = table.outcome(asked), forecasts(table, week)
        for place, outcome in enumerate(outcomes):
            day, hour = divmod(int(asked.hour[place]), 24)
            date = BEGIN.fromordinal(BEGIN.toordinal() + day).date()
            name = f"{AIRPORTS[asked.airport[place]]} {date}T{hour:02d}:00"
            for forecaster, ppm in said.items():
                if outcome >= 0:
                    yield [week + 1, name, forecaster, int(outcome), *(f"{p:.4f}" for p in ppm[place])]
        show(f"week {week + 1} of {WEEKS}")


def main() -> None:
    """Write the table."""
    with TARGET.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["round", "question", "forecaster", "outcome", *(f"p{k}" for k in range(OUTCOMES))])
        out.writerows(rows(load_table(), print))
    print(f"wrote {TARGET}")


if __name__ == "__main__":
    main()
