"""Catching up by a snapshot, when entries are no longer kept: past whoever lies or keeps silent."""

import pytest
from follower_kit import (
    ALMA,
    BRUNO,
    DAVE,
    EMIL,
    FINN,
    GUSTAV,
    HUGE,
    SHORT,
    asked,
    closes,
    follower,
    half_way,
    made_up,
    seal_of,
    stage_without,
)

from troth_node.testing.samples import TOKEN
from troth_protocol.close.follower import PATIENCE_TICKS
from troth_protocol.close.seal import SEAL, SIGNED_SEAL
from troth_protocol.core import EpochOpened, PeerFault
from troth_protocol.log.ops import Transfer
from troth_protocol.wire.chunks import Chunks
from troth_protocol.wire.codec import decode, encode
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import (
    Chunk,
    Gone,
    Hello,
    SealMsg,
    Snapshot,
    WantChunk,
    WantSeals,
    WantSnapshot,
)


def far(count=8, *, absent=(FINN, GUSTAV)):
    """Everybody but Finn has gone on for longer than entries are kept."""
    stage = stage_without(*absent, agents=7, rules=SHORT)
    closes(stage, count)
    assert stage.core(ALMA).chain.archive.find("cuts", SEAL.decode(
        SIGNED_SEAL.decode(seal_of(stage, 1).seal).payload).cut) is None  # fmt: skip
    return stage


def test_whoever_was_away_too_long_jumps_to_a_snapshot():
    stage = far()
    stage.start(FINN)
    stage.settle()
    core = stage.core(FINN)
    assert core.epoch == 9
    assert core.chain.state.root() == stage.core(ALMA).chain.state.root()
    assert stage.notices(FINN, EpochOpened)[-1].closed is None
    closes(stage, 2)
    assert stage.core(FINN).epoch == 11
    stage.crash(FINN)
    stage.start(FINN)
    stage.settle()
    assert stage.core(FINN).epoch == 11, "and stands on its own disk from there"


def test_a_jump_over_more_seals_than_one_answer_brings(monkeypatch):
    monkeypatch.setattr("troth_protocol.close.follower.QUEUE_EPOCHS", 3)
    monkeypatch.setattr("troth_protocol.close.serve.SEALS_PER_ANSWER", 3)
    stage = far(11)
    stage.start(FINN)
    stage.settle()
    assert stage.core(FINN).epoch == 12


def test_a_jump_goes_on_while_epochs_go_by(monkeypatch):
    monkeypatch.setattr("troth_protocol.wire.chunks.CHUNK_BYTES", 500)
    stage = far()
    stage.start(FINN)
    stage.settle(but=lambda mail: isinstance(mail.message, WantChunk) and follower(stage)._jump is not None)
    assert follower(stage)._jump.offer is not None
    assert follower(stage).is_behind()
    hold = lambda mail: isinstance(mail.message, WantChunk) and mail.source == FINN  # noqa: E731
    stage.put(EMIL, Transfer(stage.key(ALMA), TOKEN, b""))
    stage.close(hold)
    stage.settle()
    stage.tick()
    assert set(stage.epochs()) == {10}


def test_a_part_of_a_snapshot_that_comes_twice_is_one(monkeypatch):
    monkeypatch.setattr("troth_protocol.wire.chunks.CHUNK_BYTES", 500)
    stage = jumping()
    (offer,) = [Chunks(stage.core(ALMA).chain.state.encode())]
    stage.say(ALMA, FINN, Snapshot(8, offer.root, offer.size))
    stage.lose()
    data, branch = offer.part(0)
    for _ in range(3):
        stage.say(ALMA, FINN, Chunk(offer.root, 0, offer.size, data, tuple(branch)))
    assert [want.index for _, want in asked(stage, WantChunk)] == [1]


def test_a_jump_waits_while_all_links_are_down():
    stage = jumping()
    for agent in range(5):
        stage.core(FINN).link_down(stage.key(agent))
    stage.fire("tick", FINN)
    assert not asked(stage, WantSeals)
    stage.core(FINN).link_up(stage.key(ALMA))
    stage.say(ALMA, FINN, Hello("x", stage.network, "x", (), 8))
    stage.tick(4)
    assert stage.core(FINN).epoch == 9


def test_every_lost_step_of_a_jump_is_taken_again():
    stage = far()
    stage.start(FINN)
    kinds = [Gone, SealMsg, Snapshot, Chunk]
    for kind in kinds * 2:
        stage.settle(but=lambda mail, kind=kind: isinstance(mail.message, kind))
        stage.lose()
        stage.fire("tick", FINN)
    for _ in range(2 * PATIENCE_TICKS):
        stage.tick()
    assert stage.core(FINN).epoch == 9


def jumping():
    """Finn has followed all seals and asks for a snapshot."""
    stage = far()
    stage.start(FINN)
    stage.settle(but=lambda mail: isinstance(mail.message, WantSnapshot))
    stage.lose()
    assert follower(stage)._jump.at.epoch == 8
    return stage


def test_a_snapshot_that_is_not_the_sealed_state_is_refused_and_its_server_passed_over():
    stage = jumping()
    false = Chunks(b"")
    stage.say(GUSTAV, FINN, Hello("x", stage.network, "x", (), 8))
    stage.say(GUSTAV, FINN, Snapshot(8, false.root, 1))
    stage.say(GUSTAV, FINN, Chunk(false.root, 0, 1, b"", ()))
    assert [fault.code for fault in stage.notices(FINN, PeerFault)][-1] == "bad_snapshot"
    stage.say(GUSTAV, FINN, Snapshot(8, false.root, 1))
    assert follower(stage)._jump.offer is None, "not from him again"
    stage.tick(4)
    assert stage.core(FINN).epoch == 9


def test_a_snapshot_of_another_epoch_is_not_taken():
    stage = jumping()
    stage.say(BRUNO, FINN, Snapshot(7, digest(b"x"), 1))
    stage.say(BRUNO, FINN, Snapshot(HUGE, digest(b"x"), 1))
    assert follower(stage)._jump.offer is None
    stage.tick(4)
    assert stage.core(FINN).epoch == 9


def test_a_snapshot_that_does_not_come_is_asked_of_somebody_else():
    stage = jumping()
    stage.say(GUSTAV, FINN, Hello("x", stage.network, "x", (), 8))
    stage.say(GUSTAV, FINN, Snapshot(8, digest(b"never sent"), 3))
    stage.say(ALMA, FINN, Snapshot(8, digest(b"another"), 3))
    for _ in range(PATIENCE_TICKS + 4):
        stage.fire("tick", FINN)
        stage.settle()
    assert stage.core(FINN).epoch == 9


def test_a_server_that_no_longer_has_it_says_so():
    stage = jumping()
    stage.say(BRUNO, FINN, Snapshot(8, digest(b"x"), 3))
    stage.say(ALMA, FINN, Gone("chunk", 9))
    assert follower(stage)._jump.offer is not None, "that was somebody else"
    stage.say(BRUNO, FINN, Gone("entries", 9))
    assert follower(stage)._jump.offer is not None
    stage.say(BRUNO, FINN, Gone("chunk", 9))
    assert follower(stage)._jump.offer is None
    stage.tick(4)
    assert stage.core(FINN).epoch == 9


def test_a_false_seal_on_the_way_of_a_jump_is_its_senders_fault():
    stage = jumping()
    stage.say(GUSTAV, FINN, made_up(stage, 9))
    stage.say(GUSTAV, FINN, made_up(stage, 20))
    assert [fault.peer for fault in stage.notices(FINN, PeerFault)] == [stage.key(GUSTAV)]
    (signed, _) = decode(encode([seal_of(stage, 8).seal, b""]))
    stage.say(BRUNO, FINN, SealMsg(signed, b"\xc0"))
    stage.tick(4)
    assert stage.core(FINN).epoch == 9


def test_when_nobody_is_left_to_ask_all_are_asked_again():
    stage = jumping()
    follower(stage)._jump.refused = {stage.key(agent) for agent in range(7)}
    stage.tick(4)
    assert stage.core(FINN).epoch == 9


def test_a_silent_peer_does_not_keep_anybody_from_jumping():
    stage = far()
    stage.start(FINN)
    stage.say(GUSTAV, FINN, Hello("x", stage.network, "x", (), 8))
    for _ in range(PATIENCE_TICKS + 4):
        stage.settle()
        stage.fire("tick", FINN)
    stage.settle()
    assert stage.core(FINN).epoch == 9


def test_a_liar_alone_makes_nobody_jump():
    """He claims a far epoch and says that everything is gone; the others deliver."""
    stage = half_way(SHORT)
    stage.say(DAVE, FINN, Hello("x", stage.network, "x", (), HUGE))
    stage.say(DAVE, FINN, Gone("entries", 1))
    stage.fire("tick", FINN)
    stage.settle()
    assert {event.epoch for event in stage.notices(FINN, EpochOpened) if event.closed} == {2, 3, 4}


@pytest.mark.parametrize("absent", [FINN])
def test_a_jump_prunes_what_is_older_than_evidence(absent):
    stage = stage_without(GUSTAV, agents=7, rules=SHORT)
    closes(stage, 2)
    stage.crash(absent)
    closes(stage, 9)
    assert stage.seats[absent].disk.tables["entries"]
    stage.start(absent)
    stage.settle()
    assert stage.core(absent).epoch == 12
    assert not [key for key in stage.seats[absent].disk.tables["entries"] if key < (8).to_bytes(8, "big")]
