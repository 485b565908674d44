"""Binding promises at the end of a question: who does not cite as it promised always pays more than it saved."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.insight.flow import FlowNode, flow
from troth_protocol.insight.promises import Ended, find_breach, scale_promises, settle_promises
from troth_protocol.insight.results import BreachLine
from troth_protocol.log.rows import Account, Commit, Promise, Totals
from troth_protocol.log.state import TOTALS_KEY, State
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.schema import PPM

QUESTION, BUYER, SELLER, OTHER = (digest(name) for name in (b"question", b"buyer", b"seller", b"other"))
TOP, NOTE, SOLD, COPY, RIVAL = (digest(name) for name in (b"top", b"note", b"sold", b"copy", b"rival"))
HINT, NEWS = digest(b"hint"), digest(b"news")
INCOME, WEIGHT, WAGER = 1_000_000, 200_000, 50
IMPOSED = INCOME * WEIGHT // (2 * PPM)
PROMISE = Promise(QUESTION, BUYER, SELLER, WEIGHT, min_wager=WAGER, deliver=9, commit=SOLD, bound=True)
SIGNAL = Commit(SELLER, QUESTION, digest(b"s"), 0, 2, revealed=True, payload=HINT)
FORECAST = Commit(BUYER, QUESTION, digest(b"t"), WAGER, 3, revealed=True, ppm=(600_000, 400_000))


def cites(*citations, **changes):
    """The buyer's forecast with these citations."""
    return replace(FORECAST, citations=citations, **changes)


def node(key, commit, income):
    content = commit.payload if commit.ppm is None else digest(repr(commit.ppm).encode())
    return FlowNode(
        key,
        commit.author,
        commit.epoch,
        commit.revealed,
        content if commit.revealed else None,
        0,
        income if key == TOP else 0,
        commit.citations,
    )


def flows_of(commits, income=INCOME):
    """The flow of these commits; the top forecast alone has an income."""
    return flow([node(key, commit, income) for key, commit in commits.items()])


def breach_of(promise, commits, income=INCOME):
    """(damages, penalty), or None if nothing is owed."""
    found = find_breach(promise, Ended(commits, flows_of(commits, income)))
    return None if found is None else (found.damages, found.penalty)


def books(**accounts):
    """A state of these accounts by the names above, in balance."""
    state = State()
    for key, account in accounts.items():
        state.put("accounts", globals()[key], account)
    worth = sum(account.worth() for account in accounts.values())
    state.put("totals", TOTALS_KEY, Totals(9, worth, 0, 0, 0))
    return state


# What is owed


def test_a_citation_of_the_promised_weight_keeps_the_promise():
    assert breach_of(PROMISE, {TOP: cites((SOLD, WEIGHT)), SOLD: SIGNAL}) is None
    assert breach_of(PROMISE, {TOP: cites((SOLD, PPM)), SOLD: SIGNAL}) is None


def test_no_citation_costs_three_times_what_was_omitted():
    assert breach_of(PROMISE, {TOP: FORECAST, SOLD: SIGNAL}) == (IMPOSED, 2 * IMPOSED)


def test_too_small_a_weight_costs_what_is_missing_and_twice_that():
    weight = WEIGHT // 4
    missing = IMPOSED - INCOME * weight // (2 * PPM)
    assert breach_of(PROMISE, {TOP: cites((SOLD, weight)), SOLD: SIGNAL}) == (missing, 2 * missing)


def test_a_floor_is_due_where_nothing_was_earned():
    promise = replace(PROMISE, floor=70)
    assert breach_of(promise, {TOP: FORECAST, SOLD: SIGNAL}, income=0) == (70, 70)
    assert breach_of(promise, {TOP: FORECAST, SOLD: SIGNAL}) == (IMPOSED, 2 * IMPOSED)
    assert breach_of(replace(promise, floor=3 * IMPOSED), {TOP: FORECAST, SOLD: SIGNAL}) == (
        3 * IMPOSED,
        3 * IMPOSED,
    )


def test_a_buyer_that_never_commits_or_opens_its_commit_owes_the_floor():
    promise = replace(PROMISE, floor=70)
    shut = replace(cites(), revealed=False, ppm=None)
    assert breach_of(promise, {SOLD: SIGNAL}) == (70, 70)
    assert breach_of(promise, {TOP: shut, SOLD: SIGNAL}, income=0) == (70, 70)
    assert breach_of(PROMISE, {SOLD: SIGNAL}) is None, "nothing was earned"


def test_a_citation_under_too_small_a_wager_pays_and_keeps_nothing():
    promise = replace(PROMISE, floor=2 * IMPOSED)
    commits = {TOP: cites((SOLD, WEIGHT), wager=WAGER - 1), SOLD: SIGNAL}
    assert breach_of(promise, commits) == (IMPOSED, 2 * IMPOSED), "the floor, less what was paid"
    assert breach_of(PROMISE, commits) is None
    assert breach_of(replace(promise, min_wager=WAGER - 1), commits) is None


def test_a_signal_that_cites_keeps_a_promise_without_a_wager():
    note = Commit(
        BUYER, QUESTION, digest(b"n"), 0, 3, revealed=True, payload=NEWS, citations=((SOLD, WEIGHT),)
    )
    commits = {TOP: cites((NOTE, PPM)), NOTE: note, SOLD: SIGNAL}
    assert breach_of(replace(PROMISE, min_wager=0), commits) is None
    paid = INCOME // 2 * WEIGHT // (2 * PPM)
    assert breach_of(PROMISE, commits) == (IMPOSED - paid, 2 * (IMPOSED - paid))


def test_a_promise_of_no_weight_is_one_to_take_part():
    promise = replace(PROMISE, weight_ppm=0, floor=70)
    assert breach_of(promise, {TOP: FORECAST, SOLD: SIGNAL}) is None
    assert breach_of(promise, {SOLD: SIGNAL}) == (70, 70)


@pytest.mark.parametrize(
    ("promise", "sold"),
    [
        (replace(PROMISE, bound=False), SIGNAL),
        (replace(PROMISE, commit=None), SIGNAL),
        (replace(PROMISE, commit=NOTE), SIGNAL),
        (PROMISE, replace(SIGNAL, revealed=False, payload=None)),
        (PROMISE, replace(SIGNAL, author=OTHER)),
        (PROMISE, replace(SIGNAL, payload=None, ppm=(500_000, 500_000))),
    ],
    ids=["not bound", "of nothing", "of another commit", "unrevealed", "not the seller's", "no signal"],
)
def test_a_seller_that_proves_no_delivery_or_reveals_none_gets_nothing(promise, sold):
    assert breach_of(replace(promise, floor=70), {TOP: FORECAST, SOLD: sold}) is None


def test_a_copy_of_an_earlier_signal_would_have_been_paid_nothing():
    first = replace(SIGNAL, author=OTHER, epoch=1)
    commits = {TOP: cites((COPY, 1)), SOLD: SIGNAL, COPY: first}
    assert breach_of(PROMISE, commits) is None
    assert breach_of(PROMISE, {TOP: FORECAST, SOLD: SIGNAL, COPY: first}) == (IMPOSED, 2 * IMPOSED)
    later = {TOP: cites((COPY, 1)), SOLD: SIGNAL, COPY: replace(first, epoch=3)}
    assert breach_of(PROMISE, later) == (IMPOSED, 2 * IMPOSED)


def test_in_a_void_the_floor_alone_is_due():
    found = find_breach(replace(PROMISE, floor=70), Ended({TOP: FORECAST, SOLD: SIGNAL}, None))
    assert (found.damages, found.penalty) == (70, 70)
    assert find_breach(PROMISE, Ended({TOP: cites((SOLD, WEIGHT)), SOLD: SIGNAL}, None)) is None


# Who pays


def test_the_balance_pays_then_the_bond_then_what_of_it_is_leaving():
    leaving = (("agent", 30, 20), ("witness", 99, 20), ("agent", 30, 21))
    state = books(BUYER=Account(40, agent=30, unbonding=leaving, witness=7), SELLER=Account(5))
    promise = replace(PROMISE, floor=60)
    [line] = settle_promises(state, [(digest(b"a"), promise)], {SOLD: SIGNAL}, None)
    assert line == BreachLine(digest(b"a"), BUYER, SELLER, SOLD, 60, 60)
    left = (("agent", 10, 20), ("witness", 99, 20), ("agent", 0, 21))
    assert state.account(BUYER) == Account(0, agent=0, unbonding=left, witness=7)
    assert state.account(SELLER).balance == 65
    assert state.totals().burned == 60


def test_every_seller_is_paid_before_anything_burns_the_lower_agreement_first():
    state = books(BUYER=Account(50), SELLER=Account(), OTHER=Account())
    promise = replace(PROMISE, floor=30)
    second = replace(promise, seller=OTHER, commit=RIVAL)
    commits = {SOLD: SIGNAL, RIVAL: replace(SIGNAL, author=OTHER, payload=NEWS)}
    lines = settle_promises(state, [(b"a" * 32, promise), (b"b" * 32, second)], commits, None)
    assert [(line.paid, line.burned) for line in lines] == [(30, 0), (20, 0)]
    assert state.is_conserved()


def test_the_value_cap_shrinks_a_promised_wager_as_it_does_the_wagers():
    state = books(BUYER=Account())
    state.put("promises", b"a" * 32, PROMISE)
    state.put("promises", b"b" * 32, replace(PROMISE, min_wager=0))
    state.put("promises", b"c" * 32, replace(PROMISE, question=OTHER))
    scale_promises(state, {QUESTION: (300, 100)})
    assert [row.min_wager for _, row in state.items("promises", Promise)] == [WAGER // 3, 0, WAGER]


# Whatever the flow

AMOUNTS = st.integers(0, 10**15)
SHARES = st.integers(0, PPM)


@st.composite
def stories(draw):
    """(promise, commits in which the buyer may have broken it, income)."""
    promise = replace(
        PROMISE, weight_ppm=draw(st.integers(1, PPM)), floor=draw(AMOUNTS), min_wager=draw(st.integers(0, 99))
    )
    to_seller, to_rival = draw(SHARES), draw(SHARES)
    cut = [(SOLD, to_seller), (RIVAL, min(to_rival, PPM - to_seller))]
    forecast = cites(*[(key, ppm) for key, ppm in cut if ppm], wager=draw(st.integers(1, 99)))
    sold = replace(SIGNAL, citations=draw(st.sampled_from([(), ((RIVAL, 300_000),)])))
    rival = replace(
        SIGNAL, author=OTHER, payload=draw(st.sampled_from([HINT, NEWS])), epoch=draw(st.integers(1, 3))
    )
    return promise, {TOP: forecast, SOLD: sold, RIVAL: rival}, draw(AMOUNTS)


def keeping(promise, commits):
    """The same commits, but the buyer keeps its promise, by no more than it must."""
    cited = dict(commits[TOP].citations)
    cited[SOLD] = max(cited.get(SOLD, 0), promise.weight_ppm)
    cited[RIVAL] = min(cited.get(RIVAL, 0), PPM - cited[SOLD])
    citations = tuple((key, ppm) for key, ppm in cited.items() if ppm)
    return commits | {TOP: replace(commits[TOP], citations=citations, wager=99)}


def play(promise, commits, income, balance):
    """What buyer, seller and rival have in the end, and what was burned."""
    flows = flows_of(commits, income)
    owned = {BUYER: balance + income, SELLER: 0, OTHER: 0}
    for payment in flows.payments:
        owned[commits[payment.frm_commit].author] -= payment.amount
        owned[commits[payment.to_commit].author] += payment.amount
    state = books(
        BUYER=Account(0, agent=owned[BUYER]), SELLER=Account(owned[SELLER]), OTHER=Account(owned[OTHER])
    )
    settle_promises(state, [(digest(b"a"), promise)], commits, flows)
    assert state.is_conserved()
    assert all(min(row.balance, row.agent) >= 0 for _, row in state.items("accounts", Account))
    return *(state.account(key).worth() for key in (BUYER, SELLER, OTHER)), state.totals().burned


@given(stories())
def test_a_breach_never_costs_the_seller_and_always_the_buyer(story):
    promise, commits, income = story
    balance = 10**16
    broken, kept = (
        play(promise, commits, income, balance),
        play(promise, keeping(promise, commits), income, balance),
    )
    assert kept[3] == 0, "a kept promise costs nothing more"
    assert broken[1] >= kept[1]
    if broken[3]:
        assert broken[0] < kept[0]
    else:
        assert broken == play(replace(promise, bound=False), commits, income, balance)


@given(stories(), st.integers(0, 10**6))
def test_whatever_is_there_nobody_wins_by_breaking_promises_to_a_friend(story, balance):
    promise, commits, income = story
    broken = play(promise, commits, income, balance)
    without = play(replace(promise, bound=False), commits, income, balance)
    assert broken[0] + broken[1] == without[0] + without[1] - broken[3]
    assert broken[1] >= without[1]
    assert broken[2] == without[2]


@given(stories())
def test_where_there_is_enough_as_much_is_burned_as_the_seller_gets(story):
    promise, commits, income = story
    broken = play(promise, commits, income, 10**16)
    without = play(replace(promise, bound=False), commits, income, 10**16)
    assert broken[3] >= broken[1] - without[1]
