"""The locks of a sealed state by whom they pay, who pays and under which hash: looked up at every tick, sorted once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from troth_protocol.log.rows import Lock
from troth_protocol.log.state import State

Place: TypeAlias = tuple[bytes, bytes, bytes]


class SealedLocks:
    """What was looked up last stays at hand: a state that is sealed never changes."""

    def __init__(self) -> None:
        self._state: State | None = None
        self._found: dict[Place, dict[bytes, Lock]] = {}

    def find(self, state: State, payer: bytes, to: bytes, hashlock: bytes) -> Mapping[bytes, Lock]:
        """The locks of one payer for one payee under one hash, by id."""
        if state is not self._state:
            self._state, self._found = state, {}
            for key, lock in state.rows("locks", Lock):
                self._found.setdefault((lock.payer, lock.to, lock.hash), {})[key] = lock
        return self._found.get((payer, to, hashlock), {})
