"""The flights agents one by one: they do with whatever they are given, and again what they did before."""

from dataclasses import replace

import pytest

from troth_node.agent import Accept, Counter, Offer, QuestionView, Quote, Reject, Request, Signal
from troth_node.loader import load_agent
from troth_node.swarm.scenario import load_scenario, make_plan
from troth_protocol.insight.prior import validate_ppm
from troth_protocol.wire.codec import encode

QUESTION = QuestionView(
    id=b"q" * 32,
    topic="LGA",
    index=7,
    subject="LGA 2013-09-02T18:00",
    text="",
    outcomes=("a", "b", "c"),
    prior_ppm=(300_000, 430_000, 270_000),
    opens=3,
    commit_last=6,
)
GARBAGE = (
    {},
    [],
    "late",
    b"\x00",
    {"h4": -(2**53) + 1, "p0": 2**53 - 1},
    {"h4": "x", "usual": [1], "p1": True},
)


@pytest.fixture(scope="module")
def agents(plan):
    """One of each, opened."""
    found = {}
    for node in plan.nodes:
        found[node.name] = load_agent(node.reference, plan.root)()
        found[node.name].open(node.options)
    return found


def signal(document, payload, seller="seller"):
    return Signal(seller, b"k" * 32, document.encode().ljust(32), document, payload, 10_000)


def supplied(agents, *names):
    productions = [(name, agents[name].produce(QUESTION, [])) for name in names]
    return [signal(made.document, made.payload, name) for name, made in productions]


def test_sellers_of_data_give_canonical_payloads_that_name_their_numbers(agents):
    for name in ("schedule", "weather", "own-delays", "other-delays", "spotter-1", "noise"):
        made = agents[name].produce(QUESTION, [])
        assert made.document in agents[name].documents
        assert encode(made.payload) == encode(agents[name].produce(QUESTION, []).payload)
    assert agents["schedule"].produce(QUESTION, []).payload["hour"] == 18_000


def test_spotters_see_through_lenses_of_their_own(plan):
    large = make_plan(load_scenario(plan.root / "examples/scenarios/flights.toml"), plan.root, 24, 20, None)
    nodes = [replace(node, options={**node.options, "airport": "JFK", "lag": 1}) for node in large.nodes]
    one, other = [load_agent(n.reference, plan.root)() for n in nodes if n.name in ("spotter-1", "spotter-2")]
    one.open({"name": "spotter-1", "seed": 1, "airport": "JFK", "lag": 1, "blur_ppm": 20_000})
    other.open({"name": "spotter-2", "seed": 1, "airport": "JFK", "lag": 1, "blur_ppm": 20_000})
    assert one.documents == other.documents == ("flights/spotter/JFK/1",)
    assert one.produce(QUESTION, []).payload != other.produce(QUESTION, []).payload


def test_processors_make_something_of_what_they_bought_and_nothing_of_nothing(agents):
    extractor, nowcast = agents["extractor"], agents["nowcast"]
    assert extractor.produce(QUESTION, []) is None
    partly = extractor.produce(QUESTION, supplied(agents, "weather"))
    whole = extractor.produce(QUESTION, supplied(agents, "weather", "schedule"))
    assert "congestion" in whole.payload
    assert "congestion" not in partly.payload
    sold = [signal("flights/features", whole.payload), *supplied(agents, "own-delays")]
    assert set(nowcast.produce(QUESTION, sold).payload) == {"late", "p0", "p1", "p2"}


def test_a_forecaster_answers_with_what_it_got_and_says_how(agents):
    alma = agents["alma"]
    forecast = alma.forecast(QUESTION, supplied(agents, "own-delays", "schedule"))
    validate_ppm(forecast.ppm, 3, 10_000)
    assert forecast.rationale.startswith("LGA 2013-09-02T18:00, chances of a, b, c. Prior: 30/43/27. Then ")
    assert "flights/schedule@schedule" in forecast.rationale
    assert alma.forecast(QUESTION, supplied(agents, "own-delays", "schedule")) == forecast


def test_a_forecaster_without_signals_is_silent(agents):
    assert agents["alma"].forecast(QUESTION, []) is None


@pytest.mark.parametrize("name", ["alma", "bruno", "carla", "apprentice-1", "extractor", "nowcast"])
@pytest.mark.parametrize("payload", GARBAGE)
def test_garbage_in_a_payload_hurts_nobody(agents, name, payload):
    agent = agents[name]
    signals = [signal(document.partition("@")[0], payload) for document in agent.buys]
    made = agent.produce(QUESTION, signals)
    if made is not None:
        encode(made.payload)
    forecast = agent.forecast(QUESTION, signals)
    if forecast is not None:
        validate_ppm(forecast.ppm, 3, 10_000)


def test_a_seller_asks_more_at_first_than_it_takes_at_last(agents):
    weather = agents["weather"]
    low = Request("alma", b"", QUESTION, "flights/weather", 1_000)
    assert weather.quote(low) == Quote(weather.ask_ppm)
    assert weather.quote(replace(low, round=1)) == Quote(weather.least_ppm)
    assert weather.quote(replace(low, round=1, min_weight_ppm=30_000)) == Quote(30_000)
    assert weather.quote(replace(low, document="flights/tip")) is None


def test_a_buyer_promises_half_of_what_it_would_cite(agents):
    bruno = agents["bruno"]
    limit = bruno.limit("flights/features")
    offer = Offer("extractor", b"", QUESTION, "flights/features", limit)
    assert bruno.consider(offer) == Accept()
    assert bruno.consider(replace(offer, min_weight_ppm=limit + 1)) == Counter(limit)
    assert bruno.consider(replace(offer, min_weight_ppm=limit + 1, round=1)) == Reject()
    assert sum(bruno.limit(document) for document in bruno.inputs) <= 500_000


def test_everybody_attests_the_same(agents):
    assert {agent.attest(QUESTION) for agent in agents.values()} == {2}


def test_an_hour_without_departures_counts_as_the_first_outcome(agents):
    assert agents["noise"].attest(replace(QUESTION, subject="LGA 2013-11-28T18:00")) == 0
