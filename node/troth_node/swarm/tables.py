"""A run's report as tables for people."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from troth_node.swarm.report import AgentLine, Report
from troth_node.swarm.scenario import ATOMS

PLAIN_COLUMNS: Final = 120


def open_console() -> Console:
    """Standard output, with a width of its own where it is no terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_COLUMNS
    return console


def print_report(report: Report, *, is_quiet: bool, kept: Path | None) -> None:
    """Print everything (or only the verdict) on standard output."""
    console = open_console()
    if not is_quiet:
        _print_table(console, "Who earned what, and through whom (tokens)", _agents(report))
        _print_table(
            console,
            "How good the forecasts were (mean log loss in nats, lower is better)",
            _forecasters(report),
        )
        _print_credit(console, report)
        console.print(_market(report))
        timing = report.timing
        console.print(
            f"{report.questions} questions settled, {report.voids} void; {report.seals} seals, "
            f"{report.entries} entries, {report.evidence} pieces of evidence, "
            f"{report.breaches} broken promises; "
            f"up in {timing['start_s']} s, ran {timing['run_s']} s, {timing['entries_per_s']} entries/s."
        )
    _print_audit(console, report)
    if kept is not None:
        console.print(f"Stores are kept in {kept}: try  troth verify {kept}/{report.agents[-1].name}")


def _market(report: Report) -> str:
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in report.market.items())
    return f"The market: {counts}; {_tokens(sum(report.sales.values()))} tokens paid by price."


def _print_table(console: Console, title: str, table: Table) -> None:
    """A title over its table: on a line of its own, for a narrow table would fold it."""
    console.print(f"\n[bold]{title}[/]")
    console.print(table)


def _tokens(amount: int) -> str:
    return f"{amount / ATOMS:,.2f}"


def _agents(report: Report) -> Table:
    table = Table()
    for heading in (
        "level",
        "agent",
        "paid through",
        "emission",
        "income",
        "paid out",
        "wagers",
        "start",
        "end",
    ):
        left = heading in ("agent", "paid through")
        table.add_column(heading, justify="left" if left else "right")
    for line in sorted(report.agents, key=_order):
        table.add_row(
            "" if line.level is None else str(line.level),
            line.name,
            " → ".join(line.path[:-1]),
            _tokens(line.emission) if line.role == "forecaster" else "",
            _tokens(line.income),
            _tokens(line.paid_out),
            _tokens(line.returned - line.wagered) if line.wagered else "",
            _tokens(line.balance_start),
            _tokens(line.balance_end),
        )
    return table


def _order(line: AgentLine) -> tuple[int, int]:
    return (99 if line.level is None else line.level, -line.income)


def _forecasters(report: Report) -> Table:
    table = Table()
    for heading in ("forecaster", "questions", "log loss", "prior", "better by"):
        table.add_column(heading, justify="left" if heading == "forecaster" else "right")
    for line in [*report.forecasters, report.pool]:
        table.add_row(
            line.name,
            str(line.questions),
            f"{line.log_loss:.4f}",
            f"{line.prior_log_loss:.4f}",
            f"{line.prior_log_loss - line.log_loss:+.4f}",
        )
    return table


def _print_credit(console: Console, report: Report) -> None:
    if not report.contribution:
        return
    incomes = {line.name: line.income for line in report.agents}
    table = Table()
    for heading in ("seller", "income", "share", "contribution, nats", "share"):
        table.add_column(heading, justify="left" if heading == "seller" else "right")
    sellers = sorted(report.contribution, key=lambda name: -incomes.get(name, 0))
    paid = sum(incomes.get(name, 0) for name in sellers) or 1
    measured = sum(max(report.contribution[name], 0.0) for name in sellers) or 1.0
    for name in sellers:
        table.add_row(
            name,
            _tokens(incomes.get(name, 0)),
            f"{incomes.get(name, 0) / paid:.1%}",
            f"{report.contribution[name]:.2f}",
            f"{report.contribution[name] / measured:.1%}",
        )
    _print_table(console, "Paid credit beside measured contribution (Shapley of the log score)", table)
    if report.rank_correlation is not None:
        console.print(f"Rank correlation of the two: {report.rank_correlation:.2f}")


def _print_audit(console: Console, report: Report) -> None:
    verdicts = report.audit()
    checks = sum(audit.votes for audit in report.audits)
    if report.is_ok:
        console.print(
            f"[green]The audit holds[/]: supply conserved to the unit, {len(report.audits)} equal state roots, "
            f"every certificate ({checks} votes) and seal verified again, all closes executed again from genesis."
        )
        return
    console.print("[red]The audit FAILED[/]:")
    problems = verdicts["problems"]
    for problem in problems if isinstance(problems, list) else []:
        console.print(f"  {problem}")
