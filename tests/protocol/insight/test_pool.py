"""Pools that clones cannot move, and the bounds that pool.py states."""

from __future__ import annotations

import random
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.insight.pool import RADIUS_PPM, linear_pool, log_pool, novelty, total_variation_ppm
from troth_protocol.insight.prior import clamp_ppm
from troth_protocol.wire.schema import PPM

EPSILON = 10_000
FORECASTS = (
    st.lists(st.integers(0, 1000), min_size=3, max_size=3)
    .filter(any)
    .map(lambda raw: clamp_ppm(raw, EPSILON))
)
PASTS = st.dictionaries(st.sampled_from([b"q1", b"q2", b"q3"]), FORECASTS)
CROWDS = st.lists(st.tuples(FORECASTS, PASTS), min_size=1, max_size=6)
POOLS = [linear_pool, log_pool]


def unzip(crowd):
    return [forecast for forecast, _ in crowd], [past for _, past in crowd]


def pooled(pool, crowd):
    forecasts, pasts = unzip(crowd)
    return pool(forecasts, novelty(forecasts, pasts))


def test_distance_is_the_mean_over_shared_questions_and_the_current_one():
    """5,000 ppm apart now and 15,000 then: half the radius of 20,000."""
    now = [(500_000, 500_000), (505_000, 495_000)]
    pasts = [{b"q": (500_000, 500_000), b"mine": (10_000, 990_000)}, {b"q": (485_000, 515_000)}]
    assert novelty(now, pasts) == [1, 0.5]
    assert novelty(now, [{}, {}]) == [1, 0.25]


@pytest.mark.parametrize("pool", POOLS)
@given(CROWDS, st.data())
def test_exact_clones_change_nothing_to_the_bit(pool, crowd, data):
    clones = data.draw(st.lists(st.sampled_from(crowd), max_size=30))
    assert pooled(pool, [*crowd, *clones]) == pooled(pool, crowd)


@given(CROWDS, FORECASTS, PASTS)
def test_a_newcomer_moves_the_pools_by_no_more_than_its_share(crowd, forecast, past):
    weights = novelty(*unzip([*crowd, (forecast, past)]))
    assert weights[:-1] == novelty(*unzip(crowd))
    assert weights[0] == 1
    share = weights[-1] / sum(weights)
    before, after = (pooled(linear_pool, some) for some in (crowd, [*crowd, (forecast, past)]))
    assert sum(abs(a - b) for a, b in zip(before, after, strict=True)) / 2 <= share + 1e-12
    before, after = (pooled(log_pool, some) for some in (crowd, [*crowd, (forecast, past)]))
    odds = [log(b[0] / b[1]) for b in (before, after)]
    assert abs(odds[1] - odds[0]) <= share * 2 * log(PPM / EPSILON) + 1e-9


@given(FORECASTS, st.integers(0, 5000), CROWDS)
def test_a_near_clone_weighs_no_more_than_its_distance(forecast, jitter, crowd):
    """Within delta of somebody senior: at most delta / radius."""
    other = (forecast[0] + jitter, forecast[1], forecast[2] - jitter)
    weights = novelty(*unzip([*crowd, (forecast, {}), (other, {})]))
    assert weights[-1] <= jitter / RADIUS_PPM


@given(CROWDS, FORECASTS)
def test_an_old_mimic_gains_weight_slowly(crowd, forecast):
    """It copied a past of three questions and departs from it now: its distance is a quarter of what it says today."""
    victim, past = crowd[0]
    past = {b"q1": victim, b"q2": victim, b"q3": victim}
    crowd = [(victim, past), *crowd[1:]]
    weights = novelty(*unzip([*crowd, (forecast, past)]))
    assert weights[-1] <= total_variation_ppm(victim, forecast) / 4 / RADIUS_PPM


def test_thirty_jittered_clones_weigh_less_than_a_twentieth_of_an_original():
    """The clones' noise is 100 ppm, a two-hundredth of the radius; together they still count as noise."""
    rng = random.Random(5)
    base = (600_000, 300_000, 100_000)
    clones = [(600_000 + d, 300_000 - d, 100_000) for d in (rng.randrange(-100, 101) for _ in range(30))]
    weights = novelty([base, (100_000, 300_000, 600_000), *clones], [{}] * 32)
    assert weights[:2] == [1, 1]
    assert sum(weights[2:]) < 0.05


def test_pools_of_one_and_of_equals():
    base = (600_000, 300_000, 100_000)
    for pool in POOLS:
        assert pool([base], [0.25]) == pytest.approx([0.6, 0.3, 0.1], abs=1e-15)
    assert linear_pool([base, (200_000, 300_000, 500_000)], [3, 1]) == pytest.approx([0.5, 0.3, 0.2])
    assert log_pool([(900_000, 100_000), (100_000, 900_000)], [1, 1]) == pytest.approx([0.5, 0.5])


def test_the_log_pool_is_the_sharper_one():
    """Two who agree on the direction: the geometric mean leans further than the arithmetic one."""
    two = [(990_000, 10_000), (500_000, 500_000)]
    assert log_pool(two, [1, 1])[0] > linear_pool(two, [1, 1])[0]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(
    ("forecasts", "weights"), [([], []), ([(500_000, 500_000)], [0]), ([(500_000, 500_000), (PPM,)], [1, 1])]
)
def test_what_cannot_be_pooled_is_refused(pool, forecasts, weights):
    with pytest.raises(Invalid, match="bad_parameter"):
        pool(forecasts, weights)


def test_a_radius_of_nothing_is_refused():
    with pytest.raises(Invalid, match="bad_parameter"):
        novelty([], [], 0)
