"""Sealed-bid auctions: who wins, at what price, and that no bidder can do better than bid what it is worth."""

from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.market.auction import Award, Offer, compute_winners

NAMES = [bytes([number]) for number in range(8)]


def offers(*amounts, ranks=None):
    """One offer each, of bidders 0, 1, 2 and so on; without ranks the later is placed first."""
    ranks = ranks or range(len(amounts), 0, -1)
    return [Offer(name, a, bytes([r])) for name, a, r in zip(NAMES, amounts, ranks, strict=False)]


def won(found):
    """Numbers of the winners, and what they pay."""
    return [NAMES.index(name) for name in found.winners], found.price


# Winners and price


def test_one_unit_is_a_second_price_auction():
    assert won(compute_winners(offers(5, 9, 7), 1, 1)) == ([1], 7)


@pytest.mark.parametrize(
    ("units", "winners", "price"),
    [(1, [3], 8), (2, [3, 1], 6), (3, [3, 1, 2], 5), (4, [3, 1, 2, 0], 1), (9, [3, 1, 2, 0], 1)],
)
def test_all_winners_pay_the_highest_losing_bid(units, winners, price):
    assert won(compute_winners(offers(5, 8, 6, 9), units, 1)) == (winners, price)


@pytest.mark.parametrize(
    ("reserve", "winners", "price"),
    [(1, [1], 7), (7, [1], 7), (8, [1], 8), (9, [1], 9), (10, [], 10)],
)
def test_nobody_buys_below_the_reserve_price(reserve, winners, price):
    assert won(compute_winners(offers(5, 9, 7), 1, reserve)) == (winners, price)


def test_without_bids_nothing_is_sold():
    assert compute_winners([], 3, 5) == Award(5, ())


def test_of_equal_bids_the_lower_rank_wins_and_pays_what_it_bid():
    assert won(compute_winners(offers(7, 7, 7), 1, 1)) == ([2], 7)
    assert won(compute_winners(offers(7, 7, 7), 2, 1)) == ([2, 1], 7)
    assert won(compute_winners(offers(7, 7, 7, ranks=[1, 1, 1]), 2, 1)) == ([0, 1], 7)


@pytest.mark.parametrize("units", [0, -1])
def test_there_is_something_to_sell(units):
    with pytest.raises(Invalid, match="bad_parameter"):
        compute_winners(offers(5), units, 1)


@pytest.mark.parametrize(("amounts", "reserve"), [((0,), 1), ((5, -1), 1), ((5,), 0), ((), 0)])
def test_amounts_are_positive(amounts, reserve):
    with pytest.raises(Invalid, match="bad_amount"):
        compute_winners(offers(*amounts), 1, reserve)


def test_nobody_bids_twice():
    with pytest.raises(Invalid, match="duplicate"):
        compute_winners([*offers(5), *offers(6)], 1, 1)


# Properties

bids = st.lists(st.integers(1, 10**38 - 1) | st.integers(1, 5), max_size=8).map(lambda found: offers(*found))


@given(bids, st.integers(1, 5), st.integers(1, 6), st.randoms(use_true_random=False))
def test_the_order_of_the_bids_does_not_matter(found, units, reserve, random):
    shuffled = random.sample(found, len(found))
    assert compute_winners(shuffled, units, reserve) == compute_winners(found, units, reserve)


@given(bids, st.integers(1, 5), st.integers(1, 6))
def test_winners_bid_the_price_or_more_and_losers_the_price_or_less(found, units, reserve):
    award = compute_winners(found, units, reserve)
    eligible = [offer for offer in found if offer.amount >= reserve]
    assert len(award.winners) == len(set(award.winners)) == min(units, len(eligible))
    for offer in eligible:
        is_winner = offer.bidder in award.winners
        assert offer.amount >= award.price >= reserve if is_winner else offer.amount <= award.price
    assert award.price in {
        reserve,
        *(offer.amount for offer in eligible if offer.bidder not in award.winners),
    }


def gain(value, mine, others, ranks, units, reserve):
    """What bidder 0 gains if a unit is worth `value` to it and it bids `mine` (None: not at all)."""
    field = offers(value if mine is None else mine, *others, ranks=ranks)
    award = compute_winners(field[1:] if mine is None else field, units, reserve)
    return value - award.price if NAMES[0] in award.winners else 0


@pytest.mark.parametrize("units", [1, 2, 3])
@pytest.mark.parametrize("ranks", [(1, 2, 3, 4), (4, 3, 2, 1), (2, 1, 4, 3)])
def test_to_bid_what_it_is_worth_is_best_whatever_others_bid(units, ranks):
    """Every set of three other bids of 1 to 3, every reserve price, value and lie: ties are among them."""
    for others, reserve in product(product(range(1, 4), repeat=3), range(1, 4)):
        for value in range(1, 5):
            honest = gain(value, value, others, ranks, units, reserve)
            lies = (gain(value, lie, others, ranks, units, reserve) for lie in (None, 1, 2, 3, 4))
            assert honest >= max(0, *lies)


@given(
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.lists(st.integers(1, 10**6), max_size=6),
    st.integers(1, 4),
    st.integers(1, 10**6),
)
def test_to_bid_what_it_is_worth_is_best_at_any_scale(value, lie, others, units, reserve):
    ranks = range(len(others) + 1)
    honest = gain(value, value, others, ranks, units, reserve)
    assert honest >= max(0, gain(value, lie, others, ranks, units, reserve))


def test_a_tie_is_worth_nothing_to_whoever_wins_it():
    """So nobody who bids what it is worth has a reason to meddle with the ranks."""
    for ranks in permutations((1, 2, 3)):
        assert gain(7, 7, (7, 7), ranks, 2, 1) == 0


def test_a_shill_raises_the_price_no_further_than_the_reserve_price_could():
    """With the others' bids at 9 and 4, each price that a shill enforces is that of a reserve, or it buys itself."""
    for shill in range(1, 12):
        won_by, price = won(compute_winners(offers(9, 4, shill), 1, 1))
        as_reserve = compute_winners(offers(9, 4), 1, shill)
        assert won_by == [2] or won(as_reserve) == ([0], price)


CAP = 4


def takings(others, shills, is_open, units, reserve):
    """What a seller has of its auction if it leaves shut what is not open: sales to others, less the deposits burnt."""
    mine = [amount for amount, opened in zip(shills, is_open, strict=True) if opened]
    award = compute_winners(offers(*others, *mine), units, reserve)
    strangers = NAMES[: len(others)]
    return award.price * sum(winner in strangers for winner in award.winners) - CAP * is_open.count(False)


@pytest.mark.parametrize("units", [1, 2, 3])
def test_a_seller_that_has_seen_all_bids_gains_nothing_by_leaving_a_shill_shut(units):
    """Every two shills and two other bids of 1 to the cap: to open is never worse."""
    amounts = range(1, CAP + 1)
    for others, shills in product(product(amounts, repeat=2), product(amounts, repeat=2)):
        shown = takings(others, shills, (True, True), units, 1)
        for is_open in ((True, False), (False, True), (False, False)):
            assert shown >= takings(others, shills, is_open, units, 1)
