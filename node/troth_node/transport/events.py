"""What a network tells its owner: LinkUp and LinkDown come in pairs per peer, every Frame between the two."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias


class Goodbye(IntEnum):
    """Why one end closes a link: the byte that a goodbye frame carries."""

    LEAVING = 1
    FORGOTTEN = 2
    DUPLICATE = 3
    FULL = 4
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A link with `peer` (public key, 32 bytes) is ready: it is authenticated, encrypted and the only one."""

    peer: bytes


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The link with `peer` ended, and frames sent to it lately may be lost.

    `reason` is one of: `vanished` (end without a goodbye: a crash), `silent` (no sign of life for two heartbeats),
    `outbox_full` (it did not read what we sent), `refused: <why>` (it broke the rules), `replaced` (a link that goes
    before this one came up), `leaving` or `forgotten` (we closed it), `peer said <goodbye>` (it closed it).
    """

    peer: bytes
    reason: str

    @property
    def is_clean(self) -> bool:
        """True if one of the two ends closed the link on purpose."""
        return self.reason in ("leaving", "forgotten", "replaced") or self.reason.startswith("peer said ")

    @property
    def is_refusal(self) -> bool:
        """True if one of the two ends does not want such a link, so that there is no hurry to dial again."""
        refusals = (f"peer said {goodbye.name.lower()}" for goodbye in Goodbye if goodbye > Goodbye.LEAVING)
        return self.reason.startswith("refused") or self.reason in refusals


@dataclass(frozen=True, slots=True)
class Frame:
    """`peer` sent `payload` (2 bytes at least)."""

    peer: bytes
    payload: bytes


Event: TypeAlias = LinkUp | LinkDown | Frame


@dataclass(slots=True)
class PeerStats:
    """Counters of one peer since it became known."""

    frames_in: int = 0
    bytes_in: int = 0
    frames_out: int = 0
    bytes_out: int = 0
    dropped: int = 0
    """Frames that `send` refused."""
    links: int = 0
    """Links that came up."""
    dials: int = 0
    dial_failures: int = 0
    last_failure: str = ""
    """Why the last dial failed, for people."""

    def add(self, other: PeerStats) -> None:
        """Add the counters of `other` to these."""
        self.frames_in += other.frames_in
        self.bytes_in += other.bytes_in
        self.frames_out += other.frames_out
        self.bytes_out += other.bytes_out
        self.dropped += other.dropped
        self.links += other.links
        self.dials += other.dials
        self.dial_failures += other.dial_failures
