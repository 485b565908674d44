"""A process of its own: `write STORE` until killed, `hold-store STORE` or `hold-home HOME` until its input ends."""

from __future__ import annotations

import os
import sqlite3
import sys
from itertools import count
from pathlib import Path

GROUP_ROWS = 8


def write(path: Path) -> None:
    """Groups of rows, each acknowledged on standard output once store and guard hold it, without end."""
    from troth_node.storage.guard import Guard, compare  # noqa: PLC0415
    from troth_node.storage.store import Store  # noqa: PLC0415
    from troth_protocol.effects import Persist  # noqa: PLC0415

    store, guard = Store.open(path, ["entries"]), Guard.open(path.parent)
    assert compare(store, guard) == "ok"
    for group in count(store.count("entries") // GROUP_ROWS):
        rows = [Persist("entries", key(group, row), bytes(512), once=True) for row in range(GROUP_ROWS)]
        guard.advance(store.apply(rows, signed=True))
        os.write(1, group.to_bytes(8, "big"))


def key(group: int, row: int) -> bytes:
    return group.to_bytes(8, "big") + bytes([row])


def hold_store(path: Path) -> None:
    from troth_node.storage.store import Store  # noqa: PLC0415

    with Store.open(path, []):
        wait()


def hold_home(path: Path) -> None:
    from troth_node.storage.home import Home  # noqa: PLC0415

    with Home.open(path):
        wait()


def hold_sqlite(path: Path) -> None:
    """Some other program with the file open."""
    connection = sqlite3.connect(path, timeout=0)
    connection.execute("BEGIN IMMEDIATE")
    wait()
    connection.close()


def wait() -> None:
    os.write(1, b"ready")
    sys.stdin.read()


if __name__ == "__main__":
    commands = {"write": write, "hold-store": hold_store, "hold-home": hold_home, "hold-sqlite": hold_sqlite}
    commands[sys.argv[1]](Path(sys.argv[2]))
