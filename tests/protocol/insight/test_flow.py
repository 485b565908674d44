"""Income and citations: what lasted is paid on, node by node, and nothing is lost or made on the way."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.insight.flow import FlowNode, Payment, Record, flow, rise
from troth_protocol.wire.schema import PPM

TOKEN = 10**9


def signal(name, *citations, **fields):
    """A payload signal of an author of the same name; `fields` change it."""
    key = name.encode()
    node = FlowNode(
        key, key, 1, revealed=True, content_key=b"payload of " + key, G_ppm=0, income=0, citations=citations
    )
    return replace(node, **fields)


@st.composite
def graphs(draw):
    """Up to 12 nodes; each may cite later ones and some that nobody knows. Contents, authors and epochs repeat."""
    count = draw(st.integers(0, 12))
    nodes = []
    for i in range(count):
        ends = draw(st.lists(st.integers(i + 1, 14), max_size=4, unique=True))
        weights = draw(st.lists(st.integers(1, PPM // 4), min_size=len(ends), max_size=len(ends)))
        node = FlowNode(
            commit=bytes([i]),
            author=bytes([draw(st.integers(0, 4))]),
            epoch=draw(st.integers(0, 3)),
            revealed=draw(st.booleans() | st.just(True)),
            content_key=draw(st.none() | st.binary(max_size=1)),
            G_ppm=draw(st.integers(-2 * PPM, 2 * PPM)),
            income=draw(st.integers(0, 3) | st.integers(0, 10**30)),
            citations=tuple((bytes([end]), weight) for end, weight in zip(ends, weights, strict=True)),
        )
        nodes.append(node)
    return draw(st.permutations(nodes))


@given(graphs())
def test_at_every_node_what_comes_in_goes_out_or_stays(nodes):
    result = flow(nodes)
    for node in nodes:
        received, paid, kept = (
            part[node.commit] for part in (result.received, result.paid_out, result.retained)
        )
        assert node.income + received == paid + kept
        assert min(received, paid, kept) >= 0
        assert received == sum(p.amount for p in result.payments if p.to_commit == node.commit)
        assert paid == sum(p.amount for p in result.payments if p.frm_commit == node.commit)
    assert sum(result.retained.values()) == sum(node.income for node in nodes)


@given(graphs())
def test_paying_in_order_never_takes_what_is_not_there(nodes):
    purse = {node.commit: node.income for node in nodes}
    for payment in flow(nodes).payments:
        purse[payment.frm_commit] -= payment.amount
        purse[payment.to_commit] += payment.amount
        assert purse[payment.frm_commit] >= 0


@given(graphs(), st.randoms(use_true_random=False))
def test_the_order_of_nodes_does_not_matter(nodes, rng):
    assert flow(rng.sample(nodes, len(nodes))) == flow(nodes)


@given(graphs())
def test_only_the_revealed_and_first_of_their_content_are_paid(nodes):
    by_commit = {node.commit: node for node in nodes}
    cited = {commit for node in nodes if node.revealed for commit, _ in node.citations}
    for payment in flow(nodes).payments:
        payee = by_commit[payment.to_commit]
        assert payment.amount > 0
        assert payee.revealed
        assert by_commit[payment.frm_commit].revealed
        assert payment.own == (payee.author == by_commit[payment.frm_commit].author)
        for twin in nodes:
            is_rival = (
                twin.revealed and twin.commit in cited and twin.content_key == payee.content_key is not None
            )
            assert not is_rival or (payee.epoch, payee.commit) <= (twin.epoch, twin.commit)


def test_a_forecast_pays_its_sources_and_they_pay_theirs():
    """Half of what is promised reaches a payload signal; (1 + G) / 2 of it a forecast."""
    result = flow(
        [
            signal("top", (b"features", 800_000), (b"rival", 100_000), income=1000 * TOKEN),
            signal("features", (b"data", 500_000)),
            signal("rival", G_ppm=400_000),
            signal("data"),
        ]
    )
    assert result.payments == (
        Payment(b"top", b"features", 400 * TOKEN),
        Payment(b"top", b"rival", 70 * TOKEN),
        Payment(b"features", b"data", 100 * TOKEN),
    )
    assert result.retained == {
        b"top": 530 * TOKEN,
        b"features": 300 * TOKEN,
        b"rival": 70 * TOKEN,
        b"data": 100 * TOKEN,
    }


def test_a_node_is_cited_by_many_before_it_pays():
    """Both paths to `data` meet at `features` first: it pays once, from all that it was paid."""
    result = flow(
        [
            signal("features", (b"data", PPM)),
            signal("data"),
            signal("a", (b"features", PPM), income=10),
            signal("b", (b"features", 600_000), (b"a", 400_000), income=100),
        ]
    )
    assert result.received == {b"a": 20, b"b": 0, b"features": 45, b"data": 22}


@given(st.integers(0, 10**30), st.integers(1, 500_000), st.integers(1, 500_000), st.integers(-PPM, PPM))
def test_a_shill_cannot_shrink_an_honest_seller(income, honest, shill, gain):
    alone = flow([signal("top", (b"seller", honest), income=income), signal("seller")])
    beside = flow(
        [
            signal("top", (b"seller", honest), (b"shill", shill), income=income),
            signal("seller"),
            signal("shill", G_ppm=gain),
        ]
    )
    assert beside.received[b"seller"] == alone.received[b"seller"]


@pytest.mark.parametrize(("epoch", "paid"), [(0, b"copy"), (1, b"copy"), (2, b"first")])
def test_of_copies_only_the_earliest_is_paid(epoch, paid):
    """By epoch, then by id; and it is paid although another citer names only the copy."""
    result = flow(
        [
            signal("top", (b"first", 300_000), (b"copy", 300_000), income=100),
            signal("first", content_key=b"same"),
            signal("copy", content_key=b"same", epoch=epoch),
        ]
    )
    assert [payment.to_commit for payment in result.payments] == [paid]


def test_unknown_content_is_like_no_other():
    """Neither like other unknown content, nor like a payload digest that somebody chose to equal a commit's id."""
    result = flow(
        [
            signal("top", (b"a", 200_000), (b"b", 200_000), (b"c", 200_000), income=100),
            signal("a", content_key=None),
            signal("b", content_key=None),
            signal("c", content_key=b"a", epoch=0),
        ]
    )
    assert [payment.amount for payment in result.payments] == [10, 10, 10]


def test_of_sixteen_clones_one_is_paid():
    """The buyer spreads the same weight over all: what the later ones would get stays with it."""
    clones = [signal(f"clone{i:02}", content_key=b"same") for i in range(16)]
    one = flow([signal("top", (b"clone00", 500_000), income=TOKEN), clones[0]])
    many = flow([signal("top", *((node.commit, 31_250) for node in clones), income=TOKEN), *clones])
    assert sum(many.received.values()) * 16 == sum(one.received.values())


def test_an_original_that_nobody_cites_does_not_stand_in_the_way():
    result = flow(
        [
            signal("top", (b"copy", PPM), income=100),
            signal("copy", content_key=b"k"),
            signal("a", content_key=b"k"),
        ]
    )
    assert result.received[b"copy"] == 50


def test_the_unrevealed_and_the_unknown_get_nothing_and_say_nothing():
    result = flow(
        [
            signal("top", (b"hidden", 400_000), (b"nowhere", 400_000), income=100),
            signal("hidden", (b"friend", PPM), revealed=False, content_key=None, income=7),
            signal("friend"),
        ]
    )
    assert result.payments == ()
    assert result.retained == {b"top": 100, b"hidden": 7, b"friend": 0}


def test_citing_oneself_is_shown_as_ones_own_and_still_pays_ones_sources():
    result = flow(
        [
            signal("top", (b"mine", PPM), income=100),
            signal("mine", (b"data", PPM), author=b"top"),
            signal("data"),
        ]
    )
    assert result.payments == (Payment(b"top", b"mine", 50, own=True), Payment(b"mine", b"data", 25))


@pytest.mark.parametrize(("gain", "paid"), [(-PPM, 0), (-5 * PPM, 0), (0, 50), (PPM, 100), (5 * PPM, 100)])
def test_a_score_is_held_within_one(gain, paid):
    result = flow([signal("top", (b"k", PPM), income=100), signal("k", G_ppm=gain)])
    assert result.received[b"k"] == paid


@given(st.lists(st.integers(-(10**30), 10**30), max_size=30))
def test_income_is_the_rise_of_the_high_water_mark(nets):
    """Never negative; a loss is made good before anything is paid; all of it is the highest sum there was."""
    record, incomes = Record(), []
    for net in nets:
        record, income = rise(record, net)
        incomes.append(income)
    assert min(incomes, default=0) >= 0
    assert sum(incomes) == record.high == max(accumulate(nets, initial=0))
    assert record.cumulative == sum(nets)


def test_an_author_that_loses_what_it_won_is_not_paid_for_winning_it_again():
    record, first = rise(Record(), 100)
    record, lost = rise(record, -60)
    record, again = rise(record, 80)
    assert (first, lost, again) == (100, 0, 20)


@pytest.mark.parametrize(
    ("nodes", "code"),
    [
        ([signal("a"), signal("a")], "duplicate"),
        ([signal("a", income=-1)], "bad_amount"),
        ([signal("a", (b"a", 1))], "bad_citations"),
        ([signal("a", (b"b", 1)), signal("b", (b"a", 1))], "bad_citations"),
        ([signal("a", (b"b", 600_000), (b"c", 600_000))], "bad_citations"),
        ([signal("a", (b"b", 1), (b"b", 1))], "bad_citations"),
        ([signal("a", (b"b", 0))], "bad_citations"),
        ([signal("a", (b"b", -1), (b"c", 5))], "bad_citations"),
        ([signal("a", *((bytes([i]), 1) for i in range(17)))], "bad_citations"),
    ],
)
def test_what_is_no_graph_of_citations_is_refused(nodes, code):
    with pytest.raises(Invalid) as refused:
        flow(nodes)
    assert refused.value.code == code
