"""Who wins a sealed-bid auction and what winners pay: a function of the set of opened bids, in no order of theirs.

Each of `units` goes to one of the highest bids, all at one price: the highest bid that loses, or the reserve price if
that is more. A winner's own bid never sets its price, so bidding what it is worth is a dominant strategy for whoever
wants one unit (Vickrey 1961).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from troth_protocol.errors import Invalid


@dataclass(frozen=True, slots=True)
class Offer:
    """One opened bid, in atomic units; of equal bids the lower `rank` comes first."""

    bidder: bytes
    amount: int
    rank: bytes


@dataclass(frozen=True, slots=True)
class Award:
    """The winners, highest bid first, and what each of them pays; without winners the price is the reserve price."""

    price: int
    winners: tuple[bytes, ...]


def compute_winners(offers: Sequence[Offer], units: int, reserve: int) -> Award:
    """Award up to `units` at one price: the (units + 1)-th highest bid of at least `reserve`, or else `reserve`.

    Raises Invalid("bad_parameter") without units, ("bad_amount") for an amount below 1, ("duplicate") for two bids of
    one bidder.
    """
    _validate(offers, units, reserve)
    placed = sorted((offer for offer in offers if offer.amount >= reserve), key=_place)
    price = placed[units].amount if len(placed) > units else reserve
    return Award(price, tuple(offer.bidder for offer in placed[:units]))


def _place(offer: Offer) -> tuple[int, bytes, bytes]:
    return -offer.amount, offer.rank, offer.bidder


def _validate(offers: Sequence[Offer], units: int, reserve: int) -> None:
    if units < 1:
        raise Invalid("bad_parameter", f"{units} units")
    if min(reserve, *(offer.amount for offer in offers), reserve) < 1:
        raise Invalid("bad_amount", "a bid and a reserve price are at least 1")
    if len({offer.bidder for offer in offers}) != len(offers):
        raise Invalid("duplicate", "two bids of one bidder")
