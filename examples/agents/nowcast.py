"""Buys features and the airport's own delays, and sells a smoothed nowcast: what is late now, carried two hours on."""

from collections.abc import Sequence

from flights_buyer import Buyer
from flights_documents import to_payload
from flights_models import Model
from flights_risk import NOWCAST, nowcast_model, nowcast_rows

from troth_node.agent import Production, QuestionView, Signal


class Nowcast(Buyer):
    """The share of flights expected to be late, and the chances of the three outcomes."""

    documents = ("flights/nowcast",)
    buys = ("flights/features", "flights/own_delays")

    def make_model(self) -> Model:
        return nowcast_model(self.table)

    def produce(self, question: QuestionView, signals: Sequence[Signal]) -> Production | None:
        if not signals:
            return None
        risk = self.estimates(question, signals)[-1:]
        payload = to_payload(NOWCAST, nowcast_rows(risk)[0])
        return Production(self.documents[0], payload, f"Logistic regression over {len(signals)} inputs.")
