"""Pooling so that clones weigh nothing: a forecaster counts for how far its past is from all senior to it.

For an agent's own use: floats, no consensus. Theory of operation. Forecasters stand in order of seniority
(first met first). The distance d(i, j) is the mean total variation between their forecasts on the questions
that both answered, the current one included. With a `radius` (how different two forecasters must be to count
as two), the *novelty* of i is

    u_i = min(1, min over j senior to i of d(i, j) / radius)          u of the most senior = 1

and a pool gives i the weight t_i * u_i, t_i its trust (1, or what `credit.multiplicative_update` has learnt).

What it guarantees, for any one forecaster that joins behind the others with weight v, theirs adding up to V:
* nobody else's weight changes, so the linear pool moves by at most v / (V + v) in total variation, and the
  log pool's log-odds between any two outcomes by at most v / (V + v) * 2 * ln(1 / epsilon);
* an exact clone has v = 0: it changes nothing, to the bit, and neither do thirty of them;
* a clone that stays within delta of its original has v <= t * delta / radius.

A clone that jitters by more than the radius counts as new. It then pays for that noise in its own score, and
trust sees it. A mimic that copies somebody's past and then departs from it has the past's zeros in its mean:
it gains weight only slowly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import exp, fsum, log
from typing import Final

from troth_protocol.errors import Invalid
from troth_protocol.wire.schema import PPM

#: Two forecasters closer than this, in mean total variation, are partly one.
RADIUS_PPM: Final = 20_000


def total_variation_ppm(a: Sequence[int], b: Sequence[int]) -> int:
    """Half the sum of |a_k - b_k|: 0 for equal forecasts, 1,000,000 for disjoint ones (rounded down)."""
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) // 2


def novelty(
    forecasts: Sequence[Sequence[int]],
    pasts: Sequence[Mapping[bytes, Sequence[int]]],
    radius_ppm: int = RADIUS_PPM,
) -> list[float]:
    """u_i of each forecaster, most senior first, within 0 and 1.

    `forecasts`: current ones in ppm; `pasts`: for each forecaster, question id -> the forecast that it
    revealed there. Raises Invalid("bad_parameter") for a radius below 1 ppm.
    """
    if radius_ppm < 1:
        raise Invalid("bad_parameter", "a radius below 1 ppm")
    known = list(zip(forecasts, pasts, strict=True))
    return [
        min([1.0, *(_distance_ppm(senior, one) / radius_ppm for senior in known[:rank])])
        for rank, one in enumerate(known)
    ]


_Known = tuple[Sequence[int], Mapping[bytes, Sequence[int]]]


def _distance_ppm(a: _Known, b: _Known) -> float:
    shared = [question for question in a[1] if question in b[1]]
    apart = [total_variation_ppm(a[1][question], b[1][question]) for question in shared]
    return (sum(apart) + total_variation_ppm(a[0], b[0])) / (len(shared) + 1)


def linear_pool(forecasts: Sequence[Sequence[int]], weights: Sequence[float]) -> list[float]:
    """Weighted mean of forecasts (Stone 1961), summing to 1. Raises Invalid("bad_parameter") for no weight."""
    used, total = _weighed(forecasts, weights)
    return [fsum(w * ppm[k] for ppm, w in used) / (total * PPM) for k in range(len(used[0][0]))]


def log_pool(forecasts: Sequence[Sequence[int]], weights: Sequence[float]) -> list[float]:
    """Weighted geometric mean, normalised (Genest and Zidek 1986): the sharper one. Raises as `linear_pool`."""
    used, total = _weighed(forecasts, weights)
    logs = [fsum(w * log(ppm[k] / PPM) for ppm, w in used) / total for k in range(len(used[0][0]))]
    means = [exp(value - max(logs)) for value in logs]
    return [mean / fsum(means) for mean in means]


def _weighed(
    forecasts: Sequence[Sequence[int]], weights: Sequence[float]
) -> tuple[list[tuple[Sequence[int], float]], float]:
    """The forecasts that weigh something, and their total: weight 0 leaves no trace, not even in rounding."""
    used = [(ppm, weight) for ppm, weight in zip(forecasts, weights, strict=True) if weight > 0]
    if not used or any(len(a[0]) != len(b[0]) for a, b in pairwise(used)):
        raise Invalid("bad_parameter", "nobody weighs anything, or the forecasts are of different questions")
    return used, fsum(weight for _, weight in used)
