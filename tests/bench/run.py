"""Measure how fast entries settle, beside the raw transport and the bare signatures, what a trade and what size cost.

Tables, and JSON for machines.

    python tests/bench/run.py --quick
    python tests/bench/run.py --only scale
    python tests/bench/run.py --only trade
    python tests/bench/run.py --json build/bench.json

Witnesses and payers are real processes with synced disks, on real sockets of this machine. A scenario counts only if
everything that was called final in it is under a seal afterwards and the audit of all stores passes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import core
from cluster import Load
from figures import Cost, profile_figures, targets
from measures import Pace, alone_figures, machine_figures, measure_load
from processes import BenchError, Child
from scale import measure_part, parts
from scale_tables import print_scale
from tables import make_console, print_alone, print_costs, print_loads, print_profile, print_targets
from trade_tables import print_trades
from trades import PART, measure_trades

ROOT: Final = Path(__file__).resolve().parents[2]
#: What there are targets for comes first.
LOADS: Final = (
    Load("64 in flight", payers=1, logs=64, depth=1, ops=1),
    Load("128 in flight", payers=1, logs=128, depth=1, ops=1),
    Load("256 in flight", payers=1, logs=256, depth=1, ops=1),
    Load("64 in flight, 64 ops", payers=1, logs=64, depth=1, ops=64),
    Load("1 payer, 1 op", payers=1, logs=1, depth=2, ops=1),
    Load("1 payer, 256 ops", payers=1, logs=1, depth=2, ops=256),
    Load("8 payers, 1 op", payers=8, logs=1, depth=2, ops=1),
    Load("8 payers, 256 ops", payers=8, logs=1, depth=2, ops=256),
    Load("64 in flight from 8 payers", payers=8, logs=8, depth=1, ops=1),
    Load("64 in flight, payees confirm", payers=1, logs=64, depth=1, ops=1, payees=4),
    Load("64 in flight, across closes", payers=1, logs=64, depth=1, ops=1, close_every_s=1.0),
)
QUICK: Final = ("1 payer, 1 op", "64 in flight", "128 in flight", "256 in flight", "64 in flight, 64 ops")
PROFILED: Final = Load("64 in flight, profiled", payers=1, logs=64, depth=1, ops=1, is_profiled=True)
#: Nothing more is begun after this time; a machine with nothing else to do needs two thirds of it.
BEGIN_LIMIT_S: Final = 120.0


def main() -> int:
    """The command; 0 unless something failed or an audit found something."""
    options = _options()
    options.directory.mkdir(parents=True, exist_ok=True)
    importlib.import_module("troth_node.transport.network")  # once, for all processes
    try:
        report = Bench(options).run()
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
    return int(any("failed" in part for part in report["scale"].values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter: less than 90 s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there as JSON")
    parser.add_argument("--only", metavar="TEXT", help="only the scenarios with this in their name")
    parser.add_argument(
        "--directory", type=Path, default=ROOT / "build" / "bench", help="where the nodes' disks are"
    )
    options = parser.parse_args()
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: there is no such folder")
    names = [load.name for load in LOADS] + [PART, *parts(is_quick=False)]
    if options.only and not any(options.only in name for name in names):
        parser.error(f"--only {options.only}: there are {'; '.join(names)}")
    return options


class Bench:
    """One run: each part adds to the report and shows it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.pace = Pace(is_quick=options.quick)
        self.console = make_console()
        self.report: dict[str, Any] = {}
        self._began = time.monotonic()

    def run(self) -> dict[str, Any]:
        """Everything that the options ask for. Raises BenchError."""
        self._machine()
        if self._chosen():
            self._settlement()
        self._trade()
        self._scale()
        self.report["seconds"] = round(time.monotonic() - self._began, 1)
        self.console.print(
            f"Measured in {self.report['seconds']} s; load of the machine at the end {os.getloadavg()[0]:.1f}."
        )
        return self.report

    def _settlement(self) -> None:
        self._core()
        self._alone()
        self._loads()
        if not self.options.quick and not self._is_late():
            self._profile()
        self._targets()

    def _is_late(self) -> bool:
        return time.monotonic() - self._began > BEGIN_LIMIT_S

    @staticmethod
    def _say(what: str) -> None:
        print(f"{what} …", file=sys.stderr, flush=True)

    def _machine(self) -> None:
        self.report["machine"] = machine = machine_figures(self.options.directory)
        text = "{cpu}, {cores} cores, load {load_1m}, a synced page takes {sync_ms} ms"
        self.console.print(text.format(**machine))

    def _core(self) -> None:
        sign_s, verify_s = core.signature_s()
        self.cost = Cost(sign_s, verify_s)
        self.report["signatures"] = {
            "sign_us": round(sign_s * 1e6, 1),
            "verify_us": round(verify_s * 1e6, 1),
        }
        self.report["core"] = core.measure()
        print_costs(self.console, self.report["signatures"], self.report["core"])

    def _alone(self) -> None:
        self._say("one settlement alone, and the echo")
        self.report |= alone_figures(self.options.directory, self.pace, self.cost)
        ratio = self.report["settlement_over_echo"]
        print_alone(self.console, self.report["alone"], self.report["echo"], ratio)

    def _loads(self) -> None:
        self.report["loads"], left_out = [], []
        for load in self._chosen():
            if self._is_late():
                left_out.append(load.name)
                continue
            self._say(load.name)
            figures, _ = measure_load(load, self.options.directory, self.pace, self.cost)
            self.report["loads"].append(figures)
        print_loads(self.console, self.report["loads"])
        if left_out:
            self.console.print(f"Left out, as time is up: {'; '.join(left_out)}; try --only TEXT.")

    def _chosen(self) -> list[Load]:
        wanted = self.options.only
        if wanted:
            return [load for load in LOADS if wanted in load.name]
        return [load for load in LOADS if not self.options.quick or load.name in QUICK]

    def _profile(self) -> None:
        self._say(PROFILED.name)
        _, window = measure_load(PROFILED, self.options.directory, self.pace, self.cost)
        self.report["profile"] = {who: profile_figures(found) for who, found in window.profile.items()}
        print_profile(self.console, self.report["profile"])

    def _targets(self) -> None:
        loads = {load["name"]: load for load in self.report["loads"]}
        found = targets(loads, self.report["settlement_over_echo"])
        self.report["targets"] = [asdict(target) | {"is_met": target.is_met} for target in found]
        print_targets(self.console, found)

    def _trade(self) -> None:
        """What a whole trade takes."""
        options = self.options
        if options.only is None or options.only in PART:
            self._say(PART)
            found = measure_trades(options.directory, is_quick=options.quick)
            self.report["trade"] = found
            print_trades(self.console, found)

    def _scale(self) -> None:
        """What size costs; last, for swarms of processes leave a machine busy."""
        wanted, is_quick = self.options.only, self.options.quick
        found: dict[str, Any] = {}
        for name, measure in parts(is_quick=is_quick and wanted is None).items():
            if wanted is None or wanted in name:
                self._say(name)
                found[name] = measure_part(measure, self.options.directory, is_quick=is_quick)
        self.report["scale"] = found
        print_scale(self.console, found)


if __name__ == "__main__":
    sys.exit(main())
