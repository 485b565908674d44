"""Rules kept for comparison: each shares a fixed pot among forecasters. They settle only topics that name them.

For shares w_i = m_i / M of the weights, the outcome o and the score g_i of score.py (epsilon sets its scale):

    nawm       pot * w_i * (1 + (1 - w_i) * g_i)
               no-arbitrage wagering with the logarithmic score (Chen, Devanur, Pennock, Vaughan 2014): truthful
    posterior  pot * m_i * p_i(o) / sum m_j * p_j(o)
               the Kelly market, which is Bayes' rule (Beygelzimer, Langford and Pennock 2012): not truthful (with
               belief .6 against nine peers at .5 the best report is 1.0)
    wswm       pot * w_i * (1 + s_i - sum w_j * s_j)
               weighted-score wagering (Lambert et al. 2008) with the Brier score:
               s_i = 1 - B_i / 2 within 0 and 1, B_i = sum over outcomes k of (p_i(k) - [k = o])**2

Each exact share is rounded down; what that leaves (and the slack of nawm) is the remainder.

Where a topic names one, the pot is E = min(emission, (M + H) / 2) and the weights are the revealed wagers. A wager is
a weight and no stake: revealed it returns whole, and a share is never negative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from troth_protocol.errors import Invalid
from troth_protocol.genesis import RuleName
from troth_protocol.insight.prior import validate_epsilon, validate_ppm
from troth_protocol.insight.score import Score, Scores, Wager, log_span, market_gain
from troth_protocol.wire.schema import PPM


@dataclass(frozen=True, slots=True)
class Participant:
    """A forecaster: `weight` >= 0 in any unit (its wager), `ppm` its forecast."""

    id: bytes
    weight: int
    ppm: tuple[int, ...]


_Rule: TypeAlias = Callable[[int, Sequence[Participant], int, int], list[int]]


def share_pot(
    rule: RuleName, pot: int, participants: Sequence[Participant], outcome: int, epsilon_ppm: int
) -> tuple[dict[bytes, int], int]:
    """Share `pot` (atomic units) -> (share by id, remainder), exactly the pot in all. One alone takes it all.

    Raises Invalid: bad_parameter (rule, epsilon), bad_amount (pot or weight below 0), bad_probabilities,
    bad_outcome, duplicate (two participants of one id).
    """
    if rule not in RULES:
        raise Invalid("bad_parameter", f"no rule {rule}")
    _validate(pot, participants, outcome, epsilon_ppm)
    if not any(one.weight for one in participants):
        return {one.id: 0 for one in participants}, pot
    shares = RULES[rule](pot, participants, outcome, log_span(epsilon_ppm))
    return {one.id: share for one, share in zip(participants, shares, strict=True)}, pot - sum(shares)


def score_shares(
    rule: RuleName, emission: int, house: int, epsilon_ppm: int, wagers: Sequence[Wager], outcome: int
) -> Scores:
    """Score one question by a rule for comparison: revealed wagers return whole, and share E by their weight.

    An unrevealed wager is lost, as with `kelly`, but enters a record as 0. The two scores of `kelly` are not computed
    (0). Raises what `share_pot` raises.
    """
    pot = min(emission, (sum(item.wager for item in wagers) + house) // 2)
    people = [Participant(item.author, item.wager, item.ppm) for item in wagers if item.ppm is not None]
    shares, _ = share_pot(rule, pot, people, outcome, epsilon_ppm)
    rows = tuple(_settled(item, shares.get(item.author, 0)) for item in wagers)
    return Scores(rows, sum(item.wager for item in wagers if item.ppm is None), pot)


def _settled(item: Wager, share: int) -> Score:
    return Score(item.author, 0 if item.ppm is None else item.wager, share, share, 0, 0)


def _nawm(pot: int, participants: Sequence[Participant], outcome: int, span: int) -> list[int]:
    total = sum(one.weight for one in participants)
    pooled = sum(one.weight * one.ppm[outcome] for one in participants)
    out = []
    for one in participants:
        gain = market_gain(one.weight, one.ppm[outcome], total, pooled)
        bonus = (total - one.weight) * gain
        out.append(pot * one.weight * (total * span + bonus) // (total * total * span))
    return out


def _posterior(pot: int, participants: Sequence[Participant], outcome: int, _: int) -> list[int]:
    pooled = sum(one.weight * one.ppm[outcome] for one in participants)
    return [pot * one.weight * one.ppm[outcome] // pooled for one in participants]


def _wswm(pot: int, participants: Sequence[Participant], outcome: int, _: int) -> list[int]:
    unit = 2 * PPM * PPM
    total = sum(one.weight for one in participants)
    scores = [unit - _brier(one.ppm, outcome) for one in participants]
    pooled = sum(one.weight * score for one, score in zip(participants, scores, strict=True))
    return [
        pot * one.weight * (total * (unit + score) - pooled) // (total * total * unit)
        for one, score in zip(participants, scores, strict=True)
    ]


def _brier(ppm: Sequence[int], outcome: int) -> int:
    return sum((p - PPM * (k == outcome)) ** 2 for k, p in enumerate(ppm))


RULES: Final[Mapping[RuleName, _Rule]] = {"nawm": _nawm, "posterior": _posterior, "wswm": _wswm}


def _validate(pot: int, participants: Sequence[Participant], outcome: int, epsilon_ppm: int) -> None:
    if min([pot, *(one.weight for one in participants)]) < 0:
        raise Invalid("bad_amount", "a pot or weight below 0")
    if len({one.id for one in participants}) != len(participants):
        raise Invalid("duplicate", "two participants of one id")
    for one in participants:
        outcomes = len(participants[0].ppm)
        validate_epsilon(outcomes, epsilon_ppm)
        validate_ppm(one.ppm, outcomes, epsilon_ppm)
        if not 0 <= outcome < outcomes:
            raise Invalid("bad_outcome", f"{outcome} of {outcomes}")
