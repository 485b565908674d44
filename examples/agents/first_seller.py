"""A first seller: a small table, sold to whoever cites it. What it sells is said in documents/first/usual.md."""

from collections.abc import Sequence

from troth_node.agent import Agent, Production, QuestionView, Signal

DAYS = {  # by airport, then by hour: days with few, some and many late departures, January to August
    "EWR": {"09": (85, 138, 18), "12": (37, 132, 72), "15": (14, 97, 130), "18": (25, 80, 136)},
    "JFK": {"09": (79, 139, 23), "12": (91, 117, 33), "15": (23, 114, 104), "18": (19, 116, 106)},
    "LGA": {"09": (112, 108, 21), "12": (83, 111, 47), "15": (49, 114, 78), "18": (56, 80, 105)},
}


class FirstSeller(Agent):
    """Sells how such an hour usually ends."""

    documents = ("first/usual",)

    def produce(self, question: QuestionView, signals: Sequence[Signal]) -> Production:
        airport, time = question.subject.split()  # such as "JFK 2013-09-05T15:00"
        low, middle, high = DAYS[airport][time[11:13]]
        return Production(
            "first/usual", {"low": low, "middle": middle, "high": high}, f"Counted at {airport}."
        )
