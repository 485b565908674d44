"""A seller and a buyer of a bench: whole players, whose every trade is timed by what their node says and hears.

Nothing of the product is changed for it: the frames that pass and the core's notices are the stations of a trade.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import trio
from nodes import Node, quiet
from processes import Line

from troth_node.agent import Agent, Production, QuestionView, Signal, Want
from troth_node.documents import own_documents
from troth_node.player import Player
from troth_node.testing.samples import TOKEN
from troth_protocol.core import Traded
from troth_protocol.log.author import Finalized
from troth_protocol.log.ops import LockOp, Unlock
from troth_protocol.log.payee import Credited
from troth_protocol.log.rows import Commit
from troth_protocol.market.trades import BODIES
from troth_protocol.wire.messages import MESSAGES, Trade

DOCUMENT: Final = "bench/hint"
PRICE: Final = TOKEN
HINT: Final = {"heads": 7}
POLL_S: Final = 0.01


class BenchSeller(Agent):
    """A hint on every question."""

    documents = (DOCUMENT,)
    price = PRICE
    is_quick = True

    def produce(self, question: QuestionView, signals: Sequence[Signal]) -> Production:
        return Production(DOCUMENT, dict(HINT), "measured")


class BenchBuyer(Agent):
    """Pays what it is asked; what to buy is ordered."""

    budget = 1_000_000 * PRICE
    is_quick = True


class Trader(Node):
    """A node with an agent. `stations` are (name, monotonic seconds), in the order in which they are passed."""

    def __init__(self, agent: Agent, home: Path, control: socket.socket) -> None:
        super().__init__(home, control, own_documents(agent))
        self.player = Player(self.runtime, agent)
        self.runtime.listeners.append(self.player)
        self.stations: list[tuple[str, float]] = []
        send = self.network.send

        def tapped(peer: bytes, payload: bytes, *, is_corked: bool = False) -> bool:
            message = MESSAGES.decode(payload)
            if isinstance(message, Trade):
                self._pass("says", message)
            return send(peer, payload, is_corked=is_corked)

        self.network.send = tapped

    def begin(self, nursery: trio.Nursery) -> None:
        """The player beside the core."""
        super().begin(nursery)
        nursery.start_soon(self.player.run)

    def _pass(self, how: str, trade: Trade) -> None:
        self._mark(f"{how} {BODIES.name_of(BODIES.decode(trade.body))}")

    def _mark(self, name: str) -> None:
        self.stations.append((name, time.perf_counter()))

    def notice(self, event: object) -> None:
        """What the core says."""
        match event:
            case Traded():
                self._pass("hears", event.trade)
            case Finalized():
                self._final(event.entry)
            case Credited():
                self._mark("credited")
            case _:
                pass
        super().notice(event)

    def _final(self, entry: bytes) -> None:
        for op in self.runtime.core.chain.book.stored[entry].entry.ops:
            if isinstance(op, LockOp | Unlock):
                self._mark("final lock" if isinstance(op, LockOp) else "final unlock")

    async def do_stations(self) -> Line:
        """What was passed since the last time."""
        stations, self.stations = self.stations, []
        return {"stations": stations}

    async def do_made(self, count: int) -> Line:
        """Answers when so many signals are made, and everything that was signed is final."""
        player = self.player
        while len(player.duties.commits) < count or not player.core.author.is_idle():  # noqa: ASYNC110 - asked rarely
            await trio.sleep(POLL_S)
        return {}

    async def do_stocked(self, count: int) -> Line:
        """Answers when so many commits are sealed here."""
        while len(self.runtime.core.chain.state.rows("commits", Commit)) < count:  # noqa: ASYNC110 - as above
            await trio.sleep(POLL_S)
        return {}


class Buyer(Trader):
    """Buys the signals of questions by their number."""

    def __init__(self, home: Path, control: socket.socket) -> None:
        super().__init__(BenchBuyer(), home, control)
        self._bought = trio.Event()
        self._begun: dict[bytes, float] = {}
        self._took: list[tuple[float, float]] = []
        receive = self.player.dealings.receive

        async def watched(*arguments: object) -> tuple[bytes, Signal] | None:
            found = await receive(*arguments)
            if found is not None:
                self._has(found[0])
            return found

        self.player.dealings.receive = watched

    def _has(self, question: bytes) -> None:
        """The key came, and what it opened fits the commit and the document."""
        now = time.perf_counter()
        self._took.append((now, now - self._begun.pop(question)))
        self._bought.set()

    def _begin(self, number: int) -> None:
        view = next(play.view for play in self.player.plays.values() if play.view.index == number)
        self._begun[view.id] = time.perf_counter()
        self._mark("asked")
        ask = partial(self.player.dealings.ask, view, [Want(DOCUMENT, 0)], is_reseller=False)
        self.player._add(ask)

    async def do_trade(self, number: int) -> Line:
        """One trade; answers when the signal is there."""
        self._bought = trio.Event()
        self._begin(number)
        await self._bought.wait()
        return {"took_ms": self._took[-1][1] * 1e3}

    async def do_trades(self, first: int, count: int, depth: int) -> Line:
        """So many trades, `depth` of them under way at once: when each ended, and how long it took."""
        self._took = []
        for number in range(first, first + count):
            while len(self._begun) >= depth:
                self._bought = trio.Event()
                await self._bought.wait()
            self._begin(number)
        while self._begun:
            self._bought = trio.Event()
            await self._bought.wait()
        return {"took": self._took}


def serve_seller(home: Path, control: socket.socket) -> None:
    """The main function of the seller's process."""
    quiet()
    trio.run(Trader(BenchSeller(), home, control).run)


def serve_buyer(home: Path, control: socket.socket) -> None:
    """The main function of the buyer's process."""
    quiet()
    trio.run(Buyer(home, control).run)
