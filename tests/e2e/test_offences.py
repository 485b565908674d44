"""Real processes, one of which offends: a single observer is enough, and every honest node punishes alike.

`tools/offences.py` tries every offence. A broken promise is none: nobody has to show it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from troth_node.testing.breaching import BREACH, KINDS
from troth_node.testing.offenders import OFFENCES
from troth_node.testing.samples import TOKEN
from troth_protocol.evidence import BY_NAME

TOOL = Path(__file__).parents[2] / "tools" / "offences.py"
LIMIT_S = 150
HONEST = 5


def tried(file: Path, *kinds: str) -> list[dict[str, Any]]:
    """What the tool writes of these."""
    asked = [argument for kind in kinds for argument in ("--only", kind)]
    done = subprocess.run(
        [sys.executable, str(TOOL), *asked, "--json", str(file)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(file.read_text())
    return found


@pytest.mark.e2e
@pytest.mark.slow
def test_two_offences_are_noticed_told_and_punished_everywhere(tmp_path: Path) -> None:
    forked, sold = tried(tmp_path / "offences.json", "seal_fork", "misdelivery")
    for found in (forked, sold):
        assert (found["punished_at"], found["honest"]) == (HONEST, HONEST)
        assert found["detected_by"] == ["buyer"]
        assert found["reporter"] == "buyer"
        assert 0 < found["reporter_part"] < found["lost"]
        assert found["messages"] > 0
    assert forked["lost"] > 50_000 * TOKEN
    assert sold["lost"] >= sold["returned"] > 0


@pytest.mark.e2e
@pytest.mark.slow
def test_every_close_finds_a_broken_promise_and_the_seller_is_paid(tmp_path: Path) -> None:
    [found] = tried(tmp_path / "offences.json", BREACH)
    assert (found["punished_at"], found["honest"], len(found["detected_by"])) == (HONEST, HONEST, HONEST)
    assert (found["messages"], found["epochs"], found["reporter"]) == (0, 0, "")
    assert found["evidence_bytes"] > 0, "whoever has the seal can be shown it"
    assert found["returned"] >= found["price"] > 0
    assert found["lost"] == found["returned"] + found["burned"]
    assert found["burned"] >= found["returned"]


def test_what_can_be_tried_is_evidence_or_a_breach() -> None:
    assert set(OFFENCES) <= set(BY_NAME)
    assert set(KINDS) - set(BY_NAME) == {BREACH}
