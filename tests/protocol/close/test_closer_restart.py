"""A witness that restarts in the middle of a close: no step is undone, none is done otherwise."""

import pytest

from troth_node.testing.samples import TOKEN
from troth_protocol.errors import TrothError
from troth_protocol.log.author import Finalized
from troth_protocol.log.keep import epoch_key
from troth_protocol.log.ops import Transfer
from troth_protocol.wire.codec import encode
from troth_protocol.wire.messages import Ballot, Certified, SealMsg, SealVote, StoredAck, Submit, VoteFor

EMIL = 4
PHASES = {
    "open": [],
    "stopped": ["pace"],
    "reported": ["pace", "grace"],
    "proposed": ["pace", "grace", "propose"],
}


def play_to(stage, phase, kinds=()):
    """Play to a phase; frames of these kinds are held back."""
    for name in PHASES[phase]:
        stage.fire(name)
        stage.settle(but=lambda mail: isinstance(mail.message, kinds))


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("who", [(0,), (1, 2), (0, 1, 2, 3)])
def test_a_restart_in_any_phase_goes_on_without_a_second_word(stage, phase, who):
    stage.put(EMIL, Transfer(stage.key(0), TOKEN, b""))
    play_to(stage, phase, (SealVote, SealMsg) if phase == "proposed" else (Ballot,))
    reports = {agent: _own_report(stage, agent) for agent in who}
    stage.crash(*who)
    stage.lose()
    stage.start(*who)
    stage.settle()
    _finish(stage)
    assert set(stage.epochs()) == {2}
    for agent, before in reports.items():
        assert before in (None, _own_report(stage, agent))
    assert stage.account(0, at=EMIL).balance == 1_001 * TOKEN


def _own_report(stage, agent):
    return stage.seats[agent].disk.find("close", epoch_key(1) + b"report")


def _finish(stage):
    for _ in range(8):
        for name in ("pace", "grace", "propose", "tick", "tick", "slot"):
            if set(stage.epochs()) != {2}:
                stage.fire(name)
                stage.settle()


def test_after_the_stop_a_restarted_witness_votes_no_more(stage):
    stage.freeze()
    stage.crash(0)
    stage.start(0)
    stage.settle()
    assert stage.core(0).witness.is_stopped
    stage.say(EMIL, 0, Submit(stage.entry(EMIL, Transfer(stage.key(0), 1, b"")).data))
    assert not stage.mails(VoteFor, 0)


def test_after_the_report_a_restarted_witness_acknowledges_no_more(stage):
    stage.submit(EMIL, Transfer(stage.key(1), 1, b""))
    stage.settle(but=lambda mail: isinstance(mail.message, Certified))
    held = [mail for mail in stage.post if mail.target == 0]
    stage.lose()
    stage.fire("pace", 0)
    stage.fire("grace", 0)
    stage.crash(0)
    stage.start(0)
    stage.settle(but=lambda mail: isinstance(mail.message, Certified))
    stage.lose()
    for mail in held:
        stage.deliver(mail)
    assert stage.core(0).chain.book.stored, "stored it is"
    assert not stage.mails(StoredAck, 0)


def test_a_report_whose_body_is_lost_stops_the_restart(stage):
    stage.put(EMIL, Transfer(stage.key(0), TOKEN, b""))
    stage.freeze()
    stage.fire("grace")
    stage.crash(0)
    stage.seats[0].disk.tables["cuts"].clear()
    with pytest.raises(TrothError, match="restore from peers"):
        stage.start(0)
        stage.settle()


def test_a_report_row_that_is_damaged_stops_the_restart(stage):
    stage.freeze()
    stage.fire("grace")
    stage.crash(0)
    stage.seats[0].disk.tables["close"][epoch_key(1) + b"report"] = encode([b"x"])
    with pytest.raises(TrothError, match="damaged"):
        stage.start(0)
        stage.settle()


def test_final_entries_of_before_the_crash_are_in_the_cut(stage):
    stage.put(EMIL, Transfer(stage.key(0), TOKEN, b""))
    assert stage.notices(EMIL, Finalized)
    stage.crash(*range(5))
    stage.start()
    stage.settle()
    stage.close()
    assert stage.account(0).balance == 1_001 * TOKEN
