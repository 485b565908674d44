"""No leakage: whatever happens later than may be known, the agents say the same, to the byte."""

import csv
import gzip
from dataclasses import replace

import numpy as np
import pytest

from troth_node.agent import QuestionView
from troth_node.loader import load_agent
from troth_protocol.wire.codec import encode

TOPIC, INDEX = "JFK", 18  # 2013-09-05, 15 o'clock
SUBJECT = "JFK 2013-09-05T15:00"
DATA_AGENTS = (
    "schedule.py:Schedule",
    "weather.py:Weather",
    "own_delays.py:OwnDelays",
    "other_delays.py:OtherDelays",
)


def spoilt(tables, hour, later):
    """The table's values, all changed that become known `later` hours or more after the question is asked."""
    values = tables.read_values()
    for column, lead in tables.LEAD_HOURS.items():
        begin = hour - lead + later
        values[:, begin:, tables.COLUMNS.index(column)] += 7 if column != "share_late" else 0.31
    return values


def payload(tables, plan, reference, values):
    agent = load_agent(f"examples/agents/{reference}", plan.root)()
    agent.open({})
    agent.table = tables.Table(values)
    view = question(plan)
    return encode(agent.produce(view, []).payload)


def question(plan):
    return QuestionView(
        bytes(32), TOPIC, INDEX, SUBJECT, "", ("a", "b", "c"), (300_000, 300_000, 400_000), 6, 9
    )


def write(tables, path, values):
    """The table as a file again, so that agents fit their models on it too."""
    with gzip.open(path, "wt", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["origin", "sched", *tables.COLUMNS])
        for airport, hour in np.ndindex(values.shape[:2]):
            time = tables.BEGIN + np.timedelta64(hour, "h").astype("timedelta64[s]").item()
            cells = ["" if np.isnan(cell) else repr(float(cell)) for cell in values[airport, hour]]
            rows.writerow([tables.AIRPORTS[airport], time.isoformat(sep=" "), *cells])


def told(economy_module, plan, data):
    """What everybody commits on the question: payloads and forecasts, as bytes."""
    nodes = tuple(replace(node, options={**node.options, "data": str(data)}) for node in plan.nodes)
    economy = economy_module.Economy(replace(plan, nodes=nodes))
    made = economy.ask(plan.genesis.topic(TOPIC), INDEX, 6).made
    return {
        name: encode(list(c.output.ppm) if hasattr(c.output, "ppm") else c.output.payload)
        for name, c in made.items()
    }


def test_the_question_is_the_one_that_the_test_means(plan):
    assert f"{TOPIC} {plan.genesis.topic(TOPIC).slot(INDEX)}" == SUBJECT


@pytest.mark.parametrize("column", ["departures", "temp", "share_late"])
def test_the_table_refuses_to_look_later_than_may_be_known(table_module, column):
    slots = table_module.Slots.of(SUBJECT)
    lead = table_module.LEAD_HOURS[column]
    table_module.load_table().look(column, slots, lead)
    with pytest.raises(ValueError, match=f"{column} is known {lead} hours before"):
        table_module.load_table().look(column, slots, lead - 1)


@pytest.mark.parametrize("reference", DATA_AGENTS)
def test_data_that_comes_later_leaves_a_payload_as_it_is(table_module, plan, reference):
    hour = int(table_module.Slots.of(SUBJECT).hour[0])
    honest = payload(table_module, plan, reference, table_module.read_values())
    assert payload(table_module, plan, reference, spoilt(table_module, hour, 1)) == honest


@pytest.mark.parametrize("reference", DATA_AGENTS)
def test_data_that_comes_just_in_time_changes_it(table_module, plan, reference):
    hour = int(table_module.Slots.of(SUBJECT).hour[0])
    honest = payload(table_module, plan, reference, table_module.read_values())
    assert payload(table_module, plan, reference, spoilt(table_module, hour, 0)) != honest


def test_whole_agents_fitted_on_a_spoilt_future_say_the_same(table_module, economy_module, plan, tmp_path):
    hour = int(table_module.Slots.of(SUBJECT).hour[0])
    write(table_module, tmp_path / "spoilt.csv.gz", spoilt(table_module, hour, 1))
    honest = told(economy_module, plan, table_module.DATA)
    assert told(economy_module, plan, tmp_path / "spoilt.csv.gz") == honest
    assert set(honest) == {node.name for node in plan.nodes}
