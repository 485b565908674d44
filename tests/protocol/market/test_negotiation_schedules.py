"""Whatever a network loses, repeats or reorders, and whatever a side forges: never two agreements.

Two honest sides talk over a link that keeps every message for ever and hands out any of them in any order. A random
schedule picks who acts, what is delivered, and how the epochs pass.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.market.negotiation import Repeated
from troth_protocol.market.trades import BODIES, Accept
from troth_protocol.market.transcript import MAX_ROUNDS, OTHER, TABLE, verify_transcript

SIDES = st.sampled_from(["buyer", "seller"])
ACTS = st.sampled_from(["offer", "counter", "accept", "reject", "withdraw", "deliver", "receipt", "expire"])
STEPS = st.one_of(
    st.tuples(st.just("act"), SIDES, ACTS),
    st.tuples(st.just("move"), SIDES, st.integers(0, 5)),
    st.tuples(st.just("move"), SIDES, st.just(0)),
    st.tuples(st.just("hear"), SIDES, st.integers(0, 9)),
    st.tuples(st.just("hear"), SIDES, st.just(-1)),
    st.tuples(st.just("hear"), SIDES, st.just(-1)),
    st.tuples(st.just("resend"), SIDES, st.none()),
)


class Link:
    """Everything that either side sent; nothing is ever thrown away."""

    def __init__(self, talk, weights):
        self.talk, self.weights, self.epoch = talk, iter(weights), 10
        self.sent = {"buyer": [talk.request], "seller": []}
        self.agreements = {"buyer": [], "seller": []}

    def act(self, who, what):
        speaker, _ = self.talk.sides(who)
        if what == "expire":
            speaker.expire(speaker.epoch + 1)
            return
        arguments = {"offer": [self.terms()], "counter": [self.terms()]}.get(what, [])
        named = self.talk.delivery() if what == "deliver" else {}
        try:
            self.sent[who].append(getattr(speaker, what)(*arguments, **named))
        except Invalid:
            return
        self.note(who)

    def move(self, who, choice):
        """One of the moves that the table allows; 0 is the one that leads on, if there is one."""
        speaker, _ = self.talk.sides(who)
        allowed = list(TABLE[speaker.state].get(who, ()))
        onward = [name for name in ("accept", "offer", "deliver", "receipt") if name in allowed]
        if choice == 0 and onward:
            self.act(who, onward[0])
        elif choice and allowed:
            self.act(who, allowed[choice % len(allowed)])

    def terms(self):
        return self.talk.make_terms(min_weight_ppm=next(self.weights, 1), expires=15)

    def hear(self, who, place):
        inbox = self.sent[OTHER[who]]
        if not -1 <= place < len(inbox) or not inbox:
            return
        listener, _ = self.talk.sides(who)
        before = listener.transcript()
        known = (inbox[place].body, inbox[place].signature) in before
        try:
            event = listener.receive(inbox[place].body, inbox[place].signature)
        except Invalid:
            assert listener.transcript() == before
            assert not known
            return
        assert isinstance(event, Repeated) == known
        assert (listener.transcript() == before) == known
        self.note(who)

    def resend(self, who, _):
        speaker, listener = self.talk.sides(who)
        for trade in speaker.unanswered():
            try:
                listener.receive(trade.body, trade.signature)
            except Invalid:
                return
            self.note(OTHER[who])

    def note(self, who):
        side, _ = self.talk.sides(who)
        if side.agreement is not None and side.agreement not in self.agreements[who]:
            self.agreements[who].append(side.agreement)

    def signed(self):
        """Every agreement that a side put its signature to."""
        bodies = [BODIES.decode(trade.body) for trades in self.sent.values() for trade in trades]
        return {body.agreement for body in bodies if isinstance(body, Accept)}


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=60), st.lists(st.integers(1, 999_999), min_size=9, max_size=9, unique=True))
def test_no_schedule_makes_two_agreements(pair, steps, weights):
    link = Link(pair(), weights)
    for kind, who, what in steps:
        getattr(link, kind)(who, what)
    reached = {agreement.agreement for found in link.agreements.values() for agreement in found}
    assert len(reached) <= 1
    assert all(len(found) <= 1 for found in link.agreements.values())
    assert reached <= link.signed()
    for side in (link.talk.buyer, link.talk.seller):
        assert side.rounds <= MAX_ROUNDS
        read = verify_transcript(pair.network, side.transcript())
        assert (read.agreement, read.terms, read.rounds) == (side.agreement, side.terms, side.rounds)


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=40), st.lists(st.integers(1, 999_999), min_size=9, max_size=9, unique=True))
def test_sending_again_brings_both_sides_together(pair, steps, weights):
    """As long as nobody falls silent, repetition heals every loss; a withdrawal may have crossed another end."""
    link = Link(pair(), weights)
    for kind, who, what in steps:
        if what != "expire":
            getattr(link, kind)(who, what)
    for _ in range(3):
        for who in OTHER:
            converse(link, who)
    buyer, seller = link.talk.buyer, link.talk.seller
    assert buyer.is_over() == seller.is_over()
    assert buyer.agreement == seller.agreement
    if "withdrawn" not in {buyer.state, seller.state}:
        assert buyer.transcript() == seller.transcript()


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
