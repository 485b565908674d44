"""The parts of a run: what this machine is, one settlement alone beside the echo, and each load."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Final

from cluster import Cluster, Load, Window, running
from echo import start_echo
from figures import Cost, Figures, load_figures, percentile
from meters import machine_busy_s, sync_ms

from troth_node.testing.samples import seed
from troth_protocol.log.entry import make_entry
from troth_protocol.log.ops import Transfer
from troth_protocol.wire.crypto import KeyPair, digest
from troth_protocol.wire.messages import MESSAGES, Submit

ALONE: Final = Load("alone", payers=1, logs=1, depth=1, ops=1)
ECHO_IN_FLIGHT: Final = 64
#: Before each part we wait a little for other programs to rest.
QUIET_WAIT_S: Final = 2.0
QUIET_SHARE: Final = 0.1
QUIET_LOOK_S: Final = 0.25


class Pace:
    """How long each part takes."""

    def __init__(self, *, is_quick: bool) -> None:
        self.warm_s = 0.3 if is_quick else 0.7
        self.measure_s = 1.0 if is_quick else 2.5
        self.blocks = 4 if is_quick else 12
        self.block = 25


def machine_figures(directory: Path) -> Figures:
    """What is measured on."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
        "sync_ms": round(sync_ms(directory), 3),
    }


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def wait_for_quiet() -> None:
    """Let other programs rest, if they do so soon."""
    end = time.monotonic() + QUIET_WAIT_S
    while time.monotonic() < end:
        busy_s, began = machine_busy_s(), time.monotonic()
        time.sleep(QUIET_LOOK_S)
        spent = (machine_busy_s() - busy_s) / ((time.monotonic() - began) * (os.cpu_count() or 1))
        if spent < QUIET_SHARE:
            return


def alone_figures(directory: Path, pace: Pace, cost: Cost) -> Figures:
    """Settlements one at a time, in turns with round trips of the echo."""
    size = submit_bytes()
    server, caller = start_echo()
    trips: list[float] = []

    def echo() -> None:
        trips.extend(caller.ask("single", count=pace.block, size=size)["latencies_ms"])

    wait_for_quiet()
    with running(Cluster(ALONE, directory)) as cluster:
        cluster.single(1, pace.block, echo)  # warm up
        trips.clear()
        window = cluster.single(pace.blocks, pace.block, echo)
    many = {"in_flight": ECHO_IN_FLIGHT, "size": size, "seconds": pace.measure_s / 2}
    echo_figures: Figures = {
        "frame_bytes": size + 4,
        "p50_ms": percentile(trips, 50),
        "p99_ms": percentile(trips, 99),
        "per_s": caller.ask("many", is_joined=False, **many)["per_s"],
        "joined_per_s": caller.ask("many", is_joined=True, **many)["per_s"],
    }
    caller.stop()
    server.stop()
    alone = load_figures(ALONE, window, cost, cluster.close_s)
    ratio = percentile(window.latencies_ms, 50) / percentile(trips, 50)
    return {"echo": echo_figures, "alone": alone, "settlement_over_echo": round(ratio, 2)}


def submit_bytes() -> int:
    """The size of what a payer sends first: an entry with one transfer."""
    keys, network = KeyPair.from_seed(seed(0)), digest(b"network")
    ops = (Transfer(keys.public, 1, b""),)
    entry = make_entry(keys, network, incarnation=0, epoch=1, seq=1, prev=network, deps=(), ops=ops)
    return len(MESSAGES.encode(Submit(entry.data)))


def measure_load(load: Load, directory: Path, pace: Pace, cost: Cost) -> tuple[Figures, Window]:
    """One scenario; BenchError if its audit finds anything."""
    wait_for_quiet()
    with running(Cluster(load, directory)) as cluster:
        window = cluster.measure(pace.warm_s, pace.measure_s)
    return load_figures(load, window, cost, cluster.close_s), window
