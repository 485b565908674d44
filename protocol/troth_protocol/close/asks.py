"""What has been asked for and not come yet: each thing once between two ticks, and not too many at a time."""

from __future__ import annotations

from typing import Final

ASKS_MAX: Final = 64


class Asks:
    """Open requests; after a tick everything may be asked for again, and `turn` says of whom."""

    def __init__(self) -> None:
        self.turn = 0
        self._open: dict[bytes, int] = {}

    def open(self, what: bytes, index: int = 0) -> bool:
        """Ask for this now? A later part of the same thing counts as new; False if there are too many already."""
        if self._open.get(what) == index or (what not in self._open and len(self._open) >= ASKS_MAX):
            return False
        self._open[what] = index
        return True

    def close(self, what: bytes) -> None:
        """It came, whole."""
        self._open.pop(what, None)

    def tick(self) -> None:
        """Forget what is open, and move on to the next peer."""
        self.turn += 1
        self._open.clear()

    def is_full(self) -> bool:
        """Is there no room for another thing?"""
        return len(self._open) >= ASKS_MAX
