"""A forecaster who believes a tip: she loses stake to the others, and learns too late whom to cite."""

from collections.abc import Sequence

import numpy as np
from flights_buyer import Forecaster
from flights_documents import from_payload
from flights_risk import TIP
from flights_table import Floats

from troth_node.agent import QuestionView, Signal


class Carla(Forecaster):
    """Reads the weather like the others, but takes every tip at its word, for half of her forecast."""

    buys = ("flights/own_delays", "flights/schedule", "flights/tip")
    trust = 0.6

    def refine(self, question: QuestionView, rows: Floats, signals: Sequence[Signal]) -> Floats:
        updated = super().refine(question, rows, signals)
        for bit, signal in enumerate(signals):
            if signal.document == "flights/tip":
                told = np.arange(len(rows)) >> bit & 1 == 1
                tip = np.nan_to_num(from_payload(TIP, signal.payload), nan=1 / len(TIP)).clip(0, 1)
                updated[told] = (1 - self.trust) * updated[told] + self.trust * tip
        return updated
