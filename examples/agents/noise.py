"""Sells confident tips that are drawn at random: the seller that a good credit rule must starve."""

from collections.abc import Sequence
from random import Random

from flights_common import FlightsAgent
from flights_risk import TIP

from troth_node.agent import Production, QuestionView, Signal
from troth_protocol.wire.codec import Value


class Noise(FlightsAgent):
    """A tip: the chances of the three outcomes."""

    documents = ("flights/tip",)
    least_ppm = 1_000

    def produce(self, question: QuestionView, signals: Sequence[Signal]) -> Production:
        chance = Random(f"{self.seed} {self.name} {question.subject}")
        odds = [chance.gammavariate(0.7, 1) for _ in TIP]
        payload: Value = {name: round(1000 * p / sum(odds)) for name, p in zip(TIP, odds, strict=True)}
        return Production(
            self.documents[0], payload, f"A tip for {question.subject}, from our proprietary model."
        )
