"""Whole cores with one link each tell each other who they are, for many epochs, while a hostile one floods them.

Four witnesses are linked to each other; every other agent to one witness alone. What one leaf says reaches all leaves
in two or three hops. Frames are doubled, delayed and reordered. One leaf answers every frame with garbage, forged,
foreign and expired cards, and with good cards of keys that it made up.
"""

from dataclasses import replace

import pytest

from troth_node.testing.samples import PACING, sample_genesis, seed
from troth_node.testing.world import Faults, World
from troth_protocol.core import PeerFault
from troth_protocol.market import board as board_module
from troth_protocol.market.board import STRANGERS_MAX
from troth_protocol.market.card import Announcement, Card, sign_posting
from troth_protocol.wire.crypto import KeyPair, digest
from troth_protocol.wire.messages import MESSAGES, CardMsg

AGENTS, WITNESSES = 8, 4
HOSTILE = 7
EPOCHS = 8


@pytest.fixture
def world(monkeypatch):
    """Leaf n is linked to witness n - 4; postings live for 4 epochs and are renewed after 2."""
    monkeypatch.setattr(board_module, "LIFE_EPOCHS", 4)
    monkeypatch.setattr(board_module, "RENEW_EPOCHS", 2)
    seeds = [seed(number) for number in range(AGENTS)]
    made = World(
        sample_genesis(AGENTS, WITNESSES, pacing=PACING), seeds, 5, Faults(duplicate=0.1, delay_ms=(1, 20))
    )
    keys = list(made.nodes)
    made.cut_links = {
        frozenset((keys[leaf], keys[other]))
        for leaf in range(WITNESSES, AGENTS)
        for other in range(AGENTS)
        if other not in (leaf, leaf - WITNESSES)
    }
    for number, key in enumerate(keys):
        core = made.start(key)
        core.board.publish(Card(f"agent {number}", "sim", endpoints=(f"/ip4/192.0.2.{number}/tcp/1",)))
        core.board.announce(Announcement("offer", "coin", f"tip of {number}"))
        made.flush(made.nodes[key])
    return made


def cores(world):
    return [node.core for node in world.nodes.values()]


def run(world, epochs):
    """Until everybody has seen so many epochs sealed; whoever falls behind has catching up to do."""
    assert world.run(lambda: min(core.epoch for core in cores(world)) > epochs, 60_000)


def names(core):
    return {card.name for card in core.board.cards()}


def flood(world):
    """What the hostile leaf sends after each frame of its own."""
    keys = world.nodes[list(world.nodes)[HOSTILE]].keys
    victim = world.nodes[next(iter(world.nodes))].keys.public
    network = world.genesis.network()
    count = iter(range(10**9))

    def twist(world, node, peer, payload):
        epoch = node.core.epoch
        card = Card("liar", "sim", key=keys.public, epoch=epoch, expires=epoch + 9)
        number = next(count)
        made_up = KeyPair.from_seed(digest(b"stranger" + number.to_bytes(4, "big")))
        bad = (
            CardMsg(b"garbage", bytes(64)),
            sign_posting(keys, network, replace(card, key=victim)),
            sign_posting(keys, digest(b"elsewhere"), card),
            sign_posting(keys, network, replace(card, epoch=0, expires=0)),
        )
        good = sign_posting(made_up, network, replace(card, name="nobody", key=made_up.public))
        extra = bad[number % 4] if number % 3 == 0 else good
        return [(peer, payload), (peer, MESSAGES.encode(extra))]

    return twist


def test_everybody_hears_of_everybody_and_cards_outlive_their_lives(world):
    run(world, EPOCHS)
    everybody = {f"agent {number}" for number in range(AGENTS)}
    assert [names(core) for core in cores(world)] == [everybody] * AGENTS
    offers = {item.document for item in cores(world)[AGENTS - 1].board.announcements()}
    assert offers == set(), "nobody renewed them"
    assert not [
        event for node in world.nodes.values() for event in node.notices if isinstance(event, PeerFault)
    ]


def test_a_flood_fills_nothing_and_stops_nobody(world):
    hostile = list(world.nodes)[HOSTILE]
    world.twists[hostile] = flood(world)
    run(world, EPOCHS)
    honest = [core for number, core in enumerate(cores(world)) if number != HOSTILE]
    everybody = {f"agent {number}" for number in range(AGENTS - 1)}
    for core in honest:
        assert everybody <= names(core)
        assert len(core.board.cards()) <= AGENTS + STRANGERS_MAX
    faults = {
        event.peer for node in world.nodes.values() for event in node.notices if isinstance(event, PeerFault)
    }
    assert faults == {hostile}
