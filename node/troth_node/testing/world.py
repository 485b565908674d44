"""A seeded world of whole protocol cores: virtual time, an in-memory network with faults, a dictionary for a disk.

The same seed gives the same run. Nothing here knows the protocol's rules: it only moves effects about.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from troth_protocol.core import Core, Profile
from troth_protocol.effects import Effect, Erase, Notice, Persist, Send, SetTimer
from troth_protocol.genesis import Genesis
from troth_protocol.wire.crypto import KeyPair, digest


class Disk:
    """Rows by table, in key order; `once` rows never change."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[bytes, bytes]] = {}

    def find(self, table: str, key: bytes) -> bytes | None:
        """The row, or None."""
        return self.tables.get(table, {}).get(key)

    def scan(self, table: str, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Rows whose key begins so."""
        rows = self.tables.get(table, {})
        return [(key, rows[key]) for key in sorted(rows) if key.startswith(prefix)]

    def write(self, effect: Persist | Erase) -> None:
        """Apply one write; AssertionError if a `once` row would change."""
        rows = self.tables.setdefault(effect.table, {})
        if isinstance(effect, Erase):
            rows.pop(effect.key, None)
            return
        old = rows.get(effect.key)
        assert not effect.once or old in (None, effect.value), f"{effect.table} row written twice"
        rows[effect.key] = effect.value


@dataclass
class SimNode:
    """One node of the world."""

    keys: KeyPair
    name: str
    disk: Disk = field(default_factory=Disk)
    core: Core | None = None
    notices: list[object] = field(default_factory=list)
    starts: int = 0
    timers: dict[str, int] = field(default_factory=dict)


@dataclass
class Faults:
    """What the network does to a frame: probabilities, and a delay range in virtual milliseconds."""

    drop: float = 0.0
    duplicate: float = 0.0
    delay_ms: tuple[int, int] = (1, 5)


#: What a hostile node does with each frame that it would send: the frames that leave instead.
Twist = Callable[["World", SimNode, bytes, bytes], Sequence[tuple[bytes, bytes]]]


class World:
    """Nodes, links and time."""

    def __init__(
        self, genesis: Genesis, seeds: Sequence[bytes], seed: int, faults: Faults | None = None
    ) -> None:
        self.genesis = genesis
        self.rng = random.Random(seed)  # noqa: S311 - a simulation repeats itself
        self.faults = faults or Faults()
        self.now_ms = 0
        self.nodes = {
            keys.public: SimNode(keys, f"n{i}") for i, keys in enumerate(map(KeyPair.from_seed, seeds))
        }
        self.cut_links: set[frozenset[bytes]] = set()
        self.twists: dict[bytes, Twist] = {}
        self.on_notice: Callable[[SimNode, object], None] | None = None
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something later."""
        self._count += 1
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._count, action))

    def start(self, key: bytes, *, is_restored: bool = False) -> Core:
        """Start (or restart) a node on its disk and link it to everybody who is up."""
        node = self.nodes[key]
        node.starts += 1
        node.timers = {}
        nonce = digest(key + node.starts.to_bytes(4, "big"))
        node.core = Core(
            self.genesis, node.keys, node.disk, Profile(node.name, (), "sim", nonce, is_restored)
        )
        node.core.start()
        for other in self.nodes.values():
            if other.core is not None and other is not node:
                other.core.link_up(key)
                node.core.link_up(other.keys.public)
                self.flush(other)
        self.flush(node)
        return node.core

    def crash(self, key: bytes) -> None:
        """Kill a node: its disk stays, everything else is gone."""
        node = self.nodes[key]
        node.core = None
        for other in self.nodes.values():
            if other.core is not None:
                other.core.link_down(key)
                self.flush(other)

    def partition(self, group: Iterable[bytes]) -> None:
        """Cut every link between a group and the rest."""
        inside = set(group)
        self.cut_links = {frozenset((a, b)) for a in inside for b in self.nodes if b not in inside}

    def heal(self) -> None:
        """All links carry frames again."""
        self.cut_links = set()

    def flush(self, node: SimNode) -> None:
        """Carry out what a core asks for."""
        if node.core is None:
            return
        for effect in node.core.drain():
            self._apply(node, effect)

    def _apply(self, node: SimNode, effect: Effect) -> None:
        match effect:
            case Persist() | Erase():
                node.disk.write(effect)
            case Send():
                self._send(node, effect)
            case SetTimer():
                self._arm(node, effect)
            case Notice():
                node.notices.append(effect.event)
                if self.on_notice is not None:
                    self.on_notice(node, effect.event)

    def _arm(self, node: SimNode, timer: SetTimer) -> None:
        turn = node.timers.get(timer.name, 0) + 1
        node.timers[timer.name] = turn
        start = node.starts

        def fire() -> None:
            if node.starts == start and node.core is not None and node.timers.get(timer.name) == turn:
                node.core.timer(timer.name)
                self.flush(node)

        self.at(timer.delay_ms, fire)

    def _send(self, node: SimNode, send: Send) -> None:
        twist = self.twists.get(node.keys.public)
        frames = [(send.peer, send.payload)] if twist is None else twist(self, node, send.peer, send.payload)
        for peer, payload in frames:
            self.carry(node.keys.public, peer, payload)

    def carry(self, source: bytes, peer: bytes, payload: bytes) -> None:
        """Put a frame on the wire: it may be dropped, doubled, delayed."""
        if peer not in self.nodes or frozenset((source, peer)) in self.cut_links:
            return
        if self.rng.random() < self.faults.drop:
            return
        copies = 2 if self.rng.random() < self.faults.duplicate else 1
        for _ in range(copies):
            self.at(self.rng.randint(*self.faults.delay_ms), lambda: self._deliver(source, peer, payload))

    def _deliver(self, source: bytes, peer: bytes, payload: bytes) -> None:
        node = self.nodes[peer]
        if node.core is not None:
            node.core.frame(source, payload)
            self.flush(node)

    def run(self, until: Callable[[], bool], limit_ms: int) -> bool:
        """Let time pass until a condition holds; False if it does not within the limit."""
        end = self.now_ms + limit_ms
        while self._heap and not until():
            at_ms, _, action = self._heap[0]
            if at_ms > end:
                return False
            heapq.heappop(self._heap)
            self.now_ms = at_ms
            action()
        return until()
