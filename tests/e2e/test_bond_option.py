"""Five nodes started by hand, one of them with `--bond`: it becomes a witness, and leaves when it is told to."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from troth_node.audit import audit_store
from troth_node.storage.home import STORE_FILE, Home
from troth_node.storage.store import Store
from troth_node.testing.command import Command
from troth_node.testing.samples import PACING, TOKEN, sample_genesis, seed
from troth_protocol.effects import TABLES
from troth_protocol.genesis import Genesis
from troth_protocol.wire.crypto import KeyPair

LATE = 4
BOND = 500
LATE_KEY = KeyPair.from_seed(seed(LATE)).public


def make_home(path: Path, number: int, genesis: Genesis) -> Path:
    home = Home.create(path / str(number), seed(number), genesis.encode())
    Store.open(home.store_path, TABLES).close()
    home.close()
    return path / str(number)


def until_epoch(node: Command, epoch: int) -> None:
    """Read until a node has sealed an epoch."""
    while json.loads(node.until('"epoch sealed"'))["epoch"] < epoch:
        pass


def stop(node: Command) -> None:
    os.kill(node.process.pid, signal.SIGTERM)
    node.finish()
    assert node.process.returncode == 0


def test_a_node_bonds_in_and_out_by_its_command_line(launch: Callable[..., Command], tmp_path: Path) -> None:
    pacing = replace(PACING, epoch_ms=700, slot_ms=500)
    genesis = sample_genesis(5, 4, weights=[1_000] * 4, topics=(), pacing=pacing)
    homes = [make_home(tmp_path, number, genesis) for number in range(5)]
    first = launch("node", str(homes[0]), "--json")
    said = json.loads(first.until('"listening"'))
    peer = ("--peer", f"{said['key']}@{said['address']}", "--json")
    others = [launch("node", str(home), *peer) for home in homes[1:4]]
    late = launch("node", str(homes[LATE]), *peer, "--bond", f"witness={BOND}")
    until_epoch(late, 6)
    stop(late)
    late = launch("node", str(homes[LATE]), *peer, "--bond", "witness=0")
    late.until('"epoch sealed"')
    until_epoch(first, json.loads(late.until('"epoch sealed"'))["epoch"] + 4)
    for node in (late, *others, first):
        stop(node)
    found = audit_store(homes[0] / STORE_FILE, genesis, "first")
    assert found.is_ok, found.problems
    weights = [
        next((member.weight for member in found.committees[epoch].members if member.key == LATE_KEY), 0)
        for epoch in sorted(found.committees)
    ]
    begins = weights.index(BOND * TOKEN)
    ends = weights.index(0, begins)
    assert set(weights[:begins]) == {0} == set(weights[ends:]), "it came, and it went"
