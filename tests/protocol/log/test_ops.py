"""Every op of the catalogue: there and back, and every way to spoil one."""

import dataclasses

import pytest

from troth_protocol.errors import Invalid
from troth_protocol.log.ops import (
    AGREEMENT_MAX_BYTES,
    CONTRIBUTION_MAX_BYTES,
    EVIDENCE_MAX_BYTES,
    OPS,
    Accuse,
    Agree,
    AskOp,
    Attest,
    AttestReveal,
    AuctionOp,
    BidOp,
    BidReveal,
    Bond,
    CommitOp,
    LockOp,
    Resume,
    Reveal,
    Sponsored,
    Transfer,
    Unbond,
    Unlock,
)
from troth_protocol.log.rows import UNITS_MAX

A, B = bytes([1]) * 32, bytes([2]) * 32
SIGNATURE = bytes([3]) * 64

#: One example of each op, as large as its fields allow.
EXAMPLES = [
    Transfer(A, 10**38 - 1, bytes(64)),
    Bond(1, "witness"),
    Unbond(1, "attester"),
    Resume(7, A),
    LockOp(A, 5, B, 9),
    Unlock(A, bytes(64)),
    CommitOp(A, B, 0),
    Reveal(A, B, bytes(CONTRIBUTION_MAX_BYTES)),
    Agree(bytes(AGREEMENT_MAX_BYTES), SIGNATURE, SIGNATURE),
    Attest(A, B),
    AttestReveal(A, 63, B),
    Accuse(bytes(EVIDENCE_MAX_BYTES)),
    AuctionOp(A, UNITS_MAX, B, 10**38 - 1, A),
    BidOp(A, B),
    BidReveal(A, 10**38 - 1, B),
    AskOp(Sponsored("x" * 32, "x" * 1024, ("x" * 64,) * 64, (15_625,) * 64, 9, *(1000,) * 4), 10**38 - 1),
]
by_name = pytest.mark.parametrize("op", EXAMPLES, ids=OPS.name_of)


def code(value):
    with pytest.raises(Invalid) as refusal:
        OPS.load(value)
    return refusal.value.code


def test_there_is_an_example_of_every_op():
    assert [OPS.name_of(op) for op in EXAMPLES] == list(OPS.records)


@by_name
def test_there_and_back(op):
    assert OPS.decode(OPS.encode(op)) == op


@by_name
def test_its_fields_are_those_of_its_class(op):
    assert {field.name for field in dataclasses.fields(op)} == set(OPS.records[OPS.name_of(op)].fields)


@by_name
def test_unknown_and_missing_fields_are_refused(op):
    value = OPS.dump(op)
    assert code(value | {"zzz": 1}) == "unknown_field"
    for name in value.keys() - {"op"}:
        assert code({key: item for key, item in value.items() if key != name}) == "missing_field"


@by_name
def test_every_field_of_a_wrong_type_or_size_is_refused(op):
    value = OPS.dump(op)
    for name in value.keys() - {"op"}:
        was = value[name]
        longer = was + was[:1] if isinstance(was, bytes) else -1
        for wrong in (True, False, -1, -(2**53) + 1, 1.5, None, [], {}, [was], longer):
            assert code(value | {name: wrong}) in {"bad_field", "bad_amount", "missing_field"}, (name, wrong)


@pytest.mark.parametrize("amount", ["-1", "00", "1" * 39, "1.0", "", "\uff11", 1, 2**53 - 1])
def test_amounts_have_one_spelling(amount):
    for op in (EXAMPLES[0], EXAMPLES[1], EXAMPLES[2], EXAMPLES[4]):
        assert code(OPS.dump(op) | {"amount": amount}) == "bad_amount"


@pytest.mark.parametrize("role", ["Witness", "", "all", b"witness", 0])
def test_a_role_is_one_of_three(role):
    assert code(OPS.dump(Bond(1, "agent")) | {"role": role}) == "bad_field"


@pytest.mark.parametrize("value", [{}, {"op": "mint"}, {"op": 1}, [], "transfer", 1])
def test_an_unknown_op_is_refused(value):
    assert code(value) == "unknown_kind"
