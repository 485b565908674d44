"""Locks and claims: who may lock what until when, and who may claim it how often."""

from dataclasses import replace

import pytest

from troth_node.testing.ledger import Ledger
from troth_node.testing.moves import PREIMAGE, SALT, lock, pay, refused, taken, wait
from troth_node.testing.samples import RULES, TOKEN
from troth_protocol.close.claims import CLAIM_EPOCHS
from troth_protocol.log.evaluate import LOCK_EPOCHS_MAX
from troth_protocol.log.ops import Bond, LockOp, Unlock
from troth_protocol.log.rows import Claim, Lock
from troth_protocol.log.sealed import lock_id
from troth_protocol.wire.crypto import digest

ALICE, BOB, CAROL = range(3)  # the first four are witnesses and attesters
FEE, NEW = RULES.fee, RULES.creation_fee
BALANCE = 1_000 * TOKEN
NOBODY = Ledger(9, 1).key(8)  # a valid key without an account


@pytest.fixture
def net():
    return Ledger()


# lock


def test_a_lock_holds_the_amount_under_its_own_id(net):
    entry = net.put(ALICE, pay(net, BOB), lock(net, BOB, 7, until=9))
    row = net.book.stored[entry.id].delta.rows["locks", lock_id(entry.id, 1)]
    assert row == Lock(net.key(ALICE), net.key(BOB), 7, digest(PREIMAGE), 9)


def test_a_lock_is_in_favour_of_somebody_else(net):
    assert refused(net, ALICE, lock(net, ALICE)) == "bad_amount"


def test_a_lock_of_nothing_proves_that_its_key_is_out(net):
    entry = net.put(ALICE, lock(net, BOB, 0, until=9))
    net.close()
    net.put(BOB, Unlock(lock_id(entry.id, 0), PREIMAGE))
    for _ in range(1 + CLAIM_EPOCHS):
        assert net.state.find("locks", lock_id(entry.id, 0), Lock)
        net.close()
    assert net.state.find("locks", lock_id(entry.id, 0), Lock) is None


@pytest.mark.parametrize("until", [0, 1, 2, 2 + LOCK_EPOCHS_MAX, 2**53 - 1])
def test_a_lock_ends_two_to_a_thousand_epochs_away(net, until):
    assert refused(net, ALICE, lock(net, BOB, until=until)) == "bad_epoch"


@pytest.mark.parametrize("until", [3, 1 + LOCK_EPOCHS_MAX])
def test_the_nearest_and_the_farthest_end_of_a_lock(net, until):
    taken(net, ALICE, lock(net, BOB, until=until))


def test_a_lock_to_nobody_yet_pays_for_the_account(net):
    assert taken(net, ALICE, LockOp(NOBODY, 5, SALT, 3)).burned == 3 * FEE + NEW


def test_a_lock_takes_no_more_than_there_is(net):
    taken(net, ALICE, lock(net, BOB, BALANCE - 3 * FEE))
    assert refused(net, ALICE, lock(net, BOB, BALANCE - 3 * FEE + 1)) == "insufficient_balance"


# unlock


def locked(net, until=9, close=True):
    entry = net.put(ALICE, lock(net, BOB, 7, until))
    if close:
        net.close()
    return entry, lock_id(entry.id, 0)


def test_the_payee_claims_a_sealed_lock_for_free(net):
    _, key = locked(net)
    net.set_account(BOB, balance=0)
    delta = taken(net, BOB, Unlock(key, PREIMAGE))
    assert (delta.spent, delta.rows) == (0, {("claims", key): Claim(PREIMAGE, 2)})


def test_a_lock_of_this_epoch_is_claimed_through_its_dep(net):
    entry, key = locked(net, close=False)
    assert refused(net, BOB, Unlock(key, PREIMAGE)) == "unknown_lock"
    taken(net, BOB, Unlock(key, PREIMAGE), deps=[entry.id])


def test_only_the_payee_claims(net):
    entry, key = locked(net, close=False)
    assert refused(net, CAROL, Unlock(key, PREIMAGE), deps=[entry.id]) == "unknown_lock"
    assert refused(net, ALICE, Unlock(key, PREIMAGE)) == "unknown_lock"
    net.close()
    assert refused(net, CAROL, Unlock(key, PREIMAGE)) == "unknown_lock"
    assert refused(net, ALICE, Unlock(key, PREIMAGE)) == "unknown_lock"


@pytest.mark.parametrize("key", [bytes(32), SALT])
def test_a_lock_that_is_not_there_cannot_be_claimed(net, key):
    assert refused(net, BOB, Unlock(key, PREIMAGE)) == "unknown_lock"


@pytest.mark.parametrize("preimage", [b"", b"wrong", digest(PREIMAGE), PREIMAGE + b"\0"])
def test_another_preimage_claims_nothing(net, preimage):
    _, key = locked(net)
    assert refused(net, BOB, Unlock(key, preimage)) == "wrong_preimage"


def test_a_lock_is_claimed_once(net):
    net.put(BOB, Bond(7, "agent"))
    entry, key = locked(net, close=False)
    claim = Unlock(key, PREIMAGE)
    assert refused(net, BOB, claim, claim, deps=[entry.id]) == "lock_over"
    net.put(BOB, claim, deps=[entry.id])
    assert refused(net, BOB, claim, deps=[entry.id]) == "lock_over"
    net.close()
    assert refused(net, BOB, claim) == "lock_over"
    net.close()
    net.close()
    assert refused(net, BOB, claim) == "unknown_lock"
    assert net.account(BOB).balance == BALANCE - RULES.fee


def test_a_lock_is_claimed_in_its_last_epoch_and_not_after(net):
    _, key = locked(net, until=3)
    wait(net, 3)
    taken(net, BOB, Unlock(key, PREIMAGE))
    net.close()
    assert refused(net, BOB, Unlock(key, PREIMAGE)) == "unknown_lock"
    assert net.account(ALICE).balance == BALANCE - 3 * FEE


def test_a_lock_past_its_epoch_is_over(net):
    _, key = locked(net)
    row = net.state.find("locks", key, Lock)
    net.state.put("locks", key, replace(row, until=1))
    assert refused(net, BOB, Unlock(key, PREIMAGE)) == "lock_over"
