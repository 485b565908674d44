"""The buying side: what the agent wants, asked for by a document that was read, paid for, and read when it comes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from troth_node import agent as strategy
from troth_node.agent import QuestionView, Signal, Want
from troth_node.bidding import Bidding
from troth_node.deals import Wanted
from troth_node.exchanges import Exchanges
from troth_node.payload import validate_payload
from troth_node.trader import Trader, answer_by, is_sealed, terms_of
from troth_protocol.core import Core
from troth_protocol.errors import Invalid
from troth_protocol.log.agreement import agreement_id
from troth_protocol.log.ops import Agree
from troth_protocol.log.rows import Promise
from troth_protocol.market.document import Document
from troth_protocol.market.exchange import Contents
from troth_protocol.market.library import Fetched, NotFetched
from troth_protocol.market.negotiation import Delivered, Encrypted, Negotiation, Opened
from troth_protocol.market.trades import BODIES, NONCE_BYTES, Deliver, Request, Terms
from troth_protocol.market.transcript import AGREED, BUYER, DELIVERED, OFFERED, OPENED, RECEIVED, SEALED
from troth_protocol.wire.codec import decode

#: Whoever sells on what it buys wants it this many epochs before the commit phase ends.
RESELLER_SLACK_EPOCHS: Final = 1
#: States in which there is nothing more to wait for. What is sealed is the exchanges' to wait for.
_COME: Final = frozenset({DELIVERED, SEALED, OPENED})

log = structlog.get_logger()


@dataclass(slots=True)
class _Quest:
    """Something that the agent wants: whom to ask for it by which document, and by whom and which no more."""

    view: QuestionView
    want: Want
    deliver: int
    seller: bytes = b""
    document: bytes = b""
    refused: set[tuple[bytes, bytes]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a payload is from, as its reader is told."""

    seller: bytes
    commit: bytes
    document: str
    weight_ppm: int
    price: int = 0


class Buying:
    """All purchases of one node."""

    def __init__(self, trader: Trader) -> None:
        self.trader = trader
        self.bidding = Bidding(trader)
        self._purchases = trader.deals.wanted()
        self._resumed = frozenset(self._purchases)
        self._reading: list[_Quest] = []
        self._unmet: list[_Quest] = []
        self._silent: set[bytes] = set()
        self._read_already: dict[bytes, Signal | None] = {}

    @property
    def _core(self) -> Core:
        return self.trader.core

    @property
    def _exchanges(self) -> Exchanges:
        return self.trader.exchanges

    async def ask(self, view: QuestionView, wants: Sequence[Want], *, is_reseller: bool) -> None:
        """Ask for what the agent wants, of one seller for each want, once its document was read."""
        slack = RESELLER_SLACK_EPOCHS if is_reseller else 0
        self.trader.wanted.update(want.document for want in wants)
        for want in wants:
            has_bid = self.trader.auctions.has_bid(view.id, want.document)
            is_bought = self._exchanges.has(view.id, want.document)
            if has_bid or is_bought or self._has_asked(view.id, want):
                continue
            await self._pursue(_Quest(view, want, view.commit_last - slack))

    def _has_asked(self, question: bytes, want: Want) -> bool:
        """Did we ask for it before a restart? What was refused, or never answered, may be asked for again."""
        for deal in self.trader.desk:
            asked = self._purchases.get(deal.id) if deal.id in self._resumed else None
            is_it = asked is not None and (asked.name, asked.seller) == (want.document, want.seller or "")
            if is_it and deal.request.question == question and (not deal.is_over() or deal.state == RECEIVED):
                return True
        return False

    async def _pursue(self, quest: _Quest) -> None:
        """Ask the seller that the agent likes best of those that are left, or first for its document."""
        while (found := await self._seller(quest)) is not None:
            quest.seller, quest.document = found
            document = self._core.library.find(quest.document)
            if document is None:
                self._reading.append(quest)
                self._core.library.want(quest.seller, quest.document)
                return
            if await self._is_usable(quest.want, document):
                self._go_for(quest, document)
                return
            log.warning(
                "another document than the agent wants",
                seller=self.trader.name(quest.seller),
                id=document.id.hex(),
            )
            quest.refused.add(found)
        self._unmet.append(quest)

    async def meet(self) -> None:
        """A peer has introduced itself: whoever found no seller looks again."""
        unmet, self._unmet = self._unmet, []
        for quest in unmet:
            if self._core.epoch <= answer_by(quest.view):
                await self._pursue(quest)

    def _go_for(self, quest: _Quest, document: Document) -> None:
        if quest.want.at_auction:
            self.bidding.look_for(quest.view, quest.want, document)
        else:
            self._request(quest, document)

    async def _seller(self, quest: _Quest) -> tuple[bytes, bytes] | None:
        """(seller, document): whom the agent prefers of those that sell it and were not refused."""
        want, trader = quest.want, self.trader
        able = [
            trader.seller(key, document, quest.view.topic, is_silent=key in self._silent)
            for key, document in trader.sellers(want.document)
            if want.seller in (None, trader.name(key)) and (key, document) not in quest.refused
        ]
        liked = await trader.call(trader.agent.prefer, want, able) if able else []
        first = next(iter(liked), None) if isinstance(liked, list) else None
        return None if first is None else (first.key, first.document)

    async def _is_usable(self, want: Want, document: Document) -> bool:
        """Does the text have the name under which it was announced, and does the agent take it?"""
        if want.document == document.id.hex():
            return True
        if want.document != document.name:
            return False
        return bool(await self.trader.call(self.trader.agent.understands, document.name, document.text))

    def _request(self, quest: _Quest, document: Document) -> None:
        request = Request(
            buyer=self._core.keys.public,
            seller=quest.seller,
            nonce=secrets.token_bytes(NONCE_BYTES),
            question=quest.view.id,
            document=document.id,
            min_weight_ppm=quest.want.min_weight_ppm,
            deliver=quest.deliver,
            expires=min(answer_by(quest.view), quest.deliver),
        )
        wanted = Wanted(quest.want.document, quest.want.seller or "", document)
        self._purchases[self.trader.ask(request, wanted)] = wanted

    async def fetched(self, event: Fetched | NotFetched) -> None:
        """What came of asking for a document: go on with whatever waits for it."""
        key = event.document.id if isinstance(event, Fetched) else event.document
        ready = [quest for quest in self._reading if quest.document == key]
        self._reading = [quest for quest in self._reading if quest.document != key]
        for quest in ready:
            if isinstance(event, NotFetched) and event.peer == quest.seller:
                log.warning(
                    "no document", seller=self.trader.name(event.peer), id=key.hex(), reason=event.reason
                )
                quest.refused.add((quest.seller, key))
                self._silent.add(event.peer)
            if self._core.epoch <= answer_by(quest.view):
                await self._pursue(quest)

    async def consider(
        self, negotiation: Negotiation, terms: Terms, views: Mapping[bytes, QuestionView]
    ) -> None:
        """Answer an offer as the agent says, as long as its question is under way; what an auction has set is clear.

        Just after a restart an offer may come before the epoch is open here: it is answered when it is.
        """
        bid = self.bidding.asked(negotiation.id)
        if bid is not None:
            suits = self.bidding.suits(bid, terms)
            trade = negotiation.accept() if suits else negotiation.reject("not what was won")
            self.trader.say(negotiation, trade)
            return
        wanted, view = self._purchases.get(negotiation.id), views.get(negotiation.request.question)
        if wanted is None or view is None:
            return
        offer = self._offer(negotiation, terms, wanted, view)
        decision = await self.trader.call(self.trader.agent.consider, offer)
        match decision:
            case strategy.Accept() if self._promise(negotiation):
                trade = negotiation.accept()
            case strategy.Counter() if self.trader.promises.can_back(terms.floor):
                price = terms.price if decision.price is None else decision.price
                quote = strategy.Quote(decision.min_weight_ppm, price, terms.floor, terms.min_wager)
                trade = negotiation.counter(terms_of(negotiation, quote))
            case _:
                trade = negotiation.reject("too dear")
        self.trader.say(negotiation, trade)

    def _offer(
        self, negotiation: Negotiation, terms: Terms, wanted: Wanted, view: QuestionView
    ) -> strategy.Offer:
        return strategy.Offer(
            seller=self.trader.name(negotiation.peer),
            seller_key=negotiation.peer,
            question=view,
            document=wanted.name,
            min_weight_ppm=terms.min_weight_ppm,
            round=(negotiation.rounds - 1) // 2,
            price=terms.price,
            floor=terms.floor,
            min_wager=terms.min_wager,
        )

    def _promise(self, negotiation: Negotiation) -> bool:
        """Is the price free and in the budget, and the floor covered? Then the price is held from now on."""
        terms = negotiation.terms
        if terms is None:
            return False
        return self.trader.can_take(terms) and self.trader.purse.hold(negotiation.id, terms.price)

    def confirm(self, negotiation: Negotiation) -> bool:
        """The seller took the terms that we countered with: promise the price, unless it is no longer there."""
        is_held = negotiation.role != BUYER or self._promise(negotiation)
        trade = negotiation.accept() if is_held else negotiation.reject("too dear by now")
        self.trader.say(negotiation, trade)
        return is_held

    def record(self, negotiation: Negotiation) -> None:
        """The buyer records what it promises for an open delivery: the seller delivers once it sees that sealed. What
        is sealed first is promised beside the lock.
        """
        signed, core = negotiation.agreement, self._core
        if negotiation.role != BUYER or signed is None or is_sealed(negotiation):
            return
        op = Agree(signed.agreement, signed.buyer_signature, signed.seller_signature)
        if not core.author.holds(op) and not self._is_recorded(signed.agreement):
            core.submit((op,))

    def _is_recorded(self, agreement: bytes) -> bool:
        chain = self._core.chain
        key = agreement_id(chain.network, agreement)
        own = chain.book.view(self._core.keys.public).rows
        return ("promises", key) in own or chain.state.find("promises", key, Promise) is not None

    async def delivered(self, negotiation: Negotiation, event: Delivered) -> tuple[bytes, Signal] | None:
        """The signal, receipted, if its payload is what its document says; or else it is dropped, without a receipt.

        A receipt binds: there is none for what comes too late to be cited.
        """
        signal = await self._take_in(negotiation, event)
        if signal is None:
            return None
        if not self.trader.duties.has_answered(negotiation.request.question):
            self.trader.say(negotiation, self.trader.promises.receipt(negotiation, event.commit))
        return negotiation.request.question, signal

    async def _take_in(self, negotiation: Negotiation, event: Delivered | Deliver) -> Signal | None:
        """What was delivered as it is, if we know what it should be. It is read once."""
        wanted, terms = self._purchases.get(negotiation.id), negotiation.terms
        if wanted is None or terms is None:
            return None
        if negotiation.id not in self._read_already:
            origin = _Origin(negotiation.peer, event.commit, wanted.name, terms.min_weight_ppm)
            self._read_already[negotiation.id] = await self._read(origin, wanted.document, event.payload)
        return self._read_already[negotiation.id]

    async def _read(self, origin: _Origin, document: Document, data: bytes) -> Signal | None:
        """The signal, or None if its payload is not what the document says: it is dropped, which accuses nobody."""
        try:
            payload = decode(data)
            await self.trader.call(validate_payload, document, payload)
        except Invalid as error:
            log.warning(
                "signal dropped: its payload is not what its document says",
                seller=self.trader.name(origin.seller),
                document=origin.document,
                code=error.code,
                detail=error.detail,
            )
            return None
        self.trader.counts["deliveries"] += 1
        name = self.trader.name(origin.seller)
        about = (name, origin.seller, origin.commit, origin.document, payload)
        return Signal(*about, origin.weight_ppm, origin.price)

    def keep(self, negotiation: Negotiation, event: Encrypted) -> None:
        """A sealed signal came: its price is the exchanges' to lock, unless an auction has."""
        bid, wanted = self.bidding.asked(negotiation.id), self._purchases.get(negotiation.id)
        if bid is not None:
            self._exchanges.keep(negotiation, event, bid.wanted, bid.document, is_locked=True)
        elif wanted is not None:
            self._exchanges.keep(negotiation, event, wanted.name, wanted.document)

    async def receive_key(self, negotiation: Negotiation, event: Opened) -> tuple[bytes, Signal] | None:
        """The seller's key came: a receipt for what can be used."""
        self._exchanges.learn(negotiation.id, event.key)
        found = await self.bought(negotiation.id)
        if found is not None:
            self.trader.say(negotiation, negotiation.receipt())
        return found

    async def bought(self, negotiation: bytes) -> tuple[bytes, Signal] | None:
        """The question and the signal of a purchase that is open and fits its document. It is read once."""
        purchase = self._exchanges.purchases.get(negotiation)
        if purchase is None or purchase.key is None:
            return None
        terms = purchase.terms
        if negotiation not in self._read_already:
            found = purchase.found()
            if not isinstance(found, Contents):
                return None
            origin = _Origin(terms.seller, terms.commit, purchase.wanted, purchase.weight_ppm, terms.price)
            self._read_already[negotiation] = await self._read(origin, purchase.document, found.payload)
        signal = self._read_already[negotiation]
        return None if signal is None else (terms.question, signal)

    async def opened(self) -> list[tuple[bytes, Signal]]:
        """Question and signal of every purchase that is open: by the logs alone, or before a restart."""
        found = [await self.bought(key) for key in list(self._exchanges.purchases)]
        return [each for each in found if each is not None] + await self._receipted()

    async def _receipted(self) -> list[tuple[bytes, Signal]]:
        """What was delivered as it is, and receipted."""
        found = []
        for negotiation in self.trader.in_state(BUYER, RECEIVED):
            bodies = (BODIES.decode(body) for body, _ in negotiation.transcript())
            delivery = next((body for body in bodies if isinstance(body, Deliver)), None)
            signal = None if delivery is None else await self._take_in(negotiation, delivery)
            if signal is not None:
                found.append((negotiation.request.question, signal))
        return found

    def is_waiting(self, question: bytes) -> bool:
        """Is something that we asked for on this question still on its way?"""
        if any(quest.view.id == question for quest in self._reading):
            return True
        if self._exchanges.is_waiting(question) or self.bidding.is_waiting(question):
            return True
        return any(
            negotiation.role == BUYER
            and negotiation.request.question == question
            and negotiation.state not in _COME
            and not negotiation.is_over()
            for negotiation in self.trader.desk
        )

    async def advance(self, views: Mapping[bytes, QuestionView]) -> None:
        """An epoch opened: what was to be asked for by now is given up; what was agreed on goes on, and auctions do."""
        self._reading = [quest for quest in self._reading if self._core.epoch <= answer_by(quest.view)]
        self._unmet = [quest for quest in self._unmet if self._core.epoch <= answer_by(quest.view)]
        held = {negotiation.id for negotiation in self.trader.desk}
        self._purchases = {key: item for key, item in self._purchases.items() if key in held}
        alive = held | self._exchanges.purchases.keys()
        self._read_already = {key: item for key, item in self._read_already.items() if key in alive}
        for negotiation in self.trader.in_state(BUYER, AGREED):
            self.record(negotiation)
        for negotiation in self.trader.in_state(BUYER, OFFERED):
            if negotiation.terms is not None:
                await self.consider(negotiation, negotiation.terms, views)
        await self.bidding.advance(views)

    def stop(self, question: bytes) -> None:
        """A question is answered: what is not asked for by now would come too late."""
        self._reading = [quest for quest in self._reading if quest.view.id != question]
        self._unmet = [quest for quest in self._unmet if quest.view.id != question]
        self.bidding.stop(question)

    def forget(self, question: bytes) -> None:
        """A question is settled."""
        self.bidding.forget(question)
