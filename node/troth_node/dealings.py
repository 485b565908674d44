"""Buying and selling signals: an agent's decisions in, signed messages out; the desk keeps the books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from troth_node.agent import Agent, QuestionView, Signal, Want
from troth_node.buying import Buying
from troth_node.duties import Duties
from troth_node.exchanges import Exchanges
from troth_node.holds import Holds
from troth_node.runtime import Runtime
from troth_node.selling import Selling
from troth_node.trader import Call, Trader
from troth_protocol.core import EpochOpened
from troth_protocol.market.library import Fetched, NotFetched
from troth_protocol.market.negotiation import (
    Accepted,
    Agreed,
    Asked,
    Countered,
    Delivered,
    Encrypted,
    Negotiation,
    Offered,
    Opened,
    Repeated,
)
from troth_protocol.wire.messages import Trade


class Dealings:
    """All trades of one node: each message goes to the side that it is for."""

    def __init__(self, runtime: Runtime, agent: Agent, duties: Duties, call: Call) -> None:
        self.trader = Trader(runtime, agent, duties, call)
        self.buying = Buying(self.trader)
        self.selling = Selling(self.trader)
        self.desk = self.trader.desk
        self._holds = Holds(self.trader)

    @property
    def exchanges(self) -> Exchanges:
        """Fair exchange, on both sides."""
        return self.trader.exchanges

    async def ask(self, view: QuestionView, wants: Sequence[Want], *, is_reseller: bool) -> None:
        """Ask for what the agent wants, of one seller for each want, once its document was read."""
        await self.buying.ask(view, wants, is_reseller=is_reseller)

    async def fetched(self, event: Fetched | NotFetched) -> None:
        """What came of asking for a document: go on with whatever waits for it."""
        await self.buying.fetched(event)

    async def receive(
        self, peer: bytes, trade: Trade, views: Mapping[bytes, QuestionView]
    ) -> tuple[bytes, Signal] | None:
        """A message of a negotiation. Returns the question and the signal if it delivered one. Raises Invalid."""
        negotiation, event = self.desk.receive(peer, trade)
        match event:
            case Asked():
                await self.selling.quote(negotiation, views)
            case Offered():
                await self.buying.consider(negotiation, event.terms, views)
            case Countered():
                await self.selling.quote_again(negotiation, event.terms, views)
            case Accepted():
                if self.buying.confirm(negotiation):
                    self._agreed(negotiation)
            case Agreed():
                self._agreed(negotiation)
            case Delivered():
                return await self.buying.delivered(negotiation, event)
            case Encrypted():
                self.buying.keep(negotiation, event)
            case Opened():
                return await self.buying.receive_key(negotiation, event)
            case Repeated():
                for answer in event.answers:
                    self.trader.send(peer, answer)
            case _:
                pass
        return None

    def notice(self, event: EpochOpened) -> None:
        """An epoch opened: what is due in the logs does not wait for an agent that is behind."""
        self.exchanges.notice(event)
        self.trader.auctions.notice_epoch()
        self._holds.settle(event)
        self.trader.standings.notice(event)

    def step(self) -> bool:
        """Something happened in the logs: do what is due; True if a key came."""
        self.trader.auctions.advance()
        return self.exchanges.advance()

    def _agreed(self, negotiation: Negotiation) -> None:
        """Both have signed: the buyer records it, and what was made before is delivered."""
        self.buying.record(negotiation)
        self.deliver()

    def reserved(self) -> int:
        """Wagers, prices and deposits that are promised and not in the log yet, with their fees, in atomic units."""
        return self.trader.reserved()

    async def opened(self) -> list[tuple[bytes, Signal]]:
        """Question and signal of every purchase that is open: some were opened by the logs alone."""
        return await self.buying.opened()

    def deliver(self) -> None:
        """Deliver what is agreed, made and certified, to buyers whose promise is sealed; hand over published keys."""
        self.selling.deliver()

    def is_waiting(self, question: bytes) -> bool:
        """Is something that we asked for on this question still on its way?"""
        return self.buying.is_waiting(question)

    def expire(self) -> None:
        """An epoch opened: end what silence ended, and forget what is long over."""
        self.desk.advance(self.trader.core.epoch)
        self.trader.deals.advance()

    async def advance(self, views: Mapping[bytes, QuestionView]) -> None:
        """An epoch opened: answer requests that came too early, bid and ask for what was won."""
        await self.buying.advance(views)
        await self.selling.advance(views)

    def greet(self, peer: bytes) -> None:
        """A peer is (back) on a link: say again what it has not answered."""
        for trade in self.desk.unanswered(peer):
            self.trader.send(peer, trade)

    async def meet(self) -> None:
        """A peer has introduced itself: it may sell what nobody else does."""
        await self.buying.meet()

    def forget(self, question: bytes) -> int:
        """A question is settled. Returns what our signal on it was bought for, in atomic units."""
        self.buying.forget(question)
        return sum(self.exchanges.earned.pop(question, {}).values())
