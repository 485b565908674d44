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
from troth_protocol.log.ops import OPS
from troth_protocol.log.rows import Claim, Lock
from troth_protocol.log.state import State

#: What nodes say of themselves: no log tells how often somebody asked, nor what arrived.
TOLD: Final = ("negotiations", "deliveries")


@dataclass
class Turnover:
    """Counts of a chain's closes; `paid` is what locks have paid, by (payer, payee), in atomic units.

    `bonded_in` and `bonded_out` count who came into the witness set and who left it.
    """

    ops: Counter[str] = field(default_factory=Counter)
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
        for log in logs.values():
            self.ops.update(OPS.name_of(op) for stored in log for op in stored.entry.ops)
        self.auctions += len(closed.sales)
        self.breaches += _breaches(closed)
        old, new = _members(committee), _members(closed.committee)
        self.bonded_in += len(new - old)
        self.bonded_out += len(old - new)
        after = closed.state
        self.locks += len(after.tables["locks"].rows.keys() - before.tables["locks"].rows.keys())
        self.claims += len(after.tables["claims"].rows.keys() - before.tables["claims"].rows.keys())
        for key, lock in before.rows("locks", Lock):
            if after.find("locks", key, Lock) is None:
                self._end(lock, before.find("claims", key, Claim), after.totals().epoch)

    def _end(self, lock: Lock, claim: Claim | None, epoch: int) -> None:
        """A lock is gone: paid, if its claim was due; else it went back, unopened or from a misdelivery."""
        if claim is not None and claim.backed is not None and epoch >= claim.backed + CLAIM_EPOCHS:
            self.paid[lock.payer, lock.to] += lock.amount
        else:
            self.refunds += 1

    def counts(self, told: Mapping[str, int]) -> dict[str, int]:
        """The market in numbers; `told` are those of `TOLD`.

        An agreement on a price alone leaves no other trace than its lock, which the buyer or an auction made.
        """
        return {
            "negotiations": told.get("negotiations", 0),
            "agreements": self.ops["agree"] + self.locks,
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
    return sum(len(getattr(settlement, "breaches", ())) for settlement in closed.settlements)


def _members(committee: Committee) -> frozenset[bytes]:
    return frozenset(member.key for member in committee.members)
