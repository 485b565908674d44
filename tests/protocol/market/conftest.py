"""Two parties at one table: what a dialogue between a buyer and a seller needs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from troth_protocol.errors import Invalid
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.sealed import commit_digest, commit_id
from troth_protocol.market.exchange import Contents, ExchangeTerms, encrypt_contents, sign_terms
from troth_protocol.market.negotiation import Negotiation
from troth_protocol.market.trades import Request, Terms, sign
from troth_protocol.wire.crypto import KeyPair, digest
from troth_protocol.wire.messages import Trade

NETWORK = bytes(range(32))
QUESTION = b"q" * 32
SALT = b"s" * 32
PAYLOAD = b"rain until five"
KEY = b"k" * 32
PRICE = 7
EPOCH = 10


class Pair:
    """A buyer and a seller, each with its own side of one negotiation, in epoch 10."""

    network, epoch, question, salt, payload, key = NETWORK, EPOCH, QUESTION, SALT, PAYLOAD, KEY
    buyer_keys = KeyPair.from_seed(b"b" * 32)
    seller_keys = KeyPair.from_seed(b"v" * 32)
    stranger_keys = KeyPair.from_seed(b"x" * 32)
    terms = Terms(200_000, 5, 0, 0, deliver=16, expires=13)

    def __init__(self, **changes: object) -> None:
        self.buyer, self.request = Negotiation.ask(
            self.buyer_keys, NETWORK, EPOCH, self.make_request(**changes)
        )
        self.seller = Negotiation.answer(
            self.seller_keys,
            NETWORK,
            EPOCH,
            self.buyer_keys.public,
            self.request.body,
            self.request.signature,
        )
        self.sent = {"request": self.request}

    @classmethod
    def make_request(cls, **changes: object) -> Request:
        request = Request(
            buyer=cls.buyer_keys.public,
            seller=cls.seller_keys.public,
            nonce=b"n" * 16,
            question=QUESTION,
            document=digest(b"weather"),
            min_weight_ppm=100_000,
            deliver=16,
            expires=12,
        )
        return replace(request, **changes)

    @classmethod
    def make_terms(cls, **changes: object) -> Terms:
        return replace(cls.terms, **changes)

    @classmethod
    def delivery(cls, payload: bytes = PAYLOAD, **changes: object) -> dict[str, bytes]:
        """Arguments of a valid delivery; `changes` are of the contribution."""
        item = Contribution(QUESTION, "clouds", (), payload=digest(payload))
        contribution = CONTRIBUTION.encode(replace(item, **changes))
        author = cls.seller_keys.public
        sealed = commit_digest(NETWORK, author, QUESTION, SALT, contribution)
        commit = commit_id(NETWORK, author, QUESTION, sealed)
        return {"commit": commit, "contribution": contribution, "salt": SALT, "payload": payload}

    @classmethod
    def exchange(cls, plain: dict[str, bytes] | None = None, **changes: object) -> tuple[bytes, bytes, bytes]:
        """Signed terms and the ciphertext of a valid delivery; `changes` are of the terms."""
        plain = plain or cls.delivery()
        contents = Contents(plain["contribution"], plain["salt"], plain["payload"])
        ciphertext = encrypt_contents(KEY, contents)
        sealed = commit_digest(
            NETWORK, cls.seller_keys.public, QUESTION, SALT, cls.delivery()["contribution"]
        )
        terms = ExchangeTerms(
            NETWORK,
            cls.seller_keys.public,
            cls.buyer_keys.public,
            QUESTION,
            cls.delivery()["commit"],
            sealed,
            digest(KEY),
            digest(ciphertext),
            PRICE,
            15,
        )
        return *sign_terms(cls.seller_keys, replace(terms, **changes)), ciphertext

    def says(self, who: str, what: str, *arguments: object, **named: object) -> object:
        """One party says something and the other hears it: what it means there."""
        speaker, listener = self.sides(who)
        trade = getattr(speaker, what)(*arguments, **named)
        self.sent[what if what != "accept" else f"{who} accept"] = trade
        return listener.receive(trade.body, trade.signature)

    def sides(self, who: str) -> tuple[Negotiation, Negotiation]:
        """(speaker, listener)."""
        return (self.buyer, self.seller) if who == "buyer" else (self.seller, self.buyer)

    def forge(self, who: str, body: object) -> Trade:
        """A message with a good signature that no honest side would have sent."""
        keys = self.buyer_keys if who == "buyer" else self.seller_keys
        return sign(keys, NETWORK, body).trade

    def reach(self, state: str) -> Pair:
        """Talk until both sides are in this state."""
        for name, *line in SCRIPT[state]:
            self.says(name, *line)
        assert self.buyer.state == self.seller.state == state
        return self

    def deliver(self, **changes: object) -> object:
        return self.says("seller", "deliver", **self.delivery(**changes))

    def code_of(self, listener: Negotiation, trade: Trade) -> str:
        """The code with which a side refuses a message; nothing has changed by it."""
        before = (listener.state, listener.transcript(), listener.terms, listener.rounds, listener.changed)
        with pytest.raises(Invalid) as refused:
            listener.receive(trade.body, trade.signature)
        assert before == (
            listener.state,
            listener.transcript(),
            listener.terms,
            listener.rounds,
            listener.changed,
        )
        return refused.value.code


OFFER = ("seller", "offer", Pair.terms)
COUNTER = ("buyer", "counter", Pair.make_terms(min_weight_ppm=150_000))
SCRIPT = {
    "requested": [],
    "offered": [OFFER],
    "countered": [OFFER, COUNTER],
    "buyer_accepted": [OFFER, ("buyer", "accept")],
    "seller_accepted": [OFFER, COUNTER, ("seller", "accept")],
    "agreed": [OFFER, ("buyer", "accept"), ("seller", "accept")],
    "rejected": [("seller", "reject", "busy")],
    "withdrawn": [("buyer", "withdraw", "found it")],
}
DELIVERED = [*SCRIPT["agreed"], ("seller", "deliver", *Pair.delivery().values())]
PRICED = [("seller", "offer", Pair.make_terms(price=PRICE)), *SCRIPT["agreed"][1:]]
SEALED = [*PRICED, ("seller", "sealed", *Pair.exchange())]
OPENED = [*SEALED, ("seller", "key", KEY)]
SCRIPT |= {"sealed": SEALED, "opened": OPENED}
SCRIPT |= {"delivered": DELIVERED, "received": [*DELIVERED, ("buyer", "receipt")]}


@pytest.fixture(scope="session")
def pair() -> type[Pair]:
    return Pair
