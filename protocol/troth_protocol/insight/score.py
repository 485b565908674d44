"""The `kelly` rule: peers score the wagers, the prior scores the emission, and rounding pays nobody a unit.

Theory of operation. For the outcome o, a forecast p_i with wager m_i, L = log2(1 / epsilon) and kappa <= 1/2:

    back_i = m_i + kappa * m_i * (1 - w_i) * g_i       g_i = [log2 p_i(o) - log2 P_-i(o)] / L
    net_i  = E * m_i / (M + H) * G_i                   G_i = [log2 p_i(o) - log2 pi(o)] / L

(growth rates: Kelly 1956, A New Interpretation of Information Rate; wagers: the no-arbitrage wagering
mechanism of Chen, Devanur, Pennock and Vaughan 2014, with the logarithmic score). P_-i is the mean forecast
of the other *revealed* wagers, weighted by them, kept as the fraction N / D; w_i is i's share of the revealed
wagers.

Which wagers count in M: *all* of them, revealed or not. M is then known when the commit phase closes, nothing
that anybody reveals or withholds afterwards moves anybody else's net, and E = min(emission, (M + H) / 2)
keeps sum net_i <= E.

In integers, with logarithms as in fixed.py (units of 2**-32), every division a floor toward minus infinity:

    L      = ceil(log2 1/epsilon)
    gain_i = floor(log2 p_i(o)) - ceil(log2 N - log2 D)
    back_i = m_i + floor(kappa_ppm * m_i * (W - m_i) * gain_i / (PPM * W * L)), W the sum revealed
    Gain_i = floor(log2 p_i(o) / pi(o))                one logarithm: exactly 0 for whoever repeats the prior
    net_i  = max(floor(E * m_i * Gain_i / ((M + H) * L)), -back_i)

Why nothing needs clamping. epsilon <= p and P, pi < 1 give gain >= floor(log2 epsilon) = -L; p < 1 and P, pi
>= epsilon give gain <= L: so -1 <= g, G <= 1 by validation of the forecasts alone. Hence back_i >= m_i -
ceil(m_i / 2) >= 0 and net_i >= -ceil(m_i / 2): a loss of net never exceeds half the wager, rounded up to a
unit. The max() above bites only where both halves of an odd wager are rounded up, which takes |g| and |G|
above 1 - 1/m: dust of under 1 / (1 - max|G|) units (460 at epsilon = 10,000 ppm, 14 million at 1 ppm). It
forgives that one unit, so that nobody ends below zero, and still pays no more than the exact formula (whose
total is never negative). sum back_i <= sum m_i because ln P_-i >= the weighted mean of the others' ln p_j
(Jensen) makes sum m_i (1 - w_i) g_i <= 0, and each integer term is at most its real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from troth_protocol.errors import Invalid
from troth_protocol.genesis import KAPPA_MAX_PPM
from troth_protocol.insight.fixed import ceil_log2, floor_log2_ppm
from troth_protocol.insight.prior import validate_epsilon, validate_ppm
from troth_protocol.wire.codec import MAX_AMOUNT
from troth_protocol.wire.schema import PPM


@dataclass(frozen=True, slots=True)
class Wager:
    """One wagering commit: `wager` in atomic units; `ppm` None if it was not revealed."""

    author: bytes
    wager: int
    ppm: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Score:
    """One author's result, amounts in atomic units.

    `back` >= 0 returns from the wager; `net` is the emission (negative: a loss that goes to the reserve; back
    + net >= 0). `net_for_record` enters the high-water record: `net`, or what G = -1 would have cost whoever
    did not reveal. `g_ppm` and `G_ppm` are the two scores, floors in ppm of L, within -1,000,000 and
    1,000,000.
    """

    author: bytes
    back: int
    net: int
    net_for_record: int
    g_ppm: int
    G_ppm: int


@dataclass(frozen=True, slots=True)
class Scores:
    """A question's scores, in the order of its wagers; sum of wagers = sum of `back` + `to_reserve`.

    `emission` is E after the cap. `to_reserve` is what wagers leave over: forfeits and rounding. Emission is
    apart: each `net` is paid out of the reserve, or into it.
    """

    rows: tuple[Score, ...]
    to_reserve: int
    emission: int

    def net(self) -> int:
        """What the reserve pays in emission, all told (negative: receives); never above `emission`."""
        return sum(row.net for row in self.rows)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What is the same for every wager of a question."""

    revealed: int
    pooled_ppm: int
    prior_ppm: int
    emission: int
    weight: int
    kappa_ppm: int
    span: int


def score_question(
    prior_ppm: Sequence[int],
    emission: int,
    house: int,
    kappa_ppm: int,
    epsilon_ppm: int,
    wagers: Sequence[Wager],
    outcome: int,
) -> Scores:
    """Score one question. `emission` is the topic's (or the bounty), `house` is H; both in atomic units.

    Raises Invalid: bad_probabilities (prior or a forecast), bad_parameter (kappa above 1/2, epsilon),
    bad_amount, bad_outcome, duplicate (two wagers of one author).
    """
    _validate(prior_ppm, epsilon_ppm, wagers, outcome)
    if not 0 <= kappa_ppm <= KAPPA_MAX_PPM:
        raise Invalid("bad_parameter", f"kappa of {kappa_ppm} ppm")
    _validate_amounts([emission, house, *(item.wager for item in wagers)])
    revealed = [(item.wager, item.ppm[outcome]) for item in wagers if item.ppm is not None]
    staked = sum(item.wager for item in wagers)
    terms = _Terms(
        revealed=sum(wager for wager, _ in revealed),
        pooled_ppm=sum(wager * ppm for wager, ppm in revealed),
        prior_ppm=prior_ppm[outcome],
        emission=min(emission, (staked + house) // 2),
        weight=max(staked + house, 1),  # 0 only if every wager is 0, and then every net
        kappa_ppm=kappa_ppm,
        span=log_span(epsilon_ppm),
    )
    rows = tuple(_score(terms, item, outcome) for item in wagers)
    return Scores(rows, staked - sum(row.back for row in rows), terms.emission)


def log_span(epsilon_ppm: int) -> int:
    """L = ceil(2**32 * log2(1 / epsilon)), at least 2**32: the scale on which scores are measured."""
    return ceil_log2(PPM, epsilon_ppm)


def market_gain(wager: int, ppm: int, total: int, pooled_ppm: int) -> int:
    """floor(log2 p_i) - ceil(log2 P_-i) in units of 2**-32; p_i = `ppm` is what `wager` gave the outcome.

    `total` and `pooled_ppm` are the sums of m_j and m_j * p_j(o) over all, i included. 0 if nobody else has
    wagered.
    """
    if total == wager:
        return 0
    return floor_log2_ppm(ppm) - ceil_log2(pooled_ppm - wager * ppm, (total - wager) * PPM)


def _score(terms: _Terms, item: Wager, outcome: int) -> Score:
    if item.ppm is None:
        return Score(item.author, 0, 0, _net(terms, item.wager, -terms.span), -PPM, -PPM)
    ppm = item.ppm[outcome]
    gain = market_gain(item.wager, ppm, terms.revealed, terms.pooled_ppm)
    # W is 0 only if every revealed wager is, and then the stake is 0 too
    stake = terms.kappa_ppm * item.wager * (terms.revealed - item.wager)
    back = item.wager + stake * gain // (PPM * max(terms.revealed, 1) * terms.span)
    emission_gain = floor_log2_ppm(ppm, terms.prior_ppm)
    net = max(_net(terms, item.wager, emission_gain), -back)
    return Score(item.author, back, net, net, gain * PPM // terms.span, emission_gain * PPM // terms.span)


def _net(terms: _Terms, wager: int, gain: int) -> int:
    return terms.emission * wager * gain // (terms.weight * terms.span)


def _validate(prior_ppm: Sequence[int], epsilon_ppm: int, wagers: Sequence[Wager], outcome: int) -> None:
    validate_epsilon(len(prior_ppm), epsilon_ppm)
    for ppm in [prior_ppm, *(item.ppm for item in wagers if item.ppm is not None)]:
        validate_ppm(ppm, len(prior_ppm), epsilon_ppm)
    if not 0 <= outcome < len(prior_ppm):
        raise Invalid("bad_outcome", f"{outcome} of {len(prior_ppm)}")
    if len({item.author for item in wagers}) != len(wagers):
        raise Invalid("duplicate", "two wagers of one author")


def _validate_amounts(amounts: Sequence[int]) -> None:
    if not all(0 <= amount <= MAX_AMOUNT for amount in amounts):
        raise Invalid("bad_amount", "an emission, house or wager out of range")
