"""What the market did is counted from states and logs: locks made, claimed, paid, returned; auctions; ops by name."""

from types import SimpleNamespace

from troth_node.agent import Lot, Want
from troth_node.testing.bazaar import DOCUMENT, PRICE, Bazaar, Buyer, Seller
from troth_node.testing.samples import TOKEN
from troth_node.turnover import Turnover
from troth_protocol.log.ops import Bond, Unbond


class Auctioneer(Seller):
    """Puts its hint up."""

    def quote(self, request):
        return None

    def auction(self, question, production):
        return Lot(1, 2 * TOKEN, 4 * TOKEN)


class Bidder(Buyer):
    """Bids three tokens."""

    pay = 3 * TOKEN

    def wants(self, question):
        return [Want(DOCUMENT, 0, at_auction=True)]


def turnover(*cast, epochs=20, **options):
    """Every close of a day at the bazaar, by its states."""
    bazaar, found = Bazaar(commit=8, cast=cast, **options), Turnover()
    bazaar.start()
    for _ in range(epochs):
        bazaar._live()
        before = bazaar.core(0).chain.state
        bazaar.close()
        found.add(before, bazaar.core(0).chain.newest, {})
    return bazaar, found


def test_a_price_is_locked_claimed_and_paid():
    bazaar, found = turnover(Seller, Buyer)
    assert (found.locks, found.claims, found.refunds, found.auctions) == (1, 1, 0, 0)
    assert found.paid == {(bazaar.key(bazaar.buyer), bazaar.key(bazaar.seller)): PRICE}


def test_what_an_auction_locks_is_a_lock():
    _, found = turnover(Auctioneer, Bidder)
    assert (found.locks, found.claims, found.refunds, found.auctions) == (1, 1, 0, 1)
    assert sum(found.paid.values()) == 2 * TOKEN


def test_a_seller_that_is_gone_leaves_a_refund():
    steps = turnover(Seller, Buyer)[0].steps[1]
    _, found = turnover(Seller, Buyer, fuses=[(1, steps.index("write mark"))])
    assert (found.locks, found.claims, found.refunds) == (1, 0, 1)
    assert not found.paid


def test_a_price_that_was_cheated_for_is_returned():
    _, found = turnover(Seller, Buyer, is_cheating=True)
    assert (found.locks, found.claims, found.refunds) == (1, 1, 1)
    assert found.offences == {"misdelivery": 1}


def test_ops_are_counted_by_name_and_nodes_are_believed_for_the_rest():
    entry = SimpleNamespace(
        entry=SimpleNamespace(ops=(Bond(1, "agent"), Bond(1, "agent"), Unbond(1, "agent")))
    )
    bazaar = Bazaar()
    bazaar.start()
    bazaar.close()
    state, closed = bazaar.core(0).chain.state, bazaar.core(0).chain.newest
    found = Turnover()
    found.add(state, closed, {b"": [entry]})
    counts = found.counts({"negotiations": 5, "deliveries": 4})
    assert (counts["bonded_in"], counts["bonded_out"]) == (2, 1)
    assert (counts["negotiations"], counts["deliveries"], counts["agreements"]) == (5, 4, 0)
