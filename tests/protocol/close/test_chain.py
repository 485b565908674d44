"""The chain on disk: what a restart takes back, what it refuses, what is forgotten, and what a seal must equal."""

from dataclasses import replace

import pytest

from troth_node.testing.samples import RULES, TOKEN, sample_fork
from troth_node.testing.stage import Stage
from troth_node.testing.world import Disk
from troth_protocol.close.chain import PRUNE_LAG_EPOCHS, PRUNED, Chain
from troth_protocol.close.findings import Findings
from troth_protocol.close.report import REPORT_HEADER
from troth_protocol.close.seal import SEAL, SIGNED_SEAL
from troth_protocol.effects import Effects, Erase, Persist
from troth_protocol.errors import FaultBoundBroken, Invalid, TrothError
from troth_protocol.log.committee import load_committee
from troth_protocol.log.keep import epoch_key, place_key
from troth_protocol.log.ops import AuctionOp, BidOp, BidReveal, CommitOp, LockOp, Transfer
from troth_protocol.log.sealed import auction_id, bid_digest, commit_id, question_id
from troth_protocol.wire.chunks import unpack_rows
from troth_protocol.wire.codec import decode, encode
from troth_protocol.wire.crypto import digest

ALMA, EMIL = 0, 4


def write(disk, out):
    for effect in out.drain():
        assert isinstance(effect, Persist | Erase)
        disk.write(effect)


def again(stage, agent=ALMA):
    """A chain read back from an agent's disk."""
    return Chain(stage.genesis, Effects(), stage.seats[agent].disk)


def pay(stage, *, deps=()):
    stage.put(EMIL, Transfer(stage.key(ALMA), TOKEN, b""), deps=deps)


@pytest.fixture
def sealed(stage):
    """Epoch 1 is sealed with a payment in it; one more is certified in epoch 2."""
    pay(stage)
    stage.close()
    pay(stage)
    return stage


# Reading back


def test_a_restart_takes_up_the_sealed_state_and_the_open_book(sealed):
    chain, running = again(sealed), sealed.core(ALMA).chain
    assert (chain.epoch, chain.prev, chain.committee) == (2, running.prev, running.committee)
    assert chain.state.root() == running.state.root()
    assert chain.book.moved() == running.book.moved()


def test_before_the_first_seal_it_is_the_genesis_again(stage):
    pay(stage)
    chain = again(stage)
    assert chain.epoch == 1
    assert len(chain.book.stored) == 1


def test_the_state_on_disk_is_the_one_that_the_seal_names(sealed):
    tables = sealed.seats[ALMA].disk.tables
    rows = dict(tables["state"])
    key = next(key for key in rows if key.startswith(b"accounts/"))
    for damage in (encode([b"x"]), None):
        tables["state"] = {other: row for other, row in rows.items() if other != key}
        if damage is not None:
            tables["state"][key] = damage
        with pytest.raises(TrothError):
            again(sealed)


def test_a_seal_that_is_lost_or_damaged_stops_the_start(sealed):
    tables = sealed.seats[ALMA].disk.tables
    tables["seals"][epoch_key(1)] = encode([b"x"])
    with pytest.raises(Invalid, match="bad_row"):
        again(sealed)
    del tables["seals"][epoch_key(1)]
    with pytest.raises(TrothError, match="newest seal"):
        again(sealed)


def test_entries_come_back_whatever_their_order(stage):
    """Alma relies on Emil's payment: whichever key is smaller, one of the two rows comes too early."""
    pay(stage)
    (credit,) = stage.core(ALMA).chain.book.stored
    stage.put(ALMA, Transfer(stage.key(EMIL), 1_000 * TOKEN, b""), deps=(credit,))
    pay(stage)
    chain = again(stage)
    assert set(chain.book.stored) == set(stage.core(ALMA).chain.book.stored)
    assert len(chain.book.stored) == 3
    mirrored = Disk()
    mirrored.tables = dict(stage.seats[ALMA].disk.tables)
    mirrored.scan = lambda table, prefix: list(reversed(Disk.scan(mirrored, table, prefix)))
    assert set(Chain(stage.genesis, Effects(), mirrored).book.stored) == set(chain.book.stored)


def test_entries_without_what_they_rely_on_stop_the_start(stage):
    pay(stage)
    pay(stage)
    del stage.seats[ALMA].disk.tables["entries"][place_key(1, stage.key(EMIL), 1)]
    with pytest.raises(TrothError, match="restore from peers"):
        again(stage)


def test_an_entry_that_is_damaged_stops_the_start(stage):
    pay(stage)
    rows = stage.seats[ALMA].disk.tables["entries"]
    (key,) = rows
    rows[key] = rows[key][:-1] + b"\0"
    with pytest.raises(Invalid):
        again(stage)


# Cuts and seals


def test_a_cut_that_names_another_entry_breaks_the_fault_bound(sealed):
    chain = again(sealed)
    (author, (seq, entry)), *_ = chain.book.moved().items()
    assert list(chain.logs(Findings({author: (seq, entry)}))) == [author]
    for head in ((seq, digest(b"another")), (1, entry)):
        with pytest.raises(FaultBoundBroken, match="another entry"):
            chain.logs(Findings({author: head}))
    with pytest.raises(Invalid, match="missing"):
        chain.logs(Findings({author: (seq + 1, entry)}))


def test_only_the_seal_of_what_was_computed_here_is_taken(sealed):
    chain = again(sealed)
    cut = Findings()
    closed = chain.close(cut, {})
    payload = chain.draft(closed, cut.chunks())
    signed = again(sealed).seal(1)[0]
    other = SEAL.encode(replace(SEAL.decode(payload), state=digest(b"other")))
    with pytest.raises(FaultBoundBroken, match="differs"):
        chain.advance(replace(signed, payload=other), closed, cut.chunks())
    chain.advance(replace(signed, payload=payload), closed, cut.chunks())
    assert chain.epoch == 3
    assert chain.newest is closed


def test_results_are_kept_line_by_line(stage):
    for _ in range(9):
        stage.close()
    rows = list(unpack_rows(stage.seats[ALMA].disk.find("results", epoch_key(8))))
    assert rows[0][0] == "settlement"
    assert {row[0] for row in rows} == {"settlement", "attester"}


def test_offences_are_among_the_results(sealed):
    evidence = sample_fork(sealed.seats[EMIL].keys, sealed.network, epoch=2, seq=9)
    for seat in range(4):
        sealed.core(seat).accuse(evidence)
    sealed.close()
    rows = list(unpack_rows(sealed.seats[ALMA].disk.find("results", epoch_key(2))))
    assert [row[0] for row in rows] == ["offence"]


def test_sales_are_among_the_results(stage):
    """An auction over five epochs of whole nodes; its bids of 7 and 5 open."""
    question, salt = question_id(stage.network, "coin", 0), digest(b"salt")
    name = commit_id(stage.network, stage.key(ALMA), question, salt)
    key = auction_id(stage.network, stage.key(ALMA), name, salt)
    seals = [
        bid_digest(stage.network, stage.key(agent), key, salt, amount) for agent, amount in enumerate((5, 7))
    ]
    stage.put(ALMA, CommitOp(question, salt, 0), AuctionOp(name, 1, seals[0], 9, salt))
    stage.close()
    stage.put(1, BidOp(key, seals[1]))
    stage.close()
    stage.close()
    for agent, amount in enumerate((5, 7)):
        stage.put(agent, BidReveal(key, amount, salt))
    stage.close()
    stage.close()
    rows = list(unpack_rows(stage.seats[ALMA].disk.find("results", epoch_key(5))))
    assert [row[:2] for row in rows] == [["auction", key], ["bid", key]]
    assert rows[0][2]["price"] == "5"


# Forgetting


def test_rows_that_leave_the_state_leave_the_disk(stage):
    stage.put(EMIL, LockOp(stage.key(ALMA), TOKEN, digest(b"key"), 3))
    stage.close()
    assert stage.seats[ALMA].disk.scan("state", b"locks/")
    stage.close()
    stage.close()
    assert not stage.seats[ALMA].disk.scan("state", b"locks/")
    assert again(stage).state.root() == stage.core(ALMA).chain.state.root()


def test_what_no_evidence_can_concern_any_more_is_forgotten():
    stage = Stage(rules=replace(RULES, evidence_epochs=2))
    stage.start()
    stage.settle()
    disk = stage.seats[ALMA].disk
    pay(stage)
    stage.close()
    cut = SEAL.decode(SIGNED_SEAL.decode(decode(disk.find("seals", epoch_key(1)))[0]).payload).cut
    report = REPORT_HEADER.decode(decode(disk.find("close", epoch_key(1) + b"report"))[0]).root
    for _ in range(1 + PRUNE_LAG_EPOCHS):
        pay(stage)
        stage.close()
    assert disk.find("cuts", cut)
    assert all(disk.scan(table, epoch_key(1)) for table in PRUNED if table != "own")
    assert stage.seats[EMIL].disk.scan("own", epoch_key(1))
    stage.close()
    assert not any(disk.scan(table, epoch_key(1)) for table in PRUNED)
    assert not stage.seats[EMIL].disk.scan("own", epoch_key(1))
    assert disk.find("cuts", cut) is None
    assert disk.find("cuts", report) is None
    assert disk.find("seals", epoch_key(1)), "seals stay for ever"
    assert disk.scan("entries", epoch_key(2))


def test_damaged_rows_do_not_keep_a_close_from_forgetting():
    stage = Stage(rules=replace(RULES, evidence_epochs=2))
    stage.start()
    stage.settle()
    stage.close()
    tables = stage.seats[ALMA].disk.tables
    tables["close"][epoch_key(1) + b"report"] = encode([b"x"])
    for _ in range(5):
        stage.close()
    assert stage.epochs() == [7] * 5
    assert not stage.seats[ALMA].disk.scan("close", epoch_key(1))


# Jumping


def test_a_snapshot_is_taken_only_under_its_seal(sealed):
    newest, committee = sealed.core(ALMA).chain.seal(1)
    seal, witnesses = SEAL.decode(newest.payload), load_committee(committee)
    state = sealed.core(ALMA).chain.state
    disk, out = Disk(), Effects()
    chain = Chain(sealed.genesis, out, disk)
    with pytest.raises(Invalid, match="bad_snapshot"):
        chain.adopt(seal, newest, witnesses, chain.state)
    fewer = replace(witnesses, members=witnesses.members[:1])
    with pytest.raises(Invalid, match="bad_snapshot"):
        chain.adopt(seal, newest, fewer, state)
    assert chain.epoch == 1
    chain.adopt(seal, newest, witnesses, state)
    write(disk, out)
    assert chain.epoch == 2
    assert Chain(sealed.genesis, Effects(), disk).prev == sealed.core(ALMA).chain.prev
