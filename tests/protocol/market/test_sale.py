"""What an auction came to, as the rows that the emissions root proves."""

from dataclasses import replace

import pytest

from troth_protocol.market.sale import BidLine, Sale, sale_leaves, sale_rows
from troth_protocol.wire.codec import encode
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.merkle import leaf_hash

A, B, C = (digest(name) for name in (b"a", b"b", b"c"))
WON, UNOPENED = BidLine(A, 9, 7, 3, 0), BidLine(B, None, 0, 0, 10)
SALE = Sale(C, A, B, 2, 5, 7, 0, (WON, UNOPENED))


def test_an_auction_reads_line_by_line():
    assert list(sale_rows(SALE)) == [
        ["auction", C, {"seller": A, "commit": B, "units": 2, "burned": "0", "reserve": "5", "price": "7"}],
        ["bid", C, [A, ["9"], "7", "3", "0"]],
        ["bid", C, [B, [], "0", "0", "10"]],
    ]


def test_what_did_not_happen_is_left_out():
    head = next(sale_rows(replace(SALE, reserve=None, price=None, burned=10)))
    assert head == ["auction", C, {"seller": A, "commit": B, "units": 2, "burned": "10"}]


def test_the_leaves_are_those_of_the_rows():
    other = replace(SALE, auction=A)
    rows = [row for sale in (SALE, other) for row in sale_rows(sale)]
    assert sale_leaves([SALE, other]) == [leaf_hash(encode(row)) for row in rows]


@pytest.mark.parametrize(
    "change",
    [
        {name: C} if name in {"seller", "commit"} else {name: 3}
        for name in ("seller", "commit", "units", "reserve", "price", "burned")
    ]
    + [{"auction": A}, {"bids": (WON,)}, {"bids": (replace(WON, paid=6), UNOPENED)}],
)
def test_no_line_can_change_without_its_leaf(change):
    assert sale_leaves([replace(SALE, **change)]) != sale_leaves([SALE])
