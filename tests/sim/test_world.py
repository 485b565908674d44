"""Whole nodes on a hostile network: safety always, progress once it is calm again, the guilty punished and nobody else.

Every run is a seed: four to seven witnesses of equal or unequal weight and two or three more agents pay, lock, forecast
and vote by script through several epochs. Frames are lost, doubled, delayed and reordered; partitions come and heal;
power fails between any two effects; disks are replaced by declared backups; up to a third of the weight is Byzantine,
and an author forks its log. `Trial.check` lists what must hold afterwards.
"""

from dataclasses import replace

import pytest

from troth_node.testing.samples import TOKEN
from troth_node.testing.trial import Options, Trial
from troth_node.testing.twists import FILTERS, TWISTS
from troth_node.testing.world import Faults

SEEDS = 200
BATCH = 10
CRASH_POINTS = 120
CRASH_STEP = 5


def play(options: Options) -> Trial:
    """Run it; a failure says how to run it again."""
    trial = Trial(options)
    try:
        trial.run()
    except Exception as error:
        raise AssertionError(f"{error} -- again with {options}") from error
    return trial


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_whatever_happens_nothing_final_is_lost_and_the_epochs_go_on(first):
    for number in range(first, first + BATCH):
        play(Options.of(number))


@pytest.mark.parametrize("kind", [*TWISTS, *FILTERS, "twin"])
def test_one_traitor_of_four_and_a_forked_log(kind):
    play(Options(7, traitors=((1, kind),), forker=True, faults=Faults(0.02, 0.05, (1, 20))))


@pytest.mark.parametrize("kind", ["silent", "lies_forge", "lies_withhold", "votes_for_all", "twin"])
def test_two_traitors_of_seven_with_unequal_weight(kind):
    weights = (5, 4, 4, 3, 3, 3, 3)
    play(Options(11, weights, traitors=((1, kind), (3, kind)), faults=Faults(0, 0, (1, 20))))


@pytest.mark.parametrize("victim", [0, 5], ids=["a witness", "an author"])
@pytest.mark.parametrize("first", range(0, CRASH_POINTS, 6 * CRASH_STEP))
def test_power_may_fail_after_any_effect(victim, first):
    for point in range(first, first + 6 * CRASH_STEP, CRASH_STEP):
        trial = Trial(Options(point, authors=2))
        trial.chaos_ms = 1_000
        trial.world.at(150, lambda trial=trial, point=point: trial.light_fuse(victim, point))
        trial.run()
        assert trial.world.nodes[trial.keys[victim]].crashes == 1, f"point {point} was never reached"


def test_the_same_seed_is_the_same_run():
    first, second = (play(Options.of(3)) for _ in range(2))
    assert [node.disk.tables for node in first.world.nodes.values()] == [
        node.disk.tables for node in second.world.nodes.values()
    ]
    assert first.world.now_ms == second.world.now_ms


@pytest.mark.parametrize(("last_epoch", "offences"), [(1, 1), (50, 2)])
def test_a_fork_is_punished_once_and_the_second_ends_the_account(last_epoch, offences):
    trial = Trial(Options(2, forker=True))
    trial.forker.chance, trial.forker.last_epoch = 1.0, last_epoch
    trial.run()
    for core in trial.cores():
        account = core.chain.state.account(trial.keys[-1])
        assert account.offences == offences
        assert account.agent == 50 * TOKEN * 9**offences // 10**offences


def test_whoever_is_away_for_long_comes_back_by_a_snapshot():
    trial = play(Options(5, away=True, evidence_epochs=2))
    guest = trial.world.nodes[trial.keys[4]]
    assert guest.core is not None
    sealed = {int.from_bytes(epoch, "big") for epoch, _ in guest.disk.scan("seals", b"")}
    assert len(sealed) < guest.core.epoch - 1, "it has not executed every epoch"


def test_an_agent_that_bonds_joins_the_witnesses():
    trial = play(replace(Options(2), joiner=True))
    assert all(core.chain.committee.index(trial.keys[4]) is not None for core in trial.cores())
