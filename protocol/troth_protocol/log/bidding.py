"""Auctions in the logs: when something may be sealed or opened, and by whom. Each rule refuses with `Invalid`."""

from __future__ import annotations

from dataclasses import replace

from troth_protocol.errors import Invalid
from troth_protocol.log.ops import AuctionOp, BidReveal
from troth_protocol.log.rows import Auction, Bid
from troth_protocol.log.sealed import bid_digest
from troth_protocol.log.state import State


def make_auction(op: AuctionOp, seller: bytes, epoch: int) -> Auction:
    """The row of a new auction; Invalid("bad_amount") if it sells nothing or takes no deposit."""
    if min(op.units, op.cap) < 1:
        raise Invalid("bad_amount", "an auction sells at least one unit, its cap is at least 1")
    return Auction(seller, op.commit, op.units, op.cap, op.hashlock, epoch)


def find_auction(sealed: State, key: bytes) -> Auction:
    """An auction under way: it is sealed before the first bid; Invalid("unknown_auction")."""
    found = sealed.find("auctions", key, Auction)
    if found is None:
        raise Invalid("unknown_auction", key.hex())
    return found


def seal_bid(auction: Auction, known: Bid | None, digest: bytes, epoch: int) -> Bid:
    """A bidder's new row; Invalid as the spec's rules on bids say."""
    if not auction.is_bid_open(epoch):
        raise Invalid("wrong_phase", "bids are sealed in the two epochs after the auction's own")
    if known is not None:
        raise Invalid("duplicate", "one bid per author and auction; the seller's is the reserve price")
    return Bid(digest, auction.cap)


def open_bid(
    auction: Auction, known: Bid | None, network: bytes, author: bytes, op: BidReveal, epoch: int
) -> Bid:
    """A row with its amount and salt; Invalid as the spec's rules on openings say."""
    if not auction.is_bid_reveal_open(epoch):
        raise Invalid("wrong_phase", "bids are opened in the two epochs after the last for sealing them")
    if known is None or known.amount is not None:
        raise Invalid("unknown_commit", "no unopened bid in this auction")
    if not 1 <= op.amount <= auction.cap:
        raise Invalid("bad_amount", f"a bid is 1 to {auction.cap}")
    if bid_digest(network, author, op.auction, op.salt, op.amount) != known.digest:
        raise Invalid("bad_digest", "amount and salt do not open the bid")
    return replace(known, amount=op.amount, salt=op.salt)
