"""When a witness closes its epoch is its own affair: while authors are at it, it holds the epoch open a little longer.

Whoever spams can stretch an epoch by no more than HOLDS_MAX times a quarter of its length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["HOLDS_MAX", "HOLD_MS", "Pace"]

#: How often a witness may put off its freeze while entries keep coming or its own agent is at work, and by how much:
#: a quarter of an epoch, at most HOLD_MS.
HOLDS_MAX: Final = 12
HOLD_MS: Final = 500
#: So many ticks without a new entry mean that authors have nothing more to say.
QUIET_TICKS: Final = 2


class Pace:
    """One node's patience; `is_busy`, if there is an agent, says whether it is at work."""

    def __init__(self, epoch_ms: int, *, is_patient: bool) -> None:
        self.is_busy: Callable[[], bool] | None = None
        self._hold_ms = min(epoch_ms // 4, HOLD_MS)
        self._is_patient = is_patient
        self._holds = 0
        self._quiet_ticks = QUIET_TICKS

    def opened(self) -> None:
        """A new epoch: nothing was heard in it, and nothing put off."""
        self._holds = 0
        self._quiet_ticks = QUIET_TICKS

    def heard(self) -> None:
        """An author has an entry."""
        self._quiet_ticks = 0

    def tick(self) -> None:
        """A tick went by."""
        self._quiet_ticks += 1

    def hold_ms(self) -> int | None:
        """The pacing timer fired: how long to hold the epoch open, or None to freeze it."""
        self._holds += 1
        return self._hold_ms if self._is_working() and self._holds <= HOLDS_MAX else None

    def _is_working(self) -> bool:
        """Are authors that we vote for, or is our own agent, not done with this epoch?"""
        is_early = self._is_patient and self._quiet_ticks < QUIET_TICKS
        return is_early or (self.is_busy is not None and self.is_busy())
