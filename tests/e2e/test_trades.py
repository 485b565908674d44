"""Signals are traded between real processes that are killed meanwhile: each is delivered and paid once, or neither.

`tools/trades.py` does a thousand.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "trades.py"
COUNT = 60
KILLS = 2
LIMIT_S = 240


@pytest.mark.e2e
@pytest.mark.slow
def test_no_signal_is_lost_or_paid_twice_though_both_sides_are_killed(tmp_path: Path) -> None:
    file = tmp_path / "trades.json"
    asked = ["--count", str(COUNT), "--kills", str(KILLS), "--seed", "7", "--json", str(file)]
    done = subprocess.run(
        [sys.executable, str(TOOL), *asked], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text())
    assert found["kills"] == KILLS
    assert found["paid_and_delivered"] >= COUNT
    assert found["paid_and_delivered"] + found["neither"] == found["negotiations"]
    assert (found["lost"], found["unpaid"], found["paid_twice"], found["problems"]) == (0, 0, 0, [])


def test_what_cannot_be_asked_for_is_said_in_one_line(tmp_path: Path) -> None:
    for wrong in (["--count", "0"], ["--side", "nobody"], ["--json", str(tmp_path / "no" / "x")]):
        done = subprocess.run(
            [sys.executable, str(TOOL), *wrong], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "error: " in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
