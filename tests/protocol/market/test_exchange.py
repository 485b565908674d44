"""A fair exchange: the key opens what was promised, or proves to anybody that it does not."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.evidence import EVIDENCE, MISDELIVERY, Proof, misdelivery, verify_evidence
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.ops import CONTRIBUTION_MAX_BYTES, EVIDENCE_MAX_BYTES
from troth_protocol.log.sealed import commit_digest, commit_id
from troth_protocol.market.exchange import (
    CONTENTS,
    EXCHANGE_TERMS,
    Contents,
    ExchangeTerms,
    Misdelivery,
    encrypt_contents,
    load_terms,
    open_exchange,
    sign_terms,
)
from troth_protocol.market.trades import CIPHERTEXT_MAX_BYTES, PAYLOAD_MAX_BYTES, TERMS_MAX_BYTES
from troth_protocol.wire.crypto import KeyPair, digest, encrypt_once

NETWORK, QUESTION, SALT, KEY = digest(b"network"), digest(b"question"), digest(b"salt"), digest(b"key")
SELLER, BUYER = KeyPair.from_seed(b"s" * 32), KeyPair.from_seed(b"b" * 32)
PAYLOAD = b"rain until five"


def signal(payload=PAYLOAD, **other):
    item = replace(Contribution(QUESTION, "clouds", (), payload=digest(payload)), **other)
    return CONTRIBUTION.encode(item)


def terms_for(ciphertext, *, contribution=None, salt=SALT, **other):
    sealed = commit_digest(NETWORK, SELLER.public, QUESTION, salt, contribution or signal())
    return replace(
        ExchangeTerms(
            NETWORK,
            SELLER.public,
            BUYER.public,
            QUESTION,
            commit_id(NETWORK, SELLER.public, QUESTION, sealed),
            sealed,
            digest(KEY),
            digest(ciphertext),
            5,
            9,
        ),
        **other,
    )


def sealed(contribution=None, salt=SALT, payload=PAYLOAD):
    """A ciphertext of these contents."""
    return encrypt_contents(KEY, Contents(contribution or signal(), salt, payload))


def code(call, *arguments):
    with pytest.raises(Invalid) as refused:
        call(*arguments)
    return refused.value.code


def accuse(ciphertext, terms=None, key=KEY):
    """The verdict on an accusation: a proof, or why it proves nothing."""
    data, signature = sign_terms(SELLER, terms or terms_for(ciphertext))
    try:
        return verify_evidence(misdelivery(data, signature, ciphertext, key), NETWORK)
    except Invalid as error:
        return error.code


# What the key opens


def test_the_key_opens_what_was_promised():
    ciphertext = sealed()
    assert open_exchange(terms_for(ciphertext), ciphertext, KEY) == Contents(signal(), SALT, PAYLOAD)
    assert accuse(ciphertext) == "not_evidence"


def test_the_largest_signal_fits_into_evidence():
    payload = bytes(PAYLOAD_MAX_BYTES)
    contribution = bytes(CONTRIBUTION_MAX_BYTES)
    ciphertext = encrypt_contents(KEY, Contents(contribution, SALT, payload))
    assert len(ciphertext) <= CIPHERTEXT_MAX_BYTES
    most = misdelivery(bytes(TERMS_MAX_BYTES), bytes(64), bytes(CIPHERTEXT_MAX_BYTES), bytes(64))
    assert len(most) <= EVIDENCE_MAX_BYTES


BAD = {
    "another payload": sealed(payload=b"sun"),
    "another salt": sealed(salt=digest(b"pepper")),
    "another contribution": sealed(contribution=signal(rationale="none")),
    "noise": b"noise" * 9,
    "nothing": b"",
    "another key's": encrypt_once(digest(b"other"), CONTENTS.encode(Contents(signal(), SALT, PAYLOAD))),
    "no contents": encrypt_once(KEY, b"\xc0"),
    "a field too many": encrypt_once(KEY, CONTENTS.encode(Contents(signal(), SALT, PAYLOAD)) + b"\x00"),
}


@pytest.mark.parametrize("what", BAD)
def test_anything_else_is_a_misdelivery(what):
    ciphertext = BAD[what]
    assert isinstance(open_exchange(terms_for(ciphertext), ciphertext, KEY), Misdelivery)
    proof = accuse(ciphertext)
    assert proof == Proof(MISDELIVERY, SELLER.public, 9, (("buyer", BUYER.public), ("hash", digest(KEY))))


@pytest.mark.parametrize(
    "item",
    [
        signal(question=digest(b"another")),
        CONTRIBUTION.encode(Contribution(QUESTION, "", ())),
        CONTRIBUTION.encode(Contribution(QUESTION, "", (), ppm=(500_000, 500_000))),
        signal(citations=((digest(b"c"), 0),)),
        b"\x80",
    ],
    ids=["another question", "no payload", "a forecast", "a source of no weight", "no contribution"],
)
def test_a_commit_that_seals_no_signal_of_the_question_is_a_misdelivery(item):
    """The seller has sealed it itself, so it cannot say that it did not know."""
    plain = Contents(item, SALT, PAYLOAD)
    ciphertext = encrypt_contents(KEY, plain)
    terms = terms_for(ciphertext, contribution=item)
    assert isinstance(open_exchange(terms, ciphertext, KEY), Misdelivery)


def test_a_key_of_another_length_opens_nothing():
    short = b"short"
    ciphertext = sealed()
    terms = terms_for(ciphertext, hash=digest(short))
    assert isinstance(open_exchange(terms, ciphertext, short), Misdelivery)
    assert accuse(ciphertext, terms, short).kind == MISDELIVERY


# Who can be blamed


def test_nobody_is_blamed_for_another_ciphertext_or_key():
    ciphertext = sealed()
    assert accuse(sealed(payload=b"sun"), terms_for(ciphertext)) == "bad_digest"
    assert accuse(ciphertext, key=digest(b"other")) == "bad_digest"
    assert code(open_exchange, terms_for(ciphertext), b"", KEY) == "bad_digest"


def test_nobody_is_blamed_for_terms_it_did_not_sign():
    terms = terms_for(b"noise")
    data, _ = sign_terms(SELLER, terms)
    _, forged = sign_terms(BUYER, terms)
    assert code(verify_evidence, misdelivery(data, forged, b"noise", KEY), NETWORK) == "bad_signature"


def test_terms_are_of_one_network():
    data, signature = sign_terms(SELLER, terms_for(b"noise"))
    assert code(load_terms, data, signature, bytes(32)) == "wrong_network"


@pytest.mark.parametrize("fields", [{"buyer": SELLER.public}, {"commit": bytes(32)}], ids=str)
def test_terms_that_make_no_sense_are_refused(fields):
    data, signature = sign_terms(SELLER, terms_for(b"noise", **fields))
    assert code(load_terms, data, signature, NETWORK) == "bad_terms"


def test_terms_come_back_as_they_were_signed():
    terms = terms_for(sealed())
    data, signature = sign_terms(SELLER, terms)
    assert load_terms(data, signature, NETWORK) == terms == EXCHANGE_TERMS.decode(data)
    assert len(data) <= TERMS_MAX_BYTES


@settings(deadline=None, max_examples=60)
@given(st.integers(0), st.integers(0, 7))
def test_a_flipped_bit_convicts_nobody(at, bit):
    data, signature = sign_terms(SELLER, terms_for(b"noise"))
    evidence = bytearray(misdelivery(data, signature, b"noise", KEY))
    assert verify_evidence(bytes(evidence), NETWORK).kind == MISDELIVERY
    evidence[at % len(evidence)] ^= 1 << bit
    with pytest.raises(Invalid):
        verify_evidence(bytes(evidence), NETWORK)


@given(st.binary(max_size=200))
def test_whatever_the_seller_encrypts_it_is_one_or_the_other(plaintext):
    ciphertext = encrypt_once(KEY, plaintext)
    found = open_exchange(terms_for(ciphertext), ciphertext, KEY)
    assert isinstance(found, Contents | Misdelivery)
    assert EVIDENCE.decode(misdelivery(b"", bytes(64), ciphertext, KEY)).ciphertext == ciphertext
