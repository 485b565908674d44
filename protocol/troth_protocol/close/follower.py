"""Following: from a seal that somebody shows to the state it names, by fetching its cut and the cut's entries.

Whoever has been away too long for that (the entries are pruned) follows the seals and fetches the newest state. What
peers claim is only a reason to ask them: every seal is verified, and whoever does not deliver is passed over in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from troth_protocol.close.asks import Asks
from troth_protocol.close.chain import Chain
from troth_protocol.close.findings import Findings, load_findings
from troth_protocol.close.light import Checkpoint
from troth_protocol.close.seal import SEAL, SIGNED_SEAL, Seal, SignedSeal, verify_seal
from troth_protocol.effects import Effects
from troth_protocol.errors import Invalid
from troth_protocol.log.entry import Entry, entry_id, load_entry
from troth_protocol.log.keep import keep
from troth_protocol.log.state import decode_state
from troth_protocol.log.vote import Certificate, load_certificate
from troth_protocol.wire.chunks import Assembly, Chunks
from troth_protocol.wire.messages import (
    Chunk,
    Entries,
    Gone,
    Message,
    SealMsg,
    Snapshot,
    WantSeals,
    WantSnapshot,
)

#: How far ahead seals are kept, one of each peer: as many as one answer brings.
QUEUE_EPOCHS: Final = 64
#: Ticks without progress after which something else is tried.
PATIENCE_TICKS: Final = 8
_SEALS = b"seals"


@dataclass(slots=True)
class _Target:
    """The open epoch's verified seal; `missing` are heads whose entries are not here, `gone` is who lacks something."""

    signed: SignedSeal
    seal: Seal
    assembly: Assembly
    cut: Findings | None = None
    data: bytes = b""
    missing: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    gone: set[bytes] = field(default_factory=set)
    idle_ticks: int = 0


@dataclass(slots=True)
class _Step:
    """A seal on the way of a jump, with the witness set that it names."""

    at: Checkpoint
    seal: Seal
    signed: SignedSeal


@dataclass(slots=True)
class _Offer:
    """A snapshot being fetched: of which seal's state, and who offered it."""

    step: _Step
    peer: bytes
    assembly: Assembly
    idle_ticks: int = 0


@dataclass(slots=True)
class _Jump:
    """A jump to a snapshot: how far the seals are followed, what is being fetched, and whose offers were no good."""

    at: Checkpoint
    asked: int = 0
    newest: _Step | None = None
    offer: _Offer | None = None
    refused: set[bytes] = field(default_factory=set)


def absorb(chain: Chain, out: Effects, items: Sequence[tuple[bytes, bytes]], *, lazy: bool = False) -> None:
    """Store fetched entries of the open epoch, whatever their order; what still misses something is dropped."""
    known = chain.book.stored
    news = [item for item in items if entry_id(item[0], chain.network) not in known]
    waiting = [(load_entry(e, chain.network), load_certificate(c)) for e, c in news]
    while waiting:
        left = [item for item in waiting if not _try_keep(chain, out, *item, lazy=lazy)]
        if len(left) == len(waiting):
            return
        waiting = left


def _try_keep(chain: Chain, out: Effects, entry: Entry, certificate: Certificate, *, lazy: bool) -> bool:
    if entry.id not in chain.book.stored and chain.book.missing(entry):
        return False
    keep(chain.book, out, entry, certificate, lazy=lazy)
    return True


class Follower:
    """Catches up with seals, one epoch after the other."""

    def __init__(self, chain: Chain, out: Effects, on_sealed: Callable[[], None]) -> None:
        self.chain = chain
        self.out = out
        self._on_sealed = on_sealed
        self._target: _Target | None = None
        self._jump: _Jump | None = None
        self._queue: dict[int, dict[bytes, SealMsg]] = {}
        self._sources: dict[bytes, int] = {}
        self._asks = Asks()

    def is_behind(self) -> bool:
        """Is there a seal to follow: a verified one, or so say witnesses of a third of the weight?"""
        if self._target is not None or self._jump is not None:
            return True
        committee = self.chain.committee
        places = [committee.index(peer) for peer in self._ahead()]
        return committee.weigh(place for place in places if place is not None) >= committee.third

    def heard(self, peer: bytes, epoch: int) -> None:
        """A peer says which epoch it has sealed last."""
        if epoch < self.chain.epoch:
            return
        self._sources[peer] = max(epoch, self._sources.get(peer, 0))
        if self._target is None and self._jump is None and self._asks.open(_SEALS, self.chain.epoch):
            self.out.send(peer, WantSeals(self.chain.epoch))

    def lost(self, peer: bytes) -> None:
        """A link went down; ask others from now on."""
        self._sources.pop(peer, None)
        for messages in self._queue.values():
            messages.pop(peer, None)

    def seal(self, peer: bytes, message: SealMsg) -> None:
        """Somebody shows a seal; Invalid if it is not one of this chain."""
        epoch = SEAL.decode(SIGNED_SEAL.decode(message.seal).payload).epoch
        if epoch < self.chain.epoch:
            return
        if self._jump is not None and self._jump.offer is None:
            self._sources[peer] = max(epoch, self._sources.get(peer, 0))
            self._jump_along(peer, self._jump, message, epoch)
        elif epoch == self.chain.epoch and self._target is None and self._jump is None:
            self._target = self._aim(message)
            self._asks.close(_SEALS)
            self._sources[peer] = max(epoch, self._sources.get(peer, 0))
            self._work()
        else:
            if self.chain.epoch < epoch <= self.chain.epoch + QUEUE_EPOCHS:
                self._queue.setdefault(epoch, {})[peer] = message
            self.heard(peer, epoch)

    def _aim(self, message: SealMsg) -> _Target:
        signed = SIGNED_SEAL.decode(message.seal)
        chain = self.chain
        seal = verify_seal(signed, chain.network, chain.prev, chain.epoch, chain.committee)
        return _Target(signed, seal, Assembly(seal.cut, seal.cut_size))

    def _work(self) -> None:
        """Take the next step towards the target: ask for chunks, then for entries, then execute."""
        while self._target is not None:
            target = self._target
            if target.cut is None:
                self._want_chunk(target.assembly)
                return
            if not self._has_entries(target):
                return
            self._finish(target, target.cut)

    def _want_chunk(self, assembly: Assembly) -> None:
        want = self._asks.chunk(assembly)
        if want is not None:
            self._send(want)

    def _has_entries(self, target: _Target) -> bool:
        for want in self._asks.logs(self.chain.book, target.missing):
            self._send(want)
        return not target.missing

    def _finish(self, target: _Target, cut: Findings) -> None:
        closed = self.chain.close(cut, self.chain.logs(cut))
        self.chain.advance(target.signed, closed, Chunks(target.data))
        self.sealed()
        self._on_sealed()

    def sealed(self) -> None:
        """The chain advanced (here or by this node's own close): go on with the next seal that holds."""
        self._target = self._jump = None
        self._asks = Asks()
        self._queue = {epoch: m for epoch, m in self._queue.items() if epoch >= self.chain.epoch}
        self._sources = {peer: epoch for peer, epoch in self._sources.items() if epoch >= self.chain.epoch}
        for message in self._queue.pop(self.chain.epoch, {}).values():
            self._target = self._target or self._try_aim(message)
        if self._target is None:
            self._want_seals()
        self._work()

    def _try_aim(self, message: SealMsg) -> _Target | None:
        try:
            return self._aim(message)
        except Invalid:
            return None

    def chunk(self, _: bytes, message: Chunk) -> None:
        """A chunk arrived, of the cut or of a snapshot."""
        jump = self._jump
        if jump is not None and jump.offer is not None and message.root == jump.offer.assembly.root:
            self._take_part(jump, jump.offer, message)
            return
        target = self._target
        if target is None or message.root != target.assembly.root or target.cut is not None:
            return
        if target.assembly.add(message.index, message.data, message.branch):
            self._asks.close(message.root)
            target.data = target.assembly.data()
            target.cut = load_findings(target.data)
            target.missing = dict(target.cut.heads)
        self._progressed(target)

    def entries(self, peer: bytes, message: Entries) -> None:
        """Entries arrived: asked for, or fed by a witness while the epoch is open.

        Their rows may wait for a sync: whoever acknowledges entries has gathered these before, and synced them.
        """
        target = self._target
        if message.epoch != self.chain.epoch:
            return
        if target is None:
            if self.chain.committee.index(peer) is not None:
                absorb(self.chain, self.out, message.items, lazy=True)
            return
        before = len(self.chain.book.stored)
        absorb(self.chain, self.out, message.items, lazy=True)
        if len(self.chain.book.stored) > before:
            self._progressed(target)
        else:
            self._work()

    def _progressed(self, target: _Target) -> None:
        target.gone.clear()
        target.idle_ticks = 0
        self._work()

    def gone(self, peer: bytes, message: Gone) -> None:
        """A peer lacks what was asked for. Once all who are ahead do, and far ahead, the entries are pruned: jump."""
        target, jump = self._target, self._jump
        if target is not None and message.what in ("entries", "chunk") and peer not in target.gone:
            target.gone.add(peer)
            if target.gone.issuperset(self._ahead()) and self._is_far():
                self._start_jump()
            else:
                self._asks.tick()
                self._work()
        elif (
            message.what == "chunk"
            and jump is not None
            and jump.offer is not None
            and jump.offer.peer == peer
        ):
            jump.offer = None

    def _is_far(self) -> bool:
        newest = max(self._sources.values(), default=0)
        return newest - self.chain.epoch >= self.chain.genesis.rules.evidence_epochs

    # A jump: seals only, then the newest state

    def _start_jump(self) -> None:
        chain = self.chain
        self._target = None
        self._jump = _Jump(Checkpoint(chain.network, chain.epoch - 1, chain.prev, chain.committee))
        self._push(self._jump)

    def _push(self, jump: _Jump) -> None:
        """Ask for the next step: the snapshot's next chunk, or further seals and who has the newest one's state."""
        if jump.offer is not None:
            want = self._asks.chunk(jump.offer.assembly)
            if want is not None:
                self.out.send(jump.offer.peer, want)
            return
        peer = self._source(jump.refused)
        if peer is not None:
            self._ask_on(peer, jump)
            self.out.send(peer, WantSnapshot(jump.at.epoch))

    def _ask_on(self, peer: bytes, jump: _Jump) -> None:
        jump.asked = jump.at.epoch + 1
        self.out.send(peer, WantSeals(jump.asked))

    def _jump_along(self, peer: bytes, jump: _Jump, message: SealMsg, epoch: int) -> None:
        if epoch != jump.at.epoch + 1:
            return
        signed = SIGNED_SEAL.decode(message.seal)
        jump.at = jump.at.advance(signed, message.committee)
        jump.newest = _Step(jump.at, SEAL.decode(signed.payload), signed)
        if epoch == self._sources.get(peer, 0):
            self.out.send(peer, WantSnapshot(epoch))
        elif epoch == jump.asked + QUEUE_EPOCHS - 1:
            self._ask_on(peer, jump)

    def snapshot(self, peer: bytes, message: Snapshot) -> None:
        """A peer offers a snapshot: take it if it is of the newest seal followed."""
        jump = self._jump
        if jump is None or jump.offer is not None or peer in jump.refused:
            return
        if jump.newest is not None and message.epoch == jump.newest.seal.epoch:
            jump.offer = _Offer(jump.newest, peer, Assembly(message.root, message.size))
            self._push(jump)
        else:
            self._sources[peer] = max(message.epoch, self._sources.get(peer, 0))

    def _take_part(self, jump: _Jump, offer: _Offer, message: Chunk) -> None:
        is_whole = offer.assembly.add(message.index, message.data, message.branch)
        offer.idle_ticks = 0
        if is_whole:
            self._land(jump, offer)
        else:
            self._push(jump)

    def _land(self, jump: _Jump, offer: _Offer) -> None:
        """The snapshot is whole: take it if its state is the sealed one, else no other of that peer for a while."""
        step = offer.step
        try:
            self.chain.adopt(step.seal, step.signed, step.at.committee, decode_state(offer.assembly.data()))
        except Invalid:
            self._refuse(jump, offer)
            raise
        self.sealed()
        self._on_sealed()

    def _refuse(self, jump: _Jump, offer: _Offer) -> None:
        jump.offer = None
        jump.refused.add(offer.peer)

    # Time

    def tick(self) -> None:
        """Ask again, and ask somebody else."""
        self._asks.tick()
        if self._jump is not None:
            self._tick_jump(self._jump)
        elif self._target is not None:
            self._tick_target(self._target)
        else:
            self._want_seals()

    def _tick_target(self, target: _Target) -> None:
        """Whoever says nothing must not keep us from a jump for ever, nor whoever lacks something from asking again."""
        target.idle_ticks += 1
        if target.gone and target.idle_ticks > PATIENCE_TICKS and self._is_far():
            self._start_jump()
            return
        if target.gone.issuperset(self._ahead()):
            target.gone.clear()
        self._work()

    def _tick_jump(self, jump: _Jump) -> None:
        if jump.offer is not None:
            jump.offer.idle_ticks += 1
            if jump.offer.idle_ticks > PATIENCE_TICKS:
                self._refuse(jump, jump.offer)
        if jump.refused.issuperset(self._ahead()):
            jump.refused.clear()
        self._push(jump)

    def _want_seals(self) -> None:
        peer = self._source()
        if peer is not None and self._asks.open(_SEALS, self.chain.epoch):
            self.out.send(peer, WantSeals(self.chain.epoch))

    def _send(self, message: Message) -> None:
        peer = self._source(self._target.gone if self._target is not None else ())
        if peer is not None:
            self.out.send(peer, message)

    def _ahead(self) -> list[bytes]:
        return sorted(peer for peer, epoch in self._sources.items() if epoch >= self.chain.epoch)

    def _source(self, but: Collection[bytes] = ()) -> bytes | None:
        """Whose turn it is among those who say they are ahead; witnesses every other time, for anybody can say so."""
        able = [peer for peer in self._ahead() if peer not in but]
        members = [peer for peer in able if self.chain.committee.index(peer) is not None]
        turn = self._asks.turn
        chosen = members if members and turn % 2 == 0 else able
        return chosen[turn // 2 % len(chosen)] if chosen else None
