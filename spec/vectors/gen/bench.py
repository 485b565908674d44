"""The state on which ops.json judges entries: epoch 7 of a network with one witness, and one of every situation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from troth_protocol.close.light import genesis_committee
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.book import LogBook
from troth_protocol.log.entry import Entry, make_entry
from troth_protocol.log.ops import Op
from troth_protocol.log.rows import (
    Account,
    Attestation,
    Auction,
    Bid,
    Claim,
    Commit,
    Entrant,
    Lock,
    Question,
)
from troth_protocol.log.sealed import (
    attest_digest,
    auction_id,
    bid_digest,
    commit_digest,
    commit_id,
    question_id,
)
from troth_protocol.log.state import State, genesis_state
from troth_protocol.log.vote import Certificate, sign_votes
from troth_protocol.wire.crypto import digest

from .common import TOKEN, keys
from .network import PATRON_RULES, document, holder

EPOCH: Final = 7
GENESIS: Final = document(
    [
        holder("dora", 100, witness=1_000, attester=1_000),
        *(holder(name, 100, attester=50, agent=50) for name in ("alma", "bruno", "fred", "tom", "uma")),
    ],
    rules=PATRON_RULES,
)
NETWORK: Final = GENESIS.network()
SET: Final = genesis_committee(GENESIS)
SALT: Final = digest(b"salt")
KEY: Final = b"preimage"
HEAD: Final = digest(b"the sealed head")
#: Questions, one in each phase in epoch 7: their index is their order here.
ASKED, SEALING, REVEALING, OPENING = (question_id(NETWORK, "coin", index) for index in range(4))
UNKNOWN: Final = question_id(NETWORK, "coin", 4)
LOCK, CLAIMED, EXPIRED, FOREIGN = (digest(word) for word in (b"lock", b"claimed", b"expired", b"foreign"))

#: A question that dora sponsors.
SPONSORED: Final = digest(b"sponsored")
#: Hashlocks of bruno's auctions: one in which bids are sealed, one in which they open. Bids are of 40, the cap is 50.
BIDDING, JUDGING = digest(b"bidding"), digest(b"judging")
BID, CAP = 40, 50


def public(name: str) -> bytes:
    """A person's key."""
    return keys(name).public


def forecast(rationale: str = "because") -> bytes:
    """A contribution to the question whose reveal phase is open."""
    return CONTRIBUTION.encode(Contribution(REVEALING, rationale, (), ppm=(600_000, 400_000)))


def sealed(name: str, rationale: str = "because") -> bytes:
    """The digest of a person's forecast."""
    return commit_digest(NETWORK, public(name), REVEALING, SALT, forecast(rationale))


def commit_of(name: str, rationale: str = "because") -> bytes:
    """The id of a person's commit."""
    return commit_id(NETWORK, public(name), REVEALING, sealed(name, rationale))


def _question(index: int, opens: int) -> Question:
    """A question with phases of 2, 2, 2 and 2 epochs."""
    return Question(
        "coin", index, 0, opens, 2, 2, 2, 2, (500_000, 500_000), 100 * TOKEN, 0, 0, opens + 2, opens + 6
    )


@lru_cache(maxsize=1)
def state() -> State:
    """Made by hand: what it shows need not follow from any history."""
    made = genesis_state(GENESIS)
    totals = made.totals()
    made.put("totals", b"totals", replace(totals, epoch=EPOCH - 1))
    for index, key in enumerate((ASKED, SEALING, REVEALING, OPENING)):
        made.put("questions", key, _question(index, EPOCH - 2 * index))
    asked = replace(
        _question(0, EPOCH + 1),
        topic="weather",
        emission=TOKEN,
        asker=public("dora"),
        bounty=2 * TOKEN,
        text="Does it rain?",
        outcomes=("yes", "no"),
    )
    made.put("questions", SPONSORED, asked)
    _put_accounts(made)
    _put_locks(made)
    _put_commits(made)
    _put_auctions(made)
    return made


def _put_accounts(made: State) -> None:
    usual = made.account(public("alma"))
    made.put("accounts", public("alma"), replace(usual, seq=3, head=HEAD, incarnation=1))
    made.put("accounts", public("fred"), replace(usual, seq=2, head=HEAD, frozen=True, offences=1))
    made.put("accounts", public("tom"), replace(usual, offences=2))
    made.put("accounts", public("uma"), replace(usual, unbonding=(("agent", 1, 70),) * 998))
    made.put("accounts", public("poor"), Account(balance=2_999))


def _put_locks(made: State) -> None:
    lock = Lock(public("bruno"), public("alma"), 5 * TOKEN, digest(KEY), EPOCH)
    made.put("locks", LOCK, lock)
    made.put("locks", CLAIMED, lock)
    made.put("claims", CLAIMED, Claim(KEY, EPOCH - 1))
    made.put("locks", EXPIRED, replace(lock, until=EPOCH - 1))
    made.put("locks", FOREIGN, replace(lock, payer=public("alma"), to=public("bruno")))


def _put_commits(made: State) -> None:
    for name, rationale in (("alma", "because"), ("alma", "twice"), ("bruno", "because")):
        row = Commit(
            public(name), REVEALING, sealed(name, rationale), TOKEN, 2, revealed=rationale == "twice"
        )
        made.put("commits", commit_of(name, rationale), row)
    made.put("entrants", ASKED + public("bruno"), Entrant(wagered=True, signals=2, promised_ppm=900_000))
    for name in ("alma", "bruno"):
        made.put("attestations", SEALING + public(name), Attestation(0, 50 * TOKEN))
        vote = attest_digest(NETWORK, public(name), OPENING, SALT, 1)
        opened = 1 if name == "bruno" else None
        made.put("attestations", OPENING + public(name), Attestation(0, 50 * TOKEN, vote, opened))
    made.put("attestations", SEALING + public("bruno"), Attestation(0, 50 * TOKEN, digest(b"sealed already")))


def auction_of(hashlock: bytes, seller: str = "bruno") -> bytes:
    """The id of the auction of a person's forecast under that hash."""
    return auction_id(NETWORK, public(seller), commit_of(seller), hashlock)


def sealed_bid(name: str, hashlock: bytes, amount: int = BID, seller: str = "bruno") -> bytes:
    """The digest of a person's bid."""
    return bid_digest(NETWORK, public(name), auction_of(hashlock, seller), SALT, amount)


def _put_auctions(made: State) -> None:
    for hashlock, opens in ((BIDDING, EPOCH - 1), (JUDGING, EPOCH - 3)):
        key = auction_of(hashlock)
        row = Auction(public("bruno"), commit_of("bruno"), 1, CAP, hashlock, opens)
        made.put("auctions", key, row)
        made.put("bids", key + public("bruno"), Bid(sealed_bid("bruno", hashlock), CAP))
    for name, amount in (("alma", BID), ("uma", CAP + 1)):
        made.put("bids", auction_of(JUDGING) + public(name), Bid(sealed_bid(name, JUDGING, amount), CAP))


class Bench:
    """A book of epoch 7, and what was certified in it."""

    def __init__(self) -> None:
        self.book = LogBook(NETWORK, GENESIS.rules, EPOCH, state(), SET)
        self.certified: list[tuple[Entry, Certificate]] = []

    def entry(self, name: str, ops: Sequence[Op], deps: Sequence[bytes] = (), **other: int | bytes) -> Entry:
        """The next entry of a person's log, but for what is named."""
        pair = keys(name)
        seq, head = self.book.head(pair.public)
        account = state().account(pair.public)
        place = {"incarnation": account.incarnation, "epoch": EPOCH, "seq": seq + 1, "prev": head} | other
        return make_entry(pair, NETWORK, deps=deps, ops=ops, **place)

    def certify(self, name: str, *ops: Op, deps: Sequence[bytes] = ()) -> Entry:
        """One more certified entry."""
        entry = self.entry(name, ops, deps)
        votes = sign_votes(keys("dora"), NETWORK, EPOCH, SET, [entry.id])
        self.book.add(entry, Certificate(entry.id, EPOCH, tuple(votes)))
        self.certified.append((entry, Certificate(entry.id, EPOCH, tuple(votes))))
        return entry
