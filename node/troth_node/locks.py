"""Locks by the terms that they pay: they are looked for again and again, so they are found by their hash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from troth_protocol.core import Core
from troth_protocol.log.evaluate import LogView
from troth_protocol.log.rows import Lock
from troth_protocol.log.state import State
from troth_protocol.market.exchange import ExchangeTerms


class Locks:
    """The locks that a node sees, by the hash that they name."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._state: State | None = None
        self._sealed: dict[bytes, dict[bytes, Lock]] = {}
        self._fresh: dict[bytes, tuple[LogView, int, dict[bytes, dict[bytes, Lock]]]] = {}

    def sealed(self, terms: ExchangeTerms, state: State | None = None) -> dict[bytes, Lock]:
        """Those of the sealed state, or of an earlier one."""
        wanted = state or self._core.chain.state
        if wanted is not self._state:
            self._state, self._sealed = wanted, _by_hash(wanted.rows("locks", Lock))
        return _paying(self._sealed, terms)

    def all(self, terms: ExchangeTerms) -> dict[bytes, Lock]:
        """Those, and what the buyer's log of this epoch holds."""
        return self.sealed(terms) | _paying(self._of(terms.buyer), terms)

    def _of(self, buyer: bytes) -> dict[bytes, dict[bytes, Lock]]:
        """A view only grows while its epoch is open."""
        view = self._core.chain.book.view(buyer)
        known = self._fresh.get(buyer)
        if known is None or known[0] is not view or known[1] != len(view.rows):
            rows = ((key, row) for (_, key), row in view.rows.items() if isinstance(row, Lock))
            known = self._fresh[buyer] = (view, len(view.rows), _by_hash(rows))
        return known[2]


def _by_hash(rows: Iterable[tuple[bytes, Lock]]) -> dict[bytes, dict[bytes, Lock]]:
    found: dict[bytes, dict[bytes, Lock]] = {}
    for key, lock in rows:
        found.setdefault(lock.hash, {})[key] = lock
    return found


def _paying(locks: Mapping[bytes, Mapping[bytes, Lock]], terms: ExchangeTerms) -> dict[bytes, Lock]:
    return {key: lock for key, lock in locks.get(terms.hash, {}).items() if is_paying(lock, terms)}


def is_paying(lock: Lock, terms: ExchangeTerms) -> bool:
    """Is this a lock of the terms' buyer for its seller, under their hash?"""
    return (lock.payer, lock.to, lock.hash) == (terms.buyer, terms.seller, terms.hash)
