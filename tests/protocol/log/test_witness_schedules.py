"""Whatever the schedule: at most a third of the weight Byzantine, and no place ever has two certified entries.

The author shows different entries to different witnesses, Byzantine witnesses run as twins that know nothing of each
other, honest ones crash at any point and come back with what is on disk. Mutants show that the model has teeth.
"""

import random

import pytest

from troth_node.testing.ledger import Ledger, sent
from troth_protocol.effects import Effects, Persist
from troth_protocol.errors import FaultBoundBroken, Invalid
from troth_protocol.evidence import entry_fork, verify_evidence, vote_forks
from troth_protocol.log.keep import unpack_stored, unpack_vote
from troth_protocol.log.ops import Bond
from troth_protocol.log.vote import VOTE, Certificate, open_batch, verify_certificate
from troth_protocol.log.witness import Witness
from troth_protocol.wire.messages import VoteFor, Votes

PEER = bytes(32)
VARIANTS = 3


class Violation(Exception):
    """An invariant broke."""


class Seat:
    """One running witness with its disk."""

    def __init__(self, net, agent, make=Witness, *, is_honest=True):
        self.net, self.agent, self.make, self.is_honest = net, agent, make, is_honest
        self.disk = {}
        self.start()

    def start(self):
        """(Re)start from what is on disk; everything else is lost."""
        self.witness = self.make(self.net.keys[self.agent], self.net.new_book(), Effects())
        rows = [value for (table, _), value in self.disk.items() if table == "entries"]
        while rows:
            left = []
            for row in rows:
                entry, certificate = unpack_stored(row, self.net.network)
                if self.witness.book.missing(entry):
                    left.append(row)
                else:
                    self.witness.book.add(entry, certificate)
            assert len(left) < len(rows)
            rows = left
        for (table, _), value in self.disk.items():
            if table == "votes":
                self.witness.restore_vote(*unpack_vote(value, self.net.network))

    def out(self, crash_after=None):
        """What leaves, in order; with `crash_after`, the process dies after so many effects."""
        votes = []
        for effect in self.witness.out.drain()[:crash_after]:
            if isinstance(effect, Persist):
                if effect.once and self.disk.get((effect.table, effect.key), effect.value) != effect.value:
                    raise Violation("a vote lock was overwritten")
                self.disk[effect.table, effect.key] = effect.value
            else:
                votes += [vote for _, m in sent([effect]) for vote in self.read(m)]
        return votes

    def read(self, message):
        """The votes in a message, one by one."""
        if not isinstance(message, Votes):
            return [message] if isinstance(message, VoteFor) else []
        net, key = self.net, self.witness.keys.public
        found = open_batch(message, key, lambda _: True, net.network, 1, net.committee)
        return [VoteFor(entry, VOTE.encode(vote)) for entry, vote in found]


class Schedule:
    """A random schedule: an author that forks wherever it can, seats, certificates."""

    def __init__(self, seed, byzantine, *, witnesses=4, weights=(), make=Witness):
        self.rng = random.Random(seed)
        self.net = Ledger(witnesses + 1, witnesses, weights=weights)
        self.author = witnesses
        self.seats = [Seat(self.net, agent, make) for agent in range(witnesses) if agent not in byzantine]
        self.seats += [Seat(self.net, agent, is_honest=False) for agent in byzantine for _ in range(2)]
        self.entries = {}
        self.votes = {}
        self.voted = {}
        self.certified = {}
        # How often the author shows what a single-minded one would: forks freeze its log, and then little happens.
        self.loyalty = self.rng.choice([0.0, 0.9, 0.99])
        self.fork(1, bytes(32))

    def fork(self, seq, prev):
        """The author signs several entries at one place."""
        for variant in range(VARIANTS):
            incarnation = variant % 2 if seq == 1 else self.entries[prev].header.incarnation
            op = Bond(1 + variant, "agent")
            entry = self.net.entry(self.author, op, seq=seq, prev=prev, incarnation=incarnation)
            self.entries[entry.id] = entry
            if variant == 0:
                self.favourite = entry

    def step(self):
        seat = self.rng.choice(self.seats)
        is_loyal = self.rng.random() < self.loyalty
        entry = self.favourite if is_loyal else self.rng.choice(list(self.entries.values()))
        action = self.rng.choice(
            ["show", "show", "show", "flush", "flush", "certify", "certify", "crash", "stop"]
        )
        if action == "show":
            seat.witness.submit(PEER, entry)
        elif action == "flush":
            seat.witness.flush()
            self.hear(seat, seat.out())
        elif action == "crash":
            seat.witness.flush()
            self.hear(seat, seat.out(self.rng.randrange(6)))
            seat.start()
        elif action == "stop" and self.rng.random() < 0.05:
            seat.witness.stop()
        elif action == "certify" and self.certified:
            self.show(seat, self.rng.choice(list(self.certified.values())))

    def hear(self, seat, messages):
        for message in messages:
            header = self.entries[message.entry].header
            key = (seat.agent, header.author, header.epoch, header.seq)
            if seat.is_honest and self.voted.setdefault(key, message) != message:
                raise Violation(f"witness {seat.agent} gave two votes at {header.seq}")
            vote = VOTE.decode(message.vote)
            self.votes.setdefault(message.entry, {})[vote.member] = vote
            self.certify(message.entry)

    def certify(self, key):
        votes = self.votes[key]
        if key in self.certified or self.net.committee.weigh(votes) < self.net.committee.quorum:
            return
        certificate = Certificate(key, 1, tuple(votes[member] for member in sorted(votes)))
        verify_certificate(certificate, self.net.network, self.net.committee)
        place = self.entries[key].header.seq
        if any(self.entries[other].header.seq == place for other in self.certified):
            raise Violation(f"two certified entries at {place}")
        self.certified[key] = certificate
        self.fork(place + 1, key)

    def show(self, seat, certificate):
        entry = self.entries[certificate.entry]
        try:
            seat.witness.certified(PEER, certificate, entry)
        except FaultBoundBroken as error:
            raise Violation(str(error)) from error

    def run(self, steps):
        for _ in range(steps):
            self.step()
        return self


FOUR = {"witnesses": 4}
SEVEN = {"witnesses": 7}
UNEVEN = {"witnesses": 5, "weights": [30, 30, 10, 10, 20]}


@pytest.mark.parametrize(
    ("network", "byzantine"),
    [
        (FOUR, ()),
        (FOUR, (0,)),
        (FOUR, (3,)),
        (SEVEN, (1, 4)),
        (UNEVEN, (0,)),
        (UNEVEN, (2, 4)),
        (UNEVEN, (2, 3)),
    ],
    ids=str,
)
def test_no_schedule_certifies_two_entries_at_one_place(network, byzantine):
    certified = sum(len(Schedule(seed, byzantine, **network).run(250).certified) for seed in range(20))
    assert certified > 20, "schedules in which nothing happens show nothing"


def accused(book, entry, votes):
    """Evidence of votes that contradict those for what a book has stored at an entry's place."""
    known = book.stored.get(book.places.get((entry.header.author, entry.header.seq)))
    if known is None or known.entry.id == entry.id:
        return []
    return vote_forks(book.committee, (known.entry, known.certificate.votes), (entry, list(votes.values())))


@pytest.mark.parametrize("byzantine", [(), (2,)])
def test_every_fork_that_an_honest_witness_saw_is_proved_and_nobody_honest_is_accused(byzantine):
    proved = 0
    for seed in range(20):
        schedule = Schedule(seed, byzantine).run(150)
        net = schedule.net
        guilty = {net.key(agent) for agent in byzantine}
        for seat in schedule.seats:
            for pair in seat.witness.forks.values():
                assert verify_evidence(entry_fork(*pair), net.network).offender == net.key(schedule.author)
                proved += 1
            for key, votes in schedule.votes.items():
                for data in accused(seat.witness.book, schedule.entries[key], votes):
                    assert verify_evidence(data, net.network).offender in guilty
    assert proved > 5


# Mutants


class Forgetful(Witness):
    """Does not look whether another entry stands at the place."""

    def submit(self, peer, entry):
        if entry.id not in self.votes and entry.id not in self._asked:
            self._vote(peer, entry)


class Amnesiac(Witness):
    """Comes back from a crash without its votes."""

    def restore_vote(self, entry, vote):
        pass


class Hasty(Witness):
    """Sends a vote before its lock is on disk."""

    def _sign(self, batch):
        before = self.out.drain()
        super()._sign(batch)
        for effect in [*before, *sorted(self.out.drain(), key=lambda effect: isinstance(effect, Persist))]:
            self.out._items.append(effect)


@pytest.mark.parametrize("mutant", [Forgetful, Amnesiac, Hasty])
def test_a_witness_without_one_guard_is_caught(mutant):
    def is_caught(seed):
        try:
            Schedule(seed, (0,), make=mutant).run(300)
        except (Violation, Invalid):
            return True
        return False

    assert any(is_caught(seed) for seed in range(60))


def test_beyond_a_third_nothing_is_promised():
    def is_broken(seed):
        try:
            Schedule(seed, (0, 1)).run(300)
        except Violation:
            return True
        return False

    assert any(is_broken(seed) for seed in range(60))
