"""The machine of the agreement, and its committee, each without exactly one guard."""

from types import MappingProxyType

from troth_node.testing.agreement import heard
from troth_protocol.close.ballots import (
    EXCLUDES,
    FINALIZE,
    NOTARIZE,
    SKIP,
    SlotCertificate,
    Statement,
    read_ballot,
)
from troth_protocol.close.consensus import Consensus
from troth_protocol.close.slot import Proof
from troth_protocol.log.committee import Committee


class OffByOne(Committee):
    @property
    def quorum(self):
        return 2 * self.total // 3


class Heads(Committee):
    @property
    def quorum(self):
        return 2 * len(self.members) // 3 + 1

    def weigh(self, indices):
        return len(set(indices))


class Repeats(Committee):
    def weigh(self, indices):
        return sum(self.members[index].weight for index in indices)


class CountsMessages(Consensus):
    def _on_vote(self, message):
        ballot = read_ballot(self._instance, message)
        self._check(ballot.member, ballot.signed)
        self._count(ballot)

    def _tally(self, statement):
        slot = self._slot(statement.slot)
        backers = slot.backers(statement)
        weight = sum(self._committee.members[ballot.member].weight for ballot in backers)
        if statement.kind not in slot.proofs and weight >= self._committee.quorum:
            signatures = tuple((ballot.member, ballot.signed.signature) for ballot in backers)
            certificate = SlotCertificate(statement.kind, statement.payload(self._instance), signatures)
            self._prove(Proof(statement, certificate))


class SkipsClearedSlots(Consensus):
    def on_timer(self, slot):
        me, skip = self._voter(), Statement(SKIP, slot)
        if me is not None and self._is_free(skip):
            self._vote(me, skip)
        return self._settle()


class ProposesAgain(Consensus):
    def offer(self, value):
        self._held(self._current).candidates.clear()
        return super().offer(value)


class IgnoresNotarized(Consensus):
    def _highest_notarized(self):
        return None


class NotarizesTwice(Consensus):
    excludes = MappingProxyType({**EXCLUDES, NOTARIZE: ()})


class SkipsValidity(Consensus):
    def _is_valid(self, candidate):
        return True


class IgnoresParentValue(Consensus):
    def _is_repeated(self, candidate, parent):
        proof = self._held(parent.slot).proofs.get(NOTARIZE)
        return proof is not None and proof.statement == parent


class IgnoresGap(Consensus):
    def _is_skipped(self, numbers):
        return True


class IgnoresParentCertificate(Consensus):
    def _is_repeated(self, candidate, parent):
        source = self._held(parent.slot).candidates.get(parent.candidate)
        return source is not None and source.value == candidate.value


class FinalizesUnvoted(Consensus):
    def _finalize(self):
        me = self._voter()
        for number in sorted(self._slots) if me else []:
            proof = self._slots[number].proofs.get(NOTARIZE)
            if proof is not None and self._is_free(
                vote := Statement(FINALIZE, number, proof.statement.candidate)
            ):
                self._vote(me, vote)
                return True
        return False


class FinalizesUncertified(Consensus):
    def _finalize(self):
        me = self._voter()
        for number in sorted(self._slots) if me else []:
            for ballot in self._slots[number].of(self._place):
                vote = Statement(FINALIZE, number, ballot.statement.candidate)
                if ballot.statement.kind == NOTARIZE and self._is_free(vote):
                    self._vote(me, vote)
                    return True
        return False


class FinalizesAfterSkip(Consensus):
    excludes = MappingProxyType({**EXCLUDES, FINALIZE: (FINALIZE,)})


class SkipsAfterFinalize(Consensus):
    excludes = MappingProxyType({**EXCLUDES, SKIP: ()})


class DecidesOnNotarized(Consensus):
    def _decide(self):
        for slot in self._slots.values():
            if NOTARIZE in slot.proofs:
                slot.proofs.setdefault(FINALIZE, slot.proofs[NOTARIZE])
        return super()._decide()


class KeepsCertificates(Consensus):
    def _flush(self):
        return [output for output in super()._flush() if heard([output]) != ["certificate"]]


class NeverAsks(Consensus):
    def _ask(self, proof):
        pass


class NeverRepeats(Consensus):
    def resend(self):
        return []


class ArmsOnce(Consensus):
    def _enter(self):
        was_armed = self._armed == 0
        outputs = len(self._out)
        moved = super()._enter()
        if was_armed:
            del self._out[outputs:]
        return moved


class ForgetsCandidates(Consensus):
    def _vote(self, me, statement, candidate=None):
        super()._vote(me, statement)


class Forgets(Consensus):
    def __init__(self, instance, me, slot_ms, slot_max_ms, restored, verify):
        super().__init__(instance, me, slot_ms, slot_max_ms, restored or {}, verify)


class ForgetsFile(Consensus):
    def __init__(self, instance, me, slot_ms, slot_max_ms, restored, verify):
        super().__init__(instance, me, slot_ms, slot_max_ms, {}, verify)


class SendsFirst(Consensus):
    def _publish(self, kind, number, messages):
        super()._publish(kind, number, messages)
        self._out[-2:] = self._out[:-3:-1]
