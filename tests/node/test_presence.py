"""A node makes itself known: its card says what its agent sells, its announcements what it offers and wants."""

from dataclasses import replace

import pytest

from troth_node.agent import Agent, Want
from troth_node.presence import Presence, announce_wants, make_card
from troth_node.testing.stage import Stage
from troth_protocol.core import EpochOpened
from troth_protocol.market.board import RENEW_EPOCHS
from troth_protocol.market.document import compose_document

EMIL = 4
FIELDS = {"name": "coin/tip", "version": "1", "description": "X.", "multiround": "false"}
TIP = compose_document(FIELDS, "What a tip means.", {"type": "integer"})
HERE = "/ip4/192.0.2.1/tcp/4001"


class Seller(Agent):
    documents = ("coin/tip",)
    ask_ppm = 70_000


def present(stage, agent, *endpoints):
    presence = Presence(stage.core(EMIL), agent, "emil", (TIP,) if agent.documents else (), endpoints)
    stage.flush(EMIL)
    stage.settle()
    return presence


def test_what_is_sold_stands_on_the_card_and_is_offered(stage):
    present(stage, Seller(), HERE, "/ip4/0.0.0.0/tcp/4001", HERE)
    card = stage.core(0).board.card(stage.key(EMIL))
    assert (card.name, card.topics, card.endpoints) == ("emil", ("coin",), (HERE,))
    assert (card.documents, card.prices) == ((("coin/tip", TIP.id),), ((TIP.id, 0, 70_000),))
    (offer,) = stage.core(0).board.announcements()
    assert (offer.kind, offer.document, offer.id, offer.weight_ppm) == ("offer", "coin/tip", TIP.id, 70_000)


def test_a_plain_node_says_where_it_is_and_no_more(stage):
    card = make_card(Agent(), "plain", (), (HERE,), stage.genesis)
    assert (card.topics, card.documents, card.prices, card.endpoints) == ((), (), (), (HERE,))


def test_offers_are_renewed_when_it_is_time(stage):
    presence = present(stage, Seller())
    core = stage.core(EMIL)
    core.chain.epoch += RENEW_EPOCHS
    presence.notice("something else")
    assert core.board.announcements()[0].epoch == 1
    presence.notice(EpochOpened(core.epoch, None))
    assert core.board.announcements()[0].epoch == 1 + RENEW_EPOCHS


def test_wants_are_announced_and_a_bad_one_is_passed_over(stage):
    present(stage, Agent())
    announce_wants(stage.core(EMIL), "coin", [Want("x" * 200, 1), Want("coin/tip", 50_000)])
    (want,) = stage.core(EMIL).board.announcements()
    assert (want.kind, want.topic, want.document, want.weight_ppm) == ("want", "coin", "coin/tip", 50_000)


def test_an_endpoint_that_is_none_is_said_at_once(stage):
    with pytest.raises(ValueError, match="not a TCP multiaddr"):
        present(stage, Agent(), "somewhere")


@pytest.fixture
def stage():
    """Four witnesses and Emil."""
    made = Stage()
    made.start()
    made.settle()
    return made


def test_topics_of_its_own(stage):
    agent = Seller()
    agent.topics = ("weather",)
    card = make_card(agent, "", (TIP,), (), stage.genesis)
    assert replace(card, topics=()) == replace(make_card(Seller(), "", (TIP,), (), stage.genesis), topics=())
    assert card.topics == ("weather",)
