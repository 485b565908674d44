"""Whole nodes in seeded chaos: drops, delays, partitions, crashes, forks, traitors below a third; then every promise.

Each seed stands for one run (`Options.of`). A failure prints the seed and what it stood for.
"""

from __future__ import annotations

import pytest

from troth_node.testing.trial import Options, Trial

SEEDS = 208
BATCH = 8


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_every_promise_of_logs_and_closes_holds(first: int) -> None:
    for number in range(first, first + BATCH):
        options = Options.of(number)
        try:
            Trial(options).run()
        except Exception as error:
            raise AssertionError(f"seed {number} failed: {error}\n{options}") from error


def test_a_seed_repeats_itself() -> None:
    roots = []
    for _ in range(2):
        trial = Trial(Options.of(7))
        trial.run()
        roots.append([core.chain.state.root() for core in trial.cores()])
    assert roots[0] == roots[1]
