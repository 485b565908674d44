"""What the market did, counted close by close from sealed logs and states alone; a report adds what its nodes tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from troth_protocol.close.claims import CLAIM_EPOCHS
from troth_protocol.close.execute import Closed
from troth_protocol.log.book import Stored
from troth_protocol.log.committee import Committee
from troth_protocol.log.ops import Agree, Op
from troth_protocol.log.rows import Claim, Lock
from troth_protocol.log.state import State

#: What nodes say of themselves: no log tells how often somebody asked, nor what arrived.
TOLD: Final = ("negotiations", "deliveries")


@dataclass
class Turnover:
    """Counts of a chain's closes; `paid` is what locks have paid, by (payer, payee), in atomic units.

    `promises` counts the citations that buyers promised; by (buyer, hash), `promised` are those whose delivery is paid
    under that hash, and `locked` is what locks are under. `bonded_in` and `bonded_out` count who came into the witness
    set and who left it.
    """

    promises: int = 0
    promised: set[tuple[bytes, bytes]] = field(default_factory=set)
    locked: set[tuple[bytes, bytes]] = field(default_factory=set)
    locks: int = 0
    claims: int = 0
    refunds: int = 0
    auctions: int = 0
    breaches: int = 0
    evidence: int = 0
    bonded_in: int = 0
    bonded_out: int = 0
    paid: Counter[tuple[bytes, bytes]] = field(default_factory=Counter)

    def add(
        self, before: State, closed: Closed, logs: Mapping[bytes, Sequence[Stored]], committee: Committee
    ) -> None:
        """One more close: the state before it, what it came to, the logs of its cut, and its witness set."""
        for author, log in logs.items():
            self._add_promises(author, [op for stored in log for op in stored.entry.ops])
        self.auctions += len(closed.sales)
        self.breaches += _breaches(closed)
        old, new = _members(committee), _members(closed.committee)
        self.bonded_in += len(new - old)
        self.bonded_out += len(old - new)
        after = closed.state
        made = after.tables["locks"].rows.keys() - before.tables["locks"].rows.keys()
        self.locks += len(made)
        self.locked |= {(row.payer, row.hash) for key, row in after.rows("locks", Lock) if key in made}
        self.claims += len(after.tables["claims"].rows.keys() - before.tables["claims"].rows.keys())
        for key, lock in before.rows("locks", Lock):
            if after.find("locks", key, Lock) is None:
                self._end(lock, before.find("claims", key, Claim), after.totals().epoch)

    def _add_promises(self, author: bytes, ops: Sequence[Op]) -> None:
        """What an author promised as a buyer; with a receipt it is the seller that binds what is counted already."""
        made = [op for op in ops if isinstance(op, Agree) and op.receipt is None]
        self.promises += len(made)
        self.promised |= {(author, op.hash) for op in made if op.hash is not None}

    def _end(self, lock: Lock, claim: Claim | None, epoch: int) -> None:
        """A lock is gone: paid, if its claim was due; else it went back, unopened or from a misdelivery."""
        if claim is not None and claim.backed is not None and epoch >= claim.backed + CLAIM_EPOCHS:
            self.paid[lock.payer, lock.to] += lock.amount
        else:
            self.refunds += 1

    def counts(self, told: Mapping[str, int]) -> dict[str, int]:
        """The market in numbers; `told` are those of `TOLD`.

        An agreement on a price alone leaves no other trace than its lock, which the buyer or an auction made; the lock
        of a promise is of the same agreement. One that costs nothing leaves none.
        """
        return {
            "negotiations": told.get("negotiations", 0),
            "agreements": self.promises + len(self.locked - self.promised),
            "deliveries": told.get("deliveries", 0),
            "locks": self.locks,
            "claims": self.claims,
            "refunds": self.refunds,
            "auctions": self.auctions,
            "breaches": self.breaches,
            "evidence": self.evidence,
            "bonded_in": self.bonded_in,
            "bonded_out": self.bonded_out,
        }


def _breaches(closed: Closed) -> int:
    """Broken promises that this close has settled."""
    return sum(len(settlement.breaches) for settlement in closed.settlements)


def _members(committee: Committee) -> frozenset[bytes]:
    return frozenset(member.key for member in committee.members)
