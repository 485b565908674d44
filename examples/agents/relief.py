"""A witness that takes turns: it bonds in, witnesses for a while, unbonds and comes back, while the network runs."""

from collections.abc import Mapping, Sequence

from troth_node.agent import Agent, Forecast, Json, Means, QuestionView, Signal

TOKEN = 10**9  # atomic units


class Relief(Agent):
    """Holds a witness bond in some epochs of every turn, and forecasts the prior to keep the logs busy.

    Options: `bond` (tokens); `turn`, its length in epochs; `duty`, how many of them it holds the bond; `begins`, the
    epoch of its first turn.
    """

    is_quick = True

    def open(self, options: Mapping[str, Json]) -> None:
        super().open(options)
        self.bond = int(str(options.get("bond", 1_000))) * TOKEN
        self.turn = int(str(options.get("turn", 5)))
        self.duty = int(str(options.get("duty", 2)))
        self.begins = int(str(options.get("begins", 1)))

    def bonds(self, means: Means) -> dict[str, int]:
        since = means.epoch - self.begins
        return {"witness": self.bond if since >= 0 and since % self.turn < self.duty else 0}

    def forecast(self, question: QuestionView, signals: Sequence[Signal]) -> Forecast | None:
        return Forecast(question.prior_ppm, "What everybody knows.", wager_ppm=1_000)
