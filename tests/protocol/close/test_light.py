"""A light client: from the genesis document over the seals to one row, by one branch, believing nobody."""

from dataclasses import replace

import pytest

from troth_node.testing.ledger import Ledger
from troth_node.testing.samples import RULES, TOKEN, sample_genesis
from troth_node.testing.stage import Stage
from troth_protocol.close.light import genesis_checkpoint, genesis_committee
from troth_protocol.close.seal import SIGNED_SEAL
from troth_protocol.errors import Invalid
from troth_protocol.log.committee import Committee
from troth_protocol.log.ops import Bond, Transfer
from troth_protocol.wire.codec import decode

EMIL = 4


@pytest.fixture(scope="module")
def stage():
    stage = Stage(weights=[100] * 4)
    stage.start()
    stage.settle()
    stage.put(EMIL, Transfer(stage.key(0), 5 * TOKEN, b""), Bond(300 * TOKEN, "witness"))
    for _ in range(4):
        stage.close()
    return stage


@pytest.fixture(scope="module")
def seals(stage):
    rows = [decode(row) for _, row in stage.seats[1].disk.scan("seals", b"")]
    return [(SIGNED_SEAL.decode(signed), committee) for signed, committee in rows]


def code(action, *args):
    with pytest.raises(Invalid) as refused:
        action(*args)
    return refused.value.code


def test_a_balance_from_the_genesis_and_the_seals_alone(stage, seals):
    at = genesis_checkpoint(stage.genesis).follow(seals)
    assert at.epoch == 4
    assert at.committee.index(stage.key(EMIL)) is not None, "the set changed on the way"
    proof = stage.core(2).chain.state.prove("accounts", stage.key(EMIL))
    table, key, row = at.verify(proof)
    assert (table, key) == ("accounts", stage.key(EMIL))
    assert row == stage.account(EMIL)


def test_a_tampered_proof_shows_nothing(stage, seals):
    at = genesis_checkpoint(stage.genesis).follow(seals)
    proof = stage.core(0).chain.state.prove("accounts", stage.key(EMIL))
    richer = proof | {"row": proof["row"] | {"balance": "1"}}
    assert code(at.verify, richer) == "bad_branch"
    assert code(at.verify, proof | {"key": stage.key(0)}) == "bad_branch"
    assert code(at.verify, proof | {"index": proof["index"] ^ 1}) == "bad_branch"


def test_a_proof_under_an_older_seal_shows_nothing(stage, seals):
    at = genesis_checkpoint(stage.genesis).follow(seals[:1])
    proof = stage.core(0).chain.state.prove("totals", b"totals")
    assert code(at.verify, proof) == "bad_branch"


def test_without_a_seal_there_is_nothing_to_check_under(stage):
    proof = stage.core(0).chain.state.prove("accounts", stage.key(EMIL))
    assert code(genesis_checkpoint(stage.genesis).verify, proof) == "bad_branch"


def test_no_seal_can_be_left_out_or_come_from_elsewhere(stage, seals):
    start = genesis_checkpoint(stage.genesis)
    assert code(start.follow, seals[1:]) == "wrong_epoch"
    other = genesis_checkpoint(sample_genesis(5, 4))
    assert code(other.follow, seals) == "wrong_network"


def test_the_next_set_is_the_one_that_the_seal_names(stage, seals):
    start = genesis_checkpoint(stage.genesis)
    (signed, committee), *_ = seals
    fewer = Committee(genesis_committee(stage.genesis).members[:1])
    assert code(start.advance, signed, fewer.encode()) == "wrong_set"
    assert code(start.advance, signed, b"") == "empty"
    assert start.advance(signed, committee).epoch == 1


def test_two_thirds_of_the_old_set_must_sign_the_new_one(stage, seals):
    start = genesis_checkpoint(stage.genesis)
    (signed, committee), *_ = seals
    weak = replace(signed, signatures=signed.signatures[:2])
    assert code(start.advance, weak, committee) == "not_enough_weight"


def test_the_first_set_is_the_largest_bonds_in_key_order():
    genesis = sample_genesis(5, 4, weights=[1, 2, 3, 3], rules=replace(RULES, witnesses_max=3))
    ledger = Ledger(5, 4)
    committee = genesis_committee(genesis)
    assert {member.key for member in committee.members} == {ledger.key(agent) for agent in (1, 2, 3)}
    assert [member.key for member in committee.members] == sorted(member.key for member in committee.members)
    assert {member.weight for member in committee.members} == {2 * TOKEN, 3 * TOKEN}
