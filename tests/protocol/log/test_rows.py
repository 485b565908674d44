"""The rows of the sealed state: every table's row there and back, and what its record refuses."""

import dataclasses

import pytest

from troth_protocol.errors import Invalid
from troth_protocol.log.rows import (
    CITATIONS_MAX,
    ROLES,
    TABLES,
    UNBONDING_MAX,
    UNITS_MAX,
    Account,
    Attendance,
    Attestation,
    Auction,
    Bid,
    Claim,
    Commit,
    Entrant,
    Lock,
    Offence,
    Promise,
    Question,
    Standing,
    TopicRow,
    Totals,
)
from troth_protocol.wire.codec import decode, encode
from troth_protocol.wire.schema import MAX_INT

A, B = bytes([1]) * 32, bytes([2]) * 32
MOST = 10**38 - 1

#: One row of each table, as large as it gets where that matters.
ROWS = {
    "accounts": Account(
        MOST, 3, MAX_INT, A, 1, 2, 3, (("agent", 5, 9),) * UNBONDING_MAX, frozen=True, offences=2
    ),
    "attestations": Attestation(2, 7, A, 63),
    "attendance": Attendance(7, left_out=True),
    "auctions": Auction(A, B, UNITS_MAX, MOST, A, MAX_INT),
    "bids": Bid(A, MOST, MOST, B),
    "claims": Claim(bytes(64), 9, 10),
    "commits": Commit(
        A,
        B,
        A,
        MOST,
        9,
        revealed=True,
        ppm=(1, 999_999),
        payload=B,
        citations=((A, 1_000_000),) * CITATIONS_MAX,
    ),
    "entrants": Entrant(wagered=True, signals=64, promised_ppm=1_000_000),
    "locks": Lock(A, B, 5, A, MAX_INT),
    "offences": Offence("entry_fork", A, 1, 2, MOST),
    "promises": Promise(A, A, B, 1_000_000),
    "questions": Question(
        "coin", 1, 2, 3, 4, 5, 6, 7, (500_000,) * 64, 8, 9, 1, 10, 11, A, MOST, "why?", ("x",) * 64
    ),
    "standings": Standing(1, 2, 3),
    "topics": TopicRow(((1, 2), (3, 4))),
    "totals": Totals(1, 2, 3, 4, 5),
}
by_table = pytest.mark.parametrize("table", sorted(TABLES))


def value_of(table):
    return decode(encode(TABLES[table].dump(ROWS[table])))


def test_there_is_an_example_of_every_table():
    assert ROWS.keys() == TABLES.keys()


@by_table
def test_there_and_back(table):
    assert TABLES[table].load(value_of(table)) == ROWS[table]


@by_table
def test_its_fields_are_those_of_its_class(table):
    assert {field.name for field in dataclasses.fields(ROWS[table])} == set(TABLES[table].fields)


@by_table
def test_unknown_and_missing_fields_are_refused(table):
    for name, kind in TABLES[table].fields.items():
        value = value_of(table)
        del value[name]
        if not kind.optional:
            with pytest.raises(Invalid, match="missing_field"):
                TABLES[table].load(value)
    with pytest.raises(Invalid, match="unknown_field"):
        TABLES[table].load(value_of(table) | {"zzz": 1})


@by_table
def test_every_field_of_a_wrong_type_is_refused(table):
    for name in TABLES[table].fields:
        for wrong in (
            -1,
            1.0,
            {},
            [[[]]],
            "x" * 2_000,
            b"x" * 2_000,
            1 if name in {"frozen", "left_out"} else True,
        ):
            if name in {"wagered", "revealed"} and wrong is True:
                continue
            with pytest.raises(Invalid):
                TABLES[table].load(value_of(table) | {name: wrong})


def test_an_account_holds_balance_bonds_and_what_is_unbonding():
    account = Account(1, witness=2, attester=4, agent=8, unbonding=(("agent", 16, 3), ("witness", 32, 4)))
    assert account.worth() == 63
    assert [account.bond(role) for role in ROLES] == [2, 4, 8]


def test_the_phases_of_a_question_follow_one_another():
    question = Question("coin", 0, 0, 10, 2, 3, 2, 4, (1, 1), 0, 0, 0, 12, 17)
    epochs = range(30)
    assert [e for e in epochs if question.is_commit_open(e)] == [10, 11]
    assert [e for e in epochs if question.is_attest_open(e)] == [12, 13, 14]
    assert [e for e in epochs if question.is_reveal_open(e)] == [15, 16]
    assert [e for e in epochs if question.is_attest_reveal_open(e)] == [17, 18, 19, 20]
    assert (question.commit_last(), question.closes()) == (11, 20)


def test_an_auction_takes_bids_then_opens_them():
    auction = Auction(A, B, 1, 5, A, opens=10)
    epochs = range(20)
    assert [e for e in epochs if auction.is_bid_open(e)] == [11, 12]
    assert [e for e in epochs if auction.is_bid_reveal_open(e)] == [13, 14]
    assert auction.closes() == 14
