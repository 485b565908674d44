"""The agent API: the base class is a whole agent, and its defaults do what they say."""

from collections import Counter as Tally
from dataclasses import replace

from troth_node.agent import (
    Accept,
    Agent,
    Auction,
    Counter,
    Forecast,
    Offer,
    Production,
    QuestionView,
    Quote,
    Reject,
    Request,
    Result,
    Seller,
    Signal,
    Want,
)
from troth_protocol.insight.standing import Earned

QUESTION = QuestionView(
    id=bytes(32),
    topic="JFK",
    index=18,
    subject="JFK 2013-09-05T15:00",
    text="How late?",
    outcomes=("early", "late"),
    prior_ppm=(600_000, 400_000),
    opens=6,
    commit_last=9,
)
FORECAST = Forecast((500_000, 500_000), "a coin", 10_000)


def signal(seller: str, weight_ppm: int = 10_000) -> Signal:
    return Signal(seller, seller.encode().ljust(32), seller.encode(), "flights/x", {"n": 1}, weight_ppm)


def request(document: str, round_: int = 0) -> Request:
    return Request("alma", bytes(32), QUESTION, document, 70_000, round_)


def offer(weight_ppm: int, round_: int = 0) -> Offer:
    return Offer("weather", bytes(32), QUESTION, "flights/x", weight_ppm, round_)


def result(outcome: int | None, *sellers: str) -> Result:
    signals = tuple(map(signal, sellers))
    return Result(QUESTION, outcome, FORECAST.ppm, signals, income=5, paid=1, wager=10, back=9, net=3)


class Shop(Agent):
    documents = ("flights/x",)


class Judge(Agent):
    """Credits the first signal with a nat and charges the others one."""

    def credit(self, result):
        first, *others = result.signals
        return {first.source: 1.0} | {other.source: -1.0 for other in others}


def test_an_agent_with_nothing_overridden_is_silent():
    agent = Agent()
    agent.open({"name": "mute", "seed": 3})
    assert (agent.name, agent.seed) == ("mute", 3)
    assert agent.wants(QUESTION) == []
    assert agent.quote(request("flights/x")) is None
    assert agent.produce(QUESTION, []) is None
    assert agent.forecast(QUESTION, []) is None
    assert agent.attest(QUESTION) is None
    agent.observe(result(1))
    assert agent.report() == {"shares_ppm": {}}


def test_a_seller_takes_what_is_offered_for_its_own_documents_only():
    assert Shop().quote(request("flights/x")) == Quote(70_000)
    assert Shop().quote(request("flights/y")) is None


def test_an_agent_describes_what_lies_beside_it_and_nothing_else():
    assert Judge().describe("flights/x") is None
    assert Judge().describe("../secret") is None


def test_a_buyer_that_ships_a_text_understands_no_other():
    class Careful(Agent):
        def describe(self, document):
            return "the text" if document == "flights/x" else None

    assert Careful().understands("flights/x", "the text")
    assert not Careful().understands("flights/x", "another text")
    assert Careful().understands("flights/y", "any text")


def test_a_buyer_accepts_up_to_its_limit_counters_once_then_does_without():
    agent = Agent()
    assert agent.consider(offer(agent.pay_ppm)) == Accept()
    assert agent.consider(offer(agent.pay_ppm + 1)) == Counter(agent.pay_ppm)
    assert agent.consider(offer(agent.pay_ppm + 1, round_=1)) == Reject()


def test_a_fresh_agent_cites_alike_whatever_it_makes():
    signals = [signal("weather"), signal("noise")]
    for output in (FORECAST, Production("flights/y", [1], "a sum")):
        weights = Agent().allocate(QUESTION, signals, output)
        assert weights == {b"weather": 400_000, b"noise": 400_000}


def test_citations_follow_past_credit():
    judge = Judge()
    for _ in range(20):
        judge.observe(result(1, "weather", "noise"))
    weights = judge.allocate(QUESTION, [signal("noise"), signal("weather")], FORECAST)
    assert weights[b"weather"] > 700_000
    assert weights[b"noise"] == 10_000  # what was promised, and not a ppm more
    assert judge.report()["shares_ppm"]["flights/x@noise"] < 10_000


def test_without_signals_nobody_is_cited():
    assert Agent().allocate(QUESTION, [], FORECAST) == {}


def test_sellers_that_answer_and_were_never_convicted_come_first():
    bad = Earned(offences=Tally(misdelivery=1))
    sellers = [
        Seller("alma", b"", b"", 0, 0, Earned(), is_silent=True),
        Seller("bruno", b"", b"", 0, 0, bad),
        Seller("dora", b"", b"", 0, 0, Earned()),
        Seller("carla", b"", b"", 0, 0, Earned()),
    ]
    liked = Agent().prefer(Want("flights/x", 0), sellers)
    assert [seller.name for seller in liked] == ["carla", "dora", "bruno", "alma"]


def test_a_plain_agent_auctions_nothing_and_bids_what_it_would_pay():
    agent = Agent()
    assert agent.auction(QUESTION, Production("flights/x", [1], "")) is None
    assert agent.bid(Auction("weather", b"", QUESTION, "flights/x", 1, 10)) is None
    agent.pay = 4
    assert agent.bid(Auction("weather", b"", QUESTION, "flights/x", 1, 10)) == 4
    agent.budget = 9
    assert agent.consider(replace(offer(0), price=5)) == Reject()


def test_a_price_is_asked_and_paid_up_to_the_budget():
    shop, agent = Shop(), Agent()
    shop.price, agent.budget = 5, 5
    assert shop.quote(request("flights/x")) == Quote(70_000, 5)
    assert agent.consider(replace(offer(0), price=5)) == Accept()
    assert agent.consider(replace(offer(0), price=6)) == Reject()
    assert Agent().consider(replace(offer(0), price=1)) == Reject()
