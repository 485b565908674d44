"""Promised citations in a log: the bond that stands behind a floor, and the receipt that binds a promise."""

from dataclasses import replace

import pytest

from troth_node.testing.ledger import Ledger
from troth_node.testing.moves import agree, commit, lock, name_of, receipted, refused, taken, wait
from troth_node.testing.samples import COIN, TOKEN
from troth_protocol.genesis import Phases
from troth_protocol.log.agreement import agreement_id
from troth_protocol.log.ops import Bond, Unbond, Unlock
from troth_protocol.log.promising import FLOOR_TIMES
from troth_protocol.log.rows import Promise
from troth_protocol.log.sealed import lock_id

ALICE, BOB, CAROL = range(3)
BOND = 100 * TOKEN
FLOOR = BOND // FLOOR_TIMES
SLOW = replace(COIN, phases=Phases(commit=6, attest=2, reveal=2, attest_reveal=2))


@pytest.fixture
def net():
    net = Ledger(topics=(SLOW,))
    net.bond_agent(ALICE, BOND)
    return net


# Floors


def test_a_promise_holds_what_was_agreed(net):
    op = replace(agree(net, ALICE, BOB, min_wager=7, floor=9, deliver=5), hash=b"h" * 32, commit=b"c" * 32)
    row = taken(net, ALICE, op).rows["promises", agreement_id(net.network, op.agreement)]
    parties = (net.question(), net.key(ALICE), net.key(BOB))
    assert row == Promise(*parties, 400_000, 7, 9, 5, b"h" * 32, b"c" * 32)


def test_the_bond_as_agent_covers_every_floor_twice(net):
    taken(net, ALICE, agree(net, ALICE, BOB, floor=FLOOR))
    assert refused(net, ALICE, agree(net, ALICE, BOB, floor=FLOOR + 1)) == "insufficient_bond"
    first, second = agree(net, ALICE, BOB, 1, floor=1), agree(net, ALICE, CAROL, 1, floor=FLOOR)
    assert refused(net, ALICE, first, second) == "insufficient_bond"
    net.put(ALICE, first)
    assert refused(net, ALICE, second) == "insufficient_bond"
    net.close()
    assert refused(net, ALICE, second) == "insufficient_bond"
    taken(net, ALICE, agree(net, ALICE, CAROL, 1, floor=FLOOR - 1))
    taken(net, ALICE, agree(net, ALICE, CAROL, 1))


def test_a_bond_backs_no_floor_before_it_is_sealed(net):
    assert refused(net, BOB, Bond(BOND, "agent"), agree(net, BOB, ALICE, floor=1)) == "insufficient_bond"
    net.put(BOB, Bond(BOND, "agent"))
    net.close()
    taken(net, BOB, agree(net, BOB, ALICE, floor=FLOOR))


def test_the_floors_of_others_are_theirs(net):
    net.bond_agent(BOB, BOND)
    net.put(BOB, agree(net, BOB, CAROL, floor=FLOOR))
    net.close()
    taken(net, ALICE, agree(net, ALICE, BOB, floor=FLOOR))


def test_what_unbonds_backs_no_new_floor(net):
    promise = agree(net, ALICE, BOB, floor=FLOOR)
    assert refused(net, ALICE, Unbond(1, "agent"), promise) == "insufficient_bond"
    net.put(ALICE, Unbond(1, "agent"))
    assert refused(net, ALICE, promise) == "insufficient_bond"


def test_what_backs_a_floor_does_not_unbond(net):
    net.put(ALICE, agree(net, ALICE, BOB, floor=10))
    left = BOND - 10 * FLOOR_TIMES
    for _ in range(2):
        assert refused(net, ALICE, Unbond(left + 1, "agent")) == "insufficient_bond"
        assert refused(net, ALICE, Unbond(left, "agent"), Unbond(1, "agent")) == "insufficient_bond"
        taken(net, ALICE, Unbond(left, "agent"))
        net.close()
    taken(net, ALICE, Unbond(1, "witness"))


def test_a_bond_backs_pending_claims_before_floors(net):
    price = BOND - 2 * FLOOR_TIMES
    entry = net.put(BOB, lock(net, ALICE, price, until=5))
    net.close()
    net.put(ALICE, Unlock(lock_id(entry.id, 0), b"preimage"))
    taken(
        net, ALICE, agree(net, ALICE, CAROL, floor=FLOOR)
    )  # nothing is pending before the close has backed it
    net.close()
    taken(net, ALICE, agree(net, ALICE, CAROL, floor=2))
    assert refused(net, ALICE, agree(net, ALICE, CAROL, floor=3)) == "insufficient_bond"
    taken(net, ALICE, Unbond(BOND, "agent"))  # what is leaving still answers for a claim


# Receipts


def promised(net):
    """Alice's promise is sealed, Bob's signal is certified: the agreement, and the commit's id."""
    op = agree(net, ALICE, BOB)
    net.put(ALICE, op)
    net.close()
    sold = commit(net, BOB, content=b"signal")
    net.put(BOB, sold)
    return op, name_of(net, BOB, sold)


def test_a_receipt_binds_a_promise_to_what_was_delivered(net):
    op, sold = promised(net)
    delta = taken(net, BOB, receipted(net, op, ALICE, sold))
    assert delta.rows["promises", agreement_id(net.network, op.agreement)] == Promise(
        net.question(), net.key(ALICE), net.key(BOB), 400_000, deliver=1, commit=sold, bound=True
    )


def test_a_receipt_may_be_recorded_until_the_question_is_settled(net):
    op, sold = promised(net)
    settled = net.state.question(net.question()).closes()
    wait(net, settled)
    taken(net, BOB, receipted(net, op, ALICE, sold))


def test_a_promise_is_bound_once(net):
    op, sold = promised(net)
    record = receipted(net, op, ALICE, sold)
    assert refused(net, BOB, record, record) == "duplicate"
    net.put(BOB, record)
    assert refused(net, BOB, record) == "duplicate"
    net.close()
    assert refused(net, BOB, record) == "duplicate"


def test_a_receipt_is_signed_by_the_buyer(net):
    op, sold = promised(net)
    assert refused(net, BOB, receipted(net, op, BOB, sold)) == "bad_signature"
    entry = net.entry(BOB, receipted(net, op, BOB, sold))
    assert net.book.add(entry, net.certify(entry)), "a quorum has checked it"


def test_a_receipt_is_for_this_agreement_and_a_commit_of_the_seller(net):
    op, sold = promised(net)
    other = receipted(net, agree(net, ALICE, BOB, 1), ALICE, sold)
    foreign = replace(op, receipt=other.receipt, receipt_signature=other.receipt_signature)
    assert refused(net, BOB, foreign) == "wrong_agreement"
    assert refused(net, BOB, receipted(net, op, ALICE, b"c" * 32)) == "unknown_commit"
    own = commit(net, ALICE)
    net.put(ALICE, own)
    net.close()
    assert refused(net, BOB, receipted(net, op, ALICE, name_of(net, ALICE, own))) == "unknown_commit"


def test_a_receipt_binds_only_what_the_buyer_has_promised_under_a_seal(net):
    op = agree(net, ALICE, BOB)
    sold = commit(net, BOB, content=b"signal")
    net.put(BOB, sold)
    record = receipted(net, op, ALICE, name_of(net, BOB, sold))
    assert refused(net, BOB, record) == "unknown_promise"
    entry = net.put(ALICE, op)
    assert refused(net, BOB, record, deps=[entry.id]) == "unknown_promise"


@pytest.mark.parametrize(
    "change",
    [
        {"receipt": None},
        {"receipt_signature": None},
        {"hash": b"h" * 32},
        {"commit": b"c" * 32},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_seller_records_a_receipt_and_nothing_else(net, change):
    op, sold = promised(net)
    assert refused(net, BOB, replace(receipted(net, op, ALICE, sold), **change)) == "bad_agreement"


@pytest.mark.parametrize(
    "change",
    [
        {"receipt": b"r"},
        {"receipt_signature": bytes(64)},
        {"hash": b"h" * 32},
        {"commit": b"c" * 32},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_buyer_names_what_is_sealed_for_it_and_has_no_receipt(net, change):
    assert refused(net, ALICE, replace(agree(net, ALICE, BOB), **change)) == "bad_agreement"
