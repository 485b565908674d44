"""`troth score`: settle questions on paper, one line of JSON each, by the protocol's own arithmetic."""

from __future__ import annotations

import sys
from typing import BinaryIO

import click

from troth_node.cli.failure import one_line


@click.command("score")
@click.argument("file", type=click.File("rb"), default="-")
def command(file: BinaryIO) -> None:
    """Score questions: JSON lines in (FILE, or standard input), JSON lines out, amounts as decimal strings.

    \b
    The rule of the protocol; "ppm" is null if a wager was not revealed, "emission" is the topic's:
      {"rule": "kelly", "prior_ppm": [300000, 700000], "emission": "100", "house": "1000",
       "kappa_ppm": 500000, "epsilon_ppm": 10000, "outcome": 0,
       "participants": [{"id": "alma", "wager": "40", "ppm": [600000, 400000]}]}
      -> {"back": {…}, "net": {…}, "g_ppm": {…}, "G_ppm": {…}, "to_reserve": "0"}
    Rules for comparison, which share a fixed pot (nawm, posterior, wswm):
      {"rule": "wswm", "pot": "100", "epsilon_ppm": 10000, "outcome": 0,
       "participants": [{"id": "alma", "weight": "1", "ppm": [600000, 400000]}]}
      -> {"shares": {"alma": "100"}, "remainder": "0"}

    A line that cannot be scored gets no answer but one line on standard error, with its number; all
    other lines are answered, in order, and the exit status is 1. Blank lines are skipped. With kelly
    an amount is at most 10^38 - 1, as in the protocol.

    \b
    Example:
      troth score questions.jsonl > results.jsonl
    """
    from troth_node.scoring import ScoringError, dump, score_line  # noqa: PLC0415

    is_clean = True
    with one_line():
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                click.echo(dump(score_line(line)))
            except ScoringError as error:
                click.echo(f"troth: line {number}: {error}", err=True)
                is_clean = False
    if not is_clean:
        sys.exit(1)
