"""Plays a scenario's questions in one process, without a network: the agents' real methods, the protocol's real scores.

What is left out is everything that a network is for: signatures, fees, bonds, deadlines missed. Use it to see in seconds
whether a cast of agents makes a good economy:

    python examples/economy.py examples/scenarios/flights.toml --nodes 12 --epochs 48
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from pathlib import Path

from troth_node.agent import (
    Accept,
    Agent,
    Counter as CounterOffer,
    Forecast,
    Offer,
    Production,
    QuestionView,
    Request,
    Result,
    Signal,
    Want,
)
from troth_node.contribution import measured_contribution, rank_correlation
from troth_node.scenario import ATOMIC_PER_TOKEN, Scenario, load_agent, load_scenario
from troth_protocol.genesis import Topic
from troth_protocol.insight.flow import FlowNode, FlowResult, Record, flow, rise
from troth_protocol.insight.prior import compute_prior
from troth_protocol.insight.score import Scores, Wager, score_question
from troth_protocol.wire.codec import encode
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.schema import PPM

ROOT = Path(__file__).parents[1]
ROUNDS = 3


@dataclass
class Contribution:
    """What one agent committed for one question, and what it is built on."""

    author: str
    output: Production | Forecast
    signals: list[Signal]
    weights: dict[bytes, int]
    commit: bytes
    wager: int = 0


@dataclass
class Open:
    """A question under way: contributions by author, in the order they were made."""

    view: QuestionView
    topic: Topic
    made: dict[str, Contribution] = field(default_factory=dict)


@dataclass
class Totals:
    """One agent's account of the whole play, in atomic units; losses in nats."""

    balance: int
    won: int = 0
    emission: int = 0
    received: int = 0
    paid: int = 0
    forecasts: int = 0
    loss: float = 0.0
    prior_loss: float = 0.0


class Economy:
    """The play: `run` it, then read `totals`, `levels` (paid by distance from a forecast) and `reports`."""

    def __init__(self, scenario: Scenario, nodes: int | None = None, root: Path = ROOT) -> None:
        self.scenario = scenario
        self.cast = scenario.cast(nodes)
        self.agents: dict[str, Agent] = {}
        self.open_seconds: dict[str, float] = {}
        for spec in self.cast:
            begin = time.process_time()
            agent = load_agent(spec.reference, root)
            agent.open(scenario.options(spec))
            self.agents[spec.name] = agent
            self.open_seconds[spec.name] = time.process_time() - begin
        self.free = {spec.name: scenario.stakes.balance for spec in self.cast}
        self.totals = {spec.name: Totals(scenario.stakes.balance) for spec in self.cast}
        self.records: dict[tuple[str, str], Record] = {}
        self.counts = {topic.name: [[0] * len(c) for c in topic.prior] for topic in scenario.topics}
        self.levels: Counter[int] = Counter()
        self.settled = 0
        self._open: list[Open] = []

    def run(self, epochs: int) -> None:
        """Play epochs 1 to `epochs`: questions open at the beginning of one and settle at its end."""
        for epoch in range(1, epochs + 1):
            for topic in self.scenario.topics:
                for index in topic.indices(epoch):
                    self._open.append(self._ask(topic, index, epoch))
            for question in [q for q in self._open if q.view.opens + q.topic.phases.total() - 1 == epoch]:
                self._open.remove(question)
                self._settle(question)

    def reports(self) -> dict[str, dict[str, object]]:
        """What each agent says of itself."""
        return {name: dict(agent.report()) for name, agent in self.agents.items()}

    def forecasters(self) -> list[str]:
        return [spec.name for spec in self.cast if spec.role == "forecaster"]

    def sellers(self) -> list[str]:
        return [spec.name for spec in self.cast if spec.role != "forecaster"]

    def contribution(self) -> dict[str, float]:
        """Measured contribution of each seller, in nats."""
        reports = {name: agent.report() for name, agent in self.agents.items()}
        found = measured_contribution(reports, self.forecasters())
        return {name: found.get(name, 0.0) for name in self.sellers()}

    def income(self) -> dict[str, float]:
        """What each seller received for citations, in tokens."""
        return {name: self.totals[name].received / ATOMIC_PER_TOKEN for name in self.sellers()}

    def _ask(self, topic: Topic, index: int, epoch: int) -> Open:
        category = topic.category(index)
        prior = compute_prior(
            self.counts[topic.name][category], topic.prior[category], self.scenario.rules.epsilon_ppm
        )
        view = QuestionView(
            id=digest(f"{topic.name}/{index}".encode()),
            topic=topic.name,
            index=index,
            subject=f"{topic.name} {topic.slot(index)}",
            text=topic.question_text(index),
            outcomes=topic.outcomes,
            prior_ppm=prior,
            opens=epoch,
            commit_last=epoch + topic.phases.commit - 1,
        )
        question = Open(view, topic)
        for name in self.agents:
            self._contribute(question, name, frozenset())
        return question

    def _contribute(self, question: Open, name: str, waiting: frozenset[str]) -> Contribution | None:
        """Have an agent buy what it wants (its suppliers contribute first) and commit what it makes of it."""
        if name in question.made or name in waiting:
            return question.made.get(name)
        agent, view = self.agents[name], question.view
        signals: list[Signal] = []
        for want in agent.wants(view):
            signal = self._buy(question, name, want, waiting | {name}, signals)
            signals += [signal] if signal else []
        output = agent.produce(view, signals) or agent.forecast(view, signals)
        if output is None:
            return None
        commit = digest(name.encode() + b"/" + view.id)
        made = Contribution(name, output, signals, agent.allocate(view, signals, output), commit)
        if isinstance(output, Forecast):
            made.wager = self.free[name] * output.wager_ppm // PPM
            self.free[name] -= made.wager
        question.made[name] = made
        return made

    def _buy(
        self, question: Open, buyer: str, want: Want, waiting: frozenset[str], bought: Sequence[Signal]
    ) -> Signal | None:
        room = PPM - sum(signal.weight_ppm for signal in bought)
        for seller, agent in self.agents.items():
            if want.document not in agent.documents or want.seller not in {None, seller}:
                continue
            made = self._contribute(question, seller, waiting)
            weight = self._negotiate(question.view, buyer, seller, want)
            if made and weight is not None and weight <= room and isinstance(made.output, Production):
                key = seller.encode().ljust(32)
                return Signal(seller, key, made.commit, want.document, made.output.payload, weight)
        return None

    def _negotiate(self, view: QuestionView, buyer: str, seller: str, want: Want) -> int | None:
        weight = want.min_weight_ppm
        for turn in range(ROUNDS):
            request = Request(buyer, buyer.encode().ljust(32), view, want.document, weight, turn)
            quote = self.agents[seller].quote(request)
            if quote is None:
                return None
            offer = Offer(seller, seller.encode().ljust(32), view, want.document, quote.min_weight_ppm, turn)
            decision = self.agents[buyer].consider(offer)
            if isinstance(decision, Accept):
                return quote.min_weight_ppm
            if not isinstance(decision, CounterOffer):
                return None
            weight = decision.min_weight_ppm
        return None

    def _settle(self, question: Open) -> None:
        outcome = self._attested(question.view)
        rules, view = self.scenario.rules, question.view
        bets = [c for c in question.made.values() if isinstance(c.output, Forecast)]
        wagers = [
            Wager(c.author.encode(), c.wager, c.output.ppm) for c in bets if isinstance(c.output, Forecast)
        ]
        scores = score_question(
            view.prior_ppm,
            question.topic.emission,
            rules.house,
            rules.kappa_ppm,
            rules.epsilon_ppm,
            wagers,
            outcome,
        )
        incomes = self._pay_scores(question, bets, scores)
        flows = flow([_node(c, incomes.get(c.author, 0), view, outcome) for c in question.made.values()])
        self._pay_citations(question, flows)
        self.counts[view.topic][question.topic.category(view.index)][outcome] += 1
        self.settled += 1
        self._tell(question, outcome, scores, flows, incomes)

    def _attested(self, view: QuestionView) -> int:
        votes = Counter(self.agents[spec.name].attest(view) for spec in self.cast if spec.attester)
        outcome, _ = votes.most_common(1)[0]
        if outcome is None:
            raise ValueError(f"nobody knows what became of {view.subject}")
        return outcome

    def _pay_scores(self, question: Open, bets: Sequence[Contribution], scores: Scores) -> dict[str, int]:
        incomes = {}
        for made, row in zip(bets, scores.rows, strict=True):
            name = made.author
            place = name, question.view.topic
            self.records[place], incomes[name] = rise(self.records.get(place, Record()), row.net_for_record)
            self.free[name] += row.back + row.net
            total = self.totals[name]
            total.balance += row.back - made.wager + row.net
            total.won += row.back - made.wager
            total.emission += row.net
        return incomes

    def _pay_citations(self, question: Open, flows: FlowResult) -> None:
        authors = {made.commit: made.author for made in question.made.values()}
        depth = {made.commit: 0 for made in question.made.values() if isinstance(made.output, Forecast)}
        unpaid = list(flows.payments)
        while unpaid:
            payment = next(p for p in unpaid if p.frm_commit in depth)
            unpaid.remove(payment)
            level = depth[payment.frm_commit] + 1
            depth[payment.to_commit] = max(level, depth.get(payment.to_commit, 0))
            self.levels[level] += payment.amount
            self._move(authors[payment.frm_commit], authors[payment.to_commit], payment.amount)

    def _move(self, payer: str, payee: str, amount: int) -> None:
        for name, change in ((payer, -amount), (payee, amount)):
            self.free[name] += change
            self.totals[name].balance += change
        self.totals[payer].paid += amount
        self.totals[payee].received += amount

    def _tell(
        self, question: Open, outcome: int, scores: Scores, flows: FlowResult, incomes: dict[str, int]
    ) -> None:
        rows = {row.author.decode(): row for row in scores.rows}
        for name, made in question.made.items():
            ppm = made.output.ppm if isinstance(made.output, Forecast) else None
            income = incomes.get(name, 0) + flows.received[made.commit]
            paid = flows.paid_out[made.commit]
            back = rows[name].back + rows[name].net if name in rows else 0
            result = Result(
                question.view, outcome, ppm, tuple(made.signals), income, paid, made.wager, back,
                flows.received[made.commit] - paid + back - made.wager,
            )  # fmt: skip
            self.agents[name].observe(result)
            if ppm is not None:
                total = self.totals[name]
                total.forecasts += 1
                total.loss -= log(ppm[outcome] / PPM)
                total.prior_loss -= log(question.view.prior_ppm[outcome] / PPM)


def _node(made: Contribution, income: int, view: QuestionView, outcome: int) -> FlowNode:
    output = made.output
    content = list(output.ppm) if isinstance(output, Forecast) else output.payload
    return FlowNode(
        commit=made.commit,
        author=made.author.encode(),
        epoch=view.opens,
        revealed=True,
        content_key=digest(encode(content)),
        G_ppm=0,
        income=income,
        citations=tuple(made.weights.items()),
    )


def table(economy: Economy) -> str:
    """The play in words: forecasters by loss, sellers by contribution, what was paid at each level."""
    lines = [f"{economy.settled} questions settled, {len(economy.cast)} agents", ""]
    lines.append(
        f"{'forecaster':<14}{'log loss':>9}{'prior':>8}{'gain':>8}{'wagers':>9}{'emission':>9}{'paid':>8}{'balance':>10}"
    )
    for name in economy.forecasters():
        t = economy.totals[name]
        n = max(1, t.forecasts)
        money = [x / ATOMIC_PER_TOKEN for x in (t.won, t.emission, t.paid, t.balance)]
        lines.append(
            f"{name:<14}{t.loss / n:>9.4f}{t.prior_loss / n:>8.4f}{(t.prior_loss - t.loss) / n:>8.4f}"
            f"{money[0]:>9.2f}{money[1]:>9.2f}{money[2]:>8.2f}{money[3]:>10.2f}"
        )
    income, contribution = economy.income(), economy.contribution()
    lines += ["", f"{'seller':<14}{'received':>9}{'passed on':>10}{'kept':>8}{'contribution (nats)':>21}"]
    for name in sorted(income, key=lambda name: -contribution[name]):
        t = economy.totals[name]
        got, gave = t.received / ATOMIC_PER_TOKEN, t.paid / ATOMIC_PER_TOKEN
        lines.append(f"{name:<14}{got:>9.3f}{gave:>10.3f}{got - gave:>8.3f}{contribution[name]:>21.2f}")
    lines += [
        "",
        f"rank correlation of income and contribution: {rank_correlation(income, contribution):.3f}",
    ]
    paid = ", ".join(f"level {k}: {v / ATOMIC_PER_TOKEN:.2f}" for k, v in sorted(economy.levels.items()))
    lines.append(f"paid by distance from a forecast: {paid}")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", type=Path)
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--epochs", type=int, default=49)
    parser.add_argument("--reports", action="store_true", help="also print each agent's report")
    chosen = parser.parse_args()
    economy = Economy(load_scenario(chosen.scenario), chosen.nodes)
    begin = time.process_time()
    economy.run(chosen.epochs)
    spent = time.process_time() - begin
    print(table(economy))
    print(
        f"CPU: {spent:.1f} s to play, to open "
        + ", ".join(f"{n} {s:.2f}" for n, s in economy.open_seconds.items())
    )
    if chosen.reports:
        for name, report in economy.reports().items():
            print(name, report)


if __name__ == "__main__":
    main()
