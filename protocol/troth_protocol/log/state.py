"""The sealed state: tables of rows under one Merkle root. It changes only by `put` and `drop` on a copy."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping
from typing import TypeVar, cast

from troth_protocol.errors import Invalid
from troth_protocol.genesis import Genesis
from troth_protocol.log.rows import TABLES, Account, Question, Row, Totals
from troth_protocol.wire.chunks import pack_rows, unpack_rows
from troth_protocol.wire.codec import Value, pack
from troth_protocol.wire.merkle import branch, leaf_hash, root, root_from_branch

R = TypeVar("R")

TOTALS_KEY = b"totals"
_NAMES = tuple(sorted(TABLES))


def leaf(key: bytes, value: Value) -> bytes:
    """The leaf hash of one row: H(0x00 | canonical [key, row])."""
    return leaf_hash(pack([key, value]))


class Table:
    """One subtree: rows by key, with the leaf hashes that are already known."""

    __slots__ = ("_leaves", "_root", "name", "rows")

    def __init__(self, name: str, rows: dict[bytes, Row], leaves: dict[bytes, bytes]) -> None:
        self.name = name
        self.rows = rows
        self._leaves = leaves
        self._root: bytes | None = None

    def copy(self) -> Table:
        """A table that can change without this one noticing."""
        twin = Table(self.name, dict(self.rows), dict(self._leaves))
        twin._root = self._root
        return twin

    def put(self, key: bytes, row: Row) -> None:
        """Insert or replace a row."""
        self.rows[key] = row
        self._leaves.pop(key, None)
        self._root = None

    def drop(self, key: bytes) -> None:
        """Remove a row."""
        del self.rows[key]
        self._leaves.pop(key, None)
        self._root = None

    def leaves(self) -> list[bytes]:
        """Leaf hashes in key order."""
        record = TABLES[self.name]
        for key, row in self.rows.items():
            if key not in self._leaves:
                self._leaves[key] = leaf(key, record.dump(row))
        return [self._leaves[key] for key in sorted(self.rows)]

    def root(self) -> bytes:
        """The subtree's Merkle root."""
        if self._root is None:
            self._root = root(self.leaves())
        return self._root


class State:
    """All tables after one close. Reading goes through `find` and `items`, changing through `put` and `drop`."""

    __slots__ = ("tables",)

    def __init__(self, tables: Mapping[str, Table] | None = None) -> None:
        self.tables = dict(tables) if tables else {name: Table(name, {}, {}) for name in _NAMES}

    def copy(self) -> State:
        """A state that can change without this one noticing."""
        return State({name: table.copy() for name, table in self.tables.items()})

    def find(self, table: str, key: bytes, kind: type[R]) -> R | None:
        """The row, or None."""
        return self.tables[table].rows.get(key)  # type: ignore[return-value] # each table holds one kind of row

    def items(self, table: str, kind: type[R]) -> Iterator[tuple[bytes, R]]:
        """Rows of a table in key order, safe against changes made while iterating."""
        rows = self.tables[table].rows
        return iter([(key, cast("R", rows[key])) for key in sorted(rows)])

    def rows(self, table: str, kind: type[R]) -> ItemsView[bytes, R]:
        """Rows of a table in no order that may matter: for looking through all of them."""
        return cast("dict[bytes, R]", self.tables[table].rows).items()

    def put(self, table: str, key: bytes, row: Row) -> None:
        """Insert or replace a row."""
        self.tables[table].put(key, row)

    def drop(self, table: str, key: bytes) -> None:
        """Remove a row."""
        self.tables[table].drop(key)

    def account(self, key: bytes) -> Account:
        """The account of a key; an empty one if it has none yet."""
        return self.find("accounts", key, Account) or Account()

    def question(self, key: bytes) -> Question:
        """The question under way of that id; Invalid("unknown_question")."""
        found = self.find("questions", key, Question)
        if found is None:
            raise Invalid("unknown_question", key.hex())
        return found

    def totals(self) -> Totals:
        """The supply's books."""
        found = self.find("totals", TOTALS_KEY, Totals)
        assert found is not None  # noqa: S101 - every state is made from a genesis
        return found

    def root(self) -> bytes:
        """The state root: a tree over [name, subtree root, size] of each table in name order."""
        return root(self._heads())

    def _heads(self) -> list[bytes]:
        return [_head(table.name, table.root(), len(table.rows)) for _, table in sorted(self.tables.items())]

    def changes_since(self, old: State) -> Iterator[tuple[str, bytes, Row | None]]:
        """Rows that differ from an older state (None: dropped): what storage must write."""
        for name in _NAMES:
            rows, before = self.tables[name].rows, old.tables[name].rows
            for key, row in rows.items():
                if before.get(key) is not row and before.get(key) != row:
                    yield name, key, row
            for key in before.keys() - rows.keys():
                yield name, key, None

    def prove(self, table: str, key: bytes) -> Value:
        """A proof of one row under the state root, as a value; Invalid("unknown_row") if it is absent."""
        subtree = self.tables[table]
        keys = sorted(subtree.rows)
        if key not in subtree.rows:
            raise Invalid("unknown_row", f"{table} {key.hex()}")
        place, index = _NAMES.index(table), keys.index(key)
        return {
            "table": table,
            "key": key,
            "row": TABLES[table].dump(subtree.rows[key]),
            "index": index,
            "size": len(keys),
            "branch": list[Value](branch(subtree.leaves(), index)),
            "top": list[Value](branch(self._heads(), place)),
        }

    def encode(self) -> bytes:
        """The whole state as a snapshot of rows [table, key, row]; accepted only under its root."""
        return pack_rows([name, key, TABLES[name].dump(row)] for name, key, row in self.all_rows())

    def all_rows(self) -> Iterator[tuple[str, bytes, Row]]:
        """Every row, by table name and key."""
        for name in _NAMES:
            for key, row in sorted(self.tables[name].rows.items()):
                yield name, key, row

    def supply(self) -> int:
        """Everything that anybody or anything holds; equals genesis + minted - burned, to the unit."""
        total = self.totals().reserve
        total += sum(account.worth() for _, account in self.items("accounts", Account))
        for table, field in (
            ("locks", "amount"),
            ("commits", "wager"),
            ("questions", "pot"),
            ("questions", "bounty"),
            ("bids", "deposit"),
        ):
            total += sum(
                cast("int | None", getattr(row, field)) or 0 for row in self.tables[table].rows.values()
            )
        return total

    def is_conserved(self) -> bool:
        """Supply invariant of the design's section 4."""
        books = self.totals()
        return self.supply() == books.genesis + books.minted - books.burned


def _head(name: str, subtree: bytes, size: int) -> bytes:
    return leaf_hash(pack([name, subtree, size]))


def decode_state(snapshot: bytes) -> State:
    """Read a snapshot; the caller compares the root. Invalid on anything that is not one, its rows in order."""
    state = State()
    last: tuple[str, bytes] | None = None
    for item in unpack_rows(snapshot):
        if type(item) is not list or len(item) != 3:
            raise Invalid("bad_snapshot", "expected rows of [table, key, row]")
        place = load_row(state, item[0], item[1], item[2])
        if last is not None and place <= last:
            raise Invalid("bad_snapshot", "rows are in the order of tables and keys, each once")
        last = place
    return state


def load_row(state: State, table: Value, key: Value, value: Value) -> tuple[str, bytes]:
    """Put one decoded row into a state; returns its place. Invalid if it is not a row of that table."""
    if type(table) is not str or table not in TABLES or type(key) is not bytes:
        raise Invalid("bad_snapshot", "unknown table or key")
    state.put(table, key, TABLES[table].load(value))
    return table, key


def genesis_state(genesis: Genesis) -> State:
    """The state before the first epoch, without the first questions (the close's execution opens those)."""
    state = State()
    for holder in genesis.holders:
        state.put(
            "accounts",
            holder.key,
            Account(holder.balance, witness=holder.witness, attester=holder.attester, agent=holder.agent),
        )
    state.put("totals", TOTALS_KEY, Totals(0, genesis.supply(), 0, 0, genesis.reserve))
    return state


def verify_row(state_root: bytes, proof: Value) -> tuple[str, bytes, Row]:
    """Check a proof made by `State.prove` against a state root; Invalid("bad_branch") if it does not hold."""
    if type(proof) is not dict:
        raise Invalid("bad_branch", "a proof is a map")
    table, key, value = proof.get("table"), proof.get("key"), proof.get("row")
    index, size = proof.get("index"), proof.get("size")
    if type(table) is not str or table not in TABLES or type(key) is not bytes or value is None:
        raise Invalid("bad_branch", "unknown table or key")
    if type(index) is not int or type(size) is not int:
        raise Invalid("bad_branch", "index and size are whole numbers")
    row = TABLES[table].load(value)
    subtree = root_from_branch(leaf(key, value), index, size, _hashes(proof.get("branch")))
    top = root_from_branch(
        _head(table, subtree, size), _NAMES.index(table), len(_NAMES), _hashes(proof.get("top"))
    )
    if top != state_root:
        raise Invalid("bad_branch", "the proof leads to another root")
    return table, key, row


def _hashes(value: Value | None) -> list[bytes]:
    if type(value) is not list:
        raise Invalid("bad_branch", "a branch is a list")
    out = [item for item in value if type(item) is bytes and len(item) == 32]
    if len(out) != len(value):
        raise Invalid("bad_branch", "a branch holds hashes")
    return out
