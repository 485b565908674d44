"""Auctions at a node: what opens a seal is on disk before its digest leaves, and all else is derived from the logs.

Theory of operation. A lot is what we put up, a bid what we have sealed in an auction of somebody else's. Whatever is
due follows from the row on disk, the sealed state and the own log, and is worked out anew whenever something happened:

    lot   the logs have no auction of it yet, and there is time    -> auction
          bids are being opened                                    -> bid_reveal, of the reserve price
    bid   the logs do not have it yet, and bids are open           -> bid
          bids are being opened                                    -> bid_reveal

What follows is a fair exchange whose price the close has locked already: the winner asks, the seller seals the signal
under the key of the auction, and claims the lock. Who has not won gets no ciphertext, so the key is of no use to it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from troth_node.duties import SALT_BYTES, OwnCommit
from troth_node.locks import SealedLocks
from troth_protocol.core import Core
from troth_protocol.errors import Invalid
from troth_protocol.log.ops import AuctionOp, BidOp, BidReveal, Op
from troth_protocol.log.rows import (
    BID_EPOCHS,
    BID_REVEAL_EPOCHS,
    UNITS_MAX,
    Auction,
    Bid,
    Commit,
    Lock,
    Question,
)
from troth_protocol.log.sealed import auction_id, bid_digest
from troth_protocol.market.document import Document, parse_document
from troth_protocol.wire.codec import Value, decode, encode
from troth_protocol.wire.crypto import CIPHER_KEY_BYTES, digest

TABLE: Final = "auctions"
#: A lot goes to the log in the epoch in which it is put up or in the next one: then one that is no longer in the
#: sealed state was never there.
LOT_LAG_EPOCHS: Final = 1
#: So many epochs after its `auction` what was won can be delivered at the earliest.
AUCTION_EPOCHS: Final = BID_EPOCHS + BID_REVEAL_EPOCHS + 1
#: What `auction` and `bid` burn each.
SEAL_FEES: Final = 2
_LOT, _BID = b"l", b"b"


@dataclass(frozen=True, slots=True)
class OwnLot:
    """What we put up in epoch `first`: one of our commits, what opens its reserve price, and the key of the signal."""

    id: bytes
    question: bytes
    commit: bytes
    document: str
    units: int
    reserve: int
    cap: int
    salt: bytes
    key: bytes
    first: int

    def row(self) -> list[Value]:
        """As it is stored."""
        named: list[Value] = [self.question, self.commit, self.document, self.units]
        return [*named, str(self.reserve), str(self.cap), self.salt, self.key, self.first]


@dataclass(frozen=True, slots=True)
class OwnBid:
    """What we bid in an auction, and for what: `wanted` is a name or an id, `document` the text that we have read."""

    id: bytes
    question: bytes
    seller: bytes
    hash: bytes
    wanted: str
    document: Document
    amount: int
    cap: int
    salt: bytes

    def row(self) -> list[Value]:
        """As it is stored."""
        named: list[Value] = [self.question, self.seller, self.hash, self.wanted, self.document.data]
        return [*named, str(self.amount), str(self.cap), self.salt]


class Auctions:
    """The lots and bids of one node. `random` gives so many random bytes."""

    def __init__(self, core: Core, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self.core = core
        self.lots: dict[bytes, OwnLot] = {}
        self.bids: dict[bytes, OwnBid] = {}
        self._random = random
        self._submitted: set[Op] = set()
        self._sealed = SealedLocks()
        for key, data in core.chain.archive.scan(TABLE, b""):
            self._restore(key, decode(data))

    def _restore(self, key: bytes, value: Value) -> None:
        match key[:1], value:
            case b"l", [
                bytes(question),
                bytes(commit),
                str(document),
                int(units),
                str(reserve),
                str(cap),
                bytes(salt),
                bytes(secret),
                int(first),
            ]:
                named = (key[1:], question, commit, document, units, int(reserve), int(cap))
                self.lots[key[1:]] = OwnLot(*named, salt, secret, first)
            case b"b", [
                bytes(question),
                bytes(seller),
                bytes(hashlock),
                str(wanted),
                bytes(text),
                str(amount),
                str(cap),
                bytes(salt),
            ]:
                about = (key[1:], question, seller, hashlock, wanted, parse_document(text))
                self.bids[key[1:]] = OwnBid(*about, int(amount), int(cap), salt)
            case _:
                raise Invalid("bad_row", "auction")

    # The seller

    def put_up(self, own: OwnCommit, units: int, reserve: int, cap: int) -> OwnLot:
        """Put a commit of ours up: key, reserve price and salt are persisted before the digest can leave.

        Raises Invalid("bad_parameter") for what no close could sell.
        """
        if not (1 <= units <= UNITS_MAX and 1 <= reserve <= cap):
            raise Invalid("bad_parameter", f"{units} units from {reserve} on, at most {cap}")
        core = self.core
        key, salt = self._random(CIPHER_KEY_BYTES), self._random(SALT_BYTES)
        auction = auction_id(core.chain.network, core.keys.public, own.id, digest(key))
        about = (auction, own.question, own.id, own.document)
        lot = OwnLot(*about, units, reserve, cap, salt, key, core.epoch)
        core.out.persist(TABLE, _LOT + auction, encode(lot.row()), once=True)
        self.lots[auction] = lot
        self.advance()
        return lot

    def lot_of(self, question: bytes, document: str) -> OwnLot | None:
        """What is for sale by auction alone."""
        lots = self.lots.values()
        return next((lot for lot in lots if (lot.question, lot.document) == (question, document)), None)

    def owed(self, lot: OwnLot, buyer: bytes) -> Lock | None:
        """The lock by which somebody has won, as long as it is there."""
        found = self._sealed.find(self.core.chain.state, buyer, self.core.keys.public, digest(lot.key))
        return next(iter(found.values()), None)

    def _advance_lot(self, lot: OwnLot) -> None:
        core = self.core
        auction = core.chain.state.find("auctions", lot.id, Auction)
        if core.chain.state.find("questions", lot.question, Question) is None:
            self._forget(_LOT, lot.id)
            del self.lots[lot.id]
        elif auction is not None:
            self._open(auction, lot.id, lot.reserve, lot.salt)
        elif self._is_early(lot) and not self._is_own("auctions", lot.id):
            sealed = bid_digest(core.chain.network, core.keys.public, lot.id, lot.salt, lot.reserve)
            self._submit(AuctionOp(lot.commit, lot.units, sealed, lot.cap, digest(lot.key)))

    # The bidder

    def find(self, question: bytes, seller: bytes) -> tuple[bytes, Auction] | None:
        """An auction of this seller on a question, its bids open, that ends in time for what is won to be of use."""
        state = self.core.chain.state
        for key, auction in state.items("auctions", Auction):
            commit = state.find("commits", auction.commit, Commit)
            about = state.find("questions", question, Question)
            if auction.seller != seller or commit is None or about is None or commit.question != question:
                continue
            if auction.is_bid_open(self.core.epoch) and auction.opens + AUCTION_EPOCHS <= about.commit_last():
                return key, auction
        return None

    def has_bid(self, question: bytes, wanted: str) -> bool:
        """Is there a bid of ours for that already? A restarted agent must not bid again."""
        return any((bid.question, bid.wanted) == (question, wanted) for bid in self.bids.values())

    def bid(
        self, key: bytes, auction: Auction, question: bytes, wanted: str, document: Document, amount: int
    ) -> OwnBid:
        """Seal a bid: amount and salt are persisted before the digest can leave."""
        salt = self._random(SALT_BYTES)
        about = (key, question, auction.seller, auction.hashlock, wanted, document)
        bid = OwnBid(*about, min(amount, auction.cap), auction.cap, salt)
        self.core.out.persist(TABLE, _BID + key, encode(bid.row()), once=True)
        self.bids[key] = bid
        self.advance()
        return bid

    def won(self, bid: OwnBid) -> Lock | None:
        """The lock into which the close has turned what we pay, as long as it is there."""
        return next(iter(self.locks_of(bid).values()), None)

    def locks_of(self, bid: OwnBid) -> Mapping[bytes, Lock]:
        """The same, by the lock's id."""
        state, me = self.core.chain.state, self.core.keys.public
        return self._sealed.find(state, me, bid.seller, bid.hash)

    def is_due(self, bid: OwnBid) -> bool:
        """Is this bid still to be sealed, or in the log of this epoch?"""
        auction = self.core.chain.state.find("auctions", bid.id, Auction)
        return auction is not None and auction.is_bid_open(self.core.epoch)

    def is_under_way(self, bid: OwnBid) -> bool:
        """Is it still open whether this bid wins?"""
        return self.core.chain.state.find("auctions", bid.id, Auction) is not None

    def _advance_bid(self, bid: OwnBid) -> None:
        core, state = self.core, self.core.chain.state
        auction, place = state.find("auctions", bid.id, Auction), bid.id + core.keys.public
        if auction is None:
            if state.find("questions", bid.question, Question) is None and self.won(bid) is None:
                self._forget(_BID, bid.id)
                del self.bids[bid.id]
        elif state.find("bids", place, Bid) is not None:
            self._open(auction, bid.id, bid.amount, bid.salt)
        elif auction.is_bid_open(core.epoch) and not self._is_own("bids", place):
            sealed = bid_digest(core.chain.network, core.keys.public, bid.id, bid.salt, bid.amount)
            self._submit(BidOp(bid.id, sealed))

    # Both

    def notice_epoch(self) -> None:
        """An epoch opened."""
        self._submitted.clear()
        self.advance()

    def advance(self) -> None:
        """Do whatever is due. Nothing is, before the node knows what it has signed already."""
        if not self.core.author.is_allowed:
            return
        for lot in list(self.lots.values()):
            self._advance_lot(lot)
        for bid in list(self.bids.values()):
            self._advance_bid(bid)

    def reserved(self) -> int:
        """Deposits that are to be made and are not in the log yet, with their fees, in atomic units."""
        fee, me = SEAL_FEES * self.core.genesis.rules.fee, self.core.keys.public
        lots = [lot.cap + fee for lot in self.lots.values() if self._is_missing("auctions", lot.id, lot)]
        bids = [bid.cap + fee for bid in self.bids.values() if self._is_missing("bids", bid.id + me, bid)]
        return sum(lots) + sum(bids)

    def _is_missing(self, table: str, key: bytes, item: OwnLot | OwnBid) -> bool:
        """Is it still to get into the log?"""
        if key in self.core.chain.state.tables[table].rows or self._is_own(table, key):
            return False
        return self.is_due(item) if isinstance(item, OwnBid) else self._is_early(item)

    def _is_early(self, lot: OwnLot) -> bool:
        return self.core.epoch <= lot.first + LOT_LAG_EPOCHS

    def _open(self, auction: Auction, key: bytes, amount: int, salt: bytes) -> None:
        """Open what we sealed in an auction, once, as soon as nobody can join any more."""
        core, place = self.core, key + self.core.keys.public
        sealed = core.chain.state.find("bids", place, Bid)
        is_sealed = sealed is not None and sealed.amount is None
        if is_sealed and auction.is_bid_reveal_open(core.epoch) and not self._is_own("bids", place):
            self._submit(BidReveal(key, amount, salt))

    def _submit(self, op: Op) -> None:
        """Once an epoch, unless a restart finds it signed: what is void the author submits again by itself."""
        if op not in self._submitted and not self.core.author.holds(op):
            self._submitted.add(op)
            self.core.submit((op,))

    def _is_own(self, table: str, key: bytes) -> bool:
        """Has our log of this epoch such a row?"""
        return (table, key) in self.core.chain.book.view(self.core.keys.public).rows

    def _forget(self, prefix: bytes, key: bytes) -> None:
        self.core.out.erase(TABLE, prefix + key)
