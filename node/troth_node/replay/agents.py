"""The agents of a replay by processes: each looks up in the table what it forecast, or what came true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from troth_node.agent import Agent, Forecast, Json, QuestionView, Signal
from troth_node.replay.forecasts import Table, shared_table


class _Reader(Agent):
    """An agent with the table. Options: `file`, `epsilon_ppm`, `min_forecasters`, and `forecaster`, its number."""

    table: Table
    number: int

    def open(self, options: Mapping[str, Json]) -> None:
        """Read the table (the supervisor has, so that a forked process need not)."""
        super().open(options)
        self.number = int(str(options["forecaster"]))
        self.table = shared_table(
            Path(str(options["file"])),
            int(str(options["epsilon_ppm"])),
            int(str(options["min_forecasters"])),
        )


class Forecaster(_Reader):
    """Says what the table says it said, on an even part of what it has."""

    def forecast(self, question: QuestionView, signals: Sequence[Signal]) -> Forecast | None:
        """What this forecaster answered, if it did."""
        round_, place = self.table.at(question.index)
        ppm = round_.questions[place].answers.get(self.number)
        if ppm is None:
            return None
        return Forecast(tuple(ppm), "replayed", wager_ppm=0, parts=len(round_.answered_by(self.number)))


class Oracle(_Reader):
    """Attests the outcome that the table names."""

    def attest(self, question: QuestionView) -> int | None:
        """What came true."""
        return self.table.asked(question.index).outcome
