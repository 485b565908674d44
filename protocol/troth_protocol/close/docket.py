"""The docket: evidence that no close has punished yet. One piece for each offence, on disk, and shown to all peers.

Whoever holds evidence shows it on every link, when it is new and again in every epoch until it is punished or too old:
so one honest observer is enough. Keys are cheap, so anybody can make evidence against strangers of its own: what is
held and what is taken from a peer are bounded, and where there is no room, evidence against whoever has more to lose
comes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from troth_protocol.close.chain import Chain
from troth_protocol.close.findings import EVIDENCE_MAX
from troth_protocol.close.punish import is_due, offence_of
from troth_protocol.effects import Effects
from troth_protocol.errors import Invalid
from troth_protocol.evidence import EVIDENCE, EntryFork, Proof, verify_evidence
from troth_protocol.log.entry import SignedHeader
from troth_protocol.log.keep import epoch_key
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import EvidenceMsg

EVIDENCE_TABLE: Final = "evidence"
#: Pieces shown to one peer in one epoch; twice as many are verified from one, which may be an epoch ahead.
SHOWN_MAX: Final = EVIDENCE_MAX
TAKEN_MAX: Final = 2 * EVIDENCE_MAX


@dataclass(frozen=True, slots=True)
class Accusation:
    """Notice: evidence is new here; `peer` sent it, or None if this node noticed the offence itself."""

    proof: Proof
    evidence: bytes
    peer: bytes | None


@dataclass(frozen=True, slots=True)
class _Case:
    """`stake` is what the offender has to lose; `fork` the two headers of an entry fork."""

    proof: Proof
    evidence: bytes
    stake: int
    fork: tuple[SignedHeader, SignedHeader] | None

    def row(self) -> bytes:
        """Its key on disk: epochs sort."""
        return epoch_key(self.proof.epoch) + offence_of(self.proof)


class Docket:
    """What one node holds against others; `links` are the peers that it can reach now."""

    def __init__(self, chain: Chain, out: Effects, links: Collection[bytes]) -> None:
        self.chain = chain
        self.out = out
        self._links = links
        self._cases: dict[bytes, _Case] = {}
        self._digests: set[bytes] = set()
        self._shown: Counter[bytes] = Counter()
        self._taken: Counter[bytes] = Counter()
        for key, data in chain.archive.scan(EVIDENCE_TABLE, b""):
            self._restore(key, data)

    def _restore(self, key: bytes, data: bytes) -> None:
        """Evidence speaks for itself: a damaged row proves nothing any more, and others hold it too."""
        try:
            case = self._case(data)
        except Invalid:
            self.out.erase(EVIDENCE_TABLE, key)
            return
        self._hold(case)

    def _case(self, data: bytes) -> _Case:
        proof = verify_evidence(data, self.chain.network)
        found = EVIDENCE.decode(data)
        fork = (found.first, found.second) if isinstance(found, EntryFork) else None
        account = self.chain.state.account(proof.offender)
        return _Case(proof, data, account.worth() - account.balance, fork)

    def _hold(self, case: _Case) -> None:
        self._cases[offence_of(case.proof)] = case
        self._digests.add(digest(case.evidence))

    def _drop(self, case: _Case) -> None:
        del self._cases[offence_of(case.proof)]
        self._digests.remove(digest(case.evidence))
        self.out.erase(EVIDENCE_TABLE, case.row())

    def due(self) -> list[bytes]:
        """What the close of the open epoch has to punish."""
        chain = self.chain
        cases = [self._cases[key] for key in sorted(self._cases)]
        return [c.evidence for c in cases if is_due(chain.state, chain.genesis.rules, chain.epoch, c.proof)]

    def forked(self) -> dict[bytes, tuple[SignedHeader, SignedHeader]]:
        """The logs that forked in the open epoch, by author: a witness votes for no new entry of theirs."""
        cases = [case for case in self._cases.values() if case.proof.epoch == self.chain.epoch]
        return {case.proof.offender: case.fork for case in cases if case.fork is not None}

    def accuse(self, data: bytes, peer: bytes | None = None) -> bool:
        """Take evidence in, from a peer or of one's own: True if it is kept, for it is new here and to be punished.

        Raises Invalid as `verify_evidence`: then it proves nothing.
        """
        if digest(data) in self._digests or not self._may_take(peer):
            return False
        case = self._case(data)
        if not self._is_new(case) or not self._has_room(case):
            return False
        self._hold(case)
        self.out.persist(EVIDENCE_TABLE, case.row(), data)
        self.out.notice(Accusation(case.proof, data, peer))
        for link in sorted(self._links):
            if link != peer:
                self._show(link, case)
        return True

    def _may_take(self, peer: bytes | None) -> bool:
        if peer is None:
            return True
        self._taken[peer] += 1
        return self._taken[peer] <= TAKEN_MAX

    def _is_new(self, case: _Case) -> bool:
        """Not held, and due at this close or the next: whoever sends it may have sealed this epoch already."""
        if offence_of(case.proof) in self._cases:
            return False
        epoch = min(max(case.proof.epoch, self.chain.epoch), self.chain.epoch + 1)
        return is_due(self.chain.state, self.chain.genesis.rules, epoch, case.proof)

    def _has_room(self, case: _Case) -> bool:
        if len(self._cases) < EVIDENCE_MAX:
            return True
        least = min(self._cases.values(), key=lambda held: (held.stake, held.row()))
        if least.stake >= case.stake:
            return False
        self._drop(least)
        return True

    def show(self, link: bytes) -> None:
        """Show a peer everything held, first what is against those who have most to lose."""
        for case in sorted(self._cases.values(), key=lambda case: (-case.stake, case.row())):
            self._show(link, case)

    def _show(self, link: bytes, case: _Case) -> None:
        if self._shown[link] < SHOWN_MAX:
            self._shown[link] += 1
            self.out.send(link, EvidenceMsg(case.evidence))

    def opened(self) -> None:
        """An epoch is open: what was punished or is too old goes, the rest is shown again."""
        self._shown.clear()
        self._taken.clear()
        rules, state, epoch = self.chain.genesis.rules, self.chain.state, self.chain.epoch
        for case in list(self._cases.values()):
            if not is_due(state, rules, max(case.proof.epoch, epoch), case.proof):
                self._drop(case)
        for link in sorted(self._links):
            self.show(link)
