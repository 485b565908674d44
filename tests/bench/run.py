"""Measure how fast entries settle, beside the raw transport and the bare signatures: tables, and JSON for machines.

    python tests/bench/run.py --quick
    python tests/bench/run.py --json build/bench.json

Witnesses and payers are real processes with synced disks, on real sockets of this machine. A scenario counts only if
everything that was called final in it is under a seal afterwards and the audit of all stores passes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import core
from cluster import Load, Window, running
from echo import start_echo
from figures import Cost, Figures, load_figures, percentile, profile_figures, targets
from meters import machine_busy_s, sync_ms
from processes import BenchError, Child
from tables import make_console, print_alone, print_costs, print_loads, print_profile, print_targets

from troth_node.testing.samples import seed
from troth_protocol.log.entry import make_entry
from troth_protocol.log.ops import Transfer
from troth_protocol.wire.crypto import KeyPair, digest
from troth_protocol.wire.messages import MESSAGES, Submit

ROOT: Final = Path(__file__).resolve().parents[2]
ALONE: Final = Load("alone", payers=1, logs=1, depth=1, ops=1)
LOADS: Final = (
    Load("1 payer, 1 op", payers=1, logs=1, depth=2, ops=1),
    Load("1 payer, 256 ops", payers=1, logs=1, depth=2, ops=256),
    Load("8 payers, 1 op", payers=8, logs=1, depth=2, ops=1),
    Load("8 payers, 256 ops", payers=8, logs=1, depth=2, ops=256),
    Load("64 in flight", payers=1, logs=64, depth=1, ops=1),
    Load("64 in flight, 64 ops", payers=1, logs=64, depth=1, ops=64),
    Load("64 in flight from 8 payers", payers=8, logs=8, depth=1, ops=1),
    Load("64 in flight, payees confirm", payers=1, logs=64, depth=1, ops=1, payees=4),
    Load("64 in flight, across closes", payers=1, logs=64, depth=1, ops=1, close_every_s=1.0),
)
QUICK: Final = ("1 payer, 1 op", "64 in flight", "64 in flight, 64 ops")
PROFILED: Final = Load("64 in flight, profiled", payers=1, logs=64, depth=1, ops=1, is_profiled=True)
ECHO_IN_FLIGHT: Final = 64
#: Nothing more is begun after this time; a machine with nothing else to do needs two thirds of it.
BEGIN_LIMIT_S: Final = 95.0
#: Before each scenario we wait a little for other programs to rest.
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


def main() -> int:
    """The command; 0 unless something failed or an audit found something."""
    options = _options()
    pace = Pace(is_quick=options.quick)
    options.directory.mkdir(parents=True, exist_ok=True)
    importlib.import_module("troth_node.transport.network")  # once, for all processes
    try:
        report = _measure(options, pace)
    except (BenchError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; nothing was written", file=sys.stderr)
        return 130
    finally:
        Child.stop_all()
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer scenarios, shorter: less than 30 s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there as JSON")
    parser.add_argument("--only", metavar="TEXT", help="only the scenarios with this in their name")
    parser.add_argument(
        "--directory", type=Path, default=ROOT / "build" / "bench", help="where the nodes' disks are"
    )
    return parser.parse_args()


def _measure(options: argparse.Namespace, pace: Pace) -> Figures:
    console = make_console()
    began = time.monotonic()
    sign_s, verify_s = core.signature_s()
    cost = Cost(sign_s, verify_s)
    report: dict[str, Any] = {"machine": _machine(options.directory)}
    console.print(
        "{cpu}, {cores} cores, load {load_1m}, a synced page takes {sync_ms} ms".format(**report["machine"])
    )
    report["signatures"] = {"sign_us": round(sign_s * 1e6, 1), "verify_us": round(verify_s * 1e6, 1)}
    report["core"] = core.measure()
    print_costs(console, report["signatures"], report["core"])
    report |= _alone(options.directory, pace, cost)
    ratio = report["settlement_over_echo"]
    print_alone(console, report["alone"], report["echo"], ratio)
    report["loads"] = []
    left_out: list[str] = []
    for load in _chosen(options):
        if time.monotonic() - began > BEGIN_LIMIT_S:
            left_out.append(load.name)
            continue
        with _told(console, load.name):
            report["loads"].append(_load(load, options.directory, pace, cost)[0])
    print_loads(console, report["loads"])
    if left_out:
        console.print(f"Left out, as this machine is too busy today: {', '.join(left_out)}; try --only TEXT.")
    if not options.quick:
        _, window = _load(PROFILED, options.directory, pace, cost)
        report["profile"] = {who: profile_figures(found) for who, found in window.profile.items()}
        print_profile(console, report["profile"])
    found = targets({load["name"]: load for load in report["loads"]}, ratio)
    report["targets"] = [asdict(target) | {"is_met": target.is_met} for target in found]
    print_targets(console, found)
    report["seconds"] = round(time.monotonic() - began, 1)
    console.print(
        f"Measured in {report['seconds']} s; load of the machine at the end {os.getloadavg()[0]:.1f}."
    )
    return report


def _chosen(options: argparse.Namespace) -> list[Load]:
    wanted = options.only
    if wanted:
        return [load for load in LOADS if wanted in load.name]
    return [load for load in LOADS if not options.quick or load.name in QUICK]


def _wait_for_quiet() -> None:
    """Let other programs rest, if they do so soon."""
    end = time.monotonic() + QUIET_WAIT_S
    while time.monotonic() < end:
        busy_s, began = machine_busy_s(), time.monotonic()
        time.sleep(QUIET_LOOK_S)
        spent = (machine_busy_s() - busy_s) / ((time.monotonic() - began) * (os.cpu_count() or 1))
        if spent < QUIET_SHARE:
            return


@contextmanager
def _told(console: Any, what: str) -> Iterator[None]:
    """Say what is being measured, at a terminal."""
    with console.status(f"{what} …"):
        yield


def _machine(directory: Path) -> Figures:
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


def _alone(directory: Path, pace: Pace, cost: Cost) -> Figures:
    """Settlements one at a time, in turns with round trips of the echo."""
    size = _submit_bytes()
    server, caller = start_echo()
    trips: list[float] = []

    def echo() -> None:
        trips.extend(caller.ask("single", count=pace.block, size=size)["latencies_ms"])

    _wait_for_quiet()
    with running(ALONE, directory) as cluster:
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


def _submit_bytes() -> int:
    """The size of what a payer sends first: an entry with one transfer."""
    keys, network = KeyPair.from_seed(seed(0)), digest(b"network")
    ops = (Transfer(keys.public, 1, b""),)
    entry = make_entry(keys, network, incarnation=0, epoch=1, seq=1, prev=network, deps=(), ops=ops)
    return len(MESSAGES.encode(Submit(entry.data)))


def _load(load: Load, directory: Path, pace: Pace, cost: Cost) -> tuple[Figures, Window]:
    _wait_for_quiet()
    with running(load, directory) as cluster:
        window = cluster.measure(pace.warm_s, pace.measure_s)
    return load_figures(load, window, cost, cluster.close_s), window


if __name__ == "__main__":
    sys.exit(main())
