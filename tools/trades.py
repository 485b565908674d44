"""Lets two nodes of a real swarm trade signals for a price while one of them is killed, and counts what came of it.

    tools/trades.py                                   1,000 signals, ten kills, by turns the seller and the buyer
    tools/trades.py --side buyer --seed 2 --json trades.json
    tools/trades.py --count 60 --kills 2

Prints a table; the status is 1 if a signal was lost, delivered unpaid or paid twice, or anything else does not hold.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from troth_node.swarm.supervisor import SwarmError
from troth_node.testing.bookkeeping import Books
from troth_node.testing.busy import Outcome
from troth_node.testing.trading import BUYER, SELLER, TradeLoop

SIDES = {"seller": (SELLER,), "buyer": (BUYER,), "both": (SELLER, BUYER)}
INTERRUPTED = 130


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1_000, help="signals to buy")
    parser.add_argument("--kills", type=int, default=10, help="kill -9 at so many random moments")
    parser.add_argument("--side", choices=SIDES, default="both", help="who is killed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as JSON")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep all homes there, for `troth verify`")
    options = parser.parse_args(arguments)
    if options.count < 1 or options.kills < 0:
        parser.error("--count is at least 1, and --kills at least 0")
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: there is no such folder")
    if options.keep and options.keep.exists() and any(options.keep.iterdir()):
        parser.error(f"--keep {options.keep}: not an empty folder")
    return options


def show(books: Books, outcome: Outcome) -> None:
    """What came of it."""
    table = Table()
    rows = {
        "negotiations begun": books.negotiations,
        "agreed, signed by both": books.agreed,
        "sealed signal sent": books.sealed,
        "price locked": books.locked,
        "paid once and delivered": books.paid_and_delivered,
        "neither paid nor delivered": books.neither,
        "lost: paid, not delivered": books.lost,
        "delivered, not paid": books.unpaid,
        "paid twice": books.paid_twice,
    }
    table.add_column(f"{outcome.kills} kills")
    table.add_column("signals", justify="right")
    for what, count in rows.items():
        table.add_row(what, f"{count:,}")
    console = Console(highlight=False)
    console.print(table)
    rate = books.paid_and_delivered / outcome.seconds
    console.print(
        f"{outcome.seconds:.0f} s, {rate:.1f} signals/s; {outcome.epochs} epochs, {outcome.entries:,} entries sealed.\n"
        f"Every audit passes; no node contradicted itself in {outcome.frames:,} distinct frames."
    )
    if outcome.restarts_ms:
        console.print(f"From a kill to following the chain again: {max(outcome.restarts_ms):,} ms at most.")


def run(options: argparse.Namespace, directory: Path) -> int:
    """Trade, count, tell."""
    loop = TradeLoop(directory, options.seed, SIDES[options.side])
    books = loop.trade(options.count, options.kills, lambda text: print(f"  {text}", flush=True))
    show(books, loop.outcome)
    figures = {
        "asked": {name: getattr(options, name) for name in ("count", "kills", "side", "seed")},
        "kills": loop.outcome.kills,
        "seconds": round(loop.outcome.seconds, 1),
        "epochs": loop.outcome.epochs,
        "restarts_ms": loop.outcome.restarts_ms,
        **books.as_json(),
    }
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    for problem in books.problems:
        print(f"VIOLATED: {problem}", file=sys.stderr)
    return int(bool(books.problems or books.lost or books.unpaid or books.paid_twice))


def main() -> int:
    """The command."""
    options = parse()
    try:
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            return run(options, options.keep)
        with tempfile.TemporaryDirectory(prefix="troth-") as directory:
            return run(options, Path(directory))
    except (AssertionError, SwarmError) as error:
        print(f"VIOLATED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("trades: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
