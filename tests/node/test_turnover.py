"""What the market did is counted from states and logs: locks made, claimed, paid, returned; auctions; ops by name."""

from troth_node.agent import Lot, Quote, Want
from troth_node.testing.bazaar import DOCUMENT, PRICE, Bazaar, Buyer, Seller
from troth_node.testing.samples import TOKEN
from troth_node.turnover import Turnover
from troth_protocol.log.committee import Committee, Member
from troth_protocol.log.ops import Agree, Transfer
from troth_protocol.log.rows import Promise

WEIGHT = 300_000


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


class Citing(Seller):
    """Gives it for a citation."""

    price = 0

    def quote(self, request):
        return Quote(WEIGHT)


class Priced(Seller):
    """Wants a citation besides."""

    def quote(self, request):
        return Quote(WEIGHT, PRICE)


class Promising(Buyer):
    """Promises to cite."""

    pay_ppm = WEIGHT


def turnover(*cast, epochs=20, **options):
    """Every close of a day at the bazaar, by its states."""
    bazaar, found = Bazaar(commit=8, cast=cast, **options), Turnover()
    bazaar.start()
    for _ in range(epochs):
        bazaar._live()
        before, committee, logs = bazaar.core(0).chain.state, bazaar.core(0).chain.committee, logs_of(bazaar)
        bazaar.close()
        found.add(before, bazaar.core(0).chain.newest, logs, committee)
    return bazaar, found


def logs_of(bazaar):
    """The logs of the open epoch."""
    logs = {}
    for stored in bazaar.core(0).chain.book.stored.values():
        logs.setdefault(stored.entry.header.author, []).append(stored)
    return logs


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


def test_nodes_are_believed_for_what_no_log_tells():
    counts = turnover(Seller, Buyer)[1].counts({"negotiations": 5, "deliveries": 4})
    assert (counts["negotiations"], counts["deliveries"], counts["agreements"]) == (5, 4, 1)


# An agreement is counted once


def test_a_promise_and_its_receipt_are_one_agreement():
    bazaar, found = turnover(Citing, Promising)
    [promise] = [row for _, row in bazaar.core(0).chain.state.items("promises", Promise)]
    assert promise.bound, "the seller has recorded the receipt"
    assert (found.locks, found.promises) == (0, 1)
    assert found.counts({})["agreements"] == 1


def test_a_promise_and_its_lock_are_one_agreement():
    _, found = turnover(Priced, Promising)
    assert (found.locks, found.promises) == (1, 1)
    assert found.counts({})["agreements"] == 1


def test_a_promise_and_its_lock_are_one_agreement_in_whatever_close_the_lock_comes():
    found = Turnover(locked={(b"buyer", b"hash")})
    found._add_promises(b"buyer", [agree(hash=b"hash", commit=b"commit")])
    assert found.counts({})["agreements"] == 1


def test_an_auction_and_a_price_alone_are_an_agreement_each():
    for seller, buyer in ((Seller, Buyer), (Auctioneer, Bidder)):
        _, found = turnover(seller, buyer)
        assert (found.promises, found.counts({})["agreements"]) == (0, 1)


def test_two_buyers_of_one_signal_agree_for_themselves():
    _, found = turnover(Priced, Promising, Promising)
    assert (found.locks, found.promises) == (2, 2)
    assert found.counts({})["agreements"] == 2


def test_a_lock_of_somebody_else_under_the_same_hash_is_another_agreement():
    found = Turnover(locked={(b"buyer", b"hash"), (b"other", b"hash")})
    found._add_promises(b"buyer", [agree(hash=b"hash", commit=b"commit"), Transfer(b"", 1, b"")])
    assert found.counts({})["agreements"] == 2


def test_what_a_seller_records_is_none():
    found = Turnover()
    found._add_promises(b"seller", [agree(receipt=b"receipt", receipt_signature=b"signed")])
    assert found.counts({})["agreements"] == 0


def agree(**options):
    """An op of which only its form counts."""
    return Agree(b"", b"", b"", **options)


def test_who_joins_and_leaves_the_witnesses_is_counted():
    found = one_close(Committee((Member(b"x" * 32, 1), Member(b"y" * 32, 1))))
    assert (found.bonded_in, found.bonded_out) == (1, 2)


def one_close(committee):
    """A close at which nothing else happened, of one witness."""
    bazaar, found = Bazaar(), Turnover()
    bazaar.start()
    bazaar.close()
    chain = bazaar.core(0).chain
    found.add(chain.state, chain.newest, {}, committee)
    return found
