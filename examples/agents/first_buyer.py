"""A first buyer: it buys from first_seller.py, forecasts what it is told, and cites it."""

from collections.abc import Sequence

from troth_node.agent import Agent, Forecast, QuestionView, Signal, Want
from troth_protocol.insight.prior import clamp_ppm


class FirstBuyer(Agent):
    """Expects what such an hour usually brings."""

    def wants(self, question: QuestionView) -> list[Want]:
        return [Want("first/usual", min_weight_ppm=100_000)]

    def forecast(self, question: QuestionView, signals: Sequence[Signal]) -> Forecast | None:
        payload = signals[0].payload if signals else None
        if not isinstance(payload, dict):
            return None  # nothing was delivered, so nothing is wagered
        days = [int(str(payload[name])) for name in ("low", "middle", "high")]
        return Forecast(clamp_ppm(days, 10_000), "As such hours usually end.", wager_ppm=10_000)
