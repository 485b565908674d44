"""cards.json: what agents say of themselves, and what nobody should keep or pass on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from troth_protocol.market.card import ANNOUNCEMENT, CARD, Announcement, Card, Posting, place, sign_posting
from troth_protocol.wire.codec import encode
from troth_protocol.wire.crypto import digest, preimage
from troth_protocol.wire.messages import AnnounceMsg

from .common import (
    NETWORK,
    OTHER_NETWORK,
    Case,
    Json,
    cases,
    changed,
    flipped,
    hexed,
    invalid,
    keys,
    plain,
    valid,
)

ALMA, BRUNO = keys("alma"), keys("bruno")
A, B = digest(b"a"), digest(b"b")
CARD_OF_ALMA: Final = Card(
    "Alma's weather",
    "troth/0.1.0",
    topics=("flights",),
    documents=(("flights/weather", A), ("flights/tip", B)),
    prices=((A, 5 * 10**9, 100_000),),
    endpoints=("/ip4/192.0.2.7/tcp/4001", "/dns/alma.example/tcp/4001"),
    key=ALMA.public,
    epoch=7,
    seq=1,
    expires=71,
)
LEAST: Final = Card("", "", key=ALMA.public)
WANT: Final = Announcement("want", "flights", "flights/tip", 0, 50_000, key=ALMA.public, epoch=7, expires=9)
OFFER: Final = replace(WANT, kind="offer", price=10**9, id=A, question=B, slot=15, seq=15, expires=7)


def _check(item: Posting, data: bytes, signature: bytes) -> dict[str, Json]:
    kind = "card" if isinstance(item, Card) else "announcement"
    return {
        "check": "posting",
        "kind": kind,
        "network": NETWORK.hex(),
        "bytes": hexed(data),
        "signature": signature.hex(),
    }


def _signed(item: Posting) -> tuple[bytes, bytes]:
    message = sign_posting(ALMA, NETWORK, item)
    if isinstance(message, AnnounceMsg):
        return message.announcement, message.signature
    return message.card, message.signature


def _good(name: str, item: Posting) -> Case:
    value = CARD.dump(item) if isinstance(item, Card) else ANNOUNCEMENT.dump(item)
    return valid(name, **_check(item, *_signed(item)), value=plain(value), place=place(item).hex())


def _resigned(item: Posting, data: bytes) -> dict[str, Json]:
    """Changed bytes under a signature of their own: only their form is wrong."""
    domain = "troth/card/1" if isinstance(item, Card) else "troth/announcement/1"
    return _check(item, data, ALMA.sign(preimage(domain, NETWORK, data)))


def _bad_cards() -> Iterator[tuple[str, str, Card]]:
    for what, letter in (("a line feed", "\n"), ("an escape", "\x1b"), ("a turn of direction", "\u202e")):
        yield "bad_card", f"{what} in a name", replace(CARD_OF_ALMA, name=f"al{letter}ma")
    yield "bad_card", "DEL in an endpoint", replace(CARD_OF_ALMA, endpoints=("/ip4/\x7f",))
    yield "bad_card", "a topic twice", replace(CARD_OF_ALMA, topics=("flights", "flights"))
    yield "bad_card", "a document twice", replace(CARD_OF_ALMA, documents=(("x", A), ("y", A)))
    yield "bad_card", "an endpoint twice", replace(CARD_OF_ALMA, endpoints=("/x", "/x"))
    yield "bad_card", "a price of another document", replace(CARD_OF_ALMA, prices=((digest(b"c"), 0, 1),))
    yield "bad_card", "two prices of one document", replace(CARD_OF_ALMA, prices=((A, 0, 1), (A, 0, 2)))
    yield "bad_card", "over before it begins", replace(CARD_OF_ALMA, expires=6)
    yield "bad_card", "a life of 257 epochs", replace(CARD_OF_ALMA, expires=264)
    yield "bad_field", "17 topics", replace(CARD_OF_ALMA, topics=tuple(f"t{n}" for n in range(17)))
    yield "bad_field", "9 endpoints", replace(CARD_OF_ALMA, endpoints=tuple(f"/{n}" for n in range(9)))
    yield "bad_field", "a name of 65 bytes", replace(CARD_OF_ALMA, name="x" * 65)
    yield "bad_field", "a sixteenth renewal", replace(CARD_OF_ALMA, seq=16)


def _bad_announcements() -> Iterator[tuple[str, str, Announcement]]:
    yield "bad_card", "a carriage return in a topic", replace(WANT, topic="flights\r")
    yield "bad_card", "an announcement over before it begins", replace(WANT, expires=6)
    yield "bad_field", "a gift", replace(WANT, kind="gift")
    yield "bad_field", "slot 16", replace(WANT, slot=16)
    yield "bad_field", "a weight above all", replace(WANT, weight_ppm=1_000_001)


def _bad() -> Iterator[Case]:
    for code, what, card in _bad_cards():
        yield invalid(code, what, **_resigned(card, CARD.encode(card)))
    for code, what, item in _bad_announcements():
        yield invalid(code, what, **_resigned(item, ANNOUNCEMENT.encode(item)))
    for what, one in (("card", CARD_OF_ALMA), ("announcement", WANT)):
        data, signature = _signed(one)
        bruno = BRUNO.sign(preimage(f"troth/{what}/1", NETWORK, data))
        abroad = ALMA.sign(preimage(f"troth/{what}/1", OTHER_NETWORK, data))
        entry = ALMA.sign(preimage("troth/entry/1", NETWORK, data))
        yield invalid(
            "bad_signature", f"{what} with a changed signature", **_check(one, data, flipped(signature, 0))
        )
        yield invalid("bad_signature", f"{what} signed by somebody else", **_check(one, data, bruno))
        yield invalid("bad_signature", f"{what} of another network", **_check(one, data, abroad))
        yield invalid("bad_signature", f"{what} under another domain", **_check(one, data, entry))
        yield invalid("missing_field", f"{what} without a key", **_resigned(one, changed(data, key=None)))
        yield invalid(
            "unknown_field", f"{what} with standing of its own", **_resigned(one, changed(data, standing=1))
        )
        yield invalid("trailing", f"a byte after the {what}", **_resigned(one, data + b"\x00"))
        yield invalid("bad_field", f"{what}: a list", **_resigned(one, encode([])))


def cards() -> Json:
    """The file cards.json."""
    good = [
        _good("a card", CARD_OF_ALMA),
        _good("a card that says nothing", LEAST),
        _good("a card of 256 epochs", replace(CARD_OF_ALMA, expires=263)),
        _good("a card that ends with its first epoch", replace(CARD_OF_ALMA, expires=7)),
        _good("letters beyond ASCII", replace(CARD_OF_ALMA, name="Älma 🌦 日本")),
        _good("a want", WANT),
        _good("an offer for one question, by one text", OFFER),
    ]
    return cases("Cards and announcements (12): what is signed, and where it is posted.", good, _bad())
