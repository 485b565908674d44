"""kill -9 in the middle of a loop of calls: what was acknowledged is there, and what is there is whole."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from troth_node.storage.guard import Guard, compare
from troth_node.storage.store import Store

ROUNDS = 20
GROUP_ROWS = 8
ACK_BYTES = 8
MAX_ACKS = 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Guard.create(tmp_path)
    return tmp_path / "store.sqlite"


def test_twenty_kills_lose_no_acknowledged_row(path: Path, child) -> None:
    groups = 0
    for round_number in range(ROUNDS):
        last = kill_after(child("write", path), random.Random(round_number).randint(1, MAX_ACKS))
        assert last >= groups, f"round {round_number} acknowledged nothing new"
        groups = whole_groups(path, round_number)
        assert groups > last, f"round {round_number}: group {last} was acknowledged, {groups} are there"


def test_the_guard_is_never_ahead_of_the_store_after_a_kill(path: Path, child) -> None:
    for round_number in range(3):
        kill_after(child("write", path), 5 + round_number)
        with Store.open(path, ["entries"]) as store:
            guard = Guard.open(path.parent)
            assert 0 <= store.generation - guard.generation <= 1
            assert compare(store, guard) == "ok"
            assert guard.generation == store.generation


def kill_after(writer, acks: int) -> int:
    """Kill the writer somewhere after that many acknowledgements; the last group that it acknowledged."""
    received = b""
    while len(received) < acks * ACK_BYTES:
        chunk = writer.stdout.read(acks * ACK_BYTES - len(received))
        assert chunk, "the writer stopped by itself"
        received += chunk
    writer.kill()
    received += writer.stdout.read()
    writer.wait()
    return int.from_bytes(received[-ACK_BYTES:], "big")


def whole_groups(path: Path, round_number: int) -> int:
    """How many groups are there, each with all its rows and none missing before the last."""
    with Store.open(path, ["entries"]) as store:
        keys = [key for key, _ in store.scan("entries")]
    groups = len(keys) // GROUP_ROWS
    expected = [
        group.to_bytes(8, "big") + bytes([row]) for group in range(groups) for row in range(GROUP_ROWS)
    ]
    assert keys == expected, f"round {round_number}: a group is torn"
    return groups
