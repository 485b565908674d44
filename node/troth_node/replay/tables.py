"""A replay's outcome as a table for people."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from troth_node.replay.results import Outcome
from troth_node.swarm.scenario import ATOMS
from troth_node.swarm.tables import open_console

PROBLEMS_SHOWN: Final = 10


def print_outcome(outcome: Outcome, *, is_quiet: bool, kept: Path | None) -> None:
    """Print everything (or only the verdict) on standard output."""
    console = open_console()
    if not is_quiet:
        console.print(f"\n[bold]Forecasters by emission, rule {outcome.replay.settings.rule or 'kelly'}[/]")
        console.print(_forecasters(outcome))
        timing = outcome.timing
        console.print(
            f"{outcome.settled} questions settled in {timing['run_s']} s "
            f"({timing['forecasts_per_s']} forecasts a second); audited in {timing['audit_s']} s."
        )
    _print_audit(console, outcome)
    if kept is not None:
        console.print(f"Stores are kept in {kept}: try  troth verify {kept}/witness-1", markup=False)


def _forecasters(outcome: Outcome) -> Table:
    table = Table()
    for heading in (
        "forecaster",
        "questions",
        "emission",
        "a question",
        "income",
        "stake",
        "log score",
        "prior",
    ):
        table.add_column(heading, justify="left" if heading == "forecaster" else "right")
    for line in outcome.forecasters:
        count = max(line.questions, 1)
        table.add_row(
            Text(line.name),
            str(line.questions),
            f"{line.emission / ATOMS:+,.3f}",
            f"{line.emission / count / ATOMS:+,.5f}",
            f"{line.income / ATOMS:,.3f}",
            f"{line.stake_end / ATOMS:,.3f}",
            f"{line.log_score / count:.4f}",
            f"{line.prior_log_score / count:.4f}",
        )
    return table


def _print_audit(console: Console, outcome: Outcome) -> None:
    if outcome.is_ok:
        votes = sum(audit.votes for audit in outcome.audits)
        console.print(
            f"[green]The audit holds[/]: supply conserved to the unit, {len(outcome.audits)} equal state roots, every "
            f"certificate ({votes} votes) and seal verified again, all closes executed again from genesis, every "
            "forecast and outcome settled as the table has it."
        )
        return
    console.print("[red]The audit FAILED[/]:")
    for problem in outcome.problems[:PROBLEMS_SHOWN]:
        console.print(f"  {problem}", markup=False)
