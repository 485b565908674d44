"""The agreement as dialogues: what a member hears and what it answers."""

import random

from troth_node.testing.agreement import SLOT_MAX_MS, SLOT_MS, Table, carried, heard, kind_of, stub_verify
from troth_protocol.close.ballots import FINALIZE, MESSAGES, NOTARIZE, SKIP, WantMsg, verify_decision
from troth_protocol.close.outputs import ArmTimer, SendTo, Validate

A, B, C, D = range(4)


# The good case


def test_everybody_decides_the_first_leaders_value_after_three_delays():
    table = Table()
    table.start()
    for _ in range(2):
        table.round()
        assert not any(seat.decided for seat in table.seats.values())
    table.round()
    assert {seat.decided.value for seat in table.seats.values()} == {b"value 0"}


def test_a_leader_persists_before_it_sends_and_votes_for_itself():
    table = Table()
    machine = table.seats[A].machine
    assert machine.start() == [ArmTimer(0, SLOT_MS)]
    outputs = machine.offer(b"mine")
    assert heard(outputs) == ["PersistBallot", "candidate", "PersistBallot", "notarize"]


def test_a_follower_asks_whether_the_value_is_valid_before_it_votes():
    table = Table()
    machine = table.seats[B].machine
    machine.start()
    candidate = table.candidate(0, b"theirs")
    assert table.tell(B, A, carried(candidate)) == [Validate(b"theirs")]
    assert table.tell(B, A, table.vote(A, NOTARIZE, 0, candidate)) == []
    assert heard(machine.mark_valid(b"theirs")) == ["PersistBallot", "notarize"]
    assert heard(table.tell(B, C, table.vote(C, NOTARIZE, 0, candidate))) == [
        "certificate",
        "PersistBallot",
        "finalize",
        "ArmTimer",
        *["PersistBallot", "candidate"],
        *["PersistBallot", "notarize"],
    ]


def test_the_decision_is_proven_by_its_bytes():
    table = Table()
    table.start()
    table.finish()
    decided = table.seats[D].decided
    found = verify_decision(table.instance, decided.candidate, decided.certificate, stub_verify)
    assert found == decided.value == b"value 0"


def test_one_member_alone_agrees_with_itself():
    table = Table([5])
    table.start()
    assert table.seats[A].decided.value == b"value 0"


def test_unequal_weights_decide_by_weight():
    table = Table([60, 10, 10, 10])
    table.start()
    for _ in range(3):
        table.carry(A, B)
        table.carry(B, A)
    assert table.seats[A].decided is not None
    assert table.seats[B].decided is not None


# Slow and silent members


def test_a_silent_leader_is_skipped_and_the_next_one_decides():
    table = Table(byzantine=[A])
    table.start()
    table.time_out(B, C, D)
    table.round()
    assert table.timers[B] == ArmTimer(1, SLOT_MS * 3 // 2)
    for _ in range(3):
        table.round()
    assert {seat.decided.value for seat in table.seats.values()} == {b"value 1"}


def test_a_member_that_skipped_may_still_notarize_a_late_candidate_but_not_finalize_it():
    table = Table(byzantine=[A])
    table.start()
    table.time_out(B)
    candidate = table.candidate(0, b"late")
    table.hear(B, A, carried(candidate), table.vote(A, NOTARIZE, 0, candidate))
    table.hear(B, C, table.vote(C, NOTARIZE, 0, candidate))
    kinds = [kind_of(mail.message) for mail in table.post if (mail.source, mail.target) == (B, C)]
    assert kinds == ["skip", "notarize", "certificate", "candidate", "notarize"]


def test_a_leader_without_a_value_proposes_when_it_gets_one():
    table = Table()
    for place in table.seats:
        table.seats[place].do(table.seats[place].machine.start())
    assert table.post == []
    table.seats[A].do(table.seats[A].machine.offer(b"at last"))
    table.finish()
    assert table.seats[C].decided.value == b"at last"


def test_a_timer_of_another_slot_says_nothing():
    table = Table()
    table.start()
    machine = table.seats[B].machine
    assert machine.on_timer(1) == []
    assert heard(machine.on_timer(0)) == ["PersistBallot", "skip"]
    assert machine.on_timer(0) == []


def test_a_value_that_stays_invalid_is_skipped():
    table = Table()
    table.start(p0=b"bad")
    table.finish()
    assert table.seats[A].decided.value == b"value 1"


def test_a_value_marked_invalid_may_become_valid_when_it_was_fetched():
    table = Table()
    machine = table.seats[B].machine
    machine.start()
    table.tell(B, A, carried(table.candidate(0, b"theirs")))
    assert machine.mark_invalid(b"theirs") == []
    assert heard(machine.mark_valid(b"theirs")) == ["PersistBallot", "notarize"]


def test_timers_grow_to_a_maximum():
    table = Table()
    machine = table.seats[A].machine
    machine.start()
    armed = []
    for slot in range(12):
        skips = MESSAGES.dump(table.certificate([B, C, D], SKIP, slot))
        armed += [output for output in table.tell(A, B, skips) if isinstance(output, ArmTimer)]
    assert [timer.slot for timer in armed] == list(range(1, 13))
    assert armed[0].delay_ms == SLOT_MS * 3 // 2
    assert armed[-1].delay_ms == SLOT_MAX_MS


# Any order, any number of times


def test_messages_in_any_order_and_number_change_nothing_but_time():
    rng = random.Random(3)
    for _ in range(20):
        table = Table()
        table.start()
        for _ in range(30):
            table.post = rng.sample(table.post, len(table.post)) + table.post[::2]
            table.round()
        table.check()
        assert all(seat.decided for seat in table.seats.values())


def test_votes_before_their_candidate_wait_for_it():
    table = Table()
    seat = table.seats[D]
    seat.do(seat.machine.start())
    candidate = table.candidate(0, b"value")
    finals = [table.vote(place, FINALIZE, 0, candidate) for place in (A, B, C)]
    table.hear(D, A, *finals)
    assert seat.decided is None
    table.hear(D, B, carried(candidate))
    assert seat.decided.value == b"value"


def test_a_certified_candidate_that_is_missing_is_asked_for():
    table = Table()
    machine = table.seats[D].machine
    machine.start()
    candidate = table.candidate(0, b"value")
    certificate = MESSAGES.dump(table.certificate([A, B, C], NOTARIZE, 0, candidate))
    outputs = table.tell(D, B, certificate)
    want = MESSAGES.dump(WantMsg(0, candidate.id))
    asked = [output for output in outputs if isinstance(output, SendTo)]
    assert asked == [SendTo(table.keys[place].public, want) for place in (A, B)]
    assert [output for output in machine.resend() if isinstance(output, SendTo)] == asked
    assert table.tell(D, C, certificate) == []


def test_a_leader_waits_for_the_candidate_that_it_must_repeat():
    table = Table()
    machine = table.seats[B].machine
    machine.start()
    machine.offer(b"own")
    candidate = table.candidate(0, b"value")
    outputs = table.tell(B, A, MESSAGES.dump(table.certificate([A, C, D], NOTARIZE, 0, candidate)))
    assert "candidate" not in heard(outputs)
    outputs = table.tell(B, A, carried(candidate))
    proposal = next(output.message for output in outputs if heard([output]) == ["candidate"])
    assert proposal == carried(table.candidate(1, b"value", candidate))


def test_a_wanted_candidate_is_sent_once_between_two_ticks():
    table = Table()
    machine = table.seats[A].machine
    machine.start()
    machine.offer(b"value")
    candidate = table.candidate(0, b"value")
    want = MESSAGES.dump(WantMsg(0, candidate.id))
    answer = SendTo(table.keys[B].public, carried(candidate))
    assert table.tell(A, B, want) == [answer]
    assert table.tell(A, B, want) == []
    machine.resend()
    assert table.tell(A, B, want) == [answer]
    assert table.tell(A, B, MESSAGES.dump(WantMsg(5, candidate.id))) == []


def test_whoever_missed_the_decision_asks_for_it_and_gets_it():
    table = Table()
    table.start()
    for _ in range(3):
        table.post = [mail for mail in table.post if mail.target != D]
        table.round()
    late = table.seats[D]
    assert table.seats[A].decided
    assert late.decided is None
    late.do(late.machine.resend())
    table.carry(D, A)
    table.carry(A, D)
    assert late.decided.value == b"value 0"


def test_after_the_decision_a_tick_sends_nothing_and_certificates_are_not_read():
    table = Table()
    table.start()
    table.finish()
    assert table.seats[A].machine.resend() == []
    forged = MESSAGES.dump(table.certificate([A, A, A], SKIP, 3))
    assert table.tell(A, B, forged) == []


def test_the_standstill_tick_repeats_what_others_may_lack():
    table = Table(byzantine=[D])
    table.start()
    table.round()
    table.lose()
    assert heard(table.seats[A].machine.resend()) == ["candidate", "notarize", "want"]
    assert heard(table.seats[B].machine.resend()) == ["notarize", "want"]
    candidate = table.candidate(0, b"value 0")
    table.hear(A, B, table.vote(B, NOTARIZE, 0, candidate), table.vote(C, NOTARIZE, 0, candidate))
    assert heard(table.seats[A].machine.resend()) == ["certificate", "finalize", "want"]
