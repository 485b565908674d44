"""Following: from a seal that somebody shows to the state it names, by fetching its cut and the cut's entries.

Whoever has been away too long for that (the entries are pruned) follows the seals and fetches the newest state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from troth_protocol.close.chain import Chain
from troth_protocol.close.findings import Findings, load_findings
from troth_protocol.close.light import Checkpoint
from troth_protocol.close.seal import SEAL, SIGNED_SEAL, Seal, SignedSeal, verify_seal
from troth_protocol.effects import Effects
from troth_protocol.errors import Invalid
from troth_protocol.log.book import Missing
from troth_protocol.log.committee import load_committee
from troth_protocol.log.entry import Entry, load_entry
from troth_protocol.log.keep import keep
from troth_protocol.log.state import decode_state
from troth_protocol.log.vote import CERTIFICATE, Certificate
from troth_protocol.wire.chunks import Assembly, Chunks
from troth_protocol.wire.messages import (
    Chunk,
    Entries,
    Gone,
    SealMsg,
    Snapshot,
    WantChunk,
    WantLog,
    WantSeals,
    WantSnapshot,
)

QUEUE_MAX = 128


@dataclass(slots=True)
class _Target:
    signed: SignedSeal
    seal: Seal
    assembly: Assembly
    cut: Findings | None = None
    data: bytes = b""


@dataclass(slots=True)
class _Jump:
    """A jump to a snapshot: the seals followed so far, and the snapshot being fetched."""

    at: Checkpoint
    signed: SignedSeal | None = None
    committee: bytes = b""
    assembly: Assembly | None = None


def absorb(chain: Chain, out: Effects, items: Sequence[tuple[bytes, bytes]]) -> None:
    """Store fetched entries of the open epoch, whatever their order; what still misses something is dropped."""
    waiting = [(load_entry(e, chain.network), CERTIFICATE.decode(c)) for e, c in items]
    while waiting:
        left = [item for item in waiting if not _try_keep(chain, out, *item)]
        if len(left) == len(waiting):
            return
        waiting = left


def _try_keep(chain: Chain, out: Effects, entry: Entry, certificate: Certificate) -> bool:
    try:
        keep(chain.book, out, entry, certificate)
    except Missing:
        return False
    return True


class Follower:
    """Catches up with seals, one epoch after the other."""

    def __init__(self, chain: Chain, out: Effects, on_sealed: Callable[[], None]) -> None:
        self.chain = chain
        self.out = out
        self._on_sealed = on_sealed
        self._target: _Target | None = None
        self._jump: _Jump | None = None
        self._queue: dict[int, SealMsg] = {}
        self._sources: dict[bytes, int] = {}
        self._asked: set[tuple[bytes | str, int]] = set()
        self._turn = 0

    def is_behind(self) -> bool:
        """Somebody has shown a seal that is not followed yet."""
        return self._target is not None or any(epoch >= self.chain.epoch for epoch in self._sources.values())

    def heard(self, peer: bytes, epoch: int) -> None:
        """A peer says which epoch it has sealed last."""
        if epoch > self._sources.get(peer, 0):
            self._sources[peer] = epoch
        if epoch >= self.chain.epoch and self._target is None:
            self._ask(peer, ("seals", self.chain.epoch), WantSeals(self.chain.epoch))

    def lost(self, peer: bytes) -> None:
        """A link went down; ask others from now on."""
        self._sources.pop(peer, None)

    def seal(self, peer: bytes, message: SealMsg) -> None:
        """Somebody shows a seal; Invalid if it is not one of this chain."""
        epoch = SEAL.decode(SIGNED_SEAL.decode(message.seal).payload).epoch
        if epoch < self.chain.epoch:
            return
        self._sources[peer] = max(epoch, self._sources.get(peer, 0))
        if self._jump is not None:
            self._jump_along(peer, self._jump, message, epoch)
        elif epoch == self.chain.epoch and self._target is None:
            self._aim(message)
            self._work()
        else:
            if len(self._queue) < QUEUE_MAX:
                self._queue[epoch] = message
            self.heard(peer, epoch)

    def _aim(self, message: SealMsg) -> None:
        signed = SIGNED_SEAL.decode(message.seal)
        chain = self.chain
        seal = verify_seal(signed, chain.network, chain.prev, chain.epoch, chain.committee)
        self._target = _Target(signed, seal, Assembly(seal.cut, seal.cut_size))

    def _work(self) -> None:
        """Take the next step towards the target: ask for chunks, then for entries, then execute."""
        while self._target is not None:
            target = self._target
            if target.cut is None:
                self._want_chunk(target.assembly)
                return
            if not self._want_entries(target.cut):
                return
            self._finish(target, target.cut)

    def _want_chunk(self, assembly: Assembly) -> None:
        index = assembly.wanted()
        if index is not None:
            self._ask(None, (assembly.root, index), WantChunk(assembly.root, index))

    def _want_entries(self, cut: Findings) -> bool:
        book, is_whole = self.chain.book, True
        for author, (last, _) in sorted(cut.heads.items()):
            first = book.head(author)[0] + 1
            if first <= last:
                is_whole = False
                self._ask(None, (author, first), WantLog(author, book.epoch, first, last))
        return is_whole

    def _finish(self, target: _Target, cut: Findings) -> None:
        closed = self.chain.close(cut, self.chain.logs(cut))
        self.chain.advance(target.signed, closed, Chunks(target.data))
        self.sealed()
        self._on_sealed()

    def sealed(self) -> None:
        """The chain advanced (here or by this node's own close): go on with the next queued seal."""
        self._target = None
        self._asked.clear()
        self._queue = {epoch: m for epoch, m in self._queue.items() if epoch >= self.chain.epoch}
        message = self._queue.pop(self.chain.epoch, None)
        if message is not None:
            self._aim(message)
            self._work()

    def chunk(self, _: bytes, message: Chunk) -> None:
        """A chunk arrived, of the cut or of a snapshot."""
        if self._jump is not None and self._jump.assembly is not None:
            if message.root == self._jump.assembly.root:
                self._jump_chunk(self._jump, self._jump.assembly, message)
            return
        target = self._target
        if target is None or message.root != target.assembly.root or target.cut is not None:
            return
        if target.assembly.add(message.index, message.data, message.branch):
            target.data = target.assembly.data()
            target.cut = load_findings(target.data)
        self._work()

    def entries(self, _: bytes, message: Entries) -> None:
        """Entries arrived."""
        if message.epoch == self.chain.epoch:
            absorb(self.chain, self.out, message.items)
            self._asked.clear()
            self._work()

    def gone(self, peer: bytes, message: Gone) -> None:
        """A peer does not hold what was asked for: pruned entries mean jumping to a snapshot."""
        if message.what in ("entries", "chunk", "seals") and self._target is not None and self._is_far():
            self._target = None
            self._jump = _Jump(Checkpoint(self.chain.network, self.chain.epoch - 1, self.chain.prev, self.chain.committee))
            self.out.send(peer, WantSeals(self.chain.epoch))

    def _is_far(self) -> bool:
        newest = max(self._sources.values(), default=0)
        return newest - self.chain.epoch >= self.chain.genesis.rules.evidence_epochs

    def _jump_along(self, peer: bytes, jump: _Jump, message: SealMsg, epoch: int) -> None:
        if epoch != jump.at.epoch + 1:
            return
        signed = SIGNED_SEAL.decode(message.seal)
        jump.at = jump.at.advance(signed, message.committee)
        jump.signed, jump.committee = signed, message.committee
        if epoch < self._sources.get(peer, 0):
            if (epoch - self.chain.epoch + 1) % 64 == 0:
                self.out.send(peer, WantSeals(epoch + 1))
        else:
            self.out.send(peer, WantSnapshot(epoch))

    def snapshot(self, peer: bytes, message: Snapshot) -> None:
        """A peer offers a snapshot: take it if it is of the newest seal followed."""
        jump = self._jump
        if jump is None:
            return
        if message.epoch != jump.at.epoch:
            self._sources[peer] = max(message.epoch, self._sources.get(peer, 0))
            self.out.send(peer, WantSeals(jump.at.epoch + 1))
            return
        jump.assembly = Assembly(message.root, message.size)
        self.out.send(peer, WantChunk(message.root, 0))

    def _jump_chunk(self, jump: _Jump, assembly: Assembly, message: Chunk) -> None:
        if not assembly.add(message.index, message.data, message.branch):
            self._want_chunk(assembly)
            return
        if jump.signed is None or jump.at.seal is None:
            raise Invalid("bad_snapshot", "no seal followed yet")
        self._jump = None
        committee = load_committee(jump.committee)
        self.chain.adopt(jump.at.seal, jump.signed, committee, decode_state(assembly.data()))
        self.sealed()
        self._on_sealed()

    def tick(self) -> None:
        """Ask again, and ask somebody else."""
        self._asked.clear()
        self._turn += 1
        if self._target is not None:
            self._work()
        else:
            for peer, epoch in sorted(self._sources.items()):
                if epoch >= self.chain.epoch:
                    self.heard(peer, epoch)
                    break

    def _ask(self, peer: bytes | None, key: tuple[bytes | str, int], message: WantChunk | WantLog | WantSeals) -> None:
        if key in self._asked:
            return
        chosen = peer or self._source()
        if chosen is not None:
            self._asked.add(key)
            self.out.send(chosen, message)

    def _source(self) -> bytes | None:
        able = sorted(peer for peer, epoch in self._sources.items() if epoch >= self.chain.epoch)
        return able[self._turn % len(able)] if able else None
