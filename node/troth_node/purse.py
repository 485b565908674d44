"""The purse: what an agent has promised, bid, locked and paid for signals never adds up to more than its budget.

Theory of operation. Before anything leaves that can come to cost something, its highest cost is held here, on disk;
what cannot be held is not promised. When it is known what it came to, that alone stays; what came to nothing is
given back. A hold that nobody can tell about any more (the node slept through the epochs that decided) stays for good.
"""

from __future__ import annotations

from typing import Final

from troth_protocol.core import Core
from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import decode, encode

TABLE: Final = "purse"


class Purse:
    """The holds of one node by what they are for: a negotiation's or an auction's id. Amounts in atomic units."""

    def __init__(self, core: Core, budget: int) -> None:
        self.budget = budget
        self._core = core
        self._held: dict[bytes, tuple[int, bool]] = {}
        for key, data in core.chain.archive.scan(TABLE, b""):
            match decode(data):
                case [str(amount), bool(is_spent)]:
                    self._held[key] = (int(amount), is_spent)
                case _:
                    raise Invalid("bad_row", "purse")

    def total(self) -> int:
        """All that is held or spent."""
        return sum(amount for amount, _ in self._held.values())

    def spent(self) -> int:
        """What is known to be spent."""
        return sum(amount for amount, is_spent in self._held.values() if is_spent)

    def hold(self, key: bytes, amount: int) -> bool:
        """Hold an amount from now on, if the budget has room for it; True if it is held, now or already."""
        if not amount:
            return True
        if key in self._held:
            return amount <= self._held[key][0]
        if self.total() + amount > self.budget:
            return False
        self._put(key, amount, is_spent=False)
        return True

    def spend(self, key: bytes, amount: int | None = None) -> None:
        """It has cost that much (None: all that was held), and never comes back."""
        if key in self._held:
            held, _ = self._held[key]
            self._put(key, held if amount is None else min(amount, held), is_spent=True)

    def shrink(self, key: bytes, amount: int) -> None:
        """It can cost no more than that."""
        held, is_spent = self._held.get(key, (0, True))
        if not is_spent and amount < held:
            self._put(key, amount, is_spent=False)

    def release(self, key: bytes) -> None:
        """It came to nothing."""
        if self._held.pop(key, None) is not None:
            self._core.out.erase(TABLE, key)

    def open(self) -> list[bytes]:
        """What is held and may still come to nothing."""
        return [key for key, (_, is_spent) in self._held.items() if not is_spent]

    def _put(self, key: bytes, amount: int, *, is_spent: bool) -> None:
        if self._held.get(key) != (amount, is_spent):
            self._held[key] = (amount, is_spent)
            self._core.out.persist(TABLE, key, encode([str(amount), is_spent]))
