"""The author: one entry under way at a time; signed once, persisted before it leaves, sent until it is final.

Theory of operation. queue -> entry -> votes (> 2/3) -> certificate -> store-acks (> 2/3) -> final. The next entry
starts when the certificate exists. At a new epoch everything that no cut holds is signed again as a new entry.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from troth_protocol.effects import Effects, Rows
from troth_protocol.errors import Invalid
from troth_protocol.log.book import LogBook
from troth_protocol.log.entry import DEPS_MAX, OPS_MAX, Entry, load_entry, make_entry
from troth_protocol.log.evaluate import OFFENCES_MAX
from troth_protocol.log.keep import epoch_key, keep, place_key
from troth_protocol.log.ops import OPS, Op, Resume
from troth_protocol.log.patience import Patience
from troth_protocol.log.payee import payees
from troth_protocol.log.vote import Certificate, Vote, open_batch, verify_vote
from troth_protocol.wire.codec import Value, pack
from troth_protocol.wire.crypto import KeyPair
from troth_protocol.wire.messages import Certified, Submit, Votes

#: Room for ops in an entry of 128 KiB, beside 256 deps and the header: the largest evidence must fit.
BODY_MAX_BYTES = 116 * 1024


@dataclass(frozen=True, slots=True)
class Submission:
    """Ops that belong together: all in one entry, in this order."""

    number: int
    ops: tuple[Op, ...]
    deps: tuple[bytes, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Finalized:
    """Notice: a submission's entry is stored by more than two thirds of the weight."""

    number: int
    entry: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """Notice: a submission can't be signed as things stand; `code` and `detail` say why."""

    number: int
    code: str
    detail: str


@dataclass(slots=True)
class _Flight:
    entry: Entry
    submissions: tuple[Submission, ...]
    votes: dict[int, Vote] = field(default_factory=dict)
    certificate: Certificate | None = None
    acks: set[int] = field(default_factory=set)
    patience: Patience = field(default_factory=Patience)


class Author:
    """One agent's own log during the epochs of a process's life."""

    def __init__(self, keys: KeyPair, out: Effects) -> None:
        self.keys = keys
        self.out = out
        self.book: LogBook | None = None
        self.incarnation: int | None = None
        self.is_allowed = False
        self._queue: deque[Submission] = deque()
        self._flight: _Flight | None = None
        self._unacked: dict[bytes, _Flight] = {}
        self._numbers = 0

    def submit(self, ops: tuple[Op, ...], deps: tuple[bytes, ...] = ()) -> int:
        """Queue ops for the log; the number names them in later notices.

        Raises Invalid for what no entry could hold: no_ops, entry_too_large, and what the catalogue of ops says.
        """
        self._queue.append(_submission(self._numbers + 1, ops, deps))
        self._numbers += 1
        return self._numbers

    def is_idle(self) -> bool:
        """Nothing is queued or on its way."""
        return not (self._queue or self._flight or self._unacked)

    def holds(self, op: Op) -> bool:
        """Is this op queued or on its way? Whoever derives anew what is due does not submit it twice."""
        flights = [*self._unacked.values(), *([self._flight] if self._flight else [])]
        waiting = [*self._queue, *(each for flight in flights for each in flight.submissions)]
        return any(op in submission.ops for submission in waiting)

    def open(self, book: LogBook) -> None:
        """A new epoch is open: what the cut left out goes back to the front of the queue."""
        flights = [*self._unacked.values(), *([self._flight] if self._flight else [])]
        self._flight, self._unacked = None, {}
        account = book.sealed.account(self.keys.public)
        for flight in reversed(flights):
            if flight.entry.header.seq > account.seq:
                self._queue.extendleft(reversed(flight.submissions))
            else:
                self._finish(flight)
        if self.book is not None and self.book.epoch != book.epoch:
            # Entries of the epoch before are sealed or void: nothing can rely on them any more.
            self._queue = deque(replace(submission, deps=()) for submission in self._queue)
        self.book = book

    def restore(self, entry: Entry, certificate: Certificate | None) -> None:
        """Take back the newest own entry of the open epoch, at start; it is sent again as it is."""
        flight = _Flight(entry, (_submission(0, entry.ops, entry.deps),), certificate=certificate)
        if certificate is None:
            self._flight = flight
        else:
            self._unacked[entry.id] = flight

    def restore_from(self, rows: Rows, book: LogBook) -> None:
        """Take back what is on disk of the open epoch, and send it again. Raises Invalid for a damaged row."""
        found = [data for _, data in rows.scan("own", epoch_key(book.epoch) + self.keys.public)]
        if not found or not self.is_idle():
            return
        entry = load_entry(found[-1], book.network)
        stored = book.stored.get(entry.id)
        if stored is not None or entry.header.seq > book.head(self.keys.public)[0]:
            self.restore(entry, stored.certificate if stored else None)
            self.resend()

    def pump(self) -> None:
        """Sign and send the next entry, if there is one and nothing is under way."""
        if self.book is None or not self.is_allowed or self._flight is not None:
            return
        self._resume(self.book)
        if self._queue:
            self._choose(self.book)

    def _resume(self, book: LogBook) -> None:
        """A frozen log goes on with a resume, if it may go on at all."""
        account = book.sealed.account(self.keys.public)
        is_due = (
            account.frozen and account.offences < OFFENCES_MAX and not book.view(self.keys.public).is_resumed
        )
        if is_due and not (self._queue and isinstance(self._queue[0].ops[0], Resume)):
            self._queue.appendleft(_submission(0, (Resume(account.seq, account.head),), ()))

    def _choose(self, book: LogBook) -> None:
        """Everything that fits in one entry, or, if not all of it is valid, whatever is."""
        chosen = self._take()
        try:
            entry = self._make_valid(book, chosen)
        except Invalid:
            self._queue.extendleft(reversed(chosen))
            chosen = self._choose_singly(book)
            if chosen:
                self._launch(book, chosen, self._make(book, chosen))
        else:
            self._launch(book, chosen, entry)

    def _take(self) -> list[Submission]:
        taken = [self._queue.popleft()]
        while self._queue and _fits([*taken, self._queue[0]]):
            taken.append(self._queue.popleft())
        return taken

    def _choose_singly(self, book: LogBook) -> list[Submission]:
        chosen: list[Submission] = []
        for _ in range(len(self._queue)):
            trial = [*chosen, self._queue[0]]
            error = self._check(book, trial) if _fits(trial) else Invalid("missing", "no room")
            if error is None:
                chosen = trial
            elif error.code == "missing":
                break
            else:
                self.out.notice(Refused(self._queue[0].number, error.code, error.detail))
            self._queue.popleft()
        return chosen

    def _check(self, book: LogBook, trial: list[Submission]) -> Invalid | None:
        try:
            self._make_valid(book, trial)
        except Invalid as error:
            return error
        return None

    def _make_valid(self, book: LogBook, submissions: list[Submission]) -> Entry:
        entry = self._make(book, submissions)
        book.evaluate(entry)
        return entry

    def _make(self, book: LogBook, submissions: list[Submission]) -> Entry:
        seq, head = book.head(self.keys.public)
        return make_entry(
            self.keys,
            book.network,
            incarnation=self._current_incarnation(book),
            epoch=book.epoch,
            seq=seq + 1,
            prev=head,
            deps=[dep for submission in submissions for dep in submission.deps],
            ops=[op for submission in submissions for op in submission.ops],
        )

    def _current_incarnation(self, book: LogBook) -> int:
        _, head = book.head(self.keys.public)
        if head in book.stored:
            return book.stored[head].entry.header.incarnation
        sealed = book.sealed.account(self.keys.public).incarnation
        return sealed if self.incarnation is None else max(sealed, self.incarnation)

    def _launch(self, book: LogBook, submissions: list[Submission], entry: Entry) -> None:
        key = place_key(book.epoch, entry.header.author, entry.header.seq)
        self.out.persist("own", key, entry.data, once=True)
        self._flight = _Flight(entry, tuple(submissions))
        self.out.tell([member.key for member in book.committee.members], Submit(entry.data))

    def awaits(self, entry: bytes) -> bool:
        """Is this entry still short of votes?"""
        return self._flight is not None and self._flight.entry.id == entry

    def voted(self, peer: bytes, entry: bytes, vote: Vote) -> None:
        """A vote arrived; at more than two thirds it becomes the certificate. Raises Invalid for a bad vote."""
        flight, book = self._flight, self.book
        if flight is None or book is None or not self.awaits(entry):
            return
        if book.committee.index(peer) != vote.member:
            return
        verify_vote(vote, entry, book.network, book.epoch, book.committee)
        self._count(book, flight, vote)

    def voted_together(self, peer: bytes, batch: Votes) -> None:
        """Votes for a whole batch arrived. Raises Invalid for a bad one: duplicate, bad_signature."""
        flight, book = self._flight, self.book
        if flight is not None and book is not None:
            for _, vote in open_batch(batch, peer, self.awaits, book.network, book.epoch, book.committee):
                self._count(book, flight, vote)

    def _count(self, book: LogBook, flight: _Flight, vote: Vote) -> None:
        flight.votes[vote.member] = vote
        if book.committee.weigh(flight.votes) >= book.committee.quorum:
            self._certify(book, flight)

    def _certify(self, book: LogBook, flight: _Flight) -> None:
        votes = tuple(flight.votes[member] for member in sorted(flight.votes))
        flight.certificate = Certificate(flight.entry.id, book.epoch, votes)
        self._flight = None
        self._unacked[flight.entry.id] = flight
        flight.patience = Patience()
        # Only a witness says that it has stored it; any other author's is with the witnesses.
        is_witness = book.committee.index(self.keys.public) is not None
        keep(book, self.out, flight.entry, flight.certificate, known=votes, lazy=not is_witness)
        data = flight.certificate.data
        members = list(enumerate(book.committee.members))
        self.out.tell(
            (member.key for index, member in members if index in flight.votes), Certified(data, None)
        )
        others = [member.key for index, member in members if index not in flight.votes]
        others += [payee for payee in payees(flight.entry.ops) if book.committee.index(payee) is None]
        self.out.tell(others, Certified(data, flight.entry.data))

    def stored(self, peer: bytes, entries: tuple[bytes, ...]) -> None:
        """Store-acks arrived; at more than two thirds the entry is final."""
        member = self.book.committee.index(peer) if self.book else None
        if self.book is None or member is None:
            return
        for entry in entries:
            flight = self._unacked.get(entry)
            if flight is not None:
                flight.acks.add(member)
                if self.book.committee.weigh(flight.acks) >= self.book.committee.quorum:
                    self._finish(self._unacked.pop(entry))

    def _finish(self, flight: _Flight) -> None:
        for submission in flight.submissions:
            self.out.notice(Finalized(submission.number, flight.entry.id))

    def resend(self, peer: bytes | None = None) -> None:
        """Send what is under way again, to everybody who has not answered (or to one peer that came back)."""
        flights = [*self._unacked.values(), *([self._flight] if self._flight else [])]
        for flight in flights:
            self._resend(flight, peer)

    def resend_late(self) -> None:
        """An interval is over: send again what has waited long enough."""
        flights = [*self._unacked.values(), *([self._flight] if self._flight else [])]
        for flight in flights:
            if flight.patience.is_over():
                self._resend(flight, None)

    def _resend(self, flight: _Flight, peer: bytes | None) -> None:
        members = self.book.committee.members if self.book is not None else ()
        answered = flight.acks if flight.certificate is not None else flight.votes.keys()
        keys = [
            member.key
            for index, member in enumerate(members)
            if index not in answered and peer in (None, member.key)
        ]
        if flight.certificate is None:
            self.out.tell(keys, Submit(flight.entry.data))
        else:
            self.out.tell(keys, Certified(flight.certificate.data, flight.entry.data))

    def supply(self, peer: bytes, ids: tuple[bytes, ...]) -> None:
        """A witness misses entries: send those that the book holds. Nobody else is answered at such a length."""
        if self.book is None or self.book.committee.index(peer) is None:
            return
        for key in ids:
            stored = self.book.stored.get(key)
            if stored is not None:
                self.out.send(peer, Certified(stored.certificate.data, stored.entry.data))


def _submission(number: int, ops: tuple[Op, ...], deps: tuple[bytes, ...]) -> Submission:
    values = [OPS.dump(op) for op in ops]
    for value in values:
        OPS.load(value)  # what nobody would take in must not block the log
    submission = Submission(number, ops, deps, len(pack(list[Value](values))))
    if not ops:
        raise Invalid("no_ops", "an entry has at least one op")
    if not _fits([submission]):
        raise Invalid("entry_too_large", f"{len(ops)} ops, {submission.size_bytes} bytes, {len(deps)} deps")
    return submission


def _fits(submissions: list[Submission]) -> bool:
    ops = sum(len(submission.ops) for submission in submissions)
    deps = {dep for submission in submissions for dep in submission.deps}
    size_bytes = sum(submission.size_bytes for submission in submissions)
    return ops <= OPS_MAX and len(deps) <= DEPS_MAX and size_bytes <= BODY_MAX_BYTES
