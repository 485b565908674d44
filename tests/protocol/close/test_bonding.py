"""Bonding out: a witness answers for its last epoch until no evidence of it counts any more, then its bond is free."""

from dataclasses import replace

import pytest

from troth_node.testing.ledger import Ledger
from troth_node.testing.samples import COIN, RULES, TOKEN
from troth_protocol.close.ballots import DOMAINS, NOTARIZE, Instance, Signed, Statement
from troth_protocol.close.findings import Findings
from troth_protocol.evidence import ballot_fork
from troth_protocol.log.committee import bonded_in, count_changes
from troth_protocol.log.ops import Bond, Unbond
from troth_protocol.wire.crypto import digest, preimage

ALMA, BRUNO, CARLA, DAVE, EMIL = range(5)
WINDOW = 3
BOND = 100 * TOKEN


def network(**rules):
    return Ledger(weights=[100] * 4, rules=replace(RULES, evidence_epochs=WINDOW, **rules))


def forked(net, agent, epoch, committee):
    """Evidence that a witness voted for two candidates in a slot of that epoch."""
    at = Instance(net.network, epoch, committee)
    votes = []
    for name in (b"one", b"two"):
        payload = Statement(NOTARIZE, 0, digest(name)).payload(at)
        signature = net.keys[agent].sign(preimage(DOMAINS[NOTARIZE], net.network, payload))
        votes.append(Signed(NOTARIZE, payload, signature))
    return ballot_fork(net.key(agent), *votes)


def left(net):
    """Dave unbonds in epoch 1; returns the set of epoch 2, the last in which he witnesses."""
    net.put(DAVE, Unbond(BOND, "witness"))
    net.close()
    last = net.committee
    assert last.index(net.key(DAVE)) is not None
    net.close()
    assert net.committee.index(net.key(DAVE)) is None
    return last


def reported(evidence):
    findings = Findings()
    findings.add_evidence(evidence)
    return findings


def test_what_a_witness_did_in_its_last_epoch_costs_it_until_the_window_closes():
    net = network()
    evidence = forked(net, DAVE, 2, left(net))
    while net.epoch < 2 + WINDOW:
        net.close()
    (offence,) = net.close(reported(evidence)).offences
    assert offence[1].offender == net.key(DAVE)
    assert net.account(DAVE).unbonding == (("witness", BOND // 2, 2 + WINDOW + 1),)


def test_then_the_bond_is_free_and_the_evidence_too_late():
    net = network()
    evidence = forked(net, DAVE, 2, left(net))
    while net.epoch < 2 + WINDOW:
        net.close()
    assert net.account(DAVE).unbonding
    net.close()
    balance = net.account(DAVE).balance
    assert net.close(reported(evidence)).offences == ()
    assert net.account(DAVE).unbonding == ()
    assert net.account(DAVE).balance == balance + BOND


def test_whoever_is_kept_because_too_few_would_remain_answers_longer():
    net = network(witnesses_min=4)
    net.put(DAVE, Unbond(BOND, "witness"), Unbond(TOKEN, "attester"))
    for _ in range(9):
        net.close()
    assert net.committee.index(net.key(DAVE)) is not None, "the change waits"
    assert net.account(DAVE).unbonding == (("witness", BOND, 9 + WINDOW + 2),), "an attester's part has left"
    net.put(EMIL, Bond(BOND, "witness"))
    net.close()
    net.close()
    assert net.committee.index(net.key(DAVE)) is None
    last = 11
    while net.epoch <= last + WINDOW:
        net.close()
    assert net.account(DAVE).unbonding
    net.close()
    assert net.account(DAVE).unbonding == ()


def test_an_attesters_bond_stays_until_its_votes_are_counted():
    net = Ledger(rules=replace(RULES, evidence_epochs=1), topics=(replace(COIN, questions=1),))
    net.close()
    net.close()
    net.put(DAVE, Unbond(40_000 * TOKEN, "attester"), Unbond(TOKEN, "witness"))
    while net.epoch < 7:
        net.close()
    assert net.account(DAVE).unbonding == (("attester", 40_000 * TOKEN, 6),), "the witness part has left"
    balance = net.account(DAVE).balance
    net.close()
    net.close()
    assert net.state.question(net.question()).round == 1, "nobody voted; the next round has the lower bond"
    penalty = -(-100_000 * TOKEN * RULES.attest_penalty_ppm // 1_000_000)
    assert net.account(DAVE).unbonding == ()
    assert net.account(DAVE).balance == balance + 40_000 * TOKEN
    assert net.account(DAVE).attester == 60_000 * TOKEN - penalty


def test_whoever_returns_before_its_bond_has_left_bonds_anew():
    net = network()
    left(net)
    net.put(DAVE, Bond(BOND, "witness"))
    net.close()
    net.close()
    assert net.committee.index(net.key(DAVE)) is not None
    assert net.account(DAVE).unbonding == (("witness", BOND, 6),)


@pytest.mark.parametrize(("joins", "leaves"), [((), ()), ((EMIL,), ()), ((), (DAVE,)), ((EMIL,), (DAVE,))])
def test_changes_are_counted_from_one_set_to_the_next(joins, leaves):
    net = network()
    before = net.committee
    for agent in joins:
        net.put(agent, Bond(BOND, "witness"))
    for agent in leaves:
        net.put(agent, Unbond(BOND, "witness"))
    net.close()
    net.close()
    assert count_changes([before, before, net.committee]) == (len(joins), len(leaves))
    assert bonded_in(before, net.committee) == {net.key(agent) for agent in joins}
    assert bonded_in(net.committee, before) == {net.key(agent) for agent in leaves}
