"""The flights agents one by one: they do with whatever they are given, and again what they did before."""

from collections import Counter as Tally
from dataclasses import replace

import pytest

from troth_node.agent import (
    Accept,
    Auction,
    Counter,
    Lot,
    Offer,
    QuestionView,
    Quote,
    Reject,
    Request,
    Result,
    Seller,
    Signal,
    Want,
)
from troth_node.loader import load_agent
from troth_node.swarm.scenario import load_scenario, make_plan
from troth_protocol.insight.prior import validate_ppm
from troth_protocol.insight.standing import Earned
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
    assert bruno.consider(replace(offer, min_weight_ppm=limit + 1)) == Counter(limit, 0)
    assert bruno.consider(replace(offer, min_weight_ppm=limit + 1, round=1)) == Reject()
    assert sum(bruno.limit(document) for document in bruno.inputs) <= 500_000


def test_everybody_attests_the_same(agents):
    assert {agent.attest(QUESTION) for agent in agents.values()} == {2}


def test_an_hour_without_departures_counts_as_the_first_outcome(agents):
    assert agents["noise"].attest(replace(QUESTION, subject="LGA 2013-11-28T18:00")) == 0


# Prices

LONG = replace(QUESTION, id=b"l" * 32, commit_last=QUESTION.opens + 7)


def fresh(plan, name):
    """An agent that has learnt nothing yet."""
    (node,) = [node for node in plan.nodes if node.name == name]
    agent = load_agent(node.reference, plan.root)()
    agent.open(node.options)
    return agent


def settled(question, income=0, signals=(), sold=0):
    """How a question ended."""
    return Result(question, 0, (1,) * 3 if signals else None, tuple(signals), income, 0, 0, 0, income, sold)


def test_a_seller_asks_for_what_a_delivery_has_earned(plan):
    spotter = fresh(plan, "spotter-1")
    request = Request("apprentice-1", b"", LONG, spotter.documents[0], 10_000)
    first = spotter.quote(request)
    assert first.min_weight_ppm == 0
    for number in range(200):
        question = replace(LONG, id=number.to_bytes(32, "big"))
        spotter.quote(replace(request, question=question))
        spotter.observe(settled(question, sold=2 * first.price))
    assert 1.2 * first.price < spotter.quote(request).price < 2 * first.price
    asked = spotter.quote(request).price
    assert spotter.quote(replace(request, round=1, price=asked - 1)).price == asked - 1
    assert 0 < spotter.quote(replace(request, round=1, price=1)).price < asked


def test_where_commits_close_early_everything_is_sold_by_citation(plan):
    for name in ("spotter-1", "other-delays"):
        seller = fresh(plan, name)
        request = Request("alma", b"", QUESTION, seller.documents[0], 10_000)
        assert seller.quote(request) == Quote(seller.ask_ppm)
        assert seller.auction(QUESTION, seller.produce(QUESTION, [])) is None


def test_a_scarce_signal_is_auctioned_and_sold_to_nobody_else(plan):
    seller = fresh(plan, "other-delays")
    assert seller.quote(Request("alma", b"", LONG, seller.documents[0], 10_000)) is None
    lot = seller.auction(LONG, seller.produce(LONG, []))
    assert (lot.units, lot.cap) == (1, 5 * lot.reserve)
    assert isinstance(lot, Lot)


def test_a_buyer_bids_its_share_of_what_a_question_brings(plan):
    alma = fresh(plan, "alma")
    want = Want("flights/other_delays", 0, at_auction=True)
    assert want in alma.wants(LONG)
    assert want not in alma.wants(QUESTION)
    auction = Auction("other-delays", b"", LONG, "flights/other_delays", 1, 10**9)
    before = alma.bid(auction)
    for _ in range(100):
        alma.observe(settled(LONG, income=10**9))
    assert alma.bid(auction) > 3 * before > 0
    for _ in range(400):
        alma.observe(settled(LONG, income=-(10**9)))
    assert alma.bid(auction) == 0


def test_a_price_above_the_worth_is_countered_once(plan):
    apprentice = fresh(plan, "apprentice-1")
    document = "flights/spotter/JFK/1"
    most = apprentice.pay_for(document)
    offer = Offer("spotter-1", b"", LONG, document, 0, price=most)
    assert apprentice.consider(offer) == Accept()
    assert apprentice.consider(replace(offer, price=most + 1)) == Counter(0, most)
    assert apprentice.consider(replace(offer, price=most + 1, round=1)) == Reject()


def test_what_was_paid_for_is_not_cited_besides(plan):
    apprentice = fresh(plan, "apprentice-1")
    cited = signal("flights/weather", {})
    paid = replace(signal("flights/spotter/JFK/1", {}), price=5, weight_ppm=0)
    weights = apprentice.allocate(LONG, [cited, paid], apprentice.forecast(LONG, [cited, paid]))
    assert weights.keys() == {cited.commit}


def test_a_seller_whose_signals_do_harm_is_dropped(plan):
    carla = fresh(plan, "carla")
    tip = {"p0": 0, "p1": 0, "p2": 1_000}
    want = Want("flights/tip", 0)
    noise, other = (Seller(name, b"", b"", 0, 0, Earned()) for name in ("noise", "other"))
    assert carla.prefer(want, [noise, other]) == [noise, other]
    for number in range(80):
        question = replace(QUESTION, id=number.to_bytes(32, "big"))
        signals = [signal("flights/tip", tip, "noise")]
        forecast = carla.forecast(question, signals)
        carla.observe(Result(question, 0, forecast.ppm, tuple(signals), 0, 0, 0, 0, 0))
    assert carla.prefer(want, [noise, other]) == [other]


def test_whoever_was_convicted_is_not_asked(plan):
    alma = fresh(plan, "alma")
    bad = Seller("bad", b"", b"", 0, 0, Earned(offences=Tally(misdelivery=1)))
    good = Seller("good", b"", b"", 0, 0, Earned())
    assert alma.prefer(Want("flights/schedule", 0), [bad, good]) == [good]
