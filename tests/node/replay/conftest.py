"""Small tables of forecasts."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for replay_books


@pytest.fixture
def write_table(tmp_path):
    """Write a random table: forecasters miss questions, one whole rounds, one starts late. Returns its path."""

    def write(*, seed=1, rounds=3, questions=4, people=4, outcomes=3):
        rng = random.Random(seed)
        path = tmp_path / f"table-{seed}.csv"
        lines = ["round,question,forecaster,outcome," + ",".join(f"p{k}" for k in range(outcomes))]
        for round_, question in ((r, q) for r in range(rounds) for q in range(questions)):
            outcome = rng.randrange(outcomes)
            for person in range(people):
                is_away = (person == 1 and round_ == 1) or (person == 2 and not round_) or rng.random() < 0.2
                raw = [rng.random() + person * (k == outcome) / people for k in range(outcomes)]
                if not is_away:
                    said = ",".join(f"{value / sum(raw):.6f}" for value in raw)
                    lines.append(f"{round_},q{question},m{person},{outcome},{said}")
        path.write_text("\n".join(lines) + "\n")
        return path

    return write
