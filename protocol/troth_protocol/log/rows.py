"""The rows of the sealed state: one table of record types, one subtree of the state root for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from troth_protocol.wire.schema import (
    AMOUNT,
    EPOCH,
    FLAG,
    HASH,
    ID,
    KEY,
    PPM,
    SALT,
    SEQ,
    Record,
    blob,
    choice,
    many,
    optional,
    row,
    text,
    uint,
)

ROLES = ("witness", "attester", "agent")
ROLE = choice(*ROLES)
NO_HEAD = bytes(32)
PPM_LIST = many(uint(PPM), 64, 2)
TOPIC_NAME = text(32)
QUESTION_TEXT = text(1024)
OUTCOME_LIST = many(text(64), 64, 2)
CITATIONS_MAX = 16
UNBONDING_MAX = 1_000
PREIMAGE_MAX_BYTES = 64
UNITS_MAX = 64
#: Bids are sealed in the two epochs after the auction's own, and opened in the two after those.
BID_EPOCHS = 2
BID_REVEAL_EPOCHS = 2


@dataclass(frozen=True, slots=True)
class Account:
    """One agent's account: key is its public key."""

    balance: int = 0
    incarnation: int = 0
    seq: int = 0
    head: bytes = NO_HEAD
    witness: int = 0
    attester: int = 0
    agent: int = 0
    unbonding: tuple[tuple[str, int, int], ...] = ()
    frozen: bool = False
    offences: int = 0

    def bond(self, role: str) -> int:
        """The bond in one role, in atomic units."""
        return {"witness": self.witness, "attester": self.attester, "agent": self.agent}[role]

    def worth(self) -> int:
        """Everything that the account holds: balance, bonds and what is unbonding."""
        return self.balance + self.witness + self.attester + self.agent + sum(u[1] for u in self.unbonding)


@dataclass(frozen=True, slots=True)
class Lock:
    """A hash-locked payment; key is the lock id."""

    payer: bytes
    to: bytes
    amount: int
    hash: bytes
    until: int


@dataclass(frozen=True, slots=True)
class Claim:
    """An opened lock; key is the lock id. It is paid two closes after the payee's bond took it in, in `backed`."""

    preimage: bytes
    epoch: int
    backed: int | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question under way; key is its id. `round` counts votes of the attesters from 0.

    `attest_from` is the first epoch of the round's sealed vote, `reveal_from` the first in which votes open. A
    sponsored one has an `asker`, what is left of its `bounty` beside the pot, and its own `text` and `outcomes`.
    """

    topic: str
    index: int
    category: int
    opens: int
    commit: int
    attest: int
    reveal: int
    attest_reveal: int
    prior: tuple[int, ...]
    emission: int
    pot: int
    round: int
    attest_from: int
    reveal_from: int
    asker: bytes | None = None
    bounty: int | None = None
    text: str | None = None
    outcomes: tuple[str, ...] | None = None

    def is_commit_open(self, epoch: int) -> bool:
        """Commits may be certified in this epoch."""
        return self.opens <= epoch < self.opens + self.commit

    def is_reveal_open(self, epoch: int) -> bool:
        """Contributions may be revealed in this epoch."""
        begin = self.opens + self.commit + self.attest
        return begin <= epoch < begin + self.reveal

    def is_attest_open(self, epoch: int) -> bool:
        """Attesters may seal their votes in this epoch."""
        return self.attest_from <= epoch < self.attest_from + self.attest

    def is_attest_reveal_open(self, epoch: int) -> bool:
        """Attesters may open their votes in this epoch."""
        return self.reveal_from <= epoch < self.reveal_from + self.attest_reveal

    def commit_last(self) -> int:
        """The last epoch of the commit phase."""
        return self.opens + self.commit - 1

    def closes(self) -> int:
        """The epoch whose close tallies the current round of attestations."""
        return self.reveal_from + self.attest_reveal - 1


@dataclass(frozen=True, slots=True)
class Commit:
    """A sealed contribution; key is the commit id. What it revealed is absent until then."""

    author: bytes
    question: bytes
    digest: bytes
    wager: int
    epoch: int
    revealed: bool = False
    ppm: tuple[int, ...] | None = None
    payload: bytes | None = None
    citations: tuple[tuple[bytes, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Entrant:
    """What one author has going in one question; key is question id, author key."""

    wagered: bool = False
    signals: int = 0
    promised_ppm: int = 0


@dataclass(frozen=True, slots=True)
class Promise:
    """A promised citation from an agreement; key is the agreement id."""

    question: bytes
    buyer: bytes
    seller: bytes
    weight_ppm: int


@dataclass(frozen=True, slots=True)
class Attestation:
    """One attester's duty on a question in one round; key is question id, author key.

    `bond` is what it had at stake when the round began: later bonds and unbonds change neither its weight nor its risk.
    Without a digest it has not voted; with a digest alone it has not opened its vote.
    """

    round: int
    bond: int
    digest: bytes | None = None
    outcome: int | None = None


@dataclass(frozen=True, slots=True)
class TopicRow:
    """Sealed outcomes counted per category; key is the topic's name."""

    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """An author's record in a topic: net emissions won and lost, and the highest their difference has been."""

    won: int = 0
    lost: int = 0
    high: int = 0


@dataclass(frozen=True, slots=True)
class Offence:
    """A punished offence; key is the offence id."""

    kind: str
    offender: bytes
    epoch: int
    closed: int
    slashed: int


@dataclass(frozen=True, slots=True)
class Attendance:
    """Consecutive agreed values without a report of this witness, and the bonding that may bring it back."""

    missed: int = 0
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """The supply's books, in atomic units; `epoch` is the last sealed one."""

    epoch: int
    genesis: int
    minted: int
    burned: int
    reserve: int


@dataclass(frozen=True, slots=True)
class Auction:
    """An auction under way; key is its id. `opens` is the epoch of its op, amounts are in atomic units."""

    seller: bytes
    commit: bytes
    units: int
    cap: int
    hashlock: bytes
    opens: int

    def is_bid_open(self, epoch: int) -> bool:
        """Bids may be sealed in this epoch."""
        return self.opens < epoch <= self.opens + BID_EPOCHS

    def is_bid_reveal_open(self, epoch: int) -> bool:
        """Bids and the reserve price may be opened in this epoch."""
        return self.opens + BID_EPOCHS < epoch <= self.closes()

    def closes(self) -> int:
        """The epoch whose close ends the auction."""
        return self.opens + BID_EPOCHS + BID_REVEAL_EPOCHS


@dataclass(frozen=True, slots=True)
class Bid:
    """A sealed bid and its deposit; key is auction id, author key. The seller's own is the reserve price."""

    digest: bytes
    deposit: int
    amount: int | None = None
    salt: bytes | None = None


Row: TypeAlias = (
    Account
    | Lock
    | Claim
    | Question
    | Commit
    | Entrant
    | Promise
    | Attestation
    | TopicRow
    | Standing
    | Offence
    | Attendance
    | Totals
    | Auction
    | Bid
)

_QUESTION_NUMBERS = (
    "index",
    "category",
    "opens",
    "commit",
    "attest",
    "reveal",
    "attest_reveal",
    "round",
    "attest_from",
    "reveal_from",
)
CITATION_LIST = many(row(ID, uint(PPM)), CITATIONS_MAX)

#: table name -> record of its rows; the order of names is the order of subtrees in the state root.
TABLES: Mapping[str, Record[Row]] = {
    "accounts": Record(
        "account",
        Account,
        {
            "balance": AMOUNT,
            "incarnation": uint(),
            "seq": SEQ,
            "head": ID,
            "witness": AMOUNT,
            "attester": AMOUNT,
            "agent": AMOUNT,
            "unbonding": many(row(ROLE, AMOUNT, EPOCH), UNBONDING_MAX),
            "frozen": FLAG,
            "offences": uint(),
        },
    ),
    "attestations": Record(
        "attestation",
        Attestation,
        {"round": uint(), "bond": AMOUNT, "digest": optional(HASH), "outcome": optional(uint(63))},
    ),
    "attendance": Record("attendance", Attendance, {"missed": uint(), "left_out": FLAG}),
    "claims": Record(
        "claim", Claim, {"preimage": blob(PREIMAGE_MAX_BYTES), "epoch": EPOCH, "backed": optional(EPOCH)}
    ),
    "commits": Record(
        "commit",
        Commit,
        {
            "author": KEY,
            "question": ID,
            "digest": HASH,
            "wager": AMOUNT,
            "epoch": EPOCH,
            "revealed": FLAG,
            "ppm": optional(PPM_LIST),
            "payload": optional(HASH),
            "citations": CITATION_LIST,
        },
    ),
    "entrants": Record("entrant", Entrant, {"wagered": FLAG, "signals": uint(), "promised_ppm": uint(PPM)}),
    "locks": Record("lock", Lock, {"payer": KEY, "to": KEY, "amount": AMOUNT, "hash": HASH, "until": EPOCH}),
    "offences": Record(
        "offence",
        Offence,
        {"kind": text(32), "offender": KEY, "epoch": EPOCH, "closed": EPOCH, "slashed": AMOUNT},
    ),
    "promises": Record(
        "promise", Promise, {"question": ID, "buyer": KEY, "seller": KEY, "weight_ppm": uint(PPM)}
    ),
    "questions": Record(
        "question",
        Question,
        {"topic": TOPIC_NAME, "prior": PPM_LIST, "emission": AMOUNT, "pot": AMOUNT}
        | {name: uint() for name in _QUESTION_NUMBERS}
        | {"asker": optional(KEY), "bounty": optional(AMOUNT)}
        | {"text": optional(QUESTION_TEXT), "outcomes": optional(OUTCOME_LIST)},
    ),
    "standings": Record("standing", Standing, {"won": AMOUNT, "lost": AMOUNT, "high": AMOUNT}),
    "topics": Record("topic", TopicRow, {"counts": many(many(uint(), 64, 2), 64, 1)}),
    "totals": Record(
        "totals",
        Totals,
        {"epoch": EPOCH, "genesis": AMOUNT, "minted": AMOUNT, "burned": AMOUNT, "reserve": AMOUNT},
    ),
    "auctions": Record(
        "auction",
        Auction,
        {
            "seller": KEY,
            "commit": ID,
            "units": uint(UNITS_MAX),
            "cap": AMOUNT,
            "hashlock": HASH,
            "opens": EPOCH,
        },
    ),
    "bids": Record(
        "bid",
        Bid,
        {"digest": HASH, "deposit": AMOUNT, "amount": optional(AMOUNT), "salt": optional(SALT)},
    ),
}
