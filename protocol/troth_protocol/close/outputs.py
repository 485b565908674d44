"""What the agreement asks its caller to do, in order: a ballot is on synced disk before anything after it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from troth_protocol.close.ballots import Signed
from troth_protocol.wire.codec import Value


@dataclass(frozen=True, slots=True)
class Validate:
    """Is this value valid? Answer with mark_valid or mark_invalid, at any time; until then it gets no vote."""

    value: bytes


@dataclass(frozen=True, slots=True)
class PersistBallot:
    """Insert `data` under `key`, once: another value already there is a fault. All of an epoch's rows are restored."""

    key: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send a message to all other members."""

    message: Value


@dataclass(frozen=True, slots=True)
class SendTo:
    """Send a message to the member with this 32-byte key."""

    member: bytes
    message: Value


@dataclass(frozen=True, slots=True)
class ArmTimer:
    """Call on_timer(slot) after `delay_ms`; timers of earlier slots no longer matter."""

    slot: int
    delay_ms: int


@dataclass(frozen=True, slots=True)
class Decided:
    """The agreed value; `verify_decision` finds it in the candidate's payload and the encoded certificate.

    The value is the same at every member. The candidate and the certificate need not be: nothing agreed may be
    computed from them.
    """

    value: bytes
    candidate: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Accused:
    """Two signed statements of one member that exclude each other: `ballot_fork` makes evidence of them."""

    member: bytes
    slot: int
    first: Signed
    second: Signed


Output: TypeAlias = Validate | PersistBallot | Broadcast | SendTo | ArmTimer | Decided | Accused
