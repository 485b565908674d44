"""Bidding: what the agent wants at auction is looked for in the sealed state, bid for once, and asked for when won."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from troth_node import agent as strategy
from troth_node.agent import QuestionView, Want
from troth_node.auctions import SEAL_FEES, OwnBid
from troth_node.trader import Trader
from troth_protocol.log.evaluate import LOCK_EPOCHS_MIN
from troth_protocol.log.rows import Auction
from troth_protocol.market.document import Document
from troth_protocol.market.trades import NONCE_BYTES, Request, Terms

#: An auction is worth waiting for so many epochs after the question opened: it is in the first seal, or the next.
AUCTION_LAG_EPOCHS: Final = 2
#: Whoever has won waits for an answer until the next epoch, and for the delivery as long as the lock can live.
_ANSWER_EPOCHS: Final = 1
_DELIVER_EPOCHS: Final = 6

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Search:
    """Something wanted at auction, and the document that was read and found fit."""

    view: QuestionView
    want: Want
    document: Document


class Bidding:
    """All bids of one node."""

    def __init__(self, trader: Trader) -> None:
        self.trader = trader
        self._searches: list[_Search] = []
        self._asked: dict[bytes, OwnBid] = {}

    def look_for(self, view: QuestionView, want: Want, document: Document) -> None:
        """Wait for an auction of this document on this question."""
        self._searches.append(_Search(view, want, document))

    async def advance(self, views: Mapping[bytes, QuestionView]) -> None:
        """An epoch opened: bid for what is up by now, ask for what was won."""
        for search in list(self._searches):
            if search.view.id not in views or self._is_late(search):
                self._searches.remove(search)
            else:
                await self._bid_for(search)
        auctions = self.trader.auctions
        for bid in list(auctions.bids.values()):
            self._ask_for(bid)

    def _is_late(self, search: _Search) -> bool:
        return self.trader.core.epoch > search.view.opens + AUCTION_LAG_EPOCHS

    async def _bid_for(self, search: _Search) -> None:
        trader = self.trader
        for seller, document in list(trader.sellers(search.want.document)):
            is_meant = search.want.seller in (None, trader.name(seller)) and document == search.document.id
            found = trader.auctions.find(search.view.id, seller) if is_meant else None
            if found is not None and trader.is_only_document(seller):
                self._searches.remove(search)
                await self._bid(search, *found)
                return

    async def _bid(self, search: _Search, key: bytes, auction: Auction) -> None:
        trader = self.trader
        shown = strategy.Auction(
            seller=trader.name(auction.seller),
            seller_key=auction.seller,
            question=search.view,
            document=search.want.document,
            units=auction.units,
            cap=auction.cap,
        )
        amount = await trader.call(trader.agent.bid, shown)
        if not isinstance(amount, int) or amount < 1:
            return
        if trader.can_pay(auction.cap, SEAL_FEES) and trader.purse.hold(key, auction.cap):
            trader.auctions.bid(key, auction, search.view.id, search.want.document, search.document, amount)
        else:
            log.info("no bid: the deposit is not free", document=search.want.document, cap=auction.cap)

    def _ask_for(self, bid: OwnBid) -> None:
        """Whoever has won asks for the signal, once an epoch, until it has it sealed."""
        trader, epoch = self.trader, self.trader.core.epoch
        lock = trader.auctions.won(bid)
        if lock is None or epoch + LOCK_EPOCHS_MIN > lock.until or self._has_sealed(bid):
            return
        asked = trader.ask(
            Request(
                buyer=trader.core.keys.public,
                seller=bid.seller,
                nonce=secrets.token_bytes(NONCE_BYTES),
                question=bid.question,
                document=bid.document.id,
                min_weight_ppm=0,
                deliver=epoch + _DELIVER_EPOCHS,
                expires=epoch + _ANSWER_EPOCHS,
            )
        )
        self._asked[asked] = bid

    def _has_sealed(self, bid: OwnBid) -> bool:
        purchases = self.trader.exchanges.purchases.values()
        return any((each.terms.seller, each.terms.hash) == (bid.seller, bid.hash) for each in purchases)

    def asked(self, negotiation: bytes) -> OwnBid | None:
        """The bid whose signal is asked for in a negotiation."""
        return self._asked.get(negotiation)

    def suits(self, bid: OwnBid, terms: Terms) -> bool:
        """Are these the terms that the auction has set?"""
        lock = self.trader.auctions.won(bid)
        price = None if lock is None else lock.amount
        return (terms.price, terms.min_weight_ppm, terms.floor) == (price, 0, 0)

    def is_waiting(self, question: bytes) -> bool:
        """May something that we want at auction still come?"""
        if any(search.view.id == question and not self._is_late(search) for search in self._searches):
            return True
        return any(
            bid.question == question and self._is_open(bid) for bid in self.trader.auctions.bids.values()
        )

    def _is_open(self, bid: OwnBid) -> bool:
        auctions, purchases = self.trader.auctions, self.trader.exchanges.purchases.values()
        if any(
            (each.terms.seller, each.terms.hash) == (bid.seller, bid.hash) and each.key for each in purchases
        ):
            return False
        return auctions.is_under_way(bid) or auctions.won(bid) is not None

    def stop(self, question: bytes) -> None:
        """A question is answered: nothing more is bid for."""
        self._searches = [search for search in self._searches if search.view.id != question]

    def forget(self, question: bytes) -> None:
        """A question is settled."""
        self.stop(question)
        self._asked = {key: bid for key, bid in self._asked.items() if bid.question != question}
