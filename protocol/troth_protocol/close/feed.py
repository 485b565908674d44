"""The feed: a witness passes certified entries on while the epoch is open, so that a follower has them at the seal.

Nothing relies on it: whatever a follower still lacks when the seal comes, it asks for.
"""

from __future__ import annotations

from itertools import islice

from troth_protocol.effects import Effects
from troth_protocol.log.book import LogBook, Stored
from troth_protocol.wire.messages import ITEMS_MAX, Entries

FEED_BYTES = 150_000


class Feed:
    """Who asked to be fed in one epoch, and how much of the book each has got."""

    def __init__(self, book: LogBook, out: Effects) -> None:
        self.book = book
        self.out = out
        self._places: dict[bytes, int] = {}

    def join(self, peer: bytes) -> None:
        """A peer wants all of this epoch's certified entries; a second time changes nothing."""
        self._places.setdefault(peer, 0)

    def leave(self, peer: bytes) -> None:
        """The link is gone."""
        self._places.pop(peer, None)

    def flush(self) -> None:
        """Send everybody what was stored since the last time: a book keeps its entries in causal order."""
        for peer in self._places:
            while self._places[peer] < len(self.book.stored):
                count, items = self._next(self._places[peer], peer)
                self._places[peer] += count
                if items:
                    self.out.send(peer, Entries(self.book.epoch, items))

    def _next(self, place: int, peer: bytes) -> tuple[int, tuple[tuple[bytes, bytes], ...]]:
        """As many entries as one answer may hold, one at least, but the peer's own; and how many were looked at."""
        out: list[tuple[bytes, bytes]] = []
        count = size_bytes = 0
        for stored in islice(self.book.stored.values(), place, place + ITEMS_MAX):
            if stored.entry.header.author != peer:
                item = _item(stored)
                size_bytes += len(item[0]) + len(item[1])
                if out and size_bytes > FEED_BYTES:
                    break
                out.append(item)
            count += 1
        return count, tuple(out)


def _item(stored: Stored) -> tuple[bytes, bytes]:
    return stored.entry.data, stored.certificate.data
