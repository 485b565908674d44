"""A payee that is shown a certificate pushes it to the witnesses itself, and believes two thirds, not the payer."""

from dataclasses import replace

import pytest

from troth_node.testing.ledger import Ledger, persisted, sent
from troth_protocol.effects import Effects, Notice, Send
from troth_protocol.errors import Invalid
from troth_protocol.log import payee as module
from troth_protocol.log.ops import Bond, LockOp, Transfer
from troth_protocol.log.payee import Credited, Payee, payees

ALICE, BOB, CAROL, DAVE, ERIN, FRANK = range(6)  # the first four are witnesses


@pytest.fixture
def net():
    return Ledger()


@pytest.fixture
def erin(net):
    return Payee(net.key(ERIN), net.book, Effects())


def paid(net, amount=5, to=ERIN):
    entry = net.entry(FRANK, Transfer(net.key(to), amount, b""), Bond(1, "agent"))
    return net.certify(entry), entry


def sent_to(payee):
    return [effect.peer for effect in payee.out.drain() if isinstance(effect, Send)]


def notices(payee):
    return [effect.event for effect in payee.out.drain() if isinstance(effect, Notice)]


def code(payee, certificate, entry):
    with pytest.raises(Invalid) as refusal:
        payee.certified(certificate, entry)
    return refusal.value.code


def test_a_certificate_that_is_shown_is_pushed_to_every_witness_once(net, erin):
    certificate, entry = paid(net)
    erin.certified(certificate, entry)
    effects = erin.out.drain()
    assert {peer for peer, _ in sent(effects)} == {member.key for member in net.committee.members}
    voters = {net.committee.members[vote.member].key for vote in certificate.votes}
    assert {peer for peer, message in sent(effects) if message.entry is None} == voters
    erin.certified(certificate, entry)
    assert sent_to(erin) == []


def test_it_counts_when_more_than_two_thirds_have_stored_it(net, erin):
    certificate, entry = paid(net)
    erin.certified(certificate, entry)
    erin.out.drain()
    erin.stored(net.key(ALICE), (entry.id,))
    erin.stored(net.key(ALICE), (entry.id,))
    erin.stored(net.key(BOB), (entry.id, bytes(32)))
    erin.stored(net.key(FRANK), (entry.id,))  # no witness
    assert notices(erin) == []
    erin.stored(net.key(CAROL), (entry.id,))
    assert notices(erin) == [Credited(entry.id, net.key(FRANK), 5)]
    erin.stored(net.key(DAVE), (entry.id,))
    assert notices(erin) == []


def test_what_is_final_can_be_relied_on_at_once_and_is_on_disk(net, erin):
    certificate, entry = paid(net)
    erin.certified(certificate, entry)
    assert entry.id not in net.book.stored
    for agent in (ALICE, BOB, CAROL):
        erin.stored(net.key(agent), (entry.id,))
    assert entry.id in net.book.stored
    effects = erin.out.drain()
    assert len(persisted(effects, "entries")) == 1
    assert isinstance(effects[-1], Notice)


def test_what_lacks_its_predecessor_here_is_believed_and_comes_with_the_feed(net, erin):
    other = Ledger()
    other.put(FRANK, Transfer(net.key(DAVE), 1, b""))
    certificate, entry = paid(other)
    erin.certified(certificate, entry)
    for agent in (ALICE, BOB, CAROL):
        erin.stored(net.key(agent), (entry.id,))
    assert len(notices(erin)) == 1
    assert net.book.stored == {}


def test_what_is_not_final_is_pushed_again_to_those_who_have_not_answered(net, erin):
    certificate, entry = paid(net)
    erin.certified(certificate, entry)
    erin.stored(net.key(ALICE), (entry.id,))
    erin.out.drain()
    erin.resend_late()
    assert sent_to(erin) == []  # it may still be under way
    erin.resend_late()
    assert set(sent_to(erin)) == {net.key(agent) for agent in (BOB, CAROL, DAVE)}
    for agent in (BOB, CAROL):
        erin.stored(net.key(agent), (entry.id,))
    erin.out.drain()
    erin.resend_late()
    assert sent_to(erin) == []  # it may still be under way
    erin.resend_late()
    assert sent_to(erin) == []


def test_only_certificates_that_pay_this_account_are_taken(net, erin):
    certificate, entry = paid(net, to=DAVE)
    assert code(erin, certificate, entry) == "not_a_payee"


def test_a_certificate_of_another_entry_or_epoch_is_refused(net, erin):
    certificate, entry = paid(net)
    assert code(erin, replace(certificate, entry=bytes(32)), entry) == "wrong_epoch"
    assert code(erin, replace(certificate, epoch=2), entry) == "wrong_epoch"


def test_too_little_weight_is_refused(net, erin):
    certificate, entry = paid(net)
    assert code(erin, replace(certificate, votes=certificate.votes[:2]), entry) == "not_enough_weight"


def test_only_so_many_are_kept_in_one_epoch(net, erin, monkeypatch):
    monkeypatch.setattr(module, "SHOWN_MAX", 1)
    erin.certified(*paid(net))
    assert code(erin, *paid(net, amount=6)) == "too_many"


def test_an_entry_names_whom_its_transfers_and_locks_pay():
    ops = (Transfer(b"a", 1, b""), LockOp(b"b", 1, bytes(32), 9), Transfer(b"a", 2, b""), Bond(1, "agent"))
    assert payees(ops) == (b"a", b"b")
