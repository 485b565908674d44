"""A close is a pure function: logs, claims and refunds, bonds, mint and the next witness set, to the unit."""

from dataclasses import replace

import pytest

from troth_node.testing.ledger import Ledger
from troth_node.testing.samples import RULES, TOKEN
from troth_protocol.close.execute import Close, execute
from troth_protocol.close.findings import Findings
from troth_protocol.errors import TrothError
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.ops import Bond, CommitOp, LockOp, Reveal, Transfer, Unbond, Unlock
from troth_protocol.log.rows import TABLES, UNBONDING_MAX, Attendance, Claim, Commit, Lock, Offence
from troth_protocol.log.sealed import commit_digest, commit_id, lock_id
from troth_protocol.log.state import decode_state
from troth_protocol.wire.crypto import KeyPair, digest

ALMA, BRUNO, CARLA, DAVE, EMIL, FINN = range(6)
KEY = b"key of a lock"


def advance(ledger, epochs):
    for _ in range(epochs):
        closed = ledger.close()
    return closed


def members(ledger):
    return [agent for agent in range(6) if ledger.committee.index(ledger.key(agent)) is not None]


def away(ledger, *agents):
    """A close in which these witnesses are among no reporters."""
    closed = execute(
        Close(ledger.genesis, ledger.network, ledger.epoch, ledger.committee),
        ledger.state,
        Findings(
            reporters={m.key for m in ledger.committee.members} - {ledger.key(agent) for agent in agents}
        ),
        {},
    )
    ledger.state, ledger.committee = closed.state, closed.committee
    ledger.epoch += 1
    ledger.book = ledger.new_book()


# Logs


def test_an_empty_close_only_counts():
    ledger = Ledger()
    before = ledger.state
    closed = ledger.close()
    assert closed.entries == 0
    assert closed.committee == ledger.committee
    assert closed.state.totals().epoch == 1
    assert dict(before.items("accounts", object)) == dict(closed.state.items("accounts", object))


def test_the_sealed_state_does_not_notice():
    ledger = Ledger()
    sealed, root = ledger.state, ledger.state.root()
    ledger.put(EMIL, Transfer(ledger.key(FINN), TOKEN, b""))
    ledger.close()
    assert sealed.root() == root


def test_logs_move_money_heads_and_fees():
    ledger = Ledger()
    ledger.put(EMIL, Transfer(ledger.key(FINN), 5 * TOKEN, b""))
    last = ledger.put(EMIL, Transfer(ledger.key(FINN), TOKEN, b""))
    closed = ledger.close()
    assert closed.entries == 2
    account = ledger.account(EMIL)
    assert account.balance == 994 * TOKEN - 2 * RULES.fee
    assert (account.seq, account.head) == (2, last.id)
    assert ledger.account(FINN).balance == 1_006 * TOKEN
    assert ledger.state.totals().burned == 2 * RULES.fee


def test_a_transfer_makes_an_account():
    ledger = Ledger()
    stranger = KeyPair.from_seed(bytes(32)).public
    ledger.put(EMIL, Transfer(stranger, TOKEN, b""))
    ledger.close()
    assert ledger.state.account(stranger).balance == TOKEN
    assert ledger.state.totals().burned == RULES.fee + RULES.creation_fee


def test_the_order_in_which_logs_are_given_does_not_matter():
    ledger = Ledger()
    ledger.put(EMIL, Transfer(ledger.key(FINN), 5 * TOKEN, b""))
    ledger.put(FINN, Transfer(ledger.key(EMIL), 3 * TOKEN, b""))
    heads = ledger.book.moved()
    logs = {author: ledger.book.log(author, seq) for author, (seq, _) in heads.items()}
    at = Close(ledger.genesis, ledger.network, 1, ledger.committee)
    roots = {
        execute(at, ledger.state, Findings(heads), dict(order)).state.root()
        for order in (sorted(logs.items()), sorted(logs.items(), reverse=True))
    }
    assert len(roots) == 1


def test_books_that_do_not_balance_stop_the_close():
    ledger = Ledger()
    ledger.set_account(EMIL, balance=1)
    with pytest.raises(TrothError, match="do not balance"):
        ledger.close()


def test_a_higher_incarnation_is_taken_over():
    ledger = Ledger()
    entry = ledger.entry(EMIL, Transfer(ledger.key(FINN), 1, b""), incarnation=1)
    ledger.book.add(entry, ledger.certify(entry))
    ledger.close()
    assert ledger.account(EMIL).incarnation == 1


# Reveals


def seal_and_open(body):
    ledger = Ledger()
    question, salt = ledger.question(), digest(b"salt")
    sealed = commit_digest(ledger.network, ledger.key(EMIL), question, salt, body(question))
    key = commit_id(ledger.network, ledger.key(EMIL), question, sealed)
    ledger.put(EMIL, CommitOp(question, sealed, TOKEN))
    advance(ledger, 4)
    ledger.put(EMIL, Reveal(key, salt, body(question)))
    ledger.close()
    return ledger.state.find("commits", key, Commit)


def test_a_reveal_opens_the_commit():
    made = Contribution(b"", "", ((digest(b"x"), 5),), ppm=(300_000, 700_000))
    commit = seal_and_open(lambda question: CONTRIBUTION.encode(replace(made, question=question)))
    assert (commit.revealed, commit.ppm, commit.payload) == (True, (300_000, 700_000), None)
    assert commit.citations == made.citations


def test_a_reveal_of_what_breaks_the_rules_counts_as_none():
    commit = seal_and_open(lambda _: b"not even msgpack")
    assert (commit.revealed, commit.ppm) == (False, None)


def test_a_reveal_of_a_commit_that_is_gone_changes_nothing():
    ledger = Ledger()
    question, salt = ledger.question(), digest(b"salt")
    sealed = commit_digest(ledger.network, ledger.key(EMIL), question, salt, b"x")
    key = commit_id(ledger.network, ledger.key(EMIL), question, sealed)
    ledger.put(EMIL, CommitOp(question, sealed, 0))
    advance(ledger, 4)
    ledger.put(EMIL, Reveal(key, salt, b"x"))
    stored = ledger.book.log(ledger.key(EMIL), 2)[-1]
    stored.delta.rows.clear()
    ledger.state.drop("commits", key)
    assert ledger.close().entries == 1


# Locks


#: What FINN has in its log when its bond for a claim of one token is paid.
BACKED = 999 * TOKEN - RULES.fee


def backed(ledger):
    """FINN bonds what it is about to claim."""
    ledger.put(FINN, Bond(TOKEN, "agent"))


def lock(ledger, until=4):
    entry = ledger.put(EMIL, LockOp(ledger.key(FINN), TOKEN, digest(KEY), until))
    return entry, lock_id(entry.id, 0)


def test_a_lock_without_a_claim_goes_back():
    ledger = Ledger()
    _, key = lock(ledger)
    advance(ledger, 3)
    assert ledger.state.find("locks", key, Lock) is not None
    ledger.close()
    assert ledger.state.find("locks", key, Lock) is None
    assert ledger.account(EMIL).balance == 1_000 * TOKEN - 3 * RULES.fee


def test_a_certified_claim_is_paid_two_closes_later():
    ledger = Ledger()
    backed(ledger)
    _, key = lock(ledger)
    ledger.close()
    ledger.put(FINN, Unlock(key, KEY))
    advance(ledger, 2)
    assert ledger.account(FINN).balance == BACKED
    ledger.close()
    assert ledger.account(FINN).balance == BACKED + TOKEN
    assert ledger.state.find("locks", key, Lock) is None
    assert ledger.state.find("claims", key, Claim) is None


def test_a_claim_that_a_report_carries_counts_without_a_certificate():
    ledger = Ledger()
    backed(ledger)
    _, key = lock(ledger)
    ledger.close()
    ledger.close(Findings(claims={key: KEY}))
    assert ledger.state.find("claims", key, Claim) == Claim(KEY, 2, backed=2)
    advance(ledger, 2)
    assert ledger.account(FINN).balance == BACKED + TOKEN


def test_a_claim_in_the_last_epoch_still_counts():
    ledger = Ledger()
    backed(ledger)
    _, key = lock(ledger, until=3)
    advance(ledger, 2)
    ledger.close(Findings(claims={key: KEY}))
    advance(ledger, 2)
    assert ledger.account(FINN).balance == BACKED + TOKEN


def test_a_claim_with_another_key_of_nothing_or_twice_changes_nothing():
    ledger = Ledger()
    _, key = lock(ledger)
    ledger.close(Findings(claims={key: b"wrong", digest(b"no lock"): KEY}))
    assert ledger.state.find("claims", key, Claim) is None
    ledger.close(Findings(claims={key: KEY}))
    ledger.close(Findings(claims={key: KEY}))
    assert ledger.state.find("claims", key, Claim).epoch == 2


def test_a_lock_can_be_claimed_in_the_epoch_that_makes_it():
    ledger = Ledger()
    entry, key = lock(ledger)
    ledger.put(FINN, Unlock(key, KEY), deps=[entry.id])
    ledger.close()
    assert ledger.state.find("claims", key, Claim).epoch == 1


# Bonds


def test_bonds_move_at_once_and_leave_after_evidence_can_come():
    ledger = Ledger(rules=replace(RULES, evidence_epochs=3))
    ledger.put(EMIL, Bond(30 * TOKEN, "agent"))
    ledger.close()
    ledger.put(EMIL, Unbond(10 * TOKEN, "agent"))
    ledger.close()
    assert ledger.account(EMIL).agent == 20 * TOKEN
    assert ledger.account(EMIL).unbonding == (("agent", 10 * TOKEN, 7),)
    balance = ledger.account(EMIL).balance
    advance(ledger, 4)
    assert ledger.account(EMIL).balance == balance
    ledger.close()
    assert ledger.account(EMIL).balance == balance + 10 * TOKEN
    assert ledger.account(EMIL).unbonding == ()


def test_what_leaves_later_stays():
    ledger = Ledger(rules=replace(RULES, evidence_epochs=3))
    for _ in range(2):
        ledger.put(ALMA, Unbond(TOKEN, "witness"))
        ledger.close()
    advance(ledger, 4)
    assert ledger.account(ALMA).unbonding == (("witness", TOKEN, 7),)


def test_many_small_unbonds_make_one_short_row():
    ledger = Ledger()
    for _ in range(5):
        ledger.put(ALMA, *[Unbond(1, "witness")] * 220)
    ledger.close()
    assert UNBONDING_MAX < 5 * 220
    assert ledger.account(ALMA).unbonding == (("witness", 1_100, 1 + RULES.evidence_epochs + 2),)
    row = TABLES["accounts"].dump(ledger.account(ALMA))
    assert TABLES["accounts"].load(row) == ledger.account(ALMA)
    assert decode_state(ledger.state.encode()).root() == ledger.state.root()


# Supply


def test_the_mint_feeds_the_reserve_for_its_epochs():
    ledger = Ledger(rules=replace(RULES, mint_per_epoch=7, mint_epochs=2))
    reserve = ledger.state.totals().reserve
    advance(ledger, 4)
    assert ledger.state.totals().reserve == reserve + 14
    assert ledger.state.totals().minted == 14


# The next witness set


def test_a_bond_weighs_two_epochs_later():
    ledger = Ledger(weights=[100] * 4)
    ledger.put(EMIL, Bond(200 * TOKEN, "witness"))
    ledger.close()
    assert members(ledger) == [ALMA, BRUNO, CARLA, DAVE], "drawn from the state before"
    ledger.close()
    assert members(ledger) == [ALMA, BRUNO, CARLA, DAVE, EMIL]
    assert max(member.weight for member in ledger.committee.members) == 200 * TOKEN


def test_an_unbond_takes_the_weight_away_two_epochs_later():
    ledger = Ledger(weights=[100] * 4)
    ledger.put(ALMA, Unbond(100 * TOKEN, "witness"))
    ledger.close()
    assert ALMA in members(ledger)
    ledger.close()
    assert members(ledger) == [BRUNO, CARLA, DAVE]


def test_a_bond_below_a_thousandth_carries_no_weight():
    ledger = Ledger(weights=[500] * 4)
    ledger.put(EMIL, Bond(2 * TOKEN, "witness"))
    ledger.put(FINN, Bond(3 * TOKEN, "witness"))
    advance(ledger, 2)
    assert members(ledger) == [ALMA, BRUNO, CARLA, DAVE, FINN]


def test_the_largest_bonds_witness_ties_by_key():
    ledger = Ledger(weights=[100] * 4, rules=replace(RULES, witnesses_max=2))
    first = sorted(ledger.key(agent) for agent in range(4))[:2]
    ledger.close()
    assert [member.key for member in ledger.committee.members] == first
    ledger.put(FINN, Bond(101 * TOKEN, "witness"))
    advance(ledger, 2)
    assert ledger.key(FINN) in {member.key for member in ledger.committee.members}
    assert len(ledger.committee.members) == 2


def test_a_witness_that_keeps_silent_is_left_out_until_it_bonds_again():
    ledger = Ledger(weights=[100] * 4, rules=replace(RULES, silent_epochs=3))
    away(ledger, DAVE)
    away(ledger, DAVE)
    assert ledger.state.find("attendance", ledger.key(DAVE), Attendance) == Attendance(2, left_out=False)
    assert DAVE in members(ledger)
    away(ledger, DAVE)
    assert members(ledger) == [ALMA, BRUNO, CARLA]
    assert ledger.account(DAVE).witness == 100 * TOKEN, "left out, not slashed"
    ledger.close()
    assert members(ledger) == [ALMA, BRUNO, CARLA], "a report of the others does not bring it back"
    ledger.put(DAVE, Bond(TOKEN, "witness"))
    ledger.close()
    assert members(ledger) == [ALMA, BRUNO, CARLA, DAVE]


def test_a_report_in_time_starts_the_count_again():
    ledger = Ledger(rules=replace(RULES, silent_epochs=2))
    away(ledger, DAVE)
    ledger.close()
    away(ledger, DAVE)
    assert DAVE in members(ledger)


def test_a_change_that_would_leave_too_few_waits():
    ledger = Ledger(weights=[100] * 4, rules=replace(RULES, witnesses_min=4))
    ledger.put(ALMA, Unbond(100 * TOKEN, "witness"))
    advance(ledger, 3)
    assert ALMA in members(ledger)
    ledger.put(EMIL, Bond(100 * TOKEN, "witness"))
    advance(ledger, 2)
    assert members(ledger) == [BRUNO, CARLA, DAVE, EMIL]


# Roots


def test_the_roots_cover_what_was_paid_and_punished():
    ledger = Ledger()
    closed = ledger.close()
    assert closed.emissions_root == closed.evidence_root, "both of nothing"
    assert (
        replace(closed, offences=((b"k", Offence("entry_fork", bytes(32), 1, 1, 5)),)).evidence_root
        != closed.evidence_root
    )
