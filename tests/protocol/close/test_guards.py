"""One hand-written schedule for each guard of the close beyond the agreement itself, and the mutant that it catches.

A guard is one line of code that a random simulation may never miss. Each row has the schedule that needs it: the
schedule passes as things are, and fails at once when the guard is taken out.
"""

from dataclasses import replace

import pytest

from troth_node.testing.samples import TOKEN, sample_fork
from troth_node.testing.stage import Stage
from troth_protocol.close.closer import Closer
from troth_protocol.close.findings import Findings
from troth_protocol.close.gather import REPORTS_PER_MEMBER, Gatherer
from troth_protocol.close.report import encode_value, sign_report
from troth_protocol.close.seal import SEAL, collect, sign_seal
from troth_protocol.core import Core
from troth_protocol.log.author import Finalized
from troth_protocol.log.book import Missing
from troth_protocol.log.keep import epoch_key
from troth_protocol.log.ops import LockOp, Transfer, Unlock
from troth_protocol.log.rows import Claim
from troth_protocol.log.vote import CERTIFICATE, Certificate
from troth_protocol.log.witness import Witness
from troth_protocol.wire.crypto import KeyPair, digest
from troth_protocol.wire.messages import (
    Ballot,
    Certified,
    Head,
    ReportMsg,
    SealVote,
    StoredAck,
    Submit,
    VoteFor,
)

ALMA, BRUNO, CARLA, DAVE, EMIL = range(5)
WITNESSES = (ALMA, BRUNO, CARLA, DAVE)


def ready():
    stage = Stage()
    stage.start()
    stage.settle()
    return stage


def payment(stage, amount=TOKEN, seq=1, deps=(), agent=EMIL, to=ALMA):
    return stage.entry(agent, Transfer(stage.key(to), amount, b""), epoch=1, seq=seq, deps=deps)


def is_kind(*kinds):
    return lambda mail: isinstance(mail.message, kinds)


def report_of(stage, findings, agent=DAVE):
    committee = stage.core(ALMA).chain.committee
    report = sign_report(stage.seats[agent].keys, stage.network, 1, committee, findings.chunks())
    return ReportMsg(report.payload, report.signature, findings.encode())


def report_and_leave(stage, found):
    """Everybody's report is due; Dave tells all the others what it found, and falls silent."""
    for witness in (ALMA, BRUNO, CARLA):
        stage.fire("grace", witness)
        stage.say(DAVE, witness, report_of(stage, found))
    stage.crash(DAVE)


def finish(stage, agents=4):
    """Good weather from here: the epoch must close."""
    for _ in range(6):
        for name in ("grace", "propose", "tick", "tick", "slot"):
            if set(stage.epochs()) != {2}:
                stage.fire(name)
                stage.settle()
    assert stage.epochs() == [2] * agents, "the close does not come to its end"


# Schedules


def a_certificate_shown_after_the_reports(stage):
    """It comes to all witnesses when they have reported: whoever acknowledges it now promises what no cut holds."""
    stage.submit(EMIL, Transfer(stage.key(ALMA), TOKEN, b""))
    stage.settle(but=is_kind(Certified))
    held = [mail for mail in stage.post if isinstance(mail.message, Certified)]
    stage.lose()
    for name in ("pace", "grace"):
        stage.fire(name)
        stage.settle(but=is_kind(ReportMsg, Certified))
    for mail in held:
        stage.deliver(mail)
    stage.settle(but=is_kind(ReportMsg))
    is_final = bool(stage.notices(EMIL, Finalized))
    stage.settle()
    finish(stage, 5)
    assert not is_final or stage.account(EMIL).seq == 1, "a final entry is lost"


def an_entry_submitted_after_the_stop(stage):
    stage.freeze()
    stage.submit(EMIL, Transfer(stage.key(ALMA), TOKEN, b""))
    stage.settle()
    assert not any(stage.mails(VoteFor, witness) for witness in WITNESSES), "a vote after the stop"


def a_certificate_that_comes_during_the_grace(stage):
    """The witnesses stop while it is on its way: it must still become final, and be in the cut."""
    stage.submit(EMIL, Transfer(stage.key(ALMA), TOKEN, b""))
    stage.settle(but=is_kind(Certified))
    stage.fire("pace")
    assert not any(stage.mails(ReportMsg, witness) for witness in WITNESSES), "a report without a grace"
    stage.settle()
    assert stage.notices(EMIL, Finalized)
    finish(stage, 5)
    assert stage.account(EMIL).seq == 1


def acknowledgements_for_what_the_disk_must_hold(stage):
    stage.put(EMIL, Transfer(stage.key(ALMA), TOKEN, b""))
    is_final = bool(stage.notices(EMIL, Finalized))
    stage.crash(*WITNESSES)
    stage.start(*WITNESSES)
    stage.settle()
    stage.freeze()
    finish(stage, 5)
    assert is_final
    assert stage.account(EMIL).seq == 1, "a final entry is lost"


def an_entry_that_relies_on_what_a_witness_has_not_stored(stage):
    """Bruno has not seen the credit that Alma spends: voting for it would let it be certified without its ground."""
    stage.submit(EMIL, Transfer(stage.key(ALMA), 500 * TOKEN, b""))
    stage.settle(but=lambda mail: mail.target == BRUNO)
    stage.lose()
    (credit,) = stage.core(ALMA).chain.book.stored
    spending = payment(stage, 1_400 * TOKEN, deps=[credit], agent=ALMA, to=CARLA)
    stage.say(ALMA, BRUNO, Submit(spending.data))
    assert not stage.mails(VoteFor, BRUNO), "a vote without what it relies on"


def a_report_that_names_what_nobody_has(stage):
    """Dave reports a head that was never certified, then falls silent: whoever proposes it never gets the votes."""
    stage.freeze()
    found = Findings({digest(b"some log"): (1, bytes(32))})
    report_and_leave(stage, found)
    stage.settle()
    finish(stage)


def a_leader_that_proposes_what_nobody_has(stage):
    """The first leader that is up includes Dave's made-up report: voters must not take its word."""
    stage.freeze()
    found = Findings({digest(b"some log"): (1, bytes(32))})
    report_and_leave(stage, found)
    stage.settle(but=is_kind(Ballot))
    leads = [stage.closer(ALMA)._agreement._leader(slot) for slot in (0, 1)]
    leader = next(
        witness for witness in (ALMA, BRUNO, CARLA) for place in leads if stage.place(witness) == place
    )
    closer = stage.closer(leader)
    closer._do(closer._agreement.offer(encode_value(closer.gatherer.first_of)))
    stage.flush(leader)
    stage.settle()
    finish(stage)


def seal_votes_for_something_else(stage):
    """Dave signs another seal: with it Alma has three votes, of which two are for what she computed."""
    stage.close(but=is_kind(SealVote))
    draft = next(mail.message for mail in stage.post if mail.source == BRUNO)
    other = SEAL.encode(_changed(SEAL.decode(draft.seal)))
    stage.say(BRUNO, ALMA, draft)
    stage.say(DAVE, ALMA, SealVote(other, sign_seal(stage.seats[DAVE].keys, stage.network, other)))
    assert stage.core(ALMA).epoch == 1, "sealed without two thirds"
    stage.settle()
    assert stage.epochs() == [2] * 5


def _changed(seal):
    return replace(seal, state=digest(b"another state"))


def a_seal_vote_in_the_name_of_others(stage):
    """Dave sends votes that carry nobody's signature."""
    stage.close(but=is_kind(SealVote))
    draft = next(mail.message for mail in stage.post if mail.source == BRUNO)
    for witness in (BRUNO, CARLA, DAVE):
        stage.say(witness, ALMA, SealVote(draft.seal, bytes(64)))
    assert stage.core(ALMA).epoch == 1, "sealed without signatures"


def a_report_with_a_forged_head(stage):
    stage.put(EMIL, Transfer(stage.key(ALMA), TOKEN, b""))
    stage.freeze()
    found = Findings({stage.key(EMIL): (1, digest(b"forged"))})
    report_and_leave(stage, found)
    stage.settle()
    finish(stage)


def a_claim_with_a_wrong_key(stage):
    """The liar is the last in key order, so that its false preimage would replace the true one in the cut."""
    liar = max(WITNESSES, key=stage.key)
    rest = [witness for witness in WITNESSES if witness != liar]
    stage.put(EMIL, LockOp(stage.key(rest[0]), TOKEN, digest(b"key"), 3))
    (entry,) = stage.core(ALMA).chain.book.stored
    lock = entry[:30] + bytes(2)
    stage.submit(rest[0], Unlock(lock, b"key"), deps=(entry,))
    stage.settle(but=is_kind(VoteFor))
    stage.lose()
    stage.freeze()
    found = Findings(stage.core(ALMA).chain.book.moved(), {lock: b"wrong"})
    for witness in rest:
        stage.fire("grace", witness)
        stage.say(liar, witness, report_of(stage, found, liar))
    stage.crash(liar)
    stage.settle()
    finish(stage)
    assert stage.core(rest[0]).chain.state.find("claims", lock, Claim) is not None, "a claim is lost"


def reports_that_differ_for_everybody(stage):
    """Dave tells each witness other reports than the rest, each of them honest work as such."""
    stage.freeze()
    for witness in (ALMA, BRUNO, CARLA):
        stage.fire("grace", witness)
        for number in range(REPORTS_PER_MEMBER):
            found = Findings()
            found.add_evidence(_fork(stage, bytes([witness, number])))
            stage.say(DAVE, witness, report_of(stage, found))
    stage.crash(DAVE)
    stage.settle()
    finish(stage)


def _fork(stage, name):
    return sample_fork(KeyPair.from_seed(digest(name)), stage.network)


def a_crash_after_the_report(stage):
    """What comes to the disk after the report is none of the report's business, not even after a restart."""
    stage.submit(EMIL, Transfer(stage.key(ALMA), TOKEN, b""))
    stage.settle(but=is_kind(Certified))
    stage.fire("pace", ALMA)
    stage.fire("grace", ALMA)
    stage.settle(but=is_kind(ReportMsg))
    before = stage.seats[ALMA].disk.find("close", epoch_key(1) + b"report")
    stage.crash(ALMA)
    stage.start(ALMA)
    stage.settle(but=is_kind(ReportMsg, StoredAck))
    for name in ("pace", "grace"):
        stage.fire(name, ALMA)
    assert before == stage.seats[ALMA].disk.find("close", epoch_key(1) + b"report"), "a second report"


def a_crash_after_the_stop(stage):
    stage.freeze()
    stage.crash(ALMA)
    stage.start(ALMA)
    stage.settle()
    stage.say(EMIL, ALMA, Submit(payment(stage).data))
    assert not stage.mails(VoteFor, ALMA), "a vote after the stop"


def a_disk_that_lost_an_entry(stage):
    """An old copy of the disk is started: before anything is signed, the witnesses must have been heard."""
    backup = stage.seats[EMIL].disk.copy()
    stage.put(EMIL, Transfer(stage.key(ALMA), TOKEN, b""))
    stage.crash(EMIL)
    stage.seats[EMIL].disk = backup
    stage.start(EMIL)
    stage.submit(EMIL, Transfer(stage.key(BRUNO), TOKEN, b""))
    stage.settle(but=is_kind(Head))
    stage.settle()
    stage.freeze()
    finish(stage, 5)
    assert stage.account(EMIL).offences == 0, "an honest node is convicted"


def a_certificate_that_does_not_hold(stage):
    """Emil shows two votes of four as a certificate."""
    entry = payment(stage)
    stage.say(EMIL, ALMA, Submit(entry.data))
    stage.say(EMIL, BRUNO, Submit(entry.data))
    votes = [stage.core(agent).witness.votes[entry.id] for agent in (ALMA, BRUNO)]
    votes.sort(key=lambda vote: vote.member)
    weak = CERTIFICATE.encode(Certificate(entry.id, 1, tuple(votes)))
    stage.say(EMIL, CARLA, Certified(weak, entry.data))
    assert not stage.core(CARLA).chain.book.stored, "stored without two thirds"


# Mutants


def acks_after_the_report(monkeypatch):
    report = Closer.report

    def mutant(self):
        report(self)
        self.witness.is_reported = False

    monkeypatch.setattr(Closer, "report", mutant)


def votes_after_the_stop(monkeypatch):
    monkeypatch.setattr(Witness, "stop", lambda self: None)


def no_grace(monkeypatch):
    freeze = Closer.freeze

    def mutant(self):
        freeze(self)
        self.report()

    monkeypatch.setattr(Closer, "freeze", mutant)


def acks_before_it_stores(monkeypatch):
    def mutant(self, peer, certificate, entry):
        self._acks.setdefault(peer, []).append(certificate.entry)
        return False

    monkeypatch.setattr(Witness, "certified", mutant)


def votes_without_deps(monkeypatch):
    vote = Witness._vote

    def mutant(self, peer, entry):
        evaluate = self.book.evaluate

        def lenient(*entry):
            try:
                return evaluate(*entry)
            except Missing:
                return None

        monkeypatch.setattr(self.book, "evaluate", lenient)
        vote(self, peer, entry)

    monkeypatch.setattr(Witness, "_vote", mutant)


def proposes_incomplete_reports(monkeypatch):
    monkeypatch.setattr(Gatherer, "complete", lambda self: dict(self.first_of))


def votes_for_anything(monkeypatch):
    monkeypatch.setattr(Gatherer, "judge", lambda self, value: True)


def counts_any_seal(monkeypatch):
    def mutant(self, member, message):
        self._seal_votes[member] = message
        if self._own_seal is not None and len(self._seal_votes) >= 3:
            votes = {place: vote.signature for place, vote in self._seal_votes.items()}
            self.result = (collect(self._own_seal.seal, votes), self._closed, self._cut)

    monkeypatch.setattr(Closer, "_count_seal", mutant)


def believes_seal_votes(monkeypatch):
    for module in ("closer", "watch"):
        monkeypatch.setattr(f"troth_protocol.close.{module}.verify_seal_vote", lambda *_: None)


def believes_heads(monkeypatch):
    def mutant(self, held, findings):
        held.is_complete = True

    monkeypatch.setattr(Gatherer, "_conclude", mutant)


def believes_claims(monkeypatch):
    monkeypatch.setattr(Gatherer, "_is_claim", lambda self, findings, key, preimage: True)


def keeps_only_the_first_reports(monkeypatch):
    def mutant(self, report):
        witness = report.header.witness
        alike = [held for held in self.held.values() if held.report.header.witness == witness]
        return len(alike) < REPORTS_PER_MEMBER

    monkeypatch.setattr(Gatherer, "_has_room", mutant)


def forgets_its_report(monkeypatch):
    start = Closer.start

    def mutant(self):
        rows = self.chain.archive.tables.get("close", {})
        rows.pop(self._key(b"report"), None)
        rows.pop(self._key(b"stopped"), None)
        start(self)

    monkeypatch.setattr(Closer, "start", mutant)


def signs_before_it_asks(monkeypatch):
    start = Core.start

    def mutant(self):
        start(self)
        self.check.clear()

    monkeypatch.setattr(Core, "start", mutant)


def believes_certificates(monkeypatch):
    monkeypatch.setattr("troth_protocol.log.book.verify_certificate", lambda *_: None)


GUARDS = [
    (a_certificate_shown_after_the_reports, acks_after_the_report),
    (an_entry_submitted_after_the_stop, votes_after_the_stop),
    (a_certificate_that_comes_during_the_grace, no_grace),
    (acknowledgements_for_what_the_disk_must_hold, acks_before_it_stores),
    (an_entry_that_relies_on_what_a_witness_has_not_stored, votes_without_deps),
    (a_report_that_names_what_nobody_has, proposes_incomplete_reports),
    (a_leader_that_proposes_what_nobody_has, votes_for_anything),
    (seal_votes_for_something_else, counts_any_seal),
    (a_seal_vote_in_the_name_of_others, believes_seal_votes),
    (a_report_with_a_forged_head, believes_heads),
    (a_claim_with_a_wrong_key, believes_claims),
    (reports_that_differ_for_everybody, keeps_only_the_first_reports),
    (a_crash_after_the_report, forgets_its_report),
    (a_crash_after_the_stop, forgets_its_report),
    (a_disk_that_lost_an_entry, signs_before_it_asks),
    (a_certificate_that_does_not_hold, believes_certificates),
]
NAMES = [schedule.__name__ for schedule, _ in GUARDS]


@pytest.mark.parametrize(("schedule", "_mutant"), GUARDS, ids=NAMES)
def test_the_guard_holds(schedule, _mutant):
    schedule(ready())


@pytest.mark.parametrize(("schedule", "mutant"), GUARDS, ids=NAMES)
def test_without_its_guard_the_schedule_fails(schedule, mutant, monkeypatch):
    mutant(monkeypatch)
    with pytest.raises(Exception):  # noqa: B017, PT011 - an assertion, or the fault bound breaks
        schedule(ready())
