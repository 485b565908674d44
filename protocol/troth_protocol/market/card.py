"""Agent cards and announcements: what an agent says of itself, signed, for a while. Nothing in them binds anybody.

A card says who an agent is, what it deals in and where it can be reached; an announcement that it wants or offers
something. Both are read from hostile bytes: every field is bounded, and texts hold nothing that could fool a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from troth_protocol.errors import Invalid
from troth_protocol.wire.crypto import KeyPair, preimage, verify
from troth_protocol.wire.messages import AnnounceMsg, CardMsg
from troth_protocol.wire.schema import (
    AMOUNT,
    EPOCH,
    ID,
    KEY,
    PPM,
    Record,
    choice,
    find_mark,
    many,
    optional,
    row,
    text,
    uint,
)

CARD_DOMAIN: Final = "troth/card/1"
ANNOUNCEMENT_DOMAIN: Final = "troth/announcement/1"
#: The most that a card or an announcement may outlive the epoch from which it holds.
LIFE_MAX_EPOCHS: Final = 256
#: Renewals within one epoch are numbered from 0 to this.
RENEWALS_MAX: Final = 15
TOPICS_MAX: Final = 16
CARD_DOCUMENTS_MAX: Final = 32
ENDPOINTS_MAX: Final = 8
#: What one agent may want and offer at a time: each announcement has a slot, and a newer one takes its place.
SLOTS_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Card:
    """An agent's card. `documents` are (name, id), `prices` (document id, price in atomic units, weight in ppm).

    It holds from `epoch` to the close of `expires`; of two cards of one key the one with the larger (`epoch`, `seq`)
    counts. `endpoints` are multiaddrs; prices are what the agent asks for to begin with.
    """

    name: str
    software: str
    topics: tuple[str, ...] = ()
    documents: tuple[tuple[str, bytes], ...] = ()
    prices: tuple[tuple[bytes, int, int], ...] = ()
    endpoints: tuple[str, ...] = ()
    key: bytes = bytes(32)
    epoch: int = 0
    seq: int = 0
    expires: int = 0


@dataclass(frozen=True, slots=True)
class Announcement:
    """An agent wants or offers a document: for one question, or whenever the topic asks one.

    `document` is its name, `id` the one text that is meant, if one is; `price` is in atomic units, `weight_ppm` the
    citation weight. Of two announcements of one key and slot the one with the larger (`epoch`, `seq`) counts.
    """

    kind: str
    topic: str
    document: str
    price: int = 0
    weight_ppm: int = 0
    id: bytes | None = None
    question: bytes | None = None
    key: bytes = bytes(32)
    slot: int = 0
    epoch: int = 0
    seq: int = 0
    expires: int = 0

    def subject(self) -> tuple[str, str, str, bytes | None, bytes | None]:
        """What it is about: two of one agent about the same would only repeat each other."""
        return (self.kind, self.topic, self.document, self.id, self.question)


Posting: TypeAlias = Card | Announcement
PostingMsg: TypeAlias = CardMsg | AnnounceMsg

_DATES: Final = {"key": KEY, "epoch": EPOCH, "seq": uint(RENEWALS_MAX), "expires": EPOCH}
CARD: Record[Card] = Record(
    "card",
    Card,
    {
        "name": text(64),
        "software": text(64),
        "topics": many(text(32), TOPICS_MAX),
        "documents": many(row(text(128), ID), CARD_DOCUMENTS_MAX),
        "prices": many(row(ID, AMOUNT, uint(PPM)), CARD_DOCUMENTS_MAX),
        "endpoints": many(text(128), ENDPOINTS_MAX),
        **_DATES,
    },
)
ANNOUNCEMENT: Record[Announcement] = Record(
    "announcement",
    Announcement,
    {
        "kind": choice("want", "offer"),
        "topic": text(32),
        "document": text(128),
        "price": AMOUNT,
        "weight_ppm": uint(PPM),
        "id": optional(ID),
        "question": optional(ID),
        "slot": uint(SLOTS_MAX - 1),
        **_DATES,
    },
)


def place(item: Posting) -> bytes:
    """Where it is posted: its key, and for an announcement the slot. A newer one takes the place of an older one."""
    return item.key if isinstance(item, Card) else item.key + bytes([item.slot])


def is_newer(item: Posting, held: Posting | None) -> bool:
    """Does it go before what is held at its place?"""
    return held is None or (item.epoch, item.seq) > (held.epoch, held.seq)


def sign_posting(keys: KeyPair, network: bytes, item: Posting) -> PostingMsg:
    """The message that shows it; `item.key` is the signer's. Raises Invalid as `load_posting` for its own values."""
    if isinstance(item, Card):
        data = CARD.encode(item)
        message: PostingMsg = CardMsg(data, keys.sign(preimage(CARD_DOMAIN, network, data)))
    else:
        data = ANNOUNCEMENT.encode(item)
        message = AnnounceMsg(data, keys.sign(preimage(ANNOUNCEMENT_DOMAIN, network, data)))
    load_posting(message)
    return message


def load_posting(message: PostingMsg) -> Posting:
    """What a message shows, its form checked but not its signature.

    Raises Invalid: those of the codec and of records, and bad_card.
    """
    if isinstance(message, CardMsg):
        card = CARD.decode(message.card)
        _check_card(card)
        return card
    announcement = ANNOUNCEMENT.decode(message.announcement)
    _check_texts((announcement.topic, announcement.document))
    _check_dates(announcement)
    return announcement


def check_signature(message: PostingMsg, item: Posting, network: bytes) -> None:
    """Raises Invalid("bad_signature") unless whoever it speaks of signed it for this network."""
    if isinstance(message, CardMsg):
        data = preimage(CARD_DOMAIN, network, message.card)
    else:
        data = preimage(ANNOUNCEMENT_DOMAIN, network, message.announcement)
    if not verify(item.key, data, message.signature):
        raise Invalid("bad_signature", f"not signed by {item.key.hex()[:16]}")


def _check_card(card: Card) -> None:
    names = [name for name, _ in card.documents]
    ids = [document for _, document in card.documents]
    priced = [document for document, _, _ in card.prices]
    _check_texts((card.name, card.software, *card.topics, *names, *card.endpoints))
    for what, items in (("topic", card.topics), ("document", ids), ("endpoint", card.endpoints)):
        if len(set(items)) < len(items):
            raise Invalid("bad_card", f"one {what} is named twice")
    if len(set(priced)) < len(priced) or not set(priced) <= set(ids):
        raise Invalid("bad_card", "prices are of the documents that it lists, one each")
    _check_dates(card)


def _check_texts(texts: Iterable[str]) -> None:
    for item in texts:
        found = find_mark(item)
        if found is not None:
            raise Invalid("bad_card", f"character U+{ord(found):04X} in a text")


def _check_dates(item: Posting) -> None:
    if not item.epoch <= item.expires <= item.epoch + LIFE_MAX_EPOCHS:
        raise Invalid("bad_card", f"holds from {item.epoch} to {item.expires}")
