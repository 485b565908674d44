"""Locks by who pays, whom they pay and under which hash: looked up at every tick, sorted once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from troth_protocol.log.evaluate import LogView
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
            self._state, self._found = state, _by_place(state.rows("locks", Lock))
        return self._found.get((payer, to, hashlock), {})


class FreshLocks:
    """Those of the open epoch, in the log of whoever pays: a view only grows, as long as it is the same one."""

    def __init__(self) -> None:
        self._views: dict[bytes, tuple[LogView, int, dict[Place, dict[bytes, Lock]]]] = {}

    def find(self, view: LogView, to: bytes, hashlock: bytes) -> Mapping[bytes, Lock]:
        """The locks of a log for one payee under one hash, by id."""
        known = self._views.get(view.author)
        if known is None or known[0] is not view or known[1] != len(view.rows):
            rows = ((key, row) for (_, key), row in view.rows.items() if isinstance(row, Lock))
            known = self._views[view.author] = (view, len(view.rows), _by_place(rows))
        return known[2].get((view.author, to, hashlock), {})


def _by_place(rows: Iterable[tuple[bytes, Lock]]) -> dict[Place, dict[bytes, Lock]]:
    found: dict[Place, dict[bytes, Lock]] = {}
    for key, lock in rows:
        found.setdefault((lock.payer, lock.to, lock.hash), {})[key] = lock
    return found
