"""What a trade takes, as tables for people: absolutes with a ratio to the echo beside each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from tables import show
from trades import ROLES

COLUMNS: Final = ("p50_ms", "p99_ms", "reached_p50_ms", "reached_p99_ms", "over_echo")


def print_trades(console: Console, found: Mapping[str, Any]) -> None:
    """One trade alone, what it costs, and many at once."""
    echo, alone, many = found["echo"], found["alone"], found["many"]
    rows: list[Sequence[object]] = [
        ("round trip of raw py-libp2p", "caller", echo["p50_ms"], echo["p99_ms"], echo["p50_ms"], "", 1.0)
    ]
    rows += [(stage["done"], stage["where"], *(stage[name] for name in COLUMNS)) for stage in alone["stages"]]
    headings = (
        "one at a time, in turns with the echo",
        "at",
        "stage p50 ms",
        "p99",
        "since p50 ms",
        "p99",
        "× echo",
    )
    show(console, "A fair exchange between two nodes, 4 witnesses, loopback", headings, rows)
    _print_costs(console, alone, many)
    console.print(
        f"Many at once: {many['per_s']:,.1f} trades/s with {many['in_flight']} under way, "
        f"p50 {many['p50_ms']:,.0f} ms, p99 {many['p99_ms']:,.0f} ms; "
        f"all cores could do {many['per_s_at_this_cpu_cost']:,.0f}/s if nothing ever waited.\n"
        f"Other programs took {alone['others_share_of_machine']:.0%} of the machine while it was one at a time, "
        f"{many['others_share_of_machine']:.0%} during the many.\n"
        f"All {found['paid']} signals were delivered, and paid once in the sealed state; the audit passes."
    )


def _print_costs(console: Console, alone: Mapping[str, Any], many: Mapping[str, Any]) -> None:
    """Every byte is counted where it is sent."""
    rows = [
        (f"{text}, {how}", *(figures[name][role] for role in ROLES), sum(figures[name].values()))
        for how, figures in (("alone", alone), ("many at once", many))
        for text, name in (
            ("bytes sent in frames", "frame_bytes_per_trade"),
            ("bytes sent on sockets", "socket_bytes_per_trade"),
            ("CPU ms", "cpu_ms_per_trade"),
            ("signatures made", "signed_per_trade"),
            ("signatures verified", "verified_per_trade"),
            ("transactions on disk", "commits_per_trade"),
        )
    ]
    show(console, "What a trade costs", ("a trade", *ROLES, "all"), rows)
