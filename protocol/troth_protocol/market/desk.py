"""All negotiations of one agent: bounded, found by what a message names, and forgotten when nothing can repeat them.

It decides nothing for the agent. What peers ask for never takes room from what the agent asks for itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from troth_protocol.errors import Invalid
from troth_protocol.market.negotiation import Asked, Ended, Event, Negotiation
from troth_protocol.market.trades import Request, Signed, read
from troth_protocol.market.transcript import BUYER, SELLER
from troth_protocol.wire.crypto import KeyPair
from troth_protocol.wire.messages import Trade

PEER_MAX: Final = 256
TOTAL_MAX: Final = 4096
#: Epochs for which a negotiation that is over still answers repetitions.
KEPT_EPOCHS: Final = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """How many negotiations are held, over ones included: per role and peer, and per role in all."""

    peer: int = PEER_MAX
    total: int = TOTAL_MAX


class Desk:
    """The negotiations of one agent, by peer and id."""

    def __init__(self, keys: KeyPair, network: bytes, epoch: int, limits: Limits = Limits()) -> None:
        self.epoch = epoch
        self._keys = keys
        self._network = network
        self._limits = limits
        self._held: dict[bytes, dict[bytes, Negotiation]] = {}
        self._count: Counter[str | tuple[str, bytes]] = Counter()

    def __iter__(self) -> Iterator[Negotiation]:
        """Every negotiation held, over ones included."""
        return (negotiation for held in self._held.values() for negotiation in held.values())

    def get(self, peer: bytes, negotiation: bytes) -> Negotiation | None:
        """The negotiation with this peer and id, if it is held."""
        return self._held.get(peer, {}).get(negotiation)

    def ask(self, request: Request) -> tuple[Negotiation, Trade]:
        """Open a negotiation as its buyer. Raises Invalid: too_many, duplicate, and as `Negotiation.ask` does."""
        self._validate_room(BUYER, request.seller)
        negotiation, trade = Negotiation.ask(self._keys, self._network, self.epoch, request)
        self._hold(negotiation)
        return negotiation, trade

    def receive(self, peer: bytes, trade: Trade) -> tuple[Negotiation, Event]:
        """A message from `peer`: its negotiation, and what it means there.

        Raises Invalid: too_many, wrong_prev if no negotiation with this peer has what it names, and as
        `Negotiation.take_up` and `Negotiation.hear` do; then nothing has changed.
        """
        signed = read(self._network, trade)
        negotiation = self._find(peer, signed)
        if negotiation is not None:
            return negotiation, negotiation.hear(signed)
        self._validate_room(SELLER, peer)
        negotiation = Negotiation.take_up(self._keys, self._network, self.epoch, peer, signed)
        self._hold(negotiation)
        return negotiation, Asked(negotiation.request)

    def resume(self, items: list[tuple[bytes, bytes]]) -> Negotiation:
        """Go on with a negotiation from its transcript, after a restart. Raises Invalid("duplicate") if it is held."""
        negotiation = Negotiation.resume(self._keys, self._network, self.epoch, items)
        self._hold(negotiation)
        return negotiation

    def advance(self, epoch: int) -> list[tuple[Negotiation, Ended]]:
        """The open epoch is now this one: what silence ended. Forgets what is long over."""
        self.epoch = max(self.epoch, epoch)
        ended = [(negotiation, end) for negotiation in self if (end := negotiation.expire(self.epoch))]
        for negotiation in [each for each in self if self._is_forgotten(each)]:
            self._drop(negotiation)
        return ended

    def unanswered(self, peer: bytes) -> list[Trade]:
        """What a peer may have missed: send it again when a link comes back. Saying it twice does no harm."""
        held = self._held.get(peer, {}).values()
        return [trade for negotiation in held for trade in negotiation.unanswered()]

    def _find(self, peer: bytes, signed: Signed) -> Negotiation | None:
        """The negotiation that a message belongs to; None for a new request."""
        held = self._held.get(peer, {})
        if isinstance(signed.body, Request):
            return held.get(signed.id)
        prev = signed.body.prev
        found = next((each for each in held.values() if each.has(prev)), None)
        if found is None:
            raise Invalid("wrong_prev", "no negotiation with this peer has the message that it names")
        return found

    def _validate_room(self, role: str, peer: bytes) -> None:
        if self._count[role, peer] >= self._limits.peer or self._count[role] >= self._limits.total:
            raise Invalid("too_many", f"as many negotiations as a {role} holds")

    def _is_forgotten(self, negotiation: Negotiation) -> bool:
        """Long over, and its request too old to begin it again."""
        kept_until = max(negotiation.changed + KEPT_EPOCHS, negotiation.request.expires)
        return negotiation.is_over() and self.epoch > kept_until

    def _hold(self, negotiation: Negotiation) -> None:
        if self.get(negotiation.peer, negotiation.id) is not None:
            raise Invalid("duplicate", "this negotiation is open already: a new request takes another nonce")
        self._held.setdefault(negotiation.peer, {})[negotiation.id] = negotiation
        self._count.update(_places(negotiation))

    def _drop(self, negotiation: Negotiation) -> None:
        held = self._held[negotiation.peer]
        del held[negotiation.id]
        if not held:
            del self._held[negotiation.peer]
        self._count -= Counter(_places(negotiation))


def _places(negotiation: Negotiation) -> tuple[str, tuple[str, bytes]]:
    return negotiation.role, (negotiation.role, negotiation.peer)
