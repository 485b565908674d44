"""One witness's part in one close: freeze, report, agree, execute, seal.

Theory of operation.

    open      --pacing timer, or reports of a third seen-->  stopped    no more votes; storing and acking go on
    stopped   --grace timer-->                               reported   signed findings; no more acks; agreement runs
    reported  --decided-->                                   decided    the cut executed, seal signed
    decided   --seal votes of more than two thirds-->        sealed     the chain advances

Every step is on disk before what it sends. Rule 9 of the close: ack and report never disagree.
"""

from __future__ import annotations

from troth_protocol.close.ballots import Instance
from troth_protocol.close.chain import OWN_REPORT, Chain
from troth_protocol.close.consensus import Consensus
from troth_protocol.close.docket import Docket
from troth_protocol.close.execute import Closed
from troth_protocol.close.findings import Findings, load_findings, merge
from troth_protocol.close.gather import Gatherer
from troth_protocol.close.outputs import (
    ArmTimer,
    Broadcast,
    Decided,
    Output,
    PersistBallot,
    SendTo,
    Validate,
)
from troth_protocol.close.report import Report, encode_value, load_report, load_value, sign_report
from troth_protocol.close.seal import SignedSeal, collect, sign_seal, verify_seal_vote
from troth_protocol.close.serve import Server
from troth_protocol.close.watch import Watch
from troth_protocol.effects import Effects
from troth_protocol.errors import FaultBoundBroken, Invalid, TrothError
from troth_protocol.log.keep import epoch_key
from troth_protocol.log.witness import Witness
from troth_protocol.wire.chunks import Chunks
from troth_protocol.wire.codec import Value, decode, encode
from troth_protocol.wire.crypto import KeyPair
from troth_protocol.wire.messages import Ballot, Message, ReportMsg, SealVote, WantReport

BALLOT_TABLE = "ballots"
_STOPPED, _REPORT, _SEAL = b"stopped", OWN_REPORT, b"seal"


class Closer:
    """One witness's close of one epoch. Made when the epoch opens; restored from disk after a crash."""

    def __init__(
        self,
        keys: KeyPair,
        chain: Chain,
        witness: Witness,
        server: Server,
        out: Effects,
        *,
        docket: Docket,
        watch: Watch,
    ) -> None:
        self.keys = keys
        self.chain = chain
        self.witness = witness
        self.server = server
        self.out = out
        self.docket = docket
        self.watch = watch
        self.gatherer = Gatherer(chain, out)
        server.reports = self.gatherer
        self.own: Report | None = None
        self.result: tuple[SignedSeal, Closed, Chunks] | None = None
        self._prefix = epoch_key(chain.epoch)
        self._pending: list[bytes] = []
        self._decided: bytes | None = None
        self._closed: Closed | None = None
        self._cut: Chunks | None = None
        self._own_seal: SealVote | None = None
        self._seal_votes: dict[int, SealVote] = {}
        self._agreement = self._make_agreement()

    def _make_agreement(self) -> Consensus:
        chain, pacing = self.chain, self.chain.genesis.pacing
        restored = dict(chain.archive.scan(BALLOT_TABLE, self._prefix))
        instance = Instance(chain.network, chain.epoch, chain.committee, chain.leader_offset())
        return Consensus(instance, self.keys, pacing.slot_ms, pacing.slot_max_ms, restored)

    def _key(self, what: bytes) -> bytes:
        return self._prefix + what

    def start(self) -> None:
        """The epoch is open: arm the pacing timer, or go on where a crash interrupted."""
        archive = self.chain.archive
        report = archive.find("close", self._key(_REPORT))
        if report is not None:
            self.witness.stop()
            self._restore_report(report)
        elif archive.find("close", self._key(_STOPPED)) is not None:
            self.freeze()
        else:
            self.out.timer(f"pace:{self.chain.epoch}", self.chain.genesis.pacing.epoch_ms)

    def freeze(self) -> None:
        """Step one: stop voting for entries of this epoch for good."""
        if self.witness.is_stopped:
            return
        self.witness.stop()
        self.out.persist("close", self._key(_STOPPED), b"")
        self.out.timer(f"grace:{self.chain.epoch}", self.chain.genesis.pacing.grace_ms)

    def report(self) -> None:
        """Step two, after the grace: sign what is stored, and take part in the agreement."""
        if self.own is not None:
            return
        self.witness.flush()
        self.witness.is_reported = True
        findings = self._findings()
        chunks = findings.chunks()
        own = sign_report(self.keys, self.chain.network, self.chain.epoch, self.chain.committee, chunks)
        row = encode([own.payload, own.signature])
        self.out.persist("close", self._key(_REPORT), row, once=True)
        self.out.persist("cuts", chunks.root, chunks.data)
        self._enter(own, chunks, findings)

    def _findings(self) -> Findings:
        findings = Findings(heads=self.chain.book.moved(), claims=dict(self.witness.claims))
        for data in self.docket.due():
            findings.add_evidence(data)
        return findings

    def _restore_report(self, row: bytes) -> None:
        chain = self.chain
        match decode(row):
            case [bytes(payload), bytes(signature)]:
                own = load_report(payload, signature, chain.network, chain.epoch, chain.committee)
            case _:
                raise Invalid("bad_row", "own report")
        chunks = Chunks(chain.archive.find("cuts", own.header.root) or b"")
        if chunks.root != own.header.root:
            raise TrothError("what the own report names is not in the store; restore from peers")
        self.witness.is_reported = True
        self._enter(own, chunks, load_findings(chunks.data))

    def _enter(self, own: Report, chunks: Chunks, findings: Findings) -> None:
        self.own = own
        self.gatherer.add_own(own, chunks, findings)
        self._tell(self._report_message(own.id, has_body=True))
        self._do(self._agreement.start())
        self.out.timer(f"propose:{self.chain.epoch}", self.chain.genesis.pacing.grace_ms)
        self._advance()

    def _report_message(self, report: bytes, *, has_body: bool) -> ReportMsg:
        """A held report; a body of more than one chunk is fetched by whoever lacks it."""
        held = self.gatherer.held[report]
        body = held.chunks.data if has_body and held.chunks is not None and held.chunks.size == 1 else None
        return ReportMsg(held.report.payload, held.report.signature, body)

    def _tell(self, message: Message) -> None:
        for member in self.chain.committee.members:
            if member.key != self.keys.public:
                self.out.send(member.key, message)

    def on_report(self, message: ReportMsg) -> None:
        """Somebody's report; reports of a third of the weight stop us too."""
        self.gatherer.report(message)
        if not self.witness.is_stopped and self.gatherer.weight() >= self.chain.committee.third:
            self.freeze()
        self._advance()

    def want_report(self, peer: bytes, message: WantReport) -> None:
        """Somebody misses a report that we hold."""
        if message.report in self.gatherer.held:
            self.out.send(peer, self._report_message(message.report, has_body=True))

    def gathered(self) -> None:
        """Chunks or entries arrived."""
        self._advance()

    def _advance(self) -> None:
        self._offer(is_late=False)
        for value in list(self._pending):
            self._judge(value)
        if self._decided is not None:
            self._decide(self._decided)

    def _offer(self, *, is_late: bool) -> None:
        committee = self.chain.committee
        reports = self.gatherer.complete()
        enough = committee.weigh(reports) >= committee.quorum
        is_time = is_late or len(reports) == len(committee.members)
        if self.own is not None and self._closed is None and enough and is_time:
            self._do(self._agreement.offer(encode_value(reports)))

    def propose_late(self) -> None:
        """Not everybody reported in time: go on with those that did."""
        self._offer(is_late=True)

    def on_ballot(self, peer: bytes, message: Ballot) -> None:
        """A message of the agreement."""
        self._do(self._agreement.on_message(peer, decode(message.ballot)))

    def on_slot_timer(self, slot: int) -> None:
        """The agreement's timer."""
        self._offer(is_late=True)
        self._do(self._agreement.on_timer(slot))

    def _do(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Validate():
                    self._pending.append(output.value)
                    self._judge(output.value)
                case PersistBallot():
                    self.out.persist(BALLOT_TABLE, output.key, output.data, once=True)
                case Broadcast():
                    self._tell(self._ballot(output.message))
                case SendTo():
                    self.out.send(output.member, self._ballot(output.message))
                case ArmTimer():
                    self.out.timer(f"slot:{self.chain.epoch}:{output.slot}", output.delay_ms)
                case Decided():
                    self._decide(output.value)
                case accused:
                    self.watch.accused(accused)

    def _ballot(self, message: Value) -> Ballot:
        return Ballot(self.chain.epoch, encode(message))

    def _judge(self, value: bytes) -> None:
        try:
            is_whole = self.gatherer.judge(load_value(value, self.chain.committee))
        except Invalid:
            self._pending.remove(value)
            self._do(self._agreement.mark_invalid(value))
            return
        if is_whole and value in self._pending:
            self._pending.remove(value)
            self._do(self._agreement.mark_valid(value))

    def _decide(self, value: bytes) -> None:
        """Execute the agreed cut. A decided value was judged valid by a quorum; what we lack we fetch and try again."""
        try:
            agreed = load_value(value, self.chain.committee)
            self._decided = None if self.gatherer.judge(agreed) else value
        except Invalid as error:
            raise FaultBoundBroken(f"an invalid value was agreed on: {error}") from error
        if self._decided is None:
            self._execute(merge(self.gatherer.findings(agreed)))

    def _execute(self, cut: Findings) -> None:
        self._cut = cut.chunks()
        self._closed = self.chain.close(cut, self.chain.logs(cut))
        draft = self.chain.draft(self._closed, self._cut)
        self.server.shelve(self._cut)
        signature = sign_seal(self.keys, self.chain.network, draft)
        self.out.persist("close", self._key(_SEAL), encode([draft, signature]), once=True)
        self._own_seal = SealVote(draft, signature)
        self._tell(self._own_seal)
        self._count_seal(self._own_place(), self._own_seal)

    def on_seal_vote(self, peer: bytes, message: SealVote) -> None:
        """A witness's signature over a seal of this epoch; Invalid if it is not its own."""
        member = self.chain.committee.index(peer)
        if member is None:
            raise Invalid("not_a_member", peer.hex())
        verify_seal_vote(peer, self.chain.network, message.seal, message.signature)
        self._count_seal(member, message)

    def _count_seal(self, member: int, message: SealVote) -> None:
        """One vote of each member is kept, the newest: an honest one never has another."""
        self._seal_votes[member] = message
        own = self._own_seal
        if own is None or self._closed is None or self._cut is None:
            return
        votes = {place: vote.signature for place, vote in self._seal_votes.items() if vote.seal == own.seal}
        if self.chain.committee.weigh(votes) >= self.chain.committee.quorum:
            self.result = (collect(own.seal, votes), self._closed, self._cut)

    def tick(self) -> None:
        """Standstill: say again whatever others may not have heard, and ask again for what is missing."""
        if self.own is None:
            return
        self._tell(self._report_message(self.own.id, has_body=False))
        self.gatherer.tick()
        if self._own_seal is not None:
            self._tell(self._own_seal)
        self._do(self._agreement.resend())
        self._advance()

    def _own_place(self) -> int:
        return self.chain.committee.index(self.keys.public) or 0
