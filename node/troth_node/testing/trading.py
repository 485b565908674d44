"""Two real nodes trade a thousand signals while one of them is killed again and again.

Four witnesses, a seller and a buyer on loopback. Each question is one negotiation, for a fixed price. What came of all
of them is counted by `bookkeeping`, when everything is at rest.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from troth_node.agent import Agent, Json, Production, QuestionView, Signal, Want
from troth_node.swarm.scenario import NodePlan, Plan
from troth_node.swarm.supervisor import Process
from troth_node.testing.bookkeeping import Books, Traders, keep_books
from troth_node.testing.busy import FOREVER, START_LIMIT_S, WITNESSES, BusyChild, KillLoop, check_swarm, tap
from troth_node.testing.samples import COIN, PACING, RULES, TOKEN, sample_genesis, seed
from troth_protocol.core import Ticked
from troth_protocol.genesis import Phases
from troth_protocol.wire.crypto import KeyPair
from troth_protocol.wire.messages import MESSAGES, Trade

if TYPE_CHECKING:
    from troth_node.transport.network import Network

DOCUMENT: Final = "coin/hint"
PRICE: Final = TOKEN // 10
BOND: Final = 100 * TOKEN
EPOCH_MS: Final = 800
#: Two nodes keep 256 negotiations with each other at most, each for about six epochs.
PER_EPOCH: Final = 24
#: No question is settled while the run lasts, so that the traders' stores keep what they bought and sold.
PHASES: Final = Phases(commit=6, attest=1_000, reveal=2, attest_reveal=2)
#: After the last request: the last lock is refunded, the last claim paid, all stores agree.
REST_EPOCHS: Final = 9
#: Nothing is slower than this many signals a second, on a machine that does other things besides.
SIGNALS_PER_S_MIN: Final = 2
SELLER: Final = "seller"
BUYER: Final = "buyer"
ENOUGH_FILE: Final = "enough"
#: What each says in a negotiation that ends well: offer, accept, sealed, key; request, accept, receipt.
SAYS: Final = {SELLER: 4, BUYER: 3}


class Bystander(Agent):
    """Witnesses, and knows no outcome."""

    is_quick = True


class HintSeller(Bystander):
    """A hint on every question."""

    documents = (DOCUMENT,)
    price = PRICE

    def produce(self, question: QuestionView, signals: Sequence[Signal]) -> Production:
        """The question's number, so that no two hints are alike."""
        return Production(DOCUMENT, {"number": question.index}, "I looked")


class HintBuyer(Bystander):
    """Buys every hint until it is told that it has enough."""

    budget = FOREVER * PRICE

    def open(self, options: Mapping[str, Json]) -> None:
        """Who says so: a file."""
        super().open(options)
        self._enough = Path(str(options["enough"]))

    def wants(self, question: QuestionView) -> list[Want]:
        """The hint, without a citation."""
        return [] if self._enough.exists() else [Want(DOCUMENT, 0)]


class TradeChild(BusyChild):
    """A node that tells what it says in its negotiations and how many keys it has learned, instead of paying."""

    def make_network(self) -> Network:
        network = super().make_network()

        def told(payload: bytes) -> None:
            if isinstance(MESSAGES.decode(payload), Trade):
                self.tell({"event": "says"})

        tap(network, told)
        return network

    def pay(self) -> None:
        """Nothing is paid but prices."""

    def notice(self, event: object) -> None:
        super().notice(event)
        if isinstance(event, Ticked) and self.player is not None:
            bought = self.player.dealings.exchanges.purchases.values()
            keys = [each.id.hex() for each in bought if each.key is not None]
            self.tell({"event": "bought", "count": len(keys)})


def trading_plan(directory: Path, per_epoch: int = PER_EPOCH, epoch_ms: int = EPOCH_MS) -> Plan:
    """Four witnesses, who sells, who buys; so many questions an epoch."""
    names = [*(f"w{number}" for number in range(WITNESSES)), SELLER, BUYER]
    agents = [*(["Bystander"] * WITNESSES), "HintSeller", "HintBuyer"]
    keys = [KeyPair.from_seed(seed(number)) for number in range(len(names))]
    topic = replace(COIN, first=2, per_epoch=per_epoch, questions=FOREVER, phases=PHASES)
    draft = sample_genesis(
        len(names),
        WITNESSES,
        topics=(topic,),
        rules=replace(RULES, silent_epochs=FOREVER, evidence_epochs=FOREVER),
        pacing=replace(PACING, epoch_ms=epoch_ms, grace_ms=100, slot_ms=400),
    )
    genesis = replace(draft, holders=tuple(replace(each, attester=0, agent=BOND) for each in draft.holders))
    options: dict[str, Json] = {"enough": str(directory / ENOUGH_FILE)}
    nodes = tuple(
        NodePlan(
            name,
            f"{__file__}:{agent}",
            "seller" if name == SELLER else "forecaster",
            name not in (SELLER, BUYER),
            False,
            options,
            pair,
        )
        for name, agent, pair in zip(names, agents, keys, strict=True)
    )
    return Plan("trading", Path(__file__).parent, nodes, genesis, FOREVER)


def _quiet(_: str) -> None:
    """Nobody listens."""


class TradeLoop(KillLoop):
    """Kills one side, or both by turns, at random words of theirs until so many signals are there."""

    child = TradeChild

    def __init__(self, directory: Path, seed_: int, sides: Sequence[str] = (SELLER, BUYER)) -> None:
        self.sides = sides
        self.bought = 0
        self.said: Counter[str] = Counter()
        super().__init__(directory, seed_)

    def make_plan(self) -> Plan:
        return trading_plan(self.directory)

    def _heard(self, process: Process, line: dict[str, Json]) -> None:
        if line.get("event") == "bought":
            self.bought = max(self.bought, int(str(line["count"])))
        self.said[process.plan.name] += line.get("event") == "says"
        super()._heard(process, line)

    def trade(self, count: int, kills: int, say: Callable[[str], None] = _quiet) -> Books:
        """So many signals, so many kills; AssertionError says what does not hold."""
        began = time.monotonic()
        limit_s = START_LIMIT_S + count / SIGNALS_PER_S_MIN
        moments = sorted(self._rng.uniform(0, count) for _ in range(kills))
        try:
            self.supervisor.start()
            self._until(self.supervisor.is_up, START_LIMIT_S, "not all nodes are up")
            for number, moment in enumerate(moments):
                side = self.sides[number % len(self.sides)]
                self._until(partial(self._has, moment), limit_s, f"signal {moment:.0f} never comes")
                last = self.said[side] + self._rng.randint(1, SAYS[side] * PER_EPOCH)
                self._until(
                    partial(self._has_said, side, last), limit_s, f"word {last} of the {side} never comes"
                )
                self._kill_one(next(p for p in self.supervisor.processes if p.plan.name == side))
                say(f"{side} killed, {self.bought} signals bought, epoch {self._most()}")
            self._until(partial(self._has, count), limit_s, f"{count} signals never come")
            seconds = time.monotonic() - began
            self._rest(say)
        finally:
            self.supervisor.stop()
        self.outcome.seconds = seconds
        check_swarm(self.plan, self.directory, self.finals, self.outcome)
        return keep_books(Traders(self.plan, self.directory, SELLER, BUYER, PRICE))

    def _has_said(self, side: str, count: int) -> bool:
        return self.said[side] >= count

    def _has(self, count: float) -> bool:
        return self.bought >= count

    def _rest(self, say: Callable[[str], None]) -> None:
        (self.directory / ENOUGH_FILE).touch()
        target = self._most() + REST_EPOCHS
        say(f"{self.bought} signals bought, everything comes to rest by epoch {target}")
        self._until(lambda: self._least() >= target, START_LIMIT_S, f"not all nodes reach epoch {target}")
