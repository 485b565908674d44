"""A seal counts if it follows the one before it and more than two thirds of its epoch's witnesses signed it."""

from dataclasses import replace

import pytest

from troth_node.testing.ledger import Ledger
from troth_protocol.close.seal import (
    SEAL,
    SIGNED_SEAL,
    Seal,
    SignedSeal,
    collect,
    seal_id,
    sign_seal,
    verify_seal,
    verify_seal_vote,
)
from troth_protocol.errors import Invalid

H = b"h" * 32


@pytest.fixture(scope="module")
def ledger():
    return Ledger(5, 4)


def make(ledger, signers=(0, 1, 2), **changes):
    seal = replace(Seal(ledger.network, 1, ledger.network, H, H, H, H, H, 1), **changes)
    payload = SEAL.encode(seal)
    votes = {
        ledger.committee.index(ledger.key(agent)): sign_seal(ledger.keys[agent], ledger.network, payload)
        for agent in signers
    }
    return collect(payload, votes)


def check(ledger, signed):
    return verify_seal(signed, ledger.network, ledger.network, 1, ledger.committee)


def code(ledger, signed):
    with pytest.raises(Invalid) as refused:
        check(ledger, signed)
    return refused.value.code


def test_three_of_four_signatures_are_enough(ledger):
    signed = make(ledger)
    assert check(ledger, signed) == SEAL.decode(signed.payload)
    assert SIGNED_SEAL.decode(SIGNED_SEAL.encode(signed)) == signed
    assert code(ledger, make(ledger, (0, 1))) == "not_enough_weight"


@pytest.mark.parametrize(
    ("change", "expected"),
    [({"network": H}, "wrong_network"), ({"epoch": 2}, "wrong_epoch"), ({"prev": H}, "wrong_prev")],
)
def test_a_seal_of_another_place_is_refused(ledger, change, expected):
    assert code(ledger, make(ledger, **change)) == expected


def test_signatures_are_each_members_own_and_all_good(ledger):
    signed = make(ledger)
    (first, one), (second, two), third = signed.signatures
    swapped = replace(signed, signatures=((first, two), (second, one), third))
    assert code(ledger, swapped) == "bad_signature"
    twice = replace(signed, signatures=((first, one), (first, one), third))
    assert code(ledger, twice) == "bad_member"
    stranger = replace(signed, signatures=((first, one), (second, two), (4, one)))
    assert code(ledger, stranger) == "bad_member"


def test_a_changed_byte_is_not_what_was_signed(ledger):
    seal = SEAL.decode(make(ledger).payload)
    altered = SignedSeal(SEAL.encode(replace(seal, state=b"x" * 32)), make(ledger).signatures)
    assert code(ledger, altered) == "bad_signature"


def test_one_vote_at_a_time(ledger):
    signed = make(ledger, (0,))
    (_, signature), *_ = signed.signatures
    verify_seal_vote(ledger.key(0), ledger.network, signed.payload, signature)
    with pytest.raises(Invalid, match="bad_signature"):
        verify_seal_vote(ledger.key(1), ledger.network, signed.payload, signature)


def test_the_id_is_of_the_payload_and_the_network(ledger):
    one, other = make(ledger), make(ledger, (1, 2, 3))
    assert seal_id(ledger.network, one.payload) == seal_id(ledger.network, other.payload)
    assert seal_id(ledger.network, one.payload) != seal_id(H, one.payload)
