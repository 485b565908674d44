"""Members of the close's agreement without a node around them, for tests: a test decides what arrives, and when.

`Seat` carries out one member's outputs and checks as it goes that every ballot is on disk before it leaves. `Table`
seats a whole committee and holds the post: whatever it is not told to deliver waits. `StubKey` signs with a hash, so
that long simulations need no curve; only with `stub_verify` on the other side, and never outside tests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha512

from troth_protocol.close.ballots import (
    CANDIDATE,
    DOMAINS,
    MESSAGES,
    Candidate,
    CandidateMsg,
    Instance,
    SlotCertificate,
    Statement,
    VoteMsg,
    propose,
    read_candidate,
)
from troth_protocol.close.consensus import Consensus
from troth_protocol.close.leaders import leader
from troth_protocol.close.outputs import (
    Accused,
    ArmTimer,
    Broadcast,
    Decided,
    Output,
    PersistBallot,
    SendTo,
    Validate,
)
from troth_protocol.log.committee import Committee, Member
from troth_protocol.wire.codec import Value, decode
from troth_protocol.wire.crypto import KeyPair, digest, preimage

NETWORK = digest(b"a network for tests")
EPOCH = 7
SLOT_MS, SLOT_MAX_MS = 1_000, 20_000


class StubKey(KeyPair):
    """An identity whose signatures are hashes, which anybody could make."""

    def sign(self, data: bytes) -> bytes:
        return sha512(self.public + data).digest()


def stub_verify(public: bytes, data: bytes, signature: bytes) -> bool:
    """Whether `StubKey` made this signature."""
    return signature == sha512(public + data).digest()


class Violation(AssertionError):
    """Something happened that the protocol promises will not, or did not that will."""


class Seat:
    """One running member: its machine, its disk, and what it said besides messages."""

    def __init__(
        self,
        make: Callable[[dict[bytes, bytes] | None], Consensus],
        send: Callable[[bytes | None, Value], None],
        arm: Callable[[ArmTimer], None],
        *,
        is_once: bool = True,
    ) -> None:
        self._make, self._send, self._arm, self._is_once = make, send, arm, is_once
        self.disk: dict[bytes, bytes] = {}
        self.decided: Decided | None = None
        self.accused: list[Accused] = []
        self.judge: Callable[[bytes], bool | None] = lambda value: not value.startswith(b"bad")
        self.machine = make(self.disk)

    def restart(self, *, has_disk: bool = True) -> None:
        """Crash and come back, with the disk or with a new empty one; the caller knows which."""
        if not has_disk:
            self.disk = {}
        self.machine = self._make(self.disk if has_disk else None)
        self.decided = None

    def do(self, outputs: Sequence[Output]) -> None:
        """Carry out outputs in order; verdicts on values are given at once, unless `judge` has none."""
        queue = deque(outputs)
        while queue:
            match queue.popleft():
                case Validate(value):
                    queue.extend(self._answer(value))
                case PersistBallot(key, data):
                    self._persist(key, data)
                case Broadcast(message):
                    self._check_durable(message)
                    self._send(None, message)
                case SendTo(member, message):
                    self._send(member, message)
                case ArmTimer() as timer:
                    self._arm(timer)
                case Decided() as decided:
                    self.decided = decided
                case Accused() as accused:
                    self.accused.append(accused)

    def _persist(self, key: bytes, data: bytes) -> None:
        if self.disk.setdefault(key, data) == data:
            return
        if self._is_once:
            raise Violation("a second ballot for one row")
        self._persist(key + b"+", data)

    def _answer(self, value: bytes) -> list[Output]:
        verdict = self.judge(value)
        if verdict is None:
            return []
        return self.machine.mark_valid(value) if verdict else self.machine.mark_invalid(value)

    def _check_durable(self, message: Value) -> None:
        is_ballot = isinstance(MESSAGES.load(message), CandidateMsg | VoteMsg)
        rows = [decode(data) for data in self.disk.values()]
        if is_ballot and not any(isinstance(row, list) and message in row for row in rows):
            raise Violation("a ballot left before it was on disk")


@dataclass(frozen=True, slots=True)
class Mail:
    """One message under way between two places."""

    source: int
    target: int
    message: Value


class Table:
    """A committee with given weights; turn 0 belongs to the heaviest member, to the first among equals.

    `byzantine` places have no seat: the test signs for them with `candidate`, `vote` and `certificate`. `is_once` is
    False for disks that hold more than one ballot in a row, which no store does: it shows what would happen then.
    """

    def __init__(
        self,
        weights: Sequence[int] = (1, 1, 1, 1),
        *,
        offset: int = 0,
        epoch: int = EPOCH,
        byzantine: Sequence[int] = (),
        machine: type[Consensus] = Consensus,
        committee: type[Committee] = Committee,
        is_once: bool = True,
    ) -> None:
        self.keys = sorted(
            (StubKey.from_seed(bytes([place + 1]) * 32) for place in range(len(weights))),
            key=lambda keys: keys.public,
        )
        members = tuple(Member(keys.public, weight) for keys, weight in zip(self.keys, weights, strict=True))
        self.instance = Instance(NETWORK, epoch, committee(members), offset)
        self.post: list[Mail] = []
        self.timers: dict[int, ArmTimer] = {}
        self._machine, self._is_once = machine, is_once
        self.seats = {place: self._seat(place) for place in range(len(weights)) if place not in byzantine}

    def _seat(self, place: int) -> Seat:
        def make(disk: dict[bytes, bytes] | None) -> Consensus:
            keys = self.keys[place]
            return self._machine(self.instance, keys, SLOT_MS, SLOT_MAX_MS, disk, stub_verify)

        def send(member: bytes | None, message: Value) -> None:
            everybody = [other for other in range(len(self.keys)) if other != place]
            only = None if member is None else self.instance.committee.index(member)
            self.post += [Mail(place, other, message) for other in everybody if only in (None, other)]

        def arm(timer: ArmTimer) -> None:
            self.timers[place] = timer

        return Seat(make, send, arm, is_once=self._is_once)

    # What members do

    def start(self, **offers: bytes) -> None:
        """Start all seats; keyword p2=b"…" offers a value at place 2, the others offer b"value <place>"."""
        for place, seat in self.seats.items():
            seat.do(seat.machine.start())
            seat.do(seat.machine.offer(offers.get(f"p{place}", b"value %d" % place)))

    def time_out(self, *places: int) -> None:
        """Fire the last armed timer of these places."""
        for place in places:
            self.seats[place].do(self.seats[place].machine.on_timer(self.timers[place].slot))

    def hear(self, target: int, source: int, *messages: Value) -> None:
        """Let one seat receive messages."""
        for message in messages:
            self.seats[target].do(self.tell(target, source, message))

    def tell(self, target: int, source: int, message: Value) -> list[Output]:
        """What one seat would do on a message; nothing of it is carried out."""
        return self.seats[target].machine.on_message(self.keys[source].public, message)

    def carry(self, source: int, target: int, *kinds: str) -> None:
        """Deliver the post from one place to another: all of it, or messages and votes of these kinds only."""
        for mail in list(self.post):
            if (mail.source, mail.target) == (source, target) and (
                not kinds or kind_of(mail.message) in kinds
            ):
                self.post.remove(mail)
                self.hear(target, source, mail.message)

    def exchange(self, *places: int, rounds: int = 4) -> None:
        """Let these places, and nobody else, receive all the post that they have for each other."""
        for _ in range(rounds):
            for source in places:
                for target in places:
                    self.carry(source, target)

    def round(self) -> None:
        """Deliver everything posted so far, in order; what that causes waits for the next round."""
        post, self.post = self.post, []
        for mail in post:
            if mail.target in self.seats:
                self.hear(mail.target, mail.source, mail.message)

    def lose(self) -> None:
        """Everything under way is lost."""
        self.post.clear()

    def finish(self, rounds: int = 12) -> None:
        """From now on the network is good: rounds of messages, then timers and standstill ticks. All must decide."""
        for _ in range(rounds):
            for _ in range(6):
                self.round()
            for place, seat in self.seats.items():
                if seat.decided is None and place in self.timers:
                    self.time_out(place)
                seat.do(seat.machine.resend())
        self.check()
        if any(seat.decided is None for seat in self.seats.values()):
            raise Violation("not everybody decided")
        honest = {self.keys[place].public for place in self.seats}
        if any(accused.member in honest for seat in self.seats.values() for accused in seat.accused):
            raise Violation("an honest member is accused")

    def check(self) -> None:
        """Safety: all who decided have the same valid value."""
        values = sorted({seat.decided.value for seat in self.seats.values() if seat.decided is not None})
        if len(values) > 1:
            raise Violation(f"decided {values}")
        if any(value.startswith(b"bad") for value in values):
            raise Violation(f"decided an invalid value {values}")

    # What anybody's key can sign

    def leader(self, slot: int) -> int:
        """The place that leads a slot."""
        return leader(self.instance.committee.members, self.instance.offset, slot)

    def candidate(self, slot: int, value: bytes, parent: Candidate | None = None) -> Candidate:
        """A candidate signed by the slot's leader."""
        payload = propose(self.instance, slot, value, parent)
        signature = self.keys[self.leader(slot)].sign(preimage(DOMAINS[CANDIDATE], NETWORK, payload))
        return read_candidate(self.instance, CandidateMsg(payload, signature))

    def proposal(self, slot: int) -> Candidate | None:
        """What the slot's leader, who has a seat, has on its disk for the slot."""
        for data in self.seats[self.leader(slot)].disk.values():
            row = decode(data)
            message = MESSAGES.load(row[0]) if isinstance(row, list) else None
            if isinstance(message, CandidateMsg):
                candidate = read_candidate(self.instance, message)
                if candidate.slot == slot:
                    return candidate
        return None

    def sign(self, place: int, statement: Statement) -> VoteMsg:
        """One vote of one place."""
        payload = statement.payload(self.instance)
        signature = self.keys[place].sign(preimage(DOMAINS[statement.kind], NETWORK, payload))
        return VoteMsg(statement.kind, payload, place, signature)

    def vote(self, place: int, kind: str, slot: int, candidate: Candidate | None = None) -> Value:
        """One vote of one place as a message."""
        statement = Statement(kind, slot, b"" if candidate is None else candidate.id)
        return MESSAGES.dump(self.sign(place, statement))

    def certificate(
        self, places: Sequence[int], kind: str, slot: int, candidate: Candidate | None = None
    ) -> SlotCertificate:
        """Votes of these places, in the order given, whether they make a quorum or not."""
        statement = Statement(kind, slot, b"" if candidate is None else candidate.id)
        votes = [self.sign(place, statement) for place in places]
        signatures = tuple((vote.member, vote.signature) for vote in votes)
        return SlotCertificate(kind, statement.payload(self.instance), signatures)


def kind_of(message: Value) -> str:
    """What a message is: a kind of vote, or the kind of message."""
    found = MESSAGES.load(message)
    return found.vote if isinstance(found, VoteMsg) else MESSAGES.name_of(found)


def heard(outputs: Sequence[Output]) -> list[str]:
    """What outputs are, in one word each: the kind of a message, else the name of the output."""
    return [
        kind_of(output.message) if isinstance(output, Broadcast | SendTo) else type(output).__name__
        for output in outputs
    ]


def carried(candidate: Candidate) -> Value:
    """The message that carries a candidate."""
    return MESSAGES.dump(CandidateMsg(candidate.signed.payload, candidate.signed.signature))
