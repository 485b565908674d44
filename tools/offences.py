"""Lets one node of a real swarm commit each offence, before one observer, and shows what comes of it.

Last a buyer breaks its promise to cite: no offence, and nobody's evidence.

    tools/offences.py                                  every offence, a minute or two
    tools/offences.py --only seal_fork --only misdelivery
    tools/offences.py --only breach                    a promised citation that is not kept
    tools/offences.py --observer w2 --json offences.json

Six processes each time: four witnesses, a seller and a buyer. All figures are read from the honest nodes: their sealed
states, their stores and what they told. Ends with status 1 if an offence goes unpunished, or if stores disagree.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from troth_node.swarm.supervisor import SwarmError
from troth_node.testing.breaching import BREACH, KINDS, make_trial
from troth_node.testing.offenders import OBSERVERS, Verdict
from troth_node.testing.samples import TOKEN

INTERRUPTED = 130
COLUMNS = 170


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=KINDS, help="this one; may be repeated")
    parser.add_argument(
        "--observer", choices=OBSERVERS, default=OBSERVERS[0], help="the one node that is shown both halves"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as JSON")
    options = parser.parse_args(arguments)
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: there is no such folder")
    return options


def try_all(options: argparse.Namespace) -> list[Verdict]:
    """One swarm after the other."""
    verdicts = []
    for kind in options.only or KINDS:
        print(f"{kind} …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="troth-") as directory:
            verdicts.append(make_trial(kind, Path(directory), options.observer).play())
    return verdicts


def show(verdicts: list[Verdict]) -> None:
    """A table: who noticed, what it took, what it cost."""
    table = Table(title="Offences in a swarm of six processes; amounts in tokens")
    for heading in ("offence", "by", "noticed by"):
        table.add_column(heading, no_wrap=True)
    for heading in (
        "after ms",
        "peers told",
        "evidence messages",
        "bytes each",
        "epochs until punished",
        "offender lost of its bonds",
        "victim got back",
        "reporter got",
        "burned",
        "punished at",
    ):
        table.add_column(heading, justify="right")
    for each in verdicts:
        table.add_row(*_row(each))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = COLUMNS
    console.print(table)
    console.print(
        "0 epochs: the close of the epoch in which it was committed punished it. Evidence is shown again on every\n"
        "link in every epoch until it is punished; messages are counted where honest nodes sent them.\n"
        "victim: what is certified of a forked log stays valid, and no close is changed: only a buyer can lose a price."
    )
    if any(each.kind == BREACH for each in verdicts):
        console.print(
            "breach: a promised citation that was not kept; no evidence, no offence. Bytes: its line and branch to\n"
            "the seal. Ms are from the commit that cites nobody, epochs from its question's end. The balance pays\n"
            "before the bonds; the victim is the seller, its price the promised floor."
        )


def _row(each: Verdict) -> tuple[str, ...]:
    return (
        each.kind,
        each.offender,
        "every close" if each.kind == BREACH else ", ".join(each.detected_by),
        f"{each.detected_ms:,.0f}",
        str(len(each.told)),
        str(each.messages),
        str(each.evidence_bytes),
        str(each.epochs),
        f"{each.lost / TOKEN:,g} of {each.bonds / TOKEN:,g}",
        f"{each.returned / TOKEN:g} of {each.price / TOKEN:g}" if each.price else "-",
        f"{each.reporter_part / TOKEN:,g}" if each.reporter else "-",
        f"{each.burned / TOKEN:,g}",
        f"{each.punished_at} of {each.honest}",
    )


def main() -> int:
    """The command."""
    options = parse()
    try:
        verdicts = try_all(options)
    except (AssertionError, SwarmError) as error:
        print(f"VIOLATED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("offences: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    show(verdicts)
    if options.json:
        figures = [asdict(verdict) for verdict in verdicts]
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
