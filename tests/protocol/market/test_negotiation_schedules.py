"""Whatever a network loses, repeats or reorders, and whatever a side forges: never two agreements.

Two honest sides talk over a link that keeps every message for ever and hands out any of them in any order. A random
schedule picks who acts, what is delivered, and how the epochs pass.
"""

from collections import Counter as Count
from dataclasses import fields
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.log.agreement import AGREEMENT, Agreement, sign_agreement
from troth_protocol.market.negotiation import Repeated
from troth_protocol.market.trades import BODIES, Accept, Counter, Offer, Reject, Withdraw
from troth_protocol.market.transcript import MAX_ROUNDS, OTHER, TABLE, verify_transcript

SCHEDULES = 400
STEPS = 40
#: How often each kind of step comes, of 100.
WEIGHTS = {"newest": 36, "any": 10, "onward": 26, "allowed": 8, "wrong": 8, "resend": 10, "expire": 2}
NAMES = sorted({name for rows in TABLE.values() for said in rows.values() for name in said} - {"silence"})


class Link:
    """Everything that either side sent; nothing is ever thrown away."""

    def __init__(self, talk, seed):
        self.talk, self.random = talk, Random(seed)
        self.price = seed % 2 * 7
        self.sent = {"buyer": [talk.request], "seller": []}
        self.agreements = set()

    def run(self, *kinds):
        for kind in self.random.choices(kinds, [WEIGHTS[kind] for kind in kinds], k=STEPS):
            getattr(self, kind)(self.random.choice(["buyer", "seller"]))
            self.agreements |= {side.agreement for side in (self.talk.buyer, self.talk.seller)} - {None}

    def act(self, who, what):
        speaker, _ = self.talk.sides(who)
        arguments = {
            "offer": lambda: [self.terms()],
            "counter": lambda: [self.terms()],
            "sealed": self.talk.exchange,
            "key": lambda: [self.talk.key],
        }.get(what, list)()
        named = self.talk.delivery() if what == "deliver" else {}
        self.sent[who].append(getattr(speaker, what)(*arguments, **named))

    def onward(self, who):
        """The move that leads on, if it is this side's; now and then other terms instead."""
        allowed = TABLE[self.talk.sides(who)[0].state].get(who, ())
        names = ["accept", "offer", "counter", "deliver", "sealed", "key", "receipt"]
        if self.random.random() < 0.4:
            names.remove("accept")
        found = [name for name in names if name in allowed and not self.is_out_of_place(who, name)]
        if found:
            self.act(who, found[0])

    def is_out_of_place(self, who, name):
        """Too many rounds, or a delivery that does not go with the price."""
        if name in {"deliver", "sealed"}:
            return (name == "sealed") != bool(self.price)
        return name in {"offer", "counter"} and self.talk.sides(who)[0].rounds == MAX_ROUNDS

    def allowed(self, who):
        """Any move that the table allows."""
        found = [*TABLE[self.talk.sides(who)[0].state].get(who, ())]
        name = self.random.choice(found) if found else None
        if name and not self.is_out_of_place(who, name):
            self.act(who, name)

    def wrong(self, who):
        """A move that the table does not allow."""
        speaker, _ = self.talk.sides(who)
        name = self.random.choice(NAMES)
        if name not in TABLE[speaker.state].get(who, ()):
            with pytest.raises(Invalid):
                self.act(who, name)

    def expire(self, who):
        speaker, _ = self.talk.sides(who)
        speaker.expire(speaker.epoch + 1)

    def newest(self, who):
        self.hear(who, self.sent[OTHER[who]][-1:])

    def any(self, who):
        inbox = self.sent[OTHER[who]]
        self.hear(who, [self.random.choice(inbox)] if inbox else [])

    def terms(self):
        """Terms that differ from all others."""
        return self.talk.make_terms(min_weight_ppm=self.random.randrange(10**6), expires=15, price=self.price)

    def resend(self, who):
        self.hear(OTHER[who], self.talk.sides(who)[0].unanswered())

    def hear(self, who, trades):
        """One side hears messages: what it knows or refuses changes nothing, and what it knows it never refuses."""
        listener, _ = self.talk.sides(who)
        for trade in trades:
            before = listener.transcript()
            known = (trade.body, trade.signature) in before
            try:
                event = listener.receive(trade.body, trade.signature)
            except Invalid:
                assert listener.transcript() == before
                assert not known
            else:
                assert isinstance(event, Repeated) == known == (listener.transcript() == before)

    def signed(self):
        """Every agreement that a side put its signature to."""
        bodies = [BODIES.decode(trade.body) for trades in self.sent.values() for trade in trades]
        return {body.agreement for body in bodies if isinstance(body, Accept)}


@pytest.fixture(scope="module")
def links(pair):
    """Many schedules, played to their ends."""
    played = [Link(pair(), seed) for seed in range(SCHEDULES)]
    for link in played:
        link.run(*WEIGHTS)
    return played


def test_no_schedule_makes_two_agreements(pair, links):
    for seed, link in enumerate(links):
        assert len(link.agreements) <= 1, f"seed {seed}"
        assert {each.agreement for each in link.agreements} <= link.signed(), f"seed {seed}"
        for side in (link.talk.buyer, link.talk.seller):
            assert side.rounds <= MAX_ROUNDS, f"seed {seed}"
            read = verify_transcript(pair.network, side.transcript())
            found = (read.agreement, read.terms, read.rounds)
            assert found == (side.agreement, side.terms, side.rounds), f"seed {seed}"


def test_a_party_signs_one_agreement_at_most(links):
    for seed, link in enumerate(links):
        for who in OTHER:
            accepts = [trade for trade in link.sent[who] if isinstance(BODIES.decode(trade.body), Accept)]
            assert len(accepts) <= 1, f"seed {seed}"


def test_the_schedules_go_everywhere(links):
    """Otherwise they would show nothing."""
    ends = Count(side.state for link in links for side in (link.talk.buyer, link.talk.seller))
    assert set(TABLE) - set(ends) <= {
        "unanswered",
        "lapsed",
        "unconfirmed",
        "undelivered",
        "unopened",
        "unreceipted",
    }
    assert sum(bool(link.agreements) for link in links) > SCHEDULES / 10
    assert any(link.talk.buyer.state != link.talk.seller.state for link in links)


def test_sending_again_brings_both_sides_together(pair):
    """As long as nobody falls silent, repetition heals every loss; a withdrawal may have crossed another end."""
    for seed in range(SCHEDULES // 2):
        link = Link(pair(), seed)
        link.run(*(kind for kind in WEIGHTS if kind != "expire"))
        for who in (*OTHER, *OTHER):
            converse(link, who)
        buyer, seller = link.talk.buyer, link.talk.seller
        assert buyer.is_over() == seller.is_over(), f"seed {seed}"
        assert buyer.agreement == seller.agreement, f"seed {seed}"
        if "withdrawn" not in {buyer.state, seller.state}:
            assert buyer.transcript() == seller.transcript(), f"seed {seed}"


def converse(link, who):
    """One side repeats what is unanswered; the other repeats the answers that were lost."""
    speaker, listener = link.talk.sides(who)
    for trade in speaker.unanswered():
        event = hear(listener, trade)
        for answer in event.answers if isinstance(event, Repeated) else ():
            hear(speaker, answer)


def hear(listener, trade):
    """What a message means, if it did not cross the end of it all."""
    if not listener.is_over():
        return listener.receive(trade.body, trade.signature)
    try:
        return listener.receive(trade.body, trade.signature)
    except Invalid:
        return None


HOSTILE = st.lists(
    st.tuples(
        st.sampled_from(["offer", "accept", "reject", "withdraw", "counter", "answer", "answer", "expire"]),
        st.integers(0, 3),
        st.integers(0, 4),
    ),
    max_size=25,
)


@given(HOSTILE)
def test_whatever_a_hostile_seller_signs(pair, steps):
    """It signs anything after any message; the buyer, who takes whatever it can, signs one agreement at most."""
    talk, signed = pair(), set()
    for what, weight, back in steps:
        newest = talk.buyer._said.said[max(-1 - back, -len(talk.buyer.transcript()))].signed.id
        before = talk.buyer.transcript()
        try:
            if what == "answer":
                talk.buyer.accept()
                signed.add(BODIES.decode(talk.buyer.transcript()[-1][0]).agreement)
            elif what == "expire":
                talk.buyer.expire(talk.buyer.epoch + weight)
            else:
                trade = talk.forge("seller", hostile(talk, what, newest, weight))
                talk.buyer.receive(trade.body, trade.signature)
        except Invalid:
            assert talk.buyer.transcript() == before
    assert len(signed) <= 1
    found = talk.buyer.agreement
    assert found is None or {found.agreement} == signed
    assert verify_transcript(pair.network, talk.buyer.transcript()).agreement == found


def hostile(talk, what, prev, weight):
    terms = talk.make_terms(min_weight_ppm=weight)
    if what == "accept":
        agreement = Agreement(
            **{
                name: getattr(talk.buyer.request, name)
                for name in ("buyer", "seller", "question", "document")
            },
            **{name: getattr(terms, name) for name in ("min_wager", "floor", "price", "deliver")},
            min_weight_ppm=weight,
            transcript=prev,
        )
        data = AGREEMENT.encode(agreement)
        return Accept(prev, data, sign_agreement(talk.seller_keys, talk.network, data))
    make = {"offer": Offer, "counter": Counter, "reject": Reject, "withdraw": Withdraw}[what]
    if what in {"offer", "counter"}:
        return make(prev=prev, **{field.name: getattr(terms, field.name) for field in fields(terms)})
    return make(prev, "hostile")


@given(st.data())
def test_spoilt_bytes_change_nothing(pair, data):
    """One byte of a good message is another one: it is refused, or it is the same message."""
    state = data.draw(st.sampled_from(["requested", "offered", "buyer_accepted", "agreed"]))
    talk = pair().reach(state)
    trade = {
        "requested": lambda: talk.seller.offer(pair.terms),
        "offered": lambda: talk.seller.withdraw("x"),
        "buyer_accepted": talk.seller.accept,
        "agreed": lambda: talk.seller.deliver(**pair.delivery()),
    }[state]()
    whole = trade.body + trade.signature
    at = data.draw(st.integers(0, len(whole) - 1))
    spoilt = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    bad = type(trade)(spoilt[: len(trade.body)], spoilt[len(trade.body) :])
    assert talk.code_of(talk.buyer, bad)
    talk.buyer.receive(trade.body, trade.signature)
