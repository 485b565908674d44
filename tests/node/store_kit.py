"""The rows of a stage's agent in a real store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from troth_node.storage.store import Store
from troth_node.testing.stage import Stage
from troth_protocol.effects import TABLES, Persist


def fill(path: Path, tables: Mapping[str, Mapping[bytes, bytes]]) -> None:
    """Put these rows into the store at this path."""
    with Store.open(path, TABLES) as store:
        store.apply([Persist(table, key, row) for table, rows in tables.items() for key, row in rows.items()])


def store_of(stage: Stage, agent: int, directory: Path) -> Path:
    """An agent's disk as a store in this directory."""
    path = directory / "store.sqlite"
    fill(path, stage.seats[agent].disk.tables)
    return path
