"""Catching up by seals and certificates, past whoever lies or keeps silent."""

from follower_kit import (
    ALMA,
    BRUNO,
    DAVE,
    EMIL,
    FINN,
    GUSTAV,
    HUGE,
    asked,
    closes,
    follower,
    half_way,
    made_up,
    seal_of,
    stage_without,
)

from troth_node.testing.samples import TOKEN
from troth_protocol.close.follower import QUEUE_EPOCHS, absorb
from troth_protocol.core import EpochOpened, PeerFault
from troth_protocol.log.ops import Transfer
from troth_protocol.log.vote import CERTIFICATE
from troth_protocol.wire.chunks import CHUNK_BYTES
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
)

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


def test_without_anybody_ahead_nothing_is_asked(stage):
    stage.fire("tick", EMIL)
    assert not asked(stage, WantSeals, EMIL)
    follower(stage, EMIL)._send(WantChunk(digest(b"x"), 0))
    stage.flush(EMIL)
    assert not asked(stage, WantChunk, EMIL)
