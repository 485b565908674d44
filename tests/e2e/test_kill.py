"""kill -9 in the middle: the supervisor starts the node again on its store, and the books still balance."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from troth_node.testing.command import Command, pid_of, wait_gone


def test_killed_nodes_come_back_and_the_audit_passes(launch, tmp_path: Path) -> None:
    directory, report = tmp_path / "run", tmp_path / "report.json"
    swarm = launch(
        "swarm", "--nodes", "10", "--epochs", "15", "--keep", str(directory), "--json", str(report)
    )
    swarm.until("epoch 5/15")
    os.kill(pid_of(directory / "weather"), signal.SIGKILL)  # a witness and attester
    swarm.until("weather ended (signal 9)")
    os.kill(pid_of(directory / "alma"), signal.SIGKILL)  # a forecaster
    swarm.until("alma ended (signal 9)")
    printed = swarm.finish()
    assert swarm.process.returncode == 0, printed
    audit = json.loads(report.read_text())["audit"]
    assert audit["ok"], audit
    assert json.loads(report.read_text())["evidence"] == 0, "a kill must never look like a fork"


def running(launch, directory: Path) -> tuple[Command, list[int]]:
    """A swarm, and the processes of its nodes."""
    swarm = launch("swarm", "--nodes", "10", "--epochs", "20", "--keep", str(directory))
    swarm.until("nodes are up")
    return swarm, [pid_of(home) for home in directory.iterdir()]


def test_ctrl_c_ends_everything_and_leaves_no_process(launch, tmp_path: Path) -> None:
    swarm, pids = running(launch, tmp_path / "run")
    os.kill(swarm.process.pid, signal.SIGINT)
    assert all(wait_gone(pid, 5.0) for pid in pids), "a node outlived Ctrl-C by five seconds"
    printed = swarm.finish()
    assert swarm.process.returncode != 0
    assert "interrupted before the last epoch" in printed


def test_nodes_do_not_outlive_their_supervisor(launch, tmp_path: Path) -> None:
    swarm, pids = running(launch, tmp_path / "run")
    os.kill(swarm.process.pid, signal.SIGKILL)
    assert all(wait_gone(pid, 10.0) for pid in pids), "a node outlived its supervisor"
