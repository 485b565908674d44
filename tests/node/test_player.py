"""The player keeps its agent from selling what its own document refuses."""

from dataclasses import dataclass, replace

import pytest
from structlog.testing import capture_logs

from troth_node.agent import Agent, Production
from troth_node.player import Player
from troth_node.testing.samples import COIN
from troth_node.testing.stage import Stage
from troth_protocol.core import Core, EpochOpened
from troth_protocol.genesis import Phases
from troth_protocol.market.document import compose_document

EMIL = 4
FIELDS = {"name": "flights/x", "version": "1", "description": "X.", "multiround": "false"}
X = compose_document(FIELDS, "What x means.", {"type": "integer"})


@dataclass
class Node:
    """What a player needs of a runtime."""

    core: Core

    def kick(self):
        """Nobody sleeps here."""


def maker(document, payload):
    class Maker(Agent):
        documents = ("flights/x",)

        def produce(self, question, signals):
            return Production(document, payload, "because")

    return Maker()


@pytest.mark.parametrize(
    ("document", "payload", "said"),
    [
        ("flights/x", 7, None),
        ("flights/x", "seven", "not committed: not what the document says"),
        ("flights/y", 7, "not committed: a signal without a document"),
    ],
)
async def test_what_does_not_fit_its_document_is_not_committed(document, payload, said):
    stage = Stage(topics=(replace(COIN, phases=Phases(4, 2, 2, 2)),))
    stage.documents[EMIL] = (X,)
    stage.start()
    stage.settle()
    player = Player(Node(stage.core(EMIL)), maker(document, payload))
    stage.close()
    with capture_logs() as lines:
        await player._epoch(EpochOpened(stage.core(EMIL).epoch, None))
    assert player.plays
    assert all(play.is_answered for play in player.plays.values())
    assert {line["event"] for line in lines if line["log_level"] == "warning"} == ({said} if said else set())
    assert {own.payload for own in player.duties.commits.values()} == ({b"\x07"} if said is None else set())
