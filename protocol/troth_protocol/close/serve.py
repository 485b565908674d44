"""Serving what others miss: chunks, entries, seals and snapshots, from this epoch's memory or from the archive."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, Protocol

from troth_protocol.close.chain import Chain
from troth_protocol.close.seal import SIGNED_SEAL
from troth_protocol.effects import Effects
from troth_protocol.errors import Invalid
from troth_protocol.log.keep import place_key
from troth_protocol.wire.chunks import Chunks
from troth_protocol.wire.codec import decode
from troth_protocol.wire.messages import (
    Chunk,
    Entries,
    Gone,
    SealMsg,
    Snapshot,
    WantChunk,
    WantEntries,
    WantLog,
    WantSeals,
    WantSnapshot,
)

ANSWER_BYTES: Final = 150_000
SEALS_PER_ANSWER: Final = 64
SHELF_MAX_BYTES: Final = 64 * 1024 * 1024


class Shelf(Protocol):
    """Where large objects of the moment are."""

    def find(self, root: bytes) -> Chunks | None:
        """The object of that root, or None."""


class Server:
    """Answers requests; every answer is bounded in bytes, and the asker asks again for the rest."""

    def __init__(self, chain: Chain, out: Effects) -> None:
        self.chain = chain
        self.out = out
        self.reports: Shelf | None = None
        self._shelf: OrderedDict[bytes, Chunks] = OrderedDict()
        self._shelf_bytes = 0
        self._snapshot: tuple[int, Chunks] | None = None
        self._read: Chunks | None = None

    def shelve(self, chunks: Chunks) -> None:
        """Keep a large object within reach; the oldest leave first."""
        if chunks.root not in self._shelf:
            self._shelf[chunks.root] = chunks
            self._shelf_bytes += len(chunks.data)
        self._shelf.move_to_end(chunks.root)
        while self._shelf_bytes > SHELF_MAX_BYTES and len(self._shelf) > 1:
            _, oldest = self._shelf.popitem(last=False)
            self._shelf_bytes -= len(oldest.data)

    def find(self, root: bytes) -> Chunks | None:
        """A large object by its root: shelved, gathered for this close, or an archived cut."""
        if root in self._shelf:
            return self._shelf[root]
        return (self.reports.find(root) if self.reports is not None else None) or self._archived(root)

    def _archived(self, root: bytes) -> Chunks | None:
        """The last one read stays, for its next chunk: old cuts push nothing else off the shelf."""
        if self._read is None or self._read.root != root:
            data = self.chain.archive.find("cuts", root)
            self._read = None if data is None else Chunks(data)
        return self._read

    def chunk(self, peer: bytes, want: WantChunk) -> None:
        """Answer with one chunk and its branch."""
        chunks = self.find(want.root)
        if chunks is None or want.index >= chunks.size:
            self.out.send(peer, Gone("chunk", self.chain.epoch))
            return
        data, branch = chunks.part(want.index)
        self.out.send(peer, Chunk(want.root, want.index, chunks.size, data, tuple(branch)))

    def log(self, peer: bytes, want: WantLog) -> None:
        """Answer with certified entries of one log, as many as fit."""
        if want.last < want.first:
            raise Invalid("bad_range", f"{want.first} to {want.last}")
        items = self._bounded(self._log_items(want))
        self._answer(peer, want.epoch, items)

    def _log_items(self, want: WantLog) -> Iterable[tuple[bytes, bytes]]:
        book = self.chain.book
        for seq in range(want.first, want.last + 1):
            if want.epoch == book.epoch:
                key = book.places.get((want.author, seq))
                if key is None:
                    return
                yield book.stored[key].entry.data, book.stored[key].certificate.data
            else:
                data = self.chain.archive.find("entries", place_key(want.epoch, want.author, seq))
                if data is None:
                    return
                yield _pair(data)

    def entries(self, peer: bytes, want: WantEntries) -> None:
        """Answer with certified entries of the open epoch by id, as many as fit."""
        stored = self.chain.book.stored if want.epoch == self.chain.epoch else {}
        found = [stored[key] for key in want.entries if key in stored]
        items = self._bounded((item.entry.data, item.certificate.data) for item in found)
        self._answer(peer, want.epoch, items)

    def _bounded(self, items: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        out: list[tuple[bytes, bytes]] = []
        size = 0
        for entry, certificate in items:
            size += len(entry) + len(certificate)
            if out and size > ANSWER_BYTES:
                break
            out.append((entry, certificate))
        return out

    def _answer(self, peer: bytes, epoch: int, items: list[tuple[bytes, bytes]]) -> None:
        if items:
            self.out.send(peer, Entries(epoch, tuple(items)))
        else:
            self.out.send(peer, Gone("entries", epoch))

    def seals(self, peer: bytes, want: WantSeals) -> None:
        """Answer with the seals from an epoch on, at most 64."""
        size = 0
        for epoch in range(want.first, min(want.first + SEALS_PER_ANSWER, self.chain.epoch)):
            held = self.chain.seal(epoch)
            if held is None:
                self.out.send(peer, Gone("seals", epoch))
                return
            message = SealMsg(SIGNED_SEAL.encode(held[0]), held[1])
            size += len(message.seal) + len(message.committee)
            if size > ANSWER_BYTES:
                return
            self.out.send(peer, message)

    def snapshot(self, peer: bytes, _: WantSnapshot) -> None:
        """Offer the newest sealed state."""
        if self.chain.epoch == 1:
            self.out.send(peer, Gone("snapshot", 0))
            return
        if self._snapshot is None or self._snapshot[0] != self.chain.epoch:
            self._snapshot = (self.chain.epoch, Chunks(self.chain.state.encode()))
        chunks = self._snapshot[1]
        self.shelve(chunks)
        self.out.send(peer, Snapshot(self.chain.epoch - 1, chunks.root, chunks.size))


def _pair(data: bytes) -> tuple[bytes, bytes]:
    match decode(data):
        case [bytes(entry), bytes(certificate)]:
            return entry, certificate
        case _:
            raise Invalid("bad_row", "expected [entry, certificate]")
