"""When to say something again that has not been answered: after one whole interval, then after twice as long each time.

Links lose nothing while they are up, so what is slow is under way: saying it again at once only makes it slower.
"""

from __future__ import annotations

from dataclasses import dataclass

PAUSE_MAX = 8


@dataclass(slots=True)
class Patience:
    """Counts intervals for one thing that waits for an answer."""

    age: int = 0
    due: int = 2
    pause: int = 1

    def is_over(self) -> bool:
        """One more interval is over: is it time to say it again?"""
        self.age += 1
        if self.age < self.due:
            return False
        self.pause = min(2 * self.pause, PAUSE_MAX)
        self.due = self.age + self.pause
        return True
