"""The witness: one vote at a place, on disk before it leaves; stored before acknowledged; nothing after the freeze."""

from dataclasses import replace

import pytest

from troth_node.testing.ledger import Ledger, persisted, sent
from troth_protocol.effects import Effects, Persist, Send
from troth_protocol.errors import FaultBoundBroken, Invalid
from troth_protocol.evidence import entry_fork, verify_evidence
from troth_protocol.log.entry import load_entry
from troth_protocol.log.keep import place_key, unpack_stored, unpack_vote
from troth_protocol.log.ops import Bond, LockOp, Resume, Transfer, Unlock
from troth_protocol.log.sealed import lock_id
from troth_protocol.log.vote import BATCH_MAX, CERTIFICATE, VOTE, verify_vote
from troth_protocol.log.witness import Witness
from troth_protocol.wire.crypto import KeyPair, digest
from troth_protocol.wire.messages import ITEMS_MAX, Refuse, StoredAck, VoteFor

ALICE, BOB, CAROL, DAVE, ERIN, FRANK = range(6)
PEER, OTHER = digest(b"peer"), digest(b"other peer")


@pytest.fixture
def net():
    return Ledger()


@pytest.fixture
def witness(net):
    return net.witness(ALICE)


def said(witness):
    """What leaves at a flush: the messages, in order."""
    witness.flush()
    return [message for _, message in sent(witness.out.drain())]


def ask(witness, entry, peer=PEER):
    """Submit one entry; the answers."""
    witness.submit(peer, entry)
    return said(witness)


def show(witness, certificate, entry=None, peer=PEER):
    """Show one certificate; the answers."""
    witness.certified(peer, certificate, entry)
    return said(witness)


# Votes


def test_a_valid_entry_gets_a_vote(net, witness):
    entry = net.entry(ERIN, Bond(1, "agent"))
    [answer] = ask(witness, entry)
    assert (type(answer), answer.entry) == (VoteFor, entry.id)
    verify_vote(VOTE.decode(answer.vote), entry.id, net.network, 1, net.committee)


def test_the_lock_is_on_disk_before_the_vote_leaves(net, witness):
    entry = net.entry(ERIN, Bond(1, "agent"))
    witness.submit(PEER, entry)
    assert witness.out.drain() == []
    witness.flush()
    write, send = witness.out.drain()
    assert isinstance(write, Persist)
    assert isinstance(send, Send)
    assert (write.table, write.key, write.once) == ("votes", place_key(1, net.key(ERIN), 1), True)
    assert unpack_vote(write.value, net.network) == (entry, witness.votes[entry.id])
    assert send.peer == PEER


def test_a_batch_has_one_signature_and_all_its_locks_first(net, witness):
    entries = [net.entry(agent, Bond(1, "agent")) for agent in range(6)]
    for number, entry in enumerate(entries):
        witness.submit(bytes([number]) * 32, entry)
    witness.flush()
    effects = witness.out.drain()
    assert [type(effect) for effect in effects] == [Persist] * 6 + [Send] * 6
    assert [peer for peer, _ in sent(effects)] == [bytes([number]) * 32 for number in range(6)]
    assert len({vote.signature for vote in witness.votes.values()}) == 1


def test_more_than_a_batch_is_signed_in_several():
    crowd = Ledger(BATCH_MAX + 3, 1)
    witness = crowd.witness(0)
    for agent in range(BATCH_MAX + 3):
        witness.submit(PEER, crowd.entry(agent, Bond(1, "agent")))
    assert [len(message.entries) for message in said(witness)] == [BATCH_MAX, 3]
    assert sorted({vote.size for vote in witness.votes.values()}) == [3, BATCH_MAX]


def test_the_same_entry_again_gets_the_same_vote(net, witness):
    entry = net.entry(ERIN, Bond(1, "agent"))
    first = ask(witness, entry)
    assert ask(witness, entry, OTHER) == first
    assert ask(witness, load_entry(entry.data, net.network)) == first
    assert persisted(witness.out.drain(), "votes") == []


def test_an_entry_that_is_waiting_for_its_batch_is_signed_once(net, witness):
    entry = net.entry(ERIN, Bond(1, "agent"))
    witness.submit(PEER, entry)
    witness.submit(OTHER, entry)
    assert len(said(witness)) == 1
    assert len(ask(witness, entry, OTHER)) == 1


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (lambda net: net.entry(ERIN, Bond(0, "agent")), "bad_amount"),
        (lambda net: net.entry(ERIN, Bond(1, "agent"), epoch=2), "wrong_epoch"),
        (lambda net: net.entry(ERIN, Bond(1, "agent"), seq=3), "wrong_place"),
        (lambda net: net.entry(ERIN, Bond(1, "agent"), incarnation=5), "wrong_incarnation"),
        (lambda net: net.entry(ERIN, Resume(0, bytes(32))), "not_frozen"),
    ],
)
def test_an_invalid_entry_is_refused_and_locks_nothing(net, witness, entry, code):
    wrong = entry(net)
    [answer] = ask(witness, wrong)
    assert (type(answer), answer.entry, answer.code, answer.missing) == (Refuse, wrong.id, code, ())
    assert witness.locks == {}
    assert type(ask(witness, net.entry(ERIN, Bond(1, "agent")))[0]) is VoteFor


def test_what_an_entry_relies_on_is_asked_for(net, witness):
    paid = net.put(BOB, Transfer(net.key(ERIN), 5, b""))
    entry = net.entry(ERIN, Bond(1, "agent"), deps=[paid.id])
    [answer] = ask(witness, entry)
    assert (answer.code, answer.missing) == ("missing", (paid.id,))
    show(witness, net.certify(paid), paid)
    assert type(ask(witness, entry)[0]) is VoteFor


def test_a_successor_waits_until_its_predecessor_is_stored(net, witness):
    first = net.put(ERIN, Bond(1, "agent"))
    second = net.entry(ERIN, Bond(2, "agent"))
    ask(witness, first)
    assert ask(witness, second)[0].missing == (first.id,)
    show(witness, net.certify(first))
    assert type(ask(witness, second)[0]) is VoteFor


# Forks


def test_another_entry_at_a_place_gets_the_one_that_stands_there(net, witness):
    first, second = net.entry(ERIN, Bond(1, "agent")), net.entry(ERIN, Bond(2, "agent"))
    ask(witness, first)
    [answer] = ask(witness, second)
    assert (answer.code, answer.conflict) == ("conflict", first.data)
    proof = verify_evidence(entry_fork(*witness.forks[net.key(ERIN)]), net.network)
    assert proof.offender == net.key(ERIN)


def test_a_forked_log_is_frozen_but_still_stored(net, witness):
    first, second = net.entry(ERIN, Bond(1, "agent")), net.entry(ERIN, Bond(2, "agent"))
    ask(witness, first)
    ask(witness, second)
    net.book.add(first, net.certify(first))
    assert type(show(witness, net.certify(first))[0]) is StoredAck
    assert ask(witness, net.entry(ERIN, Bond(3, "agent")))[0].code == "frozen"
    assert type(ask(witness, net.entry(FRANK, Bond(1, "agent")))[0]) is VoteFor


def test_a_certificate_shows_a_fork_as_well(net, witness):
    """The author showed one entry to this witness and another one to all others."""
    first, second = net.entry(ERIN, Bond(1, "agent")), net.entry(ERIN, Bond(2, "agent"))
    ask(witness, first)
    show(witness, net.certify(second, (BOB, CAROL, DAVE)), second)
    assert second.id in witness.book.stored
    proof = verify_evidence(entry_fork(*witness.forks[net.key(ERIN)]), net.network)
    assert proof.offender == net.key(ERIN)
    net.book.add(second, net.certify(second))
    assert ask(witness, net.entry(ERIN, Bond(3, "agent")))[0].code == "frozen"


def test_a_fork_against_a_stored_entry_is_found(net, witness):
    first, second = net.entry(ERIN, Bond(1, "agent")), net.entry(ERIN, Bond(2, "agent"))
    show(witness, net.certify(first), first)
    assert ask(witness, second)[0].conflict == first.data
    assert net.key(ERIN) in witness.forks


def test_a_place_has_no_incarnation_but_two_of_them_are_no_offence(net, witness):
    """The old and the restored life of one author: one vote, no evidence, and its log is not frozen."""
    old = net.entry(ERIN, Bond(1, "agent"))
    new = net.entry(ERIN, Bond(1, "agent"), incarnation=1)
    ask(witness, old)
    assert ask(witness, new)[0].code == "conflict"
    assert witness.forks == {}
    show(witness, net.certify(new), new)
    net.book.add(new, net.certify(new))
    assert witness.forks == {}
    assert type(ask(witness, net.entry(ERIN, Bond(1, "agent")))[0]) is VoteFor


def test_the_first_fork_of_an_author_is_kept(net, witness):
    entries = [net.entry(ERIN, Bond(amount, "agent")) for amount in (1, 2, 3)]
    for entry in entries:
        ask(witness, entry)
    assert witness.forks[net.key(ERIN)] == (entries[0].signed, entries[1].signed)


def test_the_same_place_in_another_epoch_is_no_fork(net, witness):
    ask(witness, net.entry(ERIN, Bond(1, "agent")))
    assert ask(witness, net.entry(ERIN, Bond(2, "agent"), epoch=2))[0].code == "wrong_epoch"
    assert witness.forks == {}


# Certificates


def test_a_certified_entry_is_on_disk_before_it_is_acknowledged(net, witness):
    entry = net.entry(ERIN, Bond(1, "agent"))
    certificate = net.certify(entry)
    assert witness.certified(PEER, certificate, entry)
    witness.flush()
    write, send = witness.out.drain()
    assert unpack_stored(write.value, net.network) == (entry, certificate)
    assert sent([send]) == [(PEER, StoredAck(1, (entry.id,)))]


def test_the_entry_may_stay_at_home_if_the_witness_has_it(net, witness):
    entry = net.entry(ERIN, Bond(1, "agent"))
    assert show(witness, net.certify(entry))[0].missing == (entry.id,)
    ask(witness, entry)
    assert show(witness, net.certify(entry)) == [StoredAck(1, (entry.id,))]
    assert show(witness, net.certify(entry), peer=OTHER) == [StoredAck(1, (entry.id,))]


def test_an_entry_that_waits_for_its_batch_is_known_too(net, witness):
    entry = net.entry(ERIN, Bond(1, "agent"))
    witness.submit(PEER, entry)
    assert StoredAck(1, (entry.id,)) in show(witness, net.certify(entry))


def test_a_certificate_seen_again_is_acknowledged_and_not_written(net, witness):
    entry = net.entry(ERIN, Bond(1, "agent"))
    show(witness, net.certify(entry), entry)
    assert not witness.certified(OTHER, net.certify(entry), entry)
    witness.flush()
    effects = witness.out.drain()
    assert sent(effects) == [(OTHER, StoredAck(1, (entry.id,)))]
    assert persisted(effects, "entries") == []


def test_a_certificate_before_what_it_relies_on_is_not_acknowledged(net, witness):
    first = net.put(ERIN, Bond(1, "agent"))
    second = net.put(ERIN, Bond(2, "agent"))
    [answer] = show(witness, net.certify(second), second)
    assert (type(answer), answer.missing) == (Refuse, (first.id,))
    show(witness, net.certify(first), first)
    assert show(witness, net.certify(second), second) == [StoredAck(1, (second.id,))]


def test_a_bad_certificate_raises(net, witness):
    entry = net.entry(ERIN, Bond(1, "agent"))
    for bad in (
        net.certify(entry, [0, 1]),
        replace(net.certify(entry), epoch=2),
        replace(net.certify(entry), votes=(net.certify(entry).votes[0],) * 3),
    ):
        with pytest.raises(Invalid):
            witness.certified(PEER, bad, entry)
    assert said(witness) == []


def test_an_impossible_certificate_stops_everything(net, witness):
    first, second = net.entry(ERIN, Bond(1, "agent")), net.entry(ERIN, Bond(2, "agent"))
    show(witness, net.certify(first), first)
    with pytest.raises(FaultBoundBroken):
        witness.certified(PEER, net.certify(second), second)


def test_acks_of_a_flush_go_out_together_in_messages_of_their_size(net, witness):
    entry = net.entry(ERIN, Bond(1, "agent"))
    for _ in range(ITEMS_MAX + 1):
        witness.certified(PEER, net.certify(entry), entry)
    assert [len(ack.entries) for ack in said(witness)] == [ITEMS_MAX, 1]


# Freeze


def test_after_the_stop_nothing_new_gets_a_vote(net, witness):
    voted, pending = net.entry(ERIN, Bond(1, "agent")), net.entry(FRANK, Bond(1, "agent"))
    first = ask(witness, voted)
    witness.submit(PEER, pending)
    witness.stop()
    [answer] = said(witness)
    assert (answer.entry, answer.code) == (pending.id, "closed")
    assert ask(witness, pending)[0].code == "closed"
    assert ask(witness, net.entry(DAVE, Bond(1, "agent")))[0].code == "closed"
    assert ask(witness, voted) == first
    assert ask(witness, net.entry(ERIN, Bond(2, "agent")))[0].code == "conflict"


def test_after_the_stop_a_pending_entry_is_unknown_again(net, witness):
    pending = net.entry(FRANK, Bond(1, "agent"))
    witness.submit(PEER, pending)
    witness.stop()
    said(witness)
    assert show(witness, net.certify(pending))[0].missing == (pending.id,)


def test_after_the_stop_certificates_are_stored_and_acknowledged(net, witness):
    entry = net.entry(ERIN, Bond(1, "agent"))
    witness.stop()
    assert show(witness, net.certify(entry), entry) == [StoredAck(1, (entry.id,))]


def test_after_the_report_they_are_stored_and_not_acknowledged(net, witness):
    entry = net.entry(ERIN, Bond(1, "agent"))
    witness.stop()
    witness.is_reported = True
    assert show(witness, net.certify(entry), entry) == []
    assert entry.id in witness.book.stored


def test_what_is_stored_gets_no_second_vote(net, witness):
    entry = net.entry(ERIN, Bond(1, "agent"))
    show(witness, net.certify(entry), entry)
    assert ask(witness, entry) == []


# Restart


def test_a_vote_on_disk_is_the_vote_after_a_restart(net, witness):
    entry, other = net.entry(ERIN, Bond(1, "agent")), net.entry(ERIN, Bond(2, "agent"))
    witness.submit(PEER, entry)
    witness.flush()
    effects = witness.out.drain()
    again = Witness(net.keys[ALICE], net.new_book(), Effects())
    for row in persisted(effects, "votes"):
        again.restore_vote(*unpack_vote(row.value, net.network))
    assert ask(again, entry) == [message for _, message in sent(effects)]
    assert ask(again, other)[0].conflict == entry.data
    assert show(again, net.certify(entry)) == [StoredAck(1, (entry.id,))]


def test_a_vote_that_was_not_on_disk_had_not_left(net, witness):
    entry, other = net.entry(ERIN, Bond(1, "agent")), net.entry(ERIN, Bond(2, "agent"))
    witness.submit(PEER, entry)
    assert witness.out.drain() == []
    again = Witness(net.keys[ALICE], net.new_book(), Effects())
    assert type(ask(again, other)[0]) is VoteFor


# Strangers


def test_strangers_leave_nothing_in_memory(net, witness):
    for number in range(40):
        net.keys.append(KeyPair.from_seed(digest(bytes([number]))))
        for op in (Bond(1, "agent"), Resume(0, bytes(32)), Transfer(net.key(ALICE), 1, b"")):
            assert type(ask(witness, net.entry(len(net.keys) - 1, op))[0]) is Refuse
        unknown = net.certify(net.entry(len(net.keys) - 1, Bond(1, "agent")))
        assert type(show(witness, unknown)[0]) is Refuse
    kept = (witness.locks, witness.votes, witness.forks, witness._asked, witness._acks, witness._pending)
    assert [len(part) for part in kept] == [0] * 6
    assert len(witness.book._views) == 0


# Shown again


def test_a_certificate_that_its_payee_shows_again_is_acknowledged_unread(net, witness):
    entry = net.entry(ERIN, Bond(1, "agent"))
    certificate = net.certify(entry)
    data = CERTIFICATE.encode(certificate)
    assert not witness.is_known(PEER, data)
    show(witness, certificate, entry)
    witness.remember(data, entry.id)
    assert witness.is_known(OTHER, data)
    [answer] = said(witness)
    assert answer == StoredAck(1, (entry.id,))
    witness.is_reported = True
    assert witness.is_known(OTHER, data)
    assert not said(witness)


# Claims: what an entry opens goes into the report, whatever becomes of the entry

KEY = b"key"


def locked(net, close=True, until=9):
    """A lock of ERIN's in FRANK's favour: the entry that makes it, and its id."""
    entry = net.put(ERIN, LockOp(net.key(FRANK), 5, digest(KEY), until))
    if close:
        net.close()
    return entry, lock_id(entry.id, 0)


def test_an_unlock_that_gets_a_vote_is_a_claim(net):
    _, lock = locked(net)
    witness = net.witness(ALICE)
    ask(witness, net.entry(FRANK, Unlock(lock, KEY)))
    assert witness.claims == {lock: KEY}


def test_an_unlock_that_comes_after_the_freeze_is_a_claim_until_the_report(net):
    _, lock = locked(net)
    witness = net.witness(ALICE)
    entry = net.entry(FRANK, Unlock(lock, KEY))
    witness.stop()
    [answer] = ask(witness, entry)
    assert (type(answer), answer.code) == (Refuse, "closed")
    assert witness.claims == {lock: KEY}


def test_after_the_report_no_claim_is_taken(net):
    _, lock = locked(net)
    witness = net.witness(ALICE)
    witness.stop()
    witness.is_reported = True
    ask(witness, net.entry(FRANK, Unlock(lock, KEY)))
    assert witness.claims == {}


def test_an_unlock_whose_entry_is_refused_is_a_claim(net):
    _, lock = locked(net)
    witness = net.witness(ALICE)
    [answer] = ask(witness, net.entry(FRANK, Unlock(lock, KEY), Transfer(net.key(BOB), 10**15, b"")))
    assert (type(answer), answer.code) == (Refuse, "insufficient_balance")
    assert witness.claims == {lock: KEY}


def test_an_unlock_in_a_shown_certificate_is_a_claim_though_it_cannot_be_stored(net):
    _, lock = locked(net)
    witness = net.witness(ALICE)
    first = net.entry(FRANK, Bond(1, "agent"))
    second = net.entry(FRANK, Unlock(lock, KEY), seq=2, prev=first.id)
    [answer] = show(witness, net.certify(second), second)
    assert (type(answer), answer.code) == (Refuse, "missing")
    assert witness.claims == {lock: KEY}


def test_a_lock_of_this_epoch_is_opened_through_its_entry(net):
    entry, lock = locked(net, close=False)
    witness = net.witness(ALICE, net.book)
    ask(witness, net.entry(FRANK, Unlock(lock, KEY), deps=[entry.id]))
    assert witness.claims == {lock: KEY}


def test_what_opens_nothing_is_no_claim(net):
    entry, lock = locked(net, until=3)
    witness = net.witness(ALICE)
    ask(witness, net.entry(FRANK, Unlock(lock, b"other")))
    ask(witness, net.entry(BOB, Unlock(lock, KEY)))
    ask(witness, net.entry(CAROL, Unlock(bytes(32), KEY), deps=[entry.id]))
    ask(witness, net.entry(FRANK, Unlock(lock, KEY), epoch=1))
    assert witness.claims == {}


def test_a_claimed_lock_and_a_lock_past_its_epoch_are_claimed_no_more(net):
    _, lock = locked(net, until=3)
    net.put(FRANK, Unlock(lock, KEY))
    net.close()
    witness = net.witness(ALICE)
    ask(witness, net.entry(FRANK, Unlock(lock, KEY)))
    assert witness.claims == {}
    _, late = locked(net, until=5)
    old = net.witness(ALICE)
    old.book.epoch = 6
    ask(old, net.entry(FRANK, Unlock(late, KEY), epoch=6))
    assert old.claims == {}


def test_a_claim_is_known_again_from_the_vote_on_disk(net):
    _, lock = locked(net)
    witness = net.witness(ALICE)
    entry = net.entry(FRANK, Unlock(lock, KEY))
    ask(witness, entry)
    again = net.witness(ALICE)
    again.restore_vote(entry, witness.votes[entry.id])
    assert again.claims == {lock: KEY}
