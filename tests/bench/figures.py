"""From what was counted to what is said: rates, ratios and targets."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cluster import WITNESSES, Load, Window

Figures = dict[str, object]
PROFILE_ROWS: Final = 15
#: Whose code a function is, by the beginning of its file's path: the first that fits.
LAYERS: Final = (
    ("troth_protocol/wire/crypto", "signatures and hashes"),
    ("troth_protocol/wire", "encoding"),
    ("troth_protocol", "rules of logs and core"),
    ("troth_node/storage", "disk"),
    ("troth_node/transport", "transport"),
    ("libp2p", "transport"),
    ("trio", "event loop"),
    ("troth_node", "runtime"),
)


@dataclass(frozen=True)
class Cost:
    """Seconds of one core for one signature, and for one verification."""

    sign_s: float
    verify_s: float


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent are not above; 0 of nothing."""
    if not values:
        return 0.0
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def load_figures(load: Load, window: Window, cost: Cost, close_s: float) -> Figures:
    """One scenario's figures."""
    finals = max(window.finals, 1)
    rate = window.finals / window.seconds
    cpu_s = sum(window.cpu_s.values())
    signatures_s = (window.signed * cost.sign_s + window.verified * cost.verify_s) / finals
    cores = os.cpu_count() or 1
    others = max(0.0, window.machine_cpu_s - cpu_s) / (cores * window.seconds)
    return {
        "name": load.name,
        "payers": load.payers,
        "logs": load.payers * load.logs,
        "in_flight": load.in_flight,
        "ops_per_entry": load.ops,
        "seconds": round(window.seconds, 3),
        "settled": window.finals,
        "entries_per_s": round(rate, 1),
        "transfers_per_s": round(rate * load.ops, 1),
        "p50_ms": round(percentile(window.latencies_ms, 50), 3),
        "p99_ms": round(percentile(window.latencies_ms, 99), 3),
        "frame_bytes_per_settlement": round(window.frame_bytes / finals),
        "socket_bytes_per_settlement": round(window.socket_bytes / finals),
        "cpu_ms_per_settlement": {
            role: round(spent * 1e3 / finals, 3) for role, spent in window.cpu_s.items() if spent
        },
        "signed_per_settlement": round(window.signed / finals, 2),
        "verified_per_settlement": round(window.verified / finals, 2),
        "signatures_ms_per_settlement": round(signatures_s * 1e3, 3),
        "cpu_over_signatures": round(cpu_s / finals / signatures_s, 2),
        "signatures_alone_entries_per_s": round(cores / signatures_s, 1),
        "entries_per_s_at_this_cpu_cost": round(cores * finals / cpu_s, 1),
        "settlements_per_commit": {
            role: round(window.finals * _copies(role) / count, 2)
            for role, count in window.commits.items()
            if count
        },
        "commit_ms": {
            role: round(window.commit_s[role] * 1e3 / count, 3)
            for role, count in window.commits.items()
            if count
        },
        "credited": window.credits,
        "others_share_of_machine": round(others, 3),
        "closes_s": [round(took, 3) for took in window.closes_s],
        "last_close_s": round(close_s, 3),
        "faults": window.faults,
        "audit": "ok",
    }


def _copies(role: str) -> int:
    """Every witness commits every settlement, and everybody else only its own."""
    return WITNESSES if role == "witnesses" else 1


def profile_figures(profile: Mapping[str, Counter[str]]) -> Figures:
    """Shares of CPU time in per cent: by layer, and by function alone and with all that it calls."""
    own, total = profile["own"], profile["total"]
    samples = max(1, sum(own.values()))
    layers: Counter[str] = Counter()
    for name, count in own.items():
        layers[_layer(name)] += count
    shown = [name for name, _ in own.most_common(PROFILE_ROWS)]
    shown += [name for name, _ in total.most_common() if name not in shown and name.startswith("troth")]

    def share(count: int) -> float:
        return round(100 * count / samples, 1)

    return {
        "samples": samples,
        "layers": {name: share(count) for name, count in layers.most_common()},
        "functions": [
            {"function": name, "own": share(own[name]), "total": share(total[name])}
            for name in shown[: 2 * PROFILE_ROWS]
        ],
    }


def _layer(name: str) -> str:
    for beginning, layer in LAYERS:
        if name.startswith(beginning):
            return layer
    return "elsewhere"


@dataclass(frozen=True)
class Target:
    """What should be reached, and what was."""

    text: str
    wanted: float
    reached: float
    is_most: bool = False

    @property
    def is_met(self) -> bool:
        """Is it?"""
        return self.reached <= self.wanted if self.is_most else self.reached >= self.wanted


def targets(loads: Mapping[str, Figures], echo_ratio: float) -> list[Target]:
    """The targets for two cores that this run says something about."""
    wanted = (
        ("entries/s, one op, 64 in flight", 600, "64 in flight", "entries_per_s"),
        ("the same, later", 1_500, "64 in flight", "entries_per_s"),
        ("entries/s, one op, 128 in flight, later", 1_500, "128 in flight", "entries_per_s"),
        ("entries/s, one op, 256 in flight, later", 1_500, "256 in flight", "entries_per_s"),
        ("transfers/s, 64 ops an entry", 20_000, "64 in flight, 64 ops", "transfers_per_s"),
        ("the same, later", 30_000, "64 in flight, 64 ops", "transfers_per_s"),
    )
    alone = Target("p50 of one settlement alone, in round trips of the echo", 8, echo_ratio, is_most=True)
    found = [
        Target(what, least, float(str(loads[name][figure])))
        for what, least, name, figure in wanted
        if name in loads
    ]
    return [alone, *found]
