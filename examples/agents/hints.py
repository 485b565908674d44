"""A signal for a fixed price: one agent sells hints by fair exchange, another buys them, up to its budget."""

from collections.abc import Sequence

from troth_node.agent import Agent, Forecast, Production, QuestionView, Quote, Request, Signal, Want
from troth_protocol.insight.prior import clamp_ppm

TOKEN = 10**9  # atomic units
OUTCOMES = 2


class Witness(Agent):
    """Attests what the coin showed: sides take turns."""

    is_quick = True

    def attest(self, question: QuestionView) -> int | None:
        return question.index % OUTCOMES


class HintSeller(Witness):
    """The coin's next side. It costs two tokens; the price is locked before the hint can be read."""

    documents = ("coin/hint",)
    price = 2 * TOKEN

    def quote(self, request: Request) -> Quote | None:
        return Quote(0, self.price) if request.document in self.documents else None

    def produce(self, question: QuestionView, signals: Sequence[Signal]) -> Production:
        return Production(self.documents[0], {"side": question.index % OUTCOMES}, "I have seen the coin")


class HintBuyer(Witness):
    """Pays up to three tokens for a hint, eight for all, and leans on it."""

    budget = 8 * TOKEN
    pay = 3 * TOKEN

    def wants(self, question: QuestionView) -> list[Want]:
        return [Want("coin/hint", min_weight_ppm=0)]

    def forecast(self, question: QuestionView, signals: Sequence[Signal]) -> Forecast | None:
        payload = signals[0].payload if signals else None
        if not isinstance(payload, dict):
            return None
        side = int(str(payload.get("side", 0)))
        ppm = clamp_ppm([900_000 if side == outcome else 100_000 for outcome in range(OUTCOMES)], 10_000)
        return Forecast(ppm, "The hint says so.", wager_ppm=10_000)
