"""Catching up: by seals and certificates, by a snapshot when that is too late, past whoever lies or keeps silent."""

from dataclasses import replace

import pytest

from troth_node.testing.samples import RULES, TOKEN
from troth_node.testing.stage import Stage
from troth_protocol.close.follower import PATIENCE_TICKS, QUEUE_EPOCHS, absorb
from troth_protocol.close.seal import SEAL, SIGNED_SEAL, Seal, sign_seal
from troth_protocol.core import EpochOpened, PeerFault
from troth_protocol.log.ops import Transfer
from troth_protocol.log.vote import CERTIFICATE
from troth_protocol.wire.chunks import CHUNK_BYTES, Chunks
from troth_protocol.wire.codec import decode, encode
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import (
    Chunk,
    Entries,
    Gone,
    Hello,
    SealMsg,
    Snapshot,
    WantChunk,
    WantLog,
    WantSeals,
    WantSnapshot,
)

ALMA, BRUNO, DAVE, EMIL, FINN, GUSTAV = 0, 1, 3, 4, 5, 6
HUGE = 2**50
SHORT = replace(RULES, evidence_epochs=2)


def stage_without(*absent, agents=6, rules=RULES):
    """A stage on which these agents have not started yet."""
    stage = Stage(agents, 4, rules=rules)
    stage.start(*[agent for agent in range(agents) if agent not in absent])
    stage.settle()
    return stage


def closes(stage, count, *, amount=TOKEN):
    """Epochs with a payment each."""
    for _ in range(count):
        stage.put(EMIL, Transfer(stage.key(ALMA), amount, b""))
        stage.close()


def follower(stage, agent=FINN):
    return stage.core(agent).follower


def asked(stage, kind, agent=FINN):
    """What an agent's frames in the post ask for, and of whom."""
    return [(m.target, m.message) for m in stage.post if m.source == agent and isinstance(m.message, kind)]


def seal_of(stage, epoch):
    (signed, committee) = decode(dict(stage.seats[ALMA].disk.scan("seals", b""))[epoch.to_bytes(8, "big")])
    return SealMsg(signed, committee)


def made_up(stage, epoch, signer=GUSTAV):
    """A seal that one agent signed alone."""
    noise = digest(b"noise")
    payload = SEAL.encode(Seal(stage.network, epoch, noise, noise, noise, noise, noise, noise, 1))
    signature = sign_seal(stage.seats[signer].keys, stage.network, payload)
    return SealMsg(encode({"payload": payload, "signatures": [[0, signature]]}), encode([]))


# By seals and certificates


def test_a_late_joiner_executes_every_close_itself():
    stage = stage_without(FINN)
    closes(stage, 3)
    stage.start(FINN)
    stage.settle()
    assert stage.core(FINN).epoch == 4
    assert stage.core(FINN).chain.state.root() == stage.core(ALMA).chain.state.root()
    closed = [event.closed.entries for event in stage.notices(FINN, EpochOpened) if event.closed]
    assert closed == [1, 1, 1]
    assert not follower(stage).is_behind()


def test_an_empty_epoch_is_followed_too():
    stage = stage_without(FINN)
    stage.close()
    stage.start(FINN)
    stage.settle()
    assert stage.core(FINN).epoch == 2


def test_a_seal_that_was_missed_is_asked_for_at_the_tick(stage):
    stage.close(but=lambda mail: mail.target == EMIL)
    stage.lose()
    stage.close(but=lambda mail: mail.target == EMIL)
    stage.lose()
    assert stage.core(EMIL).epoch == 1
    stage.say(ALMA, EMIL, Hello("x", stage.network, "x", (), 2))
    stage.settle()
    assert stage.core(EMIL).epoch == 3


def test_whatever_was_lost_on_the_way_is_asked_for_again():
    stage = stage_without(FINN)
    closes(stage, 3)
    stage.start(FINN)
    kinds = [SealMsg, Chunk, Entries]
    for kind in kinds * 3:
        stage.settle(but=lambda mail, kind=kind: isinstance(mail.message, kind))
        stage.lose()
        stage.fire("tick", FINN)
    for _ in range(4):
        stage.tick()
    assert stage.core(FINN).epoch == 4


def test_a_large_cut_comes_chunk_by_chunk(monkeypatch):
    monkeypatch.setattr("troth_protocol.wire.chunks.CHUNK_BYTES", 40)
    stage = stage_without(FINN)
    closes(stage, 1)
    stage.start(FINN)
    stage.settle()
    assert stage.core(FINN).epoch == 2
    assert len([m for m in stage.sent if isinstance(m.message, Chunk) and m.target == FINN]) > 3
    assert CHUNK_BYTES == 60_000


def test_a_chunk_that_nobody_asked_for_changes_nothing(stage):
    stage.say(BRUNO, EMIL, Chunk(digest(b"x"), 0, 1, b"", ()))
    stage.say(BRUNO, EMIL, Entries(7, ((b"x", b"y"),)))
    stage.say(BRUNO, EMIL, Gone("entries", 1))
    stage.say(BRUNO, EMIL, Snapshot(1, digest(b"x"), 1))
    assert not stage.notices(EMIL, PeerFault)


def test_entries_of_another_epoch_are_passed_over():
    stage = half_way()
    before = len(stage.core(FINN).chain.book.stored)
    stage.say(BRUNO, FINN, Entries(7, ((b"x", b"y"),)))
    assert len(stage.core(FINN).chain.book.stored) == before
    assert not stage.notices(FINN, PeerFault)


def half_way(rules=RULES):
    """Finn knows the seal of epoch 1 and its cut, and has asked for the entries."""
    stage = stage_without(FINN, rules=rules)
    closes(stage, 3)
    stage.start(FINN)
    stage.settle(but=lambda mail: isinstance(mail.message, WantLog))
    assert follower(stage).is_behind()
    return stage


def test_known_entries_once_more_bring_nothing_new():
    stage = half_way()
    ((_, want),) = asked(stage, WantLog)
    assert (want.epoch, want.first, want.last) == (1, 1, 1)
    stage.say(ALMA, FINN, Entries(1, ()))
    assert stage.core(FINN).epoch == 1
    stage.settle()
    assert stage.core(FINN).epoch == 4


def test_a_witness_that_was_away_follows_and_then_closes_again(stage):
    stage.crash(DAVE)
    closes(stage, 2)
    stage.start(DAVE)
    stage.settle()
    assert stage.core(DAVE).epoch == 3
    stage.close()
    assert set(stage.epochs()) == {4}
    assert stage.core(ALMA).chain.state.tables["attendance"].rows[stage.key(DAVE)].missed == 0


def test_absorb_stores_entries_whatever_their_order():
    stage = stage_without(FINN)
    for _ in range(4):
        stage.put(EMIL, Transfer(stage.key(ALMA), TOKEN, b""))
    stored = list(stage.core(ALMA).chain.book.stored.values())
    items = [(item.entry.data, CERTIFICATE.encode(item.certificate)) for item in reversed(stored)]
    stage.start(FINN)
    core = stage.core(FINN)
    absorb(core.chain, core.out, items[:-1])
    assert not core.chain.book.stored, "the first one is missing"
    absorb(core.chain, core.out, items)
    absorb(core.chain, core.out, items)
    assert len(core.chain.book.stored) == 4


def test_many_logs_are_fetched_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr("troth_protocol.close.asks.ASKS_MAX", 1)
    stage = stage_without(FINN)
    for agent in (BRUNO, DAVE, EMIL):
        stage.put(agent, Transfer(stage.key(ALMA), TOKEN, b""))
    stage.close()
    stage.start(FINN)
    stage.settle(but=lambda mail: isinstance(mail.message, WantLog))
    assert len(asked(stage, WantLog)) == 1
    stage.settle()
    assert stage.core(FINN).epoch == 2


# Peers that lie


def test_a_claim_to_be_far_ahead_stalls_nobody():
    """Gustav's key is the smallest of those who claim to be ahead, and he never answers."""
    stage = stage_without(FINN, GUSTAV, agents=7)
    closes(stage, 2)
    stage.start(FINN)
    stage.lose()
    stage.say(GUSTAV, FINN, Hello("x", stage.network, "x", (), HUGE))
    for number in range(3):
        stage.say(GUSTAV, FINN, made_up(stage, HUGE + number))
    assert not follower(stage).is_behind(), "nobody of weight says so"
    for witness in (ALMA, BRUNO):
        stage.say(witness, FINN, Hello("x", stage.network, "x", (), 2))
    assert follower(stage).is_behind(), "two of four witnesses do"
    stage.lose(lambda mail: mail.source == FINN)
    for _ in range(6):
        stage.tick()
    assert stage.core(FINN).epoch == 3


def test_a_false_seal_is_its_senders_fault_and_no_target():
    stage = stage_without(GUSTAV, agents=7)
    stage.say(GUSTAV, FINN, made_up(stage, 1))
    assert [fault.peer for fault in stage.notices(FINN, PeerFault)] == [stage.key(GUSTAV)]
    closes(stage, 1)
    assert stage.core(FINN).epoch == 2


def test_a_false_seal_of_a_later_epoch_waits_and_then_fails_alone():
    stage = stage_without(GUSTAV, agents=7)
    for epoch in (2, 3, 2 + QUEUE_EPOCHS, HUGE):
        stage.say(GUSTAV, FINN, made_up(stage, epoch))
    assert len(follower(stage)._queue) == 2, "only what may come soon is kept"
    closes(stage, 4)
    assert set(stage.epochs()) == {5}
    assert stage.core(FINN).witness is None
    assert not [fault for fault in stage.notices(FINN, PeerFault) if fault.peer != stage.key(GUSTAV)]


def test_a_false_seal_that_waits_at_a_witness_kills_nothing_at_its_own_close():
    stage = stage_without(GUSTAV, agents=7)
    for agent in range(6):
        stage.say(GUSTAV, agent, made_up(stage, 2))
    closes(stage, 2)
    assert set(stage.epochs()) == {3}


def test_the_true_seal_is_found_among_false_ones_that_wait():
    stage = stage_without(FINN, GUSTAV, agents=7)
    closes(stage, 2)
    stage.start(FINN)
    stage.lose()
    stage.say(GUSTAV, FINN, made_up(stage, 2))
    stage.say(BRUNO, FINN, seal_of(stage, 2))
    stage.say(ALMA, FINN, seal_of(stage, 2))
    stage.say(ALMA, FINN, seal_of(stage, 1))
    stage.say(ALMA, FINN, seal_of(stage, 1))
    stage.settle()
    assert stage.core(FINN).epoch == 3


def test_old_seals_are_passed_over(stage):
    closes(stage, 1)
    stage.say(ALMA, EMIL, seal_of(stage, 1))
    assert stage.epochs() == [2] * 5
    assert not stage.notices(EMIL, PeerFault)


def test_whoever_leaves_takes_its_claims_and_seals_along():
    stage = stage_without(GUSTAV, agents=7)
    stage.say(GUSTAV, FINN, made_up(stage, 2))
    stage.core(FINN).link_down(stage.key(GUSTAV))
    assert not any(follower(stage)._queue.values())
    assert stage.key(GUSTAV) not in follower(stage)._sources
    stage.fire("tick", FINN)
    assert not asked(stage, WantSeals)


def test_a_source_that_lacks_something_is_passed_over():
    stage = half_way()
    ((first, want),) = asked(stage, WantLog)
    stage.lose(lambda mail: mail.message == want)
    stage.say(first, FINN, Gone("entries", 1))
    stage.say(first, FINN, Gone("entries", 1))
    ((second, again),) = asked(stage, WantLog)
    assert again == want
    assert second != first
    stage.settle()
    assert stage.core(FINN).epoch == 4


def test_when_all_lack_it_but_not_for_age_they_are_asked_again():
    stage = half_way()
    for source in (ALMA, BRUNO, 2, DAVE, EMIL):
        stage.say(source, FINN, Gone("entries", 1))
    assert follower(stage)._jump is None
    stage.fire("tick", FINN)
    stage.fire("tick", FINN)
    stage.settle()
    assert stage.core(FINN).epoch == 4


# By a snapshot


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


def test_without_anybody_ahead_nothing_is_asked(stage):
    stage.fire("tick", EMIL)
    assert not asked(stage, WantSeals, EMIL)
    follower(stage, EMIL)._send(WantChunk(digest(b"x"), 0))
    stage.flush(EMIL)
    assert not asked(stage, WantChunk, EMIL)


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
