"""ops.json: what a witness says to an entry, given the sealed state and what is certified in the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from troth_protocol.log.agreement import AGREEMENT, Agreement, sign_agreement
from troth_protocol.log.entry import Entry
from troth_protocol.log.evaluate import Delta
from troth_protocol.log.ops import (
    Accuse,
    Agree,
    AskOp,
    Attest,
    AttestReveal,
    AuctionOp,
    BidOp,
    BidReveal,
    Bond,
    CommitOp,
    LockOp,
    Op,
    Resume,
    Reveal,
    Sponsored,
    Transfer,
    Unbond,
    Unlock,
)
from troth_protocol.log.rows import TABLES
from troth_protocol.log.sealed import attest_digest
from troth_protocol.log.vote import CERTIFICATE
from troth_protocol.wire.crypto import digest

from .bench import (
    ASKED,
    BID,
    BIDDING,
    CAP,
    CLAIMED,
    EPOCH,
    EXPIRED,
    FOREIGN,
    GENESIS,
    HEAD,
    JUDGING,
    KEY,
    LOCK,
    NETWORK,
    OPENING,
    REVEALING,
    SALT,
    SEALING,
    SET,
    UNKNOWN,
    Bench,
    auction_of,
    commit_of,
    forecast,
    public,
    sealed_bid,
    state,
)
from .common import TOKEN, Case, Json, cases, hexed, hexes, invalid, keys, plain, valid

NOBODY: Final = keys("nobody").public
FEE: Final = GENESIS.rules.fee
CREATION: Final = GENESIS.rules.creation_fee
MIN_WAGER: Final = GENESIS.rules.min_wager


def _pay(to: str, amount: int = 5) -> Transfer:
    return Transfer(public(to), amount, b"")


def _lock(amount: int = 5, *, until: int = EPOCH + 2, to: bytes = public("bruno")) -> LockOp:
    return LockOp(to, amount, digest(KEY), until)


def _commit(wager: int = 0, *, question: bytes = ASKED, word: bytes = b"sealed") -> CommitOp:
    return CommitOp(question, digest(word), wager)


def _reveal(
    name: str = "alma", *, rationale: str = "because", salt: bytes = SALT, content: bytes = b""
) -> Reveal:
    return Reveal(commit_of(name, rationale), salt, content or forecast(rationale))


def _agree(
    *,
    buyer: str = "alma",
    seller: str = "bruno",
    weight: int = 400_000,
    question: bytes = ASKED,
    signers: tuple[str, str] | None = None,
) -> Agree:
    terms = Agreement(
        public(buyer), public(seller), question, digest(b"doc"), weight, 0, 0, 0, EPOCH, digest(b"offer")
    )
    data = AGREEMENT.encode(terms)
    one, two = (sign_agreement(keys(name), NETWORK, data) for name in signers or (buyer, seller))
    return Agree(data, one, two)


def _attest(question: bytes = SEALING) -> Attest:
    return Attest(question, attest_digest(NETWORK, public("alma"), question, SALT, 1))


def _open(outcome: int = 1, *, question: bytes = OPENING, salt: bytes = SALT) -> AttestReveal:
    return AttestReveal(question, outcome, salt)


def _auction(
    name: str = "alma", *, units: int = 1, cap: int = CAP, hashlock: bytes = digest(KEY)
) -> AuctionOp:
    sealed = sealed_bid(name, hashlock, seller=name)
    return AuctionOp(commit_of(name), units, sealed, cap, hashlock)


def _bid(auction: bytes = auction_of(BIDDING), name: str = "alma") -> BidOp:
    return BidOp(auction, sealed_bid(name, BIDDING))


def _open_bid(amount: int = BID, *, auction: bytes = auction_of(JUDGING), salt: bytes = SALT) -> BidReveal:
    return BidReveal(auction, amount, salt)


def _ask(bounty: int = 2 * TOKEN, **changes: object) -> AskOp:
    usual = Sponsored("weather", "Snow, too?", ("yes", "no"), (100_000, 900_000), EPOCH + 1, 1, 2, 2, 2)
    return AskOp(replace(usual, **changes), bounty)  # type: ignore[arg-type] # the names are the fields'


def _delta(delta: Delta) -> dict[str, Json]:
    """What an entry changes, the parts that are empty left out."""
    rows = [
        [table, hexed(key), plain(TABLES[table].dump(row))]
        for (table, key), row in sorted(delta.rows.items())
    ]
    lists: dict[str, list[Json]] = {
        "credits": [[to.hex(), str(amount)] for to, amount in delta.credits],
        "bonded": [[role, str(amount)] for role, amount in delta.bonded],
        "unbonded": [[role, str(amount)] for role, amount in delta.unbonded],
        "reveals": [[key.hex(), hexed(content)] for key, content in delta.reveals],
        "accusations": hexes(delta.accusations),
        "rows": rows,
    }
    filled = {name: items for name, items in lists.items() if items}
    return {"spent": str(delta.spent), "burned": str(delta.burned), "resumed": delta.resumed} | filled


def _shown(bench: Bench, entry: Entry) -> dict[str, Json]:
    certified = [[e.data.hex(), CERTIFICATE.encode(c).hex()] for e, c in bench.certified]
    return {"check": "judge", "certified": certified, "entry": hexed(entry.data)}


def _taken(name: str, bench: Bench, entry: Entry) -> Case:
    return valid(name, **_shown(bench, entry), **_delta(bench.book.evaluate(entry)))


def _alone(name: str, author: str, *ops: Op, **other: int | bytes) -> Case:
    """An entry that relies on the sealed state alone."""
    bench = Bench()
    return _taken(name, bench, bench.entry(author, ops, **other))


def _good() -> list[Case]:
    paid, committed, locked = Bench(), Bench(), Bench()
    credit = paid.certify("bruno", Transfer(public("poor"), TOKEN, b""))
    signal = committed.certify("bruno", _pay("alma"))
    lock = locked.certify("bruno", LockOp(public("alma"), 5, digest(KEY), EPOCH + 2))
    opened = Unlock(lock.id[:30] + b"\x00\x00", KEY)
    resumed = Bench()
    resumed.certify("fred", Resume(2, HEAD))
    return [
        _alone("a transfer", "alma", _pay("bruno")),
        _alone("a transfer that makes an account", "alma", Transfer(NOBODY, 5, b"")),
        _alone("to the last unit", "poor", _pay("bruno", 2_999 - FEE)),
        _taken(
            "a credit of another log, named", paid, paid.entry("poor", [_pay("bruno", TOKEN)], [credit.id])
        ),
        _taken("a second entry on the first", committed, committed.entry("bruno", [_pay("alma")])),
        _taken(
            "what relies on nothing may be named too",
            committed,
            committed.entry("alma", [_commit()], [signal.id]),
        ),
        _alone("the incarnation after a restore", "alma", _pay("bruno"), incarnation=2),
        _alone("bond and unbond", "alma", Bond(7, "witness"), Unbond(50 * TOKEN, "attester")),
        _alone("a log resumed", "fred", Resume(2, HEAD), _pay("bruno")),
        _taken("the entry after a resume", resumed, resumed.entry("fred", [_pay("bruno")])),
        _alone("a lock", "alma", _lock()),
        _alone("a lock of the longest time", "alma", _lock(until=EPOCH + 1_000)),
        _alone("an unlock in its last epoch", "alma", Unlock(LOCK, KEY)),
        _taken("an unlock of a lock of this epoch", locked, locked.entry("alma", [opened], [lock.id])),
        _alone("commits with and without a wager", "alma", _commit(MIN_WAGER), _commit(word=b"signal")),
        _alone("a reveal", "alma", _reveal()),
        _alone("an agreement", "alma", _agree()),
        _alone("promises to the last ppm", "bruno", _agree(buyer="bruno", seller="alma", weight=100_000)),
        _alone("a sealed vote", "alma", _attest()),
        _alone("an opened vote", "alma", _open()),
        _alone("an accusation, whatever it says", "alma", Accuse(b"anything")),
        _alone("an auction", "alma", _auction()),
        _alone("a sealed bid", "alma", _bid()),
        _alone("an opened bid", "alma", _open_bid()),
        _alone("an opened reserve price", "bruno", _open_bid()),
        _alone("a sponsored question", "alma", _ask()),
        _alone(
            "as many as there is room for", "alma", _ask(), _ask(5 * TOKEN, topic="", opens=EPOCH + 1_000)
        ),
    ]


def _places() -> list[tuple[str, str, Bench, Entry]]:
    """Entries whose place is wrong, whatever their ops."""
    bench, moved = Bench(), Bench()
    first = moved.certify("alma", _pay("bruno"))
    pay = [_pay("bruno")]
    return [
        ("wrong_epoch", "of the epoch before", bench, bench.entry("alma", pay, epoch=EPOCH - 1)),
        ("wrong_epoch", "of the epoch after", bench, bench.entry("alma", pay, epoch=EPOCH + 1)),
        ("wrong_place", "at the sealed head", bench, bench.entry("alma", pay, seq=3)),
        ("wrong_place", "on another head", bench, bench.entry("alma", pay, prev=digest(b"another"))),
        ("wrong_place", "where another is certified", moved, moved.entry("alma", pay, seq=4, prev=HEAD)),
        ("missing", "two ahead", bench, bench.entry("alma", pay, seq=5, prev=digest(b"unknown"))),
        ("missing", "a dep that is not stored", bench, bench.entry("alma", pay, [digest(b"unknown")])),
        ("bad_deps", "an entry of its own", moved, moved.entry("alma", pay, [first.id])),
        ("wrong_incarnation", "an older one", bench, bench.entry("alma", pay, incarnation=0)),
        ("wrong_incarnation", "two ahead", bench, bench.entry("alma", pay, incarnation=3)),
        ("wrong_incarnation", "one ahead within an epoch", moved, moved.entry("alma", pay, incarnation=2)),
    ]


Rule = tuple[str, str, str, Sequence[Op]]


def _payments() -> list[Rule]:
    no_key = b"\x02" + bytes(31)
    return [
        ("insufficient_balance", "a unit short", "poor", [_pay("bruno", 3_000 - FEE)]),
        ("insufficient_balance", "a unit short for the fee", "poor", [_lock(1)]),
        ("insufficient_balance", "for a new account", "poor", [Transfer(NOBODY, 1, b"")]),
        (
            "insufficient_balance",
            "in the second op",
            "poor",
            [_pay("bruno", 1_000), _pay("bruno", 1_000 - FEE)],
        ),
        ("insufficient_balance", "of an account that does not exist", "nobody", [_pay("bruno")]),
        ("bad_amount", "a transfer of nothing", "alma", [_pay("bruno", 0)]),
        ("bad_amount", "a transfer to oneself", "alma", [_pay("alma")]),
        ("bad_amount", "a bond of nothing", "alma", [Bond(0, "agent")]),
        ("bad_amount", "a lock of nothing", "alma", [_lock(0)]),
        ("bad_amount", "a lock for oneself", "alma", [_lock(to=public("alma"))]),
        ("bad_key", "a transfer to no point", "alma", [Transfer(no_key, 5, b"")]),
        ("bad_key", "a lock for a key of small order", "alma", [_lock(to=bytes(32))]),
        (
            "insufficient_bond",
            "one unit more than the sealed bond",
            "alma",
            [Unbond(50 * TOKEN + 1, "agent")],
        ),
        ("insufficient_bond", "in two parts", "alma", [Unbond(50 * TOKEN, "agent"), Unbond(1, "agent")]),
        ("insufficient_bond", "bonded a moment ago", "alma", [Bond(5, "witness"), Unbond(5, "witness")]),
        ("too_many", "998 amounts are leaving", "uma", [Unbond(1, "agent")]),
        ("bad_epoch", "a lock for one epoch", "alma", [_lock(until=EPOCH + 1)]),
        ("bad_epoch", "a lock for 1,001 epochs", "alma", [_lock(until=EPOCH + 1_001)]),
        ("unknown_lock", "of nobody", "alma", [Unlock(digest(b"no lock"), KEY)]),
        ("unknown_lock", "in somebody else's favour", "alma", [Unlock(FOREIGN, KEY)]),
        ("lock_over", "past its last epoch", "alma", [Unlock(EXPIRED, KEY)]),
        ("lock_over", "claimed already", "alma", [Unlock(CLAIMED, KEY)]),
        ("lock_over", "claimed by the same entry", "alma", [Unlock(LOCK, KEY), Unlock(LOCK, KEY)]),
        ("wrong_preimage", "another one", "alma", [Unlock(LOCK, b"guess")]),
    ]


def _standings() -> list[Rule]:
    return [
        ("tombstoned", "two offences", "tom", [_pay("bruno")]),
        ("frozen", "without resume", "fred", [_pay("bruno")]),
        ("frozen", "resume as the second op", "fred", [_pay("bruno"), Resume(2, HEAD)]),
        ("not_frozen", "a log that is not", "alma", [Resume(3, HEAD)]),
        ("not_frozen", "twice", "fred", [Resume(2, HEAD), Resume(2, HEAD)]),
        ("wrong_head", "another head", "fred", [Resume(2, digest(b"head"))]),
        ("wrong_head", "another seq", "fred", [Resume(3, HEAD)]),
    ]


def _questions() -> list[Rule]:
    twice = [_commit(MIN_WAGER), _commit(MIN_WAGER, word=b"other")]
    return [
        ("unknown_question", "a commit", "alma", [_commit(question=UNKNOWN)]),
        ("unknown_question", "a vote", "alma", [_attest(UNKNOWN)]),
        ("wrong_phase", "a commit while votes are sealed", "alma", [_commit(question=SEALING)]),
        ("wrong_phase", "an agreement while contributions open", "alma", [_agree(question=REVEALING)]),
        ("wrong_phase", "a vote sealed while commits are open", "alma", [_attest(ASKED)]),
        ("wrong_phase", "a vote opened while contributions are", "alma", [_open(question=REVEALING)]),
        ("bad_amount", "a wager below the least", "alma", [_commit(MIN_WAGER - 1)]),
        ("duplicate", "a digest committed twice", "alma", [_commit(), _commit()]),
        ("duplicate", "two wagers in one entry", "alma", twice),
        ("duplicate", "a second wager", "bruno", [_commit(MIN_WAGER)]),
        ("too_many", "more commits without a wager than allowed", "bruno", [_commit()]),
        ("unknown_commit", "a reveal of nothing", "alma", [Reveal(digest(b"none"), SALT, forecast())]),
        ("unknown_commit", "a reveal of somebody else's", "alma", [_reveal("bruno")]),
        ("duplicate", "revealed already", "alma", [_reveal(rationale="twice")]),
        ("duplicate", "revealed twice in one entry", "alma", [_reveal(), _reveal()]),
        ("bad_digest", "another salt", "alma", [_reveal(salt=digest(b"other salt"))]),
        ("bad_digest", "another contribution", "alma", [_reveal(content=forecast("else"))]),
    ]


def _promises() -> list[Rule]:
    return [
        ("bad_signature", "signed by a stranger", "alma", [_agree(signers=("alma", "dora"))]),
        ("bad_signature", "the signatures exchanged", "alma", [_agree(signers=("bruno", "alma"))]),
        ("bad_agreement", "with oneself", "alma", [_agree(seller="alma")]),
        ("bad_agreement", "in the seller's log", "bruno", [_agree()]),
        ("bad_agreement", "recorded twice", "alma", [_agree(), _agree()]),
        (
            "too_many",
            "one ppm too many promised",
            "bruno",
            [_agree(buyer="bruno", seller="alma", weight=100_001)],
        ),
        ("missing_field", "an agreement without fields", "alma", [Agree(b"\x80", bytes(64), bytes(64))]),
    ]


def _duties() -> list[Rule]:
    return [
        ("insufficient_bond", "a vote without a bond from before", "poor", [_attest()]),
        ("duplicate", "a second sealed vote", "bruno", [_attest()]),
        ("duplicate", "two in one entry", "alma", [_attest(), _attest()]),
        ("unknown_commit", "a vote opened that nobody sealed", "uma", [_open()]),
        ("unknown_commit", "opened already", "bruno", [_open()]),
        ("bad_outcome", "an outcome that does not exist", "alma", [_open(2)]),
        ("bad_digest", "another outcome than the sealed one", "alma", [_open(0)]),
        ("bad_digest", "a vote with another salt", "alma", [_open(salt=digest(b"other salt"))]),
    ]


def _auctions() -> list[Rule]:
    unknown = digest(b"no auction")
    return [
        ("bad_amount", "an auction of nothing", "alma", [_auction(units=0)]),
        ("bad_amount", "an auction without a deposit", "alma", [_auction(cap=0)]),
        ("unknown_commit", "an auction of somebody else's commit", "alma", [_auction("bruno")]),
        ("duplicate", "an auction under way", "bruno", [_auction("bruno", hashlock=BIDDING)]),
        ("duplicate", "an auction twice in one entry", "alma", [_auction(), _auction()]),
        ("insufficient_balance", "a deposit", "alma", [_auction(cap=100 * TOKEN)]),
        ("unknown_auction", "a bid", "alma", [_bid(unknown)]),
        ("unknown_auction", "a bid in an auction of the same entry", "alma", _same_entry()),
        ("wrong_phase", "a bid while bids open", "dora", [_bid(auction_of(JUDGING))]),
        ("duplicate", "two bids in one entry", "alma", [_bid(), _bid()]),
        ("duplicate", "a bid of the seller", "bruno", [_bid()]),
        ("unknown_auction", "an opening", "alma", [_open_bid(auction=unknown)]),
        (
            "wrong_phase",
            "a bid opened while bids are sealed",
            "bruno",
            [_open_bid(auction=auction_of(BIDDING))],
        ),
        ("unknown_commit", "a bid opened that nobody sealed", "dora", [_open_bid()]),
        ("unknown_commit", "a bid opened twice", "alma", [_open_bid(), _open_bid()]),
        ("bad_amount", "a bid above the cap", "uma", [_open_bid(CAP + 1)]),
        ("bad_amount", "a bid of nothing", "alma", [_open_bid(0)]),
        ("bad_digest", "another amount than the sealed one", "alma", [_open_bid(BID + 1)]),
        ("bad_digest", "a bid with another salt", "alma", [_open_bid(salt=digest(b"other salt"))]),
    ]


def _asks() -> list[Rule]:
    return [
        ("bad_amount", "a bounty below the least", "alma", [_ask(2 * TOKEN - 1)]),
        ("insufficient_balance", "a bounty", "alma", [_ask(100 * TOKEN)]),
        ("too_many", "three questions beside the sealed one", "alma", [_ask(), _ask(), _ask()]),
        (
            "unknown_question",
            "a commit to one of the same entry",
            "alma",
            [_ask(), _commit(question=UNKNOWN)],
        ),
    ]


def _same_entry() -> list[Op]:
    return [_auction(), _bid(auction_of(digest(KEY), "alma"))]


def ops() -> Json:
    """The file ops.json."""
    bench = Bench()
    rules = [*_payments(), *_standings(), *_questions(), *_promises(), *_duties(), *_auctions(), *_asks()]
    refused = [(code, what, bench, bench.entry(name, made)) for code, what, name, made in rules]
    return cases(
        "What a witness says to an entry (03): `setting` is what all cases share, `certified` what it has stored.",
        _good(),
        [invalid(code, what, **_shown(at, entry)) for code, what, at, entry in [*_places(), *refused]],
        setting={
            "genesis": hexed(GENESIS.encode()),
            "network": NETWORK.hex(),
            "epoch": EPOCH,
            "witness_set": SET.encode().hex(),
            "state": state().root().hex(),
            "snapshot": hexed(state().encode()),
        },
    )
