"""Buyers: they predict from any coalition of what they bought, so they can say what each signal was worth to them.

A signal's worth in a round is its exact Shapley value of the log score, in nats. Multiplicative weights turn past worth
into citation weights, and half of a source's current share is the most that a buyer promises it in a negotiation. What
has a price may cost that share of what a question brings; it is not cited besides. Who does harm is asked no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import numpy as np
from flights_common import FlightsAgent
from flights_documents import from_payload
from flights_models import LinearModels, MaskedTrees, Model
from flights_prices import AUCTION, Worth, is_for_sale
from flights_risk import airport_block, history_outcomes, names_of, sample, sample_blocks
from flights_table import DATA, Floats, Slots, load_table

from troth_node.agent import (
    Accept,
    Auction,
    Counter,
    Decision,
    Forecast,
    Json,
    Offer,
    Production,
    QuestionView,
    Reject,
    Result,
    Seller,
    Signal,
    Want,
)
from troth_protocol.insight.credit import exact_shapley
from troth_protocol.insight.prior import ppm_from_floats
from troth_protocol.wire.schema import PPM

EPSILON_PPM = 10_000
SAMPLE_STEP = 31
LEAST_NATS = 0.02
#: A seller whose signals have cost a buyer more than so much a round, after so many rounds, is dropped.
HARM_NATS, TRIAL_ROUNDS = 0.03, 60


class Buyer(FlightsAgent):
    """Buys the documents named in `buys`, each with its seller after an @ where it matters.

    Options: `buys` replaces the class's list; `bids` names what of it is sold at auction, where there is time for one.
    """

    buys: tuple[str, ...] = ()
    bids: tuple[str, ...] = ()
    trees = False
    rate = 0.2

    @classmethod
    def prepare(cls) -> None:
        """What is bought is learnt from samples that all buyers share, models of resold signals among them."""
        super().prepare()
        for document in cls.buys:
            sample(document.partition("@")[0], load_table(DATA))

    def open(self, options: Mapping[str, Json]) -> None:
        super().open(options)
        buys = options.get("buys")
        self.buys = tuple(map(str, buys)) if isinstance(buys, list) else self.buys
        bids = options.get("bids")
        self.bids = tuple(map(str, bids)) if isinstance(bids, list) else self.bids
        self.value = Worth()
        self.inputs = [document.partition("@")[0] for document in self.buys]
        self.sources: dict[str, str] = {}
        self.model = self.make_model()
        self._pending: dict[bytes, tuple[list[str], Floats]] = {}
        self._credit: dict[str, float] = {}
        self._credited: dict[str, int] = {}
        self._cited: dict[str, int] = {}
        self._rounds = self._settled = 0
        self.expected = self.backtest()

    def make_model(self) -> Model:
        """The model over `inputs`, fitted on January to August."""
        model: Model = MaskedTrees(self.seed) if self.trees else LinearModels()
        model.fit(sample_blocks(self.inputs, self.table), history_outcomes(self.table))
        return model

    def backtest(self) -> dict[str, float]:
        """What each document adds to the log score over a few hundred hours of the sample, in nats; never nothing."""
        blocks = [block[::SAMPLE_STEP] for block in sample_blocks(self.inputs, self.table)]
        outcomes = history_outcomes(self.table)[::SAMPLE_STEP]
        rows = self.model.coalitions(blocks).reshape(-1, *blocks[0].shape)
        scores = np.log(rows[:, np.arange(len(outcomes)), outcomes]).mean(axis=1).tolist()
        worth = exact_shapley(len(self.inputs), lambda coalition: scores[sum(1 << k for k in coalition)])
        return {document: max(nats, LEAST_NATS) for document, nats in zip(self.inputs, worth, strict=True)}

    def wants(self, question: QuestionView) -> list[Want]:
        split = [document.partition("@") for document in self.buys]
        return [
            Want(document, 0, seller or None, at_auction=True)
            if document in self.bids and is_for_sale(AUCTION, question)
            else Want(document, self.limit(document) // 2, seller or None)
            for document, _, seller in split
        ]

    def prefer(self, want: Want, sellers: Sequence[Seller]) -> list[Seller]:
        """Nobody who was ever convicted, and nobody by whom it has lost for long enough."""
        liked = super().prefer(want, sellers)
        return [
            seller
            for seller in liked
            if not seller.standing.offences and not self.is_dropped(f"{want.document}@{seller.name}")
        ]

    def is_dropped(self, source: str) -> bool:
        """Has what was bought from there done harm for long enough?"""
        rounds = self._credited.get(source, 0)
        return rounds >= TRIAL_ROUNDS and self._credit[source] < -HARM_NATS * rounds

    def consider(self, offer: Offer) -> Decision:
        limit, pay = self.limit(offer.document), self.pay_for(offer.document)
        if offer.min_weight_ppm <= limit and offer.price <= pay:
            return Accept()
        counter = Counter(min(offer.min_weight_ppm, limit), min(offer.price, pay))
        return counter if offer.round == 0 and (pay or not offer.price) else Reject()

    def bid(self, auction: Auction) -> int | None:
        """What it is worth."""
        return self.pay_for(auction.document)

    def pay_for(self, document: str) -> int:
        """The highest price: its share of the credit, of what a question brings."""
        return self.value.of(self.share(document))

    def share(self, document: str) -> float:
        """A document's share of the credit, among all that it buys."""
        sources = [self.sources.get(name, name) for name in self.inputs]
        return self.worth.shares(sources)[self.inputs.index(document)]

    def limit(self, document: str) -> int:
        """The most that it promises to cite a document's seller with: half of what it would cite it with now."""
        return int(self.cite_ppm * self.share(document)) // 2

    def allocate(
        self, question: QuestionView, signals: Sequence[Signal], output: Production | Forecast
    ) -> dict[bytes, int]:
        weights = super().allocate(question, signals, output)
        for signal in signals:
            if signal.price:
                weights.pop(signal.commit, None)
        self._rounds += 1
        for signal in signals:
            cited = self._cited.get(signal.source, 0)
            self._cited[signal.source] = cited + weights.get(signal.commit, 0)
        return weights

    def blocks(self, question: QuestionView, signals: Sequence[Signal]) -> list[Floats]:
        """One row for the model: the airport, then each input's numbers, NaN where nothing was delivered."""
        payloads = {signal.document: signal.payload for signal in signals}
        rows = [from_payload(names_of(document), payloads.get(document, {})) for document in self.inputs]
        return [airport_block(Slots.of(question.subject)), *rows]

    def estimates(self, question: QuestionView, signals: Sequence[Signal]) -> Floats:
        """Probabilities for every coalition of the delivered signals: row i uses signal b iff bit b of i is set."""
        by_document = {signal.document: signal for signal in signals if signal.document in self.inputs}
        for document, signal in by_document.items():
            self.sources[document] = signal.source
            self.worth.start(signal.source, self.expected.get(document, 1.0))
        everything = self.model.coalitions(self.blocks(question, signals))
        bits = [self.inputs.index(document) for document in by_document]
        rows = [sum(1 << bit for k, bit in enumerate(bits) if i >> k & 1) for i in range(2 ** len(bits))]
        found = self.refine(question, everything[rows], list(by_document.values()))
        self._pending[question.id] = [signal.source for signal in by_document.values()], found
        return found

    def refine(self, question: QuestionView, rows: Floats, signals: Sequence[Signal]) -> Floats:
        """What to make of the model's probabilities, coalition by coalition. Default: take them as they are."""
        return rows

    def credit(self, result: Result) -> dict[str, float]:
        sources, rows = self._pending.pop(result.question.id, ([], np.empty((0, 0))))
        if result.outcome is None or not sources:
            return {}
        scores = [log(max(p, EPSILON_PPM / PPM)) for p in rows[:, result.outcome].tolist()]
        worth = exact_shapley(len(sources), lambda coalition: scores[sum(1 << k for k in coalition)])
        found = dict(zip(sources, worth, strict=True))
        self._settled += 1
        for source, nats in found.items():
            self._credit[source] = self._credit.get(source, 0.0) + nats
            self._credited[source] = self._credited.get(source, 0) + 1
        return found

    def observe(self, result: Result) -> None:
        super().observe(result)
        self.value.learn(result)

    def report(self) -> dict[str, Json]:
        """Adds by source: `credit_nats`, summed Shapley values of the log score; `cited_ppm`, mean citation weights."""
        credit: dict[str, Json] = {source: round(nats, 4) for source, nats in sorted(self._credit.items())}
        cited: dict[str, Json] = {source: ppm // self._rounds for source, ppm in sorted(self._cited.items())}
        return super().report() | {"settled": self._settled, "credit_nats": credit, "cited_ppm": cited}


class Forecaster(Buyer):
    """Lets its signals update the prior: p ∝ prior · model(signals) / model(nothing). Without signals it is silent.

    Options: `wager_ppm`, the share of its free balance put on each question.
    """

    trees = True
    cite_ppm = 900_000
    wager_ppm = 20_000

    def open(self, options: Mapping[str, Json]) -> None:
        super().open(options)
        self.wager_ppm = int(str(options.get("wager_ppm", self.wager_ppm)))
        self._loss = self._prior_loss = 0.0

    def refine(self, question: QuestionView, rows: Floats, signals: Sequence[Signal]) -> Floats:
        updated = np.array(question.prior_ppm) * rows / rows[0]
        return np.asarray(updated / updated.sum(axis=1, keepdims=True))

    def forecast(self, question: QuestionView, signals: Sequence[Signal]) -> Forecast | None:
        rows = self.estimates(question, signals)
        if len(rows) == 1:
            return None
        return Forecast(
            ppm_from_floats(rows[-1].tolist(), EPSILON_PPM), self.explain(question, rows), self.wager_ppm
        )

    def explain(self, question: QuestionView, rows: Floats) -> str:
        """How the forecast came about: the prior, then the signals one by one."""
        sources, _ = self._pending[question.id]
        steps = [f"Prior: {_percent(rows[0])}."]
        for k, source in enumerate(sources):
            steps.append(f"Then {source}: {_percent(rows[2 ** (k + 1) - 1])}.")
        return " ".join([f"{question.subject}, chances of {', '.join(question.outcomes)}.", *steps])

    def credit(self, result: Result) -> dict[str, float]:
        if result.outcome is not None and result.forecast_ppm is not None:
            self._loss -= log(result.forecast_ppm[result.outcome] / PPM)
            self._prior_loss -= log(result.question.prior_ppm[result.outcome] / PPM)
        return super().credit(result)

    def report(self) -> dict[str, Json]:
        """Adds the mean log loss of its forecasts and of the prior, in nats."""
        settled = max(1, self._settled)
        losses: dict[str, Json] = {
            "log_loss": self._loss / settled,
            "prior_log_loss": self._prior_loss / settled,
        }
        return super().report() | losses


def _percent(row: Floats) -> str:
    return "/".join(f"{100 * p:.0f}" for p in row.tolist())
