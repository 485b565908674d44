"""A network in memory with virtual time: one heap, one seed, and with them the same run every time.

Nodes are named by anything hashable and payloads are passed on as they are; nothing here knows what they mean.
Messages may be dropped, delayed (hence reordered) and duplicated on each link, and partitions come and heal.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

PPM = 1_000_000

NodeT = TypeVar("NodeT", bound=Hashable)
PayloadT = TypeVar("PayloadT")
Action: TypeAlias = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Link:
    """What may happen to a message on its way: delay in ms, both ends included; chances in parts per million."""

    least_ms: int = 10
    most_ms: int = 100
    drop_ppm: int = 0
    duplicate_ppm: int = 0


class SimNet(Generic[NodeT, PayloadT]):
    """The network, its clock (`now_ms`) and its source of chance (`rng`), which callers may share."""

    def __init__(self, seed: int, link: Link | None = None) -> None:
        self.rng = random.Random(seed)
        self.now_ms = 0
        self._default = link or Link()
        self._links: dict[tuple[NodeT, NodeT], Link] = {}
        self._handlers: dict[NodeT, Callable[[NodeT, PayloadT], None]] = {}
        self._groups: list[frozenset[NodeT]] = []
        self._heap: list[tuple[int, int, Action]] = []
        self._serial = 0

    def attach(self, node: NodeT, handler: Callable[[NodeT, PayloadT], None]) -> None:
        """Let `handler(source, payload)` take what is sent to the node; it replaces an earlier one."""
        self._handlers[node] = handler

    def detach(self, node: NodeT) -> None:
        """The node is down: what arrives meanwhile is lost."""
        self._handlers.pop(node, None)

    def set_link(self, link: Link, source: NodeT | None = None, target: NodeT | None = None) -> None:
        """Change one direction of one link, or with neither end named every link."""
        if source is None or target is None:
            self._default = link
            self._links.clear()
        else:
            self._links[source, target] = link

    def partition(self, *groups: Iterable[NodeT]) -> None:
        """From now on messages arrive only within a group, also those under way; nodes in no group form one more."""
        self._groups = [frozenset(group) for group in groups]

    def heal(self) -> None:
        """End the partition."""
        self._groups = []

    def is_cut(self, source: NodeT, target: NodeT) -> bool:
        """Whether a partition separates the two."""
        return any((source in group) != (target in group) for group in self._groups)

    def at(self, delay_ms: int, action: Action) -> None:
        """Call `action` after a delay; what is due at the same time runs in the order in which it was asked for."""
        self._serial += 1
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._serial, action))

    def send(self, source: NodeT, target: NodeT, payload: PayloadT) -> None:
        """Send one message; the link decides whether, when, and how often it arrives."""
        link = self._links.get((source, target), self._default)
        copies = 1 + self._happens(link.duplicate_ppm) - self._happens(link.drop_ppm)
        for _ in range(copies):
            delay_ms = self.rng.randint(link.least_ms, link.most_ms)
            self.at(delay_ms, lambda: self._deliver(source, target, payload))

    def run(self, until_ms: int, is_done: Callable[[], bool] = lambda: False) -> bool:
        """Run what is due up to that time, or until `is_done`, which is asked after each step; says whether it was."""
        while self._heap and self._heap[0][0] <= until_ms:
            self.now_ms, _, action = heapq.heappop(self._heap)
            action()
            if is_done():
                return True
        self.now_ms = max(self.now_ms, until_ms)
        return is_done()

    def _happens(self, ppm: int) -> int:
        return int(ppm > 0 and self.rng.randrange(PPM) < ppm)

    def _deliver(self, source: NodeT, target: NodeT, payload: PayloadT) -> None:
        handler = self._handlers.get(target)
        if handler is not None and not self.is_cut(source, target):
            handler(source, payload)
