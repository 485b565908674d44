"""Kills nodes: at every point of a run on a simulated network, or at random in a swarm of real processes.

    tools/crash.py sweep [--refuse] [--every K] [--seed S] [--victim witness|author]
    tools/crash.py kills [--count N] [--seed S] [--refuse]

Prints what it did and ends with status 1 at the first thing that does not hold; the same arguments repeat it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import quantiles

from troth_node.swarm.supervisor import SwarmError
from troth_node.testing.busy import KillLoop, Outcome
from troth_node.testing.crashes import AUTHOR, WITNESS, kills, play
from troth_node.testing.driver import Life, Nursery
from troth_node.testing.faults import Fault

VICTIMS = {"witness": WITNESS, "author": AUTHOR}
REPORT_EVERY_S = 10.0
#: Where the disks of two nodes refuse a call, if asked to: of a witness and of an author, some epochs after the start.
REFUSED = {1: Fault("refuse", 3_000), 5: Fault("refuse", 1_501)}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    sweep = commands.add_parser("sweep", help="a kill, or a refused call, at every point of a first life")
    sweep.add_argument("--refuse", action="store_true", help="refuse the call instead of killing the node")
    sweep.add_argument("--every", type=int, default=1, help="only every so-many-th point")
    sweep.add_argument("--first", type=int, default=1, help="begin with this point")
    sweep.add_argument("--victim", choices=VICTIMS, help="only this one (default: both)")
    loop = commands.add_parser("kills", help="random kills in a busy swarm")
    loop.add_argument("--count", type=int, default=200)
    loop.add_argument("--refuse", action="store_true", help="also let the disks of two nodes refuse a call")
    for command in (sweep, loop):
        command.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


def run_sweep(asked: argparse.Namespace) -> None:
    """Both victims, every point."""
    nursery = Nursery()
    try:
        for victim in [asked.victim] if asked.victim else VICTIMS:
            sweep_one(nursery, victim, asked)
    finally:
        nursery.close()


def sweep_one(nursery: Nursery, victim: str, asked: argparse.Namespace) -> None:
    """One victim."""
    place, began = VICTIMS[victim], time.monotonic()
    last = play(nursery, asked.seed, place)[0].points
    print(f"{victim}: {last} points, every {asked.every}th from {asked.first}, seed {asked.seed}", flush=True)
    lives: list[Life] = []
    said = began
    for at in range(asked.first, last + 1, asked.every):
        faults = [Fault("refuse", at)] if asked.refuse else kills(asked.seed, at)
        lives += play(nursery, asked.seed, place, faults)
        if time.monotonic() - said > REPORT_EVERY_S:
            said = time.monotonic()
            print(f"  point {at}, {said - began:.0f} s", flush=True)
    show_lives(lives)
    print(f"  nothing violated in {time.monotonic() - began:.0f} s", flush=True)


def show_lives(lives: list[Life]) -> None:
    """How processes ended; what was refused and whether the node stopped."""
    killed = sum(life.code == -9 for life in lives)
    refused = Counter(life.failed for life in lives if life.failed)
    went_on = Counter(life.failed for life in lives if life.failed and life.code == 0)
    late = sum(life.late for life in lives if life.code != 0)
    print(f"  {killed} kills, {sum(refused.values())} calls refused, {late} frames left afterwards")
    for name, count in sorted(refused.items()):
        print(
            f"    {count:4d} {name}"
            + (f" ({went_on[name]} of them did not end the node)" if went_on[name] else "")
        )


def run_kills(asked: argparse.Namespace) -> None:
    """A swarm in a temporary directory."""
    print(f"{asked.count} kills, seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="troth-") as directory:
        loop = KillLoop(Path(directory), asked.seed, REFUSED if asked.refuse else None)
        show_outcome(loop.run(asked.count, lambda text: print(f"  {text}", flush=True)))


def show_outcome(outcome: Outcome) -> None:
    """The figures of a run."""
    ways = ", ".join(f"{count} by {how}" for how, count in sorted(outcome.ended.items()))
    print(f"  {outcome.kills} kills in {outcome.seconds:.0f} s; processes ended: {ways}")
    for reason in outcome.reasons:
        print(f"  said: {reason}")
    print(
        f"  {outcome.epochs} epochs, {outcome.entries} entries sealed, {outcome.finals} final, none of them lost"
    )
    print(f"  {outcome.frames} distinct frames on the wire, no contradiction; every audit passes")
    if len(outcome.restarts_ms) > 1:
        cuts = quantiles(outcome.restarts_ms, n=100)
        print(f"  from a kill to following the chain again: p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms")


def main() -> int:
    """Run a command; 1 if something does not hold."""
    asked = parse()
    try:
        run_sweep(asked) if asked.command == "sweep" else run_kills(asked)
    except (AssertionError, SwarmError) as error:
        print(f"VIOLATED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
