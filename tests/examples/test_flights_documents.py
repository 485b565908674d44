"""The documents of the flights scenario: one for every signal, and every payload that an agent makes fits its own."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from troth_node.agent import QuestionView, Signal
from troth_node.documents import own_documents
from troth_node.loader import load_agent
from troth_node.payload import validate_payload
from troth_node.swarm.scenario import load_scenario, make_plan
from troth_protocol.errors import Invalid

QUESTION = QuestionView(bytes(32), "LGA", 7, "", "", ("a", "b", "c"), (300_000, 430_000, 270_000), 3, 6)
FIRST = datetime(2013, 9, 1)  # noqa: DTZ001 - local hours, as in the data
#: Every ninth day until the year's end, at each hour that is asked about.
SUBJECTS = [
    f"{airport} {(FIRST + timedelta(days=day, hours=hour)).isoformat(timespec='minutes')}"
    for airport in ("EWR", "JFK", "LGA")
    for day in range(0, 122, 9)
    for hour in (9, 12, 15, 18)
]


@pytest.fixture(scope="module")
def sellers(plan):
    """One of each that sells, opened, by the name of what it sells; of the spotters all seven."""
    large = make_plan(load_scenario(plan.root / "examples/scenarios/flights.toml"), plan.root, 24, 20, None)
    found = {}
    for node in large.nodes:
        if node.role in ("seller", "processor"):
            agent = load_agent(node.reference, plan.root)()
            agent.open(node.options)
            found[agent.documents[0]] = agent
    return found


def bought(agent, sellers, question):
    """What a processor would have bought: everything that it wants."""
    signals = []
    for want in getattr(agent, "buys", ()):
        made = sellers[want].produce(question, bought(sellers[want], sellers, question))
        signals.append(Signal("x", b"k" * 32, want.encode().ljust(32), want, made.payload, 1))
    return signals


def test_there_is_a_document_for_every_signal(sellers):
    assert {name.partition("/spotter/")[0] for name in sellers} == {
        *(f"flights/{name}" for name in ("schedule", "weather", "own_delays", "other_delays")),
        *("flights/features", "flights/nowcast", "flights/tip", "flights"),
    }
    for name, agent in sellers.items():
        (document,) = own_documents(agent)
        assert (document.name, document.fields["multiround"]) == (name, "false")
        assert len(document.text.split("---\n")[2].split("```")[0]) > 200, "prose says more than the schema"


def test_every_number_has_its_place_in_the_schema_and_says_what_it_is(sellers, plan):
    sys.path.append(str(plan.root / "examples" / "agents"))
    names_of = importlib.import_module("flights_risk").names_of
    for name, agent in sellers.items():
        properties = own_documents(agent)[0].schema["properties"]
        assert tuple(properties) == names_of(name)
        assert all(item["description"] for item in properties.values())


def test_every_payload_fits_its_document(sellers):
    for name, agent in sellers.items():
        (document,) = own_documents(agent)
        subjects = SUBJECTS if not hasattr(agent, "buys") else SUBJECTS[::6]
        for subject in subjects:
            question = replace(QUESTION, subject=subject)
            made = agent.produce(question, bought(agent, sellers, question))
            assert made.document == name
            validate_payload(document, made.payload)


def test_a_payload_with_another_number_does_not_fit(sellers):
    for agent in sellers.values():
        (document,) = own_documents(agent)
        for payload in ({"lies": 1}, {next(iter(document.schema["properties"])): "1"}, [1]):
            with pytest.raises(Invalid):
                validate_payload(document, payload)


def test_a_buyer_takes_the_very_text_and_no_other(sellers):
    buyer, (text,) = sellers["flights/nowcast"], own_documents(sellers["flights/own_delays"])
    assert buyer.understands("flights/own_delays", text.text)
    assert not buyer.understands("flights/own_delays", text.text.replace("thousandths", "hundredths"))
    spotter = own_documents(sellers["flights/spotter/JFK/1"])[0]
    assert "watches from the fence" in spotter.text
    assert "{" not in spotter.text.split("```")[0]
    assert buyer.understands("flights/spotter/JFK/1", spotter.text)
    assert not buyer.understands("flights/spotter/JFK/2", spotter.text)
