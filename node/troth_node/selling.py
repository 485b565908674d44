"""The selling side: the agent's quotes, and delivery of what was agreed once it is made and certified."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from troth_node import agent as strategy
from troth_node.agent import QuestionView
from troth_node.auctions import AUCTION_EPOCHS, SEAL_FEES, OwnLot
from troth_node.duties import OwnCommit
from troth_node.exchanges import Exchanges
from troth_node.trader import Trader, is_met, is_sealed, terms_of
from troth_protocol.core import Core
from troth_protocol.log.agreement import agreement_id
from troth_protocol.log.rows import Commit, Promise
from troth_protocol.market.negotiation import Negotiation
from troth_protocol.market.trades import Terms
from troth_protocol.market.transcript import AGREED, SEALED, SELLER

log = structlog.get_logger()


class Selling:
    """All sales of one node."""

    def __init__(self, trader: Trader) -> None:
        self.trader = trader
        self._early: list[Negotiation] = []

    @property
    def _core(self) -> Core:
        return self.trader.core

    @property
    def _exchanges(self) -> Exchanges:
        return self.trader.exchanges

    async def quote(self, negotiation: Negotiation, views: Mapping[bytes, QuestionView]) -> None:
        """Answer a request as the agent says; what is auctioned is offered to winners alone, for what they pay."""
        lot = self._lot_of(negotiation)
        if lot is not None:
            lock = self.trader.auctions.owed(lot, negotiation.peer)
            quote = None if lock is None else strategy.Quote(0, lock.amount)
            self._answer(negotiation, quote, "sold at auction")
            return
        view = views.get(negotiation.request.question)
        if view is None:
            # The buyer's node may have seen the seal before ours: answer when our epoch opens.
            self._early.append(negotiation)
            return
        quote = await self._ask_agent(negotiation, view, negotiation.request.min_weight_ppm, 0)
        self._answer(negotiation, quote, "not for sale")

    def _answer(self, negotiation: Negotiation, quote: strategy.Quote | None, reason: str) -> None:
        if quote is None:
            self.trader.say(negotiation, negotiation.reject(reason))
        else:
            self.trader.say(negotiation, negotiation.offer(terms_of(negotiation, quote)))

    def _lot_of(self, negotiation: Negotiation) -> OwnLot | None:
        """What we have put up, if that is what is asked for."""
        document = self._core.library.own.get(negotiation.request.document)
        if document is None:
            return None
        return self.trader.auctions.lot_of(negotiation.request.question, document.name)

    async def _ask_agent(
        self, negotiation: Negotiation, view: QuestionView, weight_ppm: int, price: int
    ) -> strategy.Quote | None:
        document = self._core.library.own.get(negotiation.request.document)
        if document is None:
            return None
        request = strategy.Request(
            buyer=self.trader.name(negotiation.peer),
            buyer_key=negotiation.peer,
            question=view,
            document=document.name,
            min_weight_ppm=weight_ppm,
            round=negotiation.rounds // 2,
            price=price,
        )
        found = await self.trader.call(self.trader.agent.quote, request)
        return found if isinstance(found, strategy.Quote) else None

    async def quote_again(
        self, negotiation: Negotiation, terms: Terms, views: Mapping[bytes, QuestionView]
    ) -> None:
        """Answer a counter as the agent says: take it, ask again, or end it."""
        view = views.get(negotiation.request.question)
        quote = None
        if view is not None:
            quote = await self._ask_agent(negotiation, view, terms.min_weight_ppm, terms.price)
        if quote is not None and is_met(quote, terms):
            self.trader.say(negotiation, negotiation.accept())
        else:
            self._answer(negotiation, quote, "no deal")

    async def put_up(self, view: QuestionView, production: strategy.Production, own: OwnCommit) -> None:
        """Auction what was just committed, if the agent says so and there is time."""
        lot = await self.trader.call(self.trader.agent.auction, view, production)
        if not isinstance(lot, strategy.Lot):
            return
        if len(self._core.library.own) > 1:
            log.warning("not auctioned: no bidder could tell which of our documents it is")
        elif self._core.epoch + AUCTION_EPOCHS > view.commit_last:
            log.info("not auctioned: what is won would come too late", subject=view.subject)
        elif not self.trader.can_pay(lot.cap, SEAL_FEES):
            log.warning("not auctioned: the deposit is not free", cap=lot.cap)
        else:
            self.trader.auctions.put_up(own, lot.units, lot.reserve, lot.cap)

    def deliver(self) -> None:
        """Deliver what is agreed, made and certified: under a key, or to buyers whose promise is sealed; hand over
        published keys.

        Nothing is signed before the node knows what it has signed already.
        """
        if not self._core.author.is_allowed:
            return
        for negotiation in self.trader.in_state(SELLER, AGREED):
            document = self._core.library.own.get(negotiation.request.document)
            own = self.trader.duties.find(negotiation.request.question, document.name) if document else None
            if own is not None and (is_sealed(negotiation) or self._is_promised(negotiation)):
                self._deliver(negotiation, own)
        for negotiation in self.trader.in_state(SELLER, SEALED):
            key = self._exchanges.published(negotiation.id)
            if key is not None:
                self.trader.say(negotiation, negotiation.key(key))

    def _deliver(self, negotiation: Negotiation, own: OwnCommit) -> None:
        price = negotiation.terms.price if negotiation.terms else 0
        if not is_sealed(negotiation):
            if self._is_certified(own.id):
                trade = negotiation.deliver(own.id, own.contribution, own.salt, own.payload)
                self.trader.say(negotiation, trade)
        elif self._exchanges.is_final(own) and self._exchanges.is_time(negotiation):
            lot = self._lot_of(negotiation)
            key = None if lot is None else lot.key
            self.trader.say(negotiation, self._exchanges.seal(negotiation, own, price, key))

    def _is_promised(self, negotiation: Negotiation) -> bool:
        signed = negotiation.agreement
        if signed is None:
            return False
        key = agreement_id(self._core.chain.network, signed.agreement)
        return self._core.chain.state.find("promises", key, Promise) is not None

    def _is_certified(self, commit: bytes) -> bool:
        if self._core.chain.state.find("commits", commit, Commit) is not None:
            return True
        return ("commits", commit) in self._core.chain.book.view(self._core.keys.public).rows

    async def advance(self, views: Mapping[bytes, QuestionView]) -> None:
        """An epoch opened: answer requests that came too early."""
        early, self._early = self._early, []
        for negotiation in early:
            if negotiation.request.question in views and not negotiation.is_over():
                await self.quote(negotiation, views)
