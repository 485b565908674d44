"""The catalogue of ops: what an agent can put in its own log. One table; each row is a class and its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from troth_protocol.genesis import PHASE_MAX_EPOCHS
from troth_protocol.log.rows import (
    OUTCOME_LIST,
    PPM_LIST,
    PREIMAGE_MAX_BYTES,
    QUESTION_TEXT,
    ROLE,
    TOPIC_NAME,
    UNITS_MAX,
)
from troth_protocol.wire.schema import (
    AMOUNT,
    EPOCH,
    HASH,
    ID,
    KEY,
    SALT,
    SEQ,
    SIGNATURE,
    Kind,
    Record,
    Variant,
    nested,
    uint,
)
from troth_protocol.wire.schema import blob as bin_upto

CONTRIBUTION_MAX_BYTES = 16_384
AGREEMENT_MAX_BYTES = 2_048
EVIDENCE_MAX_BYTES = 100 * 1024


@dataclass(frozen=True, slots=True)
class Transfer:
    """Pay `amount` to `to`; `ref` is a reference for people."""

    to: bytes
    amount: int
    ref: bytes


@dataclass(frozen=True, slots=True)
class Bond:
    """Move balance into the bond of one role."""

    amount: int
    role: str


@dataclass(frozen=True, slots=True)
class Unbond:
    """Start to take an amount out of a bond; it leaves after the unbonding epochs."""

    amount: int
    role: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on after a freeze, naming the head in the seal."""

    seq: int
    head: bytes


@dataclass(frozen=True, slots=True)
class LockOp:
    """Hash-locked payment, refunded at the close of `until` if it was not claimed."""

    to: bytes
    amount: int
    hash: bytes
    until: int


@dataclass(frozen=True, slots=True)
class Unlock:
    """Claim a lock by its preimage."""

    lock: bytes
    preimage: bytes


@dataclass(frozen=True, slots=True)
class CommitOp:
    """Seal a contribution to a question; a wager above zero makes it a top forecast."""

    question: bytes
    digest: bytes
    wager: int


@dataclass(frozen=True, slots=True)
class Reveal:
    """Open a commit: the contribution's canonical bytes and the salt."""

    commit: bytes
    salt: bytes
    contribution: bytes


@dataclass(frozen=True, slots=True)
class Agree:
    """Record an agreement that buyer and seller signed, in the buyer's log."""

    agreement: bytes
    buyer_signature: bytes
    seller_signature: bytes


@dataclass(frozen=True, slots=True)
class Attest:
    """Seal a vote on a question's outcome."""

    question: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class AttestReveal:
    """Open a sealed vote."""

    question: bytes
    outcome: int
    salt: bytes


@dataclass(frozen=True, slots=True)
class Accuse:
    """Put evidence of an offence on record; executed at the close."""

    evidence: bytes


@dataclass(frozen=True, slots=True)
class AuctionOp:
    """Offer a commit's contribution to the `units` highest sealed bids; `reserve` seals the least price."""

    commit: bytes
    units: int
    reserve: bytes
    cap: int
    hashlock: bytes


@dataclass(frozen=True, slots=True)
class BidOp:
    """Seal a bid; the deposit is the auction's cap, whatever the bid."""

    auction: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class BidReveal:
    """Open a sealed bid, or as the seller the reserve price."""

    auction: bytes
    amount: int
    salt: bytes


@dataclass(frozen=True, slots=True)
class Sponsored:
    """A question as its asker words it: `topic` is its own label, `prior` in ppm, phases in epochs from `opens` on."""

    topic: str
    text: str
    outcomes: tuple[str, ...]
    prior: tuple[int, ...]
    opens: int
    commit: int
    attest: int
    reveal: int
    attest_reveal: int


@dataclass(frozen=True, slots=True)
class AskOp:
    """Sponsor a question: gains are paid from the bounty, losses flow into it, and the rest returns to the asker."""

    question: Sponsored
    bounty: int


Op: TypeAlias = (
    Transfer
    | Bond
    | Unbond
    | Resume
    | LockOp
    | Unlock
    | CommitOp
    | Reveal
    | Agree
    | Attest
    | AttestReveal
    | Accuse
    | AuctionOp
    | BidOp
    | BidReveal
    | AskOp
)

SPONSORED = Record(
    "sponsored",
    Sponsored,
    {
        "topic": TOPIC_NAME,
        "text": QUESTION_TEXT,
        "outcomes": OUTCOME_LIST,
        "prior": PPM_LIST,
        "opens": EPOCH,
        "commit": uint(PHASE_MAX_EPOCHS),
        "attest": uint(PHASE_MAX_EPOCHS),
        "reveal": uint(PHASE_MAX_EPOCHS),
        "attest_reveal": uint(PHASE_MAX_EPOCHS),
    },
)

_TABLE: Mapping[type[Op], tuple[str, dict[str, Kind]]] = {
    Transfer: ("transfer", {"to": KEY, "amount": AMOUNT, "ref": bin_upto(64)}),
    Bond: ("bond", {"amount": AMOUNT, "role": ROLE}),
    Unbond: ("unbond", {"amount": AMOUNT, "role": ROLE}),
    Resume: ("resume", {"seq": SEQ, "head": ID}),
    LockOp: ("lock", {"to": KEY, "amount": AMOUNT, "hash": HASH, "until": EPOCH}),
    Unlock: ("unlock", {"lock": ID, "preimage": bin_upto(PREIMAGE_MAX_BYTES)}),
    CommitOp: ("commit", {"question": ID, "digest": HASH, "wager": AMOUNT}),
    Reveal: ("reveal", {"commit": ID, "salt": SALT, "contribution": bin_upto(CONTRIBUTION_MAX_BYTES)}),
    Agree: (
        "agree",
        {
            "agreement": bin_upto(AGREEMENT_MAX_BYTES),
            "buyer_signature": SIGNATURE,
            "seller_signature": SIGNATURE,
        },
    ),
    Attest: ("attest", {"question": ID, "digest": HASH}),
    AttestReveal: ("attest_reveal", {"question": ID, "outcome": uint(63), "salt": SALT}),
    Accuse: ("accuse", {"evidence": bin_upto(EVIDENCE_MAX_BYTES)}),
    AuctionOp: (
        "auction",
        {"commit": ID, "units": uint(UNITS_MAX), "reserve": HASH, "cap": AMOUNT, "hashlock": HASH},
    ),
    BidOp: ("bid", {"auction": ID, "digest": HASH}),
    BidReveal: ("bid_reveal", {"auction": ID, "amount": AMOUNT, "salt": SALT}),
    AskOp: ("ask", {"question": nested(SPONSORED), "bounty": AMOUNT}),
}

#: The catalogue: op value <-> op class, tagged by its name.
OPS: Variant[Op] = Variant(
    "op", {make: Record(name, make, fields) for make, (name, fields) in _TABLE.items()}
)
