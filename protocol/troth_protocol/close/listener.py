"""What a member of the agreement learns and passes on, whether it votes or not: messages, certificates, evidence.

Nothing is kept before its signature was checked, nothing changes when a message is refused, and what is kept is bounded
by `Slot` and by AHEAD_SLOTS. Ballots may come in any order: what is too early waits in its slot.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from troth_protocol.close.ballots import (
    EXCLUDES,
    FINALIZE,
    MESSAGES,
    SKIP,
    Ballot,
    Candidate,
    CandidateMsg,
    Instance,
    Signed,
    SlotCertificate,
    Statement,
    Verify,
    VoteMsg,
    WantMsg,
    check_signature,
    read_ballot,
    read_candidate,
    read_statement,
    verify_certificate,
)
from troth_protocol.close.leaders import turns
from troth_protocol.close.outputs import Accused, Broadcast, Output, SendTo
from troth_protocol.close.slot import Proof, Slot
from troth_protocol.wire.codec import Value

AHEAD_SLOTS: Final = 64
_NOTHING: Final = Slot()


def candidate_message(candidate: Candidate) -> Value:
    """The message that carries a candidate."""
    return MESSAGES.dump(CandidateMsg(candidate.signed.payload, candidate.signed.signature))


def vote_message(ballot: Ballot) -> Value:
    """The message that carries a ballot."""
    signed = ballot.signed
    return MESSAGES.dump(VoteMsg(signed.kind, signed.payload, ballot.member, signed.signature))


class Listener:
    """The part of the agreement that needs no voice; `place` is the member's own, -1 for an observer.

    `_decision` holds the two messages that prove the decision, once there is one.
    """

    def __init__(self, instance: Instance, place: int, verify: Verify) -> None:
        self._instance = instance
        self._committee = instance.committee
        self._place = place
        self._verify = verify
        self._turns = islice(turns(instance.committee.members), instance.offset, None)
        self._leaders: list[int] = []
        self._slots: dict[int, Slot] = {}
        self._current = 0
        self._told: set[tuple[int, bytes | None]] = set()
        self._decision: list[Value] = []
        self._out: list[Output] = []

    # Messages

    def _take(self, place: int, message: Value) -> None:
        match MESSAGES.load(message):
            case CandidateMsg() as candidate:
                self._on_candidate(candidate)
            case VoteMsg() as vote:
                self._on_vote(vote)
            case SlotCertificate() as certificate:
                self._on_certificate(certificate)
            case want:
                self._on_want(want, place)

    def _on_candidate(self, message: CandidateMsg) -> None:
        candidate = read_candidate(self._instance, message)
        slot = self._held(candidate.slot)
        if candidate.id in slot.candidates or not slot.has_room(candidate):
            return
        if self._is_far(candidate.slot) and not slot.is_proven(candidate.id):
            return
        self._check(self._leader(candidate.slot), candidate.signed)
        self._keep(candidate)

    def _on_vote(self, message: VoteMsg) -> None:
        ballot = read_ballot(self._instance, message)
        if self._is_far(ballot.statement.slot) or not self._held(ballot.statement.slot).is_news(ballot):
            return
        self._check(ballot.member, ballot.signed)
        self._count(ballot)

    def _on_certificate(self, certificate: SlotCertificate) -> None:
        """No bound on the slot here: a quorum's certificates end where honest members are."""
        statement = read_statement(self._instance, certificate.vote, certificate.payload)
        slot = self._held(statement.slot)
        if self._decision or statement.kind in slot.proofs:
            return
        members = self._committee.members
        known = {(members[ballot.member].key, ballot.signed.signature) for ballot in slot.backers(statement)}
        verify_certificate(
            self._instance,
            certificate,
            lambda key, data, signature: (key, signature) in known or self._verify(key, data, signature),
        )
        self._prove(Proof(statement, certificate))
        for place, signature in certificate.signatures:
            ballot = Ballot(place, statement, Signed(certificate.vote, certificate.payload, signature))
            if self._slot(statement.slot).is_news(ballot):
                self._count(ballot)

    def _on_want(self, want: WantMsg, place: int) -> None:
        """One answer to each request of a member between two ticks: a candidate, or the decision."""
        if (place, want.candidate) in self._told:
            return
        answers = self._decision if want.candidate is None else self._found(want.slot, want.candidate)
        if answers:
            self._told.add((place, want.candidate))
            self._out += [SendTo(self._committee.members[place].key, answer) for answer in answers]

    def _found(self, number: int, candidate: bytes) -> list[Value]:
        held = self._held(number).candidates.get(candidate)
        return [] if held is None else [candidate_message(held)]

    # What was learnt

    def _keep(self, candidate: Candidate) -> None:
        """Keep a candidate whose signature was checked; another one of the same slot is evidence."""
        slot = self._slot(candidate.slot)
        for other in [held for held in slot.candidates.values() if held.id != candidate.id]:
            self._accuse(self._leader(candidate.slot), candidate.slot, other.signed, candidate.signed)
        slot.candidates[candidate.id] = candidate

    def _count(self, ballot: Ballot) -> None:
        """Keep a ballot whose signature was checked: it may convict its member, or complete a certificate."""
        statement = ballot.statement
        slot = self._slot(statement.slot)
        for other in slot.of(ballot.member):
            if other.statement.kind in EXCLUDES[statement.kind]:
                self._accuse(ballot.member, statement.slot, other.signed, ballot.signed)
        slot.keep(ballot)
        self._tally(statement)

    def _tally(self, statement: Statement) -> None:
        """Weights of distinct members make a certificate, never the number of messages."""
        slot = self._slot(statement.slot)
        if statement.kind in slot.proofs or self._decision:
            return
        backers = slot.backers(statement)
        if self._committee.weigh(ballot.member for ballot in backers) >= self._committee.quorum:
            signatures = tuple((ballot.member, ballot.signed.signature) for ballot in backers)
            payload = statement.payload(self._instance)
            self._prove(Proof(statement, SlotCertificate(statement.kind, payload, signatures)))

    def _prove(self, proof: Proof) -> None:
        """R7: a certificate that is new here goes to everyone, once; a candidate that it names is asked for."""
        statement = proof.statement
        self._slot(statement.slot).proofs[statement.kind] = proof
        self._out.append(Broadcast(MESSAGES.dump(proof.certificate)))
        self._ask(proof)

    def _ask(self, proof: Proof) -> None:
        """Ask for a certified candidate that is missing: signers beyond the faulty third include one who holds it."""
        statement = proof.statement
        if statement.kind == SKIP or statement.candidate in self._held(statement.slot).candidates:
            return
        want = MESSAGES.dump(WantMsg(statement.slot, statement.candidate))
        weight = 0
        for place, _ in proof.certificate.signatures:
            if place != self._place and weight < self._committee.third:
                weight += self._committee.members[place].weight
                self._out.append(SendTo(self._committee.members[place].key, want))

    def _accuse(self, member: int, number: int, first: Signed, second: Signed) -> None:
        """Report two statements that exclude each other, once for each pair of kinds, in an order of their own."""
        low, high = sorted((first, second), key=lambda signed: (signed.kind, signed.payload))
        offence = (member, low.kind, high.kind)
        accused = self._slot(number).accused
        if offence not in accused:
            accused.add(offence)
            self._out.append(Accused(self._committee.members[member].key, number, low, high))

    # R7 at a standstill

    def _repeat(self) -> None:
        """What others may lack: of a cleared slot its certificates and my finalize vote, else all of mine."""
        for number in sorted(self._slots):
            slot = self._slots[number]
            for proof in slot.certified():
                self._out.append(Broadcast(MESSAGES.dump(proof.certificate)))
                self._ask(proof)
            for kind, message in slot.mine.items():
                if not slot.is_cleared() or kind == FINALIZE:
                    self._out.append(Broadcast(message))

    # Small change

    def _check(self, member: int, signed: Signed) -> None:
        check_signature(self._instance.network, self._committee.members[member].key, signed, self._verify)

    def _leader(self, number: int) -> int:
        while len(self._leaders) <= number:
            self._leaders.append(next(self._turns))
        return self._leaders[number]

    def _is_far(self, number: int) -> bool:
        return number > self._current + AHEAD_SLOTS

    def _held(self, number: int) -> Slot:
        """What is held of a slot, for reading: asking about a slot does not make one."""
        return self._slots.get(number, _NOTHING)

    def _slot(self, number: int) -> Slot:
        return self._slots.setdefault(number, Slot())

    def _flush(self) -> list[Output]:
        out, self._out = self._out, []
        return out
