"""The two documents that are made from other documents: engineered features with a risk, and a nowcast.

Both are linear models fitted on January to August over their own inputs, so whoever buys the document can be given its
sample of those months. `sample` is that: the numbers of any document for the hours to fit on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from flights_documents import LATE as SPOTTER
from flights_documents import (
    OTHER_DELAYS,
    OWN_DELAYS,
    SCHEDULE,
    WEATHER,
    other_delays,
    own_delays,
    schedule,
    spotter,
    weather,
)
from flights_models import LinearModels
from flights_table import AIRPORTS, Floats, Slots, Table

RISK = ("p0", "p1", "p2")
FEATURES = ("crosswind", "fog", "fog_worst", "damp", "rain", "congestion", *RISK)
NOWCAST = ("late", *RISK)
TIP = RISK
TYPICAL_LATE = np.array([0.04, 0.19, 0.52])
RUNWAY_DEGREES = 40
CLEAR_MILES, CALM_HPA = 10.0, 1016.0


def airport_block(slots: Slots) -> Floats:
    """What everybody knows from the question itself: the airport, one column each."""
    return np.eye(len(AIRPORTS))[slots.airport]


def engineer(blocks: Sequence[Floats]) -> Floats:
    """Schedule and weather to columns that a linear model can use; a missing input's columns are NaN."""
    airport, plan, sky = blocks
    of_day = plan[:, 0] / 24 * 2 * np.pi
    usual = plan[:, SCHEDULE.index("usual")]
    storm = _storm(sky)
    return np.column_stack(
        [
            *storm,
            plan[:, 2] * usual,
            plan[:, 2:],
            np.sin(of_day),
            np.cos(of_day),
            *(np.where(np.isnan(usual), np.nan, plan[:, 1] == day) for day in range(4, 7)),
            storm[1] * usual,
            storm[4] * usual,
            airport,
        ]
    )


def _storm(sky: Floats) -> list[Floats]:
    column = dict(zip(WEATHER, sky.T, strict=True))
    wind, angle = column["wind_speed"], np.deg2rad(column["wind_dir"] - RUNWAY_DEGREES)
    return [
        np.abs(wind * np.sin(angle)),
        1 / (1 + column["visib"]),
        1 / (1 + column["visib_min"]),
        column["temp"] - column["dewp"],
        np.log1p(20 * column["rain"]),
        np.log1p(20 * column["precip"]),
        np.where(np.isnan(column["wind_gust"]), wind, column["wind_gust"]),
        np.maximum(0, 40 - column["temp"]),
        np.maximum(0, column["temp"] - 70),
        np.maximum(0, column["dewp"] - 62),
        column["pressure"] - CALM_HPA,
        column["pressure_rise"],
    ]


def features_rows(blocks: Sequence[Floats], risk: Floats) -> Floats:
    """The rows of the document FEATURES from its inputs and the risk that the extractor's model sees in them."""
    made = engineer(blocks)
    return np.hstack([made[:, [0, 1, 2, 3, 4, 12]], risk])


def nowcast_columns(blocks: Sequence[Floats]) -> Floats:
    """Features and own delays to columns: log odds of the risk, delays, their roots and their trend."""
    airport, made, late = blocks
    risk = made[:, [FEATURES.index(name) for name in RISK]].clip(0.001)
    odds = np.log(risk[:, 1:] / risk[:, :1])
    return np.hstack([airport, odds, late, np.sqrt(late[:, 4:]), late[:, :1] - late[:, 3:4]])


def nowcast_rows(risk: Floats) -> Floats:
    """The rows of the document NOWCAST: the share expected to be late, and the chances of the three outcomes."""
    return np.column_stack([risk @ TYPICAL_LATE, risk])


@lru_cache(maxsize=2)
def extractor_model(table: Table) -> LinearModels:
    """The extractor's model, over schedule and weather."""
    model = LinearModels(engineer)
    model.fit(sample_blocks(("flights/schedule", "flights/weather"), table), history_outcomes(table))
    return model


@lru_cache(maxsize=2)
def nowcast_model(table: Table) -> LinearModels:
    """The nowcaster's model, over the extractor's features and the airport's own delays."""
    model = LinearModels(nowcast_columns)
    model.fit(sample_blocks(("flights/features", "flights/own_delays"), table), history_outcomes(table))
    return model


def history_outcomes(table: Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The outcomes of the hours to fit on."""
    return table.outcome(table.history())


def sample_blocks(documents: Sequence[str], table: Table) -> list[Floats]:
    """What a model over these documents is fitted on: the airport, then a block for each."""
    return [airport_block(table.history()), *(sample(document, table) for document in documents)]


@lru_cache(maxsize=32)
def sample(document: str, table: Table) -> Floats:
    """A document's numbers for every hour to fit on, rounded as payloads are."""
    return np.round(_sample(document, table), 3)


def _sample(document: str, table: Table) -> Floats:
    slots = table.history()
    if document == "flights/features":
        blocks = sample_blocks(("flights/schedule", "flights/weather"), table)
        return features_rows(blocks, extractor_model(table).informed(blocks, 3))
    if document == "flights/nowcast":
        blocks = sample_blocks(("flights/features", "flights/own_delays"), table)
        return nowcast_rows(nowcast_model(table).informed(blocks, 3))
    if document == "flights/tip":
        return np.random.default_rng(0).dirichlet(np.ones(len(TIP)), len(slots.hour))
    return data(document)(table, slots)


def data(document: str) -> Callable[[Table, Slots], Floats]:
    """The function behind a document of data; "flights/spotter/JFK/2" is JFK seen two hours late."""
    if document.startswith("flights/spotter/"):
        _, _, airport, lag = document.split("/")
        return spotter(airport, int(lag))
    return {
        "flights/schedule": schedule,
        "flights/weather": weather,
        "flights/own_delays": own_delays,
        "flights/other_delays": other_delays,
    }[document]


def names_of(document: str) -> tuple[str, ...]:
    """The names of a document's numbers, in the order of its columns."""
    if document.startswith("flights/spotter/"):
        return SPOTTER
    return {
        "flights/schedule": SCHEDULE,
        "flights/weather": WEATHER,
        "flights/own_delays": OWN_DELAYS,
        "flights/other_delays": OTHER_DELAYS,
        "flights/features": FEATURES,
        "flights/nowcast": NOWCAST,
        "flights/tip": TIP,
    }[document]
