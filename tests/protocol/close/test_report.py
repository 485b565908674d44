"""Reports are signed headers; a value is reports of more than two thirds, each member once, in order."""

import pytest

from troth_node.testing.ledger import Ledger
from troth_protocol.close.findings import Findings
from troth_protocol.close.report import (
    REPORT_HEADER,
    encode_value,
    load_report,
    load_value,
    sign_report,
)
from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import encode

ID = bytes(32)


@pytest.fixture(scope="module")
def ledger():
    return Ledger(5, 4)


def signed(ledger, agent=0, epoch=1):
    return sign_report(ledger.keys[agent], ledger.network, epoch, ledger.committee, Findings().chunks())


def load(ledger, report, **changes):
    where = {"network": ledger.network, "epoch": 1, "committee": ledger.committee} | changes
    return load_report(report.payload, changes.pop("signature", report.signature), **where)


def code(action, *args, **kwargs):
    with pytest.raises(Invalid) as refused:
        action(*args, **kwargs)
    return refused.value.code


def test_there_and_back(ledger):
    report = signed(ledger)
    assert load(ledger, report) == report
    assert report.header.witness == ledger.key(0)
    assert report.header.root == Findings().chunks().root


def test_a_report_of_another_close_is_refused(ledger):
    report = signed(ledger)
    other = Ledger(5, 3)
    assert code(load, ledger, report, epoch=2) == "wrong_epoch"
    assert code(load, ledger, report, committee=other.committee) == "wrong_epoch"
    assert code(load, ledger, report, network=other.network) == "bad_signature"


def test_only_members_report_and_only_for_themselves(ledger):
    stranger = signed(ledger, agent=4)
    assert code(load, ledger, stranger) == "bad_member"
    report, theirs = signed(ledger, 0), signed(ledger, 1)
    forged = (report.payload, theirs.signature, ledger.network, 1, ledger.committee)
    assert code(load_report, *forged) == "bad_signature"


def test_a_header_that_is_none_is_refused(ledger):
    noise = (b"\xc0", bytes(64), ledger.network, 1, ledger.committee)
    assert code(load_report, *noise) == "nil"
    header = REPORT_HEADER.dump(signed(ledger).header) | {"size": 20_001}
    assert code(load_report, encode(header), bytes(64), *noise[2:]) == "bad_field"


def test_a_value_there_and_back(ledger):
    value = {2: b"c" * 32, 0: b"a" * 32, 1: b"b" * 32}
    assert load_value(encode_value(value), ledger.committee) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, "bad_value"),
        ("text", "bad_value"),
        ([[0, ID], [1, ID], 2], "bad_value"),
        ([[0, ID], [1, ID], [2]], "bad_value"),
        ([[0, ID], [1, ID], [2, ID[:31]]], "bad_value"),
        ([[0, ID], [1, ID], [-1, ID]], "bad_value"),
        ([[False, ID], [True, ID], [2, ID]], "bad_value"),
        ([[1, ID], [0, ID], [2, ID]], "bad_value"),
        ([[0, ID], [1, ID], [1, ID]], "bad_member"),
        ([[0, ID], [1, ID], [4, ID]], "bad_member"),
        ([[0, ID], [1, ID]], "not_enough_weight"),
        ([], "not_enough_weight"),
    ],
)
def test_what_is_no_value_is_refused(ledger, value, expected):
    assert code(load_value, encode(value), ledger.committee) == expected
