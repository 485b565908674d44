"""A buyer and a seller on a stage: whole players on pure cores, one of which can be killed between any two effects.

Everything but the sockets and the clock is the node's own: player, dealings, duties, exchanges, agents. What concerns
an exchange is named as it happens ("sign lock", "send submit lock"), and a fuse stops a party just before such a step.
"""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from troth_node.agent import Agent, Forecast, Production, QuestionView, Signal, Want
from troth_node.auctions import TABLE as AUCTIONS
from troth_node.dealings import Dealings
from troth_node.deals import TABLE as DEALS
from troth_node.documents import own_documents
from troth_node.duties import OwnCommit
from troth_node.exchanges import TABLE as EXCHANGES
from troth_node.exchanges import Exchanges
from troth_node.player import Player
from troth_node.runtime import Runtime
from troth_node.testing.samples import COIN, TOKEN, sample_genesis
from troth_node.testing.stage import Stage
from troth_protocol.core import Core
from troth_protocol.effects import Effect, Notice, Persist, Send
from troth_protocol.genesis import Genesis, Phases
from troth_protocol.log.entry import Entry, load_entry
from troth_protocol.log.ops import Accuse, AuctionOp, BidOp, BidReveal, LockOp, Op, Unlock
from troth_protocol.log.vote import CERTIFICATE
from troth_protocol.market.negotiation import Negotiation
from troth_protocol.market.trades import BODIES
from troth_protocol.wire.messages import MESSAGES, Certified, Submit, Trade

DOCUMENT: Final = "coin/hint"
PRICE: Final = 5 * TOKEN
BOND: Final = 20 * TOKEN
#: Long enough for every exchange to end: the last lock is refunded or its claim paid.
EPOCHS: Final = 14
HINT: Final = {"heads": 7}
_OPS: Final[dict[type[Op], str]] = {
    LockOp: "lock",
    Unlock: "unlock",
    Accuse: "accuse",
    AuctionOp: "auction",
    BidOp: "bid",
    BidReveal: "opening",
}
_ROWS: Final = {
    EXCHANGES: {b"s": "sale", b"u": "mark", b"p": "purchase"},
    AUCTIONS: {b"l": "lot", b"b": "bid"},
}


class Seller(Agent):
    """Sells one hint for a price."""

    documents: tuple[str, ...] = (DOCUMENT,)
    price = PRICE
    is_quick = True

    def produce(self, question: QuestionView, signals: Sequence[Signal]) -> Production:
        """The hint."""
        return Production(DOCUMENT, dict(HINT), "I looked")


class Buyer(Agent):
    """Buys the hint, and tells what it has got."""

    budget = PRICE
    is_quick = True

    def __init__(self, got: list[object]) -> None:
        super().__init__()
        self.got = got

    def wants(self, question: QuestionView) -> list[Want]:
        """The hint, without a citation."""
        return [Want(DOCUMENT, 0)]

    def forecast(self, question: QuestionView, signals: Sequence[Signal]) -> Forecast | None:
        """None: it only listens."""
        self.got += [signal.payload for signal in signals]
        return None


class Cheat(Exchanges):
    """Seals another payload than the one that it committed."""

    def seal(self, negotiation: Negotiation, own: OwnCommit, price: int, key: bytes | None = None) -> Trade:
        """The terms are right, what is inside is not."""
        return super().seal(negotiation, replace(own, payload=b"junk"), price, key)


@dataclass
class _Shell:
    """What a player needs of a runtime."""

    core: Core

    def kick(self) -> None:
        """Everything is carried out anyway."""


def bazaar_genesis(witnesses: int, commit: int = 4, traders: int = 2, questions: int = 1) -> Genesis:
    """So many questions at once, whose commits are open for so many epochs; everybody has an agent bond."""
    phases = Phases(commit=commit, attest=2, reveal=2, attest_reveal=2)
    topic = replace(COIN, first=2, questions=questions, per_epoch=questions, phases=phases)
    genesis = sample_genesis(witnesses + traders, witnesses, topics=(topic,))
    return replace(genesis, holders=tuple(replace(holder, agent=BOND) for holder in genesis.holders))


class Bazaar(Stage):
    """After the witnesses comes who sells, then who buys; `fuses` are (who, after how many of its steps it dies)."""

    def __init__(
        self,
        *,
        is_cheating: bool = False,
        fuses: Collection[tuple[int, int]] = (),
        witnesses: int = 1,
        commit: int = 4,
        cast: tuple[type[Seller], *tuple[type[Buyer], ...]] = (Seller, Buyer),
        questions: int = 1,
    ) -> None:
        self.seller, self.buyer = witnesses, witnesses + 1
        self.is_cheating = is_cheating
        self.cast = cast
        self.fuses = set(fuses)
        self.got: list[object] = []
        self.steps: dict[int, list[str]] = {witnesses + number: [] for number in range(len(cast))}
        self.players: dict[int, Player] = {}
        self._ops: dict[bytes, str] = {}
        self._running: set[int] = set()
        self._writing: int | None = None
        genesis = bazaar_genesis(witnesses, commit, len(cast), questions)
        super().__init__(witnesses + len(cast), witnesses, genesis=genesis)
        self.documents[self.seller] = own_documents(cast[0]())

    def seated(self, agent: int, core: Core) -> None:
        """Seller and buyer get a player of their own."""
        if agent not in self.steps:
            return
        sells, *buys = self.cast
        trader = sells() if agent == self.seller else buys[agent - self.buyer](self.got)
        player = Player(cast("Runtime", _Shell(core)), trader)
        if self.is_cheating and agent == self.seller:
            dealings: Dealings = player.dealings
            dealings.trader.exchanges = Cheat(core)
        self.players[agent] = player

    def flush(self, agent: int) -> None:
        """As on any stage; then the player's jobs, until it has nothing more to do."""
        super().flush(agent)
        player = self.players.get(agent)
        if player is None or agent in self._running:
            return
        self._running.add(agent)
        while self.seats[agent].core is player.core and player._jobs:  # noqa: SLF001 - instead of its run()
            _run(player._guarded(player._jobs.popleft()))  # noqa: SLF001
            super().flush(agent)
        self._running.discard(agent)

    def crash(self, *agents: int) -> None:
        """Whoever dies forgets its player."""
        for agent in agents:
            self.players.pop(agent, None)
        super().crash(*agents)

    def carry_out(self, agent: int, effect: Effect) -> None:
        """Name what concerns the exchange; the fuse burns down before it happens. Rows in a row are one transaction."""
        if self.seats[agent].core is None:
            return
        step = self._step(effect) if agent in self.steps else None
        if step is not None and agent == self._writing and step.startswith("write"):
            step = None
        elif step is not None or not isinstance(effect, Persist):
            self._writing = agent if step is not None and step.startswith("write") else None
        fuse = (agent, len(self.steps.get(agent, ())))
        if step is not None and fuse in self.fuses:
            self.fuses.discard(fuse)
            self.crash(agent)
            return
        if step is not None:
            self.steps[agent].append(step)
        super().carry_out(agent, effect)
        player = self.players.get(agent)
        if isinstance(effect, Notice) and player is not None:
            player.notice(effect.event)

    def _step(self, effect: Effect) -> str | None:
        match effect:
            case Persist(table=table) if table in _ROWS:
                return "write " + _ROWS[table][effect.key[:1]]
            case Persist(table=table) if table == DEALS:
                return "write deal"
            case Persist(table="own"):
                return self._named("sign", load_entry(effect.value, self.network))
            case Send():
                return self._sent(effect)
            case _:
                return None

    def _sent(self, effect: Send) -> str | None:
        match MESSAGES.decode(effect.payload):
            case Trade(body=body):
                return f"say {BODIES.name_of(BODIES.decode(body))}"
            case Submit(entry=entry):
                return self._named("submit", load_entry(entry, self.network))
            case Certified(certificate=certificate):
                name = self._ops.get(CERTIFICATE.decode(certificate).entry)
                return None if name is None else f"show {name}"
            case _:
                return None

    def _named(self, what: str, entry: Entry) -> str | None:
        names = [_OPS[type(op)] for op in entry.ops if type(op) in _OPS]
        if not names:
            return None
        self._ops[entry.id] = names[0]
        return f"{what} {names[0]}"

    # A day at the bazaar

    def run(self, away: int | None = None, epochs: int = EPOCHS) -> None:
        """So many epochs; whoever dies comes back `away` closes later (0: at once), or never."""
        self.start()
        absent: dict[int, int] = {}
        for _ in range(epochs):
            self._live()
            for agent in [agent for agent in self.steps if self.seats[agent].core is None]:
                absent[agent] = absent.get(agent, -1) + 1
                if away is not None and absent[agent] >= away:
                    del absent[agent]
                    self.start(agent)
                    self._live()
            self.close()

    def _live(self) -> None:
        self.settle()
        self.tick(3)

    def tokens(self, agent: int) -> int:
        """What an agent has in all, to the nearest token: fees are far below one."""
        return (self.account(agent).worth() + TOKEN // 2) // TOKEN


def _run(job: Coroutine[object, object, None]) -> None:
    """A job of a quick agent never waits."""
    try:
        job.send(None)
    except StopIteration:
        return
    raise AssertionError("a job waits for something")
