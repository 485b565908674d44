"""Peer exchange: from one peer to the witnesses and a few others, and to nowhere that a card should not lead."""

from dataclasses import replace

import pytest

from troth_node.introductions import PeerExchange, may_dial
from troth_node.testing.samples import TOKEN
from troth_node.testing.stage import Stage
from troth_node.transport.address import peer_id_text
from troth_protocol.core import EpochOpened
from troth_protocol.log.ops import Bond
from troth_protocol.market.board import Posted
from troth_protocol.market.card import Announcement, Card, sign_posting
from troth_protocol.wire.crypto import KeyPair, digest

EMIL, FINN, GUST = 4, 5, 6
LISTEN = "/ip4/192.0.2.9/tcp/4001"


class Links:
    """What a network was told."""

    def __init__(self):
        self.kept = {}

    def connect(self, peer, address):
        self.kept[peer] = address

    def forget(self, peer):
        del self.kept[peer]


class Cast:
    """Emil, who learns of the others by cards alone."""

    def __init__(self, others=8, fixed=(), is_sought=None):
        self.stage = Stage(7)
        self.stage.start()
        self.stage.settle()
        self.links = Links()
        keys = frozenset(self.stage.key(agent) for agent in fixed)
        self.exchange = PeerExchange(self.stage.core(EMIL), self.links, LISTEN, keys, others, is_sought)

    def hears(self, agent, *endpoints, **fields):
        keys = self.stage.seats[agent].keys
        card = Card(f"agent {agent}", "x", endpoints=endpoints, key=keys.public, epoch=1, expires=20)
        card = replace(card, **fields)
        self.stage.say(0, EMIL, sign_posting(keys, self.stage.network, card))
        self.exchange.notice(Posted(card))

    def linked(self):
        return {self.stage.number(key): address for key, address in self.links.kept.items()}


def address(agent):
    return f"/ip4/93.184.216.{agent}/tcp/4001"


def test_every_witness_whose_card_says_where_it_is():
    cast = Cast(others=0)
    for agent in (0, 1, 3, FINN):
        cast.hears(agent, address(agent))
    cast.hears(2)
    assert cast.linked() == {agent: address(agent) for agent in (0, 1, 3)}


def test_no_more_than_so_many_others_and_who_is_linked_stays():
    cast = Cast(others=1)
    cast.hears(FINN, address(FINN))
    cast.hears(GUST, address(GUST))
    assert cast.linked() == {FINN: address(FINN)}


def test_whoever_sells_what_is_sought_comes_first():
    cast = Cast(others=1, is_sought=lambda card: card.name == f"agent {GUST}")
    cast.hears(FINN, address(FINN))
    cast.hears(GUST, address(GUST))
    assert cast.linked() == {GUST: address(GUST)}


def test_whoever_bonds_in_is_linked_to_from_its_first_epoch_on():
    cast = Cast(others=0)
    cast.hears(FINN, address(FINN))
    cast.stage.put(FINN, Bond(900 * TOKEN, "witness"))
    for _ in range(2):
        assert cast.linked() == {}
        cast.stage.close()
        cast.exchange.notice(EpochOpened(cast.stage.core(EMIL).epoch, None))
    assert cast.linked() == {FINN: address(FINN)}


def test_a_peer_that_moves_is_followed():
    cast = Cast()
    cast.hears(0, address(0))
    cast.hears(0, address(9), seq=1)
    assert cast.linked() == {0: address(9)}


def test_whose_card_is_over_is_forgotten_unless_it_was_asked_for_by_hand():
    cast = Cast(fixed=(1,))
    cast.hears(1, address(1))
    cast.hears(FINN, address(FINN), expires=1)
    assert cast.linked() == {FINN: address(FINN)}
    cast.stage.close()
    cast.exchange.notice(EpochOpened(2, None))
    assert cast.linked() == {}


def test_other_news_is_none_of_its_business():
    cast = Cast()
    cast.hears(0, address(0))
    cast.links.kept.clear()
    cast.exchange.notice(Posted(Announcement("want", "coin", "x")))
    cast.exchange.notice("hello")
    assert cast.linked() == {}


def test_the_first_endpoint_that_may_be_dialled_counts():
    cast = Cast()
    cast.hears(0, "/ip4/127.0.0.1/tcp/22", "nonsense", address(0))
    assert cast.linked() == {0: address(0)}


KEY, OTHER = KeyPair.from_seed(digest(b"k")).public, KeyPair.from_seed(digest(b"o")).public


@pytest.mark.parametrize(
    "endpoint",
    [
        "/ip4/10.0.0.1/tcp/4001",
        "/ip6/2606:2800:220:1::1/tcp/4001",
        "/dns/node.example/tcp/4001",
        f"/ip4/93.184.216.34/tcp/4001/p2p/{peer_id_text(KEY)}",
    ],
)
def test_what_may_be_dialled(endpoint):
    assert may_dial(endpoint, KEY, is_local=False)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "/ip4/93.184.216.34/udp/4001",
        "/ip4/93.184.216.34/tcp/0",
        "/ip4/0.0.0.0/tcp/4001",
        "/ip4/127.0.0.1/tcp/4001",
        "/ip6/::1/tcp/4001",
        "/ip4/169.254.169.254/tcp/80",
        "/ip4/224.0.0.1/tcp/4001",
        "/dns/localhost/tcp/4001",
        "/dns/printer.local./tcp/4001",
        f"/ip4/93.184.216.34/tcp/4001/p2p/{peer_id_text(OTHER)}",
    ],
)
def test_what_may_not(endpoint):
    assert not may_dial(endpoint, KEY, is_local=False)


@pytest.mark.parametrize("endpoint", ["/ip4/127.0.0.1/tcp/4001", "/dns/localhost/tcp/4001"])
def test_a_node_that_stays_on_its_machine_dials_it(endpoint):
    assert may_dial(endpoint, KEY, is_local=True)
