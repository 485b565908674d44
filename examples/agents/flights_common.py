"""What all flights agents share: they attest what the table says happened, and sellers of data sell rows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from flights_documents import to_payload
from flights_risk import data, names_of
from flights_table import DATA, Slots, load_table

from troth_node.agent import Agent, Json, Production, QuestionView, Quote, Request, Signal


class FlightsAgent(Agent):
    """Reads the table, attests what happened, and sells at an asking weight, or for less when countered."""

    ask_ppm = 60_000
    least_ppm = 5_000
    is_quick = True

    @classmethod
    def prepare(cls) -> None:
        load_table(DATA)

    def open(self, options: Mapping[str, Json]) -> None:
        super().open(options)
        self.table = load_table(Path(str(options.get("data", DATA))))

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
        if request.document not in self.documents:
            return None
        return Quote(max(request.min_weight_ppm, self.ask_ppm if request.round == 0 else self.least_ppm))


class DataSeller(FlightsAgent):
    """Sells one document of data, as it stands in the table."""

    def produce(self, question: QuestionView, signals: Sequence[Signal]) -> Production:
        document = self.documents[0]
        row = data(document)(self.table, Slots.of(question.subject))[0]
        return Production(document, to_payload(names_of(document), row), f"{document} for {question.subject}")
