"""A budget: whatever is promised, bid, locked and paid, at once and through crashes, never adds up to more."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth_node.agent import Accept, Counter, Lot, Quote, Reject, Want
from troth_node.holds import Holds
from troth_node.purse import TABLE, Purse
from troth_node.testing.bazaar import DOCUMENT, HINT, PRICE, Bazaar, Buyer, Seller
from troth_node.testing.samples import TOKEN
from troth_protocol.core import EpochOpened
from troth_protocol.effects import Effects, Erase, Persist
from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import encode

QUESTIONS = 4
COMMIT_EPOCHS = 8
CAP = 4 * TOKEN


class Disk:
    """What a purse needs of a core: rows that survive it."""

    def __init__(self):
        self.rows = {}
        self.out = Effects()
        self.chain = SimpleNamespace(
            archive=SimpleNamespace(scan=lambda table, prefix: sorted(self.rows.items()))
        )

    def purse(self, budget):
        """What a restart finds."""
        for effect in self.out.drain():
            match effect:
                case Persist(table, key, value) if table == TABLE:
                    self.rows[key] = value
                case Erase(table, key) if table == TABLE:
                    self.rows.pop(key, None)
        return Purse(self, budget)


STEPS = st.tuples(
    st.sampled_from(["hold", "spend", "shrink", "release", "restart"]),
    st.sampled_from([b"a", b"b", b"c", b"d"]),
    st.integers(0, 12),
)


@given(budget=st.integers(0, 20), steps=st.lists(STEPS, max_size=40))
def test_what_is_held_never_exceeds_the_budget(budget, steps):
    disk = Disk()
    purse = disk.purse(budget)
    for step, key, amount in steps:
        if step == "restart":
            total = purse.total()
            purse = disk.purse(budget)
            assert purse.total() == total
        elif step == "release":
            purse.release(key)
        else:
            getattr(purse, step)(key, amount)
        assert purse.spent() <= purse.total() <= budget


def test_what_is_spent_never_comes_back():
    purse = Disk().purse(10)
    assert purse.hold(b"a", 6)
    purse.spend(b"a", 5)
    purse.shrink(b"a", 1)
    assert (purse.spent(), purse.open()) == (5, [])
    assert purse.hold(b"b", 5)
    assert not purse.hold(b"c", 1)
    assert purse.hold(b"c", 0)


def test_a_hold_is_renewed_but_not_raised():
    purse = Disk().purse(10)
    assert purse.hold(b"a", 6)
    assert purse.hold(b"a", 6)
    assert not purse.hold(b"a", 7)
    assert purse.total() == 6


def test_a_damaged_row_is_said_so():
    disk = Disk()
    disk.rows[b"a"] = encode([1, True])
    with pytest.raises(Invalid):
        disk.purse(10)


# At the bazaar


class Auctioneer(Seller):
    """Puts up a hint on every question."""

    def quote(self, request):
        return None

    def auction(self, question, production):
        return Lot(1, TOKEN, CAP)


class Haggler(Seller):
    """Asks for more than it takes."""

    def quote(self, request):
        return Quote(0, PRICE + TOKEN if request.round == 0 else PRICE)


class Bidder(Buyer):
    """Wants every hint, and bids three tokens for each."""

    def wants(self, question):
        return [Want(DOCUMENT, 0, at_auction=True)]

    def bid(self, auction):
        return 3 * TOKEN


class Countering(Buyer):
    """Offers its price for whatever costs more."""

    def consider(self, offer):
        if offer.price <= PRICE:
            return Accept()
        return Counter(0, PRICE) if offer.round == 0 else Reject()


class Rival(Bidder):
    """Bids two tokens, of a budget without end."""

    budget = 10**6 * TOKEN

    def bid(self, auction):
        return 2 * TOKEN


CASTS = {"price": (Seller, Buyer), "counter": (Haggler, Countering), "auction": (Auctioneer, Bidder, Rival)}


def shop(kind, budget, fuses=(), away=0, epochs=20):
    """A buyer with a budget and four questions at once; it is looked at as every epoch ends."""
    cast = CASTS[kind]
    buyer = type("Limited", (cast[1],), {"budget": budget})
    bazaar = Bazaar(commit=COMMIT_EPOCHS, cast=(cast[0], buyer, *cast[2:]), questions=QUESTIONS, fuses=fuses)
    gone = []
    close = bazaar.close

    def look(*arguments, **options):
        close(*arguments, **options)
        gone.append(outlay(bazaar))

    bazaar.close = look
    bazaar.run(away, epochs=epochs)
    return bazaar, gone


def outlay(bazaar):
    """What the buyer has less than at the start, to the token; no fee comes near one."""
    return (1_000 * TOKEN - bazaar.account(bazaar.buyer).balance) // TOKEN


@pytest.mark.parametrize("kind", CASTS)
def test_four_questions_at_once_are_bought_for_as_far_as_the_budget_goes(kind):
    bazaar, gone = shop(kind, 2 * PRICE + TOKEN if kind != "auction" else 2 * CAP)
    each = 2 if kind == "auction" else PRICE // TOKEN
    assert gone[-1] == 2 * each
    assert max(gone) <= 2 * (CAP if kind == "auction" else PRICE) // TOKEN
    assert bazaar.got.count(HINT) >= 2


def test_what_a_lost_bid_gives_back_is_held_no_more():
    class Poor(Rival):
        budget = 4 * CAP

    class Winner(Bidder):
        budget = 10**6 * TOKEN

    bazaar = Bazaar(commit=COMMIT_EPOCHS, cast=(Auctioneer, Poor, Winner), questions=QUESTIONS)
    bazaar.run(0, epochs=20)
    assert bazaar.players[bazaar.buyer].dealings.trader.purse.total() == 0


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(sorted(CASTS)),
    budget=st.integers(0, 25),
    place=st.integers(0, 40),
    away=st.integers(0, 3),
)
def test_no_crash_makes_it_spend_more(kind, budget, place, away):
    _, gone = shop(kind, budget * TOKEN, fuses=[(2, place), (2, place + 5)], away=away)
    assert max(gone) <= budget


def test_whoever_sleeps_through_the_decision_counts_a_hold_as_spent():
    bazaar = Bazaar(commit=COMMIT_EPOCHS)
    bazaar.start()
    trader = bazaar.players[2].dealings.trader
    holds = Holds(trader)
    assert trader.purse.hold(b"n", PRICE)
    holds.settle(EpochOpened(bazaar.core(2).epoch + 5, None))
    assert trader.purse.spent() == PRICE
