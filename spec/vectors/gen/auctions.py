"""auctions.json: who wins an auction and what it pays, what a bid seals, and what a close makes of deposits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from troth_protocol.close.auctions import advance_auctions
from troth_protocol.log.bidding import open_bid
from troth_protocol.log.ops import BidReveal
from troth_protocol.log.rows import Account, Auction, Bid, Lock
from troth_protocol.log.sealed import auction_id, bid_digest
from troth_protocol.log.state import State, genesis_state
from troth_protocol.market.auction import Offer, compute_winners
from troth_protocol.market.sale import sale_leaves, sale_rows
from troth_protocol.wire.crypto import digest, preimage
from troth_protocol.wire.merkle import root

from .common import NETWORK, OTHER_NETWORK, Case, Json, cases, keys, plain, tried, valid
from .network import document, holder

LARGEST: Final = 10**38 - 1
COMMIT, HASHLOCK = digest(b"commit"), digest(b"key")
SELLER: Final = "alma"
AUCTION: Final = auction_id(NETWORK, keys(SELLER).public, COMMIT, HASHLOCK)
OPENS, CLOSES, CAP = 3, 7, 100
Row = tuple[str, int, str]
FOUR: Final[list[Row]] = [("bruno", 40, "01"), ("carla", 70, "02"), ("dora", 70, "03"), ("emil", 55, "00")]


def _asked(bids: Sequence[Row], units: int, reserve: int) -> Case:
    return {
        "check": "award",
        "units": units,
        "reserve": str(reserve),
        "bids": [{"bidder": name, "amount": str(amount), "rank": rank} for name, amount, rank in bids],
    }


def _award(name: str, bids: Sequence[Row], units: int, reserve: int) -> Case:
    offers = [Offer(who.encode(), amount, bytes.fromhex(rank)) for who, amount, rank in bids]
    award = compute_winners(offers, units, reserve)
    winners = [winner.decode() for winner in award.winners]
    return valid(name, **_asked(bids, units, reserve), winners=winners, price=str(award.price))


def _awards() -> list[Case]:
    tied = [(name, 70, rank) for name, _, rank in FOUR]
    return [
        _award("one unit at the second price, which ties with the first", FOUR, 1, 1),
        _award("two units at the third price", FOUR, 2, 1),
        _award("the reserve price above all that lose", FOUR, 2, 60),
        _award("fewer bids than units", FOUR, 9, 5),
        _award("a bid of just the reserve price", FOUR[:1], 1, 40),
        _award("nobody bids the reserve price", FOUR, 1, 71),
        _award("no bids", [], 2, 7),
        _award("all alike", tied, 3, 1),
        _award("all alike in rank too: by key", [(n, a, "aa") for n, a, _ in tied], 2, 1),
        _award(
            "amounts as large as there are", [("bruno", LARGEST, "01"), ("carla", LARGEST, "00")], 1, LARGEST
        ),
    ]


def _salt(name: str) -> bytes:
    return digest(b"salt of " + name.encode())


def _sealed(name: str, amount: int) -> Case:
    author = keys(name).public
    payload = author + AUCTION + _salt(name) + str(amount).encode()
    return valid(
        f"a bid of {amount}",
        check="bid",
        network=NETWORK.hex(),
        seller=keys(SELLER).public.hex(),
        commit=COMMIT.hex(),
        hashlock=HASHLOCK.hex(),
        auction=AUCTION.hex(),
        cap=str(LARGEST),
        author=author.hex(),
        salt=_salt(name).hex(),
        amount=str(amount),
        preimage=preimage("troth/bid/1", NETWORK, payload).hex(),
        digest=bid_digest(NETWORK, author, AUCTION, _salt(name), amount).hex(),
    )


def _bid(name: str, amount: int, *, is_opened: bool) -> Bid:
    sealed = Bid(bid_digest(NETWORK, keys(name).public, AUCTION, _salt(name), amount), CAP)
    if not is_opened:
        return sealed
    auction, opening = _auction(1), BidReveal(AUCTION, amount, _salt(name))
    return open_bid(auction, sealed, NETWORK, keys(name).public, opening, CLOSES)


def _auction(units: int) -> Auction:
    return Auction(keys(SELLER).public, COMMIT, units, CAP, HASHLOCK, OPENS)


def _sale(name: str, units: int, bids: Mapping[str, int], unopened: Sequence[str] = ()) -> Case:
    state = genesis_state(document([holder(who, 0) for who in bids]))
    state.put("auctions", AUCTION, _auction(units))
    rows = {
        keys(who).public: _bid(who, amount, is_opened=who not in unopened) for who, amount in bids.items()
    }
    for author, bid in rows.items():
        state.put("bids", AUCTION + author, bid)
    shown = [
        [author.hex(), str(bid.deposit), *([str(bid.amount), bid.salt.hex()] if bid.salt else [])]
        for author, bid in sorted(rows.items())
    ]
    (sale,) = advance_auctions(state, NETWORK, CLOSES)
    return valid(
        name,
        check="sale",
        network=NETWORK.hex(),
        epoch=CLOSES,
        auction=AUCTION.hex(),
        row=plain({"seller": keys(SELLER).public, "commit": COMMIT, "hashlock": HASHLOCK}),
        units=units,
        cap=str(CAP),
        bids=shown,
        lines=plain(list(sale_rows(sale))),
        emissions=root(sale_leaves([sale])).hex(),
        **_after(state),
    )


def _after(state: State) -> dict[str, Json]:
    """Where the deposits are."""
    return {
        "locks": [
            [key.hex(), lock.payer.hex(), str(lock.amount), lock.until]
            for key, lock in state.items("locks", Lock)
        ],
        "balances": {key.hex(): str(row.balance) for key, row in state.items("accounts", Account)},
        "burned": str(state.totals().burned),
    }


def _bad_awards() -> list[Case]:
    first = {"bidder": "bruno", "amount": "40", "rank": "01"}
    return tried(
        _asked(FOUR, 1, 1),
        [
            ("bad_parameter", "no units", {"units": 0}),
            ("bad_parameter", "less than no units", {"units": -1}),
            ("bad_amount", "no reserve price", {"reserve": "0"}),
            ("bad_amount", "a negative reserve price", {"reserve": "-5"}),
            ("bad_amount", "a bid of nothing", {"bids": [first | {"amount": "0"}]}),
            ("bad_amount", "a negative bid", {"bids": [first, first | {"bidder": "carla", "amount": "-1"}]}),
            ("duplicate", "a bidder twice", {"bids": [first, first | {"amount": "41"}]}),
            ("duplicate", "a bid twice", {"bids": [first, first]}),
        ],
    )


def _bad_bids() -> list[Case]:
    other = digest(b"other")
    changes: list[tuple[str, str, dict[str, Json]]] = [
        ("bad_digest", "a bid of one more", {"amount": "56"}),
        ("bad_digest", "a bid with another salt", {"salt": other.hex()}),
        ("bad_digest", "a bid of somebody else", {"author": keys("carla").public.hex()}),
        ("bad_digest", "a bid in another auction", {"auction": other.hex()}),
        ("bad_digest", "a bid in another network", {"network": OTHER_NETWORK.hex()}),
        ("bad_digest", "another digest", {"digest": other.hex()}),
        ("bad_amount", "a bid above the cap", {"cap": "54"}),
        ("bad_amount", "a bid of zero", {"amount": "0"}),
    ]
    template = _sealed("bruno", 55)
    for field in ("preimage", "seller", "commit", "hashlock"):
        template.pop(field)
    return tried(template, changes)


def auctions() -> Json:
    """The file auctions.json."""
    bids = {SELLER: 30, "bruno": 40, "carla": 70, "dora": 70, "emil": 55}
    sales = [
        _sale("one unit, two bids alike", 1, bids),
        _sale("three units at one price", 3, bids),
        _sale("a bid that stays sealed", 2, bids, ["carla"]),
        _sale("a reserve price that stays sealed", 2, bids, [SELLER, "dora"]),
        _sale("a reserve price that nobody bids", 2, bids | {SELLER: 71}),
    ]
    return cases(
        "Auctions (12): the award of units, sealed bids, and an auction with its bids at the close that ends it.",
        [*_awards(), _sealed("bruno", 55), *sales],
        [*_bad_awards(), *_bad_bids()],
    )
