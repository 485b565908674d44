"""What a side refuses, with which code; a refusal changes nothing, and the honest dialogue goes on."""

from dataclasses import replace

import pytest

from troth_protocol.errors import Invalid
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.agreement import AGREEMENT, Receipt, sign_agreement
from troth_protocol.market.negotiation import AHEAD_MAX_EPOCHS, Agreed, Delivered, Negotiation, Offered
from troth_protocol.market.trades import BODIES, Accept, Counter, Deliver, Offer, Reject, Withdraw, sign
from troth_protocol.market.transcript import MAX_ROUNDS
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import Trade

TERMS = {"min_weight_ppm": 9, "min_wager": 0, "floor": 0, "price": 0, "deliver": 16, "expires": 13}


def newest(side):
    return side._said.said[-1].signed.id


def refused(act, *arguments, **named):
    with pytest.raises(Invalid) as error:
        act(*arguments, **named)
    return error.value.code


# wrong_prev: a forged predecessor


def test_a_forged_predecessor(pair):
    talk = pair()
    forged = talk.forge("seller", Offer(prev=b"p" * 32, **TERMS))
    assert talk.code_of(talk.buyer, forged) == "wrong_prev"
    assert talk.says("seller", "offer", pair.terms) == Offered(pair.terms)


def test_an_answer_to_an_older_message(pair):
    talk = pair().reach("countered")
    late = talk.forge("seller", Offer(prev=talk.seller.id, **TERMS))
    assert talk.code_of(talk.buyer, late) == "wrong_prev"


def test_a_withdrawal_names_the_senders_own_last_message(pair):
    talk = pair().reach("countered")
    for prev in (talk.buyer.id, newest(talk.seller)):
        assert talk.code_of(talk.buyer, talk.forge("seller", Withdraw(prev, ""))) == "wrong_prev"


# out_of_state, wrong_party


@pytest.mark.parametrize(
    ("state", "who", "make", "code"),
    [
        ("requested", "seller", lambda prev: Receipt(prev, prev, prev, prev), "out_of_state"),
        ("requested", "buyer", lambda prev: Offer(prev=prev, **TERMS), "wrong_party"),
        ("requested", "seller", lambda prev: Counter(prev=prev, **TERMS), "out_of_state"),
        ("requested", "seller", lambda prev: Withdraw(prev, ""), "wrong_party"),
        ("requested", "seller", lambda prev: Accept(prev, b"", bytes(64)), "out_of_state"),
        ("offered", "seller", lambda prev: Offer(prev=prev, **TERMS), "out_of_state"),
        ("offered", "seller", lambda prev: Accept(prev, b"", bytes(64)), "wrong_party"),
        ("offered", "buyer", lambda prev: Offer(prev=prev, **TERMS), "out_of_state"),
        ("countered", "buyer", lambda prev: Reject(prev, ""), "wrong_party"),
        ("buyer_accepted", "buyer", lambda prev: Counter(prev=prev, **TERMS), "out_of_state"),
        ("buyer_accepted", "seller", lambda prev: Offer(prev=prev, **TERMS), "out_of_state"),
        ("seller_accepted", "buyer", lambda prev: Counter(prev=prev, **TERMS), "out_of_state"),
        ("agreed", "seller", lambda prev: Withdraw(prev, ""), "out_of_state"),
        ("agreed", "buyer", lambda prev: Reject(prev, ""), "out_of_state"),
        ("agreed", "buyer", lambda prev: Deliver(prev, prev, b"", prev, b""), "wrong_party"),
        ("delivered", "seller", lambda prev: Deliver(prev, prev, b"", prev, b""), "out_of_state"),
        ("delivered", "seller", lambda prev: Receipt(prev, prev, prev, prev), "wrong_party"),
        ("rejected", "buyer", lambda prev: Withdraw(prev, ""), "out_of_state"),
        ("received", "seller", lambda prev: Offer(prev=prev, **TERMS), "out_of_state"),
    ],
)
def test_a_message_out_of_place(pair, state, who, make, code):
    talk = pair().reach(state)
    _, listener = talk.sides(who)
    assert talk.code_of(listener, talk.forge(who, make(newest(listener)))) == code


def test_a_second_request_inside_a_negotiation(pair):
    talk = pair()
    other = talk.forge("buyer", pair.make_request(nonce=b"m" * 16))
    assert talk.code_of(talk.seller, other) == "out_of_state"


def test_a_side_refuses_its_own_mistakes(pair):
    talk = pair()
    assert refused(talk.seller.accept) == "out_of_state"
    assert refused(talk.buyer.receipt) == "out_of_state"
    assert refused(talk.buyer.offer, pair.terms) == "wrong_party"
    assert refused(talk.seller.reject, "x" * 201) == "bad_field"
    assert talk.says("seller", "offer", pair.terms) == Offered(pair.terms)


# changed_terms


@pytest.mark.parametrize(
    "change",
    [
        {"min_weight_ppm": 1},
        {"min_wager": 0},
        {"floor": 1},
        {"price": 1},
        {"deliver": 15},
        {"document": b"l" * 32},
        {"question": b"r" * 32},
        {"transcript": b"t" * 32},
    ],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize("state", ["offered", "buyer_accepted"])
def test_an_accept_of_other_terms(pair, state, change):
    talk = pair().reach(state)
    who = "buyer" if state == "offered" else "seller"
    _, listener = talk.sides(who)
    keys = pair.buyer_keys if who == "buyer" else pair.seller_keys
    other = AGREEMENT.encode(replace(AGREEMENT.decode(listener._said.implied_agreement()), **change))
    accept = Accept(newest(listener), other, sign_agreement(keys, pair.network, other))
    assert talk.code_of(listener, talk.forge(who, accept)) == "changed_terms"
    assert talk.says(who, "accept")


def test_an_accept_of_terms_that_were_countered(pair):
    talk = pair().reach("offered")
    cheap = talk.seller._said.implied_agreement()
    talk.says("buyer", "counter", pair.make_terms(min_weight_ppm=1))
    accept = Accept(newest(talk.buyer), cheap, sign_agreement(pair.seller_keys, pair.network, cheap))
    assert talk.code_of(talk.buyer, talk.forge("seller", accept)) == "changed_terms"


# bad_signature


def test_an_agreement_signed_by_somebody_else(pair):
    talk = pair().reach("buyer_accepted")
    agreement = talk.buyer._said.implied_agreement()
    for keys in (pair.buyer_keys, pair.stranger_keys):
        accept = Accept(newest(talk.buyer), agreement, sign_agreement(keys, pair.network, agreement))
        assert talk.code_of(talk.buyer, talk.forge("seller", accept)) == "bad_signature"
    assert isinstance(talk.says("seller", "accept"), Agreed)


def test_a_message_signed_by_somebody_else(pair):
    talk = pair()
    offer = Offer(prev=talk.buyer.id, **TERMS)
    forged = sign(pair.stranger_keys, pair.network, offer).trade
    assert talk.code_of(talk.buyer, forged) == "bad_signature"
    elsewhere = sign(pair.seller_keys, b"m" * 32, offer).trade
    assert talk.code_of(talk.buyer, elsewhere) == "bad_signature"


def test_ones_own_message_coming_back(pair):
    talk = pair()
    assert talk.code_of(talk.buyer, talk.request) == "bad_signature"


def test_a_repeated_message_with_a_spoilt_signature(pair):
    talk = pair().reach("offered")
    assert talk.code_of(talk.buyer, Trade(talk.sent["offer"].body, bytes(64))) == "bad_signature"


def test_a_request_signed_by_somebody_else(pair):
    forged = sign(pair.stranger_keys, pair.network, pair.make_request()).trade
    take = (pair.seller_keys, pair.network, 10, pair.buyer_keys.public, forged.body, forged.signature)
    assert refused(Negotiation.answer, *take) == "bad_signature"


# wrong_party at the beginning


def test_a_request_from_another_link_or_for_another_seller(pair):
    request = pair().request
    take = (pair.network, 10, pair.buyer_keys.public, request.body, request.signature)
    assert refused(Negotiation.answer, pair.stranger_keys, *take) == "wrong_party"
    assert refused(Negotiation.answer, pair.buyer_keys, *take) == "wrong_party"
    take = (pair.network, 10, pair.stranger_keys.public, request.body, request.signature)
    assert refused(Negotiation.answer, pair.seller_keys, *take) == "wrong_party"


def test_asking_in_anothers_name(pair):
    assert refused(Negotiation.ask, pair.seller_keys, pair.network, 10, pair.make_request()) == "wrong_party"


# too_many_rounds


def test_a_round_too_many(pair):
    talk = pair()
    for _ in range(MAX_ROUNDS // 2):
        talk.says("seller", "offer", pair.terms)
        talk.says("buyer", "counter", pair.terms)
    more = talk.forge("seller", Offer(prev=newest(talk.buyer), **TERMS))
    assert talk.code_of(talk.buyer, more) == "too_many_rounds"


# expired, bad_terms


def test_a_message_after_the_silence(pair):
    talk = pair()
    talk.buyer.expire(99)
    late = talk.seller.offer(pair.terms)
    assert talk.code_of(talk.buyer, late) == "expired"
    assert refused(talk.buyer.withdraw) == "expired"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"expires": 9}, "expired"),
        ({"expires": 17}, "bad_terms"),
        ({"deliver": 11 + AHEAD_MAX_EPOCHS}, "bad_terms"),
    ],
)
def test_terms_that_make_no_sense(pair, change, code):
    talk = pair()
    offer = talk.forge("seller", Offer(prev=talk.buyer.id, **(TERMS | change)))
    assert talk.code_of(talk.buyer, offer) == code
    assert refused(talk.seller.offer, pair.make_terms(**change)) == code
    assert refused(Negotiation.ask, pair.buyer_keys, pair.network, 10, pair.make_request(**change)) == code


def test_a_request_that_comes_too_late(pair):
    request = pair().request
    take = (pair.seller_keys, pair.network, 13, pair.buyer_keys.public, request.body, request.signature)
    assert refused(Negotiation.answer, *take) == "expired"


# deliveries


@pytest.mark.parametrize(
    ("changes", "swap", "code"),
    [
        ({}, {"payload": b"snow"}, "bad_digest"),
        ({}, {"salt": b"t" * 32}, "bad_digest"),
        ({}, {"commit": b"c" * 32}, "bad_digest"),
        ({}, {"contribution": b""}, "empty"),
        ({}, {"contribution": b"\x80"}, "missing_field"),
        ({"question": b"r" * 32}, {}, "wrong_question"),
        ({"payload": None}, {}, "bad_contribution"),
        ({"payload": None, "ppm": (400_000, 600_000)}, {}, "bad_probabilities"),
        ({"ppm": (400_000, 600_000)}, {}, "bad_contribution"),
        ({"citations": ((b"c" * 32, 0),)}, {}, "bad_citations"),
    ],
)
def test_a_delivery_that_does_not_fit(pair, changes, swap, code):
    talk = pair().reach("agreed")
    item = {k: v for k, v in changes.items() if k != "payload"}
    parts = pair.delivery(**item) if "payload" not in changes else without_payload(pair, item)
    parts |= swap
    assert refused(talk.seller.deliver, **parts) == code
    assert talk.code_of(talk.buyer, talk.forge("seller", Deliver(newest(talk.buyer), **parts))) == code
    assert isinstance(talk.deliver(), Delivered)


def without_payload(pair, item):
    return pair.delivery() | {
        "contribution": CONTRIBUTION.encode(Contribution(pair.question, "", (), **item))
    }


def test_a_receipt_for_something_else(pair):
    talk = pair().reach("delivered")
    commit = talk.delivery()["commit"]
    own = Receipt(newest(talk.seller), talk.buyer.agreement_id, commit, digest(talk.payload))
    for change, code in (
        ({"delivered": b"d" * 32}, "bad_digest"),
        ({"commit": b"c" * 32}, "bad_digest"),
        ({"agreement": b"a" * 32}, "wrong_agreement"),
    ):
        receipt = talk.forge("buyer", replace(own, **change))
        assert talk.code_of(talk.seller, receipt) == code
    heard = talk.says("buyer", "receipt")
    assert BODIES.decode(heard.signed.body) == own
