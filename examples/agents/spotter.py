"""A seller to have several of: it watches one airport, some hours late, through a lens of its own."""

from collections.abc import Mapping, Sequence
from random import Random

from flights_common import DataSeller

from troth_node.agent import Json, Production, QuestionView, Signal


class Spotter(DataSeller):
    """Share of late flights at one airport, whichever the question is about; the document's name says where, and how
    stale.

    Options: `airport`, `lag` (hours staler than need be), `blur_ppm` (standard error of each number).
    """

    def open(self, options: Mapping[str, Json]) -> None:
        super().open(options)
        self.documents = (f"flights/spotter/{options.get('airport', 'JFK')}/{options.get('lag', 0)}",)
        self.blur_ppm = int(str(options.get("blur_ppm", 0)))

    def produce(self, question: QuestionView, signals: Sequence[Signal]) -> Production:
        seen = super().produce(question, signals)
        lens = Random(f"{self.seed} {self.name} {question.subject}")
        blur = self.blur_ppm / 1000
        payload = seen.payload if isinstance(seen.payload, dict) else {}
        numbers = {name: number for name, number in payload.items() if isinstance(number, int)}
        return Production(
            seen.document,
            {name: max(0, round(number + lens.gauss(0, blur))) for name, number in numbers.items()},
            seen.rationale,
        )
