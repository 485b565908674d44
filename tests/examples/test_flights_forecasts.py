"""The replay's example: a table that holds what its README says, made as its script makes it."""

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from troth_node.replay.forecasts import read_table
from troth_protocol.wire.schema import PPM

TABLE = Path(__file__).parents[2] / "examples" / "data" / "flights_forecasts.csv"


@pytest.fixture(scope="module")
def table():
    return read_table(TABLE, 10_000)


def answered(table, name):
    """By round: how many questions a forecaster answered."""
    number = table.forecasters.index(name)
    return [len(round_.answered_by(number)) for round_ in table.rounds]


def test_it_holds_17_weeks_of_three_outcomes(table):
    assert [round_.name for round_ in table.rounds] == [str(week + 1) for week in range(17)]
    assert (table.outcomes, table.rows, sum(table.batches())) == (3, 5_997, 713)


def test_somebody_starts_late_and_somebody_misses_rounds(table):
    newcomer, bayes = answered(table, "newcomer"), answered(table, "naive_bayes")
    assert [number for number, count in enumerate(newcomer) if not count] == list(range(6))
    assert [number for number, count in enumerate(bayes) if not count] == [3, 7, 11, 15]


def test_models_know_more_than_the_climate_and_tea_leaves_know_less(table):
    losses = defaultdict(list)
    for round_ in table.rounds:
        for asked in round_.questions:
            for number, ppm in asked.answers.items():
                losses[table.forecasters[number]].append(-math.log(ppm[asked.outcome] / PPM))
    mean = {name: np.mean(values) for name, values in losses.items()}
    assert max(mean["boosting"], mean["forest"], mean["logistic"]) < mean["climatology"] < mean["tea_leaves"]


def test_what_needs_no_model_is_made_again_as_it_stands(table, forecasts_script, table_module):
    flights = table_module.load_table()
    first_day = forecasts_script.FIRST_DAY
    begin = forecasts_script.FIT_FROM // 24
    past, week = forecasts_script.slots(begin, first_day - begin), forecasts_script.slots(first_day, 7)
    departed = flights.outcome(past) >= 0
    past = forecasts_script.Slots(past.airport[departed], past.hour[departed])
    made = {
        "climatology": forecasts_script.climatology(flights, past, week),
        "yesterday": forecasts_script.yesterday(flights, past, week),
    }
    asked = [question for question in table.rounds[0].questions if question.answers]
    for name, ppm in made.items():
        number = table.forecasters.index(name)
        written = np.array([question.answers[number] for question in asked]) / PPM
        assert np.abs(written - ppm).max() < 1e-4
    assert [question.outcome for question in asked] == list(flights.outcome(week))


def test_features_ask_for_nothing_that_may_not_be_known(forecasts_script, table_module):
    week = forecasts_script.slots(300, 7)
    values = table_module.read_values()
    before = forecasts_script.features(table_module.Table(values), week)
    for column, lead in table_module.LEAD_HOURS.items():
        values[:, week.hour.max() - lead + 1 :, table_module.COLUMNS.index(column)] += 7
    last = week.hour == week.hour.max()
    after = forecasts_script.features(table_module.Table(values), week)
    assert np.array_equal(before[last], after[last], equal_nan=True)
