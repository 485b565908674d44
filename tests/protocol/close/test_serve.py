"""Every answer is bounded, in bytes and in what it costs; what is not held is said to be gone."""

import pytest

from troth_node.testing.samples import TOKEN
from troth_node.testing.stage import Stage
from troth_protocol.close import serve as module
from troth_protocol.close.seal import SEAL
from troth_protocol.errors import Invalid
from troth_protocol.log.keep import place_key
from troth_protocol.log.ops import Transfer
from troth_protocol.log.state import decode_state
from troth_protocol.wire.chunks import Assembly, Chunks
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import (
    Chunk,
    Gone,
    SealMsg,
    Snapshot,
    WantChunk,
    WantEntries,
    WantLog,
    WantSeals,
    WantSnapshot,
)

ALMA, EMIL = 0, 4
HUGE = 2**53 - 1


@pytest.fixture
def sealed(stage):
    """Two entries of Emil's are sealed in epoch 1, one more is certified in epoch 2."""
    for _ in range(2):
        stage.put(EMIL, Transfer(stage.key(ALMA), TOKEN, b""))
    stage.close()
    stage.put(EMIL, Transfer(stage.key(ALMA), TOKEN, b""))
    return stage


def ask(stage, message):
    """What Alma answers to Emil."""
    stage.lose()
    stage.say(EMIL, ALMA, message)
    return [mail.message for mail in stage.post if (mail.source, mail.target) == (ALMA, EMIL)]


# Logs and entries


def test_entries_of_the_open_epoch_by_place_and_by_id(sealed):
    (answer,) = ask(sealed, WantLog(sealed.key(EMIL), 2, 3, 3))
    assert (answer.epoch, len(answer.items)) == (2, 1)
    (key,) = sealed.core(ALMA).chain.book.stored
    assert ask(sealed, WantEntries(2, (key, digest(b"unknown")))) == [answer]


def test_entries_of_a_sealed_epoch_come_from_the_archive(sealed):
    (answer,) = ask(sealed, WantLog(sealed.key(EMIL), 1, 1, HUGE))
    assert (answer.epoch, len(answer.items)) == (1, 2)
    assert ask(sealed, WantLog(sealed.key(EMIL), 1, 2, 2))[0].items == answer.items[1:]


@pytest.mark.parametrize("want", [(2, 4, 9), (1, 3, HUGE), (9, 1, 1), (HUGE, HUGE, HUGE)])
def test_what_is_not_there_is_gone(sealed, want):
    epoch, first, last = want
    assert ask(sealed, WantLog(sealed.key(EMIL), epoch, first, last)) == [Gone("entries", epoch)]


def test_entries_by_id_are_those_of_the_open_epoch_only(sealed):
    (key,) = sealed.core(ALMA).chain.book.stored
    assert ask(sealed, WantEntries(1, (key,))) == [Gone("entries", 1)]
    assert ask(sealed, WantEntries(2, ())) == [Gone("entries", 2)]


def test_a_range_that_ends_before_it_begins_is_refused(sealed):
    assert ask(sealed, WantLog(sealed.key(EMIL), 2, 3, 2)) == []
    assert sealed.faults(ALMA) == ["bad_range"]


def test_an_answer_is_bounded_in_bytes_but_never_empty(sealed, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_BYTES", 1)
    (answer,) = ask(sealed, WantLog(sealed.key(EMIL), 1, 1, 2))
    assert len(answer.items) == 1


def test_an_archived_entry_that_is_damaged_is_not_passed_on(sealed):
    disk = sealed.seats[ALMA].disk
    disk.tables["entries"][place_key(1, sealed.key(EMIL), 1)] = b"\x90"
    assert ask(sealed, WantLog(sealed.key(EMIL), 1, 1, 2)) == []


# Seals


def test_seals_from_an_epoch_on():
    stage = Stage()
    stage.start()
    stage.settle()
    for _ in range(3):
        stage.close()
    answers = ask(stage, WantSeals(2))
    assert [type(answer) for answer in answers] == [SealMsg] * 2
    assert ask(stage, WantSeals(4)) == []
    assert ask(stage, WantSeals(HUGE)) == []
    assert ask(stage, WantSeals(0)) == [Gone("seals", 0)]


def test_seals_that_are_not_held_are_gone(sealed):
    del sealed.seats[ALMA].disk.tables["seals"]
    assert ask(sealed, WantSeals(1)) == [Gone("seals", 1)]


def test_seals_are_bounded_in_number_and_bytes(stage, monkeypatch):
    for _ in range(3):
        stage.close()
    monkeypatch.setattr(module, "SEALS_PER_ANSWER", 2)
    assert len(ask(stage, WantSeals(1))) == 2
    size = sum(len(answer.seal) + len(answer.committee) for answer in ask(stage, WantSeals(1)))
    monkeypatch.setattr(module, "ANSWER_BYTES", size - 1)
    assert len(ask(stage, WantSeals(1))) == 1


# Large objects


def test_chunks_of_a_cut_from_the_archive(sealed):
    root = SEAL.decode(sealed.core(ALMA).chain.seal(1)[0].payload).cut
    (answer,) = ask(sealed, WantChunk(root, 0))
    assert Assembly(root, answer.size).add(0, answer.data, answer.branch)
    sealed.crash(ALMA)
    sealed.start(ALMA)
    sealed.settle()
    assert ask(sealed, WantChunk(root, 0)) == [answer], "after a restart from the disk alone"
    assert ask(sealed, WantChunk(root, 0)) == [answer]
    assert ask(sealed, WantChunk(root, 1)) == [Gone("chunk", 2)]
    assert ask(sealed, WantChunk(digest(b"unknown"), 0)) == [Gone("chunk", 2)]


def test_a_snapshot_is_the_newest_sealed_state(sealed):
    (offer,) = ask(sealed, WantSnapshot(1))
    assert (type(offer), offer.epoch) == (Snapshot, 1)
    (answer,) = ask(sealed, WantChunk(offer.root, 0))
    assert isinstance(answer, Chunk)
    assert decode_state(answer.data).root() == sealed.core(ALMA).chain.state.root()


def test_before_the_first_seal_there_is_no_snapshot(stage):
    assert ask(stage, WantSnapshot(0)) == [Gone("snapshot", 0)]


def test_a_snapshot_is_made_once_an_epoch(sealed, monkeypatch):
    made = []
    kind = type(sealed.core(ALMA).chain.state)
    encode = kind.encode
    monkeypatch.setattr(kind, "encode", lambda state: made.append(1) or encode(state))
    for _ in range(5):
        ask(sealed, WantSnapshot(1))
    assert len(made) == 1


def test_the_shelf_is_bounded_in_bytes(stage, monkeypatch):
    monkeypatch.setattr(module, "SHELF_MAX_BYTES", 100)
    server = stage.core(ALMA).server
    objects = [Chunks(bytes([n]) * 40) for n in range(4)]
    for item in objects:
        server.shelve(item)
    server.shelve(objects[2])
    server.shelve(objects[0])
    held = [item for item in objects if server.find(item.root) is not None]
    assert held == [objects[0], objects[2]], "the oldest leave first"
    large = Chunks(bytes(500))
    server.shelve(large)
    assert server.find(large.root) is large, "the newest always stays"


def test_old_cuts_push_nothing_off_the_shelf(sealed):
    server = sealed.core(ALMA).server
    before = dict(server._shelf)
    for number in range(20):
        data = bytes([number])
        sealed.seats[ALMA].disk.tables["cuts"][Chunks(data).root] = data
        assert server.find(Chunks(data).root).data == data
    assert dict(server._shelf) == before


def test_nothing_a_peer_asks_for_raises_anything_but_invalid(sealed):
    for message in (WantLog(bytes(32), HUGE, 0, HUGE), WantSeals(HUGE), WantChunk(bytes(32), 10**6)):
        sealed.say(EMIL, ALMA, message)
    with pytest.raises(Invalid):
        sealed.core(ALMA).server.log(b"", WantLog(bytes(32), 1, 2, 1))
