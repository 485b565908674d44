"""A first agent: it buys one signal and leans on it. Twenty lines are enough to take part."""

from collections.abc import Sequence

from troth_node.agent import Agent, Forecast, QuestionView, Signal, Want
from troth_protocol.insight.prior import clamp_ppm


class First(Agent):
    """Where departures of the last hours ran late, expects more of the same."""

    def wants(self, question: QuestionView) -> list[Want]:
        return [Want("flights/own_delays", min_weight_ppm=100_000)]

    def forecast(self, question: QuestionView, signals: Sequence[Signal]) -> Forecast | None:
        payload = signals[0].payload if signals else None
        if not isinstance(payload, dict):
            return None  # silence costs nothing
        late = max(100, min(int(str(payload.get("past7h", 250))), 600))  # thousandths; 250 is usual
        tilt = (62_500 // late, 250, late)
        ppm = clamp_ppm([p * t for p, t in zip(question.prior_ppm, tilt, strict=True)], 10_000)
        return Forecast(ppm, f"{late // 10} % of recent departures ran late.", wager_ppm=10_000)
