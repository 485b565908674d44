"""Buys schedule and weather, and sells what they mean together: crosswind, fog, congestion, and the risk of delay."""

from collections.abc import Sequence

from flights_buyer import Buyer
from flights_documents import to_payload
from flights_models import Model
from flights_risk import FEATURES, extractor_model, features_rows

from troth_node.agent import Production, QuestionView, Signal


class Extractor(Buyer):
    """Crosswind (mph), fog and fog_worst (1 / (1 + miles of visibility)), damp (temperature less dew point, °F), rain
    (log), congestion (departures × usual share late), and the chances of the three outcomes by schedule and weather.
    """

    documents = ("flights/features",)
    buys = ("flights/schedule", "flights/weather")

    def make_model(self) -> Model:
        return extractor_model(self.table)

    def produce(self, question: QuestionView, signals: Sequence[Signal]) -> Production | None:
        if not signals:
            return None
        risk = self.estimates(question, signals)[-1:]
        payload = to_payload(FEATURES, features_rows(self.blocks(question, signals), risk)[0])
        return Production(self.documents[0], payload, f"Logistic regression over {len(signals)} inputs.")
