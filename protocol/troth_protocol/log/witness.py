"""The witness: votes for at most one entry at a place, stores before it acknowledges, and stops for good at the freeze.

Theory of operation. submit -> (lock, batched vote | refuse); certificate -> (store, batched ack | refuse). Votes and
acks leave at `flush`, the lock with the vote in front of them, so one synced write serves a whole batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from troth_protocol.effects import Effects, Rows
from troth_protocol.errors import Invalid
from troth_protocol.log.book import LogBook, Missing
from troth_protocol.log.entry import Entry, SignedHeader
from troth_protocol.log.keep import epoch_key, keep, pack_vote, place_key, unpack_vote
from troth_protocol.log.ops import Unlock
from troth_protocol.log.rows import Claim, Lock
from troth_protocol.log.vote import BATCH_MAX, VOTE, Certificate, Vote, sign_votes
from troth_protocol.wire.crypto import KeyPair, digest
from troth_protocol.wire.messages import ITEMS_MAX, Refuse, StoredAck, VoteFor, Votes

#: Who is told of two headers at one place of a log.
OnFork: TypeAlias = Callable[[SignedHeader, SignedHeader], None]


class Witness:
    """One witness during one epoch."""

    def __init__(self, keys: KeyPair, book: LogBook, out: Effects, on_fork: OnFork | None = None) -> None:
        self.keys = keys
        self.book = book
        self.out = out
        self.locks: dict[tuple[bytes, int], Entry] = {}
        self.votes: dict[bytes, Vote] = {}
        self.forks: dict[bytes, tuple[SignedHeader, SignedHeader]] = {}
        self.claims: dict[bytes, bytes] = {}
        self._on_fork = on_fork
        self.is_stopped = False
        self.is_reported = False
        self._pending: list[Entry] = []
        self._locked: dict[bytes, Entry] = {}
        self._asked: dict[bytes, bytes] = {}
        self._acks: dict[bytes, list[bytes]] = {}
        self._known: dict[bytes, bytes] = {}
        self._voted: dict[bytes, bytes] = {}

    def restore_from(self, rows: Rows) -> None:
        """Take back every vote of the epoch that is on disk, at start. Raises Invalid for a damaged row."""
        for _, data in rows.scan("votes", epoch_key(self.book.epoch)):
            self.restore_vote(*unpack_vote(data, self.book.network))

    def restore_vote(self, entry: Entry, vote: Vote) -> None:
        """Take back a vote that is on disk, at start."""
        self._lock(entry)
        self.votes[entry.id] = vote
        self._note_claims(entry)

    def _note_claims(self, entry: Entry) -> None:
        """Keep what an entry opens for the report, whatever becomes of the entry: it proves itself."""
        for op in entry.ops:
            if isinstance(op, Unlock) and not self.is_reported and self._is_claim(entry, op):
                self.claims[op.lock] = op.preimage

    def _is_claim(self, entry: Entry, op: Unlock) -> bool:
        lock, book = self._find_lock(entry, op.lock), self.book
        return (
            lock is not None
            and lock.to == entry.header.author
            and entry.header.epoch == book.epoch
            and book.epoch <= lock.until
            and book.sealed.find("claims", op.lock, Claim) is None
            and digest(op.preimage) == lock.hash
        )

    def _find_lock(self, entry: Entry, key: bytes) -> Lock | None:
        """A lock of the sealed state, or of a stored entry that this one relies on."""
        for dep in entry.deps:
            row = self.book.stored[dep].delta.rows.get(("locks", key)) if dep in self.book.stored else None
            if isinstance(row, Lock):
                return row
        return self.book.sealed.find("locks", key, Lock)

    def _lock(self, entry: Entry) -> None:
        self.locks[entry.header.author, entry.header.seq] = entry
        self._locked[entry.id] = entry

    def submit(self, peer: bytes, entry: Entry) -> None:
        """An author asks for a vote."""
        place = (entry.header.author, entry.header.seq)
        locked = self._occupant(place)
        self._note_claims(entry)
        if entry.header.epoch == self.book.epoch and locked is not None:
            self._submit_again(peer, entry, locked)
        elif self.is_stopped:
            self._refuse(peer, entry, Invalid("closed", f"epoch {self.book.epoch} takes no more entries"))
        else:
            self._vote(peer, entry)

    def is_voted(self, peer: bytes, data: bytes) -> bool:
        """Answer, without another look, bytes that have a vote."""
        entry = self._voted.get(data)
        if entry is not None:
            self._send_vote(peer, entry)
        return entry is not None

    def _occupant(self, place: tuple[bytes, int]) -> Entry | None:
        if place in self.locks:
            return self.locks[place]
        stored = self.book.places.get(place)
        return self.book.stored[stored].entry if stored else None

    def _submit_again(self, peer: bytes, entry: Entry, locked: Entry) -> None:
        if locked.id != entry.id:
            self._fork(peer, entry, locked)
        elif entry.id in self.votes:
            self._send_vote(peer, entry.id)

    def _send_vote(self, peer: bytes, entry: bytes) -> None:
        self.out.send(peer, VoteFor(entry, VOTE.encode(self.votes[entry])))

    def _fork(self, peer: bytes, entry: Entry, locked: Entry) -> None:
        self._note_fork(entry, locked)
        self.out.send(
            peer, Refuse(entry.id, "conflict", "another entry stands at this place", (), locked.data)
        )

    def _note_fork(self, entry: Entry, locked: Entry) -> None:
        author, pair = entry.header.author, (locked.signed, entry.signed)
        if locked.header.incarnation != entry.header.incarnation:
            return  # it is refused, but proves nothing
        if author not in self.forks and self._on_fork is not None:
            self._on_fork(*pair)
        self.forks.setdefault(author, pair)

    def _vote(self, peer: bytes, entry: Entry) -> None:
        try:
            if entry.header.author in self.forks:
                raise Invalid("frozen", "this log forked; it is frozen until the close")  # noqa: TRY301
            self.book.evaluate(entry)
        except Invalid as error:
            self._refuse(peer, entry, error)
            return
        self._lock(entry)
        self._asked[entry.id] = peer
        self._pending.append(entry)

    def _refuse(self, peer: bytes, entry: Entry, error: Invalid) -> None:
        missing = error.ids if isinstance(error, Missing) else ()
        self.out.send(peer, Refuse(entry.id, error.code, error.detail[:200], missing))

    def certified(self, peer: bytes, certificate: Certificate, entry: Entry | None) -> bool:
        """Somebody shows a certificate: store it and acknowledge. True if it was new here.

        Raises Invalid for a bad certificate and FaultBoundBroken for an impossible one.
        """
        known = entry or self.find(certificate.entry)
        if known is None:
            self.out.send(peer, Refuse(certificate.entry, "missing", "entry unknown", (certificate.entry,)))
            return False
        self._note_claims(known)
        try:
            own = self.votes.get(known.id)
            is_new = keep(self.book, self.out, known, certificate, known=(own,) if own is not None else ())
        except Missing as error:
            self.out.send(peer, Refuse(known.id, "missing", error.detail[:200], error.ids))
            return False
        locked = self.locks.get((known.header.author, known.header.seq))
        if locked is not None and locked.id != known.id:
            self._note_fork(known, locked)
        if not self.is_reported:
            self._acks.setdefault(peer, []).append(known.id)
        return is_new

    def remember(self, certificate: bytes, entry: bytes) -> None:
        """These bytes certify a stored entry: its payee will show them again."""
        self._known[certificate] = entry

    def is_known(self, peer: bytes, certificate: bytes) -> bool:
        """Acknowledge, without another look, bytes that were taken before."""
        entry = self._known.get(certificate)
        if entry is not None and not self.is_reported:
            self._acks.setdefault(peer, []).append(entry)
        return entry is not None

    def find(self, entry: bytes) -> Entry | None:
        """The entry of that id, if it is stored or voted for here."""
        stored = self.book.stored.get(entry)
        return self._locked.get(entry) if stored is None else stored.entry

    def flush(self) -> None:
        """Sign what is pending in batches, each lock persisted before its vote leaves; then acknowledge."""
        while self._pending:
            batch, self._pending = self._pending[:BATCH_MAX], self._pending[BATCH_MAX:]
            self._sign(batch)
        for peer, entries in self._acks.items():
            for at in range(0, len(entries), ITEMS_MAX):
                self.out.send(peer, StoredAck(self.book.epoch, tuple(entries[at : at + ITEMS_MAX])))
        self._acks.clear()

    def _sign(self, batch: list[Entry]) -> None:
        book = self.book
        ids = [entry.id for entry in batch]
        votes = sign_votes(self.keys, book.network, book.epoch, book.committee, ids)
        rows = [VOTE.encode(vote) for vote in votes]
        for entry, vote, row in zip(batch, votes, rows, strict=True):
            key = place_key(book.epoch, entry.header.author, entry.header.seq)
            self.out.persist("votes", key, pack_vote(entry, row), once=True)
            self.votes[entry.id] = vote
            self._voted[entry.data] = entry.id
        self._answer(ids, rows, votes[0].signature)

    def _answer(self, ids: list[bytes], rows: list[bytes], signature: bytes) -> None:
        """A batch as one message to whoever asked for two of its entries, and half of it; or vote by vote."""
        askers = [self._asked.pop(entry) for entry in ids]
        whole = [peer for peer, count in Counter(askers).items() if count >= 2 and 2 * count >= len(ids)]
        if whole:
            self.out.tell(whole, Votes(tuple(ids), signature))
        for peer, entry, row in zip(askers, ids, rows, strict=True):
            if peer not in whole:
                self.out.send(peer, VoteFor(entry, row))

    def stop(self) -> None:
        """Freeze: no vote of this epoch is signed from now on; storing and serving go on."""
        self.is_stopped = True
        for entry in self._pending:
            del self.locks[entry.header.author, entry.header.seq], self._locked[entry.id]
            self._refuse(self._asked.pop(entry.id), entry, Invalid("closed", "the epoch is closing"))
        self._pending.clear()
