"""Measured contribution: what each seller was worth to the forecasters, through however many hands it went.

A forecaster measures the Shapley value of the log score for each signal it bought. What it finds for a processor is
passed on to that processor's own sources by the split that the processor measured, and the processor keeps the rest.
"""

from __future__ import annotations

from collections.abc import Mapping


def _credit(report: Mapping[str, object]) -> dict[str, float]:
    """Nats by seller from one agent's report: its `credit_nats`, by document@seller."""
    found = report.get("credit_nats")
    out: dict[str, float] = {}
    for source, nats in found.items() if isinstance(found, dict) else ():
        seller = str(source).rpartition("@")[2]
        out[seller] = out.get(seller, 0.0) + float(nats)
    return out


def measured_contribution(
    reports: Mapping[str, Mapping[str, object]], depth: int = 8
) -> dict[str, dict[str, float]]:
    """forecaster -> seller -> nats; `reports` are the agents' own, by name."""
    credits = {name: _credit(report) for name, report in reports.items()}
    forecasters = [name for name, report in reports.items() if "log_loss" in report and credits[name]]
    return {name: _passed_on(credits, name, depth) for name in forecasters}


def _passed_on(credits: Mapping[str, Mapping[str, float]], forecaster: str, depth: int) -> dict[str, float]:
    total: dict[str, float] = {}
    front = dict(credits[forecaster])
    for _ in range(depth):
        following: dict[str, float] = {}
        for seller, nats in front.items():
            total[seller] = total.get(seller, 0.0) + nats
            own = {source: max(value, 0.0) for source, value in credits.get(seller, {}).items()}
            whole = sum(own.values())
            for source, value in own.items() if whole else ():
                following[source] = following.get(source, 0.0) + nats * value / whole
        front = following
    return total
