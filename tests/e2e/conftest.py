"""End to end: the real command, real processes, real sockets on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from troth_node.testing.command import Command, troth

#: Two epochs' questions of the topic whose commits are open longest are settled.
KEPT_EPOCHS: Final = 16


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
    """A finished swarm, long enough for auctions: its stores, its report, and what it printed."""
    directory = tmp_path_factory.mktemp("swarm") / "run"
    report = directory.parent / "report.json"
    done = troth("swarm", "--epochs", str(KEPT_EPOCHS), "--keep", str(directory), "--json", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    return directory, json.loads(report.read_text()), done.stdout + done.stderr
