"""One epoch of a small network on a bench: agents sign, witnesses certify, a book stores, a close executes.

Nothing here decides: every verdict is the protocol's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from troth_node.testing.samples import COIN, RULES, sample_genesis, seed
from troth_protocol.close.execute import Close, Closed, execute
from troth_protocol.close.findings import Findings
from troth_protocol.close.light import genesis_committee
from troth_protocol.effects import Effect, Effects, Persist, Send
from troth_protocol.genesis import Rules, Topic
from troth_protocol.insight.lifecycle import open_questions
from troth_protocol.log.book import LogBook
from troth_protocol.log.entry import Entry, make_entry
from troth_protocol.log.ops import Op
from troth_protocol.log.rows import Account
from troth_protocol.log.sealed import question_id
from troth_protocol.log.state import State, genesis_state
from troth_protocol.log.vote import Certificate, sign_votes
from troth_protocol.log.witness import Witness
from troth_protocol.wire.crypto import KeyPair
from troth_protocol.wire.messages import MESSAGES, Message


class Ledger:
    """A network of `agents` key pairs, the first `witnesses` of which certify; agents are named by their number."""

    def __init__(
        self,
        agents: int = 6,
        witnesses: int = 4,
        *,
        weights: Sequence[int] = (),
        rules: Rules = RULES,
        topics: tuple[Topic, ...] = (COIN,),
    ) -> None:
        self.genesis = sample_genesis(agents, witnesses, weights=weights, rules=rules, topics=topics)
        self.network = self.genesis.network()
        self.keys = [KeyPair.from_seed(seed(number)) for number in range(agents)]
        self.committee = genesis_committee(self.genesis)
        self.state = genesis_state(self.genesis)
        self.epoch = 1
        open_questions(self.state, self.genesis, self.network, 1)
        self.book = self.new_book()

    def new_book(self) -> LogBook:
        """Another, empty book of the same epoch."""
        return LogBook(self.network, self.genesis.rules, self.epoch, self.state, self.committee)

    def key(self, agent: int) -> bytes:
        """An agent's public key."""
        return self.keys[agent].public

    def account(self, agent: int) -> Account:
        """An agent's sealed account."""
        return self.state.account(self.key(agent))

    def set_account(
        self, agent: int, /, **changes: int | bool | bytes | tuple[tuple[str, int, int], ...]
    ) -> None:
        """Change a sealed account by hand (what it then breaks in the books is the test's own affair)."""
        changed = replace(self.account(agent), **changes)  # type: ignore[arg-type] # the names are the fields'
        self.state.put("accounts", self.key(agent), changed)
        self.book = self.new_book()

    def bond_agent(self, agent: int, amount: int) -> None:
        """Move an amount of a sealed balance into the bond as agent."""
        account = self.account(agent)
        self.set_account(agent, balance=account.balance - amount, agent=account.agent + amount)

    def question(self, index: int = 0, topic: str = "coin") -> bytes:
        """The id of a standing question."""
        return question_id(self.network, topic, index)

    def witness(self, agent: int, book: LogBook | None = None) -> Witness:
        """A witness of this epoch with a book of its own."""
        return Witness(self.keys[agent], book or self.new_book(), Effects())

    def entry(
        self,
        agent: int,
        *ops: Op,
        deps: Iterable[bytes] = (),
        book: LogBook | None = None,
        incarnation: int | None = None,
        epoch: int | None = None,
        seq: int | None = None,
        prev: bytes | None = None,
        network: bytes | None = None,
    ) -> Entry:
        """The next entry of an agent's log as a book has it; what is named differs."""
        head_seq, head = (book or self.book).head(self.key(agent))
        stored = (book or self.book).stored.get(head)
        usual = self.account(agent).incarnation if stored is None else stored.entry.header.incarnation
        return make_entry(
            self.keys[agent],
            self.network if network is None else network,
            incarnation=usual if incarnation is None else incarnation,
            epoch=self.epoch if epoch is None else epoch,
            seq=head_seq + 1 if seq is None else seq,
            prev=head if prev is None else prev,
            deps=list(deps),
            ops=ops,
        )

    def certify(self, entry: Entry, signers: Iterable[int] | None = None) -> Certificate:
        """A certificate by these agents, or by the first whose weight suffices."""
        chosen = self._enough() if signers is None else signers
        votes = [
            vote
            for agent in chosen
            for vote in sign_votes(self.keys[agent], self.network, self.epoch, self.committee, [entry.id])
        ]
        return Certificate(entry.id, self.epoch, tuple(sorted(votes, key=lambda vote: vote.member)))

    def _enough(self) -> list[int]:
        chosen: list[int] = []
        for agent, keys in enumerate(self.keys):
            places = [self.committee.index(self.key(other)) for other in chosen]
            if self.committee.weigh(place for place in places if place is not None) >= self.committee.quorum:
                break
            if self.committee.index(keys.public) is not None:
                chosen.append(agent)
        return chosen

    def put(self, agent: int, *ops: Op, deps: Iterable[bytes] = ()) -> Entry:
        """Sign, certify and store the next entry of a log."""
        entry = self.entry(agent, *ops, deps=deps)
        self.book.evaluate(entry)
        self.book.add(entry, self.certify(entry))
        return entry

    def close(self, findings: Findings | None = None) -> Closed:
        """Execute the close of everything stored, and open the next epoch."""
        cut = findings or Findings()
        cut.heads = self.book.moved()
        cut.reporters = {member.key for member in self.committee.members}
        logs = {author: self.book.log(author, seq) for author, (seq, _) in cut.heads.items()}
        closed = execute(Close(self.genesis, self.network, self.epoch, self.committee), self.state, cut, logs)
        self.state, self.committee = closed.state, closed.committee
        self.epoch += 1
        self.book = self.new_book()
        return closed


def copy_state(state: State) -> State:
    """The same rows in a state that shares nothing with the first and was filled in the opposite order."""
    twin = State()
    for table, key, row in reversed(list(state.all_rows())):
        twin.put(table, key, row)
    return twin


def sent(effects: Iterable[Effect]) -> list[tuple[bytes, Message]]:
    """The messages among effects, with whom they are for."""
    return [(effect.peer, MESSAGES.decode(effect.payload)) for effect in effects if isinstance(effect, Send)]


def persisted(effects: Iterable[Effect], table: str) -> list[Persist]:
    """The rows of one table among effects."""
    return [effect for effect in effects if isinstance(effect, Persist) and effect.table == table]
