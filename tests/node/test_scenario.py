"""A scenario becomes a plan: what a run's length and cast change in its genesis."""

from __future__ import annotations

from pathlib import Path

import pytest

from troth_node.swarm.scenario import ATOMS, ScenarioError, load_scenario, make_plan

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def flights():
    return load_scenario(ROOT / "examples" / "scenarios" / "flights.toml")


@pytest.mark.parametrize(("epochs", "kept"), [(37, 64), (64, 64), (80, 80)])
def test_nothing_is_pruned_before_the_end_of_a_run(flights, epochs, kept):
    assert make_plan(flights, ROOT, None, epochs, None).genesis.rules.evidence_epochs == kept


def test_a_short_run_opens_what_it_can_settle(flights):
    plan = make_plan(flights, ROOT, None, 14, None)
    assert [topic.questions for topic in plan.genesis.topics] == [16, 0, 16]
    longer = make_plan(flights, ROOT, None, 16, None)
    assert [topic.questions for topic in longer.genesis.topics] == [24, 8, 24]


def test_a_budget_is_in_tokens_for_the_cast_and_for_extras(flights):
    budgets = {node.name: node.budget for node in make_plan(flights, ROOT, 14, 37, None).nodes}
    assert budgets["alma"] == budgets["apprentice-1"] == budgets["apprentice-2"] == 20 * ATOMS
    assert budgets["bruno"] is None


def test_the_seed_makes_the_keys(flights):
    keys = [
        [node.keys.public for node in make_plan(flights, ROOT, None, 14, seed).nodes] for seed in (1, 1, 2)
    ]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(("nodes", "epochs"), [(9, 37), (None, 3)])
def test_what_cannot_run_is_refused(flights, nodes, epochs):
    with pytest.raises(ScenarioError, match="needs at least"):
        make_plan(flights, ROOT, nodes, epochs, None)
