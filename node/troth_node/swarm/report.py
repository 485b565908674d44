"""The report of a run: who earned what and through whom, how good the forecasts were, and whether the books hold."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from troth_node.agent import Json
from troth_node.audit import History, StoreAudit
from troth_node.contribution import measured_contribution, rank_correlation
from troth_node.swarm.scenario import ATOMS, Plan
from troth_protocol.insight.results import Settlement
from troth_protocol.log.committee import count_changes
from troth_protocol.wire.schema import PPM


@dataclass
class AgentLine:
    """One agent's books over the whole run, in atomic units: `income` with what it `sold` for a price, `paid_out` with
    what it `bought` so.
    """

    name: str
    role: str
    level: int | None = None
    emission: int = 0
    income: int = 0
    paid_out: int = 0
    sold: int = 0
    bought: int = 0
    wagered: int = 0
    returned: int = 0
    attested: int = 0
    balance_start: int = 0
    balance_end: int = 0
    path: tuple[str, ...] = ()


@dataclass
class ForecasterLine:
    """One forecaster's mean log loss in nats beside the prior's on the same questions."""

    name: str
    questions: int = 0
    log_loss: float = 0.0
    prior_log_loss: float = 0.0


@dataclass
class Report:
    """Everything that a run shows."""

    scenario: str
    epochs: int
    agents: list[AgentLine]
    forecasters: list[ForecasterLine]
    pool: ForecasterLine
    questions: int
    voids: int
    entries: int
    seals: int
    evidence: int
    payments: Mapping[tuple[str, str], int]
    audits: Sequence[StoreAudit]
    replayed: str
    problems: list[str]
    timing: Mapping[str, float]
    contribution: Mapping[str, float] = field(default_factory=dict)
    rank_correlation: float | None = None
    market: Mapping[str, int] = field(default_factory=dict)
    sales: Mapping[tuple[str, str], int] = field(default_factory=dict)
    bonded_in: int = 0
    bonded_out: int = 0
    sponsored: int = 0

    @property
    def is_ok(self) -> bool:
        """Did the audit pass?"""
        return not self.problems and all(audit.is_ok for audit in self.audits)

    def audit(self) -> dict[str, Json]:
        """The audit's verdicts."""
        roots = {audit.state_root for audit in self.audits}
        wrong = [problem for audit in self.audits for problem in audit.problems]
        return {
            "ok": self.is_ok,
            "supply_conserved": all(audit.is_conserved for audit in self.audits),
            "state_roots_equal": len(roots) == 1,
            "certificates_verified": not any(problem.startswith("entry") for problem in wrong),
            "seals_verified": not any(problem.startswith("seal") for problem in wrong),
            "problems": [*self.problems, *wrong],
        }

    def as_json(self) -> dict[str, Json]:
        """The whole report for machines; amounts in tokens."""
        return {
            "scenario": self.scenario,
            "epochs": self.epochs,
            "audit": self.audit(),
            "agents": [_agent_json(line) for line in self.agents],
            "forecasters": [_forecaster_json(line) for line in self.forecasters],
            "pool": {"log_loss": self.pool.log_loss, "prior_log_loss": self.pool.prior_log_loss},
            "questions": {"settled": self.questions, "void": self.voids, "sponsored": self.sponsored},
            "witnesses": {"bonded_in": self.bonded_in, "bonded_out": self.bonded_out},
            "payments": _flows_json(self.payments),
            "sales": _flows_json(self.sales),
            "market": dict(self.market),
            "contribution": dict(self.contribution),
            "rank_correlation": self.rank_correlation,
            "entries": self.entries,
            "seals": self.seals,
            "evidence": self.evidence,
            "replayed": self.replayed,
            "timing": dict(self.timing),
        }


def _flows_json(amounts: Mapping[tuple[str, str], int]) -> list[Json]:
    return [
        {"from": payer, "to": payee, "amount": amount / ATOMS}
        for (payer, payee), amount in sorted(amounts.items())
    ]


def _agent_json(line: AgentLine) -> dict[str, Json]:
    return {
        "name": line.name,
        "role": line.role,
        "level": line.level,
        "emission": line.emission / ATOMS,
        "income": line.income / ATOMS,
        "paid_out": line.paid_out / ATOMS,
        "sold": line.sold / ATOMS,
        "bought": line.bought / ATOMS,
        "wagered": line.wagered / ATOMS,
        "returned": line.returned / ATOMS,
        "attested": line.attested / ATOMS,
        "balance_start": line.balance_start / ATOMS,
        "balance_end": line.balance_end / ATOMS,
        "path": list(line.path),
    }


def _forecaster_json(line: ForecasterLine) -> dict[str, Json]:
    return {
        "name": line.name,
        "log_loss": line.log_loss,
        "prior_log_loss": line.prior_log_loss,
        "questions": line.questions,
    }


def make_report(
    plan: Plan,
    history: History,
    audits: Sequence[StoreAudit],
    *,
    replayed: str,
    problems: Sequence[str],
    timing: Mapping[str, float],
    reports: Mapping[str, Mapping[str, Json]],
    told: Mapping[str, int],
) -> Report:
    """Build the report from a replayed chain; `reports` are the agents' own, by name, `told` their nodes' counts."""
    names = {node.keys.public: node.name for node in plan.nodes}
    settlements = [item for closed in history.closes for item in closed.settlements if not item.revote]
    payments = _payments(settlements, names)
    sales = {(names[payer], names[payee]): paid for (payer, payee), paid in history.turnover.paid.items()}
    sets = [audits[0].committees[epoch] for epoch in sorted(audits[0].committees)] if audits else []
    joined, left = count_changes(sets)
    report = Report(
        scenario=plan.scenario,
        epochs=len(history.closes),
        agents=_agents(plan, history, settlements, payments, sales),
        forecasters=_forecasters(settlements, names),
        pool=_pool(settlements),
        questions=sum(item.outcome is not None for item in settlements),
        voids=sum(item.outcome is None for item in settlements),
        entries=history.entries,
        seals=len(history.closes),
        evidence=history.evidence,
        payments=payments,
        audits=audits,
        replayed=replayed,
        problems=_problems(problems, audits, history),
        timing=timing,
        market=history.turnover.counts(told),
        sales=sales,
        bonded_in=joined,
        bonded_out=left,
        sponsored=sum(item.asker is not None for item in settlements),
    )
    _measure(report, reports)
    return report


def _problems(problems: Sequence[str], audits: Sequence[StoreAudit], history: History) -> list[str]:
    found = list(problems)
    if len({audit.state_root for audit in audits}) > 1:
        found.append("state roots differ: " + ", ".join(f"{a.name} {a.state_root.hex()[:8]}" for a in audits))
    if audits and history.closes and history.state.root() not in {audit.state_root for audit in audits}:
        found.append("replaying all closes from genesis gives another state")
    return found


def _payments(settlements: Sequence[Settlement], names: Mapping[bytes, str]) -> dict[tuple[str, str], int]:
    out: dict[tuple[str, str], int] = defaultdict(int)
    for item in settlements:
        for line in item.payments:
            out[names[line.payer], names[line.payee]] += line.amount
    return dict(out)


def _agents(
    plan: Plan,
    history: History,
    settlements: Sequence[Settlement],
    payments: Mapping[tuple[str, str], int],
    sales: Mapping[tuple[str, str], int],
) -> list[AgentLine]:
    start = {holder.key: holder for holder in plan.genesis.holders}
    lines = {node.keys.public: AgentLine(node.name, node.role) for node in plan.nodes}
    for item in settlements:
        for row in item.forecasts:
            line = lines[row.author]
            line.emission += row.net
            line.income += row.income
            line.wagered += row.wager
            line.returned += row.back
        for paid in item.payments:
            lines[paid.payee].income += paid.amount
            lines[paid.payer].paid_out += paid.amount
    for closed in history.closes:
        for item in closed.settlements:
            for vote in item.attesters:
                if vote.attester in lines:
                    lines[vote.attester].attested += vote.amount
    _add_sales({line.name: line for line in lines.values()}, sales)
    for key, line in lines.items():
        holder = start[key]
        line.balance_start = holder.balance + holder.agent + holder.witness + holder.attester
        line.balance_end = history.state.account(key).worth()
    _set_levels(list(lines.values()), Counter(payments) + Counter(sales))
    return list(lines.values())


def _add_sales(lines: Mapping[str, AgentLine], sales: Mapping[tuple[str, str], int]) -> None:
    for (payer, payee), amount in sales.items():
        lines[payee].sold += amount
        lines[payee].income += amount
        lines[payer].bought += amount
        lines[payer].paid_out += amount


def _set_levels(lines: Sequence[AgentLine], payments: Mapping[tuple[str, str], int]) -> None:
    """Level 0 are the forecasters; whoever is paid by level n is on level n + 1, the longest paid path counts."""
    by_name = {line.name: line for line in lines}
    for line in lines:
        if line.role == "forecaster":
            line.level, line.path = 0, (line.name,)
    for _ in lines:
        for (payer, payee), amount in sorted(payments.items(), key=lambda item: (-item[1], item[0])):
            above, below = by_name[payer], by_name[payee]
            if not amount or above.level is None or below.role == "forecaster" or payee in above.path:
                continue
            if below.level is None or below.level < above.level + 1:
                below.level, below.path = above.level + 1, (*above.path, payee)


def _forecasters(settlements: Sequence[Settlement], names: Mapping[bytes, str]) -> list[ForecasterLine]:
    lines: dict[str, ForecasterLine] = {}
    for item in settlements:
        for row in item.forecasts:
            if item.outcome is not None and row.ppm is not None:
                line = lines.setdefault(names[row.author], ForecasterLine(names[row.author]))
                line.questions += 1
                line.log_loss -= math.log(row.ppm[item.outcome] / PPM)
                line.prior_log_loss -= math.log(item.prior[item.outcome] / PPM)
    for line in lines.values():
        line.log_loss /= line.questions
        line.prior_log_loss /= line.questions
    return sorted(lines.values(), key=lambda line: line.log_loss)


def _pool(settlements: Sequence[Settlement]) -> ForecasterLine:
    """The market's own forecast: the wager-weighted mean of what was revealed."""
    line = ForecasterLine("pool")
    for item in settlements:
        rows = [(row.wager, row.ppm) for row in item.forecasts if row.ppm is not None]
        if item.outcome is not None and rows:
            mean = sum(w * ppm[item.outcome] for w, ppm in rows) / sum(w for w, _ in rows)
            line.questions += 1
            line.log_loss -= math.log(mean / PPM)
            line.prior_log_loss -= math.log(item.prior[item.outcome] / PPM)
    if line.questions:
        line.log_loss /= line.questions
        line.prior_log_loss /= line.questions
    return line


def _measure(report: Report, reports: Mapping[str, Mapping[str, Json]]) -> None:
    """Sellers by income beside their measured contribution to those who bought from them."""
    forecasters = [
        line.name for line in report.agents if line.role == "forecaster" and reports.get(line.name)
    ]
    found = measured_contribution(reports, forecasters)
    incomes = {line.name: float(line.income) for line in report.agents if line.name in found}
    report.contribution = found
    if len(incomes) > 2:
        report.rank_correlation = round(rank_correlation(incomes, found), 4)
