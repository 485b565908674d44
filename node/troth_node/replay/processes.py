"""A replay by real processes: a node for each forecaster and witness, on loopback sockets, each with the table."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from troth_node.replay.forecasts import Table, TableError
from troth_node.replay.network import Replay, Settings, make_replay
from troth_node.swarm.run import drive
from troth_node.swarm.scenario import NodePlan, Plan
from troth_protocol.genesis import Pacing, Phases
from troth_protocol.wire.crypto import KeyPair

#: Every phase has an epoch to spare, for processes may be late.
PHASES: Final = Phases(commit=2, attest=2, reveal=2, attest_reveal=2)
PACING: Final = Pacing(epoch_ms=800, grace_ms=200, slot_ms=500, slot_max_ms=8_000)
FORECASTERS_MAX: Final = 100
AGENTS: Final = Path(__file__).parent / "agents.py"


def make_process_replay(table: Table, settings: Settings) -> Replay:
    """The network of a replay by processes; TableError if the settings allow none, or for too many forecasters."""
    if len(table.forecasters) > FORECASTERS_MAX:
        raise TableError(
            f"{len(table.forecasters)} forecasters would be as many processes, and --nodes takes {FORECASTERS_MAX}; "
            "replay them in the simulated network"
        )
    return make_replay(table, settings, PHASES, PACING)


def run_processes(path: Path, replay: Replay, directory: Path, *, is_quiet: bool) -> list[str]:
    """Run until the last round is settled, homes in `directory`; what went wrong, in one line each."""
    plan = _plan(path, replay)
    return drive(plan, directory, time.monotonic(), is_quiet=is_quiet).problems


def _plan(path: Path, replay: Replay) -> Plan:
    nodes = [_node(path, replay, "witness", number, keys) for number, keys in enumerate(replay.witnesses)] + [
        _node(path, replay, "forecaster", number, keys) for number, keys in enumerate(replay.forecasters)
    ]
    return Plan("replay", AGENTS.parent, tuple(nodes), replay.genesis, replay.last_epoch)


def _node(path: Path, replay: Replay, kind: str, number: int, keys: KeyPair) -> NodePlan:
    """A witness neither sells nor forecasts. Nodes are named by number: names in a table are a stranger's."""
    is_witness = kind == "witness"
    settings = replay.settings
    name = f"{kind}-{number + 1}"
    return NodePlan(
        name=name,
        reference=f"{AGENTS}:{'Oracle' if is_witness else 'Forecaster'}",
        role="seller" if is_witness else "forecaster",
        witness=is_witness,
        attester=is_witness,
        options={
            "name": name,
            "seed": settings.seed,
            "file": str(path.resolve()),
            "forecaster": number,
            "epsilon_ppm": settings.epsilon_ppm,
            "min_forecasters": settings.min_forecasters,
        },
        keys=keys,
    )
