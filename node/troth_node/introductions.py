"""Peer exchange: whom a node links to on the strength of cards, beyond the peers that it was started with.

It keeps connected to the witnesses of the open epoch, for without them nothing moves, and to a few others, first those
who sell what the agent wants, then those who own most in the sealed state. Cards come from anybody, so a node that is
reached from elsewhere dials no address of its own machine, and nobody dials what cannot be an endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Final, Protocol

import structlog

from troth_node.transport.address import Target, parse_address
from troth_node.transport.settings import OTHERS
from troth_protocol.core import Core, EpochOpened
from troth_protocol.market.board import Posted
from troth_protocol.market.card import Card

_LOCAL_NAMES: Final = ("localhost", ".local")

log = structlog.get_logger()


class Dialer(Protocol):
    """What peer exchange needs of a network."""

    def connect(self, peer: bytes, address: str) -> None:
        """Keep connected."""

    def forget(self, peer: bytes) -> None:
        """No longer."""


class PeerExchange:
    """Learns endpoints from cards. A listener of its runtime; peers in `fixed` are somebody else's business."""

    def __init__(
        self,
        core: Core,
        dialer: Dialer,
        listen: str,
        fixed: frozenset[bytes],
        others: int = OTHERS,
        is_sought: Callable[[Card], bool] | None = None,
    ) -> None:
        self._core = core
        self._dialer = dialer
        self._is_local = _is_loopback(parse_address(listen))
        self._fixed = fixed | {core.keys.public}
        self._others = others
        self._is_sought = is_sought
        self._dialled: dict[bytes, str] = {}

    def notice(self, event: object) -> None:
        """Look again at whom to link to: when the witnesses may have changed, and when a card is new."""
        if isinstance(event, EpochOpened) or (isinstance(event, Posted) and isinstance(event.item, Card)):
            self._reconsider()

    def _reconsider(self) -> None:
        wanted = dict(self._wanted())
        for peer in [peer for peer in self._dialled if peer not in wanted]:
            del self._dialled[peer]
            self._dialer.forget(peer)
        for peer, address in wanted.items():
            if self._dialled.get(peer) != address:
                self._dialled[peer] = address
                self._dialer.connect(peer, address)
                log.info("peer known by its card", key=peer.hex()[:16], address=address)

    def _wanted(self) -> Iterator[tuple[bytes, str]]:
        """(key, address): every witness that can be dialled, then others: first who sells what is sought, then who is
        dialled already.
        """
        witnesses = {member.key for member in self._core.chain.committee.members}
        others: list[tuple[bool, bool, int, bytes, str]] = []
        for card in self._core.board.cards():
            address = self._address(card)
            if address is None or card.key in self._fixed:
                continue
            if card.key in witnesses:
                yield card.key, address
            else:
                worth = self._core.chain.state.account(card.key).worth()
                is_new = card.key not in self._dialled
                is_idle = self._is_sought is None or not self._is_sought(card)
                others.append((is_idle, is_new, -worth, card.key, address))
        for *_, key, address in sorted(others)[: self._others]:
            yield key, address

    def _address(self, card: Card) -> str | None:
        """The first endpoint that may be dialled."""
        return next((end for end in card.endpoints if may_dial(end, card.key, is_local=self._is_local)), None)


def may_dial(endpoint: str, key: bytes, *, is_local: bool) -> bool:
    """Is it a TCP multiaddr of that key that can be dialled? Those of this machine only by nodes that stay on it."""
    try:
        target = parse_address(endpoint)
    except ValueError:
        return False
    if target.public not in (None, key) or not target.port:
        return False
    if not target.kind.startswith("ip"):
        return is_local or not target.host.lower().rstrip(".").endswith(_LOCAL_NAMES)
    address = ip_address(target.host)
    if address.is_loopback:
        return is_local
    return not (
        address.is_unspecified or address.is_multicast or address.is_link_local or address.is_reserved
    )


def _is_loopback(target: Target) -> bool:
    return target.kind.startswith("ip") and ip_address(target.host).is_loopback
