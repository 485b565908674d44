"""The life of a sponsored question: its bounty plays the reserve, to the unit, and nobody gains by asking alone."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth_node.testing.moves import SALT
from troth_node.testing.patron import BOUNTY, PATRON_RULES, RAIN, Patronage
from troth_node.testing.samples import COIN, TOKEN
from troth_protocol.genesis import Phases
from troth_protocol.insight.results import settlement_rows
from troth_protocol.insight.standing import tally
from troth_protocol.log.ops import Attest
from troth_protocol.log.rows import Commit, Standing, TopicRow
from troth_protocol.log.sealed import attest_digest
from troth_protocol.log.state import decode_state

ASKER, FRIEND, OTHER = 4, 5, 6
YES, NO = 0, 1
SURE, DOUBT = (900_000, 100_000), (100_000, 900_000)
WAGER = 100 * TOKEN
FEE, ATTEST_FEE = PATRON_RULES.fee, PATRON_RULES.attest_fee
ALL = dict.fromkeys(range(4), YES)


def opened(net, **asks):
    """A question that is open for commits."""
    key = net.ask(**asks)
    net.advance(RAIN.opens)
    return key


def line(settlement, net, agent):
    return next(item for item in settlement.forecasts if item.author == net.key(agent))


def test_gains_are_paid_from_the_bounty_and_the_rest_returns():
    net = Patronage()
    reserve, before = net.state.totals().reserve, net.account(ASKER).balance
    key = opened(net)
    bet = net.bet(key, OTHER, SURE, WAGER)
    settlement = net.hold(key, ALL, [bet])
    gain = line(settlement, net, OTHER).net
    assert gain > 0
    paid = sum(item.amount for item in settlement.attesters)
    assert ATTEST_FEE - 4 < paid <= ATTEST_FEE
    assert settlement.returned == BOUNTY - gain - paid
    assert net.account(ASKER).balance == before - 8 * FEE - gain - paid
    assert net.state.totals().reserve == reserve, "the reserve has no part in it"


def test_losses_flow_into_the_bounty():
    net = Patronage()
    key = opened(net)
    settlement = net.hold(key, ALL, [net.bet(key, OTHER, DOUBT, WAGER)])
    loss = -line(settlement, net, OTHER).net
    assert loss > 0
    assert settlement.returned == BOUNTY + loss - sum(item.amount for item in settlement.attesters)


def test_it_touches_no_record_no_prior_and_no_standing():
    net = Patronage(topics=(replace(COIN, name="weather", questions=0),))
    key = opened(net)
    settlement = net.hold(key, ALL, [net.bet(key, OTHER, SURE, WAGER)])
    assert line(settlement, net, OTHER).income == line(settlement, net, OTHER).net
    assert net.state.find("standings", b"weather/" + net.key(OTHER), Standing) is None
    assert net.state.find("topics", b"weather", TopicRow) is None
    found = {}
    tally(settlement_rows(settlement), found)
    assert found == {}, "whoever asks itself earns no standing"


def test_whoever_was_cited_is_paid_from_what_the_question_paid():
    net = Patronage()
    key = opened(net)
    cited = net.bet(key, FRIEND, (800_000, 200_000), WAGER)
    bet = net.bet(key, OTHER, SURE, WAGER, [(cited[1], 500_000)])
    settlement = net.hold(key, ALL, [cited, bet])
    (payment,) = settlement.payments
    assert (payment.payer, payment.payee) == (net.key(OTHER), net.key(FRIEND))
    assert payment.amount > 0


def test_a_question_that_nobody_answers_returns_its_bounty_less_the_attesters_fee():
    net = Patronage()
    key = opened(net)
    settlement = net.hold(key, ALL)
    assert (settlement.outcome, settlement.forecasts) == (YES, ())
    assert settlement.returned == BOUNTY - sum(item.amount for item in settlement.attesters)
    assert key not in net.state.tables["questions"].rows


def test_what_nobody_can_attest_costs_nobody_but_the_asker():
    net = Patronage()
    bonds, before = net.worth(0, 1, 2, 3), net.account(ASKER).balance
    key = opened(net)
    for number in range(3):
        settlement = net.hold(key, {})
        assert settlement.revote == (number < 2)
    assert (settlement.outcome, settlement.returned) == (None, BOUNTY)
    assert net.worth(0, 1, 2, 3) == bonds, "voting on what anybody asks is no duty"
    assert net.account(ASKER).balance == before - 8 * FEE


def test_whoever_votes_alone_in_the_minority_pays_and_nobody_gains_by_it():
    net = Patronage()
    burned = net.state.totals().burned
    key = opened(net)
    settlement = net.hold(key, {0: YES, 1: YES, 2: YES, 3: NO})
    lost = -next(item.amount for item in settlement.attesters if item.attester == net.key(3))
    assert lost > 0
    fees = 8 * FEE + 4 * 2 * FEE
    assert net.state.totals().burned == burned + fees + lost
    assert settlement.returned < BOUNTY


def test_whoever_seals_a_vote_and_does_not_open_it_pays():
    net = Patronage()
    key = opened(net)
    net.advance(3)
    net.put(3, Attest(key, attest_digest(net.network, net.key(3), key, SALT, YES)))
    settlement = net.hold(key, {0: YES, 1: YES, 2: YES})
    gains = {item.attester: item.amount for item in settlement.attesters}
    assert gains[net.key(3)] < 0 < gains[net.key(0)]


def test_the_charge_of_a_void_burns():
    net = Patronage()
    key = opened(net)
    net.bet(key, OTHER, SURE, WAGER)
    for _ in range(3):
        settlement = net.hold(key, {})
    assert line(settlement, net, OTHER).back == WAGER * 95 // 100
    assert settlement.returned == BOUNTY


def test_an_unrevealed_wager_goes_to_the_asker():
    net = Patronage()
    key = opened(net)
    net.bet(key, OTHER, SURE, WAGER)
    settlement = net.hold(key, ALL)
    assert settlement.returned == BOUNTY + WAGER - sum(item.amount for item in settlement.attesters)


def test_standing_questions_have_the_value_cap_first():
    topic = replace(COIN, name="zebra", first=2, questions=1, phases=Phases(1, 2, 2, 2))
    rules = replace(PATRON_RULES, value_ppm=150_000)
    net = Patronage(rules=rules, topics=(topic,))
    key = opened(net, bounty=500 * TOKEN)
    standing = net.question(0, "zebra")
    own = net.bet(standing, OTHER, SURE, WAGER)
    squeezed = net.bet(key, FRIEND, SURE, 300 * TOKEN)
    net.advance(3)
    assert net.state.find("commits", own[1], Commit).wager == WAGER
    assert net.state.find("commits", squeezed[1], Commit).wager < 300 * TOKEN
    assert net.state.question(key).pot + net.state.question(key).bounty == 500 * TOKEN


def test_a_snapshot_holds_them():
    net = Patronage()
    opened(net)
    assert decode_state(net.state.encode()).root() == net.state.root()


# Whatever is played

forecasts = st.lists(
    st.tuples(
        st.sampled_from([ASKER, FRIEND, OTHER]),
        st.integers(10_000, 990_000),
        st.integers(TOKEN // 100, 200 * TOKEN),
        st.booleans(),
    ),
    max_size=3,
    unique_by=lambda item: item[0],
)


def play(prior, bounty, bets, votes):
    """One sponsored question from ask to close; returns the ledger, the settlement, and what each agent gained."""
    net = Patronage()
    start = [net.worth(agent) for agent in range(7)]
    key = net.ask(bounty=bounty, asked=replace(RAIN, prior=(prior, 1_000_000 - prior)))
    net.advance(RAIN.opens)
    made = [(net.bet(key, agent, (p, 1_000_000 - p), wager), shown) for agent, p, wager, shown in bets]
    settlement = net.hold(key, votes, [bet for bet, shown in made if shown])
    while settlement.revote:
        settlement = net.hold(key, votes)
    return net, settlement, [net.worth(agent) - start[agent] for agent in range(7)]


@settings(max_examples=25)
@given(
    st.integers(10_000, 990_000),
    st.integers(2 * TOKEN, 300 * TOKEN),
    forecasts,
    st.dictionaries(st.integers(0, 3), st.sampled_from([YES, NO]), max_size=4),
)
def test_every_unit_is_accounted_for_and_askers_with_their_friends_never_gain(prior, bounty, bets, votes):
    reserve = Patronage().state.totals().reserve
    net, settlement, gains = play(prior, bounty, bets, votes)
    assert net.state.is_conserved(), "and after every close on the way"
    assert net.state.totals().reserve == reserve
    assert gains[ASKER] + gains[FRIEND] + gains[OTHER] <= -8 * FEE, "all who asked and answered, together"
    assert sum(gains) == -net.state.totals().burned
    assert settlement.returned >= 0


@settings(max_examples=15)
@given(st.integers(10_000, 990_000), st.sampled_from([YES, NO]), st.integers(TOKEN, 200 * TOKEN))
def test_whoever_repeats_the_prior_earns_nothing(prior, outcome, wager):
    bets = [(OTHER, prior, wager, True)]
    _, settlement, gains = play(prior, BOUNTY, bets, dict.fromkeys(range(4), outcome))
    (only,) = settlement.forecasts
    assert (only.net, only.back) == (0, wager)
    assert gains[OTHER] == -2 * FEE


@pytest.mark.parametrize("wager", [TOKEN, 50 * TOKEN, 500 * TOKEN])
def test_an_asker_who_answers_itself_pays_the_fees(wager):
    _, settlement, gains = play(10_000, BOUNTY, [(ASKER, 990_000, wager, True)], ALL)
    attesters = sum(item.amount for item in settlement.attesters)
    assert gains[ASKER] == -8 * FEE - 2 * FEE - attesters
