"""Buying and selling signals: an agent's decisions in, signed messages out; the desk keeps the books."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from troth_node import agent as strategy
from troth_node.agent import Agent, QuestionView, Signal, Want
from troth_node.duties import Duties, OwnCommit
from troth_node.exchanges import LOCK_FEES, Exchanges
from troth_node.payload import validate_payload
from troth_node.promises import Promises
from troth_node.runtime import Runtime
from troth_protocol.errors import Invalid
from troth_protocol.log.agreement import agreement_id
from troth_protocol.log.ops import Agree
from troth_protocol.log.rows import Commit, Promise
from troth_protocol.market.desk import Desk
from troth_protocol.market.document import Document
from troth_protocol.market.exchange import Contents
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
    Received,
    Repeated,
)
from troth_protocol.market.trades import NONCE_BYTES, Request, Terms
from troth_protocol.market.transcript import AGREED, BUYER, BUYER_ACCEPTED, DELIVERED, OPENED, SEALED, SELLER
from troth_protocol.wire.codec import decode
from troth_protocol.wire.messages import Trade

#: An answer is worth waiting for so many epochs after the question opened; sealing and delivering need the rest.
ANSWER_EPOCHS: Final = 2
#: Whoever sells on what it buys wants it this many epochs before the commit phase ends.
RESELLER_SLACK_EPOCHS: Final = 1
#: States in which this side has promised a price that is not sealed for it yet.
_PROMISED: Final = frozenset({BUYER_ACCEPTED, AGREED})
#: States in which there is nothing more to wait for. What is sealed is the exchanges' to wait for.
_COME: Final = frozenset({DELIVERED, SEALED, OPENED})

log = structlog.get_logger()

Call = Callable[..., Awaitable[object]]


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
class _Purchase:
    view: QuestionView
    want: Want
    document: Document


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a payload is from, as its reader is told."""

    seller: bytes
    commit: bytes
    document: str
    weight_ppm: int


class Dealings:
    """All trades of one node."""

    def __init__(self, runtime: Runtime, agent: Agent, duties: Duties, call: Call) -> None:
        self.runtime = runtime
        self.core = runtime.core
        self.agent = agent
        self.duties = duties
        self.desk = Desk(self.core.keys, self.core.chain.network, self.core.epoch)
        self.exchanges = Exchanges(self.core)
        self.promises = Promises(self.core, self.desk, self.exchanges)
        self._call = call
        self._purchases: dict[bytes, _Purchase] = {}
        self._reading: list[_Quest] = []
        self._silent: set[bytes] = set()
        self._early: list[Negotiation] = []
        self._read_already: dict[bytes, Signal | None] = {}

    def _send(self, peer: bytes, trade: Trade) -> None:
        self.core.out.send(peer, trade)

    def _name(self, peer: bytes) -> str:
        hello = self.core.peers.get(peer)
        return hello.name if hello is not None and hello.name else peer.hex()

    async def ask(self, view: QuestionView, wants: Sequence[Want], *, is_reseller: bool) -> None:
        """Ask for what the agent wants, of one seller for each want, once its document was read."""
        slack = RESELLER_SLACK_EPOCHS if is_reseller else 0
        for want in wants:
            if self.exchanges.has(view.id, want.document):
                continue
            await self._pursue(_Quest(view, want, view.commit_last - slack))

    async def _pursue(self, quest: _Quest) -> None:
        """Ask the first seller that is left, or first for its document."""
        while (found := self._seller(quest)) is not None:
            quest.seller, quest.document = found
            document = self.core.library.find(quest.document)
            if document is None:
                self._reading.append(quest)
                self.core.library.want(quest.seller, quest.document)
                return
            if await self._is_usable(quest.want, document):
                self._request(quest, document)
                return
            log.warning(
                "another document than the agent wants", seller=self._name(quest.seller), id=document.id.hex()
            )
            quest.refused.add(found)

    def _seller(self, quest: _Quest) -> tuple[bytes, bytes] | None:
        """(seller, document): the first by name that sells it and was not refused; who gave no document comes last."""
        want, peers = quest.want, self.core.peers
        able = [
            (seller in self._silent, peers[seller].name, seller, document)
            for seller, document in self._sellers(want.document)
            if want.seller in (None, peers[seller].name) and (seller, document) not in quest.refused
        ]
        return min(able)[2:] if able else None

    def _sellers(self, wanted: str) -> Iterator[tuple[bytes, bytes]]:
        """(seller, document) of all who announce a document by this name or id."""
        for seller, hello in self.core.peers.items():
            for name, document in hello.documents:
                if wanted in (name, document.hex()):
                    yield seller, document

    async def _is_usable(self, want: Want, document: Document) -> bool:
        """Does the text have the name under which it was announced, and does the agent take it?"""
        if want.document == document.id.hex():
            return True
        if want.document != document.name:
            return False
        return bool(await self._call(self.agent.understands, document.name, document.text))

    def _request(self, quest: _Quest, document: Document) -> None:
        request = Request(
            buyer=self.core.keys.public,
            seller=quest.seller,
            nonce=secrets.token_bytes(NONCE_BYTES),
            question=quest.view.id,
            document=document.id,
            min_weight_ppm=quest.want.min_weight_ppm,
            deliver=quest.deliver,
            expires=min(_answer_by(quest.view), quest.deliver),
        )
        negotiation, trade = self.desk.ask(request)
        self._purchases[negotiation.id] = _Purchase(quest.view, quest.want, document)
        self._send(quest.seller, trade)

    async def fetched(self, event: Fetched | NotFetched) -> None:
        """What came of asking for a document: go on with whatever waits for it."""
        key = event.document.id if isinstance(event, Fetched) else event.document
        ready = [quest for quest in self._reading if quest.document == key]
        self._reading = [quest for quest in self._reading if quest.document != key]
        for quest in ready:
            if isinstance(event, NotFetched) and event.peer == quest.seller:
                log.warning("no document", seller=self._name(event.peer), id=key.hex(), reason=event.reason)
                quest.refused.add((quest.seller, key))
                self._silent.add(event.peer)
            if self.core.epoch <= _answer_by(quest.view):
                await self._pursue(quest)

    async def receive(
        self, peer: bytes, trade: Trade, views: Mapping[bytes, QuestionView]
    ) -> tuple[bytes, Signal] | None:
        """A message of a negotiation. Returns the question and the signal if it delivered one. Raises Invalid."""
        negotiation, event = self.desk.receive(peer, trade)
        match event:
            case Asked():
                await self._quote(negotiation, views)
            case Offered():
                await self._consider(negotiation, event.terms)
            case Countered():
                await self._quote_again(negotiation, event.terms, views)
            case Accepted():
                self._send(peer, negotiation.accept())
                self._agreed(negotiation)
            case Agreed():
                self._agreed(negotiation)
            case Delivered():
                return await self._delivered(negotiation, event)
            case Encrypted():
                self._keep(negotiation, event)
            case Opened():
                return await self._opened(negotiation, event)
            case Received():
                self.promises.record(negotiation, event)
            case Repeated():
                for answer in event.answers:
                    self._send(peer, answer)
            case _:
                pass
        return None

    async def _quote(self, negotiation: Negotiation, views: Mapping[bytes, QuestionView]) -> None:
        view = views.get(negotiation.request.question)
        if view is None:
            # The buyer's node may have seen the seal before ours: answer when our epoch opens.
            self._early.append(negotiation)
            return
        quote = await self._ask_agent(negotiation, view, negotiation.request.min_weight_ppm, 0)
        if quote is None:
            self._send(negotiation.peer, negotiation.reject("not for sale"))
        else:
            self._send(negotiation.peer, negotiation.offer(_terms(negotiation, quote)))

    async def _ask_agent(
        self, negotiation: Negotiation, view: QuestionView, weight_ppm: int, price: int
    ) -> strategy.Quote | None:
        document = self.core.library.own.get(negotiation.request.document)
        if document is None:
            return None
        request = strategy.Request(
            buyer=self._name(negotiation.peer),
            buyer_key=negotiation.peer,
            question=view,
            document=document.name,
            min_weight_ppm=weight_ppm,
            round=negotiation.rounds // 2,
            price=price,
        )
        found = await self._call(self.agent.quote, request)
        return found if isinstance(found, strategy.Quote) else None

    async def _quote_again(
        self, negotiation: Negotiation, terms: Terms, views: Mapping[bytes, QuestionView]
    ) -> None:
        view = views.get(negotiation.request.question)
        quote = None
        if view is not None:
            quote = await self._ask_agent(negotiation, view, terms.min_weight_ppm, terms.price)
        if quote is None:
            self._send(negotiation.peer, negotiation.reject("no deal"))
        elif _is_met(quote, terms):
            self._send(negotiation.peer, negotiation.accept())
        else:
            self._send(negotiation.peer, negotiation.offer(_terms(negotiation, quote)))

    async def _consider(self, negotiation: Negotiation, terms: Terms) -> None:
        purchase = self._purchases.get(negotiation.id)
        if purchase is None:
            return
        offer = strategy.Offer(
            seller=self._name(negotiation.peer),
            seller_key=negotiation.peer,
            question=purchase.view,
            document=purchase.want.document,
            min_weight_ppm=terms.min_weight_ppm,
            round=(negotiation.rounds - 1) // 2,
            price=terms.price,
            floor=terms.floor,
            min_wager=terms.min_wager,
        )
        decision = await self._call(self.agent.consider, offer)
        match decision:
            case strategy.Accept() if self._can_pay(terms) and self.promises.can_back(terms.floor):
                trade = negotiation.accept()
            case strategy.Counter() if self.promises.can_back(terms.floor):
                price = terms.price if decision.price is None else decision.price
                quote = strategy.Quote(decision.min_weight_ppm, price, terms.floor, terms.min_wager)
                trade = negotiation.counter(_terms(negotiation, quote))
            case _:
                trade = negotiation.reject("too dear")
        self._send(negotiation.peer, trade)

    def _can_pay(self, terms: Terms) -> bool:
        """Is the price free, with the fees of its lock, beside what is promised already?"""
        free = self.core.chain.book.view(self.core.keys.public).balance
        due = terms.price + _lock_fees(terms) * self.core.genesis.rules.fee
        return not terms.is_sealed or due + self.reserved() + self.duties.reserved() <= free

    def reserved(self) -> int:
        """Prices agreed on that are not in the log yet, with their fees, in atomic units."""
        fee = self.core.genesis.rules.fee
        states = (each.terms for state in _PROMISED for each in self._in_state(BUYER, state))
        agreed = [terms for terms in states if terms is not None and terms.is_sealed]
        return sum(terms.price + _lock_fees(terms) * fee for terms in agreed) + self.exchanges.reserved()

    def _agreed(self, negotiation: Negotiation) -> None:
        """Both have signed: the buyer records it, and what was made before is delivered."""
        self._record(negotiation)
        self.deliver()

    def _record(self, negotiation: Negotiation) -> None:
        """The buyer records what it promises for an open delivery: the seller delivers once it sees that sealed. What
        is sealed first is promised beside the lock.
        """
        signed = negotiation.agreement
        if negotiation.role == BUYER and signed is not None and not _is_sealed(negotiation):
            self.core.submit((Agree(signed.agreement, signed.buyer_signature, signed.seller_signature),))

    async def _delivered(self, negotiation: Negotiation, event: Delivered) -> tuple[bytes, Signal] | None:
        """The signal, receipted, if its payload is what its document says; or else it is dropped, without a receipt.

        A receipt binds: there is none for what comes too late to be cited.
        """
        purchase, terms = self._purchases.get(negotiation.id), negotiation.terms
        if purchase is None or terms is None:
            return None
        origin = _Origin(negotiation.peer, event.commit, purchase.want.document, terms.min_weight_ppm)
        signal = await self._read(origin, purchase.document, event.payload)
        if signal is None:
            return None
        if not self.duties.has_answered(negotiation.request.question):
            self._send(negotiation.peer, self.promises.receipt(negotiation, event.commit))
        return negotiation.request.question, signal

    async def _read(self, origin: _Origin, document: Document, data: bytes) -> Signal | None:
        """The signal, or None if its payload is not what the document says: it is dropped, which accuses nobody."""
        try:
            payload = decode(data)
            await self._call(validate_payload, document, payload)
        except Invalid as error:
            log.warning(
                "signal dropped: its payload is not what its document says",
                seller=self._name(origin.seller),
                document=origin.document,
                code=error.code,
                detail=error.detail,
            )
            return None
        name = self._name(origin.seller)
        return Signal(name, origin.seller, origin.commit, origin.document, payload, origin.weight_ppm)

    def _keep(self, negotiation: Negotiation, event: Encrypted) -> None:
        purchase = self._purchases.get(negotiation.id)
        if purchase is not None:
            self.exchanges.keep(negotiation, event, purchase.want.document, purchase.document)

    async def _opened(self, negotiation: Negotiation, event: Opened) -> tuple[bytes, Signal] | None:
        """The seller's key came: a receipt for what can be used."""
        self.exchanges.learn(negotiation.id, event.key)
        found = await self.bought(negotiation.id)
        if found is not None:
            self._send(negotiation.peer, negotiation.receipt())
        return found

    async def bought(self, negotiation: bytes) -> tuple[bytes, Signal] | None:
        """The question and the signal of a purchase that is open and fits its document. It is read once."""
        purchase = self.exchanges.purchases.get(negotiation)
        found = purchase.found() if purchase is not None else None
        if purchase is None or not isinstance(found, Contents):
            return None
        terms = purchase.terms
        if negotiation not in self._read_already:
            origin = _Origin(terms.seller, terms.commit, purchase.wanted, purchase.weight_ppm)
            self._read_already[negotiation] = await self._read(origin, purchase.document, found.payload)
        signal = self._read_already[negotiation]
        return None if signal is None else (terms.question, signal)

    async def opened(self) -> list[tuple[bytes, Signal]]:
        """Question and signal of every purchase that is open: some were opened by the logs alone."""
        found = [await self.bought(key) for key in list(self.exchanges.purchases)]
        return [each for each in found if each is not None]

    def deliver(self) -> None:
        """Deliver what is agreed, made and certified: under a key, or to buyers whose promise is sealed; hand over
        published keys.
        """
        for negotiation in self._in_state(SELLER, AGREED):
            document = self.core.library.own.get(negotiation.request.document)
            own = self.duties.find(negotiation.request.question, document.name) if document else None
            if own is not None and (_is_sealed(negotiation) or self._is_promised(negotiation)):
                self._deliver(negotiation, own)
        for negotiation in self._in_state(SELLER, SEALED):
            key = self.exchanges.published(negotiation.id)
            if key is not None:
                self._send(negotiation.peer, negotiation.key(key))

    def _deliver(self, negotiation: Negotiation, own: OwnCommit) -> None:
        price = negotiation.terms.price if negotiation.terms else 0
        is_sealed = _is_sealed(negotiation)
        if is_sealed and self.exchanges.is_final(own) and self.exchanges.is_time(negotiation):
            self._send(negotiation.peer, self.exchanges.seal(negotiation, own, price))
        elif not is_sealed and self._is_certified(own.id):
            trade = negotiation.deliver(own.id, own.contribution, own.salt, own.payload)
            self._send(negotiation.peer, trade)

    def _in_state(self, role: str, state: str) -> Iterator[Negotiation]:
        for negotiation in list(self.desk):
            if negotiation.role == role and negotiation.state == state:
                yield negotiation

    def _is_promised(self, negotiation: Negotiation) -> bool:
        signed = negotiation.agreement
        if signed is None:
            return False
        key = agreement_id(self.core.chain.network, signed.agreement)
        return self.core.chain.state.find("promises", key, Promise) is not None

    def _is_certified(self, commit: bytes) -> bool:
        if self.core.chain.state.find("commits", commit, Commit) is not None:
            return True
        return ("commits", commit) in self.core.chain.book.view(self.core.keys.public).rows

    def is_waiting(self, question: bytes) -> bool:
        """Is something that we asked for on this question still on its way?"""
        if self.exchanges.is_waiting(question) or any(quest.view.id == question for quest in self._reading):
            return True
        return any(
            negotiation.role == BUYER
            and negotiation.request.question == question
            and negotiation.state not in _COME
            and not negotiation.is_over()
            for negotiation in self.desk
        )

    async def advance(self, views: Mapping[bytes, QuestionView]) -> None:
        """An epoch opened: end what silence ended, answer requests that came too early."""
        self.desk.advance(self.core.epoch)
        self.promises.advance()
        self._reading = [quest for quest in self._reading if self.core.epoch <= _answer_by(quest.view)]
        early, self._early = self._early, []
        for negotiation in early:
            if negotiation.request.question in views and not negotiation.is_over():
                await self._quote(negotiation, views)

    def greet(self, peer: bytes) -> None:
        """A peer is (back) on a link: say again what it has not answered."""
        for trade in dict.fromkeys([*self.desk.unanswered(peer), *self.exchanges.unheard(peer)]):
            self._send(peer, trade)

    def forget(self, question: bytes) -> None:
        """A question is settled."""
        self._purchases = {key: item for key, item in self._purchases.items() if item.view.id != question}
        alive = self.exchanges.purchases
        self._read_already = {key: item for key, item in self._read_already.items() if key in alive}


def _is_sealed(negotiation: Negotiation) -> bool:
    return negotiation.terms is not None and negotiation.terms.is_sealed


def _lock_fees(terms: Terms) -> int:
    """What a sealed signal costs in fees: the lock, the promise beside it, and an accusation if it must be."""
    return LOCK_FEES + terms.is_promise + 1


def _is_met(quote: strategy.Quote, terms: Terms) -> bool:
    """Do these terms give the seller all that it asks for?"""
    asked = (quote.min_weight_ppm, quote.price, quote.floor, quote.min_wager)
    given = (terms.min_weight_ppm, terms.price, terms.floor, terms.min_wager)
    return all(least <= amount for least, amount in zip(asked, given, strict=True))


def _answer_by(view: QuestionView) -> int:
    """The last epoch in which an answer to a request is worth waiting for."""
    return view.opens + ANSWER_EPOCHS


def _terms(negotiation: Negotiation, quote: strategy.Quote) -> Terms:
    """Paid by citation, by a price, or by both."""
    request = negotiation.request
    return Terms(
        min_weight_ppm=quote.min_weight_ppm,
        min_wager=quote.min_wager,
        floor=quote.floor,
        price=quote.price,
        deliver=request.deliver,
        expires=request.expires,
    )
