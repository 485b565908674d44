"""The log book of one epoch: certified entries, stored only with everything they rely on.

Storing the same certificates in any causal order gives the same book.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from troth_protocol.errors import FaultBoundBroken, Invalid
from troth_protocol.genesis import Rules
from troth_protocol.log.committee import Committee
from troth_protocol.log.entry import Entry
from troth_protocol.log.evaluate import Delta, LogView, evaluate
from troth_protocol.log.state import State
from troth_protocol.log.vote import Certificate, Vote, verify_certificate


@dataclass(frozen=True, slots=True)
class Stored:
    """A certified entry with what it changed."""

    entry: Entry
    certificate: Certificate
    delta: Delta


class Missing(Invalid):
    """An entry cannot be judged yet: these ids must be supplied first."""

    def __init__(self, ids: tuple[bytes, ...]) -> None:
        super().__init__("missing", ", ".join(i.hex()[:16] for i in ids))
        self.ids = ids


class LogBook:
    """Every log's certified entries of one epoch, on top of the sealed state."""

    def __init__(self, network: bytes, rules: Rules, epoch: int, sealed: State, committee: Committee) -> None:
        self.network = network
        self.rules = rules
        self.epoch = epoch
        self.sealed = sealed
        self.committee = committee
        self.stored: dict[bytes, Stored] = {}
        self.places: dict[tuple[bytes, int], bytes] = {}
        self._views: dict[bytes, LogView] = {}
        self._heads: dict[bytes, tuple[int, bytes]] = {}
        self._judged: dict[bytes, Delta] = {}

    def head(self, author: bytes) -> tuple[int, bytes]:
        """Sequence number and id of an author's newest certified entry, this epoch's or the sealed one."""
        found = self._heads.get(author)
        if found is None:
            account = self.sealed.account(author)
            return account.seq, account.head
        return found

    def moved(self) -> dict[bytes, tuple[int, bytes]]:
        """The heads of the logs that moved this epoch."""
        return dict(self._heads)

    def view(self, author: bytes) -> LogView:
        """The author's account as its stored entries have left it.

        Kept only for authors of whom something is stored: keys cost nothing, so a stranger could fill the memory.
        """
        found = self._views.get(author)
        if found is None:
            return LogView.open(self.network, self.rules, self.epoch, self.sealed, author)
        return found

    def missing(self, entry: Entry) -> tuple[bytes, ...]:
        """Ids of the predecessor and deps that are not stored here."""
        header = entry.header
        _, head = self.head(header.author)
        wanted = tuple(dep for dep in entry.deps if dep not in self.stored) if entry.deps else ()
        if header.prev == head or header.prev in self.stored:
            return wanted
        is_first = header.seq <= self.sealed.account(header.author).seq + 1
        return wanted if is_first else (header.prev, *wanted)

    def evaluate(self, entry: Entry, *, is_certified: bool = False) -> Delta:
        """Is this entry valid as the next one of its log? A certified one has its inner signatures checked by others.

        Raises Missing if something it relies on is not stored, Invalid otherwise: wrong_epoch, wrong_place,
        wrong_incarnation, bad_deps (one of its own entries) and the rules of the ops.
        """
        header = entry.header
        if header.epoch != self.epoch:
            raise Invalid("wrong_epoch", f"entry of epoch {header.epoch}, open is {self.epoch}")
        missing = self.missing(entry)
        if missing:
            raise Missing(missing)
        if (header.seq - 1, header.prev) != self.head(header.author):
            raise Invalid("wrong_place", f"entry {header.seq} does not follow the head of its log")
        known = self._judged.get(entry.id)
        if known is not None:
            return known  # its log stands where it stood: the same entry does the same again
        self._validate_incarnation(entry)
        deltas = {dep: self.stored[dep].delta for dep in entry.deps}
        if any(delta.author == header.author for delta in deltas.values()):
            raise Invalid("bad_deps", "deps are entries of others")
        delta = evaluate(self.view(header.author), entry, deltas, is_certified=is_certified)
        self._judged[entry.id] = delta
        return delta

    def _validate_incarnation(self, entry: Entry) -> None:
        current, is_first = self._incarnation(entry.header.author)
        allowed = {current, current + 1} if is_first else {current}
        if entry.header.incarnation not in allowed:
            raise Invalid("wrong_incarnation", f"{entry.header.incarnation}, the log is at {current}")

    def _incarnation(self, author: bytes) -> tuple[int, bool]:
        head = self._heads.get(author)
        if head is None:
            return self.sealed.account(author).incarnation, True
        return self.stored[head[1]].entry.header.incarnation, False

    def add(self, entry: Entry, certificate: Certificate, known: Collection[Vote] = ()) -> bool:
        """Store a certified entry; False if it was stored already. Its `known` votes are not verified again.

        Raises Missing, Invalid (bad certificate) or FaultBoundBroken (a second certificate at one place, or a
        certificate for an entry that breaks a rule).
        """
        if entry.id in self.stored:
            return False
        if certificate.entry != entry.id or certificate.epoch != self.epoch:
            raise Invalid("wrong_epoch", "the certificate is not for this entry and epoch")
        verify_certificate(certificate, self.network, self.committee, known)
        header = entry.header
        if (header.author, header.seq) in self.places:
            raise FaultBoundBroken(f"two certified entries at {header.author.hex()}:{header.seq}")
        self._store(entry, certificate)
        return True

    def _store(self, entry: Entry, certificate: Certificate) -> None:
        try:
            delta = self.evaluate(entry, is_certified=True)
        except Missing:
            raise
        except Invalid as error:
            raise FaultBoundBroken(f"a certified entry breaks a rule: {error}") from error
        header = entry.header
        deltas = {dep: self.stored[dep].delta for dep in entry.deps}
        view = self.view(header.author)
        view.apply(entry, delta, deltas)
        self._views[header.author] = view
        del self._judged[entry.id]
        self.stored[entry.id] = Stored(entry, certificate, delta)
        self.places[header.author, header.seq] = entry.id
        self._heads[header.author] = (header.seq, entry.id)

    def log(self, author: bytes, seq: int) -> list[Stored]:
        """An author's stored entries of this epoch up to `seq`, in order; Invalid("missing") if there is a gap."""
        out: list[Stored] = []
        for number in range(self.sealed.account(author).seq + 1, seq + 1):
            key = self.places.get((author, number))
            if key is None:
                raise Invalid("missing", f"entry {number} of {author.hex()}")
            out.append(self.stored[key])
        return out
