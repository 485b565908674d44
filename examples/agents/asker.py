"""A question for money: one agent asks and pays for the answer, others who know something answer and attest."""

from collections.abc import Mapping, Sequence

from troth_node.agent import Agent, Ask, Forecast, Json, Means, QuestionView, Result, Signal
from troth_protocol.insight.prior import clamp_ppm

TOKEN = 10**9  # atomic units
TEXT = "Has the harbour been free of ice all week?"
OUTCOMES = ("no", "yes")


class Asker(Agent):
    """Asks its question once, with a bounty in tokens; what it has learnt is in its report.

    Options: `text`, `bounty` (tokens), `epoch` (the first in which it may ask).
    """

    is_quick = True

    def open(self, options: Mapping[str, Json]) -> None:
        super().open(options)
        self.text = str(options.get("text", TEXT))
        self.bounty = int(str(options.get("bounty", 20))) * TOKEN
        self.first = int(str(options.get("epoch", 2)))
        self.answer: str | None = None
        self.paid = 0

    def asks(self, means: Means) -> list[Ask]:
        if means.epoch < self.first or self.text in means.asking or self.answer is not None:
            return []
        self.first = means.epoch + 30  # not again before this one has closed, or its bounty came back
        return [Ask(self.text, OUTCOMES, self.bounty, prior_ppm=(500_000, 500_000))]

    def observe(self, result: Result) -> None:
        super().observe(result)
        if result.question.text == self.text and result.outcome is not None:
            self.answer = result.question.outcomes[result.outcome]
            self.paid = self.bounty - result.returned

    def report(self) -> dict[str, Json]:
        return {"asked": self.text, "answer": self.answer, "paid": self.paid / TOKEN}


class Harbourmaster(Agent):
    """Knows what goes on in the harbour: it answers whoever asks about it, and attests what it saw.

    Of the standing topic it knows that the sides of the coin take turns.
    """

    is_quick = True

    def forecast(self, question: QuestionView, signals: Sequence[Signal]) -> Forecast | None:
        if question.asker is None or "harbour" not in question.text:
            return None  # silence costs nothing
        return Forecast(clamp_ppm([1, 9], 10_000), "I have been there every day.", wager_ppm=100_000)

    def attest(self, question: QuestionView) -> int | None:
        if question.asker is None:
            return question.index % len(question.outcomes)
        return (
            OUTCOMES.index("yes") if "harbour" in question.text else None
        )  # to decline costs nothing either
