"""The shell around the core: read, feed, persist, send, dispatch. It decides nothing about the protocol."""

from __future__ import annotations

import heapq
import math
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import structlog
import trio

from troth_node.garbage import Collector
from troth_node.storage.guard import Guard, compare
from troth_node.storage.home import Home, HomeError
from troth_node.storage.store import Store
from troth_node.transport.events import Event, Frame, LinkDown, LinkUp
from troth_protocol.core import Core, Profile, Restoring
from troth_protocol.effects import TABLES, Effect, Erase, Notice, Persist, Send, SetTimer, Write
from troth_protocol.errors import Invalid
from troth_protocol.genesis import Genesis, load_genesis
from troth_protocol.market.document import Document

if TYPE_CHECKING:
    from troth_node.transport.network import Network

SOFTWARE: Final = "troth/0.1.0"
_NETWORK: Final = b"network"
#: A disk to which nothing was written for so long is at rest.
REST_S: Final = 0.001
#: The table whose rows say that nothing more is signed in an epoch: as good as a signature.
STOPPED: Final = "close"
#: The table of what is acknowledged, which is not signed.
ACKNOWLEDGED: Final = "entries"

log = structlog.get_logger()


class Archive:
    """What the core reads back: the store, seen through the core's two questions."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, table: str, key: bytes) -> bytes | None:
        """The row, or None."""
        return self._store.get(table, key)

    def scan(self, table: str, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Rows whose key begins so, in key order."""
        return list(self._store.scan(table, prefix))


class Listener(Protocol):
    """Who is told of notices: the services above the core."""

    def notice(self, event: object) -> None:
        """Something happened; must not block."""


@dataclass(slots=True)
class Disk:
    """A node's durable side: its home, its store and its guard."""

    home: Home
    store: Store
    guard: Guard
    genesis: Genesis

    @classmethod
    def open(cls, home: Home, *, is_restored: bool = False) -> Disk:
        """Open the store and the guard of a home; whoever declares a restore may do so without a guard.

        Raises StorageError, one line that says what to do.
        """
        genesis = _genesis(home)
        guard = Guard.renew(home.path) if is_restored else Guard.open(home.path)
        try:
            store = _open_store(home, genesis)
        except BaseException:
            guard.close()
            raise
        return cls(home, store, guard, genesis)

    def is_restored(self) -> bool:
        """Was an older copy put back, or a copy started elsewhere? Then nothing may be signed for a while."""
        return self.home.moved or compare(self.store, self.guard) == "store_behind"

    def unsettle(self) -> None:
        """Restore mode begins. It is on disk first, so that a crash in the midst of it does not end it."""
        self.home.unsettle()
        self.store.apply([], at_least=self.guard.generation)

    def settle(self) -> None:
        """Restore mode is over: from here on this is the node's one disk."""
        self.home.settle()

    def commit(self, writes: Sequence[Write]) -> None:
        """One transaction, on synced disk unless all its rows are lazy, then the guard, then the caller may send.

        The guard counts whatever an older copy of the store must not forget. Raises StorageError: then nothing more
        may be sent, and the process ends.
        """
        is_signed = is_counted = is_durable = False
        for row in writes:
            if isinstance(row, Persist):
                is_durable |= not row.lazy
                is_signed |= row.once or (row.table == STOPPED and not row.lazy)
                is_counted |= row.table == ACKNOWLEDGED and not row.lazy
        is_counted |= is_signed
        generation = self.store.apply(writes, signed=is_counted, durable=is_durable)
        if is_counted:
            self.guard.advance(generation, synced=is_signed)

    def close(self) -> None:
        """Close everything; the lock on the home goes last."""
        try:
            self.store.close()
        finally:
            self.guard.close()
            self.home.close()


def _open_store(home: Home, genesis: Genesis) -> Store:
    store = Store.open(home.store_path, TABLES)
    try:
        _check_network(home, store, genesis.network())
    except BaseException:
        store.close()
        raise
    return store


def _genesis(home: Home) -> Genesis:
    try:
        return load_genesis(home.genesis)
    except Invalid as error:
        raise HomeError(
            f"{home.path / 'genesis.bin'}: no genesis document ({error}); put back the network's genesis file"
        ) from error


def _check_network(home: Home, store: Store, network: bytes) -> None:
    """A store belongs to one network: a genesis document with a changed byte would make it another one's."""
    known = store.get("chain", _NETWORK)
    if known is None:
        store.apply([Persist("chain", _NETWORK, network, once=True)])
    elif known != network:
        raise HomeError(
            f"{home.path / 'genesis.bin'}: not the document of the store's network {known.hex()[:16]}…; "
            "put back that network's genesis file"
        )


@dataclass(slots=True)
class Timers:
    """Named timers on the monotonic clock; setting one again replaces it."""

    _due: dict[str, float] = field(default_factory=dict)
    _heap: list[tuple[float, str]] = field(default_factory=list)

    def set(self, name: str, delay_ms: int) -> None:
        """Arm a timer."""
        due = trio.current_time() + delay_ms / 1000
        self._due[name] = due
        heapq.heappush(self._heap, (due, name))

    def next(self) -> float:
        """When the first timer is due."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else float("inf")

    def pop_due(self) -> list[str]:
        """The names of timers that are due, each once."""
        names = []
        while self.next() <= trio.current_time():
            _, name = heapq.heappop(self._heap)
            del self._due[name]
            names.append(name)
        return names


class Runtime:
    """One running node: a core, its disk, its network, and whoever listens to notices."""

    def __init__(
        self,
        disk: Disk,
        network: Network,
        name: str,
        documents: tuple[Document, ...],
        *,
        is_restored: bool = False,
        last_epoch: int | None = None,
        linger_ms: int = 0,
    ) -> None:
        self.disk = disk
        self.network = network
        restored = is_restored or disk.is_restored()
        profile = Profile(
            name,
            documents,
            SOFTWARE,
            secrets.token_bytes(32),
            is_restored=restored,
            last_epoch=last_epoch,
            linger_ms=linger_ms,
            is_patient=True,
        )
        self.core = Core(disk.genesis, disk.home.key, Archive(disk.store), profile)
        self._collector = Collector()
        self.listeners: list[Listener] = [self._collector]
        self._is_unsettled = False
        if restored:
            self._unsettle()
        self._timers = Timers()
        self._wake = trio.Event()
        self._wrote_at = -math.inf
        self._fault: Exception | None = None

    def kick(self) -> None:
        """Somebody asked the core for something: carry it out soon."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled: feed the core what arrives and what is due, carry out what it asks."""
        self._collector.start()
        self.core.start()
        self._carry_out()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_network)
            self.network.divert(self._take)
            while True:
                with trio.move_on_at(self._timers.next()):
                    await self._wake.wait()
                self._wake = trio.Event()
                for name in self._timers.pop_due():
                    self.core.timer(name)
                self._carry_out()
                await trio.lowlevel.checkpoint()

    def _take(self, events: Sequence[Event]) -> bool:
        """Frames are answered at once, in the task that read them, while the disk is at rest. What comes soon after a
        write is not taken: it is carried out together with what else comes, and shares the next one.
        """
        if trio.current_time() < self._wrote_at + REST_S:
            return False
        try:
            for event in events:
                self._feed(event)
            self._carry_out()
        except Exception as error:  # noqa: BLE001 - the reading task is a peer's: this is for ours to raise
            self._fault = error
            self._wake.set()
        return True

    async def _read_network(self) -> None:
        while True:
            events = await self.network.next_events()
            for event in events:
                self._feed(event)
            self._carry_out()

    def _feed(self, event: Event) -> None:
        match event:
            case Frame():
                self.core.frame(event.peer, event.payload)
            case LinkUp():
                self.core.link_up(event.peer)
            case LinkDown():
                log.debug("link down", peer=event.peer.hex()[:12], reason=event.reason)
                self.core.link_down(event.peer)

    def _carry_out(self) -> None:
        """Everything the core wants: first the disk, then the wire, then the services."""
        if self._fault is not None:
            raise self._fault
        effects = self.core.drain()
        while effects:
            writes = [effect for effect in effects if isinstance(effect, Persist | Erase)]
            if writes:
                self.disk.commit(writes)
                self._wrote_at = trio.current_time()
            for effect in effects:
                self._apply(effect)
            self.network.flush()
            effects = self.core.drain()
        if self._is_unsettled and self.core.check.may_sign():
            self._is_unsettled = False
            self.disk.settle()

    def _unsettle(self) -> None:
        if not self._is_unsettled:
            self._is_unsettled = True
            self.disk.unsettle()

    def _apply(self, effect: Effect) -> None:
        if isinstance(effect, Send):
            self.network.send(effect.peer, effect.payload, is_corked=True)
        elif isinstance(effect, SetTimer):
            self._timers.set(effect.name, effect.delay_ms)
            self._wake.set()
        elif isinstance(effect, Notice):
            if isinstance(effect.event, Restoring):
                self._unsettle()
            for listener in self.listeners:
                listener.notice(effect.event)
