"""Promised citations: a seller that insists on a floor, a buyer that keeps its word, and one that does not."""

from collections.abc import Sequence

from hints import OUTCOMES, TOKEN, Witness

from troth_node.agent import Forecast, Production, QuestionView, Quote, Request, Signal, Want
from troth_protocol.insight.prior import clamp_ppm

WEIGHT_PPM = 300_000


class Teller(Witness):
    """The coin's next side, for a citation. Whoever does not cite it in a wager of a token owes two."""

    documents = ("coin/hint",)

    def quote(self, request: Request) -> Quote | None:
        if request.document not in self.documents:
            return None
        return Quote(WEIGHT_PPM, floor=2 * TOKEN, min_wager=TOKEN)

    def produce(self, question: QuestionView, signals: Sequence[Signal]) -> Production:
        return Production(self.documents[0], {"side": question.index % OUTCOMES}, "I have seen the coin")


class Keeper(Witness):
    """Takes a hint, leans on it, and cites it as it has promised."""

    budget = 3 * TOKEN  # the highest floor that it promises
    pay_ppm = WEIGHT_PPM
    cite_ppm = WEIGHT_PPM

    def wants(self, question: QuestionView) -> list[Want]:
        return [Want("coin/hint", WEIGHT_PPM)]

    def forecast(self, question: QuestionView, signals: Sequence[Signal]) -> Forecast | None:
        payload = signals[0].payload if signals else None
        if not isinstance(payload, dict):
            return None
        side = int(str(payload.get("side", 0)))
        ppm = clamp_ppm([900_000 if side == outcome else 100_000 for outcome in range(OUTCOMES)], 10_000)
        return Forecast(ppm, "The hint says so.", wager_ppm=10_000)


class Breaker(Keeper):
    """Takes the same hint, and cites nobody: the close of each question charges it."""

    def allocate(
        self, question: QuestionView, signals: Sequence[Signal], output: Production | Forecast
    ) -> dict[bytes, int]:
        return {}
