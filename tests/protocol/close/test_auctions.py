"""Auctions at the close: winners' payments become locks, opened deposits return, unopened ones burn, to the unit."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth_node.testing.ledger import Ledger, copy_state
from troth_node.testing.moves import PREIMAGE, SALT, auction, bid, commit, open_bid, sale_of, wait
from troth_node.testing.samples import RULES, TOKEN
from troth_protocol.close.auctions import WON_LOCK_EPOCHS, advance_auctions
from troth_protocol.insight.results import emission_leaves
from troth_protocol.log.ops import Bond, Unlock
from troth_protocol.log.rows import Auction, Bid, Lock
from troth_protocol.log.sealed import won_lock_id
from troth_protocol.market.sale import sale_leaves
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.merkle import root

ALICE, BOB, CAROL, DAVE = range(4)
FEE = RULES.fee
BALANCE = 1_000 * TOKEN
CAP = 100
#: What Alice paid for commit and auction, and a bidder for its bid.
SELLING, BIDDING = BALANCE - 4 * FEE, BALANCE - 2 * FEE


def sold(bids, units=1, reserve=1, unopened=(), agents=6):
    """The ledger after the close of Alice's auction, and what that close gave; bids are of agents 1, 2, 3 and so on."""
    net = Ledger(agents)
    net.put(ALICE, commit(net, ALICE))
    net.put(ALICE, auction(net, ALICE, units, CAP, reserve))
    net.close()
    for agent, amount in enumerate(bids, 1):
        net.put(agent, bid(net, agent, ALICE, amount, salt_of(agent)))
    wait(net, 4)
    for agent, amount in [(ALICE, reserve), *enumerate(bids, 1)]:
        if agent not in unopened:
            net.put(agent, open_bid(net, ALICE, amount, salt_of(agent)))
    net.close()
    return net, net.close()


def salt_of(agent):
    return digest(bytes([agent])) if agent else SALT


def won_lock(net, bidder):
    return won_lock_id(net.network, sale_of(net, ALICE), net.key(bidder), 5)


def lock_of(net, bidder):
    return net.state.find("locks", won_lock(net, bidder), Lock)


def balances(net, *agents):
    return [net.account(agent).balance for agent in agents]


def test_the_winners_payment_is_locked_at_the_second_price():
    net, closed = sold([40, 70, 60])
    assert lock_of(net, CAROL) == Lock(
        net.key(CAROL), net.key(ALICE), 60, digest(PREIMAGE), 5 + WON_LOCK_EPOCHS
    )
    assert (lock_of(net, BOB), lock_of(net, DAVE)) == (None, None)
    assert balances(net, ALICE, BOB, CAROL, DAVE) == [SELLING, BIDDING, BIDDING - 60, BIDDING]
    assert closed.sales[0].price == 60


def test_several_units_go_at_one_price():
    net, _ = sold([40, 70, 60], units=2)
    assert [lock_of(net, agent).amount for agent in (CAROL, DAVE)] == [40, 40]
    assert balances(net, BOB, CAROL, DAVE) == [BIDDING, BIDDING - 40, BIDDING - 40]


def test_the_reserve_price_is_the_least():
    net, closed = sold([40, 70], reserve=65)
    assert lock_of(net, CAROL).amount == 65
    assert closed.sales[0].reserve == 65


def test_below_the_reserve_price_nothing_is_sold():
    net, closed = sold([40, 70], reserve=71)
    assert balances(net, ALICE, BOB, CAROL) == [SELLING, BIDDING, BIDDING]
    assert (closed.sales[0].reserve, closed.sales[0].price) == (71, None)


def test_without_bids_the_seller_has_its_deposit_back():
    net, closed = sold([])
    assert balances(net, ALICE) == [SELLING]
    assert closed.sales[0].bids == ()


def test_an_unopened_bid_burns_and_counts_for_nothing():
    net, closed = sold([40, 70, 60], unopened=[CAROL])
    assert lock_of(net, DAVE).amount == 40
    assert balances(net, ALICE, CAROL) == [SELLING, BIDDING - CAP]
    assert [line.burned for line in closed.sales[0].bids if line.amount is None] == [CAP]
    assert net.state.totals().burned == 10 * FEE + CAP


def test_an_unopened_reserve_price_sells_nothing_and_burns_the_sellers_deposit():
    net, closed = sold([40, 70], unopened=[ALICE, BOB])
    assert balances(net, ALICE, BOB, CAROL) == [SELLING - CAP, BIDDING - CAP, BIDDING]
    assert lock_of(net, CAROL) is None
    assert (closed.sales[0].reserve, closed.sales[0].price, closed.sales[0].burned) == (None, None, CAP)


def test_nothing_of_an_auction_stays_but_its_locks():
    net, _ = sold([40, 70, 60])
    assert [len(net.state.tables[name].rows) for name in ("auctions", "bids", "locks")] == [0, 0, 1]


def test_the_seller_is_paid_when_it_gives_the_key_away():
    net, _ = sold([40, 70])
    net.put(ALICE, Unlock(won_lock(net, CAROL), PREIMAGE))
    for _ in range(3):
        net.close()
    assert balances(net, ALICE, CAROL) == [SELLING, BIDDING - 40], "without a bond the claim waits"
    net.put(ALICE, Bond(40, "agent"))
    for _ in range(3):
        net.close()
    assert balances(net, ALICE, CAROL) == [SELLING - FEE, BIDDING - 40], "what it got is what it bonded"


def test_a_winner_whose_seller_is_silent_has_its_payment_back():
    net, _ = sold([40, 70])
    wait(net, 5 + WON_LOCK_EPOCHS + 1)
    assert balances(net, ALICE, CAROL) == [SELLING, BIDDING]


def test_ties_are_drawn_by_all_opened_salts():
    net, closed = sold([50, 50, 50])
    opened = {net.key(agent): salt_of(agent) for agent in range(4)}
    seed = digest(b"".join(opened[key] for key in sorted(opened)))
    winner = min((net.key(agent) for agent in (BOB, CAROL, DAVE)), key=lambda key: digest(seed + key))
    assert [line.bidder for line in closed.sales[0].bids if line.paid] == [winner]


def test_every_salt_moves_the_draw():
    """Bids of one amount, the salt of one bidder varied: now one wins, now another."""
    winners = set()
    for number in range(12):
        net, key = Ledger(), digest(b"auction")
        net.state.put("auctions", key, auction_row(net))
        for agent in range(4):
            salt = digest(bytes([number])) if agent == DAVE else salt_of(agent)
            net.state.put("bids", key + net.key(agent), Bid(SALT, CAP, 50, salt))
        sale = advance_auctions(net.state, net.network, 5)[0]
        winners |= {line.bidder for line in sale.bids if line.paid}
    assert winners == {net.key(agent) for agent in (BOB, CAROL, DAVE)}


def auction_row(net):
    return Auction(net.key(ALICE), SALT, 1, CAP, digest(PREIMAGE), 1)


def test_auctions_end_each_in_their_epoch_without_touching_each_other():
    net = Ledger()
    keys = sorted(digest(bytes([number])) for number in range(3))
    for key, opens in zip(keys, (1, 2, 1), strict=True):
        net.state.put("auctions", key, replace(auction_row(net), opens=opens))
        for agent in (ALICE, BOB):
            net.state.put("bids", key + net.key(agent), Bid(SALT, CAP, 7, SALT))
    held = net.state.supply()
    assert [sale.auction for sale in advance_auctions(net.state, net.network, 5)] == [keys[0], keys[2]]
    assert advance_auctions(net.state, net.network, 5) == []
    assert [sale.auction for sale in advance_auctions(net.state, net.network, 6)] == [keys[1]]
    assert net.state.supply() == held


def test_the_order_in_which_rows_came_does_not_matter():
    net, key = Ledger(), digest(b"auction")
    net.state.put("auctions", key, replace(auction_row(net), units=2))
    for agent in range(5):
        net.state.put("bids", key + net.key(agent), Bid(SALT, CAP, 7, salt_of(agent)))
    twin = copy_state(net.state)
    assert advance_auctions(twin, net.network, 5) == advance_auctions(net.state, net.network, 5)
    assert twin.root() == net.state.root()


def test_an_auction_held_again_leaves_the_lock_of_the_first_alone():
    net, key = Ledger(), digest(b"auction")
    for epoch in (5, 9):
        net.state.put("auctions", key, replace(auction_row(net), opens=epoch - 4))
        for agent in (ALICE, BOB):
            net.state.put("bids", key + net.key(agent), Bid(SALT, CAP, 7, SALT))
        held = net.state.supply()
        advance_auctions(net.state, net.network, epoch)
        assert net.state.supply() == held
    assert [row.until for _, row in net.state.items("locks", Lock)].count(9 + WON_LOCK_EPOCHS) == 1
    assert len(net.state.tables["locks"].rows) == 2


def test_the_emissions_root_covers_sales_after_settlements():
    _, closed = sold([40, 70])
    assert closed.sales
    assert closed.emissions_root == root(emission_leaves(closed.settlements) + sale_leaves(closed.sales))
    assert replace(closed, sales=()).emissions_root != closed.emissions_root


amounts = st.lists(st.integers(1, 6), max_size=5)


@settings(max_examples=30)
@given(amounts, st.integers(1, 3), st.integers(1, 6), st.sets(st.integers(0, 5)))
def test_every_deposit_ends_in_a_lock_a_balance_or_the_fire(bids, units, reserve, unopened):
    net, closed = sold(bids, units, reserve, unopened)
    (sale,) = closed.sales
    assert net.state.is_conserved()
    assert all(line.paid + line.returned + line.burned == CAP for line in sale.bids)
    assert sale.burned == (CAP if ALICE in unopened else 0)
    assert {line.burned for line in sale.bids if line.amount is None} <= {CAP}
    locks = [row.amount for _, row in net.state.items("locks", Lock)]
    assert sorted(locks) == sorted(line.paid for line in sale.bids if line.paid)


@pytest.mark.parametrize("value", [1, 3, 5])
def test_through_the_whole_protocol_the_truth_pays_best(value):
    """Bob's gain over all bids that it might seal, against two others, from ops to balances."""
    gains = {}
    for amount in range(1, 6):
        net, _ = sold([amount, 3, 2], reserve=2)
        lock = lock_of(net, BOB)
        gains[amount] = value - lock.amount if lock else 0
    assert gains[value] == max(gains.values())
