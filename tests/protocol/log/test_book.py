"""The book of an epoch: certified entries with everything they rely on, one at a place, in any causal order."""

import pytest

from troth_node.testing.ledger import Ledger
from troth_protocol.errors import FaultBoundBroken, Invalid
from troth_protocol.log.book import Missing
from troth_protocol.log.ops import Bond, Transfer
from troth_protocol.wire.crypto import KeyPair, digest

ALICE, BOB, CAROL = range(3)


@pytest.fixture
def net():
    return Ledger()


def pay(net, to, amount=5):
    return Transfer(net.key(to), amount, b"")


def code(action, *args):
    with pytest.raises(Invalid) as refusal:
        action(*args)
    return refusal.value.code


def missing(action, *args):
    with pytest.raises(Missing) as refusal:
        action(*args)
    assert refusal.value.code == "missing"
    return refusal.value.ids


def chain(net, agent, length):
    """A log of `length` entries, stored in the book of the bench."""
    return [net.put(agent, Bond(1, "agent")) for _ in range(length)]


# Evaluate


def test_the_next_entry_of_a_log_is_valid_until_another_is_stored(net):
    entry = net.entry(ALICE, pay(net, BOB))
    net.book.evaluate(entry)
    net.put(ALICE, Bond(1, "agent"))
    assert code(net.book.evaluate, entry) == "wrong_place"


@pytest.mark.parametrize("epoch", [0, 2, 2**53 - 1])
def test_an_entry_of_another_epoch_is_refused(net, epoch):
    assert code(net.book.evaluate, net.entry(ALICE, pay(net, BOB), epoch=epoch)) == "wrong_epoch"


def test_seq_counts_from_one_without_gaps(net):
    for seq in (0, 2, 2**53 - 1):
        assert code(net.book.evaluate, net.entry(ALICE, pay(net, BOB), seq=seq)) == "wrong_place"
    entries = chain(net, ALICE, 2)
    for seq in (0, 1, 2, 4):
        assert code(net.book.evaluate, net.entry(ALICE, pay(net, BOB), seq=seq)) == "wrong_place"
    assert (
        code(net.book.evaluate, net.entry(ALICE, pay(net, BOB), seq=3, prev=entries[0].id)) == "wrong_place"
    )


def test_the_first_entry_of_an_epoch_follows_the_sealed_head(net):
    chain(net, ALICE, 2)
    net.close()
    assert code(net.book.evaluate, net.entry(ALICE, pay(net, BOB), prev=digest(b"x"))) == "wrong_place"
    assert code(net.book.evaluate, net.entry(ALICE, pay(net, BOB), prev=bytes(32))) == "wrong_place"
    net.book.evaluate(net.entry(ALICE, pay(net, BOB)))


def test_an_unknown_predecessor_is_missing(net):
    assert missing(net.book.evaluate, net.entry(ALICE, pay(net, BOB), seq=2, prev=digest(b"x"))) == (
        digest(b"x"),
    )


def test_unknown_deps_are_missing_after_the_predecessor(net):
    deps = sorted([digest(b"1"), digest(b"2")])
    entry = net.entry(ALICE, pay(net, BOB), seq=2, prev=digest(b"x"), deps=deps)
    assert missing(net.book.evaluate, entry) == (digest(b"x"), *deps)
    assert missing(net.book.evaluate, net.entry(ALICE, pay(net, BOB), deps=deps)) == tuple(deps)


def test_an_entry_of_another_log_is_no_predecessor(net):
    other = net.put(BOB, pay(net, CAROL))
    assert code(net.book.evaluate, net.entry(ALICE, pay(net, BOB), prev=other.id)) == "wrong_place"
    assert code(net.book.evaluate, net.entry(ALICE, pay(net, BOB), seq=2, prev=other.id)) == "wrong_place"


def test_a_void_entry_of_an_earlier_epoch_is_no_dep(net):
    void = net.entry(BOB, pay(net, ALICE))
    net.book.add(void, net.certify(void))
    net.book = net.new_book()  # the cut leaves it out
    net.close()
    assert missing(net.book.evaluate, net.entry(ALICE, pay(net, BOB), deps=[void.id])) == (void.id,)


def test_an_incarnation_goes_up_by_one_at_the_sealed_head_only(net):
    for wrong in (2, 3, 2**53 - 1):
        assert (
            code(net.book.evaluate, net.entry(ALICE, pay(net, BOB), incarnation=wrong)) == "wrong_incarnation"
        )
    first = net.entry(ALICE, pay(net, BOB), incarnation=1)
    net.book.add(first, net.certify(first))
    for wrong in (0, 2):
        assert (
            code(net.book.evaluate, net.entry(ALICE, pay(net, BOB), incarnation=wrong)) == "wrong_incarnation"
        )
    net.put(ALICE, pay(net, BOB))
    net.close()
    assert net.account(ALICE).incarnation == 1
    assert code(net.book.evaluate, net.entry(ALICE, pay(net, BOB), incarnation=0)) == "wrong_incarnation"
    net.book.evaluate(net.entry(ALICE, pay(net, BOB), incarnation=2))


def test_strangers_leave_nothing_in_memory(net):
    for number in range(50):
        stranger = KeyPair.from_seed(digest(bytes([number])))
        net.keys.append(stranger)
        assert code(net.book.evaluate, net.entry(len(net.keys) - 1, pay(net, BOB))) == "insufficient_balance"
    assert len(net.book._views) == 0


# Add


def test_an_entry_is_stored_once(net):
    entry = net.entry(ALICE, pay(net, BOB))
    certificate = net.certify(entry)
    assert net.book.add(entry, certificate)
    assert not net.book.add(entry, certificate)
    assert net.book.stored[entry.id].certificate == certificate
    assert net.book.head(net.key(ALICE)) == (1, entry.id)
    assert net.book.moved() == {net.key(ALICE): (1, entry.id)}


def test_a_certificate_of_another_entry_or_epoch_stores_nothing(net):
    entry, other = net.entry(ALICE, pay(net, BOB)), net.entry(ALICE, pay(net, CAROL))
    assert code(net.book.add, entry, net.certify(other)) == "wrong_epoch"
    net.epoch = 2
    assert code(net.book.add, entry, net.certify(entry)) == "wrong_epoch"
    assert net.book.stored == {}


def test_too_little_weight_stores_nothing(net):
    entry = net.entry(ALICE, pay(net, BOB))
    assert code(net.book.add, entry, net.certify(entry, [0, 1])) == "not_enough_weight"
    assert net.book.stored == {}


def test_a_certified_entry_waits_for_what_it_relies_on(net):
    first = net.entry(ALICE, pay(net, BOB))
    second = net.entry(ALICE, pay(net, BOB), seq=2, prev=first.id)
    third = net.entry(BOB, pay(net, CAROL), deps=[second.id])
    assert missing(net.book.add, third, net.certify(third)) == (second.id,)
    assert missing(net.book.add, second, net.certify(second)) == (first.id,)
    for entry in (first, second, third):
        assert net.book.add(entry, net.certify(entry))


def test_two_certified_entries_at_one_place_stop_everything(net):
    first, second = net.entry(ALICE, pay(net, BOB)), net.entry(ALICE, pay(net, CAROL))
    net.book.add(first, net.certify(first))
    with pytest.raises(FaultBoundBroken, match="two certified entries"):
        net.book.add(second, net.certify(second))


def test_another_incarnation_is_no_other_place(net):
    first, second = net.entry(ALICE, pay(net, BOB)), net.entry(ALICE, pay(net, BOB), incarnation=1)
    net.book.add(first, net.certify(first))
    with pytest.raises(FaultBoundBroken, match="two certified entries"):
        net.book.add(second, net.certify(second))


def test_a_certified_entry_that_breaks_a_rule_stops_everything(net):
    broke = net.entry(ALICE, pay(net, BOB, 10**30))
    with pytest.raises(FaultBoundBroken, match="insufficient_balance"):
        net.book.add(broke, net.certify(broke))
    assert net.book.stored == {}
    assert net.book.moved() == {}


# Logs


def test_a_log_in_order_up_to_a_head(net):
    entries = chain(net, ALICE, 3)
    assert [stored.entry for stored in net.book.log(net.key(ALICE), 2)] == entries[:2]
    assert net.book.log(net.key(ALICE), 0) == []
    assert net.book.log(net.key(BOB), 0) == []


@pytest.mark.parametrize("seq", [4, 2**53 - 1])
def test_a_log_beyond_its_head_is_missing(net, seq):
    chain(net, ALICE, 3)
    assert code(net.book.log, net.key(ALICE), seq) == "missing"
    assert code(net.book.log, net.key(BOB), 1) == "missing"


def test_logs_go_on_where_the_seal_ended(net):
    old = chain(net, ALICE, 2)
    net.close()
    assert net.book.head(net.key(ALICE)) == (2, old[1].id)
    assert net.book.moved() == {}
    new = chain(net, ALICE, 1)
    assert [stored.entry for stored in net.book.log(net.key(ALICE), 3)] == new


def test_what_a_close_leaves_out_can_be_signed_again_at_its_place(net):
    void = net.put(ALICE, pay(net, BOB))
    certificate = net.certify(void)
    net.book = net.new_book()
    net.close()
    assert code(net.book.add, void, certificate) == "wrong_epoch"
    again = net.put(ALICE, pay(net, BOB))
    assert (again.header.seq, again.header.epoch) == (1, 2)
    assert again.id != void.id
