"""Agreements: both signed these very bytes, for this network, or it is none."""

from dataclasses import replace

import pytest

from troth_protocol.errors import Invalid
from troth_protocol.log.agreement import (
    AGREEMENT,
    Agreement,
    agreement_id,
    load_agreement,
    sign_agreement,
    verify_party,
)
from troth_protocol.wire.crypto import KeyPair, digest

BUYER, SELLER, OTHER = (KeyPair.from_seed(digest(name)) for name in (b"buyer", b"seller", b"other"))
NETWORK, QUESTION = digest(b"network"), digest(b"question")
TERMS = Agreement(
    BUYER.public, SELLER.public, QUESTION, digest(b"doc"), 300_000, 5, 0, 7, 3, digest(b"transcript")
)


def signed(terms=TERMS, buyer=BUYER, seller=SELLER, network=NETWORK):
    data = AGREEMENT.encode(terms)
    return data, sign_agreement(buyer, network, data), sign_agreement(seller, network, data)


def code(data, buyer_signature, seller_signature, network=NETWORK):
    with pytest.raises(Invalid) as refusal:
        load_agreement(data, network, buyer_signature, seller_signature)
    return refusal.value.code


def test_there_and_back():
    data, by_buyer, by_seller = signed()
    assert load_agreement(data, NETWORK, by_buyer, by_seller) == TERMS


def test_each_signs_with_its_own_key():
    data, by_buyer, by_seller = signed()
    assert code(data, by_seller, by_buyer) == "bad_signature"
    assert code(*signed(buyer=OTHER)) == "bad_signature"
    assert code(*signed(seller=OTHER)) == "bad_signature"
    assert code(data, by_buyer, bytes(64)) == "bad_signature"


def test_other_terms_need_other_signatures():
    _, by_buyer, by_seller = signed()
    dearer = AGREEMENT.encode(replace(TERMS, price=8))
    assert code(dearer, by_buyer, by_seller) == "bad_signature"


def test_an_agreement_of_another_network_is_none():
    assert code(*signed(network=bytes(32))) == "bad_signature"


def test_nobody_agrees_with_itself():
    assert code(*signed(replace(TERMS, seller=BUYER.public), seller=BUYER)) == "bad_agreement"


@pytest.mark.parametrize(
    "change", [{"min_weight_ppm": 1_000_001}, {"deliver": -1}, {"buyer": b"short"}, {"document": b"d" * 31}]
)
def test_terms_have_their_ranges(change):
    assert code(*signed(replace(TERMS, **change))) == "bad_field"


def test_bytes_that_are_no_agreement_are_refused():
    data, by_buyer, by_seller = signed()
    for spoilt in (b"", data[:-1], data + b"\0", b"\x80", data.replace(b"price", b"prize")):
        with pytest.raises(Invalid):
            load_agreement(spoilt, NETWORK, by_buyer, by_seller)


def test_the_id_is_of_the_bytes_and_the_network():
    data = AGREEMENT.encode(TERMS)
    other = AGREEMENT.encode(replace(TERMS, price=8))
    ids = {agreement_id(NETWORK, data), agreement_id(NETWORK, other), agreement_id(bytes(32), data)}
    assert len(ids) == 3


def test_one_party_at_a_time():
    data, by_buyer, _ = signed()
    verify_party(BUYER.public, NETWORK, data, by_buyer)
    with pytest.raises(Invalid):
        verify_party(SELLER.public, NETWORK, data, by_buyer)
