"""A stranger joins a running network: it knows the genesis and one witness, catches up, and follows."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from troth_node.testing.command import troth


def listening(home: Path) -> str:
    """Where a node of a running swarm can be reached, as --peer wants it."""
    for line in (home / "node.log").read_text().splitlines():
        said = json.loads(line)
        if said["event"] == "listening":
            return f"{said['key']}@{said['address']}"
    raise AssertionError(f"{home} has not said where it listens")


def test_a_late_joiner_catches_up_and_follows(launch, tmp_path: Path) -> None:
    directory, home = tmp_path / "run", tmp_path / "late"
    swarm = launch("swarm", "--nodes", "10", "--epochs", "24", "--keep", str(directory))
    swarm.until("epoch 5/24")
    made = troth("init", str(home), "--genesis", str(directory / "alma" / "genesis.bin"))
    assert made.returncode == 0, made.stderr
    peer = listening(directory / "weather")
    late = launch("node", str(home), "--name", "late", "--peer", peer, "--json")
    assert json.loads(late.until('"epoch sealed"'))["epoch"] == 1, "it begins at the genesis"
    late.until('"epoch": 12')
    os.kill(late.process.pid, signal.SIGTERM)
    late.finish()
    assert late.process.returncode == 0
    swarm.stop()
    found = json.loads(troth("verify", str(home), "--json").stdout)
    assert found["ok"], found
    assert found["epoch"] >= 12
    assert found["seals"] == found["epoch"]
