"""Auctions at a close: payments of winners become locks, opened deposits return, unopened ones burn.

Every amount that leaves a deposit arrives under a lock, in a balance or among what is burned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from troth_protocol.log.rows import Auction, Bid, Lock
from troth_protocol.log.sealed import won_lock_id
from troth_protocol.log.state import TOTALS_KEY, State
from troth_protocol.market.auction import Award, Offer, compute_winners
from troth_protocol.market.sale import BidLine, Sale
from troth_protocol.wire.crypto import digest

#: A winner's lock: an epoch to deliver what the key opens, two to claim, one more if a freeze voids the claim.
WON_LOCK_EPOCHS: Final = 4
_AUCTION_BYTES: Final = 32


def advance_auctions(state: State, network: bytes, epoch: int) -> list[Sale]:
    """End the auctions whose last epoch this is, in the order of their ids."""
    ending = {key: row for key, row in state.items("auctions", Auction) if row.closes() == epoch}
    bids: dict[bytes, dict[bytes, Bid]] = {key: {} for key in ending}
    for place, bid in state.items("bids", Bid) if ending else ():
        key, author = place[:_AUCTION_BYTES], place[_AUCTION_BYTES:]
        if key in bids:
            bids[key][author] = bid
    return [_end_auction(state, network, epoch, key, row, bids[key]) for key, row in ending.items()]


def _end_auction(
    state: State, network: bytes, epoch: int, key: bytes, auction: Auction, bids: Mapping[bytes, Bid]
) -> Sale:
    reserve = bids[auction.seller].amount
    award = _award(auction, reserve, bids)
    lines = {author: _line(author, bid, award) for author, bid in bids.items()}
    for author, line in lines.items():
        _end_bid(state, author, line)
        state.drop("bids", key + author)
        if line.paid:
            lock = Lock(author, auction.seller, line.paid, auction.hashlock, epoch + WON_LOCK_EPOCHS)
            state.put("locks", won_lock_id(network, key, author, epoch), lock)
    state.drop("auctions", key)
    own = lines.pop(auction.seller)
    price = award.price if award.winners else None
    return Sale(
        key,
        auction.seller,
        auction.commit,
        auction.units,
        reserve,
        price,
        own.burned,
        tuple(lines.values()),
    )


def _award(auction: Auction, reserve: int | None, bids: Mapping[bytes, Bid]) -> Award:
    """Of equal bids the lower H(seed, author) wins; the seed is made of every opened salt, in the order of the keys."""
    if reserve is None:
        return Award(0, ())
    seed = digest(b"".join(bid.salt for bid in bids.values() if bid.salt is not None))
    offers = [
        Offer(author, bid.amount, digest(seed + author))
        for author, bid in bids.items()
        if bid.amount is not None and author != auction.seller
    ]
    return compute_winners(offers, auction.units, reserve)


def _line(author: bytes, bid: Bid, award: Award) -> BidLine:
    if bid.amount is None:
        return BidLine(author, None, 0, 0, bid.deposit)
    paid = award.price if author in award.winners else 0
    return BidLine(author, bid.amount, paid, bid.deposit - paid, 0)


def _end_bid(state: State, author: bytes, line: BidLine) -> None:
    account, books = state.account(author), state.totals()
    state.put("accounts", author, replace(account, balance=account.balance + line.returned))
    state.put("totals", TOTALS_KEY, replace(books, burned=books.burned + line.burned))
