"""Negotiations under way, right and wrong: what the transcripts of trades.json are made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.agreement import AGREEMENT, Agreement, Receipt, agreement_id, sign_agreement
from troth_protocol.log.sealed import commit_digest, commit_id, question_id
from troth_protocol.market.trades import Accept, Body, Counter, Deliver, Offer, Request, Signed, sign
from troth_protocol.wire.crypto import KeyPair, digest

from .common import NETWORK, TOKEN, Json, keys

BUYER, SELLER, STRANGER = keys("alma"), keys("bruno"), keys("carla")
QUESTION: Final = question_id(NETWORK, "coin", 7)
OTHER_QUESTION: Final = question_id(NETWORK, "coin", 8)
PAYLOAD: Final = b"rain until five"
SALT: Final = digest(b"salt of the seller")
REQUEST: Final = Request(
    BUYER.public, SELLER.public, b"n" * 16, QUESTION, digest(b"document"), 100_000, 16, 12
)
TERMS: Final[dict[str, int]] = {
    "min_weight_ppm": 200_000,
    "min_wager": TOKEN,
    "floor": 0,
    "price": 0,
    "deliver": 16,
    "expires": 13,
}


def agreement_of(request: Request, terms: dict[str, int], named: bytes) -> bytes:
    """What accepting the terms of the message `named` means."""
    what = {key: item for key, item in terms.items() if key != "expires"}
    item = Agreement(
        request.buyer, request.seller, request.question, request.document, transcript=named, **what
    )
    return AGREEMENT.encode(item)


def delivery(prev: bytes, *, payload: bytes = PAYLOAD, named: bytes = PAYLOAD, **other: Json) -> Deliver:
    """The seller's signal; `named` is the payload that its contribution names, `other` are its other fields."""
    item = replace(Contribution(QUESTION, "clouds", (), payload=digest(named)), **other)
    return opening(prev, CONTRIBUTION.encode(item), payload)


def opening(prev: bytes, contribution: bytes, payload: bytes = PAYLOAD) -> Deliver:
    """A delivery of these bytes, with the id of the commit that they open."""
    sealed = commit_digest(NETWORK, SELLER.public, QUESTION, SALT, contribution)
    return Deliver(prev, commit_id(NETWORK, SELLER.public, QUESTION, sealed), contribution, SALT, payload)


@dataclass
class Talk:
    """A negotiation under way: what was said, and the terms on the table."""

    request: Request = REQUEST
    said: list[Signed] = field(default_factory=list)
    terms: dict[str, int] = field(default_factory=dict)
    terms_id: bytes = b""

    def __post_init__(self) -> None:
        self.say(BUYER, self.request)

    def copy(self) -> Talk:
        """The same, to go on in another way."""
        twin = Talk(self.request)
        twin.said, twin.terms, twin.terms_id = list(self.said), dict(self.terms), self.terms_id
        return twin

    @property
    def last(self) -> bytes:
        return self.said[-1].id

    def say(self, who: KeyPair, body: Body) -> Talk:
        """One more message, right or wrong."""
        self.said.append(sign(who, NETWORK, body))
        return self

    def offer(self, **other: int) -> Talk:
        return self._state(SELLER, Offer, other)

    def counter(self, **other: int) -> Talk:
        return self._state(BUYER, Counter, other)

    def _state(self, who: KeyPair, make: type[Offer | Counter], other: dict[str, int]) -> Talk:
        self.terms = TERMS | other
        self.say(who, make(prev=self.last, **self.terms))
        self.terms_id = self.last
        return self

    def accept(
        self, who: KeyPair, *, signer: KeyPair | None = None, network: bytes = NETWORK, **other: int
    ) -> Talk:
        """Accept; `other` are terms that were never stated."""
        data = agreement_of(self.request, self.terms | other, self.terms_id)
        return self.say(who, Accept(self.last, data, sign_agreement(signer or who, network, data)))

    def deliver(self, **other: Json) -> Talk:
        return self.say(SELLER, delivery(self.last, **other))

    def receipt(self, payload: bytes = PAYLOAD, **other: bytes) -> Talk:
        """The buyer's receipt; `other` are its other fields."""
        agreement = agreement_id(NETWORK, agreement_of(self.request, self.terms, self.terms_id))
        delivered = [one.body.commit for one in self.said if isinstance(one.body, Deliver)]
        commit = (delivered or [delivery(b"").commit])[-1]
        return self.say(BUYER, replace(Receipt(self.last, agreement, commit, digest(payload)), **other))


def agreed() -> Talk:
    """An offer that both accepted."""
    return Talk().offer().accept(BUYER).accept(SELLER)
