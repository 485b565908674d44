"""Auctions at a node: put up, bid for, opened, won, delivered; a party may die before every step, and nobody loses."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from troth_node.agent import Lot, Want
from troth_node.auctions import TABLE, Auctions
from troth_node.testing.bazaar import BOND, DOCUMENT, HINT, Bazaar, Buyer, Seller
from troth_node.testing.samples import TOKEN
from troth_protocol.errors import Invalid
from troth_protocol.log.rows import Auction, Lock
from troth_protocol.wire.codec import encode

START = (1_000 * TOKEN + BOND) // TOKEN
CAP = 10 * TOKEN
COMMIT_EPOCHS = 8
EPOCHS = 20


class Auctioneer(Seller):
    """Puts its hint up, from two tokens on."""

    lot = Lot(1, 2 * TOKEN, CAP)

    def quote(self, request):
        return None

    def auction(self, question, production):
        return self.lot


class Bidder(Buyer):
    """Bids three tokens."""

    budget = 100 * TOKEN
    most = 3 * TOKEN

    def wants(self, question):
        return [Want(DOCUMENT, 0, at_auction=True)]

    def bid(self, auction):
        return self.most


class Rich(Bidder):
    """Bids seven tokens."""

    most = 7 * TOKEN


class Timid(Bidder):
    """Bids less than the reserve price."""

    most = TOKEN


def hold(*cast, fuses=(), away=None, **options):
    """An auction from beginning to end."""
    bazaar = Bazaar(commit=COMMIT_EPOCHS, cast=cast, fuses=fuses, **options)
    bazaar.run(away, epochs=EPOCHS)
    state = bazaar.core(0).chain.state
    assert not list(state.items("locks", Lock))
    assert not list(state.items("auctions", Auction))
    return bazaar


def gains(bazaar):
    """What every trader has more than at the start, in tokens."""
    return [bazaar.tokens(agent) - START for agent in bazaar.steps]


def test_a_lone_bidder_pays_the_reserve_price():
    bazaar = hold(Auctioneer, Bidder)
    assert gains(bazaar) == [2, -2]
    assert bazaar.got == [HINT]


def test_the_highest_bid_pays_the_highest_that_loses():
    bazaar = hold(Auctioneer, Bidder, Rich)
    assert gains(bazaar) == [3, 0, -3]
    assert bazaar.got == [HINT]


def test_nothing_is_sold_below_the_reserve_price():
    bazaar = hold(Auctioneer, Timid)
    assert gains(bazaar) == [0, 0]
    assert bazaar.got == []


class Two(Auctioneer):
    """Two units."""

    lot = Lot(2, 2 * TOKEN, CAP)


def test_two_units_go_to_two_bidders_at_one_price():
    bazaar = hold(Two, Bidder, Rich, Timid)
    assert gains(bazaar) == [4, -2, -2, 0]
    assert bazaar.got == [HINT, HINT]


def test_with_four_witnesses_it_is_the_same():
    bazaar = hold(Auctioneer, Bidder, Rich, witnesses=4)
    assert gains(bazaar) == [3, 0, -3]
    assert bazaar.got == [HINT]


@settings(max_examples=20, deadline=None)
@given(
    reserve=st.integers(1, 10),
    units=st.integers(1, 3),
    bids=st.lists(st.integers(0, 12), min_size=1, max_size=4),
)
def test_winners_pay_the_first_bid_that_loses_or_the_reserve_price(reserve, units, bids):
    seller = type("AnySeller", (Auctioneer,), {"lot": Lot(units, reserve * TOKEN, CAP)})
    buyers = [type("AnyBidder", (Bidder,), {"most": amount * TOKEN}) for amount in bids]
    bazaar = hold(seller, *buyers)
    placed = sorted((min(bid, CAP // TOKEN) for bid in bids if bid >= reserve), reverse=True)
    price = placed[units] if len(placed) > units else reserve
    sold, *bought = gains(bazaar)
    assert sold == price * min(units, len(placed)) == -sum(bought)
    assert set(bought) <= {0, -price}
    assert bazaar.got == [HINT] * min(units, len(placed))


def test_a_bid_is_cut_to_the_cap():
    class Reckless(Rich):
        most = 50 * TOKEN

    bazaar = hold(Auctioneer, Reckless, Bidder)
    assert gains(bazaar) == [3, -3, 0]


@pytest.mark.parametrize("budget", [0, CAP - 1])
def test_no_bid_without_room_for_the_deposit(budget):
    class Poor(Bidder):
        pass

    Poor.budget = budget
    assert gains(hold(Auctioneer, Poor)) == [0, 0]


def test_nobody_else_gets_it_and_a_plain_request_is_refused():
    class Asking(Bidder):
        def wants(self, question):
            return [Want(DOCUMENT, 100_000)]

    bazaar = hold(Auctioneer, Asking, Bidder)
    assert gains(bazaar) == [2, 0, -2]
    assert bazaar.got == [HINT]


@pytest.mark.parametrize("lot", [Lot(0, 1, 1), Lot(65, 1, 1), Lot(1, 0, 1), Lot(1, 2, 1), "lot"])
def test_a_lot_that_nobody_could_buy_is_not_put_up(lot):
    class Odd(Auctioneer):
        pass

    Odd.lot = lot
    bazaar = hold(Odd, Bidder)
    assert gains(bazaar) == [0, 0]
    assert "write lot" not in bazaar.steps[bazaar.seller]


def test_a_short_commit_phase_has_no_auctions():
    bazaar = Bazaar(commit=4, cast=(Auctioneer, Bidder))
    bazaar.run()
    assert gains(bazaar) == [0, 0]


def test_a_lot_whose_deposit_is_not_there_is_not_put_up():
    class Dear(Auctioneer):
        lot = Lot(1, 1, 10**6 * TOKEN)

    with capture_logs() as logs:
        assert gains(hold(Dear, Bidder)) == [0, 0]
    assert any("deposit is not free" in line["event"] for line in logs)


def test_a_cheated_winner_has_its_price_back():
    bazaar = hold(Auctioneer, Bidder, is_cheating=True)
    seller, buyer = gains(bazaar)
    assert buyer == 0
    assert seller < 0


# Crashes

STORIES = {cast: hold(*cast).steps for cast in [(Auctioneer, Bidder)]}


@pytest.mark.parametrize("away", [0, 1])
@pytest.mark.parametrize("party", [1, 2])
def test_whoever_dies_and_comes_back_nobody_is_cheated(party, away):
    [(cast, steps)] = STORIES.items()
    for place in range(len(steps[party])):
        bazaar = hold(*cast, fuses=[(party, place)], away=away)
        assert not bazaar.fuses
        assert gains(bazaar) in ([2, -2], [0, 0])
        assert (HINT in bazaar.got) == (gains(bazaar) == [2, -2])


@pytest.mark.parametrize("party", [1, 2])
def test_who_never_comes_back_costs_the_other_nothing(party):
    [(cast, steps)] = STORIES.items()
    for place in range(len(steps[party])):
        sold, bought = gains(hold(*cast, fuses=[(party, place)]))
        other = sold if party == 2 else bought
        assert other in (0, 2 if party == 2 else -2)


def test_rows_are_gone_when_all_is_over():
    bazaar = Bazaar(commit=COMMIT_EPOCHS, cast=(Auctioneer, Bidder))
    bazaar.run(epochs=30)
    for agent in bazaar.steps:
        assert list(bazaar.seats[agent].disk.scan(TABLE, b"")) == []


def test_a_damaged_row_is_said_so():
    bazaar = Bazaar()
    bazaar.start()
    bazaar.seats[0].disk.tables[TABLE] = {b"z": encode(True)}
    with pytest.raises(Invalid):
        Auctions(bazaar.core(0))
