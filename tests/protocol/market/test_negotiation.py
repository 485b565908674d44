"""Negotiations as dialogues between a buyer and a seller."""

import pytest

from troth_protocol.errors import Invalid
from troth_protocol.log.agreement import AGREEMENT
from troth_protocol.market.negotiation import (
    Accepted,
    Agreed,
    Countered,
    Delivered,
    Ended,
    Negotiation,
    Offered,
    Received,
    Rejected,
    Repeated,
    Withdrawn,
)
from troth_protocol.market.transcript import MAX_ROUNDS
from troth_protocol.wire.crypto import digest


def test_the_whole_plain_path(pair):
    talk = pair()
    assert (talk.seller.request.document, talk.seller.role, talk.buyer.role) == (
        digest(b"weather"),
        "seller",
        "buyer",
    )
    assert talk.says("seller", "offer", pair.terms) == Offered(pair.terms)
    accepted = talk.says("buyer", "accept")
    assert AGREEMENT.decode(accepted.agreement).min_weight_ppm == 200_000
    assert talk.buyer.agreement is None
    assert talk.says("seller", "accept") == Agreed(talk.seller.agreement)
    parts = pair.delivery()
    assert talk.deliver() == Delivered(**parts)
    receipt = talk.says("buyer", "receipt")
    assert receipt == Received(digest(pair.payload), talk.sent["receipt"])
    assert talk.buyer.is_over()
    assert talk.seller.is_over()


def test_a_counter_that_the_seller_takes(pair):
    talk = pair().reach("offered")
    cheaper = pair.make_terms(min_weight_ppm=120_000, expires=14)
    assert talk.says("buyer", "counter", cheaper) == Countered(cheaper)
    assert isinstance(talk.says("seller", "accept"), Accepted)
    assert talk.seller.deadline == 16  # 14, one epoch to confirm, one of slack for who waits
    assert isinstance(talk.says("buyer", "accept"), Agreed)
    agreement = AGREEMENT.decode(talk.buyer.agreement.agreement)
    assert (agreement.min_weight_ppm, agreement.deliver) == (120_000, 16)
    assert agreement.transcript == talk.buyer._said.said[2].signed.id


def test_turns_go_back_and_forth(pair):
    talk = pair()
    turns = [(talk.buyer.is_my_turn(), talk.seller.is_my_turn())]
    for who, what in [("seller", "offer"), ("buyer", "counter"), ("seller", "offer"), ("buyer", "counter")]:
        talk.says(who, what, pair.terms)
        turns.append((talk.buyer.is_my_turn(), talk.seller.is_my_turn()))
    assert turns == [(False, True), (True, False)] * 2 + [(False, True)]
    assert talk.buyer.rounds == MAX_ROUNDS
    with pytest.raises(Invalid, match="too_many_rounds"):
        talk.seller.offer(pair.terms)
    assert isinstance(talk.says("seller", "accept"), Accepted)


def test_no_is_an_answer_to_everything(pair):
    for state, who in [
        ("requested", "seller"),
        ("offered", "buyer"),
        ("countered", "seller"),
        ("buyer_accepted", "seller"),
        ("seller_accepted", "buyer"),
    ]:
        talk = pair().reach(state)
        assert talk.says(who, "reject", "no") == Rejected("no")
        assert talk.buyer.state == talk.seller.state == "rejected"
        assert (talk.buyer.agreement, talk.seller.agreement) == (None, None)


def test_taking_back_ones_word(pair):
    for state, who in [("requested", "buyer"), ("offered", "seller"), ("countered", "buyer")]:
        talk = pair().reach(state)
        assert talk.says(who, "withdraw", "sorry") == Withdrawn("sorry")
        assert talk.buyer.state == talk.seller.state == "withdrawn"


@pytest.mark.parametrize(
    ("state", "who", "answer"),
    [
        ("requested", "buyer", ("offer", None)),
        ("offered", "seller", ("counter", None)),
        ("offered", "seller", ("accept",)),
        ("countered", "buyer", ("offer", None)),
        ("countered", "buyer", ("accept",)),
    ],
)
def test_a_withdrawal_crosses_the_answer(pair, state, who, answer):
    talk = pair().reach(state)
    withdrawing, answering = talk.sides(who)
    name, *arguments = answer
    crossing = getattr(answering, name)(*(pair.terms for _ in arguments))
    assert talk.says(who, "withdraw", "sorry") == Withdrawn("sorry")
    assert answering.state == withdrawing.state == "withdrawn"
    assert talk.code_of(withdrawing, crossing) == "out_of_state"


def test_whoever_signed_cannot_withdraw(pair):
    talk = pair().reach("buyer_accepted")
    with pytest.raises(Invalid, match="wrong_party"):
        talk.buyer.withdraw("regret")
    assert talk.says("seller", "withdraw", "too late for me") == Withdrawn("too late for me")


@pytest.mark.parametrize(
    ("state", "buyer", "seller", "outcome"),
    [
        ("requested", 13, 12, "unanswered"),
        ("offered", 13, 14, "lapsed"),
        ("countered", 14, 13, "lapsed"),
        ("buyer_accepted", 15, 14, "unconfirmed"),
        ("seller_accepted", 14, 15, "unconfirmed"),
        ("agreed", 17, 16, "undelivered"),
        ("delivered", 18, 19, "unreceipted"),
    ],
)
def test_silence_has_a_name(pair, state, buyer, seller, outcome):
    """Each side's last epoch: whoever waits has one more than whoever acts."""
    talk = pair().reach(state)
    for side, last in [(talk.buyer, buyer), (talk.seller, seller)]:
        assert side.deadline == last
        assert side.expire(last) is None
        assert side.expire(last + 1) == Ended(outcome)
        assert side.expire(last + 2) is None
        assert (side.state, side.is_over(), side.is_my_turn()) == (outcome, True, False)


def test_an_agreement_outlives_the_silence_after_it(pair):
    talk = pair().reach("agreed")
    talk.buyer.expire(99)
    assert talk.buyer.state == "undelivered"
    assert talk.buyer.agreement == talk.seller.agreement


def test_the_epoch_never_goes_back(pair):
    talk = pair()
    talk.buyer.expire(12)
    talk.buyer.expire(3)
    assert talk.buyer.epoch == 12


def test_a_confirmation_within_the_slack(pair):
    talk = pair().reach("offered")
    talk.buyer.expire(13)
    assert isinstance(talk.says("buyer", "accept"), Accepted)
    talk.seller.expire(14)
    talk.buyer.expire(15)
    assert isinstance(talk.says("seller", "accept"), Agreed)


def test_a_repeated_message_gets_its_answer_again(pair):
    talk = pair().reach("received")
    sent = talk.sent
    replies = {
        "request": ("offer", "seller accept", "deliver"),
        "buyer accept": ("seller accept", "deliver"),
        "receipt": (),
    }
    for name, answers in replies.items():
        again = talk.seller.receive(sent[name].body, sent[name].signature)
        assert again == Repeated(tuple(sent[each] for each in answers))
    again = talk.buyer.receive(sent["deliver"].body, sent["deliver"].signature)
    assert again == Repeated((sent["receipt"],))


def test_a_repeated_message_that_waits_for_its_answer(pair):
    talk = pair().reach("offered")
    offer = talk.sent["offer"]
    assert talk.buyer.receive(offer.body, offer.signature) == Repeated(())
    talk.buyer.expire(99)
    assert talk.buyer.receive(offer.body, offer.signature) == Repeated(())
    assert talk.buyer.state == "lapsed"


def test_what_to_send_again_when_a_link_comes_back(pair):
    talk = pair()
    assert talk.buyer.unanswered() == (talk.request,)
    assert talk.seller.unanswered() == ()
    talk.reach("buyer_accepted")
    assert talk.buyer.unanswered() == (talk.sent["buyer accept"],)
    accept = talk.seller.accept()
    parts = pair.delivery()
    deliver = talk.seller.deliver(**parts)
    assert talk.seller.unanswered() == (accept, deliver)
    for trade in talk.seller.unanswered():
        talk.buyer.receive(trade.body, trade.signature)
    assert talk.buyer.state == "delivered"


def test_a_restart_in_the_middle(pair):
    talk = pair().reach("buyer_accepted")
    talk.seller = Negotiation.resume(talk.seller_keys, pair.network, 11, talk.seller.transcript())
    assert (talk.seller.role, talk.seller.state, talk.seller.epoch) == ("seller", "buyer_accepted", 11)
    assert isinstance(talk.says("seller", "accept"), Agreed)
    with pytest.raises(Invalid, match="wrong_party"):
        Negotiation.resume(talk.stranger_keys, pair.network, 11, talk.seller.transcript())


def test_two_alike_are_told_apart_by_their_nonce(pair):
    first, second = pair(), pair(nonce=b"m" * 16)
    assert first.buyer.id == first.seller.id != second.buyer.id
    assert first.buyer.has(first.buyer.id)
    assert not first.buyer.has(second.buyer.id)
