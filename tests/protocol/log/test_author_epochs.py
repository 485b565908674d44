"""The author through closes, freezes and restarts: nothing is lost, nothing is signed twice at one place."""

import pytest

from troth_node.testing.ledger import persisted, sent
from troth_node.testing.writing import Scene, notices
from troth_protocol.effects import Effects
from troth_protocol.log.author import Author, Finalized
from troth_protocol.log.keep import pack_stored, unpack_stored
from troth_protocol.log.ops import Bond, Resume
from troth_protocol.log.vote import CERTIFICATE
from troth_protocol.wire.messages import Certified, Submit

ALICE, BOB, CAROL, DAVE, ERIN = range(5)  # the first four are witnesses
ONE, TWO, THREE = (Bond(amount, "agent") for amount in (1, 2, 3))


@pytest.fixture
def scene():
    return Scene()


# Epochs


def test_what_the_cut_left_out_is_signed_again_in_its_order(scene):
    numbers = [scene.author.submit((op,)) for op in (ONE, TWO)]
    first = scene.submitted()
    scene.author.submit((THREE,))
    scene.next_epoch(scene.net.new_book())
    again = scene.submitted()
    assert (again.header.epoch, again.header.seq, again.ops) == (2, 1, (ONE, TWO, THREE))
    assert again.id != first.id
    assert [notice.number for notice in scene.finish(again)] == [*numbers, 3]


def test_certified_but_left_out_is_signed_again_too(scene):
    scene.author.submit((ONE,))
    first = scene.submitted()
    scene.vote(first, ALICE, BOB, CAROL)
    scene.author.submit((TWO,))
    scene.submitted()
    scene.next_epoch(scene.net.new_book())
    assert scene.submitted().ops == (ONE, TWO)


def test_what_the_cut_holds_is_final(scene):
    number = scene.author.submit((ONE,))
    entry = scene.submitted()
    scene.vote(entry, ALICE, BOB, CAROL)
    scene.next_epoch()
    assert notices(scene.pump()) == [Finalized(number, entry.id)]
    assert scene.author.is_idle()


def test_what_became_impossible_meanwhile_is_refused(scene):
    net = scene.net
    number = scene.author.submit((Bond(net.account(ERIN).balance - net.genesis.rules.fee, "agent"),))
    scene.submitted()
    net.set_account(ERIN, balance=5)
    scene.author.open(net.book)
    assert [(notice.number, notice.code) for notice in notices(scene.pump())] == [
        (number, "insufficient_balance")
    ]


def test_a_restored_author_goes_on_under_the_next_incarnation(scene):
    scene.author.incarnation = 1
    scene.author.submit((ONE,))
    first = scene.submitted()
    assert first.header.incarnation == 1
    scene.vote(first, ALICE, BOB, CAROL)
    scene.author.submit((TWO,))
    assert scene.submitted().header.incarnation == 1
    scene.next_epoch()
    scene.net.set_account(ERIN, incarnation=4)
    scene.author.open(scene.net.book)
    assert scene.submitted().header.incarnation == 4


def test_within_an_epoch_the_incarnation_is_that_of_the_head(scene):
    first = scene.net.entry(ERIN, ONE, incarnation=1)
    scene.net.book.add(first, scene.net.certify(first))
    scene.author.submit((TWO,))
    assert scene.submitted().header.incarnation == 1


# Freezes


def test_a_frozen_log_resumes_by_itself_in_front_of_everything(scene):
    scene.author.submit((ONE,))
    scene.net.set_account(ERIN, frozen=True, offences=1)
    scene.author.open(scene.net.book)
    entry = scene.submitted()
    assert entry.ops == (Resume(0, bytes(32)), ONE)
    scene.vote(entry, ALICE, BOB, CAROL)
    scene.author.submit((TWO,))
    assert scene.submitted().ops == (TWO,)


def test_it_resumes_once_even_if_nothing_else_is_to_do(scene):
    scene.net.set_account(ERIN, frozen=True, offences=1)
    scene.author.open(scene.net.book)
    entry = scene.submitted()
    assert entry.ops == (Resume(0, bytes(32)),)
    assert scene.finish(entry) == [Finalized(0, entry.id)]
    assert scene.pump() == []
    scene.author.open(scene.net.book)  # the process starts again in the same epoch
    assert scene.pump() == []


def test_a_resume_of_ones_own_is_not_doubled(scene):
    scene.net.set_account(ERIN, frozen=True, offences=1)
    scene.author.open(scene.net.book)
    scene.author.submit((Resume(0, bytes(32)), ONE))
    assert scene.submitted().ops == (Resume(0, bytes(32)), ONE)


def test_an_ended_log_says_so_and_stays_silent(scene):
    scene.net.set_account(ERIN, frozen=True, offences=2)
    scene.author.open(scene.net.book)
    assert scene.pump() == []
    scene.author.submit((ONE,))
    assert [notice.code for notice in notices(scene.pump())] == ["tombstoned"]
    assert scene.pump() == []


# Restart


def test_an_entry_on_disk_is_sent_again_as_it_was(scene):
    scene.author.submit((ONE,))
    scene.author.submit((TWO,))
    entry = scene.submitted()
    again = Scene()
    again.author.restore(entry, None)
    again.author.submit((THREE,))
    assert again.pump() == []
    again.author.resend()
    assert {message for _, message in sent(again.author.out.drain())} == {Submit(entry.data)}
    assert [type(notice) for notice in again.finish(entry)] == [Finalized]
    assert again.submitted().ops == (THREE,)


def test_a_frozen_logs_entry_on_disk_is_sent_again_as_it_was(scene):
    """A restart in the middle of a resume: nothing else may be signed at its place."""
    scene.net.set_account(ERIN, frozen=True, offences=1)
    scene.author.open(scene.net.book)
    scene.author.submit((ONE,))
    entry = scene.submitted()
    again = Author(scene.net.keys[ERIN], Effects())
    again.open(scene.net.new_book())
    assert again.is_idle()
    again.restore(entry, None)
    again.is_allowed = True
    again.pump()
    assert again.out.drain() == []


def test_a_certified_entry_on_disk_is_shown_again(scene):
    scene.author.submit((ONE,))
    entry = scene.submitted()
    [row] = persisted(scene.vote(entry, ALICE, BOB, CAROL), "entries")
    _, certificate = unpack_stored(row.value, scene.net.network)
    assert row.value == pack_stored(entry, certificate)
    again = Scene()
    again.author.restore(entry, certificate)
    again.author.resend()
    messages = {message for _, message in sent(again.author.out.drain())}
    assert messages == {Certified(CERTIFICATE.encode(certificate), entry.data)}
    assert again.ack(entry, ALICE, BOB, CAROL) == [Finalized(0, entry.id)]
