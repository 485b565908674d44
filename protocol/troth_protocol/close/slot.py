"""What is held of one slot: candidates, ballots by member, certificates. It has no opinion on what to do with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from troth_protocol.close.ballots import (
    FINALIZE,
    NOTARIZE,
    SKIP,
    Ballot,
    Candidate,
    SlotCertificate,
    Statement,
)
from troth_protocol.wire.codec import Value

#: Candidates of one leader, and votes of one kind of one member: the first, and one more as evidence.
KEPT: Final = 2


@dataclass(frozen=True, slots=True)
class Proof:
    """A certificate that was verified, and what it says."""

    statement: Statement
    certificate: SlotCertificate


class Slot:
    """Everything held of one slot; bounded, whatever members send. `mine` has the messages that I published."""

    __slots__ = ("accused", "ballots", "candidates", "mine", "proofs")

    def __init__(self) -> None:
        self.candidates: dict[bytes, Candidate] = {}
        self.ballots: dict[int, list[Ballot]] = {}
        self.proofs: dict[str, Proof] = {}
        self.mine: dict[str, Value] = {}
        self.accused: set[tuple[int, str, str]] = set()

    def is_cleared(self) -> bool:
        """R1: whether the slot is notarized or skipped, so that the next one may begin."""
        return NOTARIZE in self.proofs or SKIP in self.proofs

    def is_proven(self, candidate: bytes) -> bool:
        """Whether a quorum voted for this candidate: then it is kept whatever else the leader sent."""
        return any(proof.statement.candidate == candidate for proof in self.proofs.values())

    def has_room(self, candidate: Candidate) -> bool:
        """Whether to keep this candidate."""
        return len(self.candidates) < KEPT or self.is_proven(candidate.id)

    def of(self, member: int) -> tuple[Ballot, ...]:
        """One member's ballots as they came."""
        return tuple(self.ballots.get(member, ()))

    def has_said(self, member: int, statement: Statement) -> bool:
        """Whether a member's ballot says exactly this."""
        return any(ballot.statement == statement for ballot in self.of(member))

    def is_news(self, ballot: Ballot) -> bool:
        """Whether to keep this ballot: not said before, and not one too many of its kind."""
        kind = ballot.statement.kind
        alike = [held for held in self.of(ballot.member) if held.statement.kind == kind]
        return len(alike) < KEPT and all(held.statement != ballot.statement for held in alike)

    def keep(self, ballot: Ballot) -> None:
        """Keep a ballot whose signature was checked."""
        self.ballots.setdefault(ballot.member, []).append(ballot)

    def backers(self, statement: Statement) -> list[Ballot]:
        """The ballots that say this, one of each member, in order of places."""
        return [
            ballot
            for member in sorted(self.ballots)
            for ballot in self.ballots[member]
            if ballot.statement == statement
        ]

    def certified(self) -> Iterable[Proof]:
        """The certificates held, in a fixed order."""
        return (self.proofs[kind] for kind in (NOTARIZE, SKIP, FINALIZE) if kind in self.proofs)
