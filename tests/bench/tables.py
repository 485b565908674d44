"""The figures as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from figures import Target
from rich.console import Console
from rich.table import Table

PLAIN_COLUMNS: Final = 150


def make_console() -> Console:
    """Where tables go: as wide as they need to be if nobody's terminal folds them."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_COLUMNS
    return console


def _show(console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    table = Table()
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=not number)
    for row in rows:
        table.add_row(*[_text(cell) for cell in row])
    console.print(f"\n[bold]{title}[/]")
    console.print(table)


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if cell >= 1_000 else f"{cell:,.3g}" if cell < 100 else f"{cell:,.1f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def print_costs(console: Console, signatures: Mapping[str, Any], core: Mapping[str, Any]) -> None:
    """What a signature costs, and the pure protocol beside it."""
    single, many = core["settle_one_op_us"], core["settle_20_ops_us"]
    rows: list[Sequence[object]] = [
        ("one signature", signatures["sign_us"], ""),
        ("one verification", signatures["verify_us"], ""),
        ("settle one transfer: 4 witnesses and payer, no disk, no sockets", single, 1e6 / single),
        ("settle 20 transfers in one entry, the same", many, 1e6 / many),
    ]
    rows += [
        (f"close an epoch in which {logs} logs moved, a log", took * 1e3 / int(logs), "")
        for logs, took in core["close_ms_by_logs"].items()
    ]
    _show(console, "The pure core, on one core", ("", "µs", "a second"), rows)


def print_alone(console: Console, alone: Mapping[str, Any], echo: Mapping[str, Any], ratio: float) -> None:
    """One settlement alone beside the echo."""
    rows: list[Sequence[object]] = [
        ("echo of raw py-libp2p", echo["p50_ms"], echo["p99_ms"], 1.0, echo["frame_bytes"] * 2, ""),
        (
            "one settlement",
            alone["p50_ms"],
            alone["p99_ms"],
            ratio,
            alone["frame_bytes_per_settlement"],
            alone["socket_bytes_per_settlement"],
        ),
    ]
    headings = (
        "one at a time, in turns",
        "p50 ms",
        "p99 ms",
        "× echo",
        "bytes in frames",
        "bytes on sockets",
    )
    _show(console, "Settlement latency, from submitting to final", headings, rows)
    console.print(
        f"The echo with 64 frames under way: {echo['per_s']:,.0f}/s written one by one, "
        f"{echo['joined_per_s']:,.0f}/s written together."
    )


def print_loads(console: Console, loads: Sequence[Mapping[str, Any]]) -> None:
    """Throughput: what was reached, and what it cost."""
    rows = [
        (
            load["name"],
            load["in_flight"],
            load["entries_per_s"],
            load["transfers_per_s"],
            load["p50_ms"],
            load["p99_ms"],
            load["frame_bytes_per_settlement"],
            sum(load["cpu_ms_per_settlement"].values()),
            load["cpu_over_signatures"],
            load["entries_per_s_at_this_cpu_cost"],
            load["commit_ms"]["witnesses"],
            f"{load['others_share_of_machine']:.0%}",
        )
        for load in loads
    ]
    headings = (
        "4 witnesses on loopback",
        "in flight",
        "entries/s",
        "transfers/s",
        "p50 ms",
        "p99 ms",
        "bytes",
        "CPU ms",
        "× signatures",
        "CPU alone",
        "commit ms",
        "others' load",
    )
    _show(console, "Settled: stored by more than 2/3 at the author, sealed and audited after", headings, rows)
    console.print(
        "bytes: per settlement, at the payer's links. CPU ms: per settlement, of all processes.\n"
        "× signatures: that, over what the signatures and verifications behind it take alone.\n"
        "CPU alone: entries/s of all cores if nothing ever waited. commit ms: a transaction of a witness.\n"
        "others' load: the share of this machine that other programs took meanwhile."
    )


def print_profile(console: Console, profile: Mapping[str, Any]) -> None:
    """Where the time goes: own time with the C code below a function, and the total of all that it calls."""
    for who, shares in profile.items():
        rows: list[Sequence[object]] = list(shares["layers"].items())
        _show(console, f"Where a {who}'s CPU time goes ({shares['samples']} samples)", ("layer", "%"), rows)
        found = sorted(shares["functions"], key=lambda row: -row["total"])
        rows = [(row["function"], row["own"], row["total"]) for row in found]
        _show(console, f"… and in which functions ({who})", ("function", "own %", "total %"), rows)


def print_targets(console: Console, targets: Sequence[Target]) -> None:
    """What should be reached on two cores."""
    rows = [
        (
            target.text,
            f"{'≤' if target.is_most else '≥'} {target.wanted:,.0f}",
            target.reached,
            "yes" if target.is_met else "no",
        )
        for target in targets
    ]
    _show(console, "Targets for two cores", ("", "target", "reached", "met"), rows)
