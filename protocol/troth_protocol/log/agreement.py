"""Agreements and receipts: the terms that buyer and seller both signed, and the buyer's word that it got the signal."""

from __future__ import annotations

from dataclasses import dataclass

from troth_protocol.errors import Invalid
from troth_protocol.wire.crypto import KeyPair, object_id, preimage, verify_known
from troth_protocol.wire.schema import AMOUNT, EPOCH, HASH, ID, KEY, PPM, Record, Variant, uint

AGREEMENT_DOMAIN = "troth/agreement/1"
RECEIPT_DOMAIN = "troth/receipt/1"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Who gets which signal for which question, and the citation weight that pays for it.

    `document` is the id of the signal document. `transcript` is the digest of the accepted message, so the negotiation
    behind the terms cannot be rewritten. `deliver` is the epoch in which the seller delivers; `price` is 0 when the
    signal is paid by citation alone. `floor` is what the seller gets at least if the citation fails to come.
    """

    buyer: bytes
    seller: bytes
    question: bytes
    document: bytes
    min_weight_ppm: int
    min_wager: int
    floor: int
    price: int
    deliver: int
    transcript: bytes


AGREEMENT = Record(
    "agreement",
    Agreement,
    {
        "buyer": KEY,
        "seller": KEY,
        "question": ID,
        "document": ID,
        "min_weight_ppm": uint(PPM),
        "min_wager": AMOUNT,
        "floor": AMOUNT,
        "price": AMOUNT,
        "deliver": EPOCH,
        "transcript": HASH,
    },
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The buyer has a valid delivery under an agreement: what opens `commit`, and the payload with the SHA-256
    `delivered`. `prev` is the message that it answers.
    """

    prev: bytes
    agreement: bytes
    commit: bytes
    delivered: bytes


RECEIPT = Record("receipt", Receipt, {"prev": ID, "agreement": ID, "commit": ID, "delivered": HASH})
#: A receipt travels as any other message of a negotiation, with its type.
_RECEIPTS: Variant[Receipt] = Variant("type", {Receipt: RECEIPT})


@dataclass(frozen=True, slots=True)
class SignedAgreement:
    """An agreement's bytes with both signatures."""

    agreement: bytes
    buyer_signature: bytes
    seller_signature: bytes


def sign_agreement(keys: KeyPair, network: bytes, agreement: bytes) -> bytes:
    """One party's signature over the agreement's bytes."""
    return keys.sign(preimage(AGREEMENT_DOMAIN, network, agreement))


def verify_party(party: bytes, network: bytes, agreement: bytes, signature: bytes) -> None:
    """Check one party's signature; Invalid("bad_signature")."""
    if not verify_known(party, preimage(AGREEMENT_DOMAIN, network, agreement), signature):
        raise Invalid("bad_signature", f"agreement is not signed by {party.hex()}")


def agreement_id(network: bytes, agreement: bytes) -> bytes:
    """The id of an agreement's bytes."""
    return object_id(AGREEMENT_DOMAIN, network, agreement)


def decode_agreement(data: bytes) -> Agreement:
    """Decode an agreement; Invalid("bad_agreement") if one deals with itself. Signatures are not checked here."""
    agreement = AGREEMENT.decode(data)
    if agreement.buyer == agreement.seller:
        raise Invalid("bad_agreement", "buyer and seller are the same")
    return agreement


def load_agreement(data: bytes, network: bytes, buyer_signature: bytes, seller_signature: bytes) -> Agreement:
    """Decode an agreement and check both signatures; Invalid("bad_agreement"), Invalid("bad_signature")."""
    agreement = decode_agreement(data)
    verify_party(agreement.buyer, network, data, buyer_signature)
    verify_party(agreement.seller, network, data, seller_signature)
    return agreement


def decode_receipt(data: bytes, agreement: bytes) -> Receipt:
    """Decode a receipt; Invalid("wrong_agreement") if it is for another one. Its signature is not checked here."""
    receipt = _RECEIPTS.decode(data)
    if receipt.agreement != agreement:
        raise Invalid("wrong_agreement", receipt.agreement.hex())
    return receipt


def verify_receipt(buyer: bytes, network: bytes, receipt: bytes, signature: bytes) -> None:
    """Check the buyer's signature over a receipt's bytes; Invalid("bad_signature")."""
    if not verify_known(buyer, preimage(RECEIPT_DOMAIN, network, receipt), signature):
        raise Invalid("bad_signature", f"receipt is not signed by {buyer.hex()}")
