"""A member that crashes, lost its file, or never had a voice."""

import pytest

from troth_node.testing.agreement import (
    SLOT_MAX_MS,
    SLOT_MS,
    StubKey,
    Table,
    carried,
    heard,
    kind_of,
    stub_verify,
)
from troth_protocol.close.ballots import FINALIZE, MESSAGES, NOTARIZE, SKIP, WantMsg
from troth_protocol.close.consensus import Consensus
from troth_protocol.close.listener import AHEAD_SLOTS
from troth_protocol.close.outputs import Broadcast, PersistBallot, SendTo
from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import encode

A, B, C, D = range(4)


def test_ballots_are_sent_again_byte_for_byte_after_a_crash():
    table = Table()
    table.start()
    table.round()
    before = [mail.message for mail in table.post if (mail.source, mail.target) == (B, C)]
    assert [kind_of(message) for message in before] == ["notarize"]
    table.seats[B].restart()
    outputs = table.seats[B].machine.start()
    assert [output.message for output in outputs if isinstance(output, Broadcast)] == before
    table.seats[A].restart()
    outputs = table.seats[A].machine.start()
    assert heard(outputs) == ["candidate", "notarize", "ArmTimer"]


def test_all_crash_after_the_notarize_votes_and_still_agree_on_that_value():
    table = Table()
    table.start()
    table.round()
    table.lose()
    for place, seat in table.seats.items():
        seat.restart()
        seat.do(seat.machine.start())
        seat.do(seat.machine.offer(b"after %d" % place))
    table.finish()
    assert table.seats[B].decided.value == b"value 0"


def test_a_voter_can_serve_its_candidate_after_a_crash():
    table = Table(byzantine=[A])
    table.start()
    candidate = table.candidate(0, b"value")
    table.hear(B, A, carried(candidate))
    table.seats[B].restart()
    table.seats[B].machine.start()
    want = MESSAGES.dump(WantMsg(0, candidate.id))
    assert table.tell(B, C, want) == [SendTo(table.keys[C].public, carried(candidate))]


def test_a_member_whose_file_is_lost_follows_but_never_votes():
    table = Table()
    table.seats[D].restart(has_disk=False)
    table.start()
    for _ in range(3):
        table.round()
    assert table.seats[D].decided.value == b"value 0"
    assert table.seats[D].disk == {}
    assert not table.seats[D].machine.on_timer(0)


def test_an_observer_follows_without_a_key():
    table = Table()
    observer = Consensus(table.instance, None, SLOT_MS, SLOT_MAX_MS, {}, stub_verify)
    assert observer.start() == []
    candidate = table.candidate(0, b"value")
    observer.on_message(table.keys[A].public, carried(candidate))
    certificate = MESSAGES.dump(table.certificate([A, B, C], FINALIZE, 0, candidate))
    outputs = observer.on_message(table.keys[B].public, certificate)
    assert heard(outputs) == ["certificate", "Decided"]


def test_a_key_outside_the_committee_does_not_vote():
    table = Table()
    stranger = Consensus(table.instance, StubKey(bytes(32)), SLOT_MS, SLOT_MAX_MS, {}, stub_verify)
    assert stranger.start() == []
    assert stranger.offer(b"value") == []


def test_nothing_is_sent_before_the_start_but_everything_is_heard():
    table = Table()
    machine = table.seats[B].machine
    candidate = table.candidate(0, b"value")
    assert table.tell(B, A, carried(candidate)) == []
    assert machine.on_timer(0) == []
    assert heard(machine.start()) == ["Validate", "ArmTimer"]
    assert table.tell(C, A, carried(candidate)) == []
    final = MESSAGES.dump(table.certificate([A, B, D], FINALIZE, 0, candidate))
    assert heard(table.tell(C, D, final)) == ["certificate", "Decided"]


def test_restored_ballots_are_kept_however_far_ahead_they_are():
    table = Table()
    machine = table.seats[A].machine
    machine.start()
    far = AHEAD_SLOTS + 10
    for slot in range(far):
        table.seats[A].do(table.tell(A, B, MESSAGES.dump(table.certificate([B, C, D], SKIP, slot))))
    table.seats[A].do(machine.on_timer(far))
    table.seats[A].restart()
    assert heard(table.seats[A].machine.start()) == ["skip", "ArmTimer"]


def test_a_restored_ballot_of_somebody_else_is_refused():
    table = Table()
    table.start()
    disk = table.seats[A].disk
    with pytest.raises(Invalid, match="foreign_ballot"):
        Consensus(table.instance, table.keys[B], SLOT_MS, SLOT_MAX_MS, disk, stub_verify)


@pytest.mark.parametrize("row", [encode(True), encode([])])
def test_a_restored_row_that_holds_no_messages_is_refused(row):
    table = Table()
    with pytest.raises(Invalid, match="bad_row"):
        Consensus(table.instance, table.keys[A], SLOT_MS, SLOT_MAX_MS, {b"key": row}, stub_verify)


def test_finalize_and_skip_share_a_row():
    table = Table()
    seat = table.seats[B]
    seat.do(seat.machine.start())
    skip = seat.machine.on_timer(0)[0]
    candidate = table.candidate(0, b"value")
    seat = table.seats[C]
    seat.do(seat.machine.start())
    seat.do(table.tell(C, A, carried(candidate)))
    outputs = table.tell(C, A, MESSAGES.dump(table.certificate([A, B, D], NOTARIZE, 0, candidate)))
    final = next(output for output in outputs if isinstance(output, PersistBallot))
    assert skip.key == final.key
    assert skip.data != final.data
