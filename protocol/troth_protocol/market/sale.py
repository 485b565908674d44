"""What an auction came to, line by line: the auction first, then each bid. The emissions root proves them too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from troth_protocol.wire.codec import Value, encode
from troth_protocol.wire.merkle import leaf_hash


@dataclass(frozen=True, slots=True)
class BidLine:
    """One bid (None: unopened) and where its deposit went, in atomic units; `paid` is under a lock."""

    bidder: bytes
    amount: int | None
    paid: int
    returned: int
    burned: int


@dataclass(frozen=True, slots=True)
class Sale:
    """An auction that a close has ended; no `reserve`: the seller left it sealed, no `price`: nothing was sold.

    `burned` is the seller's deposit, if it was; `bids` are in the order of the bidders' keys.
    """

    auction: bytes
    seller: bytes
    commit: bytes
    units: int
    reserve: int | None
    price: int | None
    burned: int
    bids: tuple[BidLine, ...]


def sale_rows(sale: Sale) -> Iterator[Value]:
    """A sale as rows [kind, auction id, line]: each bidder can prove its own."""
    yield ["auction", sale.auction, _head(sale)]
    for bid in sale.bids:
        opened: list[Value] = [] if bid.amount is None else [str(bid.amount)]
        yield ["bid", sale.auction, [bid.bidder, opened, str(bid.paid), str(bid.returned), str(bid.burned)]]


def sale_leaves(sales: Iterable[Sale]) -> list[bytes]:
    """The leaf hashes of the rows of all sales, in order."""
    return [leaf_hash(encode(row)) for sale in sales for row in sale_rows(sale)]


def _head(sale: Sale) -> Value:
    out: dict[str, Value] = {
        "seller": sale.seller,
        "commit": sale.commit,
        "units": sale.units,
        "burned": str(sale.burned),
    }
    if sale.reserve is not None:
        out["reserve"] = str(sale.reserve)
    if sale.price is not None:
        out["price"] = str(sale.price)
    return out
