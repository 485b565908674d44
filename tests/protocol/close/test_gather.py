"""Gathering: what is missing is asked for and bounded, and false reports get no vote, whoever judges them."""

from dataclasses import replace

import pytest

from troth_node.testing.samples import TOKEN, sample_fork
from troth_node.testing.stage import Stage
from troth_protocol.close.asks import ASKS_MAX
from troth_protocol.close.findings import Findings
from troth_protocol.close.gather import REPORT_CHUNKS_MAX, REPORTS_PER_MEMBER
from troth_protocol.close.report import REPORT_DOMAIN, REPORT_HEADER, ReportHeader, sign_report
from troth_protocol.errors import Invalid
from troth_protocol.log.ops import LockOp, Transfer
from troth_protocol.log.sealed import lock_id
from troth_protocol.wire.crypto import KeyPair, digest, preimage
from troth_protocol.wire.messages import Ballot, Chunk, Entries, ReportMsg, WantChunk, WantLog, WantReport

LIAR, EMIL = 3, 4


@pytest.fixture
def ready(stage):
    """One entry is certified everywhere, witness 0 has reported, and the others are about to."""
    stage.put(EMIL, Transfer(stage.key(0), TOKEN, b""))
    stage.freeze()
    stage.fire("grace", 0)
    stage.lose()
    return stage


def truth(stage):
    return Findings(heads=stage.core(0).chain.book.moved())


def report_of(stage, findings, agent=LIAR, *, has_body=True, size=None):
    committee = stage.core(0).chain.committee
    chunks = findings.chunks()
    if size is not None:
        header = ReportHeader(1, stage.key(agent), committee.digest, chunks.root, size)
        payload = REPORT_HEADER.encode(header)
        signature = stage.seats[agent].keys.sign(preimage(REPORT_DOMAIN, stage.network, payload))
        return ReportMsg(payload, signature, None)
    report = sign_report(stage.seats[agent].keys, stage.network, 1, committee, chunks)
    return ReportMsg(report.payload, report.signature, chunks.data if has_body and chunks.size == 1 else None)


def tell(stage, message, agent=LIAR):
    stage.say(agent, 0, message)
    gatherer = stage.closer(0).gatherer
    return next(reversed(gatherer.held.values())) if gatherer.held else None


def asked(stage, kind):
    return [
        (mail.target, mail.message)
        for mail in stage.post
        if isinstance(mail.message, kind) and mail.source == 0
    ]


# Honest work


def test_a_report_of_what_is_stored_here_is_complete_at_once(ready):
    held = tell(ready, report_of(ready, truth(ready)))
    assert held.is_complete
    assert ready.place(LIAR) in ready.closer(0).gatherer.complete()


def test_the_same_report_twice_is_one(ready):
    for _ in range(3):
        tell(ready, report_of(ready, truth(ready)))
    assert len(ready.closer(0).gatherer.held) == 2


def test_a_body_without_its_header_comes_from_whoever_saw_the_same(ready):
    held = tell(ready, report_of(ready, truth(ready), has_body=False))
    assert held.is_complete, "our own report has the same root"
    assert not asked(ready, WantChunk)


def test_a_body_that_nobody_has_is_fetched_from_the_reporter_and_then_from_the_others(ready):
    found = truth(ready)
    found.heads.clear()
    held = tell(ready, report_of(ready, found, has_body=False))
    tell(ready, report_of(ready, found, has_body=False))
    assert asked(ready, WantChunk) == [(LIAR, WantChunk(held.assembly.root, 0))]
    ready.lose()
    targets = []
    for _ in range(4):
        ready.closer(0).gatherer.tick()
        ready.flush(0)
        targets += [target for target, _ in asked(ready, WantChunk)]
        ready.lose()
    assert len(set(targets)) == 3, "everybody in turn; what one asks oneself goes nowhere"
    data, branch = found.chunks().part(0)
    tell(ready, Chunk(held.assembly.root, 0, 1, data, tuple(branch)), agent=1)
    assert held.is_complete


def test_a_large_body_comes_chunk_by_chunk(ready):
    found = _large(ready)
    chunks = found.chunks()
    assert chunks.size > 1
    held = tell(ready, report_of(ready, found))
    for index in range(chunks.size):
        assert asked(ready, WantChunk)[-1][1].index == index
        data, branch = chunks.part(index)
        tell(ready, Chunk(chunks.root, index, chunks.size, data, tuple(branch)))
    assert held.findings == found
    assert ready.closer(0).gatherer.find(chunks.root) is held.chunks
    ready.lose()
    ready.say(1, 0, WantChunk(chunks.root, 1))
    (answer,) = [mail.message for mail in ready.post if isinstance(mail.message, Chunk)]
    assert answer.data == chunks.parts[1], "and everybody can have it from us"


def _large(stage):
    found = truth(stage)
    for number in range(700):
        found.claims[digest(number.to_bytes(4, "big"))] = b"x" * 60
    return found


def test_a_chunk_of_another_object_is_refused(ready):
    held = tell(ready, report_of(ready, Findings(), has_body=False))
    tell(ready, Chunk(held.assembly.root, 0, 1, b"other", ()))
    tell(ready, Chunk(digest(b"unknown"), 0, 1, b"other", ()))
    assert ready.faults(0) == ["bad_branch"]
    assert held.findings is None


def test_a_body_of_another_report_is_refused(ready):
    message = report_of(ready, truth(ready))
    tell(ready, ReportMsg(message.header, message.signature, Findings({b"k" * 32: (1, b"e" * 32)}).encode()))
    assert ready.faults(0) == ["bad_digest"]


def test_entries_that_a_report_names_are_fetched(stage):
    stage.submit(EMIL, Transfer(stage.key(0), TOKEN, b""))
    stage.settle(but=lambda mail: mail.target == 0)
    stage.lose()
    stage.fire("pace", 0)
    stage.fire("grace", 0)
    stage.lose()
    heads = stage.core(1).chain.book.moved()
    held = tell(stage, report_of(stage, Findings(heads)))
    assert not held.is_complete
    assert asked(stage, WantLog) == [(LIAR, WantLog(stage.key(EMIL), 1, 1, 1))]
    stage.settle(but=lambda mail: mail.target != 0 and not isinstance(mail.message, WantLog))
    assert held.is_complete


def test_entries_of_another_epoch_are_none_of_ours(ready):
    tell(ready, Entries(2, ((b"x", b"y"),)))
    assert ready.faults(0) == []
    tell(ready, Entries(1, ((b"x", b"y"),)))
    assert len(ready.faults(0)) == 1


def test_never_too_many_requests_at_a_time(ready):
    found = Findings({digest(b"%d" % n): (1, bytes(32)) for n in range(3 * ASKS_MAX)})
    tell(ready, report_of(ready, found))
    assert len(asked(ready, WantLog)) == ASKS_MAX
    ready.lose()
    ready.closer(0).gatherer.progress()
    ready.flush(0)
    assert asked(ready, WantLog) == [], "what is open is not asked for again before the tick"


# False reports: each is a fault that every honest witness finds


def forged_head(stage):
    found = truth(stage)
    found.heads[stage.key(EMIL)] = (1, digest(b"another entry"))
    return found


def old_head(stage):
    found = truth(stage)
    sealed = stage.core(0).chain.book.sealed
    sealed.put("accounts", stage.key(1), replace(sealed.account(stage.key(1)), seq=3))
    found.heads[stage.key(1)] = (3, bytes(32))
    return found


def junk_evidence(stage):
    found = truth(stage)
    found.add_evidence(b"noise")
    return found


def wrong_claim(stage):
    found = truth(stage)
    found.claims[digest(b"no lock")] = b"key"
    return found


def reporters(stage):
    found = truth(stage)
    found.reporters = {stage.key(0)}
    return found


def unreadable(stage):
    class Noise(Findings):
        def encode(self):
            return b"\0\0\0\1\xc0"

    return Noise()


FALSE = [forged_head, old_head, junk_evidence, wrong_claim, reporters, unreadable]


@pytest.mark.parametrize("make", FALSE)
def test_a_false_report_is_never_complete_and_gets_no_vote(ready, make):
    held = tell(ready, report_of(ready, make(ready)))
    gatherer = ready.closer(0).gatherer
    assert held.fault
    assert ready.place(LIAR) not in gatherer.complete()
    with pytest.raises(Invalid, match="bad_value"):
        gatherer.judge({ready.place(LIAR): held.report.id})
    tell(ready, report_of(ready, make(ready)))
    gatherer.tick()
    ready.flush(0)
    assert not held.is_complete


@pytest.mark.parametrize("make", FALSE)
def test_whatever_a_third_reports_the_rest_close_without_it(stage, make):
    stage.put(EMIL, Transfer(stage.key(0), TOKEN, b""))
    stage.freeze()
    message = report_of(stage, make(stage) if make is not old_head else truth(stage))
    for agent in range(3):
        stage.fire("grace", agent)
        stage.say(LIAR, agent, message)
    stage.crash(LIAR)
    stage.settle()
    for _ in range(3):
        stage.fire("propose")
        stage.fire("slot")
        stage.settle()
    assert stage.epochs() == [2] * 4
    assert stage.account(0).balance == 1_001 * TOKEN


def test_a_claim_of_a_lock_of_this_epoch_needs_its_entry_in_the_same_report(stage):
    stage.put(EMIL, LockOp(stage.key(0), TOKEN, digest(b"key"), 5))
    stage.fire("pace", 0)
    stage.fire("grace", 0)
    (entry,) = stage.core(0).chain.book.stored
    claims = {lock_id(entry, 0): b"key"}
    assert tell(stage, report_of(stage, Findings(truth(stage).heads, claims))).is_complete
    assert (
        tell(stage, report_of(stage, Findings({}, claims), agent=2), agent=2).fault
        == "a claim that opens no lock"
    )
    wrong = Findings(truth(stage).heads, {lock_id(entry, 0): b"other"})
    assert tell(stage, report_of(stage, wrong, agent=1), agent=1).fault


def test_true_evidence_and_a_sealed_lock_are_honest_work(stage):
    stage.put(EMIL, LockOp(stage.key(0), TOKEN, digest(b"key"), 9))
    (entry,) = stage.core(0).chain.book.stored
    stage.close()
    stage.fire("pace", 0)
    stage.fire("grace", 0)
    found = Findings({}, {lock_id(entry, 0): b"key"})
    found.add_evidence(_fork(stage))
    committee = stage.core(0).chain.committee
    report = sign_report(stage.seats[LIAR].keys, stage.network, 2, committee, found.chunks())
    held = tell(stage, ReportMsg(report.payload, report.signature, found.encode()))
    assert held.is_complete


def _fork(stage, name=b""):
    return sample_fork(KeyPair.from_seed(digest(name)), stage.network)


# Many reports of one witness


def variant(stage, number):
    found = truth(stage)
    found.heads[digest(b"%d" % number)] = (1, bytes(32))
    return found


def test_few_reports_of_one_witness_are_kept_unasked(ready):
    for number in range(10):
        tell(ready, report_of(ready, variant(ready, number)))
    assert len(ready.closer(0).gatherer.held) == 1 + REPORTS_PER_MEMBER


def test_a_report_that_a_proposal_names_is_fetched_whatever_else_its_witness_sent(ready):
    for number in range(REPORTS_PER_MEMBER):
        tell(ready, report_of(ready, variant(ready, number)))
    wanted = report_of(ready, truth(ready))
    report = sign_report(
        ready.seats[LIAR].keys, ready.network, 1, ready.core(0).chain.committee, truth(ready).chunks()
    )
    gatherer = ready.closer(0).gatherer
    assert not gatherer.judge({ready.place(LIAR): report.id})
    assert not gatherer.judge({ready.place(LIAR): report.id})
    ready.flush(0)
    assert asked(ready, WantReport) == [(LIAR, WantReport(1, report.id))]
    tell(ready, wanted)
    assert gatherer.judge({ready.place(LIAR): report.id})
    assert list(gatherer.findings({ready.place(LIAR): report.id})) == [ready.key(LIAR)]


def test_a_value_that_gives_a_report_to_another_witness_is_invalid(ready):
    held = tell(ready, report_of(ready, truth(ready)))
    with pytest.raises(Invalid, match="another witness"):
        ready.closer(0).gatherer.judge({ready.place(1): held.report.id})


def test_a_value_is_whole_when_every_report_is(ready):
    whole = tell(ready, report_of(ready, truth(ready)))
    found = truth(ready)
    found.heads[digest(b"x")] = (1, bytes(32))
    partial = tell(ready, report_of(ready, found, agent=1), agent=1)
    value = {ready.place(LIAR): whole.report.id, ready.place(1): partial.report.id}
    assert not ready.closer(0).gatherer.judge(value)


def test_a_report_larger_than_any_honest_one_is_refused(ready):
    tell(ready, report_of(ready, truth(ready), size=REPORT_CHUNKS_MAX + 1))
    assert ready.faults(0) == ["too_large"]
    tell(ready, report_of(ready, truth(ready), size=0))
    assert ready.faults(0) == ["too_large"] * 2
    assert len(ready.closer(0).gatherer.held) == 1


def test_equivocating_reports_do_not_stall_the_close():
    """Each witness is told another report by the liar first; whatever is proposed, everybody can judge it."""
    stage = Stage()
    stage.start()
    stage.settle()
    stage.put(EMIL, Transfer(stage.key(0), TOKEN, b""))
    stage.freeze()
    for agent in range(3):
        stage.fire("grace", agent)
        for number in range(REPORTS_PER_MEMBER):
            found = truth(stage)
            found.add_evidence(_fork(stage, bytes([agent, number])))
            stage.say(LIAR, agent, report_of(stage, found))
    stage.crash(LIAR)
    stage.settle(but=lambda mail: isinstance(mail.message, Ballot))
    stage.settle()
    for _ in range(8):
        for name in ("propose", "tick", "tick", "slot"):
            if stage.epochs() != [2] * 4:
                stage.fire(name)
                stage.settle()
    assert stage.epochs() == [2] * 4
