"""Earned standing adds up what closes did, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.insight.results import (
    AttesterLine,
    BreachLine,
    ForecastLine,
    PaymentLine,
    Settlement,
    settlement_rows,
)
from troth_protocol.insight.standing import Earned
from troth_protocol.insight.standing import tally as tally_into
from troth_protocol.log.rows import TABLES, Offence
from troth_protocol.market.sale import BidLine, Sale, sale_rows
from troth_protocol.wire.crypto import digest

ALMA, BRUNO, CARLA, Q, C = (digest(name.encode()) for name in ("alma", "bruno", "carla", "q", "c"))


def tally(rows, found=None):
    found = {} if found is None else found
    tally_into(rows, found)
    return found


def settled(forecasts=(), payments=(), attesters=()):
    item = Settlement(Q, "coin", 0, 0, 1, False, (500_000, 500_000), forecasts, payments, attesters)
    return list(settlement_rows(item))


def forecast(author, net):
    return ForecastLine(author, C, (500_000, 500_000), 10, 10, net, max(net, 0))


def test_forecasters_win_and_lose():
    found = tally(settled((forecast(ALMA, 7), forecast(BRUNO, -3))))
    found = tally(settled((forecast(ALMA, -2),)), found)
    assert (found[ALMA].forecasts, found[ALMA].won, found[ALMA].lost, found[ALMA].net) == (2, 7, 2, 5)
    assert found[BRUNO].net == -3


def test_income_counts_by_citation_and_by_payer_but_not_from_oneself():
    paid = [(ALMA, BRUNO, 5), (ALMA, BRUNO, 2), (CARLA, BRUNO, 1), (BRUNO, BRUNO, 100)]
    found = tally(settled(payments=tuple(PaymentLine(a, b, C, C, amount) for a, b, amount in paid)))
    bruno = found[BRUNO]
    assert (bruno.income, bruno.deliveries, bruno.payers, bruno.paid) == (8, 3, {ALMA, CARLA}, 0)
    assert found[ALMA].paid == 7


def test_attesters_gain_and_are_penalised():
    found = tally(settled(attesters=(AttesterLine(ALMA, 1, 4), AttesterLine(BRUNO, None, -6))))
    assert (found[ALMA].votes, found[ALMA].attested, found[BRUNO].penalty) == (1, 4, 6)


def test_sponsored_questions_do_not_count():
    paid, vote = (PaymentLine(ALMA, BRUNO, C, C, 5),), (AttesterLine(CARLA, 1, 4),)
    item = Settlement(
        Q, "", 0, 0, 1, False, (500_000, 500_000), (forecast(ALMA, 7),), paid, vote, asker=CARLA, returned=3
    )
    assert tally(settlement_rows(item)) == {}


def test_a_broken_promise_counts_against_the_buyer_and_is_no_income():
    broken = (BreachLine(Q, ALMA, BRUNO, C, 5, 7),)
    found = tally(settlement_rows(Settlement(Q, "", 0, 0, 1, False, (500_000, 500_000), (), (), (), broken)))
    assert found.keys() == {ALMA}
    assert (found[ALMA].breaches, found[ALMA].forfeited, found[ALMA].net) == (1, 12, -12)


def test_offences_count_by_kind():
    offence = TABLES["offences"].dump(Offence("entry_fork", CARLA, 3, 4, 50))
    found = tally([["offence", Q, offence], ["offence", C, offence]])
    assert dict(found[CARLA].offences) == {"entry_fork": 2}
    assert (found[CARLA].slashed, found[CARLA].net) == (100, -100)


def test_what_was_locked_at_an_auction_is_its_sellers_but_not_earned_yet():
    bids = (BidLine(BRUNO, 9, 7, 3, 0), BidLine(CARLA, None, 0, 0, 10))
    found = tally(sale_rows(Sale(Q, ALMA, C, 1, 7, 7, 0, bids)))
    assert found.keys() == {ALMA}
    assert (found[ALMA].auctioned, found[ALMA].net) == (7, 0)


def test_whoever_no_result_names_has_earned_nothing():
    assert tally([]) == {}
    assert Earned().net == 0


@pytest.mark.parametrize(
    "row",
    [
        [],
        "row",
        ["gift", Q, []],
        ["payment", Q, [ALMA, BRUNO]],
        ["forecast", Q, {"author": ALMA, "net": ["1"]}],
        ["auction", Q, {}],
        ["bid", Q, [ALMA, [], 7, "0", "0"]],
        ["attester", Q, [ALMA, [], [1, 2]]],
    ],
)
def test_rows_of_another_form_are_refused(row):
    with pytest.raises(Invalid, match="bad_row"):
        tally([row])


@given(
    st.lists(
        st.tuples(
            st.sampled_from([ALMA, BRUNO, CARLA]), st.sampled_from([ALMA, BRUNO, CARLA]), st.integers(0, 9)
        )
    )
)
def test_what_one_earns_by_citation_others_have_paid(payments):
    lines = tuple(PaymentLine(payer, payee, C, C, amount) for payer, payee, amount in payments)
    found = tally(settled(payments=lines)).values()
    assert sum(earned.income for earned in found) == sum(earned.paid for earned in found)
    assert sum(earned.net for earned in found) == 0
