"""What a core tells the layer above it, and what that layer tells the core about itself: plain data, both."""

from __future__ import annotations

from dataclasses import dataclass

from troth_protocol.close.execute import Closed
from troth_protocol.market.document import Document
from troth_protocol.wire.messages import Hello, Trade


@dataclass(frozen=True, slots=True)
class EpochOpened:
    """Notice: the epoch before is sealed and this one is open. `closed` is absent after a jump to a snapshot."""

    epoch: int
    closed: Closed | None


@dataclass(frozen=True, slots=True)
class PeerFault:
    """Notice: a peer sent something that is refused."""

    peer: bytes
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class PeerHello:
    """Notice: a peer has introduced itself."""

    peer: bytes
    hello: Hello


@dataclass(frozen=True, slots=True)
class Traded:
    """Notice: a signed message of a negotiation arrived."""

    peer: bytes
    trade: Trade


@dataclass(frozen=True, slots=True)
class Ticked:
    """Notice: TICK_MS have passed, and what certified entries came meanwhile is stored."""


@dataclass(frozen=True, slots=True)
class Restoring:
    """Notice: others hold something of ours that the disk does not know; nothing is signed before `until`."""

    until: int


@dataclass(frozen=True, slots=True)
class Profile:
    """How this node introduces itself, the signal documents that it ships, and the nonce of its start.

    A witness closes no epoch after `last_epoch`: a network that was started for a while comes to rest there. Ops wait
    up to `linger_ms` for others to share an entry with; 0 sends each at once. A patient witness holds an epoch open
    for a while as long as entries keep coming.
    """

    name: str
    documents: tuple[Document, ...]
    software: str
    nonce: bytes
    is_restored: bool = False
    last_epoch: int | None = None
    linger_ms: int = 0
    is_patient: bool = False
