"""Buying by documents: what is asked for was read before, and what arrives fits it, or it is dropped unreceipted."""

from dataclasses import dataclass, replace

import pytest
from structlog.testing import capture_logs

from troth_node.agent import Agent, QuestionView, Want
from troth_node.dealings import Dealings
from troth_node.duties import Duties
from troth_node.testing.samples import COIN
from troth_node.testing.stage import Stage
from troth_node.trader import ANSWER_EPOCHS
from troth_protocol.core import Core, Traded
from troth_protocol.genesis import Phases
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.rows import Question
from troth_protocol.log.sealed import commit_digest, commit_id
from troth_protocol.market.card import Announcement, Card
from troth_protocol.market.document import compose_document
from troth_protocol.market.library import PATIENCE_TICKS, Fetched, NotFetched
from troth_protocol.market.trades import BODIES, Accept, Deliver, Receipt, Request
from troth_protocol.market.transcript import DELIVERED, RECEIVED
from troth_protocol.wire.codec import encode
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import DocumentMsg, Trade, WantDocument

ALMA, BRUNO, CARLA, EMIL = 0, 1, 2, 4
SALT = b"s" * 32
SCHEMA = {"type": "object", "properties": {"temp": {"type": "integer"}}, "required": ["temp"]}


def made(prose="Thousandths of a °F.", name="flights/weather"):
    fields = {"name": name, "version": "1", "description": "Weather.", "multiround": "false"}
    return compose_document(fields, prose, SCHEMA)


WEATHER = made()


@dataclass
class Node:
    """What dealings need of a runtime."""

    core: Core


class Seller(Agent):
    documents = ("flights/weather",)


async def call(method, *arguments):
    return method(*arguments)


class Market:
    """Sellers by the documents of the stage, and Emil, who buys."""

    def __init__(self, documents, agent=None):
        self.stage = Stage(topics=(replace(COIN, phases=Phases(4, 2, 2, 2)),))
        self.stage.documents = {seller: tuple(texts) for seller, texts in documents.items()}
        self.stage.start()
        self.stage.settle()
        agents = {seller: Seller() for seller in documents} | {EMIL: agent or Agent()}
        self.dealings = {
            number: Dealings(Node(self.stage.core(number)), each, Duties(self.stage.core(number)), call)
            for number, each in agents.items()
        }
        while not list(self.stage.core(EMIL).chain.state.items("questions", Question)):
            self.stage.close()
        key, question = next(iter(self.stage.core(EMIL).chain.state.items("questions", Question)))
        self.view = QuestionView(
            key, "coin", 0, "", "", ("a", "b"), question.prior, question.opens, question.commit_last()
        )
        self.views = {key: self.view}
        self.signals = []
        self.seen = {number: len(self.stage.seats[number].notices) for number in self.dealings}

    async def ask(self, document="flights/weather", seller=None):
        await self.dealings[EMIL].ask(self.view, [Want(document, 100_000, seller)], is_reseller=False)
        await self.play()

    async def play(self, but=None):
        """Let frames and notices move until nothing is left."""
        for _ in range(40):
            for number in self.dealings:
                self.stage.flush(number)
            self.stage.settle(but)
            for number in self.dealings:
                await self.hear(number)

    async def hear(self, number):
        notices = self.stage.seats[number].notices
        fresh, self.seen[number] = notices[self.seen[number] :], len(notices)
        for event in fresh:
            if isinstance(event, Fetched | NotFetched):
                await self.dealings[number].fetched(event)
            elif isinstance(event, Traded):
                views = self.views if number == EMIL else {self.view.id: self.view}
                signal = await self.dealings[number].receive(event.peer, event.trade, views)
                self.signals += [signal[1]] if signal else []

    def said(self, kind, source=EMIL):
        trades = [
            mail for mail in self.stage.sent if mail.source == source and isinstance(mail.message, Trade)
        ]
        bodies = [(mail.target, BODIES.decode(mail.message.body)) for mail in trades]
        return [(target, body) for target, body in bodies if isinstance(body, kind)]

    def asked(self):
        return [mail.target for mail in self.stage.sent if isinstance(mail.message, WantDocument)]

    async def deliver(self, payload, seller=ALMA):
        """The seller delivers this payload, whatever its document says."""
        (deal,) = [each for each in self.dealings[seller].desk if not each.is_over()]
        network, key = self.stage.network, self.stage.key(seller)
        data = encode(payload)
        contribution = CONTRIBUTION.encode(Contribution(self.view.id, "", (), payload=digest(data)))
        sealed = commit_digest(network, key, self.view.id, SALT, contribution)
        trade = deal.deliver(commit_id(network, key, self.view.id, sealed), contribution, SALT, data)
        self.stage.core(seller).out.send(self.stage.key(EMIL), trade)
        await self.play()


async def test_a_buyer_reads_the_document_before_it_asks():
    market = Market({ALMA: [WEATHER]})
    await market.ask()
    assert market.asked() == [ALMA]
    ((target, request),) = market.said(Request)
    assert (target, request.document) == (ALMA, WEATHER.id)
    kinds = [type(mail.message) for mail in market.stage.sent if mail.source == EMIL]
    assert kinds.index(WantDocument) < kinds.index(Trade)


async def test_it_is_fetched_once_for_all_questions():
    market = Market({ALMA: [WEATHER]})
    await market.ask()
    await market.ask()
    assert market.asked() == [ALMA]
    assert len(market.said(Request)) == 2


async def test_a_payload_that_fits_is_receipted_and_handed_on():
    market = Market({ALMA: [WEATHER]})
    await market.ask()
    await market.deliver({"temp": 71_060})
    (signal,) = market.signals
    assert (signal.document, signal.payload, signal.seller) == (
        "flights/weather",
        {"temp": 71_060},
        "agent 0",
    )
    assert len(market.said(Receipt)) == 1
    assert [deal.state for deal in market.dealings[ALMA].desk] == [RECEIVED]


@pytest.mark.parametrize("payload", [{}, {"temp": "hot"}, [71_060], "hot", {"temp": True}])
async def test_a_payload_that_does_not_fit_is_dropped_without_a_receipt(payload):
    market = Market({ALMA: [WEATHER]})
    await market.ask()
    with capture_logs() as lines:
        await market.deliver(payload)
    assert market.signals == []
    assert market.said(Receipt) == []
    assert [deal.state for deal in market.dealings[EMIL].desk] == [DELIVERED]
    (line,) = [line for line in lines if line["log_level"] == "warning"]
    assert (line["seller"], line["document"], line["code"]) == ("agent 0", "flights/weather", "bad_payload")


async def test_of_several_sellers_the_first_whose_document_can_be_had():
    market = Market({ALMA: [WEATHER], BRUNO: [made("Whole °F.")]})
    market.stage.core(ALMA).library.own.clear()  # it announces what it does not hold
    await market.ask()
    assert market.asked() == [ALMA, BRUNO]
    assert [target for target, _ in market.said(Request)] == [BRUNO]


async def test_a_seller_that_sends_another_text_is_passed_over():
    market = Market({ALMA: [WEATHER], BRUNO: [made("Whole °F.")]})
    market.stage.core(ALMA)._handlers[WantDocument] = lambda peer, message: market.stage.core(ALMA).out.send(
        peer, DocumentMsg(message.document, made("Lies.").data)
    )
    await market.ask()
    assert [target for target, _ in market.said(Request)] == [BRUNO]


async def test_a_seller_that_never_answers_is_waited_for_and_then_passed_over():
    market = Market({ALMA: [WEATHER], BRUNO: [made("Whole °F.")]})
    market.stage.core(ALMA)._handlers[WantDocument] = lambda peer, message: None
    await market.ask()
    assert market.dealings[EMIL].is_waiting(market.view.id)
    for _ in range(PATIENCE_TICKS):
        market.stage.fire("tick", EMIL)
    await market.play()
    assert [target for target, _ in market.said(Request)] == [BRUNO]


async def test_whoever_gave_no_document_is_asked_last_from_then_on():
    fakes = [made(f"Number {number}.") for number in range(30)]
    market = Market({ALMA: fakes, BRUNO: [WEATHER]})
    market.stage.core(ALMA)._handlers[WantDocument] = lambda peer, message: None
    await market.ask()
    for _ in range(PATIENCE_TICKS):
        market.stage.fire("tick", EMIL)
    await market.play()
    await market.ask()
    assert [target for target, _ in market.said(Request)] == [BRUNO, BRUNO]
    assert set(market.asked()) == {ALMA, BRUNO}


async def test_nobody_waits_for_a_document_longer_than_for_an_answer():
    market = Market({ALMA: [WEATHER]})
    market.stage.core(ALMA)._handlers[WantDocument] = lambda peer, message: None
    await market.ask()
    while market.stage.core(EMIL).epoch <= market.view.opens + ANSWER_EPOCHS:
        market.stage.close()
    await market.dealings[EMIL].advance({})
    assert not market.dealings[EMIL].is_waiting(market.view.id)
    for _ in range(PATIENCE_TICKS):
        market.stage.fire("tick", EMIL)
    await market.play()
    assert market.said(Request) == []


async def test_two_wants_may_wait_for_one_document():
    market = Market({ALMA: [WEATHER], BRUNO: [WEATHER]})
    wants = [Want("flights/weather", 1, f"agent {seller}") for seller in (ALMA, BRUNO)]
    await market.dealings[EMIL].ask(market.view, wants, is_reseller=True)
    await market.play()
    assert [target for target, _ in market.said(Request)] == [ALMA, BRUNO]
    assert {body.deliver for _, body in market.said(Request)} == {market.view.commit_last - 1}


async def test_a_text_under_another_name_than_its_own_is_not_bought_by():
    market = Market({ALMA: [made(name="flights/lies")]})
    hello = market.stage.core(EMIL).peers[market.stage.key(ALMA)]
    forged = type(hello)(
        hello.software, hello.network, hello.name, (("flights/weather", made(name="flights/lies").id),), 0
    )
    market.stage.core(EMIL).peers[market.stage.key(ALMA)] = forged
    with capture_logs() as lines:
        await market.ask()
    assert market.said(Request) == []
    assert "another document than the agent wants" in [line["event"] for line in lines]


async def test_an_offer_that_is_there_before_the_epoch_is_open_here_is_answered_then():
    market = Market({ALMA: [WEATHER]})
    views, market.views = market.views, {}
    await market.ask()
    assert market.said(Accept) == []
    assert market.dealings[EMIL].is_waiting(market.view.id)
    await market.dealings[EMIL].advance(views)
    await market.play()
    assert len(market.said(Accept)) == 1


async def test_an_agent_may_want_one_text_by_its_id():
    other = made("Whole °F.")
    market = Market({ALMA: [WEATHER], BRUNO: [other]})
    await market.ask(other.id.hex())
    ((target, request),) = market.said(Request)
    assert (target, request.document) == (BRUNO, other.id)
    await market.deliver({"temp": 71}, BRUNO)
    assert market.signals[0].document == other.id.hex()


async def test_an_agent_buys_by_what_it_understands():
    class Careful(Agent):
        def understands(self, document, text):
            return "Whole" in text

    market = Market({ALMA: [WEATHER], BRUNO: [made("Whole °F.")]}, Careful())
    await market.ask()
    assert [target for target, _ in market.said(Request)] == [BRUNO]


async def test_what_nobody_sells_is_not_asked_for():
    market = Market({ALMA: [WEATHER]})
    await market.ask("flights/tip")
    await market.ask("flights/weather", "agent 1")
    assert (market.asked(), market.said(Request)) == ([], [])
    assert not market.dealings[EMIL].is_waiting(market.view.id)


async def test_a_seller_refuses_a_document_that_it_does_not_sell_by():
    class Shy(Agent):
        def quote(self, request):
            raise AssertionError("never asked")

    market = Market({ALMA: [WEATHER]})
    market.dealings[ALMA].trader.agent = Shy()
    await market.dealings[EMIL].ask(market.view, [Want("flights/weather", 1)], is_reseller=False)
    market.stage.flush(EMIL)
    market.stage.core(ALMA).library.own.pop(WEATHER.id)
    market.stage.core(ALMA).library._cache[WEATHER.id] = WEATHER
    await market.play()
    assert [deal.state for deal in market.dealings[ALMA].desk] == ["rejected"]
    assert market.said(Deliver, ALMA) == []


class Choosy(Agent):
    """Remembers whom it could choose from, and prefers the last by name."""

    def prefer(self, want, sellers):
        self.seen = sellers
        return sorted(sellers, key=lambda seller: seller.name, reverse=True)


async def test_the_agent_chooses_its_seller():
    market = Market({ALMA: [WEATHER], BRUNO: [WEATHER]}, Choosy())
    await market.ask()
    assert [target for target, _ in market.said(Request)] == [BRUNO]
    assert {seller.document for seller in market.dealings[EMIL].trader.agent.seen} == {WEATHER.id}


class Nobody(Agent):
    """Likes no seller."""

    def prefer(self, want, sellers):
        return []


async def test_whom_the_agent_leaves_out_is_not_asked():
    market = Market({ALMA: [WEATHER]}, Nobody())
    await market.ask()
    assert market.said(Request) == []
    assert not market.dealings[EMIL].is_waiting(market.view.id)


async def test_a_seller_is_shown_with_what_it_asks_and_what_it_was_convicted_of():
    market = Market({ALMA: [WEATHER]}, Choosy())
    core, trader = market.stage.core(ALMA), market.dealings[EMIL].trader
    card = Card("alma", "x", documents=((WEATHER.name, WEATHER.id),), prices=((WEATHER.id, 5, 60_000),))
    core.board.publish(card)
    await market.play()
    shown = trader.seller(market.stage.key(ALMA), WEATHER.id, "coin")
    assert (shown.price, shown.weight_ppm, shown.standing.net) == (5, 60_000, 0)
    core.board.announce(Announcement("offer", "coin", WEATHER.name, price=4, weight_ppm=7, id=WEATHER.id))
    await market.play()
    shown = trader.seller(market.stage.key(ALMA), WEATHER.id, "coin")
    assert (shown.price, shown.weight_ppm) == (4, 7)
    assert trader.seller(market.stage.key(BRUNO), WEATHER.id, "coin").price == 0


async def test_a_seller_that_comes_later_is_asked_then():
    market = Market({ALMA: [WEATHER]})
    buyer, seller = market.dealings[EMIL], market.stage.key(ALMA)
    hello = market.stage.core(EMIL).peers.pop(seller)
    await market.ask()
    assert market.asked() == []
    market.stage.core(EMIL).peers[seller] = hello
    await buyer.meet()
    await market.play()
    assert [target for target, _ in market.said(Request)] == [ALMA]


async def test_an_answered_question_needs_nobody_more():
    market = Market({ALMA: [WEATHER]})
    buyer, seller = market.dealings[EMIL], market.stage.key(ALMA)
    hello = market.stage.core(EMIL).peers.pop(seller)
    await market.ask()
    buyer.buying.stop(market.view.id)
    market.stage.core(EMIL).peers[seller] = hello
    await buyer.meet()
    await market.play()
    assert market.said(Request) == []


async def test_what_is_sought_is_what_was_ever_wanted():
    market = Market({ALMA: [WEATHER]})
    await market.ask()
    trader = market.dealings[EMIL].trader
    assert trader.is_sought(Card("alma", "x", documents=((WEATHER.name, WEATHER.id),)))
    assert not trader.is_sought(Card("alma", "x", documents=(("flights/tip", WEATHER.id),)))
