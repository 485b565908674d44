"""What a node owes: every commit is revealed, every attestation is sealed and opened. Secrets come to disk first.

Each duty is derived anew from the sealed state at every epoch, so a crash or a void entry never loses one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from troth_protocol.core import Core
from troth_protocol.errors import Invalid
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.author import Finalized, Refused
from troth_protocol.log.ops import Attest, AttestReveal, CommitOp, Op, Reveal
from troth_protocol.log.rows import Attestation, Commit, Question
from troth_protocol.log.sealed import attest_digest, commit_digest, commit_id
from troth_protocol.wire.codec import Value, decode, encode

TABLE: Final = "duties"
SALT_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class OwnCommit:
    """A contribution of ours: what opens it, and the payload if it is a signal."""

    id: bytes
    question: bytes
    salt: bytes
    contribution: bytes
    wager: int
    document: str
    payload: bytes

    def digest(self, network: bytes, author: bytes) -> bytes:
        """What the log seals."""
        return commit_digest(network, author, self.question, self.salt, self.contribution)


@dataclass(frozen=True, slots=True)
class OwnVote:
    """A vote of ours on a question's outcome."""

    question: bytes
    round: int
    salt: bytes
    outcome: int


class Duties:
    """The commits and attestations of one node."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.commits: dict[bytes, OwnCommit] = {}
        self.votes: dict[tuple[bytes, int], OwnVote] = {}
        self.on_refused: Callable[[Refused], None] | None = None
        self._pending: dict[int, tuple[str, bytes]] = {}
        self._answered: set[bytes] = set()
        self._by_place: dict[tuple[bytes, str], OwnCommit] = {}
        for key, data in core.chain.archive.scan(TABLE, b""):
            self._restore(key, decode(data))

    def _restore(self, key: bytes, value: Value) -> None:
        match key[:1], value:
            case b"c", [
                bytes(question),
                bytes(salt),
                bytes(contribution),
                str(wager),
                str(document),
                bytes(payload),
            ]:
                own = OwnCommit(key[1:], question, salt, contribution, int(wager), document, payload)
                self._remember(own)
            case b"a", [bytes(question), int(round_), bytes(salt), int(outcome)]:
                self.votes[question, round_] = OwnVote(question, round_, salt, outcome)
            case _:
                raise Invalid("bad_row", "duty")

    def _remember(self, own: OwnCommit) -> None:
        self.commits[own.id] = own
        self._answered.add(own.question)
        self._by_place[own.question, own.document] = own

    def commit(
        self, contribution: Contribution, wager: int, document: str = "", payload: bytes = b""
    ) -> OwnCommit:
        """Seal a contribution: salt and content are persisted before the commit can leave."""
        core = self.core
        salt, body = secrets.token_bytes(SALT_BYTES), CONTRIBUTION.encode(contribution)
        digest = commit_digest(core.chain.network, core.keys.public, contribution.question, salt, body)
        key = commit_id(core.chain.network, core.keys.public, contribution.question, digest)
        own = OwnCommit(key, contribution.question, salt, body, wager, document, payload)
        row = encode([own.question, salt, body, str(wager), document, payload])
        core.out.persist(TABLE, b"c" + key, row)
        self._remember(own)
        self._submit("commit", key, CommitOp(own.question, digest, wager))
        return own

    def find(self, question: bytes, document: str) -> OwnCommit | None:
        """Our signal for a question, if it is made."""
        return self._by_place.get((question, document))

    def reserved(self) -> int:
        """Wagers and fees of commits that are submitted but not in the log yet, in atomic units."""
        fee = 2 * self.core.genesis.rules.fee
        waiting = [key for kind, key in self._pending.values() if kind == "commit"]
        return sum(self.commits[key].wager + fee for key in waiting if key in self.commits)

    def has_answered(self, question: bytes) -> bool:
        """Is there a contribution of ours to this question?"""
        return question in self._answered

    def attest(self, question: bytes, outcome: int) -> None:
        """Seal a vote in the question's current round."""
        core = self.core
        round_ = core.chain.state.question(question).round
        salt = secrets.token_bytes(SALT_BYTES)
        vote = OwnVote(question, round_, salt, outcome)
        key = b"a" + question + bytes([round_])
        core.out.persist(TABLE, key, encode([question, round_, salt, outcome]))
        self.votes[question, round_] = vote
        self._send_vote(vote)

    def _send_vote(self, vote: OwnVote) -> None:
        network, me = self.core.chain.network, self.core.keys.public
        digest = attest_digest(network, me, vote.question, vote.salt, vote.outcome)
        self._submit("attest", vote.question, Attest(vote.question, digest))

    def _submit(self, kind: str, key: bytes, op: Op) -> None:
        if (kind, key) not in self._pending.values():
            self._pending[self.core.submit((op,))] = (kind, key)

    def notice(self, event: object) -> None:
        """A submission became final, or can't be signed."""
        if isinstance(event, Finalized):
            self._pending.pop(event.number, None)
        elif isinstance(event, Refused):
            self._pending.pop(event.number, None)
            if self.on_refused is not None:
                self.on_refused(event)

    def advance(self) -> None:
        """An epoch opened: submit whatever is due and not yet in the sealed state; forget what is settled."""
        state, epoch = self.core.chain.state, self.core.epoch
        for own in list(self.commits.values()):
            question = state.find("questions", own.question, Question)
            if question is None:
                self._forget(b"c" + own.id)
                del self.commits[own.id]
                self._answered.discard(own.question)
                self._by_place.pop((own.question, own.document), None)
            else:
                self._advance_commit(own, question, epoch)
        for vote in list(self.votes.values()):
            question = state.find("questions", vote.question, Question)
            if question is None:
                self._forget(b"a" + vote.question + bytes([vote.round]))
                del self.votes[vote.question, vote.round]
            elif question.round == vote.round:
                self._advance_vote(vote, question, epoch)

    def _forget(self, key: bytes) -> None:
        self.core.out.erase(TABLE, key)

    def _advance_commit(self, own: OwnCommit, question: Question, epoch: int) -> None:
        sealed = self.core.chain.state.find("commits", own.id, Commit)
        if sealed is None and question.is_commit_open(epoch):
            digest = own.digest(self.core.chain.network, self.core.keys.public)
            self._submit("commit", own.id, CommitOp(own.question, digest, own.wager))
        elif sealed is not None and not sealed.revealed and question.is_reveal_open(epoch):
            self._submit("reveal", own.id, Reveal(own.id, own.salt, own.contribution))

    def _advance_vote(self, vote: OwnVote, question: Question, epoch: int) -> None:
        place = vote.question + self.core.keys.public
        sealed = self.core.chain.state.find("attestations", place, Attestation)
        if sealed is None:
            return
        if sealed.digest is None and question.is_attest_open(epoch):
            self._send_vote(vote)
        elif sealed.digest is not None and sealed.outcome is None and question.is_attest_reveal_open(epoch):
            self._submit("open", vote.question, AttestReveal(vote.question, vote.outcome, vote.salt))

    def due_votes(self) -> list[bytes]:
        """Questions whose vote we owe and have not cast: the agent must say what it saw."""
        core, due = self.core, []
        for key, question in core.chain.state.items("questions", Question):
            duty = core.chain.state.find("attestations", key + core.keys.public, Attestation)
            if (
                duty is not None
                and question.is_attest_open(core.epoch)
                and (key, question.round) not in self.votes
            ):
                due.append(key)
        return due
