"""The node's rows on synced disk: one connection, one transaction per call, and after a fault nothing more.

Theory of operation. A call to `apply` is one transaction committed with synchronous=FULL: when it returns,
the rows survive a power cut (unless the caller says that they need not yet). When it raises StoreConflict,
nothing was written and the store is still good. When it raises any other StoreError, the outcome is unknown
(the rows may or may not be there at the next start) and the store is *poisoned*: the kernel may already
have dropped the pages that it failed to write, so a second fsync that succeeds would prove nothing. A
poisoned store answers no call but `close`; the node stops and starts again from the disk.

Rows stand in the order in which they came: one commit holds rows of many logs, and a tree in the order of the keys
would have a page or two to write for each of them. Where the row of a key stands is told by keys.py.

SQLite does not notice most damage, so every row carries a sum, which every read checks, and `open` checks those
of all rows: see damage.py.

Each commit appends to SQLite's log. A file that grows has its new length synced with it, through the journal of the
file system, which all its writers share: with four stores on one disk that takes several times as long as the data.
So the log is lengthened with zeros, one step ahead, and written over after a checkpoint; SQLite reads no further than
its last valid frame.

SQLite's own checkpoints hide their errors, both the automatic ones and the one at close. Therefore they are
switched off, and the store checkpoints by itself where an error can be seen.

Only this package imports apsw. No other SQLite may open the file in this process: closing a second
descriptor drops the first one's locks. One caller at a time; any thread.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import apsw

from troth_node.storage.damage import (
    ROWS_MODULUS,
    check_rows,
    check_structure,
    explain,
    read_meta,
    row_damage,
    row_sum,
    void_log,
)
from troth_node.storage.errors import LockHeld, StoreConflict, StoreError
from troth_node.storage.files import (
    PRIVATE_FILE_MODE,
    Lock,
    lengthen,
    rename_file,
    sync_directory,
    sync_file,
)
from troth_node.storage.keys import TABLE_MARK, Keys, make_table
from troth_protocol.effects import Erase, Persist, Write

__all__ = ["FORMAT", "Store", "StoreConflict", "StoreError"]

FORMAT: Final = 4

_APPLICATION_ID: Final = 0x54726F74  # "Trot"
_CHECKPOINT_PAGES: Final = 4_000  # 16 MiB of log: the price of reading it again after a crash is some 50 ms
_FRAME_BYTES: Final = 4_096 + 24  # a page in the log, with its header
_LOG_STEP_BYTES: Final = 1 << 20
_SCAN_ROWS: Final = 128
_UPDATE_META: Final = (
    "UPDATE meta SET value = CASE key WHEN 'rows' THEN ? ELSE ? END WHERE key IN ('rows', 'generation')"
)
_TABLE_NAME: Final = re.compile(r"(?!sqlite_|meta$)[a-z][a-z0-9_]{0,30}")

# Name, value, what SQLite must answer when asked again; and why.
_PRAGMAS: Final = (
    ("synchronous", "FULL", 2),  # fsync in every commit
    ("fullfsync", "ON", 1),  # where fsync alone does not reach the platter
    ("checkpoint_fullfsync", "ON", 1),
    ("trusted_schema", "OFF", 0),  # a crafted file runs no code
    ("cell_size_check", "ON", 1),  # damage is found sooner
    ("mmap_size", "0", 0),  # an I/O error is an error, not a signal
    ("cache_size", "-8000", -8_000),  # KiB: room for the indices, in which keys are looked for anywhere
)


class Store:
    """Tables of rows `key: bytes -> value: bytes`. Once it is poisoned or closed, every call raises StoreError.

    `generation` counts the signed calls to `apply`; see guard.py.
    """

    generation: int

    def __init__(self, path: Path, connection: apsw.Connection, lock: Lock, tables: Sequence[str]) -> None:
        """Not for callers: `open` makes stores."""
        self._path = path
        self._log_path = path.with_name(path.name + "-wal")
        self._connection = connection
        self._lock = lock
        self._keys = {table: Keys(table) for table in tables}
        self._fault: str | None = None
        self._log_pages = 0
        self._log_bytes = 0
        self._is_syncing = True
        self._rows_sum = 0
        self.generation = 0

    @classmethod
    def open(cls, path: Path, tables: Sequence[str]) -> Store:
        """Open the store, creating file and tables as needed, and check its structure (time grows with size).

        Table names are `[a-z][a-z0-9_]{0,30}`, not `meta`. Raises StoreError, ValueError for a bad table
        name.
        """
        for name in tables:
            if not _TABLE_NAME.fullmatch(name):
                raise ValueError(f"bad table name {name!r}")
        lock = _take_lock(path)
        try:
            return cls._open_locked(path, lock, tables)
        except apsw.Error as error:
            lock.release()
            raise StoreError(explain(path, error)) from error
        except OSError as error:
            lock.release()
            raise StoreError(f"{path}: {error.strerror}; check the directory and the disk") from error
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open_locked(cls, path: Path, lock: Lock, tables: Sequence[str]) -> Store:
        if not path.exists():
            _create(path)
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            _check_identity(path, connection)
            _configure(path, connection)
            check_structure(path, connection)
            store = cls(path, connection, lock, tables)
            connection.set_wal_hook(store._note_log_pages)  # takes the place of automatic checkpoints
            known = read_meta(connection)
            for name in tables:
                if TABLE_MARK + name not in known:
                    make_table(connection, name)
            store._rows_sum = check_rows(path, connection)
            store._load_keys(connection)
            store.generation = known["generation"]
            sync_directory(path.parent)  # the log's name: SQLite syncs it too, but hides it if that fails
        except BaseException:
            connection.close(force=True)
            raise
        return store

    def apply(
        self, writes: Sequence[Write], *, signed: bool = False, at_least: int = 0, durable: bool = True
    ) -> int:
        """Write all rows in one transaction, durable on return; returns the generation after it.

        Without `durable` a power cut may take the rows, but only if it takes all that are written later as well:
        the next durable call syncs the log up to its own end. The end of the process takes nothing.

        `signed` marks a call whose rows let signed bytes leave: it raises the generation by one, and the
        caller advances the guard to the returned value before it sends. `at_least` lifts the generation
        first: a restored store passes the guard's, so that the two agree again. Raises StoreConflict,
        StoreError.
        """
        connection = self._usable()
        tables = {write.table for write in writes}
        self._check_tables(tables)
        generation = max(self.generation, at_least) + signed
        if not writes and generation == self.generation:
            return generation
        try:
            if durable != self._is_syncing:
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._is_syncing = durable
            connection.execute("BEGIN IMMEDIATE")
            rows_sum = (self._rows_sum + self._write(connection, writes)) % ROWS_MODULUS
            for table in tables:
                self._keys[table].settle_if_many(connection)
            connection.execute(_UPDATE_META, (rows_sum, generation))
            connection.execute("COMMIT")
            self.generation, self._rows_sum = generation, rows_sum
            self._checkpoint_if_long(connection)
            self._lengthen_log()
        except apsw.Error as error:
            raise self._poison(error) from error
        except BaseException:
            self._roll_back(connection)
            raise
        return generation

    def _write(self, connection: apsw.Connection, writes: Sequence[Write]) -> int:
        """Everything in order, new rows together; returns by how much it changes the sum of all rows."""
        change = 0
        fresh: dict[str, list[tuple[int, bytes, bytes, int]]] = {}
        for write in writes:
            table, key = write.table, write.key
            keys = self._keys[table]
            place = keys.find(connection, key)
            if place is not None:
                _insert(connection, fresh)  # it may be among them
                change += self._rewrite(connection, write, place)
            elif isinstance(write, Persist):
                added = row_sum(table, key, write.value)
                fresh.setdefault(table, []).append((keys.add(key), key, write.value, added))
                change += added
        _insert(connection, fresh)
        return change

    def _rewrite(self, connection: apsw.Connection, write: Write, place: int) -> int:
        """Change or erase a row that is there; returns by how much it changes the sum of all rows."""
        table, key = write.table, write.key
        value, gone = _row_at(connection, table, key, place)
        if isinstance(write, Erase):
            connection.execute(f'DELETE FROM "{table}" WHERE place = ?', (place,))
            self._keys[table].forget(connection, key)
            return -gone
        if write.once:
            if value != write.value:
                raise StoreConflict(table, key)
            return 0
        added = row_sum(table, key, write.value)
        connection.execute(
            f'UPDATE "{table}" SET value = ?, sum = ? WHERE place = ?', (write.value, added, place)
        )
        return added - gone

    def get(self, table: str, key: bytes) -> bytes | None:
        """The value under a key, or None."""
        self._check_tables((table,))
        connection = self._usable()
        try:
            place = self._keys[table].find(connection, key)
            return None if place is None else _row_at(connection, table, key, place)[0]
        except apsw.Error as error:
            raise self._poison(error) from error

    def scan(
        self, table: str, prefix: bytes = b"", after: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Rows whose key starts with `prefix` and is greater than `after`, in the byte order of their keys.

        Rows are read in pages, so `apply` may be called between two of them; a row that it writes ahead of
        the scan is seen, one behind it is not.
        """
        self._check_tables((table,))
        self._usable()
        start = prefix if after is None else max(prefix, after + b"\0")
        return self._scan_pages(table, prefix, start)

    def _scan_pages(self, table: str, prefix: bytes, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        rows = self._page(table, start)
        while rows:
            for key, value in rows:
                if not key.startswith(prefix):
                    return
                yield key, value
            rows = self._page(table, rows[-1][0] + b"\0")

    def _page(self, table: str, start: bytes) -> list[tuple[bytes, bytes]]:
        connection = self._usable()
        try:
            places = self._keys[table].page(connection, start, _SCAN_ROWS)
            return [(key, _row_at(connection, table, key, place)[0]) for key, place in places]
        except apsw.Error as error:
            raise self._poison(error) from error

    def count(self, table: str) -> int:
        """The number of rows of a table; time grows with it."""
        self._check_tables((table,))
        connection = self._usable()
        try:
            return int(connection.execute(f'SELECT count(*) FROM "{table}"').get)
        except apsw.Error as error:
            raise self._poison(error) from error

    def backup(self, path: Path) -> None:
        """Write a compact, synced copy to a new private file. A fault removes the copy and poisons nothing.

        The copy is a store: put it back as the only file of that name (with no `-wal` file beside it). It
        is old by then, which the guard tells. Raises StoreError, also if the file exists.
        """
        connection = self._usable()
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE_MODE))
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}; choose another place for the copy") from error
        try:
            connection.execute("VACUUM INTO ?", (str(path),))
            sync_file(path)
            sync_directory(path.parent)
        except apsw.Error as error:
            path.unlink()
            raise StoreError(f"no copy was made: {explain(path, error)}") from error
        except OSError as error:
            path.unlink()
            raise StoreError(f"{path}: {error.strerror}; no copy was made, check that disk") from error

    def close(self) -> None:
        """Fold the log into the file and let both go. A second call does nothing. Raises StoreError."""
        if self._lock.descriptor < 0:
            return
        try:
            if self._fault is None:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error as error:
            raise self._poison(error) from error
        finally:
            self._fault = self._fault or f"{self._path}: the store is closed"
            self._connection.close(force=True)
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _usable(self) -> apsw.Connection:
        if self._fault is not None:
            raise StoreError(self._fault)
        return self._connection

    def _check_tables(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._keys:
                raise StoreError(f"{self._path}: no table {name!r}; name it when opening the store")

    def _poison(self, error: apsw.Error) -> StoreError:
        self._fault = explain(self._path, error)
        return StoreError(self._fault)

    def _roll_back(self, connection: apsw.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._load_keys(connection)
        except apsw.Error as error:
            raise self._poison(error) from error

    def _load_keys(self, connection: apsw.Connection) -> None:
        for keys in self._keys.values():
            keys.load(connection)

    def _note_log_pages(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint_if_long(self, connection: apsw.Connection) -> None:
        if self._log_pages >= _CHECKPOINT_PAGES:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            self._log_pages = 0
            try:
                void_log(self._log_path)
            except OSError as error:
                raise apsw.IOError(f"the log: {error.strerror}") from error

    def _lengthen_log(self) -> None:
        """Keep half a step free ahead of the last commit."""
        if self._log_pages * _FRAME_BYTES + _LOG_STEP_BYTES // 2 > self._log_bytes:
            self._log_bytes = self._log_pages * _FRAME_BYTES + _LOG_STEP_BYTES
            try:
                lengthen(self._log_path, self._log_bytes)
            except OSError as error:
                if error.errno != errno.ENOSPC:  # then the log grows with each commit, while there is room
                    raise apsw.IOError(f"the log: {error.strerror}") from error


def _take_lock(path: Path) -> Lock:
    try:
        return Lock.take(path.with_name(path.name + ".lock"))
    except LockHeld as held:
        raise StoreError(f"{path}: locked by {held.holder}; stop that process first") from None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; check the directory and the disk") from error


def _create(path: Path) -> None:
    """A store appears under its name complete, so an empty or unmarked file of that name is always damage."""
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        raise StoreError(f"{path}: missing beside its own log; restore both together, or move the log away")
    log.unlink(missing_ok=True)
    fresh = path.with_name(path.name + ".new")
    for suffix in ("", "-journal"):
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE_MODE))
    connection = apsw.Connection(str(fresh), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.execute(
            f"PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA application_id = {_APPLICATION_ID};"
            "BEGIN; CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
            f"INSERT INTO meta VALUES ('format', {FORMAT}), ('generation', 0), ('rows', 0); COMMIT"
        )
    finally:
        connection.close(force=True)
    rename_file(fresh, path)


def _check_identity(path: Path, connection: apsw.Connection) -> None:
    """Look before changing anything: this may be somebody else's file, or a later version's."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.pragma("locking_mode", "EXCLUSIVE")
    if connection.pragma("application_id") != _APPLICATION_ID:
        raise StoreError(f"{path}: not a Troth store, or emptied; choose another path or restore a backup")
    meta = read_meta(connection)
    if not {"format", "generation", "rows"} <= meta.keys():
        raise StoreError(f"{path}: damaged, its own description is missing; restore a backup")
    if meta["format"] > FORMAT:
        raise StoreError(
            f"{path}: format {meta['format']} is newer than {FORMAT}; start a newer version of the node"
        )
    if meta["format"] < FORMAT:
        raise StoreError(
            f"{path}: format {meta['format']} is older than {FORMAT}; move it away, the node rebuilds it from peers"
        )


def _configure(path: Path, connection: apsw.Connection) -> None:
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    if connection.pragma("journal_mode", "WAL") != "wal":
        raise StoreError(f"{path}: this file system keeps no write-ahead log; use a local disk")
    for name, value, expected in _PRAGMAS:
        connection.pragma(name, value)
        actual = connection.pragma(name)
        if actual != expected:
            raise StoreError(f"{path}: SQLite keeps {name} at {actual}; use the SQLite that comes with apsw")


def _insert(connection: apsw.Connection, fresh: dict[str, list[tuple[int, bytes, bytes, int]]]) -> None:
    """Insert new rows by table, and forget them."""
    for table, rows in fresh.items():
        connection.executemany(f'INSERT INTO "{table}" VALUES (?, ?, ?, ?)', rows)
    fresh.clear()


def _row_at(connection: apsw.Connection, table: str, key: bytes, place: int) -> tuple[bytes, int]:
    """The value and the sum of a row that is there; apsw.CorruptError if it is not what was written."""
    rows: list[tuple[Any, ...]] = connection.execute(
        f'SELECT value, sum FROM "{table}" WHERE place = ?', (place,)
    ).fetchall()
    if not rows or rows[0][1] != row_sum(table, key, rows[0][0]):
        raise row_damage(table, key)
    return rows[0][0], rows[0][1]
