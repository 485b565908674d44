"""What the pure core asks its shell to do, as ordered data: a Persist is on synced disk before a later Send leaves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from troth_protocol.wire.messages import MESSAGES, Message

#: Tables that hold what the core asks to persist; the shell creates them.
TABLES: Final = (
    "chain",
    "state",
    "seals",
    "cuts",
    "results",
    "entries",
    "own",
    "votes",
    "ballots",
    "close",
    "duties",
    "deals",
    "exchanges",
    "auctions",
    "purse",
    "promises",
    "documents",
    "evidence",
    "cards",
)


@dataclass(frozen=True, slots=True)
class Persist:
    """Store `value` under `key`. With `once`, another value already there is a fault: the shell stops the node.

    A `lazy` row may reach synced disk later, though never after rows that are asked for later: others hold it too,
    and nothing that leaves relies on it.
    """

    table: str
    key: bytes
    value: bytes
    once: bool = False
    lazy: bool = False


@dataclass(frozen=True, slots=True)
class Erase:
    """Forget a row (no fault if it is absent)."""

    table: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """One frame payload to one peer, named by its 32-byte public key."""

    peer: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Call the core back with this name after the delay, by the monotonic clock; a later one replaces it."""

    name: str
    delay_ms: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something for the agent layer above the core; `event` is one of the classes that the core documents."""

    event: object


Write: TypeAlias = Persist | Erase
Effect: TypeAlias = Persist | Erase | Send | SetTimer | Notice


class Rows(Protocol):
    """Where rows were kept that machines persisted: what each reads back at its start."""

    def scan(self, table: str, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Rows whose key begins so, in key order."""


class Effects:
    """The ordered list that every machine of the core appends to."""

    def __init__(self) -> None:
        self._items: list[Effect] = []

    def persist(
        self, table: str, key: bytes, value: bytes, *, once: bool = False, lazy: bool = False
    ) -> None:
        """Ask for a row to be stored."""
        self._items.append(Persist(table, key, value, once, lazy))

    def erase(self, table: str, key: bytes) -> None:
        """Ask for a row to be forgotten."""
        self._items.append(Erase(table, key))

    def send(self, peer: bytes, message: Message) -> None:
        """Ask for a message to be sent."""
        self.tell((peer,), message)

    def tell(self, peers: Iterable[bytes], message: Message) -> None:
        """Ask for one message to be sent to several peers."""
        payload = MESSAGES.encode(message)
        self._items += [Send(peer, payload) for peer in peers]

    def timer(self, name: str, delay_ms: int) -> None:
        """Ask to be called back."""
        self._items.append(SetTimer(name, delay_ms))

    def notice(self, event: object) -> None:
        """Tell the agent layer."""
        self._items.append(Notice(event))

    def drain(self) -> list[Effect]:
        """Everything asked for since the last call, in order."""
        items, self._items = self._items, []
        return items
