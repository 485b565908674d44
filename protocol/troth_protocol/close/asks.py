"""What has been asked for and not come yet: each thing once between two ticks, and not too many at a time."""

from __future__ import annotations

from typing import Final

from troth_protocol.log.book import LogBook
from troth_protocol.wire.chunks import Assembly
from troth_protocol.wire.messages import WantChunk, WantLog

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

    def chunk(self, assembly: Assembly) -> WantChunk | None:
        """What to ask for next of this, unless it is asked for already."""
        index = assembly.wanted() or 0
        return WantChunk(assembly.root, index) if self.open(assembly.root, index) else None

    def logs(self, book: LogBook, missing: dict[bytes, tuple[int, bytes]]) -> list[WantLog]:
        """What to ask for now of logs up to these heads, by author; those that the book holds leave `missing`."""
        wants = []
        for author, (last, _) in list(missing.items()):
            first = book.head(author)[0] + 1
            if last < first:
                del missing[author]
                self.close(author)
            elif self.open(author, first):
                wants.append(WantLog(author, book.epoch, first, last))
            elif self.is_full():
                break
        return wants

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
