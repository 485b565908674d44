"""Every op and every refusal: what an entry may do is decided by the sealed state, its own log and its deps alone."""

import pytest

from troth_node.testing.ledger import Ledger
from troth_node.testing.moves import PREIMAGE, SALT, agree, commit, lock, pay, refused, taken
from troth_node.testing.samples import RULES, TOKEN
from troth_protocol.log.ops import OPS, Accuse, Bond, LockOp, Resume, Transfer, Unbond, Unlock
from troth_protocol.log.rows import ROLES, TABLES, UNBONDING_MAX

ALICE, BOB, CAROL, DAVE, ERIN, FRANK = range(6)  # the first four are witnesses and attesters
FEE, NEW = RULES.fee, RULES.creation_fee
BALANCE, BOND = 1_000 * TOKEN, 100_000 * TOKEN
NOBODY = Ledger(9, 1).key(8)  # a valid key without an account


@pytest.fixture
def net():
    return Ledger()


# Fees

EVERY_OP = {
    "transfer": lambda net: pay(net, BOB),
    "bond": lambda net: Bond(5, "agent"),
    "unbond": lambda net: Unbond(5, "witness"),
    "resume": lambda net: Resume(0, bytes(32)),
    "lock": lambda net: lock(net, BOB),
    "commit": lambda net: commit(net, ALICE),
    "agree": lambda net: agree(net, ALICE, BOB),
    "accuse": lambda net: Accuse(b"anything"),
}
FEES = {"transfer": 1, "bond": 1, "unbond": 1, "resume": 0, "lock": 3, "commit": 2, "agree": 1, "accuse": 1}
SPENT = {"transfer": 5, "bond": 5, "lock": 5}


@pytest.mark.parametrize("name", FEES)
def test_every_op_burns_its_fees_and_spends_no_more(net, name):
    net.set_account(ALICE, frozen=name == "resume")
    delta = taken(net, ALICE, EVERY_OP[name](net))
    assert (delta.burned, delta.spent) == (FEES[name] * FEE, FEES[name] * FEE + SPENT.get(name, 0))


@pytest.mark.parametrize("name", [name for name in FEES if FEES[name]])
def test_every_op_is_refused_one_unit_short(net, name):
    enough = FEES[name] * FEE + SPENT.get(name, 0)
    net.set_account(ALICE, balance=enough)
    assert taken(net, ALICE, EVERY_OP[name](net)).spent == enough
    net.set_account(ALICE, balance=enough - 1)
    assert refused(net, ALICE, EVERY_OP[name](net)) == "insufficient_balance"


def test_every_op_has_its_fees_in_a_test():
    """Those that need something under way are met where it is: attestations, auctions, openings."""
    free = {"unlock", "reveal", "attest_reveal", "bid_reveal"}
    assert FEES.keys() | free | {"attest", "auction", "bid", "ask"} == set(OPS.records)


def test_fees_add_up_over_the_ops_of_an_entry(net):
    net.set_account(ALICE, balance=256 * FEE)
    assert taken(net, ALICE, *[Accuse(b"")] * 256).burned == 256 * FEE
    net.set_account(ALICE, balance=256 * FEE - 1)
    assert refused(net, ALICE, *[Accuse(b"")] * 256) == "insufficient_balance"


# Standing


def test_an_agent_without_an_account_can_do_nothing(net):
    stranger = Ledger(9, 4)
    stranger.state.drop("accounts", stranger.key(8))
    assert refused(stranger, 8, Bond(1, "agent")) == "insufficient_balance"
    assert refused(stranger, 8, Resume(0, bytes(32))) == "not_frozen"
    assert refused(stranger, 8, Unlock(SALT, PREIMAGE)) == "unknown_lock"


def test_a_frozen_log_goes_on_with_resume_only(net):
    net.set_account(ALICE, frozen=True)
    assert refused(net, ALICE, pay(net, BOB)) == "frozen"
    assert refused(net, ALICE, pay(net, BOB), Resume(0, bytes(32))) == "frozen"
    assert taken(net, ALICE, Resume(0, bytes(32)), pay(net, BOB)).resumed


def test_after_resume_the_log_is_free_for_the_rest_of_the_epoch_and_after_its_close(net):
    net.set_account(ALICE, frozen=True)
    net.put(ALICE, Resume(0, bytes(32)))
    net.put(ALICE, pay(net, BOB))
    net.close()
    assert not net.account(ALICE).frozen
    net.put(ALICE, pay(net, BOB))


def test_a_frozen_log_that_does_not_resume_stays_frozen(net):
    net.set_account(ALICE, frozen=True)
    net.close()
    assert refused(net, ALICE, pay(net, BOB)) == "frozen"


def test_two_offences_end_an_account(net):
    net.set_account(ALICE, offences=1)
    taken(net, ALICE, pay(net, BOB))
    net.set_account(ALICE, offences=2, frozen=True)
    for op in (pay(net, BOB), Unbond(1, "witness"), Resume(0, bytes(32))):
        assert refused(net, ALICE, op) == "tombstoned"


# transfer


def test_a_transfer_pays_somebody_else(net):
    delta = taken(net, ALICE, pay(net, BOB, 7), pay(net, CAROL, 8), pay(net, BOB, 9))
    assert delta.credit_to(net.key(BOB)) == 16
    assert delta.credit_to(net.key(CAROL)) == 8
    assert delta.credit_to(net.key(DAVE)) == 0


@pytest.mark.parametrize(("to", "amount"), [(BOB, 0), (ALICE, 5)])
def test_a_transfer_of_nothing_or_to_oneself_is_refused(net, to, amount):
    assert refused(net, ALICE, pay(net, to, amount)) == "bad_amount"


def test_everything_but_the_fee_can_be_paid_and_not_a_unit_more(net):
    taken(net, ALICE, pay(net, BOB, BALANCE - FEE))
    assert refused(net, ALICE, pay(net, BOB, BALANCE - FEE + 1)) == "insufficient_balance"
    assert refused(net, ALICE, pay(net, BOB, 10**38 - 1)) == "insufficient_balance"


def test_bonds_are_no_balance(net):
    assert refused(net, ALICE, pay(net, BOB, BALANCE + 1)) == "insufficient_balance"


def test_what_was_spent_before_in_entry_and_log_is_gone(net):
    half = BALANCE // 2
    assert refused(net, ALICE, pay(net, BOB, half), pay(net, CAROL, half)) == "insufficient_balance"
    net.put(ALICE, pay(net, BOB, half))
    assert refused(net, ALICE, pay(net, CAROL, half)) == "insufficient_balance"


def test_a_transfer_that_creates_an_account_pays_for_it(net):
    assert taken(net, ALICE, Transfer(NOBODY, 5, b"")).burned == FEE + NEW
    net.set_account(ALICE, balance=FEE + NEW + 4)
    assert refused(net, ALICE, Transfer(NOBODY, 5, b"")) == "insufficient_balance"


def test_every_transfer_to_an_account_that_no_seal_holds_pays_for_it(net):
    net.put(ALICE, Transfer(NOBODY, 5, b""))
    assert taken(net, ALICE, Transfer(NOBODY, 5, b"")).burned == FEE + NEW
    net.close()
    assert taken(net, ALICE, Transfer(NOBODY, 5, b"")).burned == FEE


@pytest.mark.parametrize("key", [bytes(32), bytes([1]) + bytes(31), b"\xff" * 32])
def test_nobody_pays_into_what_is_no_key(net, key):
    assert refused(net, ALICE, Transfer(key, 5, b"")) == "bad_key"
    assert refused(net, ALICE, LockOp(key, 5, SALT, 3)) == "bad_key"


# Credits and deps


def test_one_unit_is_an_amount(net):
    taken(net, ALICE, pay(net, BOB, 1), Bond(1, "agent"), lock(net, BOB, 1), Unbond(1, "witness"))


def test_a_credit_is_spent_through_its_dep_once(net):
    paid = net.put(ALICE, pay(net, BOB, 100 * FEE))
    everything = BALANCE + 99 * FEE
    assert refused(net, BOB, pay(net, CAROL, everything)) == "insufficient_balance"
    assert refused(net, BOB, pay(net, CAROL, everything + 1), deps=[paid.id]) == "insufficient_balance"
    taken(net, BOB, pay(net, CAROL, everything), deps=[paid.id])
    net.put(BOB, pay(net, CAROL, BALANCE), deps=[paid.id])
    taken(net, BOB, pay(net, CAROL, 98 * FEE))
    assert refused(net, BOB, pay(net, CAROL, 98 * FEE + 1), deps=[paid.id]) == "insufficient_balance"


def test_anothers_credit_is_not_ones_own(net):
    paid = net.put(ALICE, pay(net, BOB, 100))
    assert refused(net, CAROL, pay(net, BOB, BALANCE), deps=[paid.id]) == "insufficient_balance"


def test_ones_own_entries_are_no_deps(net):
    paid = net.put(ALICE, pay(net, BOB, 100))
    assert refused(net, ALICE, pay(net, BOB), deps=[paid.id]) == "bad_deps"


def test_a_credit_of_a_sealed_epoch_is_balance_and_its_entry_no_dep(net):
    paid = net.put(ALICE, pay(net, BOB, 100))
    net.close()
    taken(net, BOB, pay(net, CAROL, BALANCE + 100 - FEE))
    assert refused(net, BOB, pay(net, CAROL, 1), deps=[paid.id]) == "missing"


def test_money_that_came_this_epoch_can_go_on_and_on(net):
    net.set_account(ERIN, balance=0)
    net.set_account(FRANK, balance=0)
    first = net.put(ALICE, pay(net, ERIN, 10 * FEE))
    second = net.put(ERIN, pay(net, FRANK, 9 * FEE), deps=[first.id])
    net.put(FRANK, pay(net, ALICE, 8 * FEE), deps=[second.id])
    assert net.book.view(net.key(ERIN)).balance == net.book.view(net.key(FRANK)).balance == 0


# bond and unbond


@pytest.mark.parametrize("role", ["witness", "attester", "agent"])
def test_a_bond_leaves_the_balance_and_comes_back_late(net, role):
    before = net.account(ALICE)
    net.put(ALICE, Bond(5, role))
    net.close()
    after = net.account(ALICE)
    assert (after.bond(role), after.balance) == (before.bond(role) + 5, before.balance - 5 - FEE)
    net.put(ALICE, Unbond(5, role))
    closed = net.epoch
    net.close()
    leaves = closed + RULES.evidence_epochs + 2
    assert net.account(ALICE).unbonding == ((role, 5, leaves),)
    assert net.account(ALICE).bond(role) == before.bond(role)


@pytest.mark.parametrize("op", [Bond(0, "agent"), Bond(0, "witness")])
def test_a_bond_is_positive(net, op):
    assert refused(net, ALICE, op) == "bad_amount"


def test_no_more_is_bonded_than_there_is(net):
    taken(net, ALICE, Bond(BALANCE - FEE, "agent"))
    assert refused(net, ALICE, Bond(BALANCE - FEE + 1, "agent")) == "insufficient_balance"


@pytest.mark.parametrize("op", [Unbond(0, "witness"), Unbond(BOND + 1, "witness"), Unbond(1, "agent")])
def test_no_more_is_unbonded_than_is_bonded(net, op):
    assert refused(net, ALICE, op) == "insufficient_bond"


def test_unbonding_adds_up_over_entry_and_log(net):
    most = Unbond(BOND - 1, "witness")
    assert refused(net, ALICE, most, Unbond(2, "witness")) == "insufficient_bond"
    taken(net, ALICE, most, Unbond(1, "witness"), Unbond(BOND, "attester"))
    net.put(ALICE, most)
    assert refused(net, ALICE, Unbond(2, "witness")) == "insufficient_bond"
    net.put(ALICE, Unbond(1, "witness"))
    net.close()
    assert net.account(ALICE).witness == 0
    assert refused(net, ALICE, Unbond(1, "witness")) == "insufficient_bond"


def test_what_was_bonded_this_epoch_cannot_leave_in_it(net):
    assert refused(net, ERIN, Bond(5, "agent"), Unbond(5, "agent")) == "insufficient_bond"
    net.put(ERIN, Bond(5, "agent"))
    assert refused(net, ERIN, Unbond(5, "agent")) == "insufficient_bond"


def test_an_account_unbonds_no_more_often_than_its_row_can_hold(net):
    """A close adds one amount a role; a row with one too many would make a state that nobody can load."""
    every = [Unbond(1, role) for role in ("witness", "attester")] * 128
    net.set_account(ALICE, unbonding=(("agent", 0, 99),) * (UNBONDING_MAX - len(ROLES)))
    net.put(ALICE, *every)
    net.close()
    TABLES["accounts"].load(TABLES["accounts"].dump(net.account(ALICE)))
    net.set_account(ALICE, unbonding=(("agent", 0, 99),) * (UNBONDING_MAX - len(ROLES) + 1))
    assert refused(net, ALICE, Unbond(1, "witness")) == "too_many"


# resume


def test_resume_needs_a_freeze_and_comes_first_and_once(net):
    resume = Resume(0, bytes(32))
    assert refused(net, ALICE, resume) == "not_frozen"
    net.set_account(ALICE, frozen=True)
    assert refused(net, ALICE, resume, resume) == "not_frozen"
    net.put(ALICE, resume)
    assert refused(net, ALICE, resume) == "not_frozen"


def test_resume_names_the_sealed_head(net):
    net.put(ALICE, pay(net, BOB))
    net.close()
    net.set_account(ALICE, frozen=True)
    account = net.account(ALICE)
    for seq, head in ((0, bytes(32)), (1, bytes(32)), (2, account.head), (0, account.head)):
        assert refused(net, ALICE, Resume(seq, head)) == "wrong_head"
    taken(net, ALICE, Resume(1, account.head))


# Views


def test_a_refused_entry_leaves_nothing_behind(net):
    view = net.book.view(net.key(ALICE))
    before = (view.balance, dict(view.rows), set(view.deps))
    for _ in range(3):
        assert (
            refused(net, ALICE, pay(net, BOB), commit(net, ALICE), pay(net, BOB, BALANCE))
            == "insufficient_balance"
        )
    view = net.book.view(net.key(ALICE))
    assert (view.balance, view.rows, view.deps) == before
