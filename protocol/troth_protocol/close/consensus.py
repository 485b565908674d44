"""Single-shot agreement on one value per epoch: messages, timers and verdicts in, ordered outputs out.

Theory of operation (weighted, single-shot Simplex: Chan and Pass, "Simplex Consensus", 2023). Slots 0, 1, 2 … each
have a leader. A slot ends with a certificate, votes of a quorum q = floor(2W/3) + 1 of the weight W, which notarizes
one candidate or skips the slot. A candidate of slot s names a parent, the last notarized candidate before it, and
repeats its value; without a parent its value is the leader's own. All slots in between must be skipped. A candidate
whose finalize votes reach the quorum is decided. There are no locks: a skip certificate is the proof that a slot was
not, and never will be, finalized.

    R1 frontier  the current slot is the first that no certificate clears; entering it arms its timer, and a timer
                 speaks for the current slot only                                                      _enter
    R2 propose   the leader of the current slot proposes once: the value of the highest notarized slot, else its own
                                                                                                       _propose
    R3 notarize  at most one notarize vote in a slot, and only for an eligible candidate               _notarize
    R4 finalize  iff I voted to notarize it, it is notarized, and I did not vote to skip the slot      _finalize
    R5 skip      on the slot's timer, iff I did not vote to finalize in it                             on_timer
    R6 decide    on a finalize certificate, with its candidate in hand                                 _decide
    R7 relay     every certificate once; at a standstill everything that others may lack               _prove, resend
    R8 persist   a ballot is on disk before it leaves; the same bytes after a restart; without a file no vote at all
                                                                                                       _sign, __init__

What one member may still sign in a slot, given what it has signed there (EXCLUDES in ballots.py is the same table; a
line says what may follow, in any order otherwise):

    signed         notarize c    notarize c'   finalize c    skip
    nothing        yes           yes           -             yes
    notarize c     again         never         if certified  yes
    skip           yes           yes           never         again
    finalize c     again         never         again         never

Why it is safe. A finalize certificate for (s, c) and a skip certificate for s would share an honest member, whom R4
and R5 forbid one of the two: so s is never skipped, every later eligible candidate descends from a candidate of slot
s or later, only c can be notarized in s (R3), and by induction all of them carry its value. Why it is live: once
messages arrive, relaying (R7) gives everyone the same certificates; each slot is notarized or times out for everyone;
an honest leader's candidate is eligible for all, and timers outgrow three message delays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from troth_protocol.close.ballots import (
    CANDIDATE,
    CERTIFICATE,
    DOMAINS,
    EXCLUDES,
    FINALIZE,
    MESSAGES,
    NOTARIZE,
    SKIP,
    VALUE_MAX_BYTES,
    Ballot,
    Candidate,
    CandidateMsg,
    Instance,
    Signed,
    Statement,
    Verify,
    VoteMsg,
    WantMsg,
    propose,
    read_ballot,
    read_candidate,
)
from troth_protocol.close.leaders import timeout_ms
from troth_protocol.close.listener import Listener, candidate_message, vote_message
from troth_protocol.close.outputs import ArmTimer, Broadcast, Decided, Output, PersistBallot, Validate
from troth_protocol.close.slot import Proof, Slot
from troth_protocol.errors import Invalid
from troth_protocol.log.keep import epoch_key
from troth_protocol.wire import crypto
from troth_protocol.wire.codec import Value, decode, encode
from troth_protocol.wire.crypto import KeyPair, preimage

_NOBODY: Final = -1
_NEVER: Final = -1
#: The row of a ballot. Finalize and skip share one, so that a store that inserts once refuses what R4 and R5 exclude.
_ROWS: Final[Mapping[str, bytes]] = {CANDIDATE: b"c", NOTARIZE: b"n", FINALIZE: b"f", SKIP: b"f"}


class Consensus(Listener):
    """One member's part in one agreement; every input returns the outputs that it causes, in order.

    `me` is None for an observer. `slot_ms` is the first slot's timer, at least three message delays; `slot_max_ms` the
    longest. `restored` has this epoch's persisted ballots as they were (their keys begin with `epoch_key`): empty
    before the first one, None if the file was lost, which makes the member passive: it follows and relays, but never
    votes. Raises Invalid if a restored ballot is not one of mine.
    """

    excludes: Mapping[str, tuple[str, ...]] = EXCLUDES

    def __init__(
        self,
        instance: Instance,
        me: KeyPair | None,
        slot_ms: int,
        slot_max_ms: int,
        restored: Mapping[bytes, bytes] | None,
        verify: Verify = crypto.verify,
    ) -> None:
        place = None if me is None else instance.committee.index(me.public)
        super().__init__(instance, _NOBODY if place is None else place, verify)
        self._me = None if restored is None or place is None else me  # R8: no file, no vote
        self._timer_ms = (slot_ms, slot_max_ms)
        self._armed = _NEVER
        self._started = False
        self._offered: bytes | None = None
        self._verdicts: dict[bytes, bool] = {}
        for _, data in sorted((restored or {}).items()):
            self._restore(data)

    # Inputs

    def start(self) -> list[Output]:
        """Take part from now on: restored ballots are sent again, byte for byte, and the first timer is armed."""
        self._started = True
        self._repeat()
        return self._settle()

    def offer(self, value: bytes) -> list[Output]:
        """My own proposal, which I know to be valid. Raises Invalid("too_large") beyond VALUE_MAX_BYTES."""
        if len(value) > VALUE_MAX_BYTES:
            raise Invalid("too_large", f"{len(value)} bytes")
        self._offered = value
        return self.mark_valid(value)

    def mark_valid(self, value: bytes) -> list[Output]:
        """Everything that the value names is held here and verifies."""
        self._verdicts[value] = True
        return self._settle()

    def mark_invalid(self, value: bytes) -> list[Output]:
        """The value gets no vote of mine, unless it is marked valid later."""
        self._verdicts[value] = False
        return self._settle()

    def on_message(self, sender: bytes, message: Value) -> list[Output]:
        """Take one message from the member with this key; late and repeated ones change nothing.

        Raises Invalid, with nothing changed: not_a_member, bad_member, wrong_epoch, wrong_set, bad_parent,
        bad_signature, not_enough_weight, and what the codec and the fields refuse.
        """
        place = self._committee.index(sender)
        if place is None:
            raise Invalid("not_a_member", sender.hex())
        self._take(place, message)
        return self._settle()

    def on_timer(self, slot: int) -> list[Output]:
        """R5: the current slot took too long, so I vote to skip it, unless I voted to finalize in it."""
        me, skip = self._voter(), Statement(SKIP, slot)
        if me is not None and slot == self._current and self._is_free(skip):
            self._vote(me, skip)
        return self._settle()

    def resend(self) -> list[Output]:
        """R7: the standstill tick. Go on after the decision, until the seal: it makes room for answering again."""
        self._told.clear()
        if not self._decision:
            self._repeat()
            self._out.append(Broadcast(MESSAGES.dump(WantMsg(self._current))))
        return self._flush()

    # The rules

    def _settle(self) -> list[Output]:
        """Apply the rules until none has anything left to do; each success adds to what is held, so this ends."""
        rules = (self._decide, self._notarize, self._finalize, self._enter, self._propose)
        while not self._decision and any(rule() for rule in rules):
            pass
        return self._flush()

    def _enter(self) -> bool:
        """R1: the current slot is the first that is not cleared; its timer is armed on entering it."""
        while self._held(self._current).is_cleared():
            self._current += 1
        if self._voter() is None or self._armed == self._current:
            return False
        self._armed = self._current
        self._out.append(ArmTimer(self._current, timeout_ms(self._current, *self._timer_ms)))
        return True

    def _propose(self) -> bool:
        """R2: as the current slot's leader, once, propose what the highest notarized slot has, else my own value."""
        me = self._voter()
        if me is None or self._leader(self._current) != self._place or self._held(self._current).candidates:
            return False
        proof = self._highest_notarized()
        parent = None if proof is None else self._candidate_of(proof)
        if proof is not None and parent is None:
            return False
        value = self._offered if parent is None else parent.value
        if value is None:
            return False
        self._put_forward(me, propose(self._instance, self._current, value, parent))
        return True

    def _notarize(self) -> bool:
        """R3: at most one notarize vote in a slot, for the first candidate there that is eligible."""
        me = self._voter()
        if me is None:
            return False
        for number in sorted(self._slots):
            for candidate in self._slots[number].candidates.values():
                vote = Statement(NOTARIZE, number, candidate.id)
                if self._is_free(vote) and self._is_eligible(candidate):
                    self._vote(me, vote, candidate)
                    return True
        return False

    def _finalize(self) -> bool:
        """R4: I voted to notarize it, a quorum did, and I did not vote to skip the slot."""
        me = self._voter()
        if me is None:
            return False
        for number in sorted(self._slots):
            proof = self._slots[number].proofs.get(NOTARIZE)
            if proof is not None and self._slots[number].has_said(self._place, proof.statement):
                vote = Statement(FINALIZE, number, proof.statement.candidate)
                if self._is_free(vote):
                    self._vote(me, vote)
                    return True
        return False

    def _decide(self) -> bool:
        """R6: a finalize certificate and its candidate; the certificate itself was relayed when it came."""
        for number in sorted(self._slots):
            proof = self._slots[number].proofs.get(FINALIZE)
            candidate = None if proof is None else self._candidate_of(proof)
            if proof is not None and candidate is not None:
                certificate = CERTIFICATE.encode(proof.certificate)
                self._decision = [candidate_message(candidate), MESSAGES.dump(proof.certificate)]
                self._out.append(Decided(candidate.value, candidate.signed.payload, certificate))
                return True
        return False

    # What the rules ask

    def _voter(self) -> KeyPair | None:
        """My key, while I take part."""
        return self._me if self._started and not self._decision else None

    def _is_free(self, statement: Statement) -> bool:
        """Whether I have neither said this already nor anything that excludes it (R3, R4, R5)."""
        said = [ballot.statement for ballot in self._held(statement.slot).of(self._place)]
        return not any(mine == statement or mine.kind in self.excludes[statement.kind] for mine in said)

    def _is_eligible(self, candidate: Candidate) -> bool:
        """Whether the slots after its parent are skipped, and its value is its parent's, or valid without a parent."""
        parent = candidate.parent
        if not self._is_skipped(range(0 if parent is None else parent.slot + 1, candidate.slot)):
            return False
        return self._is_valid(candidate) if parent is None else self._is_repeated(candidate, parent)

    def _is_skipped(self, numbers: range) -> bool:
        return all(SKIP in self._held(number).proofs for number in numbers)

    def _is_repeated(self, candidate: Candidate, parent: Statement) -> bool:
        proof = self._held(parent.slot).proofs.get(NOTARIZE)
        if proof is None or proof.statement != parent:
            return False
        source = self._candidate_of(proof)
        return source is not None and source.value == candidate.value

    def _is_valid(self, candidate: Candidate) -> bool:
        """The caller's verdict, which is asked for when everything else is in order, and once."""
        if candidate.value not in self._verdicts:
            self._verdicts[candidate.value] = False
            self._out.append(Validate(candidate.value))
        return self._verdicts[candidate.value]

    def _highest_notarized(self) -> Proof | None:
        """All slots above it and below the current one are skipped, since they are cleared."""
        proofs = (self._held(number).proofs.get(NOTARIZE) for number in reversed(range(self._current)))
        return next((proof for proof in proofs if proof is not None), None)

    def _candidate_of(self, proof: Proof) -> Candidate | None:
        return self._held(proof.statement.slot).candidates.get(proof.statement.candidate)

    # R8: sign, persist, send, and only then count

    def _vote(self, me: KeyPair, statement: Statement, candidate: Candidate | None = None) -> None:
        """Vote. The candidate of a notarize vote is persisted with it: whoever voted can be asked for it."""
        signed = self._sign(me, statement.kind, statement.payload(self._instance))
        ballot = Ballot(self._place, statement, signed)
        with_it = [] if candidate is None else [candidate_message(candidate)]
        self._publish(statement.kind, statement.slot, [vote_message(ballot), *with_it])
        self._count(ballot)

    def _put_forward(self, me: KeyPair, payload: bytes) -> None:
        """Propose."""
        signed = self._sign(me, CANDIDATE, payload)
        candidate = read_candidate(self._instance, CandidateMsg(payload, signed.signature))
        self._publish(CANDIDATE, candidate.slot, [candidate_message(candidate)])
        self._keep(candidate)

    def _sign(self, me: KeyPair, kind: str, payload: bytes) -> Signed:
        return Signed(kind, payload, me.sign(preimage(DOMAINS[kind], self._instance.network, payload)))

    def _publish(self, kind: str, number: int, messages: list[Value]) -> None:
        """Persist messages in one row, then send the first of them."""
        key = epoch_key(self._instance.epoch) + number.to_bytes(8, "big") + _ROWS[kind]
        self._slot(number).mine[kind] = messages[0]
        self._out += [PersistBallot(key, encode(messages)), Broadcast(messages[0])]

    def _restore(self, data: bytes) -> None:
        """Read one row back: my ballot, and with a notarize vote its candidate."""
        messages = decode(data)
        if type(messages) is not list or not messages:
            raise Invalid("bad_row", "expected a list of messages")
        signed = [self._take_back(message) for message in messages]
        slot, kind = signed[0]
        slot.mine[kind] = messages[0]

    def _take_back(self, message: Value) -> tuple[Slot, str]:
        """Keep what was persisted; that it may be far ahead of what is known now does not matter."""
        match MESSAGES.load(message):
            case CandidateMsg() as found:
                candidate = read_candidate(self._instance, found)
                self._check(self._leader(candidate.slot), candidate.signed)
                self._keep(candidate)
                return self._slot(candidate.slot), CANDIDATE
            case VoteMsg() as found if found.member == self._place:
                ballot = read_ballot(self._instance, found)
                self._check(ballot.member, ballot.signed)
                self._count(ballot)
                return self._slot(ballot.statement.slot), found.vote
        raise Invalid("foreign_ballot")
