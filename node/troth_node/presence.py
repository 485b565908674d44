"""How a node makes itself known: its card, and what its agent offers and wants. The board says when that is due."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from troth_node.agent import Agent, Want
from troth_node.runtime import SOFTWARE
from troth_node.transport.address import Target, parse_address
from troth_protocol.core import Core, EpochOpened
from troth_protocol.errors import Invalid
from troth_protocol.genesis import Genesis
from troth_protocol.market.card import (
    CARD_DOCUMENTS_MAX,
    ENDPOINTS_MAX,
    TOPICS_MAX,
    Announcement,
    Card,
)
from troth_protocol.market.document import Document

#: Addresses to listen on at every interface, which nobody can dial.
_ANY_HOST: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - they are looked for, not bound

log = structlog.get_logger()


def make_card(
    agent: Agent, name: str, documents: Sequence[Document], endpoints: Iterable[str], genesis: Genesis
) -> Card:
    """What a node says of itself: its agent's topics, documents and asking prices, and where it can be dialled."""
    shown = documents[:CARD_DOCUMENTS_MAX]
    plain = () if type(agent) is Agent else tuple(topic.name for topic in genesis.topics)
    return Card(
        name,
        SOFTWARE,
        topics=(agent.topics or plain)[:TOPICS_MAX],
        documents=tuple((document.name, document.id) for document in shown),
        prices=tuple((document.id, 0, agent.ask_ppm) for document in shown if agent.ask_ppm),
        endpoints=tuple(dict.fromkeys(filter(_is_dialable, endpoints)))[:ENDPOINTS_MAX],
    )


def _is_dialable(endpoint: str) -> bool:
    target: Target = parse_address(endpoint)
    return target.host not in _ANY_HOST and target.port > 0


def announce_wants(core: Core, topic: str, wants: Iterable[Want]) -> None:
    """Announce what an agent wants of a topic's questions; what stands already is only renewed when it is due."""
    for want in wants:
        try:
            core.board.announce(Announcement("want", topic, want.document, weight_ppm=want.min_weight_ppm))
        except Invalid as error:
            log.warning("not announced", document=want.document, reason=str(error))


class Presence:
    """Keeps one node's card and offers posted. A listener of its runtime; `ValueError` for an endpoint that is none."""

    def __init__(
        self, core: Core, agent: Agent, name: str, documents: Sequence[Document], endpoints: Iterable[str]
    ) -> None:
        self._core = core
        self._weight_ppm = agent.ask_ppm
        card = make_card(agent, name, documents, endpoints, core.genesis)
        self._documents = card.documents
        self._topics = card.topics
        core.board.publish(card)
        self._offer()

    def notice(self, event: object) -> None:
        """Offers are renewed when that is due."""
        if isinstance(event, EpochOpened):
            self._offer()

    def _offer(self) -> None:
        for topic in self._topics:
            for name, document in self._documents:
                offer = Announcement("offer", topic, name, weight_ppm=self._weight_ppm, id=document)
                self._core.board.announce(offer)
