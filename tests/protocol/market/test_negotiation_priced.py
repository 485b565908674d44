"""A signal with a price: sealed first, its key afterwards; what the key opens, the transcript proves to anybody."""

import pytest

from troth_protocol.errors import Invalid
from troth_protocol.evidence import MISDELIVERY, misdelivery, verify_evidence
from troth_protocol.market.exchange import EXCHANGE_TERMS, Contents, Misdelivery
from troth_protocol.market.negotiation import Encrypted, Opened, Received
from troth_protocol.market.trades import Key, Sealed
from troth_protocol.market.transcript import verify_transcript
from troth_protocol.wire.crypto import digest


def priced(pair):
    """An agreement with a price of 7."""
    talk = pair()
    for who, what, *arguments in (
        ("seller", "offer", pair.make_terms(price=7)),
        ("buyer", "accept"),
        ("seller", "accept"),
    ):
        talk.says(who, what, *arguments)
    return talk


def refused(action, *arguments):
    with pytest.raises(Invalid) as error:
        action(*arguments)
    return error.value.code


def test_sealed_then_the_key_then_a_receipt(pair):
    talk = priced(pair)
    terms, signature, ciphertext = pair.exchange()
    event = talk.says("seller", "sealed", terms, signature, ciphertext)
    assert isinstance(event, Encrypted)
    assert event.terms == EXCHANGE_TERMS.decode(terms) == talk.buyer.exchange
    assert talk.buyer.deadline == event.terms.until + 1
    plain = pair.delivery()
    contents = Contents(plain["contribution"], plain["salt"], plain["payload"])
    assert talk.says("seller", "key", pair.key) == Opened(contents, pair.key)
    receipt = talk.says("buyer", "receipt")
    assert receipt == Received(digest(pair.payload), talk.sent["receipt"])
    found = verify_transcript(pair.network, talk.buyer.transcript())
    assert (found.state, found.opening, found.payload) == ("received", contents, pair.payload)


def test_a_key_that_opens_something_else_is_heard_and_proves_it(pair):
    talk = priced(pair)
    terms, signature, ciphertext = pair.exchange(pair.delivery() | {"payload": b"sun"})
    talk.says("seller", "sealed", terms, signature, ciphertext)
    event = talk.says("seller", "key", pair.key)
    assert isinstance(event.found, Misdelivery)
    assert refused(talk.buyer.receipt) == "bad_digest"
    found = verify_transcript(pair.network, talk.buyer.transcript())
    assert (found.state, found.payload) == ("opened", None)
    proof = misdelivery(terms, signature, found.sealed.ciphertext, event.key)
    assert verify_evidence(proof, pair.network).kind == MISDELIVERY


def test_another_key_is_not_heard(pair):
    talk = pair().reach("sealed")
    forged = talk.forge("seller", Key(talk.buyer.transcript() and talk.buyer._newest(), b"x" * 32))
    assert talk.code_of(talk.buyer, forged) == "bad_digest"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"price": 8}, "changed_terms"),
        ({"question": b"r" * 32}, "bad_terms"),
        ({"buyer": b"x" * 32}, "changed_terms"),
        ({"commit": bytes(32)}, "bad_terms"),
        ({"ciphertext": bytes(32)}, "bad_digest"),
        ({"until": 16}, "bad_terms"),
        ({"until": 11}, "expired"),
        ({"network": bytes(32)}, "wrong_network"),
    ],
    ids=str,
)
def test_terms_of_another_exchange(pair, changes, code):
    talk = priced(pair)
    sealed = pair.exchange(**changes)
    assert refused(talk.seller.sealed, *sealed) == code
    forged = talk.forge("seller", Sealed(talk.buyer._newest(), *sealed))
    assert talk.code_of(talk.buyer, forged) == code


def test_terms_that_somebody_else_signed(pair):
    talk = priced(pair)
    terms, signature, ciphertext = pair.exchange()
    forged = Sealed(talk.buyer._newest(), terms, bytes(64), ciphertext)
    assert talk.code_of(talk.buyer, talk.forge("seller", forged)) == "bad_signature"
    assert signature != bytes(64)


def test_what_has_a_floor_is_sealed_for_no_price(pair):
    talk = pair()
    for line in (
        ("seller", "offer", pair.make_terms(floor=3)),
        ("buyer", "accept"),
        ("seller", "accept"),
    ):
        talk.says(*line)
    assert refused(talk.seller.deliver, *pair.delivery().values()) == "out_of_state"
    talk.says("seller", "sealed", *pair.exchange(price=0))
    talk.says("seller", "key", pair.key)
    talk.says("buyer", "receipt")
    assert talk.buyer.state == talk.seller.state == "received"


def test_a_price_and_an_open_delivery_exclude_each_other(pair):
    assert refused(priced(pair).seller.deliver, *pair.delivery().values()) == "out_of_state"
    assert refused(pair().reach("agreed").seller.sealed, *pair.exchange()) == "out_of_state"


@pytest.mark.parametrize(
    ("state", "seller_ends", "buyer_ends", "outcome"),
    [("sealed", 16, 17, "unopened"), ("opened", 19, 18, "unreceipted")],
)
def test_silence(pair, state, seller_ends, buyer_ends, outcome):
    talk = pair().reach(state)
    for side, end in ((talk.seller, seller_ends), (talk.buyer, buyer_ends)):
        assert side.expire(end - 1) is None
        assert side.expire(end).outcome == outcome
