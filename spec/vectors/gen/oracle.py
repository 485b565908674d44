"""oracle.json: votes of attesters counted, charged and paid; and what may ride on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from troth_protocol.insight.lifecycle import ROUNDS
from troth_protocol.insight.oracle import scale_amount, scale_wagers, settle_attesters, tally, value_limit

from .common import TOKEN, Case, Json, cases, tried, valid

Bonds = Mapping[str, int]
#: An outcome; None for a sealed vote that was not opened; whoever is not named is absent.
Votes = Mapping[str, int | None]

FIVE: Final = {"alma": 600, "bruno": 301, "carla": 200, "dora": 99, "emil": 1}
EQUAL: Final = {"alma": 100, "bruno": 100, "carla": 100}
ROUND: Final = {"round": 0, "outcomes": 2, "penalty_ppm": 50_000, "fee": str(30)}
TALLIES: Final[tuple[tuple[str, Bonds, Votes, dict[str, Json]], ...]] = (
    ("all agree", EQUAL, {"alma": 1, "bruno": 1, "carla": 1}, {}),
    ("the majority of all bond", FIVE, {"alma": 1, "bruno": 0, "carla": None}, {"outcomes": 3}),
    ("exactly half is no majority", {"alma": 50, "bruno": 50}, {"alma": 1, "bruno": 0}, {}),
    ("a majority of those who came, not of all bond", EQUAL, {"alma": 1}, {}),
    ("a majority by one unit", {"alma": 51, "bruno": 50}, {"alma": 0, "bruno": 1}, {}),
    ("the second round doubles the penalty", FIVE, {"bruno": 0, "carla": 1}, {"round": 1}),
    ("the third round is decided by plurality", FIVE, {"bruno": 0, "carla": 1}, {"round": 2}),
    ("a third of all bond is a quorum", EQUAL, {"alma": 1}, {"round": 2}),
    ("a unit less than a third is none", EQUAL | {"dora": 1}, {"alma": 1}, {"round": 2}),
    ("two leaders in the last round: void, both spared", EQUAL, {"alma": 1, "bruno": 0}, {"round": 2}),
    ("nobody opened", FIVE, {"alma": None, "bruno": None}, {"round": 2}),
    ("nobody came", FIVE, {}, {"round": 2}),
    ("a vote without a bond counts for nothing", EQUAL, {"alma": 1, "bruno": 1, "zoe": 0}, {}),
    ("no bond anywhere, first round", {}, {}, {}),
    ("no bond anywhere, last round", {}, {}, {"round": 2}),
    ("a penalty is no more than the bond", FIVE, {"alma": 0}, {"round": 2, "penalty_ppm": 900_000}),
    ("a penalty rounds up", FIVE, {"alma": 0, "emil": 1}, {"penalty_ppm": 1}),
    ("what rounding leaves of the fee stays", EQUAL, {"alma": 1, "bruno": 1, "carla": 1}, {"fee": "31"}),
    ("amounts beyond 64 bits", {"alma": 10**37, "bruno": 10**37 - 1}, {"alma": 0}, {"fee": str(10**30)}),
)
#: All attester bond, penalty, share of the risk; wagers of the questions and their emission.
CAPS: Final[tuple[tuple[str, int, int, int, Bonds, int], ...]] = (
    ("within the limit", 3_000 * TOKEN, 50_000, 500_000, {"alma": 10 * TOKEN, "bruno": 7}, 5 * TOKEN),
    ("beyond it", 30_000, 50_000, 500_000, {"alma": 300, "bruno": 301, "carla": 1}, 100),
    ("no bond, nothing may ride", 0, 50_000, 500_000, {"alma": 300}, 100),
    ("the share may exceed the risk", 30_000, 50_000, 3_000_000, {"alma": 9_999}, 0),
)


def _round(name: str, bonds: Bonds, votes: Votes, other: dict[str, Json]) -> Case:
    asked = ROUND | other
    by_key = {key.encode(): bond for key, bond in bonds.items()}
    cast = {key.encode(): vote for key, vote in votes.items()}
    verdict = tally(by_key, cast, asked["round"], ROUNDS, asked["outcomes"])
    done = settle_attesters(verdict, by_key, asked["round"], asked["penalty_ppm"], int(asked["fee"]))
    return valid(
        name,
        **_asked(bonds, votes, other),
        decision=verdict.decision.value,
        **({} if verdict.outcome is None else {"result": verdict.outcome}),
        coherent=[key.decode() for key in verdict.coherent],
        penalties={key.decode(): str(amount) for key, amount in sorted(done.penalties.items())},
        rewards={key.decode(): str(amount) for key, amount in sorted(done.rewards.items())},
        fee_left=str(done.fee_left),
    )


def _asked(bonds: Bonds, votes: Votes, other: Mapping[str, Json]) -> Case:
    shown = {"bonds": {key: str(bond) for key, bond in bonds.items()}, "votes": dict(votes)}
    return {"check": "round", "rounds": ROUNDS} | ROUND | shown | dict(other)


def _cap(name: str, bond: int, penalty: int, share: int, wagers: Bonds, emission: int) -> Case:
    limit = value_limit(bond, penalty, share)
    total = sum(wagers.values()) + emission
    scaled, returned = scale_wagers(total, limit, {key.encode(): wager for key, wager in wagers.items()})
    return valid(
        name,
        check="cap",
        bond=str(bond),
        penalty_ppm=penalty,
        value_ppm=share,
        wagers={key: str(wager) for key, wager in wagers.items()},
        emission=str(emission),
        limit=str(limit),
        scaled={key.decode(): str(wager) for key, wager in scaled.items()},
        returned={key.decode(): str(wager) for key, wager in returned.items()},
        scaled_emission=str(scale_amount(emission, total, limit)),
    )


def _bad() -> list[Case]:
    good = _asked(EQUAL, {"alma": 1}, {})
    votes: list[tuple[str, dict[str, Json]]] = [
        ("behind the last", {"alma": 2}),
        ("a negative one", {"alma": -1}),
        ("of somebody without bond", {"alma": 1, "zoe": 2}),
        ("beside good ones", {"alma": 1, "bruno": 0, "carla": 64}),
    ]
    amounts = [
        ("a bond below 0", {"bonds": {"alma": "-1"}}),
        ("a bond below 0 among others", {"bonds": {"alma": "5", "bruno": "-1"}}),
        ("a bond below 0 of one who is absent", {"bonds": {"alma": "5", "carla": "-5"}}),
    ]
    parameters: list[tuple[str, dict[str, Json]]] = [
        ("a round behind the last", {"round": 3}),
        ("a negative round", {"round": -1}),
        ("no rounds", {"rounds": 0}),
        ("no outcomes", {"outcomes": 0, "votes": {}}),
        ("fewer than no outcomes", {"outcomes": -1, "votes": {}}),
        ("a penalty of more than everything", {"penalty_ppm": 1_000_001}),
        ("a negative penalty", {"penalty_ppm": -1}),
        ("a negative fee", {"fee": "-1"}),
        ("a negative fee of a void", {"fee": "-1", "votes": {}, "round": 2}),
    ]
    changes = [
        *(("bad_outcome", f"a vote {what}", {"votes": cast}) for what, cast in votes),
        *(("bad_amount", what, fields) for what, fields in amounts),
        *(("bad_parameter", what, fields) for what, fields in parameters),
    ]
    return tried(good, changes) + _bad_caps()


def _bad_caps() -> list[Case]:
    good = {"check": "scale", "total": "10", "limit": "5", "wagers": {"alma": "4", "bruno": "6"}}
    return tried(
        good,
        [
            ("bad_amount", "wagers of more than the total", {"total": "9"}),
            ("bad_amount", "a negative wager", {"wagers": {"alma": "-4", "bruno": "6"}}),
            ("bad_amount", "two that cancel", {"wagers": {"alma": "-6", "bruno": "6"}}),
            ("bad_amount", "a negative limit", {"limit": "-1"}),
            ("bad_amount", "a negative limit and nothing to scale", {"limit": "-1", "wagers": {}}),
            ("bad_amount", "a negative total", {"total": "-1", "wagers": {}}),
            ("bad_amount", "a negative wager within the limit", {"limit": "50", "wagers": {"alma": "-4"}}),
        ],
    )


def oracle() -> Json:
    """The file oracle.json."""
    good = [*(_round(*row) for row in TALLIES), *(_cap(*row) for row in CAPS)]
    return cases(
        "Outcomes by bonded vote, penalties and fees, and the cap on what rides on them (05).", good, _bad()
    )
