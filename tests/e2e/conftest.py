"""End to end: the real command, real processes, real sockets on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from troth_node.testing.command import Command, troth


@pytest.fixture
def launch() -> Iterator[Callable[..., Command]]:
    """Start commands that are ended with the test."""
    started: list[Command] = []

    def start(*arguments: str) -> Command:
        started.append(Command(*arguments))
        return started[-1]

    yield start
    for command in started:
        command.stop()


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], str]:
    """A finished small swarm: its stores, its report, and what it printed."""
    directory = tmp_path_factory.mktemp("swarm") / "run"
    report = directory.parent / "report.json"
    done = troth("swarm", "--nodes", "10", "--epochs", "14", "--keep", str(directory), "--json", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    return directory, json.loads(report.read_text()), done.stdout + done.stderr
