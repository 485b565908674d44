"""Where the row of each key stands: an index on disk of all rows but the newest, and those in memory.

Theory of operation. One commit holds rows of many logs, whose keys stand anywhere in the order of keys: an index that
took each of them at once would have a page to write for nearly every row, more than half of the store's log. So the
newest rows are known in memory alone; when there are enough of them, their keys go to the index together, in order,
many to a page. Rows are numbered as they come (`place`), and the description holds up to which place the index goes
(the *mark*), so a start finds the rest by reading the end of the table.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import Any, Final

import apsw

#: Before the name of a table, in the store's description of itself; the value there is the mark.
TABLE_MARK: Final = "table "
#: So many rows of a table are known in memory alone: some 1 MiB, and 10 ms when they go to the index.
RECENT_MAX: Final = 4_096


def index_name(table: str) -> str:
    """What the index of a table is called; no table can be called so."""
    return f"{table} keys"


def make_table(connection: apsw.Connection, table: str) -> None:
    """A table with its index, in one transaction with its name in the description: without one of them the store is
    damaged.
    """
    connection.execute(
        f'BEGIN; CREATE TABLE "{table}"(place INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB NOT NULL,'
        " sum INTEGER NOT NULL) STRICT;"
        f'CREATE TABLE "{index_name(table)}"(key BLOB PRIMARY KEY, place INTEGER NOT NULL) STRICT, WITHOUT ROWID;'
        f"INSERT INTO meta VALUES ('{TABLE_MARK}{table}', 0); COMMIT"
    )


class Keys:
    """The keys of one table. Every change is part of the caller's transaction; after a rollback it must `load`."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._recent: dict[bytes, int] = {}
        self._last = 0
        self._greatest = b""
        index = f'"{index_name(table)}"'
        self._find = f"SELECT place FROM {index} WHERE key = ?"
        self._insert = f"INSERT INTO {index} VALUES (?, ?)"
        self._delete = f"DELETE FROM {index} WHERE key = ?"
        self._page = f"SELECT key, place FROM {index} WHERE key >= ? ORDER BY key LIMIT ?"
        self._newest = f"SELECT key FROM {index} ORDER BY key DESC LIMIT 1"

    def load(self, connection: apsw.Connection) -> None:
        """Read what is known in memory alone."""
        name = TABLE_MARK + self._table
        [(mark,)] = _rows(connection, "SELECT value FROM meta WHERE key = ?", name)
        unsettled = f'SELECT key, place FROM "{self._table}" WHERE place > ? ORDER BY place'
        self._recent = dict(_rows(connection, unsettled, mark))
        self._last = max([mark, *self._recent.values()])
        [(self._greatest,)] = _rows(connection, self._newest) or [(b"",)]

    def find(self, connection: apsw.Connection, key: bytes) -> int | None:
        """The place of the row of a key, or None."""
        place = self._recent.get(key)
        if place is None and key <= self._greatest:
            for (found,) in _rows(connection, self._find, key):
                place = found
        return place

    def add(self, key: bytes) -> int:
        """The place for the row of a new key: behind all others."""
        self._last += 1
        self._recent[key] = self._last
        return self._last

    def forget(self, connection: apsw.Connection, key: bytes) -> None:
        """The row of this key is gone."""
        if self._recent.pop(key, None) is None:
            connection.execute(self._delete, (key,))

    def settle_if_many(self, connection: apsw.Connection) -> None:
        """Bring what is known in memory alone to the index, once it is enough to be worth it."""
        if len(self._recent) < RECENT_MAX:
            return
        places = sorted(self._recent.items())
        connection.executemany(self._insert, places)
        connection.execute("UPDATE meta SET value = ? WHERE key = ?", (self._last, TABLE_MARK + self._table))
        self._greatest = max(self._greatest, places[-1][0])
        self._recent = {}

    def page(self, connection: apsw.Connection, start: bytes, limit: int) -> list[tuple[bytes, int]]:
        """The first `limit` keys from `start` on, in their order, with their places."""
        settled = [(key, place) for key, place in _rows(connection, self._page, start, limit)]
        recent = nsmallest(limit, (item for item in self._recent.items() if item[0] >= start))
        return sorted([*settled, *recent])[:limit]


def _rows(connection: apsw.Connection, query: str, *arguments: bytes | str | int) -> list[tuple[Any, ...]]:
    return connection.execute(query, arguments).fetchall()
