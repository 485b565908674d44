"""Every number of the transport that may be tuned, once, with its unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024
#: Nodes beside the witnesses that peer exchange keeps connected to.
OTHERS: Final = 8


@dataclass(frozen=True, slots=True)
class Settings:
    """How a network behaves. The defaults suit a node on the open internet; tests shorten the times."""

    heartbeat_s: float = 5.0
    """A link that has nothing to send sends a heartbeat this often; twice this without a byte ends the link.
    Both ends of a link must use the same value."""
    outbox_bytes: int = 4 * MIB
    """What may wait to be written to one peer; `send` refuses what would exceed it."""
    stall_s: float = 10.0
    """A peer whose outbox is full and that takes less than a whole outbox in this time is cut off."""
    linger_s: float = 0.5
    """How long a goodbye waits for the other end to hang up."""
    events: int = 256
    """Events that may wait for the owner; when they do, nothing more is read from any socket."""
    inbound_bytes_per_s: int = 64 * MIB
    """What is read from one peer in a second, averaged; a faster peer is slowed down."""
    inbound_frames_per_s: int = 100_000
    """The same in frames."""
    redial_min_s: float = 0.1
    redial_max_s: float = 5.0
    """Redial pauses double from the first to the second, each shortened by up to half at random."""
    head_start_s: float = 0.05
    """The larger key waits this long before its first dial, so that two nodes rarely dial each other at once."""
    dial_timeout_s: float = 10.0
    """From the first packet to the accepted protocol."""
    handshake_timeout_s: float = 5.0
    """For the handshakes of a connection that comes in, and then again for its first link."""
    max_links: int = 1024
    """Links with peers that we did not ask for; one more is refused."""
    tcp_user_timeout_ms: int = 20_000
    """Unacknowledged bytes older than this end the connection in the kernel."""
