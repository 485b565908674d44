"""What the market did is counted from states and logs: locks made, claimed, paid, returned; auctions; ops by name."""

from types import SimpleNamespace

from troth_node.agent import Lot, Want
from troth_node.testing.bazaar import DOCUMENT, PRICE, Bazaar, Buyer, Seller
from troth_node.testing.samples import TOKEN
from troth_node.turnover import Turnover
from troth_protocol.log.committee import Committee, Member
from troth_protocol.log.ops import Agree, LockOp, Transfer


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
        before, committee = bazaar.core(0).chain.state, bazaar.core(0).chain.committee
        bazaar.close()
        found.add(before, bazaar.core(0).chain.newest, {}, committee)
    return bazaar, found


def test_a_price_is_locked_claimed_and_paid():
    bazaar, found = turnover(Seller, Buyer)
    assert (found.locks, found.claims, found.refunds, found.auctions) == (1, 1, 0, 0)
    assert found.counts({})["agreements"] == 1
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
    assert not found.paid


def test_ops_are_counted_by_name_and_nodes_are_believed_for_the_rest():
    ops = (Agree(b"", b"", b""), LockOp(b"", 1, b"", 5), Transfer(b"", 1, b""))
    counts = one_close([SimpleNamespace(entry=SimpleNamespace(ops=ops))]).counts(
        {"negotiations": 5, "deliveries": 4}
    )
    assert (counts["negotiations"], counts["deliveries"], counts["agreements"]) == (5, 4, 1)


def test_who_joins_and_leaves_the_witnesses_is_counted():
    found = one_close([], Committee((Member(b"x" * 32, 1), Member(b"y" * 32, 1))))
    assert (found.bonded_in, found.bonded_out) == (1, 2)


def one_close(log, committee=None):
    """A close at which nothing else happened, of one witness."""
    bazaar, found = Bazaar(), Turnover()
    bazaar.start()
    bazaar.close()
    chain = bazaar.core(0).chain
    found.add(chain.state, chain.newest, {b"": log}, committee or chain.committee)
    return found
