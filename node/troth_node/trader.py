"""What buying and selling share: the agent, its negotiations, its exchanges, and how to reach a peer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from troth_node.agent import Agent, QuestionView, Seller
from troth_node.agent import Quote as AgentQuote
from troth_node.auctions import Auctions
from troth_node.deals import Deals, Wanted
from troth_node.duties import Duties
from troth_node.exchanges import LOCK_FEES, Exchanges
from troth_node.purse import Purse
from troth_node.runtime import Runtime
from troth_node.standings import Standings
from troth_protocol.market.card import Card
from troth_protocol.market.desk import Desk
from troth_protocol.market.negotiation import Negotiation
from troth_protocol.market.trades import Request, Terms
from troth_protocol.market.transcript import AGREED, BUYER, BUYER_ACCEPTED
from troth_protocol.wire.messages import Trade

#: An answer is worth waiting for so many epochs after the question opened; sealing and delivering need the rest.
ANSWER_EPOCHS: Final = 2
#: States in which this side has promised a price that is not sealed for it yet.
PROMISED: Final = frozenset({BUYER_ACCEPTED, AGREED})

Call = Callable[..., Awaitable[object]]


class Trader:
    """One node as a party to trades. `call` runs a method of the agent."""

    def __init__(self, runtime: Runtime, agent: Agent, duties: Duties, call: Call) -> None:
        self.core = runtime.core
        self.agent = agent
        self.duties = duties
        self.desk = Desk(self.core.keys, self.core.chain.network, self.core.epoch)
        self.deals = Deals(self.core, self.desk)
        self.exchanges = Exchanges(self.core)
        self.auctions = Auctions(self.core)
        self.standings = Standings(self.core)
        self.purse = Purse(self.core, agent.budget)
        self.call = call
        #: What no log tells of: negotiations begun and deliveries accepted as a buyer, since this process began.
        self.counts: Counter[str] = Counter()
        #: Names and ids of what the agent has ever wanted.
        self.wanted: set[str] = set()

    def say(self, negotiation: Negotiation, trade: Trade, wanted: Wanted | None = None) -> None:
        """Our next message of a negotiation: it is on disk before it leaves."""
        self.deals.write(negotiation, wanted)
        self.send(negotiation.peer, trade)

    def send(self, peer: bytes, trade: Trade) -> None:
        """Say something again."""
        self.core.out.send(peer, trade)

    def ask(self, request: Request, wanted: Wanted | None = None) -> bytes:
        """Open a negotiation as its buyer; its id. Raises Invalid as `Desk.ask` does."""
        negotiation, trade = self.desk.ask(request)
        self.counts["negotiations"] += 1
        self.say(negotiation, trade, wanted)
        return negotiation.id

    def name(self, peer: bytes) -> str:
        """What a peer calls itself, or else its key in hex."""
        hello = self.core.peers.get(peer)
        return hello.name if hello is not None and hello.name else peer.hex()

    def sellers(self, wanted: str) -> Iterator[tuple[bytes, bytes]]:
        """(seller, document) of all on a link who announce a document by this name or id."""
        for seller, hello in self.core.peers.items():
            for name, document in hello.documents:
                if wanted in (name, document.hex()):
                    yield seller, document

    def is_sought(self, card: Card) -> bool:
        """Does its card say that it sells what the agent has wanted?"""
        return any({name, document.hex()} & self.wanted for name, document in card.documents)

    def seller(self, key: bytes, document: bytes, topic: str, *, is_silent: bool = False) -> Seller:
        """What this node knows of a seller of a document, for its agent to choose by."""
        board = self.core.board
        offers = [
            (item.price, item.weight_ppm)
            for item in board.announcements(key)
            if (item.kind, item.id, item.topic) == ("offer", document, topic)
        ]
        card = board.card(key)
        prices = [(price, weight) for each, price, weight in card.prices if each == document] if card else []
        price, weight_ppm = next(iter(offers + prices), (0, 0))
        standing = self.standings.of(key)
        return Seller(self.name(key), key, document, price, weight_ppm, standing, is_silent)

    def is_only_document(self, seller: bytes) -> bool:
        """Does it sell one document alone? Of whom sells several nobody could tell what it has put up."""
        return len(self.core.peers[seller].documents) == 1

    def reserved(self) -> int:
        """Wagers, prices and deposits that are promised and not in the log yet, with their fees, in atomic units."""
        fee = (LOCK_FEES + 1) * self.core.genesis.rules.fee  # the last one is for an accusation
        states = (each for state in PROMISED for each in self.in_state(BUYER, state))
        agreed = [
            each.terms.price + fee
            for each in states
            if each.terms is not None and each.terms.price and each.id not in self.exchanges.purchases
        ]
        sealed = self.exchanges.reserved() + self.auctions.reserved()
        return sum(agreed) + sealed + self.duties.reserved()

    def can_pay(self, amount: int, fees: int = LOCK_FEES + 1) -> bool:
        """Is an amount free, and so many fees, beside what is promised already?"""
        free = self.core.chain.book.view(self.core.keys.public).balance
        return not amount or amount + fees * self.core.genesis.rules.fee + self.reserved() <= free

    def in_state(self, role: str, state: str) -> Iterator[Negotiation]:
        """The negotiations in which we have this role and that stand there."""
        for negotiation in list(self.desk):
            if negotiation.role == role and negotiation.state == state:
                yield negotiation


def is_promise(negotiation: Negotiation) -> bool:
    """Is a citation promised? A price alone needs no record: the lock is one."""
    terms = negotiation.terms
    return terms is not None and (terms.min_weight_ppm > 0 or terms.price == 0)


def answer_by(view: QuestionView) -> int:
    """The last epoch in which an answer to a request is worth waiting for."""
    return view.opens + ANSWER_EPOCHS


def terms_of(negotiation: Negotiation, quote: AgentQuote) -> Terms:
    """Paid by citation, by a price, or by both; without a floor."""
    request = negotiation.request
    return Terms(
        min_weight_ppm=quote.min_weight_ppm,
        min_wager=0,
        floor=0,
        price=quote.price,
        deliver=request.deliver,
        expires=request.expires,
    )
