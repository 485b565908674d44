"""Every op and every refusal: what an entry may do is decided by the sealed state, its own log and its deps alone."""

from dataclasses import replace

import pytest

from troth_node.testing.ledger import Ledger
from troth_node.testing.samples import RULES, TOKEN
from troth_protocol.errors import FaultBoundBroken, Invalid
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.agreement import AGREEMENT, Agreement, sign_agreement
from troth_protocol.log.evaluate import LOCK_EPOCHS_MAX
from troth_protocol.log.ops import (
    OPS,
    Accuse,
    Agree,
    Attest,
    AttestReveal,
    Bond,
    CommitOp,
    LockOp,
    Resume,
    Reveal,
    Transfer,
    Unbond,
    Unlock,
)
from troth_protocol.log.rows import (
    ROLES,
    TABLES,
    UNBONDING_MAX,
    Account,
    Attestation,
    Claim,
    Commit,
    Entrant,
    Lock,
    Promise,
)
from troth_protocol.log.sealed import attest_digest, commit_digest, commit_id, lock_id
from troth_protocol.wire.crypto import digest

ALICE, BOB, CAROL, DAVE, ERIN, FRANK = range(6)  # the first four are witnesses and attesters
FEE, NEW = RULES.fee, RULES.creation_fee
BALANCE, BOND = 1_000 * TOKEN, 100_000 * TOKEN
SALT, KEY = digest(b"salt"), b"preimage"
NOBODY = Ledger(9, 1).key(8)  # a valid key without an account


@pytest.fixture
def net():
    return Ledger()


def refused(net, agent, *ops, deps=()):
    """The code with which an entry of these ops is refused."""
    with pytest.raises(Invalid) as refusal:
        net.book.evaluate(net.entry(agent, *ops, deps=deps))
    return refusal.value.code


def taken(net, agent, *ops, deps=()):
    """What an entry of these ops changes."""
    return net.book.evaluate(net.entry(agent, *ops, deps=deps))


def pay(net, to, amount=5):
    return Transfer(net.key(to), amount, b"")


def lock(net, to, amount=5, until=3, preimage=KEY):
    return LockOp(net.key(to), amount, digest(preimage), until)


def contribution(net, index=0):
    return CONTRIBUTION.encode(Contribution(net.question(index), "because", (), ppm=(600_000, 400_000)))


def commit(net, agent, wager=0, content=None, index=0):
    question = net.question(index)
    sealed = commit_digest(net.network, net.key(agent), question, SALT, content or contribution(net, index))
    return CommitOp(question, sealed, wager)


def name_of(net, agent, op):
    return commit_id(net.network, net.key(agent), op.question, op.digest)


def attest(net, agent, outcome=1, salt=SALT):
    question = net.question()
    return Attest(question, attest_digest(net.network, net.key(agent), question, salt, outcome))


def agree(net, buyer, seller, weight=400_000, index=0, signers=None, **terms):
    agreement = Agreement(
        net.key(buyer), net.key(seller), net.question(index), "doc", weight, 0, 0, 0, 1, digest(b"t")
    )
    data = AGREEMENT.encode(replace(agreement, **terms))
    by = [sign_agreement(net.keys[agent], net.network, data) for agent in signers or (buyer, seller)]
    return Agree(data, *by)


def wait(net, epoch):
    """Empty closes until an epoch opens."""
    while net.epoch < epoch:
        net.close()


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
    free = {"unlock", "reveal", "attest_reveal"}
    assert FEES.keys() | free | {"attest"} == set(OPS.records)


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
    assert refused(stranger, 8, Unlock(SALT, KEY)) == "unknown_lock"


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


# lock


def test_a_lock_holds_the_amount_under_its_own_id(net):
    entry = net.put(ALICE, pay(net, BOB), lock(net, BOB, 7, until=9))
    row = net.book.stored[entry.id].delta.rows["locks", lock_id(entry.id, 1)]
    assert row == Lock(net.key(ALICE), net.key(BOB), 7, digest(KEY), 9)


@pytest.mark.parametrize(("to", "amount"), [(BOB, 0), (ALICE, 5)])
def test_a_lock_pays_a_positive_amount_to_somebody_else(net, to, amount):
    assert refused(net, ALICE, lock(net, to, amount)) == "bad_amount"


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
    delta = taken(net, BOB, Unlock(key, KEY))
    assert (delta.spent, delta.rows) == (0, {("claims", key): Claim(KEY, 2)})


def test_a_lock_of_this_epoch_is_claimed_through_its_dep(net):
    entry, key = locked(net, close=False)
    assert refused(net, BOB, Unlock(key, KEY)) == "unknown_lock"
    taken(net, BOB, Unlock(key, KEY), deps=[entry.id])


def test_only_the_payee_claims(net):
    entry, key = locked(net, close=False)
    assert refused(net, CAROL, Unlock(key, KEY), deps=[entry.id]) == "unknown_lock"
    assert refused(net, ALICE, Unlock(key, KEY)) == "unknown_lock"
    net.close()
    assert refused(net, CAROL, Unlock(key, KEY)) == "unknown_lock"
    assert refused(net, ALICE, Unlock(key, KEY)) == "unknown_lock"


@pytest.mark.parametrize("key", [bytes(32), SALT])
def test_a_lock_that_is_not_there_cannot_be_claimed(net, key):
    assert refused(net, BOB, Unlock(key, KEY)) == "unknown_lock"


@pytest.mark.parametrize("preimage", [b"", b"wrong", digest(KEY), KEY + b"\0"])
def test_another_preimage_claims_nothing(net, preimage):
    _, key = locked(net)
    assert refused(net, BOB, Unlock(key, preimage)) == "wrong_preimage"


def test_a_lock_is_claimed_once(net):
    entry, key = locked(net, close=False)
    claim = Unlock(key, KEY)
    assert refused(net, BOB, claim, claim, deps=[entry.id]) == "lock_over"
    net.put(BOB, claim, deps=[entry.id])
    assert refused(net, BOB, claim, deps=[entry.id]) == "lock_over"
    net.close()
    assert refused(net, BOB, claim) == "lock_over"
    net.close()
    net.close()
    assert refused(net, BOB, claim) == "unknown_lock"
    assert net.account(BOB).balance == BALANCE + 7


def test_a_lock_is_claimed_in_its_last_epoch_and_not_after(net):
    _, key = locked(net, until=3)
    wait(net, 3)
    taken(net, BOB, Unlock(key, KEY))
    net.close()
    assert refused(net, BOB, Unlock(key, KEY)) == "unknown_lock"
    assert net.account(ALICE).balance == BALANCE - 3 * FEE


def test_a_lock_past_its_epoch_is_over(net):
    _, key = locked(net)
    row = net.state.find("locks", key, Lock)
    net.state.put("locks", key, replace(row, until=1))
    assert refused(net, BOB, Unlock(key, KEY)) == "lock_over"


# commit


def test_a_commit_is_sealed_with_its_wager(net):
    op = commit(net, ALICE, RULES.min_wager)
    delta = taken(net, ALICE, op)
    assert delta.spent == RULES.min_wager + 2 * FEE
    assert delta.rows["commits", name_of(net, ALICE, op)] == Commit(
        net.key(ALICE), net.question(), op.digest, RULES.min_wager, 1
    )
    assert delta.rows["entrants", net.question() + net.key(ALICE)] == Entrant(wagered=True)


def test_a_commit_needs_a_question_that_is_open(net):
    assert refused(net, ALICE, commit(net, ALICE, index=1)) == "unknown_question"
    wait(net, 2)
    taken(net, ALICE, commit(net, ALICE))
    taken(net, ALICE, commit(net, ALICE, index=1))
    wait(net, 3)
    assert refused(net, ALICE, commit(net, ALICE)) == "wrong_phase"


def test_a_digest_is_committed_once(net):
    op = commit(net, ALICE)
    assert refused(net, ALICE, op, op) == "duplicate"
    net.put(ALICE, op)
    assert refused(net, ALICE, op) == "duplicate"
    net.close()
    assert refused(net, ALICE, replace(op, wager=RULES.min_wager)) == "duplicate"


def test_a_copied_digest_is_another_commit(net):
    net.put(ALICE, commit(net, ALICE))
    taken(net, BOB, commit(net, ALICE))


def test_one_wager_per_author_and_question(net):
    first, second = commit(net, ALICE, RULES.min_wager), commit(net, ALICE, RULES.min_wager, b"other")
    assert refused(net, ALICE, first, second) == "duplicate"
    net.put(ALICE, first)
    assert refused(net, ALICE, second) == "duplicate"
    net.close()
    assert refused(net, ALICE, second) == "duplicate"
    taken(net, BOB, commit(net, BOB, RULES.min_wager))
    taken(net, ALICE, commit(net, ALICE, RULES.min_wager, index=1))


@pytest.mark.parametrize("wager", [1, RULES.min_wager - 1])
def test_a_wager_is_nothing_or_at_least_the_minimum(net, wager):
    assert refused(net, ALICE, commit(net, ALICE, wager)) == "bad_amount"


def test_a_wager_is_covered(net):
    taken(net, ALICE, commit(net, ALICE, BALANCE - 2 * FEE))
    assert refused(net, ALICE, commit(net, ALICE, BALANCE - 2 * FEE + 1)) == "insufficient_balance"


def test_an_author_has_so_many_signals_per_question(net):
    ops = [commit(net, ALICE, content=bytes([n])) for n in range(RULES.signals_max + 1)]
    assert refused(net, ALICE, *ops) == "too_many"
    net.put(ALICE, *ops[:-1])
    assert refused(net, ALICE, ops[-1]) == "too_many"
    taken(net, ALICE, commit(net, ALICE, RULES.min_wager))


# reveal


def committed(net, agent=ALICE, wager=0, content=None):
    """A commit to question 0, at the start of its reveal phase."""
    content = content or contribution(net)
    op = commit(net, agent, wager, content)
    net.put(agent, op)
    wait(net, 5)
    return Reveal(name_of(net, agent, op), SALT, content)


def test_a_commit_opens_with_its_salt_and_contribution(net):
    reveal = committed(net)
    delta = taken(net, ALICE, reveal)
    assert delta.reveals == [(reveal.commit, reveal.contribution)]
    net.put(ALICE, reveal)
    net.close()
    row = net.state.find("commits", reveal.commit, Commit)
    assert (row.revealed, row.ppm) == (True, (600_000, 400_000))


def test_a_reveal_is_free(net):
    reveal = committed(net)
    net.set_account(ALICE, balance=0)
    assert taken(net, ALICE, reveal).spent == 0


def test_only_ones_own_commits_open(net):
    reveal = committed(net)
    assert refused(net, BOB, reveal) == "unknown_commit"
    assert refused(net, ALICE, replace(reveal, commit=SALT)) == "unknown_commit"


def test_anothers_commit_does_not_open_through_deps(net):
    op = commit(net, ALICE)
    entry = net.put(ALICE, op)
    reveal = Reveal(name_of(net, ALICE, op), SALT, contribution(net))
    assert refused(net, BOB, reveal, deps=[entry.id]) == "unknown_commit"


def test_a_reveal_waits_for_its_phase(net):
    op = commit(net, ALICE)
    net.put(ALICE, op)
    reveal = Reveal(name_of(net, ALICE, op), SALT, contribution(net))
    for epoch in range(1, 8):
        wait(net, epoch)
        if epoch in (5, 6):
            taken(net, ALICE, reveal)
        else:
            assert refused(net, ALICE, reveal) == "wrong_phase"


def test_a_commit_opens_once(net):
    reveal = committed(net)
    assert refused(net, ALICE, reveal, reveal) == "duplicate"
    net.put(ALICE, reveal)
    assert refused(net, ALICE, reveal) == "duplicate"
    net.close()
    assert refused(net, ALICE, reveal) == "duplicate"


@pytest.mark.parametrize("change", [{"salt": bytes(32)}, {"contribution": b"other"}, {"contribution": b""}])
def test_another_salt_or_contribution_opens_nothing(net, change):
    assert refused(net, ALICE, replace(committed(net), **change)) == "bad_digest"


def test_what_breaks_the_rules_of_contributions_counts_as_not_revealed(net):
    reveal = committed(net, content=b"no contribution")
    net.put(ALICE, reveal)
    net.close()
    assert not net.state.find("commits", reveal.commit, Commit).revealed


# agree


def test_an_agreement_is_recorded_in_the_buyers_log(net):
    op = agree(net, ALICE, BOB)
    delta = taken(net, ALICE, op)
    assert delta.rows["entrants", net.question() + net.key(ALICE)] == Entrant(promised_ppm=400_000)
    promises = [row for (table, _), row in delta.rows.items() if table == "promises"]
    assert promises == [Promise(net.question(), net.key(ALICE), net.key(BOB), 400_000)]
    assert refused(net, BOB, op) == "bad_agreement"
    assert refused(net, CAROL, op) == "bad_agreement"


def test_an_agreement_is_recorded_once(net):
    op = agree(net, ALICE, BOB)
    assert refused(net, ALICE, op, op) == "bad_agreement"
    net.put(ALICE, op)
    assert refused(net, ALICE, op) == "bad_agreement"
    net.close()
    assert refused(net, ALICE, op) == "bad_agreement"


@pytest.mark.parametrize("signers", [(ALICE, ALICE), (BOB, BOB), (BOB, ALICE), (ALICE, CAROL)])
def test_both_parties_signed(net, signers):
    assert refused(net, ALICE, agree(net, ALICE, BOB, signers=signers)) == "bad_signature"


def test_signatures_inside_a_certified_entry_were_the_quorums_affair(net):
    entry = net.entry(ALICE, agree(net, ALICE, BOB, signers=(BOB, ALICE)))
    assert net.book.add(entry, net.certify(entry))
    with pytest.raises(FaultBoundBroken, match="bad_agreement"):
        net.book.add(foreign := net.entry(ALICE, agree(net, CAROL, BOB)), net.certify(foreign))


def test_an_agreement_with_oneself_is_refused(net):
    assert refused(net, ALICE, agree(net, ALICE, ALICE)) == "bad_agreement"


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xc0", b"garbage"])
def test_what_is_no_agreement_is_refused(net, data):
    assert refused(net, ALICE, replace(agree(net, ALICE, BOB), agreement=data)) != "missing"


def test_agreements_are_made_while_commits_are_open(net):
    assert refused(net, ALICE, agree(net, ALICE, BOB, index=1)) == "unknown_question"
    wait(net, 3)
    assert refused(net, ALICE, agree(net, ALICE, BOB)) == "wrong_phase"


def test_promises_of_one_question_add_up_to_a_million_ppm_at_most(net):
    first, second, third = (agree(net, ALICE, seller, 400_000) for seller in (BOB, CAROL, DAVE))
    assert refused(net, ALICE, first, second, third) == "too_many"
    net.put(ALICE, first)
    net.close()
    net.put(ALICE, second)
    assert refused(net, ALICE, third) == "too_many"
    assert refused(net, ALICE, agree(net, ALICE, DAVE, 200_001)) == "too_many"
    taken(net, ALICE, agree(net, ALICE, DAVE, 200_000))
    taken(net, ALICE, agree(net, ALICE, DAVE, 1_000_000, index=1))
    taken(net, BOB, agree(net, BOB, DAVE, 1_000_000))


def test_promises_and_commits_share_a_row_without_harm(net):
    net.put(ALICE, agree(net, ALICE, BOB), commit(net, ALICE, RULES.min_wager), commit(net, ALICE, 0, b"x"))
    net.close()
    row = net.state.find("entrants", net.question() + net.key(ALICE), Entrant)
    assert row == Entrant(wagered=True, signals=1, promised_ppm=400_000)


# attest


def test_a_bonded_attester_seals_its_vote(net):
    wait(net, 3)
    op = attest(net, ALICE)
    delta = taken(net, ALICE, op)
    assert delta.rows["attestations", net.question() + net.key(ALICE)] == Attestation(0, BOND, op.digest)
    assert (delta.burned, delta.spent) == (2 * FEE, 2 * FEE)


def test_a_vote_has_its_phase(net):
    for epoch in range(1, 9):
        wait(net, epoch)
        if epoch in (3, 4):
            taken(net, ALICE, attest(net, ALICE))
        else:
            assert refused(net, ALICE, attest(net, ALICE)) == "wrong_phase"
    wait(net, 9)
    assert net.state.question(net.question()).round == 1
    taken(net, ALICE, attest(net, ALICE))


def test_a_vote_needs_a_question_and_a_bond(net):
    wait(net, 3)
    assert refused(net, ALICE, Attest(SALT, SALT)) == "unknown_question"
    assert refused(net, ERIN, attest(net, ERIN)) == "insufficient_bond"
    net.set_account(ERIN, attester=BOND)
    assert refused(net, ERIN, attest(net, ERIN)) == "insufficient_bond", "bonded after the vote began"
    taken(net, ALICE, attest(net, ALICE))
    net.set_account(ALICE, attester=0, balance=2 * FEE)
    taken(net, ALICE, attest(net, ALICE))  # unbonded after the vote began: the duty stays
    net.set_account(ALICE, balance=2 * FEE - 1)
    assert refused(net, ALICE, attest(net, ALICE)) == "insufficient_balance"


def test_one_vote_per_round(net):
    wait(net, 3)
    first, second = attest(net, ALICE, 0), attest(net, ALICE, 1)
    assert refused(net, ALICE, first, second) == "duplicate"
    net.put(ALICE, first)
    assert refused(net, ALICE, second) == "duplicate"
    net.close()
    assert refused(net, ALICE, first) == "duplicate"
    wait(net, 9)  # nobody opened: a second round
    taken(net, ALICE, second)


# attest_reveal


def attested(net, agent=ALICE, outcome=1):
    wait(net, 3)
    net.put(agent, attest(net, agent, outcome))
    wait(net, 7)
    return AttestReveal(net.question(), outcome, SALT)


def test_a_vote_opens_for_free(net):
    reveal = attested(net)
    net.set_account(ALICE, balance=0)
    delta = taken(net, ALICE, reveal)
    row = delta.rows["attestations", net.question() + net.key(ALICE)]
    assert (row.outcome, delta.spent) == (1, 0)


def test_a_vote_opens_in_its_phase(net):
    wait(net, 3)
    net.put(ALICE, attest(net, ALICE))
    for epoch in range(3, 10):
        wait(net, epoch)
        if epoch in (7, 8):
            taken(net, ALICE, AttestReveal(net.question(), 1, SALT))
        else:
            assert refused(net, ALICE, AttestReveal(net.question(), 1, SALT)) == "wrong_phase"


def test_what_was_not_sealed_does_not_open(net):
    reveal = attested(net)
    assert refused(net, BOB, reveal) == "unknown_commit"
    assert refused(net, ERIN, reveal) == "unknown_commit"
    assert refused(net, ALICE, replace(reveal, question=SALT)) == "unknown_question"


def test_a_vote_opens_once(net):
    reveal = attested(net)
    assert refused(net, ALICE, reveal, reveal) == "unknown_commit"
    net.put(ALICE, reveal)
    assert refused(net, ALICE, reveal) == "unknown_commit"
    net.close()
    assert refused(net, ALICE, reveal) == "unknown_commit"


def test_a_vote_of_an_earlier_round_does_not_open_in_a_later_one(net):
    reveal = attested(net)
    wait(net, 11)
    assert net.state.question(net.question()).round == 1
    assert refused(net, ALICE, reveal) == "unknown_commit"


@pytest.mark.parametrize(
    ("change", "code"),
    [({"outcome": 0}, "bad_digest"), ({"salt": bytes(32)}, "bad_digest"), ({"outcome": 2}, "bad_outcome")],
)
def test_another_outcome_or_salt_opens_nothing(net, change, code):
    assert refused(net, ALICE, replace(attested(net), **change)) == code


# accuse


def test_an_accusation_is_recorded_and_judged_at_the_close(net):
    assert taken(net, ALICE, Accuse(b"one"), Accuse(b"two")).accusations == [b"one", b"two"]
    net.put(ALICE, Accuse(b"no evidence"))
    assert net.close().offences == ()


# Views


def test_a_refused_entry_leaves_nothing_behind(net):
    view = net.book.view(net.key(ALICE))
    before = (view.balance, dict(view.rows), set(view.deps))
    for _ in range(3):
        assert refused(net, ALICE, pay(net, BOB), commit(net, ALICE), pay(net, BOB, BALANCE)) == "insufficient_balance"
    view = net.book.view(net.key(ALICE))
    assert (view.balance, view.rows, view.deps) == before
