"""A forecaster's node that only writes its own log: it follows the seals and believes its own account's branch.

Theory of operation. The protocol's own Author signs entries on a log book, and Checkpoint verifies every seal. What
the book stands on is known without the rest of the network: the questions follow from the genesis document, the own
account is proved under the seal by a witness's branch, and the own commits were final before the seal. Nothing that
other authors wrote is fetched or executed; the witnesses do that, and the audit does it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from troth_node.replay.network import Replay
from troth_protocol.close.light import genesis_checkpoint
from troth_protocol.close.seal import SEAL, SIGNED_SEAL
from troth_protocol.effects import Effects, Notice, Send
from troth_protocol.errors import TrothError
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.author import Author, Refused
from troth_protocol.log.book import LogBook
from troth_protocol.log.ops import CommitOp, Op, Reveal
from troth_protocol.log.rows import Account, Commit, Question
from troth_protocol.log.sealed import commit_digest, commit_id, question_id
from troth_protocol.log.state import State, genesis_state
from troth_protocol.log.vote import VOTE
from troth_protocol.wire.codec import Value
from troth_protocol.wire.crypto import KeyPair, digest
from troth_protocol.wire.messages import MESSAGES, Refuse, SealMsg, StoredAck, VoteFor, Votes

#: A submission's ops share an entry: its room, and what a reveal takes beside two bytes of framing per probability.
ENTRY_BYTES: Final = 100_000
REVEAL_BYTES: Final = 320
PPM_BYTES: Final = 6
OPS_PER_ENTRY: Final = 256
RATIONALE: Final = "replayed"

#: Proves a row of a witness's sealed state: (witness, key of the account) -> proof.
Prove = Callable[[bytes, bytes], Value]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A forecast of ours: what opens its commit, and what the log will hold of it."""

    key: bytes
    salt: bytes
    body: bytes
    row: Commit


class LightNode:
    """One forecaster: `out` is what it wants to send, `problems` what was refused."""

    def __init__(self, replay: Replay, number: int, prove: Prove) -> None:
        self.replay = replay
        self.number = number
        self.keys: KeyPair = replay.forecasters[number]
        self.network = replay.genesis.network()
        self.out = Effects()
        self.author = Author(self.keys, self.out)
        self.author.is_allowed = True
        self.checkpoint = genesis_checkpoint(replay.genesis)
        self.account = genesis_state(replay.genesis).account(self.keys.public)
        self.problems: list[str] = []
        self.committed = 0
        self._prove = prove
        self._round = -1
        self._mine: list[Sealed] = []

    def start(self) -> None:
        """The first epoch is open."""
        self._open()

    def frame(self, peer: bytes, payload: bytes) -> None:
        """A witness says something; what is refused is its own affair."""
        try:
            message = MESSAGES.decode(payload)
            match message:
                case VoteFor():
                    self.author.voted(peer, message.entry, VOTE.decode(message.vote))
                case Votes():
                    self.author.voted_together(peer, message)
                case StoredAck() if message.epoch == self.checkpoint.epoch + 1:
                    self.author.stored(peer, message.entries)
                case SealMsg():
                    self._sealed(peer, message)
                case Refuse():
                    self.author.supply(peer, message.missing)
                case _:
                    pass
        except TrothError as error:
            self.problems.append(f"{peer.hex()[:8]} sent what is refused: {error}")

    def drain(self) -> list[Send]:
        """What to send now; its own disk is nobody else's business, and this one has none."""
        self.author.pump()
        effects = self.out.drain()
        for effect in effects:
            if isinstance(effect, Notice) and isinstance(effect.event, Refused):
                self.problems.append(f"refused: {effect.event.code} {effect.event.detail}")
        return [effect for effect in effects if isinstance(effect, Send)]

    def _sealed(self, peer: bytes, message: SealMsg) -> None:
        """The next seal: verify it, then the own account under it; then its successor is open."""
        signed = SIGNED_SEAL.decode(message.seal)
        if SEAL.decode(signed.payload).epoch != self.checkpoint.epoch + 1:
            return
        checkpoint = self.checkpoint.advance(signed, message.committee)
        table, key, row = checkpoint.verify(self._prove(peer, self.keys.public))
        if (table, key) != ("accounts", self.keys.public) or not isinstance(row, Account):
            raise TrothError("a witness has proved another row than the own account")
        self.checkpoint, self.account = checkpoint, row
        self._open()

    def _open(self) -> None:
        """An epoch is open: write the log on what is known of its sealed state, and do what is due."""
        epoch, topic = self.checkpoint.epoch + 1, self.replay.topic
        number, age = divmod(epoch - topic.first, topic.every or 1)
        is_due = epoch >= topic.first and number < len(self.replay.table.rounds)
        if is_due and number != self._round:
            self._round, self._mine = number, self._forecast(number)
        state = State()
        state.put("accounts", self.keys.public, self.account)
        if is_due:
            self._fill(state, number, age)
        book = LogBook(self.network, self.replay.genesis.rules, epoch, state, self.checkpoint.committee)
        self.author.open(book)
        if is_due and age == 0:
            self._submit([CommitOp(one.row.question, one.row.digest, one.row.wager) for one in self._mine])
            self.committed += len(self._mine)
        elif is_due and age == topic.phases.commit + topic.phases.attest:
            self._submit([Reveal(one.key, one.salt, one.body) for one in self._mine])

    def _fill(self, state: State, number: int, age: int) -> None:
        for one in self._mine:
            state.put("questions", one.row.question, self._question(number))
            if age:
                state.put("commits", one.key, one.row)

    def _question(self, number: int) -> Question:
        """A question of a round as far as its phases go; its prior is nobody's concern here."""
        phases, opens = self.replay.topic.phases, self.replay.opens(number)
        attest_from = opens + phases.commit
        return Question(
            topic=self.replay.topic.name,
            index=0,
            category=0,
            opens=opens,
            commit=phases.commit,
            attest=phases.attest,
            reveal=phases.reveal,
            attest_reveal=phases.attest_reveal,
            prior=(),
            emission=0,
            pot=0,
            round=0,
            attest_from=attest_from,
            reveal_from=attest_from + phases.attest + phases.reveal,
        )

    def _forecast(self, number: int) -> list[Sealed]:
        """Seal every forecast of a round, the stake of this moment split evenly over them."""
        answers = self.replay.table.rounds[number].answered_by(self.number)
        first = sum(self.replay.table.batches()[:number])
        wager = self.account.balance // len(answers) if answers else 0
        if not wager:
            return []  # ruined, or away
        return [self._seal(first + place, tuple(ppm), wager, number) for place, ppm in answers]

    def _seal(self, index: int, ppm: tuple[int, ...], wager: int, number: int) -> Sealed:
        question = question_id(self.network, self.replay.topic.name, index)
        salt = digest(self.keys.seed + question)
        body = CONTRIBUTION.encode(Contribution(question, RATIONALE, (), ppm=ppm))
        sealed = commit_digest(self.network, self.keys.public, question, salt, body)
        key = commit_id(self.network, self.keys.public, question, sealed)
        return Sealed(
            key, salt, body, Commit(self.keys.public, question, sealed, wager, self.replay.opens(number))
        )

    def _submit(self, ops: list[Op]) -> None:
        size = min(OPS_PER_ENTRY, ENTRY_BYTES // (REVEAL_BYTES + PPM_BYTES * self.replay.table.outcomes))
        for at in range(0, len(ops), size):
            self.author.submit(tuple(ops[at : at + size]))

    def check(self) -> None:
        """Raise TrothError if anything was refused."""
        if self.problems:
            name = self.replay.table.forecasters[self.number]
            raise TrothError(f"forecaster {name}: {self.problems[0]}")
