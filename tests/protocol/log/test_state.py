"""The sealed state: one root for one content, a proof for every row, a snapshot that comes back, books that balance."""

import importlib.util
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_node.testing.ledger import copy_state
from troth_node.testing.samples import TOKEN, sample_genesis
from troth_protocol.errors import Invalid
from troth_protocol.log.rows import TABLES, Account, Lock, Standing, Totals
from troth_protocol.log.state import TOTALS_KEY, State, decode_state, genesis_state, leaf, verify_row
from troth_protocol.wire.chunks import pack_rows
from troth_protocol.wire.codec import decode, encode
from troth_protocol.wire.crypto import digest

spec = importlib.util.spec_from_file_location("test_rows", Path(__file__).with_name("test_rows.py"))
examples = importlib.util.module_from_spec(spec)
spec.loader.exec_module(examples)

A, B, C = (digest(name) for name in (b"a", b"b", b"c"))
by_table = pytest.mark.parametrize("table", sorted(TABLES))


def full_state(rows=3):
    """Some rows in every table."""
    state = State()
    for table, row in examples.ROWS.items():
        for number in range(rows):
            state.put(table, digest(bytes([number])), row)
    return state


def code(action, *args):
    with pytest.raises(Invalid) as refusal:
        action(*args)
    return refusal.value.code


# Rows


def test_rows_come_and_go():
    state = State()
    assert state.find("standings", A, Standing) is None
    state.put("standings", A, Standing(1))
    assert state.find("standings", A, Standing) == Standing(1)
    state.drop("standings", A)
    assert state.find("standings", A, Standing) is None


def test_an_account_that_is_not_there_is_empty():
    assert State().account(A) == Account()


def test_a_question_that_is_not_there_is_refused():
    assert code(State().question, A) == "unknown_question"


def test_rows_can_change_while_they_are_read():
    state = full_state()
    for key, _ in state.items("standings", Standing):
        state.drop("standings", key)
    assert list(state.items("standings", Standing)) == []


def test_a_copy_changes_alone():
    state = full_state()
    before = state.root()
    twin = state.copy()
    twin.put("locks", A, Lock(A, B, 1, A, 9))
    twin.drop("claims", digest(b"\0"))
    assert state.root() == before != twin.root()
    state.put("locks", A, Lock(A, B, 1, A, 9))
    state.drop("claims", digest(b"\0"))
    assert state.root() == twin.root()


# The root

changes = st.lists(
    st.tuples(st.sampled_from(["accounts", "standings"]), st.sampled_from([A, B, C]), st.integers(0, 3)),
    max_size=12,
)
KINDS = {"accounts": Account, "standings": Standing}


@given(changes, st.randoms(use_true_random=False))
def test_the_root_tells_content_and_nothing_else(steps, rng):
    """Zero drops a row; the root is asked for now and then, so that cached leaves meet changes."""
    state = State()
    for table, key, number in steps:
        if number:
            state.put(table, key, KINDS[table](number))
        elif state.find(table, key, object) is not None:
            state.drop(table, key)
        if rng.random() < 0.5:
            state.root()
    rows = list(state.all_rows())
    rng.shuffle(rows)
    fresh = State()
    for table, key, row in rows:
        fresh.put(table, key, row)
    assert fresh.root() == state.root() == copy_state(state).root()


def test_every_row_and_its_absence_move_the_root():
    state = full_state()
    roots = {state.root()}
    for table in TABLES:
        for key in (digest(b"\0"), digest(b"\2")):
            twin = state.copy()
            twin.drop(table, key)
            roots.add(twin.root())
    assert len(roots) == 1 + 2 * len(TABLES)


def test_a_row_in_another_table_or_under_another_key_is_another_state():
    states = [State() for _ in range(3)]
    states[0].put("accounts", A, Account())
    states[1].put("accounts", B, Account())
    states[2].put("standings", A, Standing())
    assert len({state.root() for state in states} | {State().root()}) == 4


# Proofs


@by_table
def test_every_row_of_every_table_is_proved(table):
    state = full_state(5)
    for key in state.tables[table].rows:
        proof = decode(encode(state.prove(table, key)))
        assert verify_row(state.root(), proof) == (table, key, examples.ROWS[table])


def test_what_is_not_there_has_no_proof():
    assert code(full_state().prove, "locks", bytes(32)) == "unknown_row"


@by_table
def test_a_tampered_proof_is_refused(table):
    state = full_state(5)
    root, proof = state.root(), state.prove(table, digest(b"\1"))
    other = State()
    other.put(table, digest(b"\1"), examples.ROWS[table])
    tampered = [
        {"table": next(name for name in TABLES if name != table)},
        {"table": "nobody"},
        {"table": 1},
        {"key": digest(b"\2")},
        {"key": "x"},
        {"index": proof["index"] + 1},
        {"index": -1},
        {"index": True},
        {"size": 4},
        {"size": 6},
        {"size": 0},
        {"size": "5"},
        {"branch": []},
        {"branch": proof["branch"][::-1]},
        {"branch": [*proof["branch"], A]},
        {"branch": [b"short"]},
        {"branch": [1]},
        {"branch": {}},
        {"top": []},
        {"top": proof["branch"]},
        {"top": 1},
    ]
    for change in tampered:
        with pytest.raises(Invalid):
            verify_row(root, proof | change)
    for name in proof:
        with pytest.raises(Invalid):
            verify_row(root, {key: item for key, item in proof.items() if key != name})
    assert code(verify_row, other.root(), proof) == "bad_branch"


def test_another_content_of_the_row_is_refused():
    state = full_state(5)
    proof = state.prove("accounts", digest(b"\1"))
    richer = proof["row"] | {"agent": "4"}
    assert code(verify_row, state.root(), proof | {"row": richer}) == "bad_branch"
    assert code(verify_row, state.root(), proof | {"row": proof["row"] | {"agent": "04"}}) == "bad_amount"
    assert code(verify_row, state.root(), proof | {"row": []}) == "bad_field"


@pytest.mark.parametrize("proof", [[], 1, "x", b"x", True, {}])
def test_what_is_no_proof_is_refused(proof):
    assert code(verify_row, State().root(), proof) == "bad_branch"


def test_spoilt_proof_bytes_prove_nothing_else():
    state = full_state(4)
    root, data = state.root(), encode(state.prove("commits", digest(b"\1")))
    rng = random.Random(3)
    for _ in range(300):
        at = rng.randrange(len(data))
        spoilt = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        with pytest.raises(Invalid):
            verify_row(root, decode(spoilt))


def test_an_inner_node_is_no_row():
    state = full_state(4)
    proof = state.prove("locks", digest(b"\1"))
    shorter = proof | {"branch": proof["branch"][1:], "size": 2, "index": proof["index"] >> 1}
    assert code(verify_row, state.root(), shorter) == "bad_branch"


def test_a_leaf_holds_key_and_row():
    assert leaf(A, 1) != leaf(B, 1) != leaf(B, 2)


# Snapshots


def test_a_snapshot_comes_back_under_the_same_root():
    state = full_state(5)
    back = decode_state(state.encode())
    assert back.root() == state.root()
    assert list(back.all_rows()) == list(state.all_rows())
    assert back.encode() == state.encode()


@pytest.mark.parametrize(
    "row",
    [
        [],
        1,
        {},
        ["accounts", A],
        ["accounts", A, {}, 1],
        ["nobody", A, {}],
        [1, A, {}],
        ["accounts", "a", {}],
        ["accounts", A, {}],
        ["accounts", A, 1],
    ],
)
def test_a_snapshot_with_another_row_is_refused(row):
    with pytest.raises(Invalid):
        decode_state(pack_rows([row]))


@pytest.mark.parametrize("change", [lambda rows: rows[::-1], lambda rows: rows + rows[-1:]])
def test_a_snapshot_has_its_rows_in_order_each_once(change):
    rows = [[name, key, TABLES[name].dump(row)] for name, key, row in full_state(3).all_rows()]
    assert decode_state(pack_rows(rows)).root() == full_state(3).root()
    with pytest.raises(Invalid, match="bad_snapshot"):
        decode_state(pack_rows(change(rows)))


def test_a_spoilt_snapshot_is_invalid_or_another_state():
    state = full_state(2)
    data, root = state.encode(), state.root()
    rng = random.Random(4)
    for _ in range(60):
        at = rng.randrange(len(data))
        spoilt = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        try:
            found = decode_state(spoilt)
        except Invalid:
            continue
        assert found.root() != root


def test_what_changed_is_what_storage_must_write():
    old = full_state(2)
    new = old.copy()
    new.put("locks", A, Lock(A, B, 1, A, 9))
    new.put("totals", digest(b"\0"), examples.ROWS["totals"])
    new.put("claims", digest(b"\0"), replace(examples.ROWS["claims"], epoch=10))
    new.drop("topics", digest(b"\1"))
    assert list(new.changes_since(old)) == [
        ("claims", digest(b"\0"), replace(examples.ROWS["claims"], epoch=10)),
        ("locks", A, Lock(A, B, 1, A, 9)),
        ("topics", digest(b"\1"), None),
    ]
    assert list(old.changes_since(old)) == []


# The books


def test_the_genesis_state_balances():
    genesis = sample_genesis(5, 3)
    state = genesis_state(genesis)
    assert state.is_conserved()
    assert state.totals() == Totals(0, state.supply(), 0, 0, genesis.reserve)
    assert len(state.tables["accounts"].rows) == 5
    assert state.supply() == genesis.reserve + 5 * 1_000 * TOKEN + 3 * 200_000 * TOKEN


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("accounts", Account(unbonding=(("agent", 1, 9),))),
        ("accounts", Account(1)),
        ("locks", Lock(A, B, 1, A, 9)),
        ("commits", replace(examples.ROWS["commits"], wager=1)),
        ("questions", replace(examples.ROWS["questions"], pot=1, bounty=0)),
        ("questions", replace(examples.ROWS["questions"], pot=0, bounty=1)),
    ],
)
def test_one_unit_more_anywhere_is_noticed(table, row):
    state = genesis_state(sample_genesis(3, 1))
    state.put(table, A, row)
    assert not state.is_conserved()
    books = state.totals()
    state.put("totals", TOTALS_KEY, replace(books, minted=books.minted + 1))
    assert state.is_conserved()
