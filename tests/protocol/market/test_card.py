"""Cards and announcements as bytes: what is shown is what was signed, and what could fool a reader is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.market.card import (
    ANNOUNCEMENT,
    CARD,
    LIFE_MAX_EPOCHS,
    Announcement,
    Card,
    check_signature,
    is_newer,
    load_posting,
    place,
    sign_posting,
)
from troth_protocol.wire.crypto import KeyPair, digest
from troth_protocol.wire.messages import AnnounceMsg, CardMsg

ALMA, BRUNO = KeyPair.from_seed(digest(b"alma")), KeyPair.from_seed(digest(b"bruno"))
NETWORK, OTHER = digest(b"network"), digest(b"other")
A, B = digest(b"a"), digest(b"b")
CARD_OF_ALMA = Card(
    "alma",
    "troth/1",
    topics=("flights",),
    documents=(("flights/weather", A), ("flights/tip", B)),
    prices=((A, 0, 100_000),),
    endpoints=("/ip4/192.0.2.1/tcp/4001",),
    key=ALMA.public,
    epoch=7,
    expires=71,
)
WANT = Announcement("want", "flights", "flights/tip", weight_ppm=50_000, key=ALMA.public, epoch=7, expires=9)


def refused(item):
    with pytest.raises(Invalid) as error:
        sign_posting(ALMA, NETWORK, item)
    return error.value.code, error.value.detail


@pytest.mark.parametrize("item", [CARD_OF_ALMA, WANT, replace(WANT, id=A, question=B, slot=3)])
def test_what_is_signed_is_read_again(item):
    message = sign_posting(ALMA, NETWORK, item)
    assert load_posting(message) == item
    check_signature(message, item, NETWORK)


@pytest.mark.parametrize("item", [CARD_OF_ALMA, WANT])
def test_it_is_signed_by_whom_it_speaks_of_and_for_one_network(item):
    for message, network in (
        (sign_posting(ALMA, NETWORK, item), OTHER),
        (sign_posting(BRUNO, NETWORK, item), NETWORK),
    ):
        with pytest.raises(Invalid, match="bad_signature"):
            check_signature(message, item, network)


def test_a_card_is_no_announcement():
    with pytest.raises(Invalid, match="unknown_field"):
        load_posting(AnnounceMsg(CARD.encode(CARD_OF_ALMA), bytes(64)))
    with pytest.raises(Invalid, match="unknown_field"):
        load_posting(CardMsg(ANNOUNCEMENT.encode(WANT), bytes(64)))


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"name": "al\nma"}, "character U+000A in a text"),
        ({"name": "\x1b[2Jalma"}, "character U+001B in a text"),
        ({"software": "\u202etroth"}, "character U+202E in a text"),
        ({"topics": ("a\u2028",)}, "character U+2028 in a text"),
        ({"documents": (("\x7f", A),), "prices": ()}, "character U+007F in a text"),
        ({"endpoints": ("\x00",)}, "character U+0000 in a text"),
        ({"topics": ("flights", "flights")}, "one topic is named twice"),
        ({"documents": (("x", A), ("y", A))}, "one document is named twice"),
        ({"endpoints": ("/x", "/x")}, "one endpoint is named twice"),
        ({"prices": ((digest(b"c"), 0, 1),)}, "prices are of the documents that it lists, one each"),
        ({"prices": ((A, 0, 1), (A, 0, 2))}, "prices are of the documents that it lists, one each"),
        ({"expires": 6}, "holds from 7 to 6"),
        ({"expires": 7 + LIFE_MAX_EPOCHS + 1}, f"holds from 7 to {8 + LIFE_MAX_EPOCHS}"),
    ],
)
def test_a_card_that_could_mislead_is_refused(change, detail):
    assert refused(replace(CARD_OF_ALMA, **change)) == ("bad_card", detail)


@pytest.mark.parametrize(
    "change", [{"document": "tip\r"}, {"topic": "\u061c"}, {"expires": 6}, {"expires": 2**53 - 1}]
)
def test_so_is_an_announcement(change):
    assert refused(replace(WANT, **change))[0] == "bad_card"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "x" * 65},
        {"topics": tuple(map(str, range(17)))},
        {"documents": tuple((str(n), digest(bytes([n]))) for n in range(33)), "prices": ()},
        {"endpoints": tuple(map(str, range(9)))},
        {"seq": 16},
        {"prices": ((A, 0, 1_000_001),)},
    ],
)
def test_every_field_of_a_card_is_bounded(change):
    assert refused(replace(CARD_OF_ALMA, **change))[0] == "bad_field"


@pytest.mark.parametrize(
    "change", [{"kind": "gift"}, {"slot": 16}, {"weight_ppm": -1}, {"document": "x" * 129}]
)
def test_every_field_of_an_announcement_is_bounded(change):
    assert refused(replace(WANT, **change))[0] == "bad_field"


def test_the_largest_card_fits_its_message():
    ids = [digest(bytes([n])) for n in range(32)]
    large = replace(
        CARD_OF_ALMA,
        name="n" * 64,
        topics=tuple(f"{n:032}" for n in range(16)),
        documents=tuple(("d" * 128, item) for item in ids),
        prices=(),
        endpoints=tuple(f"{n:0128}" for n in range(8)),
    )
    assert len(sign_posting(ALMA, NETWORK, large).card) <= 8192


def test_what_is_newer_goes_before():
    later, renewed = replace(CARD_OF_ALMA, epoch=8), replace(CARD_OF_ALMA, seq=1)
    assert is_newer(CARD_OF_ALMA, None)
    assert is_newer(later, renewed)
    assert is_newer(renewed, CARD_OF_ALMA)
    assert not is_newer(CARD_OF_ALMA, CARD_OF_ALMA)
    assert place(CARD_OF_ALMA) == ALMA.public
    assert place(replace(WANT, slot=3)) == ALMA.public + b"\x03"


@given(st.binary(max_size=400))
def test_whatever_bytes_come_only_invalid_leaves(data):
    for message in (CardMsg(data, bytes(64)), AnnounceMsg(data, bytes(64))):
        with pytest.raises(Invalid):
            load_posting(message)


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_changed_byte_is_noticed(at, by):
    message = sign_posting(ALMA, NETWORK, CARD_OF_ALMA)
    data = bytearray(message.card)
    data[at % len(data)] ^= by
    changed = CardMsg(bytes(data), message.signature)
    with pytest.raises(Invalid):
        check_signature(changed, load_posting(changed), NETWORK)
