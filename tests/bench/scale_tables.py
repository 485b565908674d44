"""What size costs, as tables for people: absolutes with a ratio beside each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from tables import show

#: The kinds of messages shown, largest first.
KINDS: Final = 6


def print_scale(console: Console, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Whatever parts were measured."""
    for name, figures in found.items():
        if "by_logs" in figures:
            _print_closes(console, figures)
        elif "failed" in figures:
            console.print(f"\n{name}: no figures: {figures['failed']}")
        elif "epochs_per_cpu_s" in figures:
            _print_simulated(console, figures)
    swarms = [figures for figures in found.values() if "up_s" in figures]
    if swarms:
        _print_swarms(console, swarms)
    for figures in swarms:
        if "wire" in figures:
            _print_wire(console, figures)


def _print_closes(console: Console, figures: Mapping[str, Any]) -> None:
    rows = [
        (
            f"{row['logs']:,}",
            row["close_ms"],
            row["execute_ms"],
            row["root_ms"],
            f"{row['root_share']:.0%}",
            row["us_per_log"],
            row["close_ms"] / figures["by_logs"][0]["close_ms"],
        )
        for row in figures["by_logs"]
    ]
    headings = (
        "logs moved",
        "close ms",
        "execute ms",
        "state root ms",
        "root's share",
        "µs a log",
        "× the first",
    )
    title = f"A close in memory, {figures['accounts']:,} accounts, one transfer a log, CPU time of one core"
    show(console, title, headings, rows)
    console.print(
        "Executing the cut and the state root; no signatures (checked as entries came), ballots or disk."
    )


def _print_simulated(console: Console, figures: Mapping[str, Any]) -> None:
    text = "{witnesses} witnesses + {authors} authors, {epochs} epochs, {final_entries} final entries"
    row = (
        text.format(**figures),
        figures["epochs_per_cpu_s"],
        figures["cpu_ms_per_node_and_epoch"],
        figures["virtual_over_cpu"],
    )
    headings = ("no faults", "epochs/s", "CPU ms a node and epoch", "virtual time × CPU time")
    show(console, "Simulated epochs of a whole network, on one core", headings, [row])


def _print_swarms(console: Console, swarms: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (
            str(swarm["nodes"]),
            swarm["up_s"],
            swarm["up_s"] / swarms[0]["up_s"],
            swarm["up_cpu_s"],
            "–" if swarm["sealed_s"] is None else swarm["sealed_s"],
            swarm["node_pss_mib"],
            swarm["node_own_mib"],
            swarm["parent_pss_mib"],
            swarm["swarm_pss_mib"],
            swarm["swarm_pss_mib"] / (swarm["node_rss_mib"] * swarm["nodes"] + swarm["parent_rss_mib"]),
            swarm["load_1m_before"],
        )
        for swarm in swarms
    ]
    headings = (
        "nodes",
        "up s",
        "× the first",
        "CPU s",
        "1st seal s",
        "MiB a node",
        "of it own",
        "parent MiB",
        "all MiB",
        "× unshared",
        "load before",
    )
    show(console, "Swarms of processes, from the command (interpreter and imports included)", headings, rows)
    console.print(
        "MiB: proportional shares (PSS) at the first seal everywhere (–: later than 10 s after all were up).\n"
        "own: pages of that node alone (USS). "
        "× unshared: all of it, over what the same processes would take if they shared no page."
    )


def _print_wire(console: Console, swarm: Mapping[str, Any]) -> None:
    wire = swarm["wire"]
    asked = max(wire["questions"] + wire["voids"], 1)
    rows = [
        (
            what,
            wire[name],
            wire[name] / asked,
            wire[name] / asked / swarm["nodes"],
            wire[name] / wire["frame_bytes"],
        )
        for what, name in (("in frames", "frame_bytes"), ("on sockets", "socket_bytes"))
    ]
    headings = ("bytes sent by all", "whole run", "a question", "a question and node", "× frames")
    text = (
        "A swarm of {nodes}: {epochs} epochs, {questions} questions settled, {voids} void, {entries} entries"
    )
    show(console, text.format(**{**wire, "nodes": swarm["nodes"]}), headings, rows)
    most = list(wire["bytes_by_kind"].items())[:KINDS]
    shares = ", ".join(f"{kind} {count / wire['frame_bytes']:.0%}" for kind, count in most)
    console.print(f"Of the bytes in frames: {shares}.")
