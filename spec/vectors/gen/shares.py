"""shares.json: what topics with settings of their own pay: pots by a share of M + H, and the rules for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from troth_protocol.insight.rules import RULES, score_shares
from troth_protocol.insight.score import Wager

from .common import TOKEN, Case, Json, cases, tried, valid
from .network import COIN

LARGEST: Final = 10**38 - 1
Row = tuple[str, int, list[int] | None]
ALMA, BRUNO, CARLA = [600_000, 300_000, 100_000], [200_000, 500_000, 300_000], [300_000, 500_000, 200_000]
FOUR: Final[list[Row]] = [
    ("alma", 40 * TOKEN, ALMA),
    ("bruno", 25 * TOKEN + 1, BRUNO),
    ("carla", 10 * TOKEN + 3, CARLA),
    ("dora", 5 * TOKEN, None),
]
SURE, LOST = [980_000, 10_000, 10_000], [10_000, 980_000, 10_000]
QUESTIONS: Final[tuple[tuple[str, list[Row], dict[str, Json]], ...]] = (
    ("four wagers, one of them unrevealed", FOUR, {}),
    ("one wager", FOUR[:1], {}),
    ("nobody revealed", [("alma", TOKEN, None), ("bruno", 7, None)], {}),
    ("from one end to the other", [("alma", TOKEN, SURE), ("bruno", TOKEN, LOST)], {}),
    ("the pot capped at half of wagers and house", FOUR[:2], {"house": "2", "emission": str(LARGEST)}),
    (
        "amounts as large as there are",
        [("alma", LARGEST, ALMA), ("bruno", LARGEST, BRUNO)],
        {"emission": str(LARGEST)},
    ),
)


def _question(rule: str, wagers: Sequence[Row], **other: Json) -> Case:
    usual = {
        "check": "share",
        "rule": rule,
        "emission": str(100 * TOKEN),
        "house": str(1_000 * TOKEN),
        "epsilon_ppm": 10_000,
        "outcome": 0,
        "wagers": [{"author": name, "wager": str(wager), "ppm": ppm} for name, wager, ppm in wagers],
    }
    return usual | other


def _shared(name: str, asked: Case) -> Case:
    wagers = [
        Wager(w["author"].encode(), int(w["wager"]), None if w["ppm"] is None else tuple(w["ppm"]))
        for w in asked["wagers"]
    ]
    scores = score_shares(
        asked["rule"],
        int(asked["emission"]),
        int(asked["house"]),
        asked["epsilon_ppm"],
        wagers,
        asked["outcome"],
    )
    rows = [
        {"author": row.author.decode(), "back": str(row.back), "net": str(row.net)} for row in scores.rows
    ]
    return valid(
        name,
        **asked,
        e=str(scores.emission),
        rows=rows,
        to_reserve=str(scores.to_reserve),
    )


def _pot(name: str, emission: int, share: int | None, wagered: int, house: int) -> Case:
    topic = replace(COIN, emission=emission, emission_ppm=share)
    given: dict[str, Json] = {} if share is None else {"emission_ppm": share}
    return valid(
        name,
        check="pot",
        emission=str(emission),
        **given,
        wagered=str(wagered),
        house=str(house),
        pot=str(topic.pot(wagered, house)),
    )


def _bad(rule: str) -> list[Case]:
    one = {"author": "alma", "wager": str(TOKEN), "ppm": ALMA}
    other = one | {"author": "bruno"}
    changes: list[tuple[str, str, dict[str, Json]]] = [
        ("bad_parameter", "an epsilon that leaves no room", {"epsilon_ppm": 333_334}),
        ("bad_parameter", "no epsilon", {"epsilon_ppm": 0}),
        ("bad_probabilities", "an outcome short", {"wagers": [one, other | {"ppm": [600_000, 400_000]}]}),
        ("bad_probabilities", "one ppm too few", {"wagers": [one | {"ppm": [600_000, 300_000, 99_999]}]}),
        ("bad_outcome", "behind the last", {"outcome": 3}),
        ("duplicate", "one author twice", {"wagers": [one, one]}),
        ("bad_amount", "a negative emission", {"emission": "-1"}),
        ("bad_amount", "a negative wager", {"wagers": [one | {"wager": "-1"}, other]}),
    ]
    return tried(_question(rule, FOUR), [(code, f"{rule}: {what}", change) for code, what, change in changes])


def shares() -> Json:
    """The file shares.json."""
    pots = [
        _pot("a pot without a share is at most half", LARGEST, None, 7, 2),
        _pot("the largest share is that half", LARGEST, 500_000, 7, 2),
        _pot("a tenth of wagers and house", LARGEST, 100_000, 40 * TOKEN + 7, 1_000 * TOKEN),
        _pot("a share above the topic's emission", 5, 100_000, 40 * TOKEN, 0),
        _pot("a share of nothing", LARGEST, 0, 40 * TOKEN, 7),
    ]
    shared = [
        _shared(f"{rule}: {name}", _question(rule, wagers, **other))
        for rule in RULES
        for name, wagers, other in QUESTIONS
    ]
    kelly = tried(_question("kelly", FOUR), [("bad_parameter", "kelly shares nothing", {})])
    refused = [case for rule in RULES for case in _bad(rule)]
    return cases(
        "Pots of topics with a share of their own, and questions scored by the rules for comparison (05).",
        pots + shared,
        kelly + refused,
    )
