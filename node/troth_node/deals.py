"""What this node has said in its negotiations is on disk before it leaves, so that a restart goes on from there.

A row holds what was added to one transcript up to and with one own message. What the peer said after it is not on disk:
the peer says it again when the link is back, and its answer is then the same as it would have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from troth_protocol.core import Core
from troth_protocol.errors import Invalid
from troth_protocol.market.desk import Desk
from troth_protocol.market.document import Document, parse_document
from troth_protocol.market.negotiation import Negotiation
from troth_protocol.wire.codec import Value, decode, encode

TABLE: Final = "deals"
_ID_BYTES: Final = 32

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a negotiation of ours is about: the agent's want, and the text of the document.

    `name` is the document's name or id as the agent gave it, `seller` whom it named, or "".
    """

    name: str
    seller: str
    document: Document


@dataclass(slots=True)
class _Kept:
    """One negotiation on disk: the keys of its rows, what they hold, when the last was written, and what we buy."""

    rows: list[bytes] = field(default_factory=list)
    items: list[tuple[bytes, bytes]] = field(default_factory=list)
    epoch: int = 0
    wanted: Wanted | None = None


class Deals:
    """The negotiations of one node on its disk; at the start they go back to the desk."""

    def __init__(self, core: Core, desk: Desk) -> None:
        self._core = core
        self._desk = desk
        self._kept: dict[bytes, _Kept] = {}
        for key, data in core.chain.archive.scan(TABLE, b""):
            self._load(key, decode(data))
        for negotiation in list(self._kept):
            self._resume(negotiation)

    def _load(self, key: bytes, value: Value) -> None:
        items, epoch, about = _row(value)
        kept = self._kept.setdefault(key[:_ID_BYTES], _Kept())
        kept.epoch = epoch
        kept.rows.append(key)
        kept.items += items
        kept.wanted = _wanted(about) or kept.wanted

    def _resume(self, negotiation: bytes) -> None:
        """What can't be gone on with any more ends by its deadline, as if nothing had been said here.

        A restart is no reason to hold what is over any longer.
        """
        try:
            self._desk.resume(self._kept[negotiation].items).changed = self._kept[negotiation].epoch
        except Invalid as error:
            log.warning("negotiation forgotten", id=negotiation.hex(), code=error.code, detail=error.detail)
            self._erase(negotiation)

    def wanted(self) -> dict[bytes, Wanted]:
        """What we buy, by negotiation."""
        return {key: kept.wanted for key, kept in self._kept.items() if kept.wanted is not None}

    def write(self, negotiation: Negotiation, wanted: Wanted | None = None) -> None:
        """Persist what is new in a transcript; the request of a buyer comes with what it is about."""
        kept = self._kept.setdefault(negotiation.id, _Kept())
        new = negotiation.transcript()[len(kept.items) :]
        key = negotiation.id + bytes([len(kept.items)])
        about: list[Value] = [] if wanted is None else [wanted.name, wanted.seller, wanted.document.data]
        self._core.out.persist(TABLE, key, encode([[list(item) for item in new], self._core.epoch, about]))
        kept.rows.append(key)
        kept.items += new
        kept.wanted = wanted or kept.wanted

    def advance(self) -> None:
        """An epoch opened: what the desk has forgotten is forgotten here, too."""
        held = {negotiation.id for negotiation in self._desk}
        for gone in self._kept.keys() - held:
            self._erase(gone)

    def _erase(self, negotiation: bytes) -> None:
        for key in self._kept.pop(negotiation).rows:
            self._core.out.erase(TABLE, key)


def read_items(row: bytes) -> list[tuple[bytes, bytes]]:
    """The messages of a stored row, body and signature of each. Invalid("bad_row") for any other."""
    return _row(decode(row))[0]


def _row(value: Value) -> tuple[list[tuple[bytes, bytes]], int, list[Value]]:
    match value:
        case [list(items), int(epoch), list(about)]:
            return [_item(item) for item in items], epoch, about
        case _:
            raise Invalid("bad_row", "deal")


def _item(value: Value) -> tuple[bytes, bytes]:
    match value:
        case [bytes(body), bytes(signature)]:
            return body, signature
        case _:
            raise Invalid("bad_row", "deal")


def _wanted(about: Sequence[Value]) -> Wanted | None:
    match about:
        case [str(name), str(seller), bytes(text)]:
            return Wanted(name, seller, parse_document(text))
        case _:
            return None
