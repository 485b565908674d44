"""The flights economy: insight is paid for in the order of its measure, and believing noise costs stake."""

import pytest

from troth_node.contribution import rank_correlation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def economy(economy_module, plan):
    played = economy_module.Economy(plan)
    played.run()
    return played


def test_every_question_is_settled(economy):
    assert economy.settled == 308


def test_the_best_forecaster_beats_the_prior_by_far(economy):
    assert max(economy.books[name].gain for name in economy.named("forecaster")) >= 0.15


def test_insight_gains_stake_and_believing_tips_loses_it(economy):
    balances = {name: economy.books[name].balance for name in economy.named("forecaster")}
    start = economy.plan.genesis.holders[0].balance
    assert balances.pop("carla") < 0.98 * start
    assert min(balances.values()) > start
    assert economy.books["carla"].won < 0


def test_sellers_are_paid_in_the_order_of_their_contribution(economy):
    assert rank_correlation(economy.income(), economy.contribution()) >= 0.8


def test_noise_starves(economy):
    income = economy.income()
    noise = income.pop("noise")
    assert noise < min(income.values()) / 5
    cited = economy.agents["carla"].report()["cited_ppm"]
    assert cited["flights/tip@noise"] < cited["flights/own_delays@own-delays"] / 5


def test_citations_are_paid_three_levels_deep(economy):
    assert set(economy.levels) >= {1, 2, 3}
    assert min(economy.levels[level] for level in (1, 2, 3)) > 10**9


def test_prices_are_paid_within_the_budget(economy):
    bought = {name: books.bought for name, books in economy.books.items() if books.bought}
    budgets = {name: economy.nodes[name].budget for name in bought}
    assert bought
    assert all(0 < bought[name] <= budgets[name] for name in bought)
    sold = {name: books.sold for name, books in economy.books.items() if books.sold}
    assert sold.keys() == {"other-delays", "spotter-1"}
    assert sum(sold.values()) == sum(bought.values())


def test_no_token_is_made_or_lost_by_citations(economy):
    books = economy.books.values()
    start = sum(holder.balance for holder in economy.plan.genesis.holders)
    assert sum(b.received for b in books) == sum(b.paid for b in books)
    assert sum(b.balance for b in books) == start + sum(b.won + b.emission for b in books)
    assert sum(b.won for b in books) <= 0


def test_credit_adds_up_to_the_gain_over_the_prior(economy):
    report, books = economy.agents["alma"].report(), economy.books["alma"]
    assert sum(report["credit_nats"].values()) == pytest.approx(books.prior_loss - books.loss, abs=0.1)
    assert report["log_loss"] == pytest.approx(books.loss / books.forecasts)
