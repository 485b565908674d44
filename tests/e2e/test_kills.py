"""Random kills in a busy swarm, and two disks that refuse a call: the supervisor says why, and nothing is lost.

`tools/crash.py kills` does two hundred.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools" / "crash.py"
KILLS = 8
LIMIT_S = 240


def test_kills_and_failing_disks_lose_nothing_and_contradict_nothing() -> None:
    done = subprocess.run(
        [sys.executable, str(TOOL), "kills", "--count", str(KILLS), "--seed", "5", "--refuse"],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = re.findall(r"said: (.*)", done.stdout)
    assert len(said) >= 2, done.stdout
    for line in said:
        assert re.search(r"(check it|check the disk|free some space), then start again", line), line
    assert "2 by exit status 1" in done.stdout, done.stdout
