"""Measured contribution: what each seller was worth to the forecasts, by the agents' own reports.

A forecaster reports `credit_nats`: for each source (document@seller) the Shapley values of the log score over what the
forecaster bought, summed over questions. What an intermediary is credited with is due in part to those it bought from,
and its own split says how much: of each nat it passes on to a source what it does of each token, half of the weight
that it cites the source with on average (`cited_ppm`; a payload signal's G is 0, so half of a cited weight is paid).
Contribution of k = what forecasters credit k with + what reaches k through intermediaries, in nats.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from troth_node.agent import Json
from troth_protocol.wire.schema import PPM


def measured_contribution(
    reports: Mapping[str, Mapping[str, Json]], forecasters: Collection[str]
) -> dict[str, float]:
    """Contribution of every seller in nats, from `Agent.report` by name; agents that nobody credits are left out."""
    direct: dict[str, float] = {}
    for name in forecasters:
        for seller, nats in _by_seller(reports[name].get("credit_nats")).items():
            direct[seller] = direct.get(seller, 0.0) + nats
    total: dict[str, float] = {}
    for seller, nats in direct.items():
        _pass_on(seller, nats, reports, total, frozenset())
    return total


def rank_correlation(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """Spearman's rho over the keys of `first` (ties share their mean rank); 0.0 if either side is constant."""
    x, y = _ranks(list(first.values())), _ranks([second.get(name, 0.0) for name in first])
    middle = (len(x) + 1) / 2
    covariance = sum((a - middle) * (b - middle) for a, b in zip(x, y, strict=True))
    spread = sum((a - middle) ** 2 for a in x) * sum((b - middle) ** 2 for b in y)
    return covariance / spread**0.5 if spread else 0.0


def _pass_on(
    seller: str,
    nats: float,
    reports: Mapping[str, Mapping[str, Json]],
    total: dict[str, float],
    above: frozenset[str],
) -> None:
    total[seller] = total.get(seller, 0.0) + nats
    if seller not in above:
        for supplier, ppm in _by_seller(reports.get(seller, {}).get("cited_ppm")).items():
            _pass_on(supplier, nats * ppm / (2 * PPM), reports, total, above | {seller})


def _by_seller(sources: Json | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for source, number in sources.items() if isinstance(sources, dict) else ():
        seller = source.rpartition("@")[2]
        found[seller] = found.get(seller, 0.0) + float(str(number))
    return found


def _ranks(values: list[float]) -> list[float]:
    return [sum(v < value for v in values) + (sum(v == value for v in values) + 1) / 2 for value in values]
