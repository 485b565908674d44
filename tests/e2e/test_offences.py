"""Real processes, one of which offends: a single observer is enough, and every honest node punishes alike.

`tools/offences.py` tries every offence.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from troth_node.testing.offenders import OFFENCES
from troth_node.testing.samples import TOKEN
from troth_protocol.evidence import BY_NAME

TOOL = Path(__file__).parents[2] / "tools" / "offences.py"
LIMIT_S = 150
HONEST = 5


@pytest.mark.e2e
@pytest.mark.slow
def test_two_offences_are_noticed_told_and_punished_everywhere(tmp_path: Path) -> None:
    file = tmp_path / "offences.json"
    asked = ["--only", "seal_fork", "--only", "misdelivery", "--json", str(file)]
    done = subprocess.run(
        [sys.executable, str(TOOL), *asked], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    forked, sold = json.loads(file.read_text())
    for found in (forked, sold):
        assert (found["punished_at"], found["honest"]) == (HONEST, HONEST)
        assert found["detected_by"] == ["buyer"]
        assert found["reporter"] == "buyer"
        assert 0 < found["reporter_part"] < found["lost"]
        assert found["messages"] > 0
    assert forked["lost"] > 50_000 * TOKEN
    assert sold["lost"] >= sold["returned"] > 0


def test_what_can_be_tried_is_evidence() -> None:
    assert set(OFFENCES) <= set(BY_NAME)
