"""What signed bytes prove to somebody who saw nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_node.testing.agreement import EPOCH, NETWORK, Table, stub_verify
from troth_protocol.close.ballots import (
    CANDIDATE,
    CERTIFICATE,
    EXCLUDES,
    FINALIZE,
    MESSAGES,
    NOTARIZE,
    PAYLOAD_MAX_BYTES,
    SKIP,
    VALUE_MAX_BYTES,
    VOTE_MAX_BYTES,
    Instance,
    Signed,
    SlotCertificate,
    Statement,
    VoteMsg,
    propose,
    read_slot,
    read_statement,
    verify_certificate,
    verify_decision,
)
from troth_protocol.errors import Invalid
from troth_protocol.log.committee import Committee, Member
from troth_protocol.wire.codec import MAX_INT, encode
from troth_protocol.wire.crypto import KeyPair, preimage

A, B, C, D = range(4)


def refusal(call, *args):
    with pytest.raises(Invalid) as error:
        call(*args)
    return error.value.code


def signed(table, place, kind, slot, candidate=None):
    vote = table.sign(place, Statement(kind, slot, b"" if candidate is None else candidate.id))
    return Signed(kind, vote.payload, vote.signature)


# Decisions


def test_a_decision_is_the_value_that_a_quorum_finalized():
    table = Table()
    candidate = table.candidate(3, b"value")
    certificate = CERTIFICATE.encode(table.certificate([A, B, D], FINALIZE, 3, candidate))
    found = verify_decision(table.instance, candidate.signed.payload, certificate, stub_verify)
    assert found == b"value"


def test_a_notarized_candidate_is_no_decision():
    table = Table()
    candidate = table.candidate(0, b"value")
    certificate = CERTIFICATE.encode(table.certificate([A, B, C], NOTARIZE, 0, candidate))
    assert (
        refusal(verify_decision, table.instance, candidate.signed.payload, certificate, stub_verify)
        == "not_final"
    )


def test_another_candidate_is_not_the_decided_one():
    table = Table()
    certificate = CERTIFICATE.encode(table.certificate([A, B, C], FINALIZE, 0, table.candidate(0, b"value")))
    other = table.candidate(0, b"other").signed.payload
    assert refusal(verify_decision, table.instance, other, certificate, stub_verify) == "wrong_candidate"


def test_a_decision_of_another_network_epoch_or_set_is_refused():
    table = Table()
    candidate = table.candidate(0, b"value")
    certificate = CERTIFICATE.encode(table.certificate([A, B, C], FINALIZE, 0, candidate))
    lighter = Committee((Member(table.keys[A].public, 9), *table.instance.committee.members[1:]))
    for change, code in (
        ({"network": bytes(32)}, "bad_signature"),
        ({"epoch": EPOCH + 1}, "wrong_epoch"),
        ({"committee": lighter}, "wrong_set"),
    ):
        instance = replace(table.instance, **change)
        assert refusal(verify_decision, instance, candidate.signed.payload, certificate, stub_verify) == code


def test_real_signatures_prove_a_decision():
    keys = sorted((KeyPair.from_seed(bytes([n + 1]) * 32) for n in range(4)), key=lambda pair: pair.public)
    instance = Instance(NETWORK, EPOCH, Committee(tuple(Member(pair.public, 1) for pair in keys)))
    payload = propose(instance, 0, b"value", None)
    statement = Statement(FINALIZE, 0, Table().candidate(0, b"value").id)
    message = statement.payload(instance)
    data = preimage("troth/finalize/1", NETWORK, message)
    votes = SlotCertificate(FINALIZE, message, tuple((n, keys[n].sign(data)) for n in (0, 2, 3)))
    assert verify_decision(instance, payload, CERTIFICATE.encode(votes)) == b"value"


@given(st.binary(max_size=200))
def test_hostile_bytes_prove_nothing(data):
    table = Table()
    with pytest.raises(Invalid):
        verify_decision(table.instance, data, data, stub_verify)


@given(st.data())
def test_no_changed_byte_of_a_certificate_goes_unnoticed(data):
    table = Table()
    candidate = table.candidate(0, b"value")
    good = CERTIFICATE.encode(table.certificate([A, B, C], FINALIZE, 0, candidate))
    place = data.draw(st.integers(0, len(good) - 1))
    changed = good[:place] + bytes([good[place] ^ data.draw(st.integers(1, 255))]) + good[place + 1 :]
    with pytest.raises(Invalid):
        verify_decision(table.instance, candidate.signed.payload, changed, stub_verify)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=9), st.data())
def test_any_two_quorums_share_more_than_the_faulty_can_weigh(weights, data):
    committee = Committee(tuple(Member(bytes([n]) * 32, weight) for n, weight in enumerate(weights)))
    places = st.sets(st.integers(0, len(weights) - 1))
    first, second = data.draw(places), data.draw(places)
    if min(committee.weigh(first), committee.weigh(second)) >= committee.quorum:
        assert committee.weigh(first & second) >= committee.third
    assert committee.total - committee.quorum < committee.third
    assert 3 * (committee.third - 1) < committee.total <= 3 * committee.third


# Votes


def test_a_skip_vote_names_no_candidate_and_the_others_do():
    table = Table()
    with_one = table.sign(A, Statement(NOTARIZE, 0, bytes(32))).payload
    without = table.sign(A, Statement(SKIP, 0)).payload
    assert refusal(read_statement, table.instance, SKIP, with_one) == "bad_field"
    assert refusal(read_statement, table.instance, NOTARIZE, without) == "bad_field"


def test_the_bounds_leave_room_for_the_largest_that_is_honest():
    instance = replace(Table().instance, epoch=MAX_INT)
    parent = replace(Table().candidate(0, b""), slot=MAX_INT - 1)
    assert len(propose(instance, MAX_INT, bytes(VALUE_MAX_BYTES), parent)) <= PAYLOAD_MAX_BYTES
    assert len(Statement(NOTARIZE, MAX_INT, bytes(32)).payload(instance)) <= VOTE_MAX_BYTES


def test_what_members_sign_is_the_canonical_map():
    table = Table()
    payload = table.sign(A, Statement(NOTARIZE, 2, bytes(32))).payload
    fields = {"epoch": EPOCH, "set": table.instance.committee.digest, "slot": 2, "candidate": bytes(32)}
    assert payload == encode(fields)
    assert table.candidate(2, b"v").signed.payload == encode(
        {"epoch": EPOCH, "set": table.instance.committee.digest, "slot": 2, "value": b"v"}
    )


def test_messages_load_as_they_were_dumped():
    table = Table()
    for message in (
        table.vote(A, SKIP, 0),
        MESSAGES.dump(table.certificate([A, B, C], SKIP, 0)),
        {"candidate": bytes(32), "kind": "want", "slot": 1},
        {"kind": "want", "slot": 1},
    ):
        assert MESSAGES.dump(MESSAGES.load(message)) == message
    assert isinstance(MESSAGES.load(table.vote(A, SKIP, 0)), VoteMsg)


def test_a_short_certificate_is_refused_before_any_signature_is_checked():
    table = Table()

    def never(public, data, signature):
        raise AssertionError

    certificate = table.certificate([A, B], SKIP, 0)
    assert refusal(verify_certificate, table.instance, certificate, never) == "not_enough_weight"


# What excludes what


def test_what_excludes_each_other_does_so_both_ways():
    assert all(kind in EXCLUDES[other] for kind in EXCLUDES for other in EXCLUDES[kind])


def test_a_payload_alone_says_in_which_slot_of_which_agreement_it_was_signed():
    table = Table()
    where = (EPOCH, table.instance.committee.digest, 4)
    candidate = table.candidate(4, b"value")
    assert read_slot(CANDIDATE, candidate.signed.payload) == where
    for kind, named in ((NOTARIZE, candidate), (FINALIZE, candidate), (SKIP, None)):
        payload = signed(table, D, kind, 4, named).payload
        assert read_slot(kind, payload) == where
        assert refusal(read_slot, NOTARIZE if kind == SKIP else SKIP, payload) == "bad_field"
