"""Auctions, bids and their openings: each in its phase, once, at the price of the cap, by whom it belongs to."""

from dataclasses import replace

import pytest

from troth_node.testing.ledger import Ledger
from troth_node.testing.moves import (
    PREIMAGE,
    SALT,
    auction,
    bid,
    commit,
    name_of,
    open_bid,
    refused,
    sale_of,
    taken,
    wait,
)
from troth_node.testing.samples import RULES, TOKEN
from troth_protocol.log.rows import Auction, Bid
from troth_protocol.wire.crypto import digest

ALICE, BOB, CAROL = range(3)
FEE = RULES.fee
BALANCE = 1_000 * TOKEN
CAP = 100


@pytest.fixture
def net():
    """Alice's commit of epoch 1 can be sold."""
    made = Ledger()
    made.put(ALICE, commit(made, ALICE))
    return made


def opened(net, **other):
    """Alice's auction, at the start of its bid phase."""
    net.put(ALICE, auction(net, ALICE, **other))
    net.close()
    return net


# auction


def test_an_auction_takes_the_sellers_deposit_and_seals_its_reserve(net):
    op = auction(net, ALICE, units=3)
    delta = taken(net, ALICE, op)
    assert (delta.spent, delta.burned) == (CAP + 2 * FEE, 2 * FEE)
    key, me = sale_of(net, ALICE), net.key(ALICE)
    assert delta.rows == {
        ("auctions", key): Auction(me, op.commit, 3, CAP, digest(PREIMAGE), 1),
        ("bids", key + me): Bid(op.reserve, CAP),
    }


@pytest.mark.parametrize("change", [{"units": 0}, {"cap": 0}])
def test_an_auction_sells_something_for_something(net, change):
    assert refused(net, ALICE, auction(net, ALICE, **change)) == "bad_amount"


def test_only_ones_own_commit_is_for_sale(net):
    op = auction(net, ALICE)
    assert refused(net, BOB, op) == "unknown_commit"
    assert refused(net, ALICE, replace(op, commit=SALT)) == "unknown_commit"


def test_a_commit_is_auctioned_once_under_a_hash(net):
    op = auction(net, ALICE)
    assert refused(net, ALICE, op, op) == "duplicate"
    net.put(ALICE, op)
    assert refused(net, ALICE, op) == "duplicate"
    net.close()
    assert refused(net, ALICE, op) == "duplicate"
    taken(net, ALICE, replace(op, hashlock=digest(b"another")))


def test_the_seller_covers_its_deposit(net):
    net.close()
    left = net.account(ALICE).balance - 2 * FEE
    taken(net, ALICE, auction(net, ALICE, cap=left))
    assert refused(net, ALICE, auction(net, ALICE, cap=left + 1)) == "insufficient_balance"


# bid


def test_a_bid_costs_the_cap_whatever_it_says(net):
    opened(net)
    for amount in (1, CAP, 10**30):
        delta = taken(net, BOB, bid(net, BOB, ALICE, amount))
        assert (delta.spent, delta.burned) == (CAP + 2 * FEE, 2 * FEE)
    op = bid(net, BOB, ALICE, 7)
    row = taken(net, BOB, op).rows["bids", sale_of(net, ALICE) + net.key(BOB)]
    assert row == Bid(op.digest, CAP)


def test_bids_are_sealed_in_the_two_epochs_after_the_auctions_own(net):
    entry = net.put(ALICE, auction(net, ALICE))
    assert refused(net, BOB, bid(net, BOB, ALICE, 7)) == "unknown_auction"
    late = net.entry(BOB, bid(net, BOB, ALICE, 7), deps=[entry.id])
    assert refused(net, BOB, *late.ops, deps=[entry.id]) == "unknown_auction"
    for epoch in (2, 3):
        wait(net, epoch)
        taken(net, BOB, bid(net, BOB, ALICE, 7))
    for epoch in (4, 5):
        wait(net, epoch)
        assert refused(net, BOB, bid(net, BOB, ALICE, 7)) == "wrong_phase"
    wait(net, 6)
    assert refused(net, BOB, bid(net, BOB, ALICE, 7)) == "unknown_auction"


def test_one_bid_per_author(net):
    opened(net)
    first, second = bid(net, BOB, ALICE, 7), bid(net, BOB, ALICE, 8)
    assert refused(net, BOB, first, second) == "duplicate"
    net.put(BOB, first)
    assert refused(net, BOB, second) == "duplicate"
    net.close()
    assert refused(net, BOB, second) == "duplicate"
    taken(net, CAROL, bid(net, CAROL, ALICE, 7))


def test_the_sellers_bid_is_its_reserve(net):
    opened(net)
    assert refused(net, ALICE, bid(net, ALICE, ALICE, 7)) == "duplicate"


def test_a_bid_is_covered(net):
    opened(net, cap=BALANCE - 10 * FEE)
    net.set_account(BOB, balance=BALANCE - 8 * FEE)
    taken(net, BOB, bid(net, BOB, ALICE, 7))
    net.set_account(BOB, balance=BALANCE - 8 * FEE - 1)
    assert refused(net, BOB, bid(net, BOB, ALICE, 7)) == "insufficient_balance"


# bid_reveal


def sealed(net, amount=7):
    """Alice's auction with Bob's bid, at the start of the phase in which bids open."""
    opened(net)
    net.put(BOB, bid(net, BOB, ALICE, amount))
    wait(net, 4)
    return open_bid(net, ALICE, amount)


def test_a_bid_opens_for_free_and_keeps_its_salt(net):
    op = sealed(net)
    net.set_account(BOB, balance=0)
    delta = taken(net, BOB, op)
    place = ("bids", sale_of(net, ALICE) + net.key(BOB))
    assert delta.spent == 0
    assert delta.rows == {place: Bid(bid(net, BOB, ALICE, 7).digest, CAP, 7, SALT)}


def test_the_seller_opens_its_reserve(net):
    sealed(net)
    row = taken(net, ALICE, open_bid(net, ALICE, 1)).rows["bids", sale_of(net, ALICE) + net.key(ALICE)]
    assert (row.amount, row.salt) == (1, SALT)


def test_bids_open_in_their_two_epochs(net):
    opened(net)
    net.put(BOB, bid(net, BOB, ALICE, 7))
    op = open_bid(net, ALICE, 7)
    for epoch in (2, 3):
        wait(net, epoch)
        assert refused(net, BOB, op) == "wrong_phase"
    for epoch in (4, 5):
        wait(net, epoch)
        taken(net, BOB, op)
    wait(net, 6)
    assert refused(net, BOB, op) == "unknown_auction"


def test_only_ones_own_unopened_bid_opens(net):
    op = sealed(net)
    assert refused(net, CAROL, op) == "unknown_commit"
    assert refused(net, BOB, op, op) == "unknown_commit"
    net.put(BOB, op)
    assert refused(net, BOB, op) == "unknown_commit"
    net.close()
    assert refused(net, BOB, op) == "unknown_commit"
    assert refused(net, BOB, replace(op, auction=SALT)) == "unknown_auction"


@pytest.mark.parametrize("amount", [0, CAP + 1])
def test_a_bid_is_between_one_and_the_cap(net, amount):
    assert refused(net, BOB, sealed(net, amount)) == "bad_amount"


@pytest.mark.parametrize("amount", [1, CAP])
def test_the_least_and_the_highest_bid(net, amount):
    taken(net, BOB, sealed(net, amount))


@pytest.mark.parametrize("change", [{"amount": 8}, {"salt": bytes(32)}])
def test_another_amount_or_salt_opens_nothing(net, change):
    assert refused(net, BOB, replace(sealed(net), **change)) == "bad_digest"


def test_a_copied_bid_opens_for_nobody_else(net):
    opened(net)
    op = bid(net, BOB, ALICE, 7)
    net.put(BOB, op)
    net.put(CAROL, op)
    wait(net, 4)
    taken(net, BOB, open_bid(net, ALICE, 7))
    assert refused(net, CAROL, open_bid(net, ALICE, 7)) == "bad_digest"


def test_the_name_of_an_auction_is_known_before_its_entry(net):
    """The seller seals its reserve to it, so it cannot depend on the entry."""
    first = sale_of(net, ALICE)
    net.put(ALICE, auction(net, ALICE))
    net.close()
    assert net.state.find("auctions", first, Auction).commit == name_of(net, ALICE, commit(net, ALICE))
