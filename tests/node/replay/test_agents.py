"""The agents of a replay by processes say what the table says, and nothing else."""

from __future__ import annotations

import pytest

from troth_node.agent import Forecast, QuestionView
from troth_node.loader import load_agent
from troth_node.replay.processes import AGENTS

TABLE = """round,question,forecaster,outcome,p0,p1
1,a,alma,0,0.8,0.2
1,b,alma,1,0.3,0.7
1,b,bruno,1,0.995,0.005
2,a,bruno,1,0.5,0.5
"""


@pytest.fixture
def agent(tmp_path):
    """An agent of this class, with the table open."""
    path = tmp_path / "table.csv"
    path.write_text(TABLE)

    def make(kind, number=0, min_forecasters=1):
        made = load_agent(f"{AGENTS}:{kind}", tmp_path)()
        options = {"file": str(path), "epsilon_ppm": 10_000, "min_forecasters": min_forecasters}
        made.open(options | {"forecaster": number, "name": "n", "seed": 1})
        return made

    return make


def question(index):
    return QuestionView(bytes(32), "replay", index, "", "", ("0", "1"), (500_000, 500_000), 2, 3)


def test_a_forecaster_splits_what_it_has_over_the_round(agent):
    alma, bruno = agent("Forecaster", 0), agent("Forecaster", 1)
    assert alma.forecast(question(0), []) == Forecast((800_000, 200_000), "replayed", 0, parts=2)
    assert alma.forecast(question(1), []) == Forecast((300_000, 700_000), "replayed", 0, parts=2)
    assert alma.forecast(question(2), []) is None
    assert bruno.forecast(question(1), []) == Forecast((990_000, 10_000), "replayed", 0, parts=1)


def test_questions_left_out_are_not_counted(agent):
    alma = agent("Forecaster", 0, min_forecasters=2)
    assert alma.forecast(question(0), []) == Forecast((300_000, 700_000), "replayed", 0, parts=1)


def test_an_oracle_attests_what_came_true(agent):
    oracle = agent("Oracle")
    assert [oracle.attest(question(index)) for index in range(3)] == [0, 1, 1]
    assert oracle.forecast(question(0), []) is None


def test_a_forecaster_leaves_attesting_to_others(agent):
    assert agent("Forecaster").attest(question(0)) is None
