"""The catalogue of wire messages: one table. What agents signed travels inside as opaque bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from troth_protocol.wire.schema import (
    EPOCH,
    HASH,
    ID,
    KEY,
    SEQ,
    SIGNATURE,
    Kind,
    Record,
    Variant,
    blob,
    many,
    optional,
    row,
    text,
    uint,
)

OBJECT_MAX_BYTES = 132 * 1024
ITEMS_MAX = 4096
DOCUMENTS_MAX = 32
TEXT_MAX_BYTES = 32 * 1024
CARD_MAX_BYTES = 8 * 1024
ANNOUNCEMENT_MAX_BYTES = 512


@dataclass(frozen=True, slots=True)
class Hello:
    """First on every link, and again when it changes: who this is, what it sells (name, id), how far it has come."""

    software: str
    network: bytes
    name: str
    documents: tuple[tuple[str, bytes], ...]
    epoch: int


@dataclass(frozen=True, slots=True)
class Submit:
    """An author asks a witness to vote for an entry."""

    entry: bytes


@dataclass(frozen=True, slots=True)
class VoteFor:
    """A witness's vote for an entry."""

    entry: bytes
    vote: bytes


@dataclass(frozen=True, slots=True)
class Votes:
    """A witness's votes for all entries of a batch, for whoever asked for half of them or more."""

    entries: tuple[bytes, ...]
    signature: bytes


@dataclass(frozen=True, slots=True)
class Refuse:
    """A witness does not vote: why, what it misses, or the entry it voted for at that place."""

    entry: bytes
    code: str
    detail: str
    missing: tuple[bytes, ...]
    conflict: bytes | None = None


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate, with the entry for whoever may not have it."""

    certificate: bytes
    entry: bytes | None = None


@dataclass(frozen=True, slots=True)
class StoredAck:
    """The witness has stored these entries' certificates and everything they rely on."""

    epoch: int
    entries: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class WantLog:
    """Send certified entries of one log and epoch, from `first` to `last`."""

    author: bytes
    epoch: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class WantEntries:
    """Send certified entries of an epoch by id."""

    epoch: int
    entries: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Entries:
    """Certified entries: [entry, certificate] each, in causal order."""

    epoch: int
    items: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class WantFeed:
    """Send this epoch's certified entries as they are stored, until it is sealed."""

    epoch: int


@dataclass(frozen=True, slots=True)
class ReportMsg:
    """A witness's close report: signed header, and the body's one chunk if it has only one."""

    header: bytes
    signature: bytes
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class WantReport:
    """Send the close report of that id."""

    epoch: int
    report: bytes


@dataclass(frozen=True, slots=True)
class Ballot:
    """One message of the close's agreement."""

    epoch: int
    ballot: bytes


@dataclass(frozen=True, slots=True)
class SealVote:
    """A witness's signature over a seal."""

    seal: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class SealMsg:
    """A seal with its signatures and the witness set that it names for the next epoch."""

    seal: bytes
    committee: bytes


@dataclass(frozen=True, slots=True)
class WantSeals:
    """Send seals from this epoch on."""

    first: int


@dataclass(frozen=True, slots=True)
class WantChunk:
    """Send one chunk of a large object, named by the root of its chunks."""

    root: bytes
    index: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk with its branch; `size` is the number of chunks."""

    root: bytes
    index: int
    size: int
    data: bytes
    branch: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class WantSnapshot:
    """Which snapshot of the sealed state can be fetched?"""

    epoch: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The chunks' root and number of the snapshot of a sealed state."""

    epoch: int
    root: bytes
    size: int


@dataclass(frozen=True, slots=True)
class WantHead:
    """What is the newest you hold of my log? Asked at every start, before anything is signed."""

    nonce: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry held of the asker in the open epoch, certified or only voted for."""

    nonce: bytes
    epoch: int
    entry: bytes | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """What was asked for is not held here (any more)."""

    what: str
    epoch: int


@dataclass(frozen=True, slots=True)
class WantDocument:
    """Send the signal document of that id."""

    document: bytes


@dataclass(frozen=True, slots=True)
class DocumentMsg:
    """The signal document of that id; without a text, it is not held here."""

    id: bytes
    text: bytes | None = None


@dataclass(frozen=True, slots=True)
class EvidenceMsg:
    """Evidence of an offence that no close has punished yet."""

    evidence: bytes


@dataclass(frozen=True, slots=True)
class CardMsg:
    """An agent's signed card, from itself or passed on."""

    card: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class AnnounceMsg:
    """A signed announcement of what an agent wants or offers, from itself or passed on."""

    announcement: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class WantCards:
    """Send the cards and announcements that you hold; the asker's open epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Trade:
    """One signed message of a negotiation or delivery; its kind is inside the signed bytes."""

    body: bytes
    signature: bytes


Message: TypeAlias = (
    Hello
    | Submit
    | VoteFor
    | Votes
    | Refuse
    | Certified
    | StoredAck
    | WantLog
    | WantEntries
    | Entries
    | WantFeed
    | ReportMsg
    | WantReport
    | Ballot
    | SealVote
    | SealMsg
    | WantSeals
    | WantChunk
    | Chunk
    | WantSnapshot
    | Snapshot
    | WantHead
    | Head
    | Gone
    | WantDocument
    | DocumentMsg
    | EvidenceMsg
    | CardMsg
    | AnnounceMsg
    | WantCards
    | Trade
)

_OBJECT = blob(OBJECT_MAX_BYTES)
_TABLE: Mapping[type[Message], tuple[str, dict[str, Kind]]] = {
    Hello: (
        "hello",
        {
            "software": text(64),
            "network": ID,
            "name": text(64),
            "documents": many(row(text(128), ID), DOCUMENTS_MAX),
            "epoch": EPOCH,
        },
    ),
    Submit: ("submit", {"entry": _OBJECT}),
    VoteFor: ("vote", {"entry": ID, "vote": blob(1024)}),
    Votes: ("votes", {"entries": many(ID, 256, 1), "signature": SIGNATURE}),
    Refuse: (
        "refuse",
        {
            "entry": ID,
            "code": text(32),
            "detail": text(512),
            "missing": many(ID, 512),
            "conflict": optional(_OBJECT),
        },
    ),
    Certified: ("certified", {"certificate": _OBJECT, "entry": optional(_OBJECT)}),
    StoredAck: ("stored", {"epoch": EPOCH, "entries": many(ID, ITEMS_MAX)}),
    WantLog: ("want_log", {"author": KEY, "epoch": EPOCH, "first": SEQ, "last": SEQ}),
    WantEntries: ("want_entries", {"epoch": EPOCH, "entries": many(ID, 512)}),
    Entries: ("entries", {"epoch": EPOCH, "items": many(row(_OBJECT, _OBJECT), ITEMS_MAX)}),
    WantFeed: ("want_feed", {"epoch": EPOCH}),
    ReportMsg: ("report", {"header": blob(1024), "signature": SIGNATURE, "body": optional(_OBJECT)}),
    WantReport: ("want_report", {"epoch": EPOCH, "report": ID}),
    Ballot: ("ballot", {"epoch": EPOCH, "ballot": blob(200_000)}),
    SealVote: ("seal_vote", {"seal": blob(2048), "signature": SIGNATURE}),
    SealMsg: ("seal", {"seal": blob(16_384), "committee": blob(16_384)}),
    WantSeals: ("want_seals", {"first": EPOCH}),
    WantChunk: ("want_chunk", {"root": HASH, "index": uint(10**6)}),
    Chunk: (
        "chunk",
        {
            "root": HASH,
            "index": uint(10**6),
            "size": uint(10**6),
            "data": _OBJECT,
            "branch": many(HASH, 32),
        },
    ),
    WantSnapshot: ("want_snapshot", {"epoch": EPOCH}),
    Snapshot: ("snapshot", {"epoch": EPOCH, "root": HASH, "size": uint(10**6)}),
    WantHead: ("want_head", {"nonce": HASH}),
    Head: (
        "head",
        {"nonce": HASH, "epoch": EPOCH, "entry": optional(_OBJECT)},
    ),
    Gone: ("gone", {"what": text(32), "epoch": EPOCH}),
    WantDocument: ("want_document", {"document": ID}),
    DocumentMsg: ("document", {"id": ID, "text": optional(blob(TEXT_MAX_BYTES))}),
    EvidenceMsg: ("evidence", {"evidence": _OBJECT}),
    CardMsg: ("card", {"card": blob(CARD_MAX_BYTES), "signature": SIGNATURE}),
    AnnounceMsg: (
        "announce",
        {"announcement": blob(ANNOUNCEMENT_MAX_BYTES), "signature": SIGNATURE},
    ),
    WantCards: ("want_cards", {"epoch": EPOCH}),
    Trade: ("trade", {"body": blob(200_000), "signature": SIGNATURE}),
}

#: The catalogue: message value <-> message class, tagged by its name.
MESSAGES: Variant[Message] = Variant(
    "type", {make: Record(name, make, fields) for make, (name, fields) in _TABLE.items()}
)
