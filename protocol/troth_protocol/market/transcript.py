"""A transcript is the chain of what two parties signed to each other; what it amounts to follows from its bytes alone.

No clock and no keys here: the same checks serve the two parties while they talk and anybody who reads it afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from troth_protocol.errors import Invalid
from troth_protocol.log.agreement import (
    AGREEMENT,
    Agreement,
    Receipt,
    SignedAgreement,
    agreement_id,
    verify_party,
)
from troth_protocol.market.delivery import validate_open, validate_under_key
from troth_protocol.market.exchange import (
    EXCHANGE_TERMS,
    Contents,
    ExchangeTerms,
    Misdelivery,
    open_exchange,
)
from troth_protocol.market.trades import (
    Accept,
    Counter,
    Deliver,
    Key,
    Offer,
    Reply,
    Request,
    Sealed,
    Signed,
    Terms,
    read,
)
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import Trade

# Theory of operation. A negotiation has one state, and in every state that is not an end exactly one party has the
# turn; the other can at most withdraw. Whoever speaks names the last message by its id (`prev`), so both see the same
# chain or refuse to go on.
#
#   Terms     An offer states the seller's terms, a counter the buyer's: at most MAX_ROUNDS of both together.
#   Accepting Whoever likes the other's last terms accepts them. The agreement is a function of the request and those
#             terms, so neither can slip anything in; and as no terms can follow an accept, a party signs at most one
#             agreement in a negotiation, whatever is lost, repeated or reordered on the way. Two signatures over the
#             same bytes make it binding.
#   Crossing  A party may take back its last message while the other answers it. Therefore a withdrawal names the
#             sender's own last message and counts even where the answer is known already; once a party has accepted
#             it has signed, and can withdraw no more.
#   Price     What costs nothing but a citation is delivered as it is. What has a price or a floor is sealed first; its
#             key follows once the seller's log has published it. Locks and claims are no part of the transcript: the
#             logs prove them, and the exchange goes on there even if no word is heard any more.
#   Silence   The clock is the third party: each state has a last epoch, after which silence has a name as any other
#             end has (Transcript.deadline).

BUYER: Final = "buyer"
SELLER: Final = "seller"
CLOCK: Final = "clock"

REQUESTED: Final = "requested"
OFFERED: Final = "offered"
COUNTERED: Final = "countered"
BUYER_ACCEPTED: Final = "buyer_accepted"
SELLER_ACCEPTED: Final = "seller_accepted"
AGREED: Final = "agreed"
DELIVERED: Final = "delivered"
SEALED: Final = "sealed"
OPENED: Final = "opened"
RECEIVED: Final = "received"
REJECTED: Final = "rejected"
WITHDRAWN: Final = "withdrawn"
UNANSWERED: Final = "unanswered"
LAPSED: Final = "lapsed"
UNCONFIRMED: Final = "unconfirmed"
UNDELIVERED: Final = "undelivered"
UNOPENED: Final = "unopened"
UNRECEIPTED: Final = "unreceipted"

#: state -> who -> message -> the next state. What has no row is refused; a state without rows is an end.
TABLE: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    REQUESTED: {
        SELLER: {"offer": OFFERED, "reject": REJECTED},
        BUYER: {"withdraw": WITHDRAWN},
        CLOCK: {"silence": UNANSWERED},
    },
    OFFERED: {
        BUYER: {
            "counter": COUNTERED,
            "accept": BUYER_ACCEPTED,
            "reject": REJECTED,
            "withdraw": WITHDRAWN,  # of the request or counter that the offer crossed
        },
        SELLER: {"withdraw": WITHDRAWN},
        CLOCK: {"silence": LAPSED},
    },
    COUNTERED: {
        SELLER: {
            "offer": OFFERED,
            "accept": SELLER_ACCEPTED,
            "reject": REJECTED,
            "withdraw": WITHDRAWN,  # of the offer that the counter crossed
        },
        BUYER: {"withdraw": WITHDRAWN},
        CLOCK: {"silence": LAPSED},
    },
    BUYER_ACCEPTED: {
        SELLER: {"accept": AGREED, "reject": REJECTED, "withdraw": WITHDRAWN},
        CLOCK: {"silence": UNCONFIRMED},
    },
    SELLER_ACCEPTED: {
        BUYER: {"accept": AGREED, "reject": REJECTED, "withdraw": WITHDRAWN},
        CLOCK: {"silence": UNCONFIRMED},
    },
    AGREED: {SELLER: {"deliver": DELIVERED, "sealed": SEALED}, CLOCK: {"silence": UNDELIVERED}},
    SEALED: {SELLER: {"key": OPENED}, CLOCK: {"silence": UNOPENED}},
    OPENED: {BUYER: {"receipt": RECEIVED}, CLOCK: {"silence": UNRECEIPTED}},
    DELIVERED: {BUYER: {"receipt": RECEIVED}, CLOCK: {"silence": UNRECEIPTED}},
    RECEIVED: {},
    REJECTED: {},
    WITHDRAWN: {},
    UNANSWERED: {},
    LAPSED: {},
    UNCONFIRMED: {},
    UNDELIVERED: {},
    UNOPENED: {},
    UNRECEIPTED: {},
}
OTHER: Final[Mapping[str, str]] = {BUYER: SELLER, SELLER: BUYER}
#: The ends that silence makes.
SILENCES: Final = frozenset(rows[CLOCK]["silence"] for rows in TABLE.values() if CLOCK in rows)
#: Who has the turn, by state.
TURNS: Final[Mapping[str, str]] = {
    state: who
    for state, rows in TABLE.items()
    for who, messages in rows.items()
    if who != CLOCK and set(messages) - {"withdraw"}
}

MAX_ROUNDS: Final = 4
#: Epochs that the second accept, and the receipt, may come after what they answer was due.
CONFIRM_EPOCHS: Final = 1
RECEIPT_EPOCHS: Final = 2

Items: TypeAlias = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a transcript, and who said it."""

    who: str
    signed: Signed


class Transcript:
    """What was said in one negotiation, in order. `check` refuses and changes nothing; `link` adds what it let pass."""

    def __init__(self, network: bytes, request: Signed) -> None:
        """Begin with a request. Raises Invalid: out_of_state, wrong_party, bad_signature, bad_terms."""
        body = request.body
        if not isinstance(body, Request):
            raise Invalid("out_of_state", f"{request.name} begins no negotiation")
        if body.buyer == body.seller:
            raise Invalid("wrong_party", "buyer and seller are the same")
        if not request.is_by(body.buyer, network):
            raise Invalid("bad_signature", "the request is not signed by its buyer")
        _validate_order(body)
        self.network = network
        self.request = body
        self.state = REQUESTED
        self.said = [Said(BUYER, request)]
        self.rounds = 0
        self.terms: Terms | None = None
        self.delivery: Deliver | None = None
        self.sealed: Sealed | None = None
        self.exchange: ExchangeTerms | None = None
        self.opening: Contents | Misdelivery | None = None
        self._places = {request.id: 0}
        self._signatures: dict[str, bytes] = {}
        self._terms_id = request.id

    @property
    def id(self) -> bytes:
        """The negotiation's id: that of its request."""
        return self.said[0].signed.id

    @property
    def items(self) -> list[tuple[bytes, bytes]]:
        """(body, signature) of every message in order: what `verify_transcript` reads."""
        return [(said.signed.trade.body, said.signed.trade.signature) for said in self.said]

    @property
    def agreement(self) -> SignedAgreement | None:
        """The agreement, once both have signed it."""
        if len(self._signatures) < len(OTHER):
            return None
        return SignedAgreement(self.implied_agreement(), self._signatures[BUYER], self._signatures[SELLER])

    @property
    def agreement_id(self) -> bytes:
        """The id of the agreement that the last terms imply; Invalid("out_of_state") without terms."""
        return agreement_id(self.network, self.implied_agreement())

    @property
    def deadline(self) -> int:
        """The last epoch for the next message; meaningless in an end."""
        if self.terms is None:
            return self.request.expires
        if self.state == AGREED:
            return self.terms.deliver
        if self.state == DELIVERED:
            return self.terms.deliver + RECEIPT_EPOCHS
        if self.exchange is not None:
            return self.exchange.until + (RECEIPT_EPOCHS if self.state == OPENED else 0)
        return self.terms.expires + (CONFIRM_EPOCHS if self._signatures else 0)

    @property
    def payload(self) -> bytes | None:
        """What was delivered, openly or under a key; None if nothing was, or what the key opened is not it."""
        if isinstance(self.opening, Contents):
            return self.opening.payload
        return None if self.delivery is None else self.delivery.payload

    @property
    def commit(self) -> bytes | None:
        """The id of the commit that was delivered, openly or under a key; None before."""
        if self.exchange is not None:
            return self.exchange.commit
        return None if self.delivery is None else self.delivery.commit

    def key_of(self, who: str) -> bytes:
        """The public key of a party."""
        return self.request.buyer if who == BUYER else self.request.seller

    def author_of(self, signed: Signed) -> str:
        """Which party signed a message; Invalid("bad_signature") if neither did."""
        for who in OTHER:
            if signed.is_by(self.key_of(who), self.network):
                return who
        raise Invalid("bad_signature", f"{signed.name} is signed by neither party")

    def place_of(self, message: bytes) -> int | None:
        """The place of the message with this id, counted from 0, or None."""
        return self._places.get(message)

    def last_of(self, who: str) -> bytes | None:
        """The id of a party's last message; None if it has said nothing."""
        return next((said.signed.id for said in reversed(self.said) if said.who == who), None)

    def is_over(self) -> bool:
        """Whether nothing can follow."""
        return not TABLE[self.state]

    def implied_agreement(self) -> bytes:
        """What accepting the last terms means: an agreement's bytes. Invalid("out_of_state") without terms."""
        if self.terms is None:
            raise Invalid("out_of_state", "there are no terms to accept")
        agreement = Agreement(
            buyer=self.request.buyer,
            seller=self.request.seller,
            question=self.request.question,
            document=self.request.document,
            min_weight_ppm=self.terms.min_weight_ppm,
            min_wager=self.terms.min_wager,
            floor=self.terms.floor,
            price=self.terms.price,
            deliver=self.terms.deliver,
            transcript=self._terms_id,
        )
        return AGREEMENT.encode(agreement)

    def next_state(self, who: str, name: str) -> str:
        """Where this message leads. Raises Invalid: expired, wrong_party (it is the other's to say), out_of_state."""
        rows = TABLE[self.state]
        if name in rows.get(who, {}):
            return rows[who][name]
        if self.state in SILENCES:
            raise Invalid("expired", f"{name} after {self.state}")
        if name in rows.get(OTHER.get(who, CLOCK), {}):
            raise Invalid("wrong_party", f"{name} is not the {who}'s to say when {self.state}")
        raise Invalid("out_of_state", f"{name} when {self.state}")

    def check(self, who: str, signed: Signed) -> Reply:
        """Whether a message that `who` signed can be next; its body if so.

        Raises Invalid: expired, wrong_party, out_of_state, wrong_prev, too_many_rounds, bad_terms, changed_terms,
        bad_signature (of the agreement or the exchange's terms), wrong_network, wrong_question, bad_contribution,
        bad_digest, and what decoding terms or a contribution raises.
        """
        self.next_state(who, signed.name)
        body = signed.body
        if isinstance(body, Request) or body.prev != self._named_by(who, signed.name):
            raise Invalid("wrong_prev", f"{signed.name} names another message")
        if isinstance(body, Offer | Counter):
            self._check_terms(body)
        elif isinstance(body, Accept):
            self._check_accept(who, body)
        elif isinstance(body, Deliver):
            self._check_delivery(body)
        elif isinstance(body, Sealed):
            self._check_sealed(body)
        elif isinstance(body, Key):
            self._open(body)
        elif isinstance(body, Receipt):
            self._check_receipt(body)
        return body

    def _named_by(self, who: str, name: str) -> bytes | None:
        """The id that the next message carries as `prev`."""
        return self.last_of(who) if name == "withdraw" else self.said[-1].signed.id

    def _check_terms(self, body: Offer | Counter) -> None:
        if self.rounds == MAX_ROUNDS:
            raise Invalid("too_many_rounds", f"at most {MAX_ROUNDS} offers and counters")
        _validate_order(body)

    def _check_accept(self, who: str, body: Accept) -> None:
        if body.agreement != self.implied_agreement():
            raise Invalid("changed_terms", "the agreement is not what the accepted terms imply")
        verify_party(self.key_of(who), self.network, body.agreement, body.signature)

    def _check_delivery(self, body: Deliver) -> None:
        if self.terms is not None and self.terms.is_sealed:
            raise Invalid("out_of_state", "what has a price or a floor is sealed first")
        validate_open(self.network, self.request.seller, self.request.question, body)

    def _check_sealed(self, body: Sealed) -> None:
        request, agreed = self.request, cast("Terms", self.terms)
        if not agreed.is_sealed:
            raise Invalid("out_of_state", "what has neither price nor floor is delivered as it is")
        parties = (request.seller, request.buyer, request.question, agreed.price)
        validate_under_key(self.network, parties, agreed.deliver, body)

    def _open(self, body: Key) -> Contents | Misdelivery:
        """What a key opens; Invalid("bad_digest") if it is not the one that was promised."""
        return open_exchange(
            cast("ExchangeTerms", self.exchange), cast("Sealed", self.sealed).ciphertext, body.key
        )

    def _check_receipt(self, body: Receipt) -> None:
        if self.payload is None or (body.delivered, body.commit) != (digest(self.payload), self.commit):
            raise Invalid("bad_digest", "the receipt is for another payload")
        if body.agreement != self.agreement_id:
            raise Invalid("wrong_agreement", "the receipt is for another agreement")

    def link(self, who: str, signed: Signed) -> None:
        """Add a message that `check` let pass."""
        self.state = self.next_state(who, signed.name)
        self._places[signed.id] = len(self.said)
        self.said.append(Said(who, signed))
        body = signed.body
        if isinstance(body, Offer | Counter):
            self.rounds += 1
            self.terms, self._terms_id = body.terms, signed.id
        elif isinstance(body, Accept):
            self._signatures[who] = body.signature
        elif isinstance(body, Deliver):
            self.delivery = body
        elif isinstance(body, Sealed):
            self.sealed, self.exchange = body, EXCHANGE_TERMS.decode(body.terms)
        elif isinstance(body, Key):
            self.opening = self._open(body)

    def fall_silent(self) -> None:
        """The deadline passed without the next message."""
        self.state = self.next_state(CLOCK, "silence")


def _validate_order(body: Request | Terms) -> None:
    if body.expires > body.deliver:
        raise Invalid("bad_terms", "nothing can be accepted after its delivery is due")


def verify_transcript(network: bytes, items: Items) -> Transcript:
    """Read a transcript offline: (body, signature) of every message in order, the request first.

    What it amounts to is in the result's `state`, `agreement`, `delivery`, `exchange` and `opening`. Raises Invalid
    as the parties' own checks do, and Invalid("empty"). Epochs are not judged: no message proves when it was sent.
    """
    transcript: Transcript | None = None
    for body, signature in items:
        signed = read(network, Trade(body, signature))
        if transcript is None:
            transcript = Transcript(network, signed)
            continue
        who = transcript.author_of(signed)
        transcript.check(who, signed)
        transcript.link(who, signed)
    if transcript is None:
        raise Invalid("empty", "a transcript has a request at least")
    return transcript
