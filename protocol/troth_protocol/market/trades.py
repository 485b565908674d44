"""The catalogue of what negotiating parties sign: one table. Each body is signed in its own domain, troth/<type>/1.

Every body but the request carries `prev`, the id of an earlier message of the same negotiation: that makes a chain
which neither party can rewrite alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from troth_protocol.log.agreement import RECEIPT, Receipt
from troth_protocol.log.ops import AGREEMENT_MAX_BYTES, CONTRIBUTION_MAX_BYTES
from troth_protocol.log.rows import PREIMAGE_MAX_BYTES
from troth_protocol.wire.crypto import KeyPair, object_id, preimage, verify
from troth_protocol.wire.messages import Trade
from troth_protocol.wire.schema import (
    AMOUNT,
    EPOCH,
    ID,
    KEY,
    PPM,
    SALT,
    SIGNATURE,
    Kind,
    Record,
    Variant,
    blob,
    fixed,
    text,
    uint,
)

NONCE_BYTES: Final = 16
REASON_MAX_BYTES: Final = 200
PAYLOAD_MAX_BYTES: Final = 64 * 1024
#: The largest payload, contribution and salt with their names, and the tag; with its terms it fits into evidence.
CIPHERTEXT_MAX_BYTES: Final = 84 * 1024
TERMS_MAX_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A buyer asks one seller for a signal; its id names the negotiation, and `nonce` tells two alike apart.

    `document` is the id of the signal document, which the buyer has read and the seller ships.
    `min_weight_ppm` is the citation weight that the buyer has in mind; `deliver` is the last epoch in which the
    signal is of use to it, `expires` the last one in which it waits for an answer.
    """

    buyer: bytes
    seller: bytes
    nonce: bytes
    question: bytes
    document: bytes
    min_weight_ppm: int
    deliver: int
    expires: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What is negotiated. Amounts in atomic units; `price` is 0 when the signal is paid by citation alone, and `floor`
    is what the seller gets at least where the citation fails to come.

    `deliver` is the last epoch for the delivery, `expires` the last one in which these terms can be accepted.
    """

    min_weight_ppm: int
    min_wager: int
    floor: int
    price: int
    deliver: int
    expires: int

    @property
    def is_sealed(self) -> bool:
        """Whether the signal goes out under a key: what has a price is paid by it, what has a floor is proved by it."""
        return self.price > 0 or self.floor > 0

    @property
    def is_promise(self) -> bool:
        """Whether a citation is promised, or a floor in its place."""
        return self.min_weight_ppm > 0 or self.floor > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stated(Terms):
    prev: bytes

    @property
    def terms(self) -> Terms:
        """The terms alone."""
        return Terms(
            min_weight_ppm=self.min_weight_ppm,
            min_wager=self.min_wager,
            floor=self.floor,
            price=self.price,
            deliver=self.deliver,
            expires=self.expires,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer(_Stated):
    """The seller's terms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter(_Stated):
    """The buyer's terms."""


@dataclass(frozen=True, slots=True)
class Accept:
    """The other's last terms suit: the agreement that they imply, and its signature by whoever sends this.

    The other answers with its own accept over the same bytes; then it is agreed.
    """

    prev: bytes
    agreement: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Reject:
    """No to the other's last message; the negotiation is over."""

    prev: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Takes back the sender's own last message, which `prev` names, whatever the other has answered meanwhile."""

    prev: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """The signal: the seller's contribution, the salt and the id of the commit that they open, and the payload."""

    prev: bytes
    commit: bytes
    contribution: bytes
    salt: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """The signal for a price: its ciphertext, and the seller's signed terms of the exchange (`ExchangeTerms`)."""

    prev: bytes
    terms: bytes
    signature: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class Key:
    """The key that opens what was sealed; the seller's log has published it to claim the price."""

    prev: bytes
    key: bytes


#: What follows a request.
Reply: TypeAlias = Offer | Counter | Accept | Reject | Withdraw | Deliver | Sealed | Key | Receipt
Body: TypeAlias = Request | Reply

_TERMS: Final[Mapping[str, Kind]] = {
    "prev": ID,
    "min_weight_ppm": uint(PPM),
    "min_wager": AMOUNT,
    "floor": AMOUNT,
    "price": AMOUNT,
    "deliver": EPOCH,
    "expires": EPOCH,
}
_TABLE: Final[Mapping[type[Body], tuple[str, Mapping[str, Kind]]]] = {
    Request: (
        "request",
        {
            "buyer": KEY,
            "seller": KEY,
            "nonce": fixed(NONCE_BYTES),
            "question": ID,
            "document": ID,
            "min_weight_ppm": uint(PPM),
            "deliver": EPOCH,
            "expires": EPOCH,
        },
    ),
    Offer: ("offer", _TERMS),
    Counter: ("counter", _TERMS),
    Accept: ("accept", {"prev": ID, "agreement": blob(AGREEMENT_MAX_BYTES), "signature": SIGNATURE}),
    Reject: ("reject", {"prev": ID, "reason": text(REASON_MAX_BYTES)}),
    Withdraw: ("withdraw", {"prev": ID, "reason": text(REASON_MAX_BYTES)}),
    Deliver: (
        "deliver",
        {
            "prev": ID,
            "commit": ID,
            "contribution": blob(CONTRIBUTION_MAX_BYTES),
            "salt": SALT,
            "payload": blob(PAYLOAD_MAX_BYTES),
        },
    ),
    Sealed: (
        "sealed",
        {
            "prev": ID,
            "terms": blob(TERMS_MAX_BYTES),
            "signature": SIGNATURE,
            "ciphertext": blob(CIPHERTEXT_MAX_BYTES),
        },
    ),
    Key: ("key", {"prev": ID, "key": blob(PREIMAGE_MAX_BYTES)}),
    Receipt: (RECEIPT.name, RECEIPT.fields),
}

#: The catalogue: body value <-> body class, tagged by its name.
BODIES: Final[Variant[Body]] = Variant(
    "type", {make: Record(name, make, fields) for make, (name, fields) in _TABLE.items()}
)


@dataclass(frozen=True, slots=True)
class Signed:
    """One message: its id, what it says, and the bytes and signature as they travel. Whose it is, `is_by` tells."""

    id: bytes
    name: str
    body: Body
    trade: Trade

    def is_by(self, party: bytes, network: bytes) -> bool:
        """Whether this public key signed it."""
        return verify(party, preimage(_domain(self.name), network, self.trade.body), self.trade.signature)


def _domain(name: str) -> str:
    return f"troth/{name}/1"


def read(network: bytes, trade: Trade) -> Signed:
    """Decode a message that came; its signature is not checked yet. Raises Invalid as `BODIES.decode` does."""
    body = BODIES.decode(trade.body)
    name = BODIES.name_of(body)
    return Signed(object_id(_domain(name), network, trade.body), name, body, trade)


def sign(keys: KeyPair, network: bytes, body: Body) -> Signed:
    """Sign a message. Raises Invalid if the catalogue refuses a field."""
    data = BODIES.encode(body)
    signature = keys.sign(preimage(_domain(BODIES.name_of(body)), network, data))
    return read(network, Trade(data, signature))
