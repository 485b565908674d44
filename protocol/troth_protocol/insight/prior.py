"""Probabilities in parts per million: in the protocol a list sums to exactly 1,000,000, epsilon or more each.

The library clamps and renormalises for its callers (`clamp_ppm`, `ppm_from_floats`); the protocol only
refuses (`validate_ppm`). The prior of a standing question is the smoothed frequency of the topic's sealed
outcomes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from troth_protocol.errors import Invalid
from troth_protocol.genesis import OUTCOMES_MAX
from troth_protocol.wire.schema import PPM, is_distribution

OUTCOMES_MIN: Final = 2


def compute_prior(counts: Sequence[int], pseudo_counts: Sequence[int], epsilon_ppm: int) -> tuple[int, ...]:
    """Smoothed frequencies (c_k + a_k) / sum, clamped and rounded by `clamp_ppm`.

    `counts`: past outcomes of the topic's category; `pseudo_counts`: the genesis's, in the same unit. With
    a_k = 1 this is Laplace's rule of succession. Raises Invalid("bad_probabilities") on unequal lengths,
    negative or all-zero counts.
    """
    if len(counts) != len(pseudo_counts) or min([*counts, *pseudo_counts], default=0) < 0:
        raise Invalid("bad_probabilities", "counts and pseudo-counts: as many of each, none negative")
    return clamp_ppm(
        [count + pseudo for count, pseudo in zip(counts, pseudo_counts, strict=True)], epsilon_ppm
    )


def clamp_ppm(probabilities: Sequence[int], epsilon_ppm: int) -> tuple[int, ...]:
    """Non-negative numbers of any scale -> ppm that sum to exactly 1,000,000, each at least `epsilon_ppm`.

    What falls below epsilon is raised to it and the others share the rest in proportion, again until none is
    below; units lost to rounding go to the largest remainders (Hamilton's method), ties to the lower index.
    Order is kept, and what is valid already comes back unchanged. Raises Invalid: bad_probabilities
    (negative, all zero, number of outcomes), bad_parameter (epsilon).
    """
    validate_epsilon(len(probabilities), epsilon_ppm)
    if min(probabilities) < 0 or max(probabilities) == 0:
        raise Invalid("bad_probabilities", "none negative and one positive at least")
    raised = _below(probabilities, epsilon_ppm)
    rest = [index for index in range(len(probabilities)) if index not in raised]
    free = PPM - epsilon_ppm * len(raised)
    total = sum(probabilities[index] for index in rest)
    out = [epsilon_ppm] * len(probabilities)
    for index in rest:
        out[index] = probabilities[index] * free // total
    rest.sort(key=lambda index: (-(probabilities[index] * free % total), index))
    for index in rest[: PPM - sum(out)]:
        out[index] += 1
    return tuple(out)


def _below(probabilities: Sequence[int], epsilon_ppm: int) -> Collection[int]:
    """The outcomes that epsilon holds up; the largest is never among them, so what the others total is not 0."""
    raised: set[int] = set()
    while True:
        free = PPM - epsilon_ppm * len(raised)
        total = sum(p for index, p in enumerate(probabilities) if index not in raised)
        more = {index for index, p in enumerate(probabilities) if p * free < epsilon_ppm * total} - raised
        if not more:
            return raised
        raised |= more


def ppm_from_floats(probabilities: Sequence[float], epsilon_ppm: int) -> tuple[int, ...]:
    """For agents: floats of any positive scale -> valid ppm. A float is a fraction, and is taken as that one.

    Raises Invalid as `clamp_ppm`, and bad_probabilities for a NaN or an infinity.
    """
    return clamp_ppm(integers_from_floats(probabilities), epsilon_ppm)


def integers_from_floats(values: Sequence[float]) -> list[int]:
    """Integers in exactly the proportions of `values`; Invalid("bad_probabilities") for NaN and infinity."""
    try:
        ratios = [value.as_integer_ratio() for value in values]
    except (OverflowError, ValueError):
        raise Invalid("bad_probabilities", "a NaN or an infinity is no number") from None
    # a float's denominator is a power of two, so the largest is a multiple of all
    scale = max((denominator for _, denominator in ratios), default=1)
    return [numerator * (scale // denominator) for numerator, denominator in ratios]


def validate_epsilon(outcomes: int, epsilon_ppm: int) -> None:
    """Refuse unless 2 to 64 outcomes (bad_probabilities) and 1 <= epsilon <= PPM / outcomes (bad_parameter)."""
    if not OUTCOMES_MIN <= outcomes <= OUTCOMES_MAX:
        raise Invalid("bad_probabilities", f"{outcomes} outcomes: between {OUTCOMES_MIN} and {OUTCOMES_MAX}")
    if not 1 <= epsilon_ppm <= PPM // outcomes:
        raise Invalid("bad_parameter", f"epsilon of {epsilon_ppm} ppm for {outcomes} outcomes")


def validate_ppm(ppm: Sequence[int], outcomes: int, epsilon_ppm: int) -> None:
    """Invalid("bad_probabilities") unless one per outcome, each at least epsilon, sum exactly 1,000,000."""
    if not is_distribution(ppm, outcomes, epsilon_ppm):
        raise Invalid("bad_probabilities", f"{outcomes} of at least {epsilon_ppm} ppm that add up to {PPM}")
