"""Scores as JSON: one question in, its result out. Amounts are decimal strings, so that no reader rounds them.

It only converts: every number is the protocol's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Final, TypeAlias, TypedDict

import msgspec

from troth_protocol.errors import Invalid
from troth_protocol.genesis import RuleName
from troth_protocol.insight.rules import RULES, Participant, share_pot
from troth_protocol.insight.score import Score, Wager, score_question

DIGITS_MAX: Final = 4_000


class ScoringError(Exception):
    """A line that cannot be scored; one sentence that says why."""


class _Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    pass


class _Wagerer(_Strict, frozen=True):
    id: str
    wager: str
    ppm: list[int] | None


class _Weighted(_Strict, frozen=True):
    id: str
    weight: str
    ppm: list[int]


class _Kelly(_Strict, frozen=True, tag_field="rule", tag="kelly"):
    prior_ppm: list[int]
    emission: str
    house: str
    kappa_ppm: int
    epsilon_ppm: int
    participants: list[_Wagerer]
    outcome: int


class _Share(_Strict, frozen=True, tag_field="rule", tag="nawm"):
    rule: ClassVar[RuleName] = "nawm"
    pot: str
    epsilon_ppm: int
    participants: list[_Weighted]
    outcome: int


class _Posterior(_Share, frozen=True, tag_field="rule", tag="posterior"):
    rule: ClassVar[RuleName] = "posterior"


class _Wswm(_Share, frozen=True, tag_field="rule", tag="wswm"):
    rule: ClassVar[RuleName] = "wswm"


_DECODER: Final = msgspec.json.Decoder(_Kelly | _Share | _Posterior | _Wswm)
RULE_NAMES: Final = ("kelly", *RULES)


class KellyResult(TypedDict):
    """By participant: what returns of the wager, the emission (may be negative), both scores in ppm."""

    back: dict[str, str]
    net: dict[str, str]
    g_ppm: dict[str, int]
    G_ppm: dict[str, int]
    to_reserve: str


class ShareResult(TypedDict):
    """By participant: its share of the pot; and what rounding (and the slack of nawm) leaves."""

    shares: dict[str, str]
    remainder: str


Result: TypeAlias = KellyResult | ShareResult


def score_line(line: bytes) -> Result:
    """Score one line of JSON. Raises ScoringError: no such object, an amount that is none, or what a rule refuses."""
    try:
        asked = _DECODER.decode(line)
    except UnicodeDecodeError:
        raise ScoringError("not UTF-8 text") from None
    except msgspec.ValidationError as error:
        raise ScoringError(str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ScoringError(f"not JSON: {error}") from None
    try:
        return _kelly(asked) if isinstance(asked, _Kelly) else _share(asked)
    except Invalid as error:
        raise ScoringError(str(error)) from None


def dump(result: Result) -> str:
    """One line of JSON."""
    return json.dumps(result)


def _kelly(asked: _Kelly) -> KellyResult:
    wagers = [
        Wager(one.id.encode(), _amount("wager", one.wager), None if one.ppm is None else tuple(one.ppm))
        for one in asked.participants
    ]
    scores = score_question(
        asked.prior_ppm,
        _amount("emission", asked.emission),
        _amount("house", asked.house),
        asked.kappa_ppm,
        asked.epsilon_ppm,
        wagers,
        asked.outcome,
    )
    return KellyResult(
        back=_amounts(scores.rows, lambda row: row.back),
        net=_amounts(scores.rows, lambda row: row.net),
        g_ppm={row.author.decode(): row.g_ppm for row in scores.rows},
        G_ppm={row.author.decode(): row.G_ppm for row in scores.rows},
        to_reserve=str(scores.to_reserve),
    )


def _amounts(rows: Iterable[Score], amount: Callable[[Score], int]) -> dict[str, str]:
    return {row.author.decode(): str(amount(row)) for row in rows}


def _share(asked: _Share) -> ShareResult:
    people = [
        Participant(one.id.encode(), _amount("weight", one.weight), tuple(one.ppm))
        for one in asked.participants
    ]
    shares, remainder = share_pot(
        asked.rule, _amount("pot", asked.pot), people, asked.outcome, asked.epsilon_ppm
    )
    return ShareResult(shares=_named(shares), remainder=str(remainder))


def _named(shares: Mapping[bytes, int]) -> dict[str, str]:
    return {key.decode(): str(share) for key, share in shares.items()}


def _amount(field: str, text: str) -> int:
    """A whole number of atomic units from its decimal digits; ScoringError for anything else."""
    is_decimal = text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")
    if not is_decimal or len(text) > DIGITS_MAX:
        raise ScoringError(
            f'bad_amount: {field} is a string of decimal digits such as "1500000000", not {text[:40]!r}'
        )
    return int(text)
