"""The signal documents of one node: those it ships, and those of others that it asked for, verified and kept on disk.

Nothing comes in that was not asked for, of the peer that was asked, under its own hash. A document is asked of one peer
at a time; who has it may be any holder, but who sells by it always does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from troth_protocol.effects import Effects, Rows
from troth_protocol.errors import Invalid
from troth_protocol.market.document import Document, document_id, parse_document
from troth_protocol.wire.messages import DocumentMsg, WantDocument

TABLE: Final = "documents"
#: Documents of others that are kept, and asks that are open at a time.
CACHE_MAX: Final = 128
ASKS_MAX: Final = 64
#: Ticks after which an ask is repeated, and after which it is given up.
REPEAT_TICKS: Final = 4
PATIENCE_TICKS: Final = 16
#: Answers to one peer between two ticks.
ANSWERS_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class Fetched:
    """Notice: a document that was asked for is here."""

    document: Document


@dataclass(frozen=True, slots=True)
class NotFetched:
    """Notice: this peer does not give the document; `reason` is for people."""

    document: bytes
    peer: bytes
    reason: str


@dataclass(slots=True)
class _Ask:
    peer: bytes
    ticks: int = 0


class Library:
    """Documents by id, and the asking for those that are missing."""

    def __init__(self, own: Sequence[Document], rows: Rows, out: Effects) -> None:
        self.own = {document.id: document for document in own}
        self._out = out
        self._cache: dict[bytes, Document] = {}
        self._asks: dict[bytes, _Ask] = {}
        self._answered: Counter[bytes] = Counter()
        for key, data in rows.scan(TABLE, b""):
            self._restore(key, data)

    def _restore(self, key: bytes, data: bytes) -> None:
        """A row that is damaged is forgotten: it can be fetched again."""
        try:
            self._cache[key] = _verify(key, data)
        except Invalid:
            self._out.erase(TABLE, key)

    def announced(self) -> tuple[tuple[str, bytes], ...]:
        """(name, id) of what this node ships: what its hello says."""
        return tuple((document.name, key) for key, document in self.own.items())

    def named(self, name: str) -> Document | None:
        """The document of this name that this node ships."""
        return next((document for document in self.own.values() if document.name == name), None)

    def find(self, document: bytes) -> Document | None:
        """The document of this id, if it is here."""
        return self.own.get(document) or self._cache.get(document)

    def want(self, peer: bytes, document: bytes) -> None:
        """Ask a peer for a document that is not here; Fetched or NotFetched tells what came of it."""
        ask = self._asks.get(document)
        if ask is None and len(self._asks) >= ASKS_MAX:
            self._out.notice(NotFetched(document, peer, "too many documents are asked for already"))
        elif ask is None:
            self._asks[document] = _Ask(peer)
            self._out.send(peer, WantDocument(document))

    def wanted(self, peer: bytes, message: WantDocument) -> None:
        """A peer asks: answer, within bounds; it asks again."""
        self._answered[peer] += 1
        if self._answered[peer] > ANSWERS_MAX:
            return
        held = self.find(message.document)
        self._out.send(peer, DocumentMsg(message.document, held.data if held is not None else None))

    def received(self, peer: bytes, message: DocumentMsg) -> None:
        """An answer. Raises Invalid("bad_digest") for another text, and as `parse_document` does."""
        ask = self._asks.get(message.id)
        if ask is None or ask.peer != peer:
            return
        if message.text is None:
            self._give_up(message.id, "it does not hold it")
            return
        try:
            document = _verify(message.id, message.text)
        except Invalid as error:
            self._give_up(message.id, str(error))
            raise
        del self._asks[message.id]
        self._keep(document)
        self._out.notice(Fetched(document))

    def _keep(self, document: Document) -> None:
        """The oldest leave first; whoever needs one again asks again."""
        self._cache[document.id] = document
        self._out.persist(TABLE, document.id, document.data, lazy=True)
        while len(self._cache) > CACHE_MAX:
            oldest = next(iter(self._cache))
            del self._cache[oldest]
            self._out.erase(TABLE, oldest)

    def _give_up(self, document: bytes, reason: str) -> None:
        ask = self._asks.pop(document)
        self._out.notice(NotFetched(document, ask.peer, reason))

    def tick(self) -> None:
        """Time passes: repeat what may be lost, give up on whoever does not answer."""
        self._answered.clear()
        for document, ask in list(self._asks.items()):
            ask.ticks += 1
            if ask.ticks >= PATIENCE_TICKS:
                self._give_up(document, "no answer")
            elif ask.ticks % REPEAT_TICKS == 0:
                self._out.send(ask.peer, WantDocument(document))

    def lost(self, peer: bytes) -> None:
        """The link is gone, and with it what was asked for on it."""
        for document in [document for document, ask in self._asks.items() if ask.peer == peer]:
            self._give_up(document, "the link is gone")


def _verify(wanted: bytes, data: bytes) -> Document:
    if document_id(data) != wanted:
        raise Invalid("bad_digest", f"the text is not document {wanted.hex()}")
    return parse_document(data)
