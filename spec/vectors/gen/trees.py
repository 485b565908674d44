"""merkle.json: roots, branches, chunks, packed rows, and rows proved under a state root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from troth_protocol.log.rows import TABLES, Account, Lock, Standing
from troth_protocol.log.state import TOTALS_KEY, State, Totals
from troth_protocol.wire.chunks import CHUNK_BYTES, Chunks, pack_rows
from troth_protocol.wire.codec import encode
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.merkle import branch, leaf_hash, node_hash, root

from .common import TOKEN, Case, Json, cases, hexed, hexes, invalid, keys, plain, tried, valid

SIZES: Final = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17)
#: (size, index) whose branches are shown.
PLACES: Final = ((1, 0), (2, 1), (3, 2), (5, 0), (5, 4), (7, 5), (8, 3), (9, 8))
ROWS: Final[tuple[Json, ...]] = (["head", bytes(32), 1, b"\x01" * 32], {"a": "b"}, 7)


def _data(size: int) -> list[bytes]:
    """Leaves that tell each other apart; the first is empty."""
    return [b"leaf" * (index > 0) + bytes([index]) * (index > 0) for index in range(size)]


def _leaves(size: int) -> list[bytes]:
    return [leaf_hash(data) for data in _data(size)]


def _root(size: int) -> Case:
    leaves = _leaves(size)
    return valid(
        f"{size} leaves", check="root", data=hexes(_data(size)), leaves=hexes(leaves), root=root(leaves).hex()
    )


def _place(size: int, index: int) -> Case:
    leaves = _leaves(size)
    return valid(
        f"leaf {index} of {size}",
        check="branch",
        leaf=leaves[index].hex(),
        index=index,
        size=size,
        branch=hexes(branch(leaves, index)),
        root=root(leaves).hex(),
    )


def _shared() -> Case:
    """Two shapes may share a branch: it proves the leaf, and its place, but the size only where something signs it."""
    return _place(7, 5) | {"name": "leaf 5 of 7, with a size of 8", "size": 8}


def _bad_branches() -> list[Case]:
    leaves = _leaves(7)
    good = {key: item for key, item in _place(7, 5).items() if key != "name"}
    path = branch(leaves, 5)
    node = node_hash(leaves[4], leaves[5])
    last = _place(5, 4)
    return tried(
        good,
        [
            ("bad_branch", "the index behind the last leaf", {"index": 7}),
            ("bad_branch", "a negative index", {"index": -1}),
            ("bad_branch", "no leaves", {"index": 0, "size": 0, "branch": []}),
            ("bad_branch", "one hash too few", {"branch": hexes(path[:-1])}),
            ("bad_branch", "one hash too many", {"branch": hexes([*path, path[0]])}),
            ("bad_branch", "a hash of 31 bytes", {"branch": hexes([path[0][:31], *path[1:]])}),
            ("bad_branch", "a leaf of 31 bytes", {"leaf": leaves[5][:31].hex()}),
            ("bad_branch", "another index", {"index": 4}),
            ("bad_branch", "another leaf", {"leaf": leaves[4].hex()}),
            ("bad_branch", "a size of another shape", {"size": 6}),
            ("bad_branch", "the hashes in another order", {"branch": hexes(path[::-1])}),
            ("bad_branch", "another root", {"root": root(leaves[:6]).hex()}),
            ("bad_branch", "a node that passes for a leaf", _as_leaf(node, leaves)),
            ("bad_branch", "the last leaf doubled", {**last, "size": 6, "branch": _doubled(leaves)}),
        ],
    )


def _as_leaf(node: bytes, leaves: list[bytes]) -> Mapping[str, Json]:
    """The node above leaves 4 and 5 as a leaf of a smaller tree; as data it is hashed with another prefix."""
    data = leaf_hash(leaves[4] + leaves[5])
    above = [node_hash(leaves[0], leaves[1]), node_hash(leaves[2], leaves[3]), node, leaves[6]]
    return {
        "leaf": data.hex(),
        "index": 2,
        "size": 4,
        "branch": hexes(branch(above, 2)),
        "root": root(above).hex(),
    }


def _doubled(leaves: list[bytes]) -> list[Json]:
    return hexes([leaves[4], *branch(leaves[:5], 4)])


def _state() -> State:
    """Two accounts, a lock, a standing and the totals."""
    state = State()
    alma, bruno = keys("alma").public, keys("bruno").public
    state.put("accounts", alma, Account(balance=12 * TOKEN, witness=100 * TOKEN, seq=3, head=b"\x03" * 32))
    state.put("accounts", bruno, Account(balance=10**38 - 1, unbonding=(("agent", 5, 70),), offences=1))
    state.put("accounts", keys("carla").public, Account())
    state.put("locks", b"\x04" * 32, Lock(alma, bruno, 7, digest(b"preimage"), 9))
    state.put("standings", b"coin/" + alma, Standing(won=5, lost=2, high=4))
    state.put("totals", TOTALS_KEY, Totals(8, 10**6 * TOKEN, 0, 17, 99))
    return state


def _state_case() -> Case:
    state = _state()
    rows = [[name, hexed(key), plain(TABLES[name].dump(row))] for name, key, row in state.all_rows()]
    tables = {
        name: {"root": table.root().hex(), "rows": len(table.rows)} for name, table in state.tables.items()
    }
    snapshot = hexed(state.encode())
    return valid(
        "a state of six rows",
        check="state",
        rows=rows,
        tables=tables,
        root=state.root().hex(),
        snapshot=snapshot,
    )


def _empty_state() -> Case:
    state = State()
    tables = {name: {"root": table.root().hex(), "rows": 0} for name, table in state.tables.items()}
    return valid(
        "a state without rows", check="state", rows=[], tables=tables, root=state.root().hex(), snapshot=""
    )


def _proof(table: str, key: bytes) -> Json:
    return _state().prove(table, key)


def _row_case(name: str, table: str, key: bytes) -> Case:
    return valid(name, check="row", state=_state().root().hex(), proof=plain(_proof(table, key)))


def _good_rows() -> list[Case]:
    return [
        _row_case("an account", "accounts", keys("alma").public),
        _row_case("the only lock", "locks", b"\x04" * 32),
        _row_case("the totals", "totals", TOTALS_KEY),
    ]


def _bad_rows() -> list[Case]:
    proof = _proof("accounts", keys("alma").public)
    other = _proof("accounts", keys("bruno").public)
    row = TABLES["accounts"].dump(
        replace(Account(balance=13 * TOKEN, witness=100 * TOKEN, seq=3), head=b"\x03" * 32)
    )
    changes: list[tuple[str, str, dict[str, Json]]] = [
        ("bad_branch", "another balance", {"row": row}),
        ("bad_branch", "another key", {"key": keys("bruno").public}),
        ("bad_branch", "a row of another key", {"row": other["row"]}),
        ("bad_branch", "another index", {"index": (proof["index"] + 1) % 3}),
        ("bad_branch", "another number of rows", {"size": 4}),
        ("bad_branch", "an index outside the table", {"index": 3}),
        ("bad_branch", "a branch that is too short", {"branch": proof["branch"][:-1]}),
        ("bad_branch", "the branch of another row", {"branch": other["branch"]}),
        ("bad_branch", "the table's own root for the state's branch", {"top": proof["branch"]}),
        ("bad_branch", "a branch that is no list", {"branch": b""}),
        ("bad_branch", "a hash of 31 bytes", {"top": [proof["top"][0][:31], *proof["top"][1:]]}),
        ("bad_branch", "a table that does not exist", {"table": "balances"}),
        ("bad_field", "a row with a field of the wrong kind", {"row": proof["row"] | {"seq": "3"}}),
        ("unknown_field", "a row with a field too many", {"row": proof["row"] | {"zzz": 1}}),
        ("missing_field", "a row without a field", {"row": _without(proof["row"], "seq")}),
        ("bad_amount", "a row with an amount that is none", {"row": proof["row"] | {"balance": "012"}}),
    ]
    state = _state().root().hex()
    out = [invalid(c, f"row: {w}", check="row", state=state, proof=plain(proof | f)) for c, w, f in changes]
    twin = _state()
    twin.drop("locks", b"\x04" * 32)
    out.append(
        invalid(
            "bad_branch", "row: under another state", check="row", state=twin.root().hex(), proof=plain(proof)
        )
    )
    return out


def _bad_snapshots() -> list[Case]:
    """Snapshots that are no states, and rows and chunks that are not there."""
    snapshot, row = hexed(_state().encode()), TABLES["standings"].dump(Standing())
    rows: list[tuple[str, str, Json]] = [
        ("bad_snapshot", "a row of a table that does not exist", ["balances", b"key", row]),
        ("bad_snapshot", "a key that is text", ["standings", "key", row]),
        ("bad_snapshot", "a row without its key", ["standings", row]),
        ("bad_snapshot", "a map", {}),
        ("missing_field", "a row without a field", ["standings", b"key", {}]),
        ("bad_amount", "a row with an amount that is none", ["standings", b"key", {**row, "won": "01"}]),
    ]
    out = [
        invalid(c, f"snapshot: {w}", check="snapshot", bytes=pack_rows([item]).hex()) for c, w, item in rows
    ]
    out += [_unordered("rows out of order", 0), _unordered("a row twice", 1)]
    absent = {"check": "prove", "snapshot": snapshot}
    return [
        *out,
        invalid("truncated", "snapshot: a byte short", check="snapshot", bytes=hexed(_state().encode()[:-1])),
        invalid(
            "unknown_row", "an account that does not exist", **absent, table="accounts", key=bytes(32).hex()
        ),
        invalid("unknown_row", "a row of an empty table", **absent, table="claims", key=bytes(32).hex()),
        invalid("bad_index", "the chunk behind the last", check="cut", data=b"short".hex(), index=1),
        invalid("bad_index", "a negative one", check="cut", data=b"short".hex(), index=-1),
    ]


def _unordered(what: str, first: int) -> Case:
    """Two rows of a state, the second of them first, or twice."""
    rows = [[table, key, TABLES[table].dump(row)] for table, key, row in _state().all_rows()][:2]
    spoilt = pack_rows([rows[1 - first], rows[0]])
    return invalid("bad_snapshot", f"snapshot: {what}", check="snapshot", bytes=hexed(spoilt))


def _without(value: Mapping[str, Json], name: str) -> dict[str, Json]:
    return {key: item for key, item in value.items() if key != name}


def _chunk(chunks: Chunks, index: int) -> dict[str, Json]:
    data, path = chunks.part(index)
    return {
        "check": "chunk",
        "root": chunks.root.hex(),
        "size": chunks.size,
        "index": index,
        "data": hexed(data),
        "branch": hexes(path),
    }


def _chunks() -> tuple[list[Case], list[Case]]:
    large = Chunks(bytes(CHUNK_BYTES) + b"\x01" * CHUNK_BYTES + b"end")
    good = [
        valid("the first of three chunks", **_chunk(large, 0)),
        valid("the last of three chunks", **_chunk(large, 2)),
        valid("an empty object is one empty chunk", **_chunk(Chunks(b""), 0)),
    ]
    parts = [b"short", b"end"]
    leaves = [leaf_hash(part) for part in parts]
    cut_short = {
        "root": root(leaves).hex(),
        "size": 2,
        "data": parts[0].hex(),
        "branch": hexes(branch(leaves, 0)),
    }
    long = bytes(CHUNK_BYTES + 1)
    too_long = {"root": leaf_hash(long).hex(), "size": 1, "data": hexed(long), "branch": []}
    padded = [leaf_hash(bytes(CHUNK_BYTES)), leaf_hash(b"")]
    nothing = {
        "root": root(padded).hex(),
        "size": 2,
        "index": 1,
        "data": "",
        "branch": hexes(branch(padded, 1)),
    }
    bad = tried(
        _chunk(large, 0),
        [
            ("bad_branch", "a chunk in another place", {"index": 1}),
            ("bad_branch", "a chunk of another object", {"root": Chunks(b"x").root.hex()}),
            ("bad_branch", "a chunk that was changed", {"data": hexed(bytes(CHUNK_BYTES - 1) + b"\x01")}),
            ("bad_branch", "a chunk behind the last", {"index": 3}),
            ("bad_chunk", "a chunk before the last that is not full", cut_short),
            ("bad_chunk", "a chunk that is too long", too_long),
            ("bad_chunk", "an empty chunk behind a full one", nothing),
            ("too_large", "an object of no chunks", {"size": 0, "branch": []}),
            ("too_large", "an object of 20,001 chunks", {"size": 20_001}),
        ],
    )
    return good, bad


def _packed() -> tuple[list[Case], list[Case]]:
    good = [
        valid("no rows", check="rows", rows=[], bytes=""),
        valid("three rows", check="rows", rows=plain(ROWS), bytes=pack_rows(ROWS).hex()),
    ]
    data = pack_rows(ROWS)
    bad = [
        invalid("truncated", "rows that end inside a row", check="rows", bytes=data[:-1].hex()),
        invalid("truncated", "a row longer than all that follows", check="rows", bytes="ffffffff07"),
        invalid("empty", "a row of no bytes", check="rows", bytes="00000000"),
        invalid("trailing", "two values in one row", check="rows", bytes="00000002" + (encode(1) * 2).hex()),
        invalid("not_canonical", "a row in a longer form", check="rows", bytes="00000002cc07"),
    ]
    return good, bad


def merkle() -> Json:
    """The file merkle.json."""
    good_chunks, bad_chunks = _chunks()
    good_rows, bad_rows = _packed()
    good = [
        *map(_root, SIZES),
        *(_place(*at) for at in PLACES),
        _shared(),
        _empty_state(),
        _state_case(),
        *_good_rows(),
    ]
    return cases(
        "Merkle trees, chunks, packed rows (01) and rows of the sealed state (04).",
        [*good, *good_chunks, *good_rows],
        [*_bad_branches(), *_bad_rows(), *_bad_snapshots(), *bad_chunks, *bad_rows],
    )
