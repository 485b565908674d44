"""What negotiating parties sign: there and back, each in its own domain, within its limits."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.log.agreement import Receipt
from troth_protocol.market.trades import (
    BODIES,
    PAYLOAD_MAX_BYTES,
    REASON_MAX_BYTES,
    Accept,
    Counter,
    Deliver,
    Offer,
    Reject,
    Terms,
    Withdraw,
    read,
    sign,
)
from troth_protocol.wire.codec import decode
from troth_protocol.wire.crypto import DOMAINS, KeyPair, object_id
from troth_protocol.wire.messages import Trade

NETWORK = b"n" * 32
ID = b"i" * 32
KEYS = KeyPair.from_seed(b"k" * 32)
TERMS = {"min_weight_ppm": 1, "min_wager": 2, "floor": 3, "price": 10**30, "deliver": 5, "expires": 4}
REPLIES = [
    Offer(prev=ID, **TERMS),
    Counter(prev=ID, **TERMS),
    Accept(ID, b"agreement", b"g" * 64),
    Reject(ID, "too dear"),
    Withdraw(ID, ""),
    Deliver(ID, ID, b"contribution", b"s" * 32, b"payload"),
    Receipt(ID, ID, ID, ID),
]


def name_of(body):
    return type(body).__name__


@pytest.mark.parametrize("body", REPLIES, ids=name_of)
def test_a_message_there_and_back(body):
    sent = sign(KEYS, NETWORK, body)
    got = read(NETWORK, sent.trade)
    assert got == sent
    assert got.body == body
    assert got.is_by(KEYS.public, NETWORK)


def test_a_request_there_and_back(pair):
    request = pair.make_request()
    assert sign(KEYS, NETWORK, request).body == request


@pytest.mark.parametrize("name", BODIES.records)
def test_every_message_has_its_domain(name):
    assert f"troth/{name}/1" in DOMAINS


def test_the_type_is_in_the_bytes_and_in_the_domain():
    offer, counter = sign(KEYS, NETWORK, REPLIES[0]), sign(KEYS, NETWORK, REPLIES[1])
    assert decode(offer.trade.body) | {"type": "counter"} == decode(counter.trade.body)
    assert offer.id == object_id("troth/offer/1", NETWORK, offer.trade.body)
    crossed = read(NETWORK, Trade(counter.trade.body, offer.trade.signature))
    assert not crossed.is_by(KEYS.public, NETWORK)


def test_a_signature_holds_in_one_network_only():
    sent = sign(KEYS, NETWORK, REPLIES[3])
    assert not read(b"m" * 32, sent.trade).is_by(KEYS.public, b"m" * 32)
    assert read(b"m" * 32, sent.trade).id != sent.id


def test_terms_of_an_offer():
    assert REPLIES[0].terms == REPLIES[1].terms == Terms(**TERMS)


LIMITS = {
    "reason": Reject(ID, "é" * (REASON_MAX_BYTES // 2) + "!"),
    "payload": Deliver(ID, ID, b"", ID, bytes(PAYLOAD_MAX_BYTES + 1)),
    "contribution": Deliver(ID, ID, bytes(16_385), ID, b""),
    "agreement": Accept(ID, bytes(2_049), b"g" * 64),
    "weight": Offer(prev=ID, **(TERMS | {"min_weight_ppm": 1_000_001})),
    "salt": Deliver(ID, ID, b"", b"short", b""),
    "prev": Receipt(b"", ID, ID, ID),
}


@pytest.mark.parametrize("body", LIMITS.values(), ids=LIMITS)
def test_what_the_catalogue_refuses_is_not_signed(body):
    with pytest.raises(Invalid, match="bad_field"):
        sign(KEYS, NETWORK, body)


@given(st.sampled_from(REPLIES), st.data())
def test_hostile_bytes_raise_invalid_only(body, data):
    good = BODIES.encode(body)
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + bytes([data.draw(st.integers(0, 255))]) + good[at + 1 :]
    with contextlib.suppress(Invalid):
        assert BODIES.encode(read(NETWORK, Trade(bad, bytes(64))).body) == bad


@pytest.mark.parametrize(
    ("weight", "floor", "price", "is_sealed", "is_promise"),
    [(1, 0, 0, False, True), (0, 0, 0, False, False), (0, 0, 1, True, False), (0, 1, 0, True, True)],
)
def test_what_has_a_price_or_a_floor_is_sealed(weight, floor, price, is_sealed, is_promise):
    terms = Terms(weight, 0, floor, price, 9, 9)
    assert (terms.is_sealed, terms.is_promise) == (is_sealed, is_promise)
