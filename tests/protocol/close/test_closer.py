"""One witness's part in a close: freeze, report, agree, execute, seal."""

from dataclasses import replace

import pytest

from troth_node.testing.samples import TOKEN
from troth_node.testing.stage import Stage
from troth_protocol.close.ballots import DOMAINS, MESSAGES, Instance, Statement, VoteMsg
from troth_protocol.close.docket import Accusation
from troth_protocol.close.findings import load_findings
from troth_protocol.close.report import REPORT_HEADER, encode_value
from troth_protocol.close.seal import SEAL, sign_seal
from troth_protocol.core import EpochOpened
from troth_protocol.errors import FaultBoundBroken
from troth_protocol.evidence import entry_fork, verify_evidence
from troth_protocol.log.ops import LockOp, Transfer, Unlock
from troth_protocol.log.rows import Claim
from troth_protocol.log.sealed import lock_id
from troth_protocol.log.vote import CERTIFICATE, Certificate, sign_votes
from troth_protocol.wire.codec import encode
from troth_protocol.wire.crypto import digest, preimage
from troth_protocol.wire.messages import (
    Ballot,
    Certified,
    ReportMsg,
    SealMsg,
    SealVote,
    Submit,
    VoteFor,
    WantReport,
)

WITNESSES = range(4)
EMIL = 4


def votes_for(stage, entry, *agents):
    committee = stage.core(0).chain.committee
    return [
        vote
        for agent in sorted(agents, key=stage.key)
        for vote in sign_votes(
            stage.seats[agent].keys, stage.network, entry.header.epoch, committee, [entry.id]
        )
    ]


# The way through


def test_a_close_in_good_weather(stage):
    stage.put(EMIL, Transfer(stage.key(0), TOKEN, b""))
    stage.close()
    assert stage.epochs() == [2] * 5
    assert stage.account(0, at=EMIL).balance == 1_001 * TOKEN
    assert stage.notices(0, EpochOpened)[-1].closed.entries == 1
    assert len({row for seat in stage.seats for _, row in seat.disk.scan("state", b"accounts")}) == 5


def test_reports_of_a_third_stop_the_others_too(stage):
    first, second, third, _ = WITNESSES
    for agent in (first, second):
        stage.fire("pace", agent)
        stage.fire("grace", agent)
    stage.settle(but=lambda mail: mail.source == second or mail.target != third)
    assert not stage.core(third).witness.is_stopped, "one report is less than a third"
    stage.settle(but=lambda mail: mail.target != third)
    assert stage.core(third).witness.is_stopped


def test_a_second_pacing_timer_changes_nothing_once_reported(stage):
    stage.freeze()
    stage.fire("grace", 0)
    own = stage.closer(0).own
    stage.closer(0).freeze()
    stage.closer(0).report()
    stage.flush(0)
    assert stage.closer(0).own is own


def test_with_one_witness_away_the_rest_go_on_after_a_while(stage):
    stage.crash(3)
    stage.freeze()
    stage.fire("grace")
    stage.settle()
    assert stage.epochs() == [1] * 4, "who else may report is given a moment"
    stage.fire("propose")
    stage.settle()
    assert stage.epochs() == [2] * 4
    attendance = stage.core(0).chain.state.tables["attendance"].rows
    assert attendance[stage.key(3)].missed == 1


def test_a_slot_without_a_leader_is_skipped(stage):
    leader = _leader(stage)
    stage.freeze()
    stage.crash(leader)
    stage.fire("grace")
    stage.settle()
    stage.fire("propose")
    stage.settle()
    assert stage.epochs() == [1] * 4
    for _ in range(3):
        stage.fire("slot")
        stage.settle()
    assert stage.epochs() == [2] * 4


def _leader(stage):
    """Who leads slot 0 of the open epoch's agreement."""
    twin = Stage(genesis=stage.genesis)
    twin.start()
    twin.settle()
    twin.freeze()
    twin.fire("grace")
    twin.settle(but=lambda mail: isinstance(mail.message, Ballot))
    (source,) = {mail.source for mail in twin.post}
    return source


def test_nothing_is_done_twice_by_a_tick(stage):
    stage.tick()
    stage.freeze()
    stage.fire("grace")
    for _ in range(3):
        stage.tick()
    stage.fire("propose")
    stage.settle()
    assert stage.epochs() == [2] * 5
    for agent in WITNESSES:
        headers = {mail.message.header for mail in stage.mails(ReportMsg, agent)}
        mine = [header for header in headers if REPORT_HEADER.decode(header).witness == stage.key(agent)]
        assert len(mine) == 1


def test_what_was_lost_is_said_again(stage):
    stage.freeze()
    stage.fire("grace")
    stage.lose()
    stage.tick()
    stage.lose()
    for _ in range(4):
        stage.tick()
    stage.fire("propose")
    stage.lose()
    for _ in range(6):
        stage.tick()
        stage.fire("slot")
        stage.settle()
    assert set(stage.epochs()) == {2}


def test_seal_votes_that_were_lost_are_said_again(stage):
    stage.close(but=lambda mail: isinstance(mail.message, SealVote))
    assert stage.epochs() == [1] * 5
    stage.lose()
    stage.tick()
    assert stage.epochs() == [2] * 5


def test_a_seal_vote_that_comes_before_the_decision_counts_later(stage):
    slow = 3
    stage.close(but=lambda mail: mail.target == slow and isinstance(mail.message, Ballot))
    assert stage.epochs()[slow] == 2, "it follows the seal"
    late = Stage()
    late.start()
    late.settle()
    late.close(
        but=lambda mail: (
            (mail.target == slow and isinstance(mail.message, Ballot | SealMsg))
            or isinstance(mail.message, SealMsg)
        )
    )
    assert late.epochs() == [2, 2, 2, 1, 1]
    late.settle(but=lambda mail: isinstance(mail.message, SealMsg))
    assert late.epochs() == [2, 2, 2, 2, 1], "its own decision and the votes that waited are enough"


# Claims and evidence in a report


def test_a_report_carries_the_claims_of_votes_that_never_became_certificates(stage):
    stage.put(EMIL, LockOp(stage.key(0), TOKEN, digest(b"key"), 5))
    (own,) = stage.seats[EMIL].disk.scan("own", b"")
    stage.close()
    (key, _), *_ = stage.core(0).chain.state.items("locks", object)
    assert own
    stage.submit(0, Unlock(key, b"key"))
    stage.settle(but=lambda mail: isinstance(mail.message, VoteFor) or mail.target in (1, 2, EMIL))
    stage.lose()
    stage.close()
    assert stage.core(1).chain.state.find("claims", key, Claim).preimage == b"key"


def test_an_unlock_that_comes_after_the_freeze_is_claimed_by_the_reports(stage):
    stage.put(EMIL, LockOp(stage.key(0), TOKEN, digest(b"key"), 5))
    stage.close()
    (key, _), *_ = stage.core(0).chain.state.items("locks", object)
    stage.freeze()
    stage.put(0, Unlock(key, b"key"))
    assert not stage.core(0).chain.book.moved(), "nobody votes any more"
    stage.fire("grace")
    stage.settle()
    stage.fire("propose")
    stage.settle()
    assert stage.core(1).chain.state.find("claims", key, Claim) == Claim(b"key", 2)


def test_a_claim_of_a_lock_of_this_epoch_is_judged_by_its_own_report(stage):
    stage.submit(EMIL, LockOp(stage.key(0), TOKEN, digest(b"key"), 5))
    stage.settle(but=lambda mail: mail.target == 3)
    entry = stage.core(0).chain.book.stored.popitem()[0]
    stage.core(0).chain.book.stored = stage.core(1).chain.book.stored
    key = lock_id(entry, 0)
    stage.lose()
    stage.submit(0, Unlock(key, b"key"), deps=(entry,))
    stage.settle(but=lambda mail: isinstance(mail.message, VoteFor) or mail.target == 3)
    stage.lose()
    stage.close()
    assert set(stage.epochs()) == {2}
    assert stage.core(3).chain.state.find("claims", key, Claim) is not None


def test_a_fork_that_one_witness_saw_is_punished(stage):
    one, two = (
        stage.entry(EMIL, Transfer(stage.key(0), 1, b"")),
        stage.entry(EMIL, Transfer(stage.key(0), 2, b"")),
    )
    for entry in (one, two):
        stage.say(EMIL, 0, Submit(entry.data))
    stage.settle()
    stage.close()
    account = stage.account(EMIL, at=2)
    assert (account.frozen, account.offences) == (True, 1)


def test_evidence_that_missed_the_close_is_in_the_next_report(stage):
    one, two = (
        stage.entry(EMIL, Transfer(stage.key(0), 1, b"")),
        stage.entry(EMIL, Transfer(stage.key(0), 2, b"")),
    )
    stage.freeze()
    stage.fire("grace")
    stage.say(EMIL, 0, Submit(one.data))
    stage.settle()
    stage.core(0).accuse(entry_fork(one.signed, two.signed))
    stage.fire("propose")
    stage.settle()
    assert stage.epochs() == [2] * 5
    assert stage.account(EMIL).offences == 0
    stage.close()
    assert stage.account(EMIL).offences == 1
    stage.close()
    assert stage.account(EMIL).offences == 1, "punished once"
    assert stage.core(0).docket.due() == []


def test_a_vote_shown_for_another_entry_at_an_occupied_place_convicts_its_witness(stage):
    stage.put(EMIL, Transfer(stage.key(0), 1, b""))
    other = stage.entry(EMIL, Transfer(stage.key(0), 2, b""), seq=1)
    bad = Certificate(other.id, 1, tuple(votes_for(stage, other, 3)))
    stage.say(EMIL, 0, Certified(CERTIFICATE.encode(bad), other.data))
    assert stage.faults(0) == ["not_enough_weight"]
    stage.close()
    account = stage.account(3)
    assert (account.offences, account.witness) == (1, 50_000 * TOKEN)
    assert stage.core(0).chain.committee.index(stage.key(3)) is None


def test_made_up_votes_convict_nobody_but_the_author_of_two_entries(stage):
    stage.put(EMIL, Transfer(stage.key(0), 1, b""))
    other = stage.entry(EMIL, Transfer(stage.key(0), 2, b""), seq=1)
    for number in range(3):
        vote = votes_for(stage, other, 3)[0]
        noise = replace(vote, signature=bytes([number]) + vote.signature[1:])
        false = Certificate(other.id, 1, (noise,))
        stage.say(EMIL, 0, Certified(CERTIFICATE.encode(false), other.data))
    (evidence,) = stage.core(0).docket.due()
    assert verify_evidence(evidence, stage.network).offender == stage.key(EMIL)
    stage.close()
    assert [stage.account(agent).offences for agent in (3, EMIL)] == [0, 1]


# What others say


def test_a_seal_vote_is_its_senders_own(stage):
    stage.close(but=lambda mail: isinstance(mail.message, SealVote))
    vote = next(m.message for m in stage.post if m.source == 1)
    stage.say(2, 0, vote)
    stage.say(EMIL, 0, vote)
    assert stage.faults(0) == ["bad_signature", "not_a_member"]


def test_however_many_seals_a_member_signs_one_vote_is_kept(stage):
    stage.freeze()
    stage.fire("grace")
    seal = SEAL.decode(_draft(stage))
    for number in range(50):
        payload = SEAL.encode(seal.__class__(**_fields(seal) | {"state": digest(bytes([number]))}))
        stage.say(3, 0, SealVote(payload, sign_seal(stage.seats[3].keys, stage.network, payload)))
    assert len(stage.closer(0)._seal_votes) == 1
    stage.settle()
    stage.fire("propose")
    stage.settle()
    assert stage.epochs() == [2] * 5


def _fields(seal):
    return {name: getattr(seal, name) for name in seal.__slots__}


def _draft(stage):
    """The seal that the open epoch will get, from a copy of the stage."""
    twin = Stage(genesis=stage.genesis)
    twin.start()
    twin.settle()
    twin.close(but=lambda mail: isinstance(mail.message, SealVote))
    return twin.post[0].message.seal


def test_a_report_is_given_to_whoever_misses_it(stage):
    stage.freeze()
    stage.fire("grace", 0)
    own = stage.closer(0).own
    stage.say(EMIL, 0, WantReport(1, own.id))
    stage.say(EMIL, 0, WantReport(1, digest(b"nothing")))
    answers = [
        mail.message for mail in stage.post if mail.target == EMIL and isinstance(mail.message, ReportMsg)
    ]
    assert [answer.header for answer in answers] == [own.payload]
    assert load_findings(answers[0].body) == stage.closer(0).gatherer.held[own.id].findings


def test_the_tick_repeats_the_header_alone(stage):
    stage.freeze()
    stage.fire("grace")
    stage.lose()
    stage.fire("tick")
    stage.lose()
    stage.fire("tick", 0)
    bodies = [mail.message.body for mail in stage.post if isinstance(mail.message, ReportMsg)]
    assert bodies == [None] * 3


def test_all_values_of_a_proposal_are_encoded_once():
    assert encode_value({1: bytes(32), 0: bytes(32)}) == encode_value({0: bytes(32), 1: bytes(32)})


def test_an_invalid_value_gets_no_vote_but_an_agreed_one_stops_the_node(stage):
    stage.freeze()
    stage.fire("grace")
    stage.settle(but=lambda mail: isinstance(mail.message, Ballot))
    closer = stage.closer(0)
    closer._pending.append(b"\x90")
    closer._judge(b"\x90")
    assert b"\x90" not in closer._pending
    with pytest.raises(FaultBoundBroken, match="invalid value"):
        closer._decide(b"\x90")


def test_what_was_agreed_on_is_fetched_before_it_is_executed(stage):
    slow = 3
    stage.put(EMIL, Transfer(stage.key(0), TOKEN, b""))
    stage.freeze()
    for agent in range(3):
        stage.fire("grace", agent)
    stage.fire("grace", slow)
    stage.settle(but=lambda mail: slow in (mail.target, mail.source))
    stage.fire("propose")
    stage.settle(
        but=lambda mail: (
            (slow in (mail.target, mail.source) and not isinstance(mail.message, Ballot))
            or isinstance(mail.message, SealMsg)
        )
    )
    closer = stage.closer(slow)
    assert closer._decided is not None
    assert closer.result is None
    stage.settle(but=lambda mail: isinstance(mail.message, SealMsg))
    for _ in range(4):
        stage.fire("tick", slow)
        stage.settle(but=lambda mail: isinstance(mail.message, SealMsg))
    assert stage.epochs()[slow] == 2


def test_two_votes_of_one_member_in_one_slot_are_noticed(stage):
    committee = stage.core(0).chain.committee
    instance = Instance(stage.network, 1, committee, 0)
    stage.freeze()
    stage.fire("grace", 0)
    for candidate in (digest(b"one"), digest(b"two")):
        payload = Statement("notarize", 0, candidate).payload(instance)
        signature = stage.seats[3].keys.sign(preimage(DOMAINS["notarize"], stage.network, payload))
        vote = VoteMsg("notarize", payload, stage.place(3), signature)
        stage.say(3, 0, Ballot(1, encode(MESSAGES.dump(vote))))
    ((accusation,),) = [stage.notices(0, Accusation)]
    assert (accusation.proof.kind, accusation.proof.offender) == ("notarize_fork", stage.key(3))
