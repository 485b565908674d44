"""Token buckets that may go into debt: what has already arrived is never thrown away, the next read waits for it."""

from __future__ import annotations


class Bucket:
    """Allows `rate` units a second on average and one second's worth at once."""

    __slots__ = ("_at", "_level", "_rate")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._level = rate
        self._at = now

    def has(self, units: float, now: float) -> bool:
        """Could `units` be spent at time `now` without any wait after it?"""
        return self._level + (now - self._at) * self._rate >= units

    def take(self, units: float, now: float) -> float:
        """Spend `units` at time `now` (seconds, never falling); returns the seconds to wait before spending more."""
        self._level = min(self._rate, self._level + (now - self._at) * self._rate) - units
        self._at = now
        return max(0.0, -self._level / self._rate)
