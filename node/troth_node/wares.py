"""What is under exchange at a node: sales and purchases, as they are kept until the logs have settled them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from troth_protocol.errors import Invalid
from troth_protocol.evidence import misdelivery
from troth_protocol.log.agreement import AGREEMENT, SignedAgreement
from troth_protocol.log.ops import Agree, LockOp, Op
from troth_protocol.market.document import Document
from troth_protocol.market.exchange import Contents, ExchangeTerms, Misdelivery, open_exchange
from troth_protocol.market.trades import BODIES, Sealed
from troth_protocol.wire.codec import Value

#: Looked at again at every tick, so the verdict is remembered.
_open = lru_cache(maxsize=256)(open_exchange)


@dataclass(frozen=True, slots=True)
class Sale:
    """What we sealed for a buyer: the terms and the key. The message that it was sent in is with the negotiation.

    `promise` is the agreement that promises a citation besides, if it does.
    """

    id: bytes
    terms: ExchangeTerms
    key: bytes
    promise: bytes | None = None


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a seller sealed for us in epoch `first`; the key is None until the seller has published it.

    `wanted` is what the agent asked for, by name or id; `document` says what the payload must be.
    """

    id: bytes
    sealed: Sealed
    terms: ExchangeTerms
    wanted: str
    document: Document
    weight_ppm: int
    first: int
    key: bytes | None = None
    agreement: SignedAgreement | None = None

    @property
    def min_wager(self) -> int:
        """The least wager with which its citation was promised, in atomic units."""
        return 0 if self.agreement is None else AGREEMENT.decode(self.agreement.agreement).min_wager

    def lock(self) -> LockOp:
        """What pays for it."""
        return LockOp(self.terms.seller, self.terms.price, self.terms.hash, self.terms.until)

    def ops(self) -> tuple[Op, ...]:
        """The lock, behind the promise if there is one: what is sealed is at hand, so its key will bind it."""
        if self.agreement is None:
            return (self.lock(),)
        signed, terms = self.agreement, self.terms
        parties = (signed.agreement, signed.buyer_signature, signed.seller_signature)
        return Agree(*parties, hash=terms.hash, commit=terms.commit), self.lock()

    def found(self) -> Contents | Misdelivery | None:
        """What the key opens; None as long as it is not known."""
        if self.key is None:
            return None
        return _open(self.terms, self.sealed.ciphertext, self.key)

    def evidence(self) -> bytes:
        """The proof of a misdelivery, once the key is known."""
        sealed = self.sealed
        return misdelivery(sealed.terms, sealed.signature, sealed.ciphertext, self.key or b"")


def signed_row(signed: SignedAgreement | None) -> list[Value]:
    """An agreement as it is stored; none is an empty list."""
    return [] if signed is None else [signed.agreement, signed.buyer_signature, signed.seller_signature]


def signed_of(row: list[Value]) -> SignedAgreement | None:
    """What `signed_row` has made. Raises Invalid("bad_row") for anything else."""
    match row:
        case []:
            return None
        case [bytes(agreement), bytes(by_buyer), bytes(by_seller)]:
            return SignedAgreement(agreement, by_buyer, by_seller)
        case _:
            raise Invalid("bad_row", "exchange")


def sealed_body(body: bytes) -> Sealed:
    """A stored message, which seals a signal. Raises Invalid("bad_row") for any other."""
    found = BODIES.decode(body)
    if not isinstance(found, Sealed):
        raise Invalid("bad_row", "exchange")
    return found
