"""Many logs behind one node: authors that share the node's links, log book and disk, each with a key of its own.

A witness answers whoever hands an entry in, so one link can carry the entries of many authors, as a gateway's would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from troth_protocol.core import Core
from troth_protocol.effects import Rows
from troth_protocol.log.author import Author
from troth_protocol.log.book import LogBook
from troth_protocol.log.ops import Op
from troth_protocol.log.vote import Vote, open_batch
from troth_protocol.wire.crypto import KeyPair
from troth_protocol.wire.messages import Votes


class Fleet:
    """Takes the place of a core's author, and passes what concerns an entry to that entry's own author."""

    def __init__(self, core: Core, keys: Sequence[KeyPair], on_free: Callable[[int], None]) -> None:
        self.authors = [Author(pair, core.out) for pair in keys]
        self.incarnation: int | None = None
        self._on_free = on_free
        self._log_of: dict[bytes, int] = {}
        self._due: set[int] = set()
        core.author = self

    @property
    def is_allowed(self) -> bool:
        """May entries be signed?"""
        return self.authors[0].is_allowed

    @is_allowed.setter
    def is_allowed(self, value: bool) -> None:
        for author in self.authors:
            author.is_allowed = value

    def is_idle(self) -> bool:
        """Nothing is queued or on its way in any log."""
        return all(author.is_idle() for author in self.authors)

    def is_free(self, log: int) -> bool:
        """Can this log's next entry be signed at once?"""
        author = self.authors[log]
        return author._flight is None and not author._queue

    def log_of(self, entry: bytes) -> int:
        """The log of an entry that is final now; asked once."""
        return self._log_of.pop(entry)

    def submit_to(self, log: int, ops: tuple[Op, ...]) -> int:
        """Queue ops for one log."""
        self._due.add(log)
        return self.authors[log].submit(ops)

    def open(self, book: LogBook) -> None:
        """A new epoch is open."""
        for author in self.authors:
            author.open(book)
        self._due.update(range(len(self.authors)))

    def pump(self) -> None:
        """Sign and send the next entry of every log that can go on."""
        due, self._due = self._due, set()
        for log in due:
            author = self.authors[log]
            author.pump()
            if author._flight is not None:
                self._log_of[author._flight.entry.id] = log

    def awaits(self, entry: bytes) -> bool:
        """Is this entry still short of votes?"""
        log = self._log_of.get(entry)
        return log is not None and self.authors[log].awaits(entry)

    def voted(self, peer: bytes, entry: bytes, vote: Vote) -> None:
        """A vote arrived."""
        log = self._log_of.get(entry)
        if log is not None:
            self.authors[log].voted(peer, entry, vote)
            self._go_on(log)

    def voted_together(self, peer: bytes, batch: Votes) -> None:
        """Votes for a whole batch arrived: its signature is checked once for all logs."""
        book = self.authors[0].book
        if book is not None:
            for entry, vote in open_batch(batch, peer, self.awaits, book.network, book.epoch, book.committee):
                log = self._log_of[entry]
                self.authors[log]._count(book, self.authors[log]._flight, vote)
                self._go_on(log)

    def _go_on(self, log: int) -> None:
        if self.authors[log]._flight is None:
            self._due.add(log)
            self._on_free(log)

    def stored(self, peer: bytes, entries: tuple[bytes, ...]) -> None:
        """Store-acks arrived."""
        for entry in entries:
            log = self._log_of.get(entry)
            if log is not None:
                self.authors[log].stored(peer, (entry,))

    def supply(self, peer: bytes, ids: tuple[bytes, ...]) -> None:
        """A witness misses entries: the book is shared, so any author has them."""
        self.authors[0].supply(peer, ids)

    def restore_from(self, rows: Rows, book: LogBook) -> None:
        """The homes of a bench are new: there is nothing to take back."""

    def resend(self, peer: bytes | None = None) -> None:
        """Send what is under way again."""
        for author in self.authors:
            author.resend(peer)

    def resend_late(self) -> None:
        """Send again what has waited long enough."""
        for author in self.authors:
            author.resend_late()
