"""What a damaged store shows, and the line for each fault of the disk.

SQLite believes what it reads: of the flips of one bit that change a row it notices a few in a hundred. So every
row carries a sum over its table, key and value, and the store's own description lists its tables. A lock that was
lost under another key, or with its whole table under another name, would let its owner sign at that place again.

The description also holds the sum of all rows, for a page may be whole and old. A checkpoint leaves its log behind;
a flip in it makes SQLite read the log only up to there, and with it old pages in the place of newer ones of the
file, among them perhaps those of a lock. So a log does not outlive its checkpoint either: its header is voided, and
SQLite reads nothing of a log without one.
"""

from __future__ import annotations

import os
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import apsw

from troth_node.storage.errors import StoreError
from troth_node.storage.files import overwrite
from troth_node.storage.keys import TABLE_MARK, index_name

#: The sum of all rows is kept modulo this: it fits SQLite's integers.
ROWS_MODULUS: Final = 2**62

#: Source: "WAL File Format" in SQLite's "Database File Format".
_LOG_HEADER_BYTES: Final = 32

_TABLES_THERE: Final = "SELECT CAST(name AS BLOB) FROM sqlite_schema WHERE type = 'table'"

_REBUILD: Final = "damaged; move it away and start again: the node rebuilds it from its peers"
_ADVICE: Final[tuple[tuple[type[apsw.Error], str], ...]] = (
    (apsw.BusyError, "locked by another program; close that program, then start again"),
    (
        apsw.NotADBError,
        "not a Troth store, or its first page is damaged; restore a backup or move the file away",
    ),
    (apsw.CorruptError, _REBUILD),
    (apsw.SQLError, _REBUILD),  # our statements are always the same: then it is the tables that are not
    (apsw.FullError, "the disk is full; free some space, then start again"),
    (apsw.IOError, "the disk failed to read or write; check it, then start again"),
    (apsw.CantOpenError, "cannot be opened; check that the path is a file and yours"),
    (apsw.ReadOnlyError, "read-only; make the file and its directory writable, then start again"),
    (apsw.PermissionsError, "access denied; check whose file it is"),
)


def check_structure(path: Path, connection: apsw.Connection) -> None:
    """Pages, trees, and the list of tables, each with its index; StoreError at the first fault."""
    [(finding,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()
    if finding != "ok":
        raise StoreError(explain(path, apsw.CorruptError(str(finding))))
    named = {key.removeprefix(TABLE_MARK) for key in read_meta(connection) if key.startswith(TABLE_MARK)}
    there = {_text(name) for (name,) in connection.execute(_TABLES_THERE)} - {"meta"}
    named |= {index_name(table) for table in named}
    if named != there:
        raise StoreError(explain(path, apsw.CorruptError(f"tables {' '.join(sorted(named ^ there))}")))


def void_log(path: Path) -> None:
    """Void a log of which everything is in the database: what is left of it is only room. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        overwrite(path, descriptor, 0, bytes(_LOG_HEADER_BYTES))
    finally:
        os.close(descriptor)


def read_meta(connection: apsw.Connection) -> dict[str, int]:
    """What a store says of itself."""
    rows: list[tuple[Any, ...]] = connection.execute("SELECT CAST(key AS BLOB), value FROM meta").fetchall()
    return {_text(key): value for key, value in rows}


def _text(name: bytes) -> str:
    """A name as it is on disk: a flipped bit may leave it no UTF-8, and must not end the process for that."""
    return name.decode(errors="replace")


def row_sum(table: str, key: bytes, value: bytes) -> int:
    """CRC-32 over the table's name, the key's length, the key and the value: no flip of a few bits keeps it."""
    return zlib.crc32(value, zlib.crc32(key, _sum_before(table, len(key))))


@lru_cache(maxsize=256)
def _sum_before(table: str, key_bytes: int) -> int:
    return zlib.crc32(b"%s %d " % (table.encode(), key_bytes))


def row_damage(table: str, key: bytes) -> apsw.Error:
    """What is raised for a row that does not carry its sum."""
    return apsw.CorruptError(f"{table}[{key.hex()}] is not what was written")


def check_rows(path: Path, connection: apsw.Connection) -> int:
    """Read every row, and the index of those up to its mark; the sum of all rows.

    StoreError at the first row that is not what was written, if some are gone, or if the index has other keys.
    """
    total = 0
    meta = read_meta(connection)
    for name, mark in sorted(meta.items()):
        if name.startswith(TABLE_MARK):
            total += _check_table(path, connection, name.removeprefix(TABLE_MARK), mark)
    if total % ROWS_MODULUS != meta["rows"]:
        raise StoreError(explain(path, apsw.CorruptError("rows are missing, or older than others")))
    return total % ROWS_MODULUS


def _check_table(path: Path, connection: apsw.Connection, table: str, mark: int) -> int:
    total = indexed = 0
    for place, key, value, found in connection.execute(f'SELECT place, key, value, sum FROM "{table}"'):
        if found != row_sum(table, key, value):
            raise StoreError(explain(path, row_damage(table, key)))
        total += found
        indexed += _place_sum(key, place) if place <= mark else 0
    rows = connection.execute(f'SELECT key, place FROM "{index_name(table)}"')
    if indexed != sum(_place_sum(key, place) for key, place in rows):
        raise StoreError(
            explain(path, apsw.CorruptError(f"the index of {table} has other keys than its rows"))
        )
    return total


def _place_sum(key: bytes, place: int) -> int:
    return zlib.crc32(key, zlib.crc32(b"%d " % place))


def explain(path: Path, error: apsw.Error) -> str:
    """What SQLite says, as one line that says what to do."""
    advice = next((text for kind, text in _ADVICE if isinstance(error, kind)), "SQLite refused; report this")
    return f"{path}: {advice} ({type(error).__name__}: {' '.join(str(error).split())})"
