"""Transcripts: the table is whole, and a chain of signed messages says offline what it amounts to."""

import pytest

from troth_protocol.errors import Invalid
from troth_protocol.log.agreement import Receipt, load_agreement
from troth_protocol.market.trades import BODIES, Offer, sign
from troth_protocol.market.transcript import (
    BUYER,
    CLOCK,
    OTHER,
    REQUESTED,
    SELLER,
    SILENCES,
    TABLE,
    TURNS,
    Transcript,
    verify_transcript,
)
from troth_protocol.wire.crypto import digest

ENDS = {state for state, rows in TABLE.items() if not rows}
LIVE = set(TABLE) - ENDS


def steps(state):
    return [(who, name, to) for who, rows in TABLE[state].items() for name, to in rows.items()]


def refusal(network, items):
    with pytest.raises(Invalid) as refused:
        verify_transcript(network, items)
    return refused.value.code


def test_every_state_is_reached_and_has_a_row():
    reached = {REQUESTED} | {to for state in TABLE for _, _, to in steps(state)}
    assert reached == set(TABLE)


def test_every_message_but_the_request_is_in_the_table():
    said = {name for state in TABLE for _, name, _ in steps(state)}
    assert said == set(BODIES.records) - {"request"} | {"silence"}


@pytest.mark.parametrize("state", sorted(LIVE))
def test_silence_ends_every_state_and_one_party_has_the_turn(state):
    assert TABLE[state][CLOCK]["silence"] in ENDS & SILENCES
    speakers = [who for who in (BUYER, SELLER) if set(TABLE[state].get(who, ())) - {"withdraw"}]
    assert speakers == [TURNS[state]]


def test_no_terms_follow_an_accept():
    for state in TABLE:
        for who, name, to in steps(state):
            if name == "accept":
                later = {(by, next_name) for by, next_name, _ in steps(to)}
                assert not {"offer", "counter"} & {next_name for _, next_name in later}
                assert (who, "withdraw") not in later
                assert (who, "reject") not in later


def test_a_whole_transcript_read_by_a_third_party(pair):
    talk = pair().reach("received")
    read = verify_transcript(pair.network, talk.buyer.transcript())
    assert talk.seller.transcript() == talk.buyer.transcript()
    assert (read.id, read.state, read.is_over()) == (talk.buyer.id, "received", True)
    assert read.delivery.payload == pair.payload
    assert read.agreement == talk.seller.agreement == talk.buyer.agreement
    signed = read.agreement
    agreement = load_agreement(
        signed.agreement, pair.network, signed.buyer_signature, signed.seller_signature
    )
    assert (agreement.min_weight_ppm, agreement.document) == (200_000, digest(b"weather"))
    assert agreement.transcript == read.said[1].signed.id


def test_every_beginning_of_a_transcript_is_one(pair):
    items = pair().reach("received").buyer.transcript()
    read = [verify_transcript(pair.network, items[:count]) for count in range(1, len(items) + 1)]
    assert [each.state for each in read] == [
        "requested",
        "offered",
        "buyer_accepted",
        "agreed",
        "delivered",
        "received",
    ]
    assert [each.agreement is not None for each in read] == [False, False, False, True, True, True]


def test_a_withdrawal_that_crossed_an_accept(pair):
    talk = pair().reach("offered")
    talk.buyer.accept()
    assert talk.says("seller", "withdraw", "sold out").reason == "sold out"
    read = verify_transcript(pair.network, talk.buyer.transcript())
    assert (read.state, read.agreement) == ("withdrawn", None)
    assert verify_transcript(pair.network, talk.seller.transcript()).state == "withdrawn"


def test_a_message_left_out_or_moved(pair):
    items = pair().reach("received").buyer.transcript()
    for place in range(1, len(items) - 1):
        assert refusal(pair.network, items[:place] + items[place + 1 :]) in {
            "out_of_state",
            "wrong_party",
            "wrong_prev",
        }
        moved = [*items[:place], items[place + 1], items[place], *items[place + 2 :]]
        assert refusal(pair.network, moved) in {"out_of_state", "wrong_party", "wrong_prev"}


def test_a_message_from_another_negotiation(pair):
    items = pair().reach("agreed").buyer.transcript()
    other = pair(nonce=b"m" * 16).reach("agreed").buyer.transcript()
    assert refusal(pair.network, [items[0], *other[1:]]) == "wrong_prev"
    assert refusal(pair.network, [items[0], items[1], other[2]]) == "wrong_prev"


def test_a_message_that_neither_party_signed(pair):
    talk = pair().reach("offered")
    forged = sign(pair.stranger_keys, pair.network, Receipt(*[b"p" * 32] * 4)).trade
    assert (
        refusal(pair.network, [*talk.buyer.transcript(), (forged.body, forged.signature)]) == "bad_signature"
    )


def test_another_network(pair):
    items = pair().reach("agreed").buyer.transcript()
    assert refusal(b"m" * 32, items) == "bad_signature"


def test_nothing_to_read(pair):
    assert refusal(pair.network, []) == "empty"


def test_a_transcript_begins_with_a_request(pair):
    items = pair().reach("offered").buyer.transcript()
    assert refusal(pair.network, items[1:]) == "out_of_state"
    assert refusal(pair.network, [items[0], items[0]]) == "out_of_state"


def test_nobody_deals_with_itself(pair):
    request = sign(pair.buyer_keys, pair.network, pair.make_request(seller=pair.buyer_keys.public)).trade
    assert refusal(pair.network, [(request.body, request.signature)]) == "wrong_party"


def test_terms_that_outlive_their_delivery(pair):
    request = sign(pair.buyer_keys, pair.network, pair.make_request(deliver=11, expires=12)).trade
    assert refusal(pair.network, [(request.body, request.signature)]) == "bad_terms"


def test_there_is_nothing_to_accept_before_terms(pair):
    transcript = Transcript(pair.network, sign(pair.buyer_keys, pair.network, pair.make_request()))
    with pytest.raises(Invalid, match="out_of_state"):
        transcript.implied_agreement()


def test_what_is_checked_but_not_linked_changes_nothing(pair):
    transcript = Transcript(pair.network, sign(pair.buyer_keys, pair.network, pair.make_request()))
    terms = {"min_weight_ppm": 1, "min_wager": 0, "floor": 0, "price": 0, "deliver": 16, "expires": 13}
    offer = sign(pair.seller_keys, pair.network, Offer(prev=transcript.id, **terms))
    assert transcript.author_of(offer) == SELLER == OTHER[BUYER]
    assert transcript.check(SELLER, offer) == offer.body
    assert (transcript.state, transcript.terms, len(transcript.items)) == (REQUESTED, None, 1)
    transcript.link(SELLER, offer)
    assert (transcript.state, transcript.terms, len(transcript.items)) == ("offered", offer.body.terms, 2)
