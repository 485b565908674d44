"""The desk: every message finds its negotiation, nobody fills the room of others, and what is over is forgotten."""

import pytest

from troth_protocol.errors import Invalid
from troth_protocol.log.agreement import Receipt
from troth_protocol.market.desk import KEPT_EPOCHS, Desk, Limits
from troth_protocol.market.negotiation import Asked, Ended, Offered, Rejected, Repeated
from troth_protocol.market.trades import Offer, sign
from troth_protocol.market.transcript import MAX_ROUNDS


@pytest.fixture
def desks(pair):
    """(the buyer's desk, the seller's desk) in epoch 10."""
    return open_desk(pair, pair.buyer_keys), open_desk(pair, pair.seller_keys)


def open_desk(pair, keys, **limits):
    return Desk(keys, pair.network, pair.epoch, Limits(**limits))


def nonce(number):
    return number.to_bytes(16, "big")


def ask(pair, keys, number=0, seller=None, **changes):
    """A request that another agent signed."""
    seller = seller or pair.seller_keys.public
    request = pair.make_request(buyer=keys.public, seller=seller, nonce=nonce(number), **changes)
    return sign(keys, pair.network, request).trade


def refused(act, *arguments):
    with pytest.raises(Invalid) as error:
        act(*arguments)
    return error.value.code


def test_two_desks_reach_an_agreement(pair, desks):
    buying, selling = desks
    buyer, seller = pair.buyer_keys.public, pair.seller_keys.public
    mine, request = buying.ask(pair.make_request())
    theirs, event = selling.receive(buyer, request)
    assert event == Asked(mine.request)
    assert buying.receive(seller, theirs.offer(pair.terms)) == (mine, Offered(pair.terms))
    assert selling.receive(buyer, mine.accept())[0] is theirs
    assert buying.receive(seller, theirs.accept())[0] is mine
    assert mine.agreement == theirs.agreement
    assert list(buying) == [mine]
    assert selling.get(buyer, mine.id) is theirs
    assert selling.get(seller, mine.id) is None


def test_many_at_once_do_not_mix(pair, desks):
    buying, selling = desks
    buyer, seller = pair.buyer_keys.public, pair.seller_keys.public
    asked = [buying.ask(pair.make_request(nonce=nonce(number))) for number in range(5)]
    answered = [selling.receive(buyer, request)[0] for _, request in asked]
    for weight, ((mine, _), theirs) in enumerate(zip(asked, answered, strict=True), 1):
        found, event = buying.receive(seller, theirs.offer(pair.make_terms(min_weight_ppm=weight)))
        assert (found, event.terms.min_weight_ppm) == (mine, weight)


def test_both_may_sell_to_each_other(pair, desks):
    one, two = desks
    first, request = one.ask(pair.make_request())
    two.receive(first.request.buyer, request)
    turned = {"buyer": pair.seller_keys.public, "seller": pair.buyer_keys.public}
    second, request = two.ask(pair.make_request(**turned))
    one.receive(second.request.buyer, request)
    assert [each.role for each in one] == ["buyer", "seller"]


def test_a_repeated_request_is_answered_again(pair, desks):
    buying, selling = desks
    mine, request = buying.ask(pair.make_request())
    theirs, _ = selling.receive(mine.request.buyer, request)
    assert selling.receive(mine.request.buyer, request) == (theirs, Repeated(()))
    reject = theirs.reject("busy")
    assert selling.receive(mine.request.buyer, request) == (theirs, Repeated((reject,)))
    assert len(list(selling)) == 1
    assert buying.receive(mine.peer, reject) == (mine, Rejected("busy"))


def test_a_message_that_belongs_nowhere(pair, desks):
    buying, selling = desks
    mine, request = buying.ask(pair.make_request())
    theirs, _ = selling.receive(mine.request.buyer, request)
    offer = theirs.offer(pair.terms)
    assert refused(buying.receive, pair.stranger_keys.public, offer) == "wrong_prev"
    stray = sign(pair.seller_keys, pair.network, Receipt(*[b"p" * 32] * 4)).trade
    assert refused(buying.receive, mine.peer, stray) == "wrong_prev"


def test_a_request_for_somebody_else_leaves_nothing(pair, desks):
    _, selling = desks
    buyer = pair.buyer_keys.public
    elsewhere = ask(pair, pair.buyer_keys, seller=pair.stranger_keys.public)
    assert refused(selling.receive, buyer, elsewhere) == "wrong_party"
    assert refused(selling.receive, pair.stranger_keys.public, ask(pair, pair.buyer_keys)) == "wrong_party"
    assert list(selling) == []


def test_the_same_request_twice(pair, desks):
    buying, _ = desks
    mine, _ = buying.ask(pair.make_request())
    assert refused(buying.ask, pair.make_request()) == "duplicate"
    assert refused(buying.resume, mine.transcript()) == "duplicate"
    assert list(buying) == [mine]


def test_a_desk_after_a_restart(pair, desks):
    buying, selling = desks
    mine, request = buying.ask(pair.make_request())
    theirs, _ = selling.receive(mine.request.buyer, request)
    offer = theirs.offer(pair.terms)
    again = open_desk(pair, pair.buyer_keys)
    resumed = again.resume(mine.transcript())
    assert again.receive(mine.peer, offer) == (resumed, Offered(pair.terms))


# Quotas


def test_a_peer_has_its_share_and_no_more(pair):
    selling = open_desk(pair, pair.seller_keys, peer=3)
    greedy, other = pair.buyer_keys, pair.stranger_keys
    for number in range(3):
        selling.receive(greedy.public, ask(pair, greedy, number))
    assert refused(selling.receive, greedy.public, ask(pair, greedy, 3)) == "too_many"
    first = selling.get(greedy.public, next(iter(selling)).id)
    first.reject("no")
    assert refused(selling.receive, greedy.public, ask(pair, greedy, 3)) == "too_many"
    assert isinstance(selling.receive(other.public, ask(pair, other))[1], Asked)


def test_a_crowd_fills_no_room_of_the_agents_own(pair):
    selling = open_desk(pair, pair.seller_keys, total=2)
    for keys in (pair.buyer_keys, pair.stranger_keys):
        selling.receive(keys.public, ask(pair, keys))
    assert refused(selling.receive, pair.buyer_keys.public, ask(pair, pair.buyer_keys, 1)) == "too_many"
    own = pair.make_request(buyer=pair.seller_keys.public, seller=pair.buyer_keys.public)
    negotiation, _ = selling.ask(own)
    assert negotiation.role == "buyer"


def test_an_agent_asks_within_its_own_limits(pair):
    buying = open_desk(pair, pair.buyer_keys, peer=1)
    buying.ask(pair.make_request())
    assert refused(buying.ask, pair.make_request(nonce=nonce(1))) == "too_many"


def test_room_is_free_again_once_a_negotiation_is_forgotten(pair):
    selling = open_desk(pair, pair.seller_keys, peer=1)
    buyer = pair.buyer_keys
    selling.receive(buyer.public, ask(pair, buyer))
    selling.advance(13)
    selling.advance(13 + KEPT_EPOCHS + 1)
    assert list(selling) == []
    later = {"deliver": 40, "expires": 30}
    assert isinstance(selling.receive(buyer.public, ask(pair, buyer, 1, **later))[1], Asked)


# Epochs


def test_epochs_end_what_is_silent_and_forget_what_is_over(pair, desks):
    buying, _ = desks
    short, _ = buying.ask(pair.make_request())
    long, _ = buying.ask(pair.make_request(nonce=nonce(1), deliver=40, expires=40))
    assert buying.advance(13) == []
    assert buying.advance(14) == [(short, Ended("unanswered"))]
    assert buying.advance(14 + KEPT_EPOCHS) == []
    assert list(buying) == [short, long]
    assert buying.advance(14 + KEPT_EPOCHS + 1) == []
    assert list(buying) == [long]
    buying.advance(3)
    assert buying.epoch == 14 + KEPT_EPOCHS + 1


def test_a_request_is_remembered_as_long_as_it_could_begin_again(pair, desks):
    _, selling = desks
    buyer = pair.buyer_keys
    request = ask(pair, buyer, deliver=40, expires=40)
    negotiation, _ = selling.receive(buyer.public, request)
    reject = negotiation.reject("no")
    for epoch in range(11, 41):
        selling.advance(epoch)
        assert selling.receive(buyer.public, request) == (negotiation, Repeated((reject,)))
    selling.advance(41)
    assert list(selling) == []
    assert refused(selling.receive, buyer.public, request) == "expired"


def test_an_agreement_waits_for_its_delivery(pair, desks):
    buying, selling = desks
    mine, request = buying.ask(pair.make_request(deliver=40))
    theirs, _ = selling.receive(mine.request.buyer, request)
    buying.receive(mine.peer, theirs.offer(pair.make_terms(deliver=40)))
    selling.receive(theirs.peer, mine.accept())
    buying.receive(mine.peer, theirs.accept())
    assert (buying.advance(40), selling.advance(40)) == ([], [])
    assert (list(buying), list(selling)) == ([mine], [theirs])
    assert selling.advance(41) == [(theirs, Ended("undelivered"))]


def test_what_to_send_again_to_one_peer(pair, desks):
    buying, _ = desks
    assert buying.unanswered(pair.seller_keys.public) == []
    open_one, request = buying.ask(pair.make_request())
    over, again = buying.ask(pair.make_request(nonce=nonce(1), deliver=40, expires=40))
    buying.ask(pair.make_request(seller=pair.stranger_keys.public))
    withdraw = over.withdraw()
    assert buying.unanswered(open_one.peer) == [request, again, withdraw]
    buying.advance(14)
    assert buying.unanswered(open_one.peer) == [again, withdraw]


def test_a_hostile_peer_does_not_stop_an_honest_one(pair):
    """Clause: quotas are per peer. End: the adversary is refused, the honest buyer is served to the last round."""
    selling = open_desk(pair, pair.seller_keys, peer=8)
    evil, honest = pair.stranger_keys, pair.buyer_keys
    for number in range(8):
        selling.receive(evil.public, ask(pair, evil, number))
    for number in range(8, 40):
        assert refused(selling.receive, evil.public, ask(pair, evil, number)) == "too_many"
        terms = {"min_weight_ppm": 9, "min_wager": 0, "floor": 0, "price": 0, "deliver": 16, "expires": 13}
        junk = sign(evil, pair.network, Offer(prev=nonce(number) * 2, **terms)).trade
        assert refused(selling.receive, evil.public, junk) == "wrong_prev"
    negotiation, _ = selling.receive(honest.public, ask(pair, honest))
    assert negotiation.offer(pair.terms)
    assert negotiation.rounds == 1 < MAX_ROUNDS
