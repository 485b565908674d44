"""One negotiation as one party lives it: it checks before it believes, and signs one agreement at most.

The states are in `transcript.TABLE`; here are the keys, the epoch and the events. Whoever waits waits SLACK_EPOCHS
longer than whoever acts, because two honest nodes may see the same seal one epoch apart.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final, TypeAlias, assert_never, cast

from troth_protocol.errors import Invalid
from troth_protocol.log.agreement import Receipt, SignedAgreement, sign_agreement
from troth_protocol.log.evaluate import LOCK_EPOCHS_MIN
from troth_protocol.market.exchange import Contents, ExchangeTerms, Misdelivery, until_of
from troth_protocol.market.trades import (
    Accept,
    Counter,
    Deliver,
    Key,
    Offer,
    Reject,
    Reply,
    Request,
    Sealed,
    Signed,
    Terms,
    Withdraw,
    read,
    sign,
)
from troth_protocol.market.transcript import (
    BUYER,
    OTHER,
    SELLER,
    SILENCES,
    TURNS,
    Items,
    Transcript,
    verify_transcript,
)
from troth_protocol.wire.crypto import KeyPair, digest
from troth_protocol.wire.messages import Trade

SLACK_EPOCHS: Final = 1
#: How far ahead a delivery may be promised, and so how long a peer can keep a negotiation open.
AHEAD_MAX_EPOCHS: Final = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """A buyer opened a negotiation: offer or reject."""

    request: Request


@dataclass(frozen=True, slots=True)
class Offered:
    """The seller's terms: counter, accept or reject."""

    terms: Terms


@dataclass(frozen=True, slots=True)
class Countered:
    """The buyer's terms: offer, accept or reject."""

    terms: Terms


@dataclass(frozen=True, slots=True)
class Accepted:
    """The peer took this side's last terms and signed the agreement's bytes: confirm with accept, or reject."""

    agreement: bytes


@dataclass(frozen=True, slots=True)
class Agreed:
    """The peer confirmed: both have signed."""

    agreement: SignedAgreement


@dataclass(frozen=True, slots=True)
class Rejected:
    """The peer said no."""

    reason: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The peer took its last message back."""

    reason: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """The signal; payload, contribution and commit id fit together. Whether the commit is certified, the logs tell."""

    commit: bytes
    contribution: bytes
    salt: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class Encrypted:
    """The signal under a key, and the seller's terms for it: lock the price, once the commit is certified."""

    sealed: Sealed
    terms: ExchangeTerms


@dataclass(frozen=True, slots=True)
class Opened:
    """The key came: the contents, or the misdelivery that terms, ciphertext and key prove."""

    found: Contents | Misdelivery
    key: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """The buyer's receipt for the payload with this SHA-256, and the message as it was signed."""

    delivered: bytes
    signed: Trade


@dataclass(frozen=True, slots=True)
class Repeated:
    """The peer said again what it had said; `answers` is what this side said since: send it again."""

    answers: tuple[Trade, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """Silence ended it: `outcome` is unanswered, lapsed, unconfirmed, undelivered, unopened or unreceipted."""

    outcome: str


#: What a message of the peer means.
Event: TypeAlias = (
    Asked
    | Offered
    | Countered
    | Accepted
    | Agreed
    | Rejected
    | Withdrawn
    | Delivered
    | Encrypted
    | Opened
    | Received
    | Repeated
)


class Negotiation:
    """One party's side of one negotiation. Its methods return the Trade to send; `receive` takes the peer's.

    All of them raise Invalid, and then nothing has changed: the codes of `Transcript.check`, and expired, bad_terms
    for epochs that are over or too far ahead.
    """

    def __init__(self, keys: KeyPair, epoch: int, said: Transcript) -> None:
        """Take up one's part; Invalid("wrong_party") for a stranger to it."""
        if keys.public not in {said.request.buyer, said.request.seller}:
            raise Invalid("wrong_party", "neither buyer nor seller")
        self.role = BUYER if keys.public == said.request.buyer else SELLER
        self.peer = said.key_of(OTHER[self.role])
        self.epoch = epoch
        self.changed = epoch
        self._keys = keys
        self._said = said

    @classmethod
    def ask(cls, keys: KeyPair, network: bytes, epoch: int, request: Request) -> tuple[Negotiation, Trade]:
        """A buyer begins: the negotiation, and the request to send to the seller."""
        if request.buyer != keys.public:
            raise Invalid("wrong_party", "a request is its buyer's to sign")
        _validate_epochs(request, epoch)
        signed = sign(keys, network, request)
        return cls(keys, epoch, Transcript(network, signed)), signed.trade

    @classmethod
    def answer(
        cls, keys: KeyPair, network: bytes, epoch: int, peer: bytes, body: bytes, signature: bytes
    ) -> Negotiation:
        """A seller takes up a request from `peer`; what it asks for is in `request`."""
        return cls.take_up(keys, network, epoch, peer, read(network, Trade(body, signature)))

    @classmethod
    def take_up(cls, keys: KeyPair, network: bytes, epoch: int, peer: bytes, signed: Signed) -> Negotiation:
        """As `answer`, with a request that was read already."""
        negotiation = cls(keys, epoch, Transcript(network, signed))
        if negotiation.role != SELLER or negotiation.peer != peer:
            raise Invalid("wrong_party", "a request is sent by its buyer to its seller")
        _validate_epochs(negotiation.request, epoch)
        return negotiation

    @classmethod
    def resume(cls, keys: KeyPair, network: bytes, epoch: int, items: Items) -> Negotiation:
        """Go on from what `transcript` gave before a restart."""
        return cls(keys, epoch, verify_transcript(network, items))

    @property
    def id(self) -> bytes:
        """The id of the request."""
        return self._said.id

    @property
    def request(self) -> Request:
        """What was asked for."""
        return self._said.request

    @property
    def state(self) -> str:
        """A state of the table; when it is over, the outcome."""
        return self._said.state

    @property
    def terms(self) -> Terms | None:
        """The last terms, of either party."""
        return self._said.terms

    @property
    def rounds(self) -> int:
        """Offers and counters so far, of MAX_ROUNDS."""
        return self._said.rounds

    @property
    def agreement(self) -> SignedAgreement | None:
        """The agreement, once both have signed it."""
        return self._said.agreement

    @property
    def agreement_id(self) -> bytes:
        """The id of the agreement that the last terms imply; Invalid("out_of_state") without terms."""
        return self._said.agreement_id

    @property
    def exchange(self) -> ExchangeTerms | None:
        """The terms of the exchange, once the signal is sealed."""
        return self._said.exchange

    @property
    def deadline(self) -> int:
        """The last epoch in which this side acts or waits, whichever it does now; meaningless when it is over."""
        return self._said.deadline + (0 if self.is_my_turn() else SLACK_EPOCHS)

    def is_over(self) -> bool:
        """Whether nothing can follow; `state` is the outcome."""
        return self._said.is_over()

    def is_my_turn(self) -> bool:
        """Whether the peer waits for this side."""
        return TURNS.get(self.state) == self.role

    def has(self, message: bytes) -> bool:
        """Whether the message with this id is part of it."""
        return self._said.place_of(message) is not None

    def transcript(self) -> list[tuple[bytes, bytes]]:
        """(body, signature) of every message in order, for `verify_transcript`."""
        return self._said.items

    def unanswered(self) -> tuple[Trade, ...]:
        """What this side said since the peer last spoke: for when a link comes back. Nothing after silence."""
        if self.state in SILENCES:
            return ()
        theirs = (place for place, said in enumerate(self._said.said) if said.who != self.role)
        return self._since(max(theirs, default=0))

    def _since(self, place: int) -> tuple[Trade, ...]:
        """What this side said, from a place of the transcript on."""
        return tuple(said.signed.trade for said in self._said.said[place:] if said.who == self.role)

    def expire(self, epoch: int) -> Ended | None:
        """The open epoch is now this one: whether silence has ended the negotiation just now."""
        self.epoch = max(self.epoch, epoch)
        if self.is_over() or self.epoch <= self.deadline:
            return None
        self._said.fall_silent()
        self.changed = self.epoch
        return Ended(self.state)

    def receive(self, body: bytes, signature: bytes) -> Event:
        """A message of the peer."""
        return self.hear(read(self._said.network, Trade(body, signature)))

    def hear(self, signed: Signed) -> Event:
        """As `receive`, with a message that was read already."""
        if not signed.is_by(self.peer, self._said.network):
            raise Invalid("bad_signature", f"{signed.name} is not signed by the peer")
        place = self._said.place_of(signed.id)
        if place is not None:
            return Repeated(self._since(place))
        return self._event_of(self._add(OTHER[self.role], signed))

    def _add(self, who: str, signed: Signed) -> Reply:
        body = self._said.check(who, signed)
        if isinstance(body, Offer | Counter):
            _validate_epochs(body, self.epoch)
        elif isinstance(body, Sealed) and until_of(body.terms) < self.epoch + LOCK_EPOCHS_MIN:
            raise Invalid("expired", "no price can be locked any more")
        self._said.link(who, signed)
        self.changed = self.epoch
        return body

    def _event_of(self, body: Reply) -> Event:
        match body:
            case Offer():
                return Offered(body.terms)
            case Counter():
                return Countered(body.terms)
            case Accept():
                return Accepted(body.agreement) if self.agreement is None else Agreed(self.agreement)
            case Reject():
                return Rejected(body.reason)
            case Withdraw():
                return Withdrawn(body.reason)
            case Deliver():
                return Delivered(body.commit, body.contribution, body.salt, body.payload)
            case Sealed():
                return Encrypted(body, cast("ExchangeTerms", self._said.exchange))
            case Key():
                return Opened(cast("Contents | Misdelivery", self._said.opening), body.key)
            case Receipt():
                return Received(body.delivered, self._said.said[-1].signed.trade)
            case _:
                assert_never(body)

    def offer(self, terms: Terms) -> Trade:
        """The seller's terms, first or in answer to a counter."""
        return self._say(_state(Offer, self._newest(), terms))

    def counter(self, terms: Terms) -> Trade:
        """The buyer's terms in answer to an offer."""
        return self._say(_state(Counter, self._newest(), terms))

    def accept(self) -> Trade:
        """Sign what the peer's last terms imply, or confirm what it signed; then `agreement` is there."""
        self._said.next_state(self.role, "accept")
        agreement = self._said.implied_agreement()
        return self._say(
            Accept(self._newest(), agreement, sign_agreement(self._keys, self._said.network, agreement))
        )

    def reject(self, reason: str = "") -> Trade:
        """No to the peer's last message."""
        return self._say(Reject(self._newest(), reason))

    def withdraw(self, reason: str = "") -> Trade:
        """Take back this side's own last message, answered or not."""
        return self._say(Withdraw(self._said.last_of(self.role) or self.id, reason))

    def deliver(self, commit: bytes, contribution: bytes, salt: bytes, payload: bytes) -> Trade:
        """The signal that the buyer will verify: the same checks are made before it leaves."""
        return self._say(Deliver(self._newest(), commit, contribution, salt, payload))

    def sealed(self, terms: bytes, signature: bytes, ciphertext: bytes) -> Trade:
        """The signal under a key, and the terms by `sign_terms`: only for a commit that is final or sealed."""
        return self._say(Sealed(self._newest(), terms, signature, ciphertext))

    def key(self, key: bytes) -> Trade:
        """The key, once the witnesses have it."""
        return self._say(Key(self._newest(), key))

    def receipt(self) -> Trade:
        """The delivery is valid: say so. Raises Invalid("bad_digest") if the key opened something else."""
        self._said.next_state(self.role, "receipt")
        said = self._said
        commit, delivered = said.commit or b"", digest(said.payload or b"")
        return self._say(Receipt(self._newest(), said.agreement_id, commit, delivered))

    def _newest(self) -> bytes:
        return self._said.said[-1].signed.id

    def _say(self, body: Reply) -> Trade:
        signed = sign(self._keys, self._said.network, body)
        self._add(self.role, signed)
        return signed.trade


def _state(make: type[Offer | Counter], prev: bytes, terms: Terms) -> Offer | Counter:
    return make(prev=prev, **asdict(terms))


def _validate_epochs(body: Request | Terms, epoch: int) -> None:
    if body.expires < epoch:
        raise Invalid("expired", f"expired in epoch {body.expires}")
    if body.deliver > epoch + AHEAD_MAX_EPOCHS:
        raise Invalid("bad_terms", f"delivery more than {AHEAD_MAX_EPOCHS} epochs ahead")
