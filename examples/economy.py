"""Plays a scenario in one process, without a network: the agents' real methods, the protocol's real scores.

What is left out is what networks are for: signatures, fees, bonds, votes and missed deadlines. It shows in seconds
whether a cast of agents makes a good economy:

    python examples/economy.py examples/scenarios/flights.toml --nodes 12
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from pathlib import Path

from troth_node.agent import (
    Accept,
    Agent,
    Auction,
    Forecast,
    Json,
    Lot,
    Offer,
    Production,
    QuestionView,
    Request,
    Result,
    Seller,
    Signal,
    Want,
)
from troth_node.agent import Counter as CounterOffer
from troth_node.contribution import measured_contribution, rank_correlation
from troth_node.loader import load_agent
from troth_node.swarm.scenario import ATOMS, Plan, load_scenario, make_plan
from troth_protocol.genesis import Topic
from troth_protocol.insight.flow import FlowNode, FlowResult, Record, flow, rise
from troth_protocol.insight.prior import compute_prior
from troth_protocol.insight.score import Scores, Wager, score_question
from troth_protocol.insight.standing import Earned
from troth_protocol.market.auction import Award, compute_winners
from troth_protocol.market.auction import Offer as BidOffer
from troth_protocol.wire.codec import Value, encode
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.schema import PPM

ROOT = Path(__file__).parents[1]
NEGOTIATION_ROUNDS = 3


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
    """A question under way: contributions by author, suppliers before those they supply."""

    view: QuestionView
    topic: Topic
    made: dict[str, Contribution] = field(default_factory=dict)
    awards: dict[str, Award] = field(default_factory=dict)
    sold: Counter[str] = field(default_factory=Counter)


@dataclass
class Books:
    """One agent's account of the whole play, in atomic units; losses summed, in nats."""

    balance: int
    free: int
    won: int = 0
    emission: int = 0
    received: int = 0
    paid: int = 0
    sold: int = 0
    bought: int = 0
    forecasts: int = 0
    loss: float = 0.0
    prior_loss: float = 0.0

    @property
    def gain(self) -> float:
        """Mean log loss of the prior less that of the forecasts, in nats."""
        return (self.prior_loss - self.loss) / max(1, self.forecasts)


class Economy:
    """The play: `run` it, then read `books`, `levels` (amounts by distance from a forecast) and `contribution`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.nodes = {node.name: node for node in plan.nodes}
        self.names = {node.keys.public: node.name for node in plan.nodes}
        self.agents: dict[str, Agent] = {}
        self.open_seconds: dict[str, float] = {}
        for node in plan.nodes:
            begin = time.process_time()
            self.agents[node.name] = load_agent(node.reference, plan.root)()
            self.agents[node.name].open(node.options)
            self.open_seconds[node.name] = time.process_time() - begin
        balances = {holder.key: holder.balance for holder in plan.genesis.holders}
        self.books = {name: Books(balances[key], balances[key]) for key, name in self.names.items()}
        self.records: dict[tuple[str, str], Record] = {}
        self.counts = {topic.name: [[0] * len(row) for row in topic.prior] for topic in plan.genesis.topics}
        self.levels: Counter[int] = Counter()
        self.settled = 0
        self._open: list[Open] = []

    def run(self) -> None:
        """Play all epochs: questions open and are answered as one begins, and settle as another ends."""
        for epoch in range(1, self.plan.epochs + 1):
            for topic in self.plan.genesis.topics:
                self._open += [self.ask(topic, index, epoch) for index in topic.indices(epoch)]
            for question in [q for q in self._open if q.view.opens + q.topic.phases.total() - 1 == epoch]:
                self._open.remove(question)
                self._settle(question)

    def named(self, *roles: str) -> list[str]:
        """The agents in these roles."""
        return [name for name, node in self.nodes.items() if node.role in roles]

    def reports(self) -> dict[str, dict[str, Json]]:
        """What each agent says of itself."""
        return {name: agent.report() for name, agent in self.agents.items()}

    def contribution(self) -> dict[str, float]:
        """Measured contribution of each seller, in nats."""
        found = measured_contribution(self.reports(), self.named("forecaster"))
        return {name: found.get(name, 0.0) for name in self.named("seller", "processor")}

    def income(self) -> dict[str, float]:
        """What each seller received for citations and by prices, in tokens."""
        sellers = self.named("seller", "processor")
        return {name: (self.books[name].received + self.books[name].sold) / ATOMS for name in sellers}

    def ask(self, topic: Topic, index: int, epoch: int) -> Open:
        """Open a question and have every agent contribute to it what it will."""
        category = topic.category(index)
        counts, pseudo_counts = self.counts[topic.name][category], topic.prior[category]
        view = QuestionView(
            id=digest(f"{topic.name}/{index}".encode()),
            topic=topic.name,
            index=index,
            subject=f"{topic.name} {topic.slot(index)}",
            text=topic.question_text(index),
            outcomes=topic.outcomes,
            prior_ppm=compute_prior(counts, pseudo_counts, self.plan.genesis.rules.epsilon_ppm),
            opens=epoch,
            commit_last=epoch + topic.phases.commit - 1,
        )
        question = Open(view, topic)
        for name in self.agents:
            self._contribute(question, name, frozenset())
        return question

    def _contribute(self, question: Open, name: str, waiting: frozenset[str]) -> Contribution | None:
        """Have an agent buy what it wants (so its suppliers contribute first) and commit what it makes of it."""
        if name in question.made or name in waiting:
            return question.made.get(name)
        agent, view = self.agents[name], question.view
        signals: list[Signal] = []
        for want in agent.wants(view):
            self._buy(question, name, want, waiting | {name}, signals)
        output = agent.produce(view, signals) or agent.forecast(view, signals)
        if output is None:
            return None
        commit = digest(name.encode() + b"/" + view.id)
        made = Contribution(name, output, signals, agent.allocate(view, signals, output), commit)
        if isinstance(output, Forecast):
            made.wager = self.books[name].free * output.wager_ppm // PPM
            self.books[name].free -= made.wager
        question.made[name] = made
        return made

    def _buy(
        self, question: Open, buyer: str, want: Want, waiting: frozenset[str], signals: list[Signal]
    ) -> None:
        """Add the signal of the first seller that agrees, if the buyer can still promise the weight."""
        room = PPM - sum(signal.weight_ppm for signal in signals)
        able = [
            Seller(seller, self.nodes[seller].keys.public, b"", 0, 0, Earned())
            for seller, agent in self.agents.items()
            if want.document in agent.documents and want.seller in {None, seller}
        ]
        for seller in [each.name for each in self.agents[buyer].prefer(want, able)]:
            made = self._contribute(question, seller, waiting)
            if made is None or not isinstance(made.output, Production):
                continue
            deal = self._deal(question, buyer, seller, want, made.output)
            if deal is not None and deal[0] <= room:
                weight, price = deal
                key = self.nodes[seller].keys.public
                about = (seller, key, made.commit, want.document, made.output.payload)
                signals.append(Signal(*about, weight, price))
                self._pay_price(question, buyer, seller, price)
                return

    def _deal(
        self, question: Open, buyer: str, seller: str, want: Want, production: Production
    ) -> tuple[int, int] | None:
        """The weight and the price that both sides agree on or an auction sets, or None."""
        if not want.at_auction:
            return self._negotiate(question.view, buyer, seller, want)
        if seller not in question.awards:
            lot = self.agents[seller].auction(question.view, production)
            question.awards[seller] = self._award(question.view, seller, want.document, lot)
        award = question.awards[seller]
        return (0, award.price) if self.nodes[buyer].keys.public in award.winners else None

    def _award(self, view: QuestionView, seller: str, document: str, lot: Lot | None) -> Award:
        """Everybody who wants it at auction bids; of equal bids the first by name wins."""
        if lot is None:
            return Award(0, ())
        shown = Auction(seller, self.nodes[seller].keys.public, view, document, lot.units, lot.cap)
        bidders = [
            name
            for name, agent in self.agents.items()
            if any(want.at_auction and want.document == document for want in agent.wants(view))
        ]
        bids = {name: self.agents[name].bid(shown) or 0 for name in bidders}
        offers = [
            BidOffer(self.nodes[name].keys.public, min(amount, lot.cap), name.encode())
            for name, amount in bids.items()
            if amount
        ]
        return compute_winners(offers, lot.units, lot.reserve)

    def _negotiate(self, view: QuestionView, buyer: str, seller: str, want: Want) -> tuple[int, int] | None:
        """The weight and the price that both sides agree on, or None."""
        keys = {name: self.nodes[name].keys.public for name in (buyer, seller)}
        weight, price = want.min_weight_ppm, 0
        for turn in range(NEGOTIATION_ROUNDS):
            request = Request(buyer, keys[buyer], view, want.document, weight, turn, price)
            quote = self.agents[seller].quote(request)
            if quote is None:
                return None
            deal = (quote.min_weight_ppm, quote.price)
            offer = Offer(seller, keys[seller], view, want.document, deal[0], turn, deal[1])
            decision = self.agents[buyer].consider(offer)
            if isinstance(decision, Accept):
                return deal
            if not isinstance(decision, CounterOffer):
                return None
            weight = decision.min_weight_ppm
            price = deal[1] if decision.price is None else decision.price
        return None

    def _pay_price(self, question: Open, buyer: str, seller: str, price: int) -> None:
        for name, change in ((buyer, -price), (seller, price)):
            self.books[name].free += change
            self.books[name].balance += change
        self.books[buyer].bought += price
        self.books[seller].sold += price
        question.sold[seller] += price

    def _settle(self, question: Open) -> None:
        view, rules = question.view, self.plan.genesis.rules
        outcome = self._attested(view)
        wagers = [
            Wager(self.nodes[name].keys.public, made.wager, made.output.ppm)
            for name, made in question.made.items()
            if isinstance(made.output, Forecast)
        ]
        emission, house = question.topic.emission, rules.house
        scores = score_question(
            view.prior_ppm, emission, house, rules.kappa_ppm, rules.epsilon_ppm, wagers, outcome
        )
        incomes = self._pay_scores(question, scores)
        nodes = [self._node(made, view, incomes.get(name, 0)) for name, made in question.made.items()]
        flows = flow(nodes)
        self._pay_citations(question, flows)
        self.counts[view.topic][question.topic.category(view.index)][outcome] += 1
        self.settled += 1
        for made in question.made.values():
            self._tell(question, made, outcome, scores, flows)

    def _attested(self, view: QuestionView) -> int:
        votes = Counter(self.agents[name].attest(view) for name, node in self.nodes.items() if node.attester)
        outcome, _ = votes.most_common(1)[0]
        if outcome is None:
            raise ValueError(f"nobody knows what became of {view.subject}")
        return outcome

    def _pay_scores(self, question: Open, scores: Scores) -> dict[str, int]:
        incomes = {}
        for row in scores.rows:
            name = self.names[row.author]
            place, books = (name, question.view.topic), self.books[name]
            self.records[place], incomes[name] = rise(self.records.get(place, Record()), row.net_for_record)
            won = row.back - question.made[name].wager
            books.free += row.back + row.net
            books.balance += won + row.net
            books.won += won
            books.emission += row.net
        return incomes

    def _node(self, made: Contribution, view: QuestionView, income: int) -> FlowNode:
        output = made.output
        content: Value = list(output.ppm) if isinstance(output, Forecast) else output.payload
        return FlowNode(
            commit=made.commit,
            author=self.nodes[made.author].keys.public,
            epoch=view.opens,
            revealed=True,
            content_key=digest(encode(content)),
            G_ppm=0,  # nobody here cites a forecast
            income=income,
            citations=tuple(made.weights.items()),
        )

    def _pay_citations(self, question: Open, flows: FlowResult) -> None:
        by_commit = {made.commit: made for made in question.made.values()}
        amounts = {(payment.frm_commit, payment.to_commit): payment.amount for payment in flows.payments}
        level = {made.commit: 0 for made in question.made.values()}
        for made in reversed(question.made.values()):  # whoever cites comes before whom it cites
            for commit in made.weights:
                amount = amounts.get((made.commit, commit), 0)
                level[commit] = max(level[commit], level[made.commit] + 1)
                self.levels[level[made.commit] + 1] += amount
                self._move(made.author, by_commit[commit].author, amount)

    def _move(self, payer: str, payee: str, amount: int) -> None:
        for name, change in ((payer, -amount), (payee, amount)):
            self.books[name].free += change
            self.books[name].balance += change
        self.books[payer].paid += amount
        self.books[payee].received += amount

    def _tell(
        self, question: Open, made: Contribution, outcome: int, scores: Scores, flows: FlowResult
    ) -> None:
        key = self.nodes[made.author].keys.public
        back, emission = next(((row.back, row.net) for row in scores.rows if row.author == key), (0, 0))
        ppm = made.output.ppm if isinstance(made.output, Forecast) else None
        income, paid = emission + flows.received[made.commit], flows.paid_out[made.commit]
        net = income - paid + back - made.wager
        bought = sum(signal.price for signal in made.signals)
        about = (question.view, outcome, ppm, tuple(made.signals), income, paid, made.wager, back, net)
        self.agents[made.author].observe(Result(*about, question.sold[made.author], bought))
        if ppm is not None:
            books = self.books[made.author]
            books.forecasts += 1
            books.loss -= log(ppm[outcome] / PPM)
            books.prior_loss -= log(question.view.prior_ppm[outcome] / PPM)


def table(economy: Economy) -> str:
    """The play in words: forecasters by name, sellers by contribution, what was paid at each level."""
    income, contribution = economy.income(), economy.contribution()
    levels = ", ".join(
        f"level {level} {amount / ATOMS:.2f}" for level, amount in sorted(economy.levels.items())
    )
    heads = ("log loss", "prior", "gain", "wagers", "emission", "paid", "bought", "balance")
    return "\n".join(
        [
            f"{economy.settled} questions settled, {len(economy.nodes)} agents; losses in nats, amounts in tokens",
            "",
            f"{'forecaster':<14}" + "".join(f"{head:>10}" for head in heads),
            *(_forecaster(name, economy.books[name]) for name in economy.named("forecaster")),
            "",
            f"{'seller':<14}"
            + "".join(f"{head:>14}" for head in ("received", "sold", "passed on", "contribution")),
            *(_seller(name, economy.books[name], contribution) for name in _best_first(contribution)),
            "",
            f"rank correlation of what sellers received and contributed: {rank_correlation(income, contribution):.3f}",
            f"paid, by the longest way from a forecast: {levels}",
        ]
    )


def _forecaster(name: str, books: Books) -> str:
    count = max(1, books.forecasts)
    losses = (books.loss / count, books.prior_loss / count, books.gain)
    amounts = (books.won, books.emission, books.paid, books.bought, books.balance)
    return (
        f"{name:<14}"
        + "".join(f"{nats:>10.4f}" for nats in losses)
        + "".join(f"{amount / ATOMS:>10.2f}" for amount in amounts)
    )


def _seller(name: str, books: Books, contribution: Mapping[str, float]) -> str:
    received, sold, paid = books.received / ATOMS, books.sold / ATOMS, books.paid / ATOMS
    return f"{name:<14}{received:>14.3f}{sold:>14.3f}{paid:>14.3f}{contribution[name]:>14.2f}"


def _best_first(contribution: Mapping[str, float]) -> Sequence[str]:
    return sorted(contribution, key=lambda name: -contribution[name])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Play a scenario offline and print who earned what.")
    parser.add_argument("scenario", type=Path)
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--reports", action="store_true", help="print each agent's own report too")
    chosen = parser.parse_args()
    plan = make_plan(load_scenario(chosen.scenario), ROOT, chosen.nodes, chosen.epochs, chosen.seed)
    economy = Economy(plan)
    begin = time.process_time()
    economy.run()
    print(table(economy))
    print(f"CPU seconds: {time.process_time() - begin:.1f} to play; to open each agent", end=" ")
    print(", ".join(f"{name} {seconds:.2f}" for name, seconds in economy.open_seconds.items()))
    if chosen.reports:
        for name, report in economy.reports().items():
            print(name, report)


if __name__ == "__main__":
    main()
