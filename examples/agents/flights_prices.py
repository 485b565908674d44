"""What flights agents know of prices: what a sale has brought so far, and what a signal has been worth to its buyer.

Where a question's commits are open for long enough, a signal can be sold for a price; elsewhere citations pay for it.
"""

from __future__ import annotations

from troth_node.agent import QuestionView, Result

TOKEN = 10**9  # atomic units
CITATION, PRICE, AUCTION = "citation", "price", "auction"
#: Commit phases that leave time to lock a price and claim it, and to hold an auction and deliver what was won.
LEAST_EPOCHS = {CITATION: 0, PRICE: 5, AUCTION: 7}
#: What is taken for granted until so many rounds have taught better.
START_PRICE, START_INCOME, START_ROUNDS = TOKEN // 60, TOKEN // 8, 40


def is_for_sale(how: str, question: QuestionView) -> bool:
    """Is there time to sell it so?"""
    return question.commit_last - question.opens + 1 >= LEAST_EPOCHS[how]


class Till:
    """A seller's: what it was paid on average, by citation or by price, is what it asks for the next."""

    def __init__(self) -> None:
        self._earned = START_PRICE * START_ROUNDS
        self._deliveries, self._questions = START_ROUNDS, START_ROUNDS // 2
        self._asked: dict[bytes, int] = {}

    def ask(self, question: bytes) -> None:
        """One more wants to have it on a question."""
        self._asked[question] = self._asked.get(question, 0) + 1

    def learn(self, result: Result) -> None:
        """A question is settled. What an auction has brought says nothing of what one buyer would pay."""
        asked = self._asked.pop(result.question.id, 0)
        if asked:
            self._earned += result.income + result.sold
            self._deliveries += asked
            self._questions += 1

    def price(self) -> int:
        """What a delivery has brought, in atomic units, at least 1."""
        return max(1, self._earned // self._deliveries)

    def reserve(self, units: int) -> int:
        """What each of so many units has to bring, so that a question brings no less than where all can have it."""
        return max(1, self._earned // (self._questions * units))


class Worth:
    """A buyer's: what a question has brought it on average. A signal is worth its share of that."""

    def __init__(self) -> None:
        self._income, self._rounds = START_INCOME * START_ROUNDS, START_ROUNDS

    def learn(self, result: Result) -> None:
        """A question is settled."""
        self._income += result.income
        self._rounds += 1

    def of(self, share: float) -> int:
        """What a signal with that share of the credit is worth, in atomic units; nothing, to whoever loses."""
        return max(0, int(share * self._income / self._rounds))
