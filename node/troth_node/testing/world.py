"""A seeded world of whole protocol cores: virtual time, an in-memory network with faults, a dictionary for a disk.

The same seed gives the same run. Nothing here knows the protocol's rules: it only moves effects about. A node's power
can fail between any two effects; writes that follow each other are one transaction, as on a real disk.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from troth_protocol.core import Core, Profile
from troth_protocol.effects import Effect, Erase, Notice, Persist, Send, SetTimer
from troth_protocol.genesis import Genesis
from troth_protocol.wire.crypto import KeyPair, digest
from troth_protocol.wire.messages import Message


class Disk:
    """Rows by table, in key order; `once` rows never change. What may wait for a sync may be gone after a power cut."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[bytes, bytes]] = {}
        self._undo: list[tuple[str, bytes, bytes | None]] = []
        self._marks = [0]  # where transactions begin that are not synced
        self._is_syncing = False

    def begin(self, batch: Sequence[Effect]) -> None:
        """The writes of this batch are one transaction: synced, and all before it, unless every row may wait."""
        self._is_syncing = any(isinstance(effect, Persist) and not effect.lazy for effect in batch)
        if self._is_syncing:
            self._undo.clear()
            self._marks = [0]
        elif len(self._undo) > self._marks[-1]:
            self._marks.append(len(self._undo))

    def waiting(self, table: str) -> set[bytes]:
        """Keys of rows that are not synced."""
        return {key for name, key, _ in self._undo if name == table}

    def lose_power(self, rng: random.Random) -> None:
        """Some of the last transactions that were not synced are gone."""
        for table, key, old in reversed(self._undo[rng.choice([*self._marks, len(self._undo)]) :]):
            if old is None:
                self.tables[table].pop(key, None)
            else:
                self.tables[table][key] = old
        self._undo.clear()
        self._marks = [0]

    def find(self, table: str, key: bytes) -> bytes | None:
        """The row, or None."""
        return self.tables.get(table, {}).get(key)

    def scan(self, table: str, prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Rows whose key begins so."""
        rows = self.tables.get(table, {})
        return [(key, rows[key]) for key in sorted(key for key in rows if key.startswith(prefix))]

    def write(self, effect: Persist | Erase) -> None:
        """Apply one write; AssertionError if a `once` row would change."""
        rows = self.tables.setdefault(effect.table, {})
        old = rows.get(effect.key)
        if not self._is_syncing:
            self._undo.append((effect.table, effect.key, old))
        if isinstance(effect, Erase):
            rows.pop(effect.key, None)
            return
        assert not effect.once or old in (None, effect.value), f"{effect.table} row written twice"
        rows[effect.key] = effect.value

    def copy(self) -> Disk:
        """A backup."""
        twin = Disk()
        twin.tables = {table: dict(rows) for table, rows in self.tables.items()}
        return twin


@dataclass
class SimNode:
    """One node of the world; `fuse` is after how many more effects its power fails."""

    keys: KeyPair
    name: str
    disk: Disk = field(default_factory=Disk)
    core: Core | None = None
    notices: list[object] = field(default_factory=list)
    starts: int = 0
    timers: dict[str, int] = field(default_factory=dict)
    fuse: int | None = None
    is_restored: bool = False
    crashes: int = 0
    said: dict[int, Message] = field(default_factory=dict)


@dataclass
class Faults:
    """What the network does to a frame: probabilities, and a delay range in virtual milliseconds."""

    drop: float = 0.0
    duplicate: float = 0.0
    delay_ms: tuple[int, int] = (1, 5)


#: What a hostile node does with each frame that it would send: the frames that leave instead.
Twist = Callable[["World", SimNode, bytes, bytes], Sequence[tuple[bytes, bytes]]]
#: A look at each frame that reaches a node: False keeps it from the core.
Filter = Callable[["World", SimNode, bytes, bytes], bool]


class World:
    """Nodes, links and time."""

    def __init__(
        self, genesis: Genesis, seeds: Sequence[bytes], seed: int, faults: Faults | None = None
    ) -> None:
        self.genesis = genesis
        self.rng = random.Random(seed)
        self.faults = faults or Faults()
        self.now_ms = 0
        self.nodes = {
            keys.public: SimNode(keys, f"n{i}") for i, keys in enumerate(map(KeyPair.from_seed, seeds))
        }
        self.twins: dict[bytes, SimNode] = {}
        self.friends: dict[bytes, frozenset[bytes]] = {}
        self.cut_links: set[frozenset[bytes]] = set()
        self.makers: dict[bytes, Callable[[SimNode], Core]] = {}  # who is no core in memory
        self.twists: dict[bytes, Twist] = {}
        self.filters: dict[bytes, Filter] = {}
        self.down_ms = (50, 1_500)
        self.on_notice: Callable[[SimNode, object], None] | None = None
        self.on_say: Callable[[SimNode, bytes, Message], None] | None = None
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something later."""
        self._count += 1
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._count, action))

    # Nodes that come and go

    def start(self, key: bytes) -> Core:
        """Start (or restart) a node on its disk and link it to everybody who is up."""
        return self._start(self.nodes[key])

    def start_twin(self, key: bytes, friends: Iterable[bytes]) -> Core:
        """A second process with a node's key and a disk of its own: it and `friends` see only each other."""
        self.friends[key] = frozenset(friends)
        twin = self.twins.setdefault(key, SimNode(self.nodes[key].keys, self.nodes[key].name + "'"))
        return self._start(twin)

    def _start(self, node: SimNode) -> Core:
        node.starts += 1
        node.timers = {}
        node.fuse = None
        key = node.keys.public
        core = node.core = self.makers.get(key, self._make)(node)
        core.start()
        for other in [*self.nodes.values(), *self.twins.values()]:
            if other.core is not None and other is not node:
                other.core.link_up(key)
                core.link_up(other.keys.public)
                self.flush(other)
        self.flush(node)
        return core

    def _make(self, node: SimNode) -> Core:
        nonce = digest(node.keys.public + node.starts.to_bytes(4, "big"))
        profile = Profile(node.name, (), "sim", nonce, node.is_restored)
        core = Core(self.genesis, node.keys, node.disk, profile)
        if self.on_say is not None:
            self._listen(node, core)
        return core

    def _listen(self, node: SimNode, core: Core) -> None:
        """Remember what each frame says until it leaves: cheaper than decoding it again."""
        out, tell = core.out, core.out.tell

        def say(peers: Iterable[bytes], message: Message) -> None:
            before = len(out._items)  # noqa: SLF001
            tell(peers, message)
            for item in out._items[before:]:  # noqa: SLF001
                if isinstance(item, Send) and item.peer != node.keys.public:
                    node.said[id(item)] = message

        out.tell = say  # type: ignore[method-assign] # the one place that knows messages before they are bytes

    def crash(self, key: bytes) -> None:
        """Kill a node: its disk stays, everything else is gone."""
        self.lose(self.nodes[key])

    def lose(self, node: SimNode) -> None:
        """A node is gone, whoever killed it."""
        node.core = None
        node.crashes += 1
        node.said.clear()
        for other in self.nodes.values():
            if other.core is not None:
                other.core.link_down(node.keys.public)
                self.flush(other)

    def partition(self, group: Iterable[bytes]) -> None:
        """Cut every link between a group and the rest."""
        inside = set(group)
        self.cut_links = {frozenset((a, b)) for a in inside for b in self.nodes if b not in inside}

    def heal(self) -> None:
        """All links carry frames again."""
        self.cut_links = set()

    # Effects

    def flush(self, node: SimNode) -> None:
        """Carry out what a core asks for."""
        while node.core is not None and (effects := node.core.drain()):
            if node.fuse is not None and node.fuse < len(effects):
                self._fail(node, effects, node.fuse)
                return
            if node.fuse is not None:
                node.fuse -= len(effects)
            node.disk.begin(effects)
            for effect in effects:
                self._apply(node, effect)

    def _fail(self, node: SimNode, effects: list[Effect], last: int) -> None:
        """The power fails during a batch, and comes back later."""
        survivors = self._survivors(effects, last)
        if any(isinstance(effect, Persist | Erase) for effect in survivors):
            node.disk.begin(effects)
        for effect in survivors:
            self._apply(node, effect)
        node.disk.lose_power(self.rng)
        self.lose(node)
        self.at(self.rng.randint(*self.down_ms), lambda: self._power(node))

    def _power(self, node: SimNode) -> None:
        if node.core is None:
            self._start(node)

    def _survivors(self, effects: list[Effect], last: int) -> list[Effect]:
        """Nothing, or all writes and some of what they were for, or a beginning that tears no transaction apart."""
        mode = self.rng.choice(("nothing", "committed", "beginning"))
        if mode == "committed":
            writes = [effect for effect in effects if isinstance(effect, Persist | Erase)]
            return writes + [effect for effect in effects[:last] if not isinstance(effect, Persist | Erase)]
        kept: list[Effect] = []
        for is_write, group in groupby(effects, key=lambda effect: isinstance(effect, Persist | Erase)):
            run, room = list(group), last - len(kept)
            if mode == "nothing" or room < (len(run) if is_write else 1):
                break
            kept += run[:room]
        return kept

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

    # Frames

    def _send(self, node: SimNode, send: Send) -> None:
        key = node.keys.public
        message = node.said.pop(id(send), None)
        if self.on_say is not None and message is not None:
            self.on_say(node, send.peer, message)
        if key in self.twins and (send.peer in self.friends[key]) != (node is self.twins[key]):
            return
        twist = self.twists.get(key)
        frames = [(send.peer, send.payload)] if twist is None else twist(self, node, send.peer, send.payload)
        for peer, payload in frames:
            self.carry(key, peer, payload)

    def carry(self, source: bytes, peer: bytes, payload: bytes) -> None:
        """Put a frame on the wire: it may be dropped, doubled, delayed."""
        if peer not in self.nodes or frozenset((source, peer)) in self.cut_links:
            return
        if self.rng.random() < self.faults.drop:
            return
        copies = 2 if self.rng.random() < self.faults.duplicate else 1
        for _ in range(copies):
            self.at(self.rng.randint(*self.faults.delay_ms), lambda: self.deliver(source, peer, payload))

    def deliver(self, source: bytes, peer: bytes, payload: bytes) -> None:
        """A frame arrives, whatever the network thinks of it."""
        is_twin = peer in self.twins and source in self.friends[peer]
        node = self.twins[peer] if is_twin else self.nodes[peer]
        look = self.filters.get(peer)
        if node.core is not None and (look is None or look(self, node, source, payload)):
            node.core.frame(source, payload)
            self.flush(node)

    def run(self, until: Callable[[], bool], limit_ms: int) -> bool:
        """Let time pass until a condition holds; False if it does not within the limit."""
        end = self.now_ms + limit_ms
        while self._heap and not until():
            at_ms, _, action = self._heap[0]
            if at_ms > end:
                self.now_ms = end
                return False
            heapq.heappop(self._heap)
            self.now_ms = at_ms
            action()
        return until()
