"""What buying and selling share: the agent, its negotiations, its exchanges, and how to reach a peer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from troth_node.agent import Agent, QuestionView
from troth_node.agent import Quote as AgentQuote
from troth_node.deals import Deals, Wanted
from troth_node.duties import Duties
from troth_node.exchanges import Exchanges
from troth_node.runtime import Runtime
from troth_protocol.market.desk import Desk
from troth_protocol.market.negotiation import Negotiation
from troth_protocol.market.trades import Terms
from troth_protocol.wire.messages import Trade

#: An answer is worth waiting for so many epochs after the question opened; sealing and delivering need the rest.
ANSWER_EPOCHS: Final = 2

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
        self.call = call

    def say(self, negotiation: Negotiation, trade: Trade, wanted: Wanted | None = None) -> None:
        """Our next message of a negotiation: it is on disk before it leaves."""
        self.deals.write(negotiation, wanted)
        self.send(negotiation.peer, trade)

    def send(self, peer: bytes, trade: Trade) -> None:
        """Say something again."""
        self.core.out.send(peer, trade)

    def name(self, peer: bytes) -> str:
        """What a peer calls itself, or else its key in hex."""
        hello = self.core.peers.get(peer)
        return hello.name if hello is not None and hello.name else peer.hex()

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
