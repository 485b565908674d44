"""Findings have one encoding, bounded; a cut is the maximum of heads and the union of the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.close import findings as module
from troth_protocol.close.findings import EVIDENCE_MAX, Findings, load_findings, merge
from troth_protocol.errors import FaultBoundBroken, Invalid
from troth_protocol.log.ops import EVIDENCE_MAX_BYTES
from troth_protocol.log.rows import PREIMAGE_MAX_BYTES
from troth_protocol.wire.chunks import pack_rows
from troth_protocol.wire.crypto import digest

A, B, C = (bytes([n]) * 32 for n in (1, 2, 3))
HASHES = st.binary(min_size=32, max_size=32)
FINDINGS = st.builds(
    Findings,
    heads=st.dictionaries(HASHES, st.tuples(st.integers(1, 2**53 - 1), HASHES), max_size=4),
    claims=st.dictionaries(HASHES, st.binary(max_size=64), max_size=3),
    reporters=st.sets(HASHES, max_size=3),
)


def code(rows):
    with pytest.raises(Invalid) as refused:
        load_findings(pack_rows(rows))
    return refused.value.code


@given(FINDINGS, st.lists(st.binary(max_size=40), max_size=3))
def test_there_and_back(found, evidence):
    for data in evidence:
        found.add_evidence(data)
    assert load_findings(found.encode()) == found
    assert found.chunks().data == found.encode()


def test_evidence_counts_once():
    found = Findings()
    found.add_evidence(b"proof")
    found.add_evidence(b"proof")
    assert found.evidence == {digest(b"proof"): b"proof"}


@pytest.mark.parametrize(
    "row",
    [
        "head",
        [],
        ["head", A, 1],
        ["head", A[:31], 1, B],
        ["head", A, 1, B[:31]],
        ["head", A, 0, B],
        ["head", A, -1, B],
        ["head", A, True, B],
        ["head", A, "1", B],
        ["claim", A[:31], b""],
        ["claim", A, bytes(PREIMAGE_MAX_BYTES + 1)],
        ["claim", A, "text"],
        ["evidence", bytes(EVIDENCE_MAX_BYTES + 1)],
        ["evidence", 1],
        ["reporter", A[:31]],
        ["rumour", A],
    ],
)
def test_a_row_that_is_none_is_refused(row):
    assert code([row]) == "bad_findings"


@pytest.mark.parametrize(
    "rows",
    [
        [["head", B, 1, A], ["head", A, 1, A]],
        [["head", A, 1, A], ["head", A, 1, A]],
        [["head", A, 1, A], ["head", A, 2, A]],
        [["claim", A, b""], ["head", A, 1, A]],
        [["reporter", A], ["reporter", A]],
    ],
)
def test_rows_in_another_order_or_twice_are_refused(rows):
    assert code(rows) == "bad_findings"


def test_a_report_is_bounded_and_a_cut_by_its_reports(monkeypatch):
    monkeypatch.setattr(module, "HEADS_MAX", 2)
    heads = [["head", bytes([n]) * 32, 1, A] for n in range(1, 5)]
    assert code(heads) == "bad_findings"
    assert len(load_findings(pack_rows([*heads, ["reporter", A], ["reporter", B]])).heads) == 4
    assert code([*heads, ["head", b"z" * 32, 1, A], ["reporter", A], ["reporter", B]]) == "bad_findings"


def test_a_cut_holds_the_evidence_of_all_its_reports():
    reports = {}
    for witness in (A, B):
        reports[witness] = Findings()
        for number in range(EVIDENCE_MAX):
            reports[witness].add_evidence(witness + bytes([number]))
        assert load_findings(reports[witness].encode()) == reports[witness]
    cut = merge(reports)
    assert len(cut.evidence) == 2 * EVIDENCE_MAX
    assert load_findings(cut.encode()) == cut, "whoever follows can read what was agreed"
    cut.add_evidence(b"one more")
    with pytest.raises(Invalid, match="bad_findings"):
        load_findings(cut.encode())


def test_any_bytes_are_findings_or_invalid():
    for noise in (b"\0", b"\0\0\0\0", b"\0\0\0\1\xc0", b"\xff" * 9):
        with pytest.raises(Invalid):
            load_findings(noise)
    assert load_findings(b"") == Findings()


def test_a_cut_takes_the_highest_heads_and_everything_else():
    one = Findings({A: (3, A), B: (1, B)}, {A: b"key"})
    two = Findings({A: (2, C), C: (9, C)}, {B: b"other"})
    one.add_evidence(b"x")
    two.add_evidence(b"y")
    cut = merge({A: one, B: two})
    assert cut.heads == {A: (3, A), B: (1, B), C: (9, C)}
    assert cut.claims == {A: b"key", B: b"other"}
    assert set(cut.evidence.values()) == {b"x", b"y"}
    assert cut.reporters == {A, B}
    assert merge({B: two, A: one}).encode() == cut.encode()


def test_two_certified_entries_at_one_place_break_the_fault_bound():
    with pytest.raises(FaultBoundBroken):
        merge({A: Findings({C: (1, A)}), B: Findings({C: (1, B)})})
    assert merge({A: Findings({C: (1, A)}), B: Findings({C: (1, A)})}).heads == {C: (1, A)}
