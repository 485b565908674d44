"""Credit: the published values to a millionth, the axioms, and weights that always make a valid contribution."""

from __future__ import annotations

import json
import random
from itertools import permutations
from math import log, prod
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.insight.contribution import validate_citations
from troth_protocol.insight.credit import (
    DRAW_BITS,
    exact_shapley,
    leave_one_out,
    log_score_value,
    multiplicative_update,
    sampled_shapley,
    table_value,
    value_over_pool,
    weights_ppm,
)
from troth_protocol.insight.prior import clamp_ppm
from troth_protocol.wire.schema import PPM

VECTORS = Path(__file__).parents[3] / "spec/vectors"
NYC = json.loads((VECTORS / "nyc_coalition_values.json").read_text())
KNOWN = json.loads((VECTORS / "reference_values.json").read_text())["shapley"]
SOURCES = NYC["sources"]
NYC_VALUE = table_value(
    {frozenset(SOURCES.index(name) for name in key.split("+") if name): v for key, v in NYC["value"].items()}
)


def draws(seed):
    rng = random.Random(seed)
    while True:
        yield rng.getrandbits(DRAW_BITS)


def test_shapley_values_of_departures_agree_with_an_independent_library():
    values = exact_shapley(len(SOURCES), NYC_VALUE)
    assert values == pytest.approx([NYC["shapley_shapiq"][name] for name in SOURCES], abs=1e-6)
    everything = frozenset(range(len(SOURCES)))
    assert sum(values) == pytest.approx(NYC_VALUE(everything) - NYC_VALUE(frozenset()), abs=1e-12)


def test_leave_one_out_of_departures_agrees():
    values = leave_one_out(len(SOURCES), NYC_VALUE)
    assert values == pytest.approx([NYC["leave_one_out"][name] for name in SOURCES], abs=1e-6)


@pytest.mark.parametrize(
    ("game", "value"),
    [
        ("glove", lambda s: float(0 in s and len(s) > 1)),
        ("airport", lambda s: float(max((KNOWN["airport"]["costs"][i] for i in s), default=0))),
        (
            "majority",
            lambda s: float(sum(KNOWN["majority"]["weights"][i] for i in s) >= KNOWN["majority"]["quota"]),
        ),
    ],
)
def test_shapley_values_of_textbook_games(game, value):
    assert exact_shapley(3, value) == pytest.approx(KNOWN[game]["known"], abs=1e-12)


def test_the_noise_of_sampling_is_small_and_the_total_exact():
    values = sampled_shapley(NYC_VALUE, [1] * 5, draws(1), 4000)
    assert values == pytest.approx(exact_shapley(5, NYC_VALUE), abs=0.002)
    assert sum(values) == pytest.approx(NYC_VALUE(frozenset(range(5))) - NYC_VALUE(frozenset()))


def weighted_shapley(stakes, value):
    """Kalai and Samet 1987, by all orders of arrival and their probabilities."""
    out = [0.0] * len(stakes)
    for order in permutations(range(len(stakes))):
        chance = prod(
            stakes[one] / sum(stakes[i] for i in order[: rank + 1]) for rank, one in enumerate(order)
        )
        for rank, one in enumerate(order):
            out[one] += chance * (value(frozenset(order[: rank + 1])) - value(frozenset(order[:rank])))
    return out


@pytest.mark.parametrize("stakes", [[1, 1, 1, 1, 1], [5, 1, 3, 10**30, 2], [1, 2, 3, 4, 5]])
def test_stake_weighted_sampling_agrees_with_its_definition(stakes):
    values = sampled_shapley(NYC_VALUE, stakes, draws(2), 4000)
    assert values == pytest.approx(weighted_shapley(stakes, NYC_VALUE), abs=0.003)


def test_a_good_that_only_all_together_make_is_shared_by_stake():
    values = sampled_shapley(lambda s: float(len(s) == 3), [1, 2, 7], draws(3), 20_000)
    assert values == pytest.approx([0.1, 0.2, 0.7], abs=0.01)


def test_sampling_nobody_or_one():
    assert sampled_shapley(lambda _: 0.0, [], draws(4), 1) == []
    assert sampled_shapley(lambda s: float(len(s)), [3], iter([]), 5) == [1.0]


def test_weather_sold_twice_takes_more_by_shapley_and_nothing_by_the_pool():
    """Why clone-aware rules are there: under two names `weather` takes a fifth more in all."""
    weather = SOURCES.index("weather")

    def value(coalition):
        return NYC_VALUE(frozenset(weather if one == 5 else one for one in coalition))

    twice = exact_shapley(6, value)
    assert (twice[weather] + twice[5]) / exact_shapley(5, NYC_VALUE)[weather] == pytest.approx(1.21, abs=0.01)
    assert leave_one_out(6, value)[weather] == 0


def test_the_log_score_of_coalitions():
    value = log_score_value(lambda s: (250_000, 750_000) if s else (500_000, 500_000), 0)
    assert value(frozenset({1})) - value(frozenset()) == pytest.approx(log(0.5))


FORECASTS = (
    st.lists(st.integers(0, 1000), min_size=3, max_size=3).filter(any).map(lambda raw: clamp_ppm(raw, 10_000))
)


@given(st.lists(FORECASTS, min_size=1, max_size=6), st.integers(0, 2), st.data())
def test_a_clone_adds_nothing_over_the_pool_and_takes_nothing(forecasts, outcome, data):
    clones = data.draw(st.lists(st.sampled_from(forecasts), max_size=30))
    alone = value_over_pool(forecasts, [{}] * len(forecasts), outcome)
    everyone = value_over_pool([*forecasts, *clones], [{}] * (len(forecasts) + len(clones)), outcome)
    assert everyone == alone + [0.0] * len(clones)


def test_value_over_the_pool_is_positive_for_who_knew():
    """The prior first; one who leaned the right way, one the wrong way, and one who repeats the prior."""
    prior, right, wrong = (500_000, 500_000), (900_000, 100_000), (200_000, 800_000)
    _, up, down, nothing = value_over_pool([prior, right, wrong, prior], [{}] * 4, 0)
    assert up > 0 > down
    assert nothing == 0
    assert (up, down) == pytest.approx((log(1.6 / 3 / 0.35), log(1.6 / 3 / 0.7)))
    assert value_over_pool([right], [{}], 0) == pytest.approx([log(1.8)])


@given(
    st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=60), st.floats(0.05, 1)
)
def test_multiplicative_weights_regret_what_they_may(rounds, rate):
    weights, earned = [0.25] * 4, 0.0
    for gains in rounds:
        earned += sum(w * gain for w, gain in zip(weights, gains, strict=True))
        weights = multiplicative_update(weights, gains, rate)
        assert sum(weights) == pytest.approx(1)
    best = max(sum(gains[i] for gains in rounds) for i in range(4))
    assert earned >= best - log(4) / rate - rate * len(rounds) / 8 - 1e-9


def test_a_huge_gain_does_not_overflow():
    assert multiplicative_update([1, 1], [1e6, 0], 1) == [1, 0]


@given(st.lists(st.floats(-1e300, 1e300) | st.floats(0, 1), max_size=40), st.integers(0, PPM))
def test_weights_always_make_a_valid_contribution(values, budget):
    weights = weights_ppm(values, budget)
    assert len(weights) == len(values)
    assert sum(weights) <= budget
    cited = tuple((bytes([i]), weight) for i, weight in enumerate(weights) if weight)
    assert len(cited) <= 16
    validate_citations(cited)
    assert all(weight == 0 for weight, value in zip(weights, values, strict=True) if value <= 0)


def test_weights_are_in_proportion_and_of_seventeen_the_last_is_left_out():
    assert weights_ppm([0.5, 0.25, -1, 0.25], 600_000) == [300_000, 150_000, 0, 150_000]
    assert weights_ppm([1.0] * 17) == [62_500] * 16 + [0]
    assert weights_ppm([1e-9, 1.0]) == [0, 999_999]
    assert weights_ppm([0.0, -1.0]) == [0, 0]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: exact_shapley(17, lambda _: 0.0), "too_many"),
        (lambda: table_value({})(frozenset({1})), "bad_parameter"),
        (lambda: sampled_shapley(lambda _: 0.0, [1, 0], draws(1), 1), "bad_parameter"),
        (lambda: sampled_shapley(lambda _: 0.0, [1, 1], draws(1), 0), "bad_parameter"),
        (lambda: sampled_shapley(lambda _: 0.0, [1, 1], iter([]), 1), "bad_parameter"),
        (lambda: multiplicative_update([], [], 1), "bad_parameter"),
        (lambda: multiplicative_update([1, 0], [0, 0], 1), "bad_parameter"),
        (lambda: weights_ppm([1.0], -1), "bad_parameter"),
        (lambda: weights_ppm([1.0], PPM + 1), "bad_parameter"),
        (lambda: weights_ppm([float("nan")]), "bad_probabilities"),
    ],
)
def test_what_no_strategy_can_use_is_refused(call, code):
    with pytest.raises(Invalid) as refused:
        call()
    assert refused.value.code == code
