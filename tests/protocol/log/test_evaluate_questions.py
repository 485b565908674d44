"""Commits, reveals, agreements, attestations and accusations: each in its phase, once, by whom it belongs to."""

from dataclasses import replace

import pytest

from troth_node.testing.ledger import Ledger
from troth_node.testing.moves import SALT, agree, attest, commit, contribution, name_of, refused, taken, wait
from troth_node.testing.samples import RULES, TOKEN
from troth_protocol.errors import FaultBoundBroken
from troth_protocol.log.ops import Accuse, Attest, AttestReveal, Reveal
from troth_protocol.log.rows import Attestation, Commit, Entrant, Promise

ALICE, BOB, CAROL, DAVE, ERIN = range(5)  # the first four are witnesses and attesters
FEE = RULES.fee
BALANCE, BOND = 1_000 * TOKEN, 100_000 * TOKEN


@pytest.fixture
def net():
    return Ledger()


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
    assert promises == [Promise(net.question(), net.key(ALICE), net.key(BOB), 400_000, deliver=1)]
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
