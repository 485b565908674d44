"""Evidence in waiting: one piece for each offence, on disk and before all peers, until it is punished or too old."""

from dataclasses import replace

import pytest

from troth_node.testing.samples import RULES, TOKEN, sample_fork, sample_misdelivery
from troth_node.testing.stage import Stage
from troth_protocol.close.docket import EVIDENCE_TABLE, SHOWN_MAX, TAKEN_MAX, Accusation
from troth_protocol.close.findings import EVIDENCE_MAX
from troth_protocol.core import PeerFault
from troth_protocol.log.author import Refused
from troth_protocol.log.ops import Transfer
from troth_protocol.log.rows import Claim, Lock
from troth_protocol.wire.crypto import KeyPair, digest
from troth_protocol.wire.messages import EvidenceMsg, Refuse

ALMA, BRUNO, CARLA, DAVE, EMIL, FINN = range(6)


@pytest.fixture
def stage():
    stage = Stage(agents=6)
    stage.start()
    stage.settle()
    return stage


def fork(stage, agent=FINN, epoch=1, seq=9, keys=None):
    """Evidence against an agent that signed two entries at one place."""
    return sample_fork(keys or stage.seats[agent].keys, stage.network, epoch=epoch, seq=seq)


def is_evidence(mail):
    return isinstance(mail.message, EvidenceMsg)


def shown(stage):
    """(from, to) of evidence that was sent, in order."""
    return [(mail.source, mail.target) for mail in stage.mails(EvidenceMsg)]


def held(stage, agent):
    """What is on an agent's disk."""
    return [data for _, data in stage.seats[agent].disk.scan(EVIDENCE_TABLE, b"")]


def everybody(stage):
    return [held(stage, agent) for agent in range(6)]


def junk_sold(stage, number, buyer=EMIL):
    """Evidence that FINN sold junk, under the key of this number."""
    return sample_misdelivery(stage.seats[FINN].keys, stage.network, stage.key(buyer), bytes([number]) * 32)


def claim(stage, agent, number):
    """In the sealed state that this agent has, that key was claimed."""
    state, key = stage.core(agent).chain.state, bytes([number]) * 32
    state.put("locks", key, Lock(stage.key(EMIL), stage.key(FINN), TOKEN, digest(key), 9))
    state.put("claims", key, Claim(key, 0))


# From one to all


def test_what_one_agent_noticed_everybody_holds(stage):
    evidence = fork(stage)
    stage.core(EMIL).accuse(evidence)
    stage.flush(EMIL)
    stage.settle()
    assert everybody(stage) == [[evidence]] * 6
    assert all(stage.core(agent).docket.due() == [evidence] for agent in range(6))


def test_each_shows_it_once_on_each_link_but_that_from_which_it_came(stage):
    stage.core(EMIL).accuse(fork(stage))
    stage.flush(EMIL)
    stage.settle()
    links = shown(stage)
    assert len(links) == len(set(links))
    assert {target for source, target in links if source == EMIL} == {ALMA, BRUNO, CARLA, DAVE, FINN}
    before = len(links)
    stage.say(ALMA, BRUNO, EvidenceMsg(fork(stage)))
    stage.settle()
    assert len(shown(stage)) == before


def test_only_who_noticed_it_accuses_in_its_log_and_only_if_it_is_no_witness(stage):
    for noticed, by in ((FINN, EMIL), (EMIL, ALMA)):
        stage.core(by).accuse(fork(stage, noticed))
        stage.flush(by)
    stage.settle()
    heads = [stage.core(ALMA).chain.book.head(stage.key(agent))[0] for agent in range(6)]
    assert heads == [0, 0, 0, 0, 1, 0]


def test_whoever_cannot_pay_for_an_accusation_still_shows_the_evidence(stage):
    stage.put(EMIL, Transfer(stage.key(ALMA), 1_000 * TOKEN - RULES.fee, b""))
    stage.core(EMIL).accuse(fork(stage))
    stage.flush(EMIL)
    stage.settle()
    assert [refused.code for refused in stage.notices(EMIL, Refused)] == ["insufficient_balance"]
    assert everybody(stage) == [[fork(stage)]] * 6


def test_each_misdelivery_is_held_as_long_as_its_price_can_return(stage):
    docket, proofs = stage.core(EMIL).docket, [junk_sold(stage, number) for number in range(3)]
    for number in (0, 1):
        claim(stage, EMIL, number)
    assert [docket.accuse(data) for data in proofs] == [True, True, False]
    assert sorted(docket.due()) == sorted(proofs[:2]), "two by one seller"
    stage.core(EMIL).chain.state.drop("claims", bytes(32))
    docket.opened()
    assert docket.due() == proofs[1:2]


def test_a_close_punishes_it_and_everybody_forgets_it(stage):
    stage.core(EMIL).accuse(fork(stage))
    stage.flush(EMIL)
    stage.settle()
    stage.close()
    assert stage.account(FINN).offences == 1
    assert everybody(stage) == [[]] * 6
    sent = len(shown(stage))
    stage.say(ALMA, BRUNO, EvidenceMsg(fork(stage)))
    stage.settle()
    assert len(shown(stage)) == sent, "it was punished, so nobody passes it on"


# When messages and power fail


def test_what_was_lost_is_shown_again_in_the_next_epoch(stage):
    stage.core(EMIL).docket.accuse(fork(stage))
    stage.flush(EMIL)
    stage.lose(is_evidence)
    stage.close()
    assert everybody(stage) == [[fork(stage)]] * 6
    stage.close()
    assert stage.account(FINN).offences == 1


def test_a_crash_loses_no_evidence_and_a_new_link_is_shown_it(stage):
    stage.core(EMIL).docket.accuse(fork(stage))
    stage.flush(EMIL)
    stage.crash(EMIL)
    assert held(stage, ALMA) == []
    stage.start(EMIL)
    stage.settle()
    assert everybody(stage) == [[fork(stage)]] * 6


def test_a_damaged_row_proves_nothing_and_is_forgotten(stage):
    stage.core(EMIL).docket.accuse(fork(stage))
    stage.flush(EMIL)
    stage.crash(EMIL)
    rows = stage.seats[EMIL].disk.tables[EVIDENCE_TABLE]
    for key in rows:
        rows[key] = rows[key][:-1] + b"\x00"
    stage.start(EMIL)
    stage.settle()
    assert everybody(stage) == [[]] * 6


def test_evidence_has_an_age():
    stage = Stage(agents=6, rules=replace(RULES, evidence_epochs=2))
    stage.start()
    stage.settle()
    stage.core(EMIL).docket.accuse(fork(stage))
    stage.flush(EMIL)
    for epoch in (1, 2, 3):
        assert held(stage, EMIL) == [fork(stage)], epoch
        stage.lose(is_evidence)
        stage.close(but=is_evidence)
    assert held(stage, EMIL) == []


def test_no_witness_votes_for_a_log_that_forked_whoever_saw_it_and_whoever_crashed(stage):
    stage.core(EMIL).docket.accuse(fork(stage))
    stage.flush(EMIL)
    stage.settle()
    stage.crash(ALMA)
    stage.start(ALMA)
    stage.settle()
    stage.put(FINN, Transfer(stage.key(ALMA), 1, b""))
    refused = [mail for mail in stage.mails(Refuse) if mail.target == FINN]
    assert {(mail.source, mail.message.code) for mail in refused} == {(agent, "frozen") for agent in range(4)}
    stage.close()
    stage.put(FINN, Transfer(stage.key(ALMA), 1, b""))
    assert stage.core(ALMA).chain.book.head(stage.key(FINN))[0] > 0, "it resumed"


def test_a_fork_of_another_epoch_stops_nobody_now(stage):
    stage.close()
    stage.core(EMIL).docket.accuse(fork(stage))
    assert stage.core(EMIL).docket.forked() == {}


# What is not taken in


def test_a_peer_that_sends_what_proves_nothing_is_at_fault(stage):
    stage.say(DAVE, ALMA, EvidenceMsg(b"noise"))
    stage.say(DAVE, ALMA, EvidenceMsg(fork(stage)[:-1] + b"\x00"))
    assert len(stage.notices(ALMA, PeerFault)) == 2
    assert held(stage, ALMA) == []
    assert shown(stage) == []


def test_nobody_passes_on_what_is_too_old_too_early_or_about_strangers(stage):
    stranger = KeyPair.from_seed(bytes(32))
    for evidence in (fork(stage, epoch=3), fork(stage, keys=stranger)):
        stage.say(DAVE, ALMA, EvidenceMsg(evidence))
    assert held(stage, ALMA) == []
    assert stage.notices(ALMA, PeerFault) == []


def test_evidence_of_the_next_epoch_waits_for_it(stage):
    stage.say(DAVE, ALMA, EvidenceMsg(fork(stage, epoch=2)))
    stage.settle()
    assert stage.core(ALMA).docket.due() == []
    stage.close()
    assert stage.account(FINN).offences == 0
    assert stage.core(ALMA).docket.due() == [fork(stage, epoch=2)]
    stage.close()
    assert stage.account(FINN).offences == 1


def test_one_piece_is_kept_for_each_offence(stage):
    stage.say(DAVE, ALMA, EvidenceMsg(fork(stage, seq=3)))
    stage.say(DAVE, ALMA, EvidenceMsg(fork(stage, seq=4)))
    assert held(stage, ALMA) == [fork(stage, seq=3)]
    assert [a.peer for a in stage.notices(ALMA, Accusation)] == [stage.key(DAVE)]


def test_where_there_is_no_room_whoever_has_more_to_lose_comes_first(stage, monkeypatch):
    assert EVIDENCE_MAX > 2
    monkeypatch.setattr("troth_protocol.close.docket.EVIDENCE_MAX", 2)
    docket = stage.core(ALMA).docket
    assert docket.accuse(fork(stage, EMIL))
    assert docket.accuse(fork(stage, FINN))
    assert docket.accuse(fork(stage, DAVE)), "a witness has a bond"
    assert docket.accuse(fork(stage, CARLA))
    assert not docket.accuse(fork(stage, EMIL))
    stage.flush(ALMA)
    assert sorted(held(stage, ALMA)) == sorted([fork(stage, DAVE), fork(stage, CARLA)])


def test_a_peer_is_heard_so_often_in_one_epoch(stage, monkeypatch):
    assert TAKEN_MAX == 2 * EVIDENCE_MAX == 2 * SHOWN_MAX
    monkeypatch.setattr("troth_protocol.close.docket.TAKEN_MAX", 2)
    for seq in (3, 4, 5):
        stage.say(DAVE, ALMA, EvidenceMsg(fork(stage, FINN, seq=seq)))
    stage.say(DAVE, ALMA, EvidenceMsg(fork(stage, EMIL)))
    assert held(stage, ALMA) == [fork(stage, FINN, seq=3)]
    stage.say(CARLA, ALMA, EvidenceMsg(fork(stage, EMIL)))
    assert len(held(stage, ALMA)) == 2


def test_a_peer_is_told_so_often_in_one_epoch(stage, monkeypatch):
    monkeypatch.setattr("troth_protocol.close.docket.SHOWN_MAX", 1)
    for agent in (FINN, DAVE):
        stage.core(EMIL).docket.accuse(fork(stage, agent))
    stage.flush(EMIL)
    assert told(stage) == {fork(stage, FINN)}
    stage.lose()
    stage.close(but=is_evidence)
    assert told(stage) == {fork(stage, DAVE)}, "again in each epoch, and first whoever has most to lose"


def told(stage):
    """The evidence on its way."""
    return {mail.message.evidence for mail in stage.post if is_evidence(mail)}
