"""What a member refuses, what it leaves alone, and what it keeps as evidence."""

import random

import pytest

from troth_node.testing.agreement import SLOT_MAX_MS, SLOT_MS, Table, carried, heard, stub_verify
from troth_protocol.close.ballots import FINALIZE, MESSAGES, NOTARIZE, SKIP, VALUE_MAX_BYTES, WantMsg
from troth_protocol.close.consensus import Consensus
from troth_protocol.close.listener import AHEAD_SLOTS
from troth_protocol.close.outputs import Accused, Broadcast
from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import decode, encode

A, B, C, D = range(4)


def refuses(table, target, source, message):
    """The word with which a seat refuses a message; nothing may change by it."""
    machine = table.seats[target].machine
    before = sorted(machine._slots), machine._current
    with pytest.raises(Invalid) as error:
        machine.on_message(table.keys[source].public, message)
    assert (sorted(machine._slots), machine._current) == before
    assert machine.resend()[-1:] == [Broadcast(MESSAGES.dump(WantMsg(machine._current)))]
    return error.value.code


# Refused


def test_messages_of_strangers_are_refused():
    table = Table()
    with pytest.raises(Invalid, match="not_a_member"):
        table.seats[A].machine.on_message(bytes(32), table.vote(B, SKIP, 0))


def test_ballots_of_another_epoch_or_set_are_refused():
    table, stale, other = Table(), Table(epoch=6), Table([1, 1, 1, 2])
    for wrong, code in ((stale, "wrong_epoch"), (other, "wrong_set")):
        candidate = wrong.candidate(0, b"value")
        assert refuses(table, A, B, wrong.vote(B, SKIP, 0)) == code
        assert refuses(table, A, B, carried(candidate)) == code
        assert refuses(table, A, B, MESSAGES.dump(wrong.certificate([B, C, D], SKIP, 0))) == code


@pytest.mark.parametrize(
    ("places", "code"),
    [
        ([B, C], "not_enough_weight"),
        ([B, B, C, D], "bad_member"),
        ([B, B, B], "bad_member"),
        ([D, C, B], "bad_member"),
        ([B, C, D, 4], "bad_member"),
    ],
)
def test_certificates_need_distinct_members_in_order_and_enough_weight(places, code):
    table, bigger = Table(), Table([1] * 5)
    table.keys.append(bigger.keys[4])
    assert refuses(table, A, B, MESSAGES.dump(table.certificate(places, SKIP, 0))) == code


def test_many_light_members_are_no_quorum():
    table = Table([20, 20, 20, 2, 2, 2, 2])
    certificate = MESSAGES.dump(table.certificate([0, 3, 4, 5, 6], SKIP, 0))
    assert refuses(table, 1, 0, certificate) == "not_enough_weight"


def test_a_certificate_with_one_bad_signature_is_refused_whole():
    table = Table()
    good = table.certificate([B, C, D], SKIP, 0)
    other = table.certificate([B, C, D], SKIP, 1)
    mixed = MESSAGES.dump(type(good)(SKIP, good.payload, (*good.signatures[:2], other.signatures[2])))
    assert refuses(table, A, B, mixed) == "bad_signature"


def test_a_signature_counts_for_its_own_kind_member_and_slot_only():
    table = Table()
    candidate = table.candidate(0, b"value")
    vote = table.vote(B, NOTARIZE, 0, candidate)
    assert refuses(table, A, B, {**vote, "vote": FINALIZE}) == "bad_signature"
    assert refuses(table, A, B, {**vote, "member": C}) == "bad_signature"
    assert refuses(table, A, B, {**vote, "member": 4}) == "bad_member"
    assert refuses(table, A, B, {**vote, "payload": table.vote(B, NOTARIZE, 1, candidate)["payload"]}) == (
        "bad_signature"
    )


def test_a_candidate_is_refused_unless_its_leader_signed_it():
    table, shifted = Table(), Table(offset=1)
    assert refuses(table, A, B, carried(shifted.candidate(0, b"value"))) == "bad_signature"


def test_a_parent_comes_before_and_is_named_in_full():
    table = Table()
    later = table.candidate(2, b"value")
    fields = decode(table.candidate(3, b"value", later).signed.payload)
    for change in ({"slot": 2}, {"slot": 1}):
        message = {**carried(later), "payload": encode({**fields, **change})}
        assert refuses(table, A, B, message) == "bad_parent"
    for missing in ("parent", "parent_slot"):
        half = {key: value for key, value in fields.items() if key != missing}
        assert refuses(table, A, B, {**carried(later), "payload": encode(half)}) == "bad_parent"


def test_votes_and_candidates_too_far_ahead_are_left_alone():
    table = Table()
    slot = AHEAD_SLOTS + 1
    assert table.tell(A, B, table.vote(B, SKIP, slot)) == []
    assert table.tell(A, table.leader(slot), carried(table.candidate(slot, b"value"))) == []
    assert table.seats[A].machine._slots == {}
    table.tell(A, B, table.vote(B, SKIP, slot - 1))
    assert list(table.seats[A].machine._slots) == [slot - 1]


def test_a_decision_is_taken_however_far_ahead_it_is():
    table = Table()
    candidate = table.candidate(500, b"value")
    table.tell(A, B, MESSAGES.dump(table.certificate([B, C, D], FINALIZE, 500, candidate)))
    outputs = table.tell(A, B, carried(candidate))
    assert heard(outputs) == ["Decided"]


def test_an_own_value_that_is_too_large_is_refused():
    machine = Table().seats[A].machine
    with pytest.raises(Invalid, match="too_large"):
        machine.offer(bytes(VALUE_MAX_BYTES + 1))


def test_hostile_values_raise_invalid_and_nothing_else():
    table = Table()
    good = [
        table.vote(B, SKIP, 0),
        carried(table.candidate(0, b"value")),
        MESSAGES.dump(table.certificate([B, C, D], SKIP, 0)),
        MESSAGES.dump(WantMsg(0)),
    ]
    junk = [True, -1, 2**53 - 1, "skip", b"", bytes(64), [], {}, [[1, 2]], [[0, bytes(64)]] * 65, {"a": []}]
    rng = random.Random(5)
    for _ in range(2000):
        message = dict(rng.choice(good))
        field = rng.choice(sorted(message))
        value = message[field]
        if isinstance(value, bytes) and rng.random() < 0.5:
            place = rng.randrange(len(value))
            message[field] = value[:place] + bytes([rng.randrange(256)]) + value[place + 1 :]
        else:
            message[field] = rng.choice(junk)
        try:
            table.seats[A].machine.on_message(table.keys[B].public, message)
        except Invalid:
            continue
    for message in junk:
        assert refuses(table, A, B, message)


# Bounded, and convicting


def test_one_more_candidate_is_kept_as_evidence_and_no_third():
    table = Table()
    first, second, third = (table.candidate(0, value) for value in (b"1", b"2", b"3"))
    table.tell(B, A, carried(first))
    assert table.tell(B, A, carried(first)) == []
    [accused] = table.tell(B, C, carried(second))
    assert (accused.member, accused.slot) == (table.keys[A].public, 0)
    assert sorted([accused.first.payload, accused.second.payload]) == sorted(
        [first.signed.payload, second.signed.payload]
    )
    assert table.tell(B, A, carried(third)) == []
    assert list(table.seats[B].machine._slots[0].candidates) == [first.id, second.id]


def test_a_certified_candidate_is_kept_whatever_else_its_leader_sent():
    table = Table()
    first, second, third = (table.candidate(0, value) for value in (b"1", b"2", b"3"))
    for candidate in (first, second):
        table.tell(B, A, carried(candidate))
    table.tell(B, A, MESSAGES.dump(table.certificate([A, C, D], FINALIZE, 0, third)))
    assert heard(table.tell(B, C, carried(third))) == ["Decided"]


@pytest.mark.parametrize("kind", [NOTARIZE, FINALIZE])
def test_two_votes_of_one_kind_in_one_slot_are_reported_once_and_a_third_is_dropped(kind):
    table = Table()
    votes = [table.vote(D, kind, 0, table.candidate(0, value)) for value in (b"1", b"2", b"3")]
    assert table.tell(B, D, votes[0]) == []
    assert heard(table.tell(B, D, votes[1])) == ["Accused"]
    assert table.tell(B, D, votes[2]) == []
    assert len(table.seats[B].machine._slots[0].ballots[D]) == 2


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_finalize_and_skip_in_one_slot_are_reported_in_the_same_words(order):
    table = Table()
    votes = [table.vote(D, FINALIZE, 0, table.candidate(0, b"1")), table.vote(D, SKIP, 0)]
    table.tell(B, D, votes[order[0]])
    [accused] = table.tell(B, C, votes[order[1]])
    assert accused.member == table.keys[D].public
    assert (accused.first.kind, accused.second.kind) == (FINALIZE, SKIP)


def test_votes_inside_certificates_convict_too():
    table = Table()
    first, second = table.candidate(0, b"1"), table.candidate(0, b"2")
    table.tell(B, D, table.vote(D, NOTARIZE, 0, first))
    outputs = table.tell(B, A, MESSAGES.dump(table.certificate([A, C, D], NOTARIZE, 0, second)))
    assert [output.member for output in outputs if isinstance(output, Accused)] == [table.keys[D].public]


def test_honest_votes_of_all_kinds_convict_nobody():
    table = Table()
    candidate = table.candidate(0, b"1")
    for kinds in ((SKIP, NOTARIZE), (NOTARIZE, FINALIZE)):
        for place, kind in zip((C, C), kinds, strict=True):
            table.tell(B, place, table.vote(place, kind, 0, None if kind == SKIP else candidate))
    assert table.seats[B].machine._slots[0].accused == {(C, FINALIZE, SKIP)}


def test_a_ballot_of_my_own_that_i_did_not_sign_here_binds_me():
    table = Table()
    machine = table.seats[B].machine
    machine.start()
    first, second = table.candidate(0, b"1"), table.candidate(0, b"2")
    table.tell(B, C, table.vote(B, NOTARIZE, 0, second))
    machine.mark_valid(b"1")
    assert table.tell(B, A, carried(first)) == []


def test_signatures_already_checked_are_not_checked_again():
    table = Table()
    calls = []

    def counting(public, data, signature):
        calls.append(public)
        return stub_verify(public, data, signature)

    machine = Consensus(table.instance, table.keys[A], SLOT_MS, SLOT_MAX_MS, {}, counting)
    candidate = table.candidate(0, b"value")
    for place in (B, C):
        machine.on_message(table.keys[place].public, table.vote(place, NOTARIZE, 0, candidate))
        machine.on_message(table.keys[place].public, table.vote(place, NOTARIZE, 0, candidate))
    machine.on_message(
        table.keys[D].public, MESSAGES.dump(table.certificate([B, C, D], NOTARIZE, 0, candidate))
    )
    assert calls == [table.keys[place].public for place in (B, C, D)]
