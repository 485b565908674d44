"""Whom to cite, and with what weight: strategies for `allocate`. Credit assignment is each agent's own job.

Nothing here is consensus (floats, an agent's own opinion); only the result, integer weights, enters a
contribution. Inputs are numbered from 0; a coalition is a frozenset of such numbers; a value function says
how good a forecast from just those inputs is, in nats (mean log score, say).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from math import exp, factorial, fsum, log
from typing import Final, TypeAlias

from troth_protocol.errors import Invalid
from troth_protocol.insight.pool import RADIUS_PPM, linear_pool, novelty
from troth_protocol.insight.prior import integers_from_floats
from troth_protocol.log.rows import CITATIONS_MAX
from troth_protocol.wire.schema import PPM

Coalition: TypeAlias = frozenset[int]
Value: TypeAlias = Callable[[Coalition], float]
#: Exact Shapley values ask for 2**n coalitions.
EXACT_MAX: Final = CITATIONS_MAX
#: A draw is a uniform integer of this many bits (the caller's random source makes them).
DRAW_BITS: Final = 128


def table_value(table: Mapping[Coalition, float]) -> Value:
    """Look coalitions up in a table; Invalid("bad_parameter") for one that is not in it."""

    def value(coalition: Coalition) -> float:
        if coalition not in table:
            raise Invalid("bad_parameter", f"no value for inputs {sorted(coalition)}")
        return table[coalition]

    return value


def log_score_value(forecast: Callable[[Coalition], Sequence[int]], outcome: int) -> Value:
    """Log score, ln p(outcome), of the forecast (ppm) that `forecast` makes from a coalition."""
    return lambda coalition: log(forecast(coalition)[outcome] / PPM)


def exact_shapley(count: int, value: Value) -> list[float]:
    """phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! * [v(S + i) - v(S)]   (Shapley 1953).

    Asks for each of the 2**count values once. They add up to v(all) - v(none). Raises Invalid("too_many")
    above 16 inputs.
    """
    if count > EXACT_MAX:
        raise Invalid("too_many", f"{count} inputs: exact Shapley values for at most {EXACT_MAX}")
    coalitions = [frozenset(c) for size in range(count + 1) for c in combinations(range(count), size)]
    values = {coalition: value(coalition) for coalition in coalitions}
    shares = [factorial(size) * factorial(count - size - 1) / factorial(count) for size in range(count)]
    return [
        fsum(shares[len(c)] * (values[c | {one}] - values[c]) for c in coalitions if one not in c)
        for one in range(count)
    ]


def sampled_shapley(value: Value, stakes: Sequence[int], draws: Iterator[int], samples: int) -> list[float]:
    """Mean marginal value over random orders of arrival: stake-weighted Shapley (Kalai and Samet 1987).

    An order is drawn from its end: the last to arrive is i with probability stake_i / sum of stakes, and so
    on for those before it; with equal stakes this estimates `exact_shapley` (error about spread /
    sqrt(samples)), and a good that only all together make is shared in proportion to stake. `stakes` are
    positive integers; each order takes len(stakes) - 1 of the uniform 128-bit `draws`. Raises
    Invalid("bad_parameter") for a stake or number of samples below 1, or if draws run out.
    """
    if samples < 1 or min(stakes, default=1) < 1:
        raise Invalid("bad_parameter", "stakes and samples are at least 1")
    sums = [0.0] * len(stakes)
    for _ in range(samples):
        arrived: Coalition = frozenset()
        before = value(arrived)
        for one in _order(stakes, draws):
            arrived |= {one}
            after = value(arrived)
            sums[one] += after - before
            before = after
    return [total / samples for total in sums]


def _order(stakes: Sequence[int], draws: Iterator[int]) -> list[int]:
    remaining = list(range(len(stakes)))
    last_first = []
    while len(remaining) > 1:
        draw = next(draws, None)
        if draw is None:
            raise Invalid("bad_parameter", "the draws ran out")
        chosen = _choose([stakes[one] for one in remaining], draw)
        last_first.append(remaining.pop(chosen))
    return remaining + last_first[::-1]


def _choose(stakes: Sequence[int], draw: int) -> int:
    target = (draw * sum(stakes)) >> DRAW_BITS
    chosen = 0
    while target >= stakes[chosen]:
        target -= stakes[chosen]
        chosen += 1
    return chosen


def leave_one_out(count: int, value: Value) -> list[float]:
    """v(all) - v(all but i). Two copies of one input get nothing each: a second opinion, not a first."""
    everyone = frozenset(range(count))
    whole = value(everyone)
    return [whole - value(everyone - {one}) for one in range(count)]


def value_over_pool(
    forecasts: Sequence[Sequence[int]],
    pasts: Sequence[Mapping[bytes, Sequence[int]]],
    outcome: int,
    radius_ppm: int = RADIUS_PPM,
) -> list[float]:
    """What each forecast adds to a clone-invariant linear pool: ln pool(o) - ln pool_without_i(o), in nats.

    Most senior first, and novelty as in pool.py; put the prior first, as the forecast that everybody has. The
    others' weights are not recomputed when i is left out, so a later clone earns exactly 0 and takes nothing
    from its original. One whose absence leaves nobody is compared with ignorance (1 / outcomes).
    """
    weights = novelty(forecasts, pasts, radius_ppm)
    whole = linear_pool(forecasts, weights)[outcome]
    return [log(whole / _pooled_without(one, forecasts, weights, outcome)) for one in range(len(forecasts))]


def _pooled_without(
    one: int, forecasts: Sequence[Sequence[int]], weights: Sequence[float], outcome: int
) -> float:
    others = [0.0 if rank == one else weight for rank, weight in enumerate(weights)]
    return linear_pool(forecasts, others)[outcome] if any(others) else 1 / len(forecasts[one])


def multiplicative_update(weights: Sequence[float], gains: Sequence[float], rate: float) -> list[float]:
    """w_i * exp(rate * gain_i), scaled to sum 1 (Freund and Schapire 1997; Arora, Hazan and Kale 2012).

    With gains (credits) within [0, 1] and 0 < rate <= 1, following the weights over T rounds earns at least
    the best single input's sum minus ln(n) / rate + rate * T / 8. Raises Invalid("bad_parameter") unless all
    weights are positive.
    """
    if not weights or min(weights) <= 0:
        raise Invalid("bad_parameter", "weights are positive")
    logs = [log(weight) + rate * gain for weight, gain in zip(weights, gains, strict=True)]
    scaled = [exp(value - max(logs)) for value in logs]
    return [value / fsum(scaled) for value in scaled]


def weights_ppm(values: Sequence[float], budget_ppm: int = PPM) -> list[int]:
    """Citation weights in proportion to credits: one per input, 0 = not cited, at most `budget_ppm` in all.

    The largest 16 count (ties to the lower index), and credits of 0 or less are not cited; neither is one
    whose weight would round down to 0. Raises Invalid: bad_parameter (budget outside 0 to 1,000,000),
    bad_probabilities (NaN or infinity).
    """
    if not 0 <= budget_ppm <= PPM:
        raise Invalid("bad_parameter", f"a budget of {budget_ppm} ppm")
    parts = [max(part, 0) for part in integers_from_floats(values)]
    chosen = sorted(range(len(parts)), key=lambda index: (-parts[index], index))[:CITATIONS_MAX]
    total = sum(parts[index] for index in chosen) or 1
    return [parts[index] * budget_ppm // total if index in chosen else 0 for index in range(len(parts))]
