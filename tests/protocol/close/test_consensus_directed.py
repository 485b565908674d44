"""One hand-written schedule for each guard of the agreement, and for each guard a mutant without it that falls to it.

Random runs rarely reach these corners. D is Byzantine throughout and signs what the schedule says; a schedule ends
with a good network, so that a mutant is caught by what it decides, or by deciding nothing.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import consensus_mutants as mutants
import pytest

from troth_node.testing.agreement import Table, Violation, carried, heard, kind_of
from troth_protocol.close.ballots import FINALIZE, MESSAGES, NOTARIZE, SKIP
from troth_protocol.close.leaders import leader
from troth_protocol.errors import Invalid

A, B, C, D = range(4)
LIGHT = (20, 20, 20, 2, 2, 2, 2)


def votes(table, target, place, slot, candidate, *kinds):
    """One place votes for a candidate, and shows it to one seat."""
    table.hear(target, place, *(table.vote(place, kind, slot, candidate) for kind in kinds))


def split(table, places, first, second):
    """Byzantine `places` show one candidate and all their votes for it to A, another one to B."""
    for target, candidate in ((A, first), (B, second)):
        table.hear(target, D, carried(candidate))
        for kind in (NOTARIZE, FINALIZE):
            for place in places:
                votes(table, target, place, 0, candidate, kind)
    table.check()
    table.lose()
    table.finish()


def second_decision(table):
    """B, C and D go on without A: they skip slot 0, and B leads slot 1."""
    table.lose()
    table.time_out(B, C)
    table.hear(B, D, table.vote(D, SKIP, 0))
    table.exchange(B, C)
    candidate = table.proposal(1)
    if candidate is not None:
        for kind in (NOTARIZE, FINALIZE):
            votes(table, B, D, 1, candidate, kind)
            table.exchange(B, C)
    table.check()
    table.finish()


def decide_at(table, place, slot, candidate):
    """B and C receive D's candidate and its votes and exchange theirs; then the network is good."""
    for kind in (NOTARIZE, FINALIZE):
        for target in (B, C):
            table.hear(target, place, carried(candidate))
            votes(table, target, place, slot, candidate, kind)
        table.exchange(B, C)
    table.check()
    table.finish()


def decided_by_a_alone(table):
    """Everybody notarizes the candidate of slot 0 and votes to finalize it, but only A learns of that."""
    table.round()
    table.round()
    for source in (B, C):
        table.carry(source, A, FINALIZE)
    table.lose()
    assert table.seats[A].decided


def finalized_by_a_and_c(table):
    """A decides its own candidate with the votes of C and D; B knows nothing."""
    candidate = table.proposal(0)
    table.carry(A, C, "candidate")
    table.carry(C, A, NOTARIZE)
    votes(table, A, D, 0, candidate, NOTARIZE)
    table.carry(A, C, "certificate")
    table.carry(C, A, FINALIZE)
    votes(table, A, D, 0, candidate, FINALIZE)
    assert table.seats[A].decided


# Quorums


def disjoint_thirds(make):
    """Two of four are no quorum, or D makes two of them."""
    table = make(byzantine=[D], offset=3)
    table.start()
    split(table, [D], table.candidate(0, b"1"), table.candidate(0, b"2"))


def many_light_members(make):
    """Four of seven members weigh less than a third: with one honest member they are a majority of heads only."""
    members = make(LIGHT).instance.committee.members
    offset = next(turn for turn in range(100) if leader(members, turn, 0) == D)
    table = make(LIGHT, byzantine=[3, 4, 5, 6], offset=offset)
    table.start()
    split(table, [3, 4, 5, 6], table.candidate(0, b"1"), table.candidate(0, b"2"))


def repeated_votes(make):
    """D says everything twice."""
    table = make(byzantine=[D], offset=3)
    table.start()
    split(table, [D, D], table.candidate(0, b"1"), table.candidate(0, b"2"))


def repeated_signatures(make):
    """D shows certificates that name nobody but D, three times."""
    table = make(byzantine=[D], offset=3)
    table.start()
    for target, value in ((A, b"1"), (B, b"2")):
        candidate = table.candidate(0, value)
        table.hear(target, D, carried(candidate))
        with suppress(Invalid):
            table.hear(target, D, MESSAGES.dump(table.certificate([D, D, D], FINALIZE, 0, candidate)))
    table.check()
    table.lose()
    table.finish()


# R1 and R2


def timer_of_a_cleared_slot(make):
    """The timer of slot 0 fires at C after the slot was notarized there."""
    table = make(byzantine=[D])
    table.start()
    candidate = table.candidate(0, b"1")
    table.hear(C, D, MESSAGES.dump(table.certificate([A, B, D], NOTARIZE, 0, candidate)))
    if heard(table.seats[C].machine.on_timer(0)):
        raise Violation("a vote to skip a slot that was cleared")


def second_thoughts(make):
    """The leader is offered a better value after it proposed."""
    table = make()
    table.start()
    table.carry(A, B)
    table.seats[A].do(table.seats[A].machine.offer(b"second thoughts"))
    table.finish()


def notarized_but_not_finalized(make):
    """C skips slot 0 too early to finalize it: only who repeats its value can lead everybody out of it."""
    table = make(byzantine=[D])
    table.start()
    table.round()
    table.time_out(C)
    table.post = [mail for mail in table.post if kind_of(mail.message) == NOTARIZE]
    table.round()
    table.lose()
    table.finish()


# R3


def two_candidates(make):
    """D shows both its candidates to everybody and helps A and B to notarize one of them, C the other."""
    table = make(byzantine=[D], offset=3)
    table.start()
    first, second = table.candidate(0, b"1"), table.candidate(0, b"2")
    for target, shown, helped in (
        (A, (first, second), first),
        (B, (first, second), first),
        (C, (second, first), second),
    ):
        table.hear(target, D, *map(carried, shown))
        votes(table, target, D, 0, helped, NOTARIZE)
    table.carry(B, A)
    table.carry(A, B)
    table.carry(A, C)
    table.finish()


def invalid_value(make):
    """D proposes what is not valid."""
    table = make(byzantine=[D], offset=3)
    table.start()
    for target in (A, B, C):
        table.hear(target, D, carried(table.candidate(0, b"bad")))
    table.finish()


def another_value_than_the_parents(make):
    """A decided in slot 0. D names that candidate as the parent of another value."""
    table = make(byzantine=[D], offset=2)
    table.start()
    decided_by_a_alone(table)
    parent = table.proposal(0)
    decide_at(table, D, 1, table.candidate(1, b"other", parent))


def no_parent_at_all(make):
    """A decided in slot 0, which is not skipped. D proposes as if it were."""
    table = make(byzantine=[D], offset=2)
    table.start()
    decided_by_a_alone(table)
    decide_at(table, D, 1, table.candidate(1, b"other"))


def parent_that_was_not_notarized(make):
    """A decided one of D's two candidates of slot 0. In its next slot D names the other one as the parent."""
    table = make(byzantine=[D], offset=3)
    table.start()
    first, second = table.candidate(0, b"1"), table.candidate(0, b"2")
    for target in (A, B, C):
        table.hear(target, D, carried(first), carried(second))
    table.round()
    for source in (B, C):
        table.carry(source, A, FINALIZE)
    table.lose()
    assert table.seats[A].decided
    for slot in (1, 2, 3):
        table.time_out(B, C)
        for source, target in ((B, C), (C, B)):
            table.carry(source, target, SKIP)
            table.hear(target, D, table.vote(D, SKIP, slot))
        table.lose()
    decide_at(table, D, 4, table.candidate(4, b"2", second))


# R4 and R5


def certificate_for_what_i_did_not_notarize(make):
    """C learns that a candidate was notarized which it has never seen."""
    table = make(byzantine=[D])
    table.start()
    candidate = table.candidate(0, b"1")
    table.hear(C, D, MESSAGES.dump(table.certificate([A, B, D], NOTARIZE, 0, candidate)))
    if any(kind_of(mail.message) == FINALIZE for mail in table.post):
        raise Violation("finalized what it did not notarize")


def candidate_for_one(make):
    """D shows its candidate to A alone and falls silent: A must be free to skip the slot with the others."""
    table = make(byzantine=[D], offset=3)
    table.start()
    table.hear(A, D, carried(table.candidate(0, b"1")))
    table.finish()


def certificate_after_the_timer(make):
    """A and C notarize and then skip slot 0; then its certificate turns up, and A could decide."""
    table = make(byzantine=[D])
    table.start()
    candidate = table.proposal(0)
    table.carry(A, C, "candidate")
    table.time_out(A, C)
    table.carry(C, A, NOTARIZE)
    votes(table, A, D, 0, candidate, NOTARIZE)
    table.carry(A, C, "certificate")
    table.carry(C, A, FINALIZE)
    votes(table, A, D, 0, candidate, FINALIZE)
    table.carry(C, B, SKIP)
    second_decision(table)


def timer_after_a_restart(make):
    """C votes to finalize and crashes; it comes back without the certificate, and the timer fires."""
    table = make(byzantine=[D])
    table.start()
    finalized_by_a_and_c(table)
    table.seats[C].restart()
    table.seats[C].do(table.seats[C].machine.start())
    second_decision(table)


# R6, R7, R8


def notarized_for_one(make):
    """A sees a candidate notarized; the others skip the slot."""
    table = make(byzantine=[D])
    table.start()
    table.carry(A, C, "candidate")
    table.carry(C, A, NOTARIZE)
    votes(table, A, D, 0, table.proposal(0), NOTARIZE)
    second_decision(table)


def certificate_for_one(make):
    """D completes a certificate at A and falls silent: without A's help B and C would wait in slot 0 for ever."""
    table = make(byzantine=[D], offset=3)
    table.start()
    candidate = table.candidate(0, b"1")
    for target in (A, B):
        table.hear(target, D, carried(candidate))
    votes(table, A, D, 0, candidate, NOTARIZE)
    table.finish()


def certificate_without_candidate(make):
    """C learns of a certificate alone, and cannot judge what is built on its candidate."""
    table = make(byzantine=[D], offset=3)
    table.start()
    candidate = table.candidate(0, b"1")
    for target in (A, B):
        table.hear(target, D, carried(candidate))
        votes(table, target, D, 0, candidate, NOTARIZE)
    table.finish()


def lost_messages(make):
    """Everybody skips slot 0, and nobody hears of it."""
    table = make(byzantine=[A])
    table.start()
    table.time_out(B, C, D)
    table.lose()
    table.finish()


def two_slots_to_skip(make):
    """The first two leaders propose what is not valid."""
    table = make()
    table.start(p0=b"bad", p1=b"bad")
    table.finish()


def crash_of_all(make):
    """All crash after voting for a candidate that D will not show again."""
    table = make(byzantine=[D], offset=3)
    table.start()
    for target in (A, B, C):
        table.hear(target, D, carried(table.candidate(0, b"1")))
    table.lose()
    for seat in table.seats.values():
        seat.restart()
        seat.do(seat.machine.start())
    table.finish()


def lost_file(make):
    """C votes to finalize and loses its disk."""
    table = make(byzantine=[D])
    table.start()
    finalized_by_a_and_c(table)
    table.seats[C].restart(has_disk=False)
    table.seats[C].do(table.seats[C].machine.start())
    second_decision(table)


def ordinary_run(make):
    """Nothing happens."""
    table = make()
    table.start()
    table.finish()


# Guard by guard: the schedule, the mutant, and how the mutant is caught.
SPLIT = r"decided \[b'1', b'2'\]"
TABLE = {
    "quorum: more than two thirds": (disjoint_thirds, {"committee": mutants.OffByOne}, SPLIT),
    "quorum: weights, not heads": (many_light_members, {"committee": mutants.Heads}, SPLIT),
    "quorum: a member's vote counts once": (repeated_votes, {"machine": mutants.CountsMessages}, SPLIT),
    "quorum: distinct members in a certificate": (repeated_signatures, {"committee": mutants.Repeats}, SPLIT),
    "R1: a timer speaks for the current slot": (
        timer_of_a_cleared_slot,
        {"machine": mutants.SkipsClearedSlots},
        "cleared",
    ),
    "R1: each slot has its timer": (two_slots_to_skip, {"machine": mutants.ArmsOnce}, "not everybody"),
    "R2: a leader proposes once": (second_thoughts, {"machine": mutants.ProposesAgain}, "accused"),
    "R2: a leader repeats the notarized value": (
        notarized_but_not_finalized,
        {"machine": mutants.IgnoresNotarized},
        "not everybody",
    ),
    "R3: one notarize vote": (two_candidates, {"machine": mutants.NotarizesTwice}, "not everybody"),
    "R3: the value is valid": (invalid_value, {"machine": mutants.SkipsValidity}, "invalid value"),
    "R3: the value is the parent's": (
        another_value_than_the_parents,
        {"machine": mutants.IgnoresParentValue},
        "decided",
    ),
    "R3: the slots in between are skipped": (no_parent_at_all, {"machine": mutants.IgnoresGap}, "decided"),
    "R3: the parent was notarized": (
        parent_that_was_not_notarized,
        {"machine": mutants.IgnoresParentCertificate},
        SPLIT,
    ),
    "R4: I notarized it": (
        certificate_for_what_i_did_not_notarize,
        {"machine": mutants.FinalizesUnvoted},
        "finalized what",
    ),
    "R4: a quorum notarized it": (
        candidate_for_one,
        {"machine": mutants.FinalizesUncertified},
        "not everybody",
    ),
    "R4: I did not skip": (certificate_after_the_timer, {"machine": mutants.FinalizesAfterSkip}, "decided"),
    "R5: I did not finalize": (timer_after_a_restart, {"machine": mutants.SkipsAfterFinalize}, "decided"),
    "R6: only what is finalized": (notarized_for_one, {"machine": mutants.DecidesOnNotarized}, "decided"),
    "R7: certificates are relayed": (
        certificate_for_one,
        {"machine": mutants.KeepsCertificates},
        "not everybody",
    ),
    "R7: candidates are asked for": (
        certificate_without_candidate,
        {"machine": mutants.NeverAsks},
        "not everybody",
    ),
    "R7: a standstill ends": (lost_messages, {"machine": mutants.NeverRepeats}, "not everybody"),
    "R8: a vote keeps its candidate": (crash_of_all, {"machine": mutants.ForgetsCandidates}, "not everybody"),
    "R8: without a file no vote": (lost_file, {"machine": mutants.Forgets}, "decided"),
    "R8: what is on disk was said": (timer_after_a_restart, {"machine": mutants.ForgetsFile}, "decided"),
    "R8: disk before network": (ordinary_run, {"machine": mutants.SendsFirst}, "before it was on disk"),
}


@pytest.mark.parametrize("guard", TABLE)
def test_the_machine_passes_the_schedule(guard):
    schedule: Callable = TABLE[guard][0]
    schedule(Table)


@pytest.mark.parametrize("guard", TABLE)
def test_the_schedule_catches_the_machine_without_the_guard(guard):
    schedule, mutant, reason = TABLE[guard]
    with pytest.raises(Violation, match=reason):
        schedule(partial(Table, is_once=False, **mutant))


@pytest.mark.parametrize(
    "guard",
    [
        "R2: a leader proposes once",
        "R3: one notarize vote",
        "R4: I did not skip",
        "R5: I did not finalize",
        "R8: what is on disk was said",
    ],
)
def test_a_disk_that_inserts_once_stops_a_second_ballot_even_without_the_guard(guard):
    schedule, mutant, _ = TABLE[guard]
    with pytest.raises(Violation, match="a second ballot for one row"):
        schedule(partial(Table, **mutant))
