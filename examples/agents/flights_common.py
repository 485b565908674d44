"""What all flights agents share: they attest what the table says happened, and sellers of data sell rows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from flights_documents import to_payload
from flights_prices import AUCTION, CITATION, PRICE, Till, is_for_sale
from flights_risk import data, names_of
from flights_table import DATA, Slots, load_table

from troth_node.agent import Agent, Json, Lot, Production, QuestionView, Quote, Request, Result, Signal

#: A price is paid whatever becomes of the forecast: what it asks, and takes at last, in per cent of what it has earned.
ASKED, TAKEN = 70, 50
#: Bids go up to so many times the reserve price.
CAP_PRICES = 5


class FlightsAgent(Agent):
    """Reads the table, attests what happened, and sells at an asking weight, or for less when countered.

    Options: `sale`, how it sells where there is time for it: by "citation", for a "price" or at "auction", the latter
    two for what it has earned so far; `units`, how many it auctions.
    """

    ask_ppm = 60_000
    least_ppm = 5_000
    sale = CITATION
    units = 1
    is_quick = True

    @classmethod
    def prepare(cls) -> None:
        load_table(DATA)

    def open(self, options: Mapping[str, Json]) -> None:
        super().open(options)
        self.table = load_table(Path(str(options.get("data", DATA))))
        self.sale = str(options.get("sale", self.sale))
        self.units = int(str(options.get("units", self.units)))
        self.till = Till()

    def describe(self, document: str) -> str | None:
        """What the examples ship; of all spotters there is one text, with places for airport and lag."""
        if not document.startswith("flights/spotter/"):
            return super().describe(document)
        _, _, airport, lag = document.split("/")
        text = super().describe("flights/spotter")
        return None if text is None else text.replace("{airport}", airport).replace("{lag}", lag)

    def attest(self, question: QuestionView) -> int | None:
        """What the table says happened; by the question's text no departures count as the first outcome."""
        return max(0, int(self.table.outcome(Slots.of(question.subject))[0]))

    def quote(self, request: Request) -> Quote | None:
        """By weight or by price: first what it would like, then what it takes. What it auctions nobody else gets."""
        how = self.sale_on(request.question)
        if request.document not in self.documents or how == AUCTION:
            return None
        if request.round == 0:
            self.till.ask(request.question.id)
        if how == PRICE:
            asked = self.till.price() * (ASKED if request.round == 0 else TAKEN) // 100
            return Quote(0, max(request.price, asked))
        return Quote(max(request.min_weight_ppm, self.ask_ppm if request.round == 0 else self.least_ppm))

    def sale_on(self, question: QuestionView) -> str:
        """How it sells on this question."""
        return self.sale if is_for_sale(self.sale, question) else CITATION

    def auction(self, question: QuestionView, production: Production) -> Lot | None:
        """A few units, which together bring no less than a question that everybody can buy on."""
        if self.sale_on(question) != AUCTION:
            return None
        reserve = self.till.reserve(self.units)
        return Lot(self.units, reserve, CAP_PRICES * reserve)

    def observe(self, result: Result) -> None:
        super().observe(result)
        self.till.learn(result)


class DataSeller(FlightsAgent):
    """Sells one document of data, as it stands in the table."""

    def produce(self, question: QuestionView, signals: Sequence[Signal]) -> Production:
        document = self.documents[0]
        row = data(document)(self.table, Slots.of(question.subject))[0]
        return Production(document, to_payload(names_of(document), row), f"{document} for {question.subject}")
