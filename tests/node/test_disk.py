"""A node's disk: what it counts so that an old copy shows, and how it remembers that it was restored."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from troth_node.runtime import Disk, Runtime
from troth_node.storage import files
from troth_node.storage.home import Home, HomeError
from troth_node.testing.samples import sample_genesis, seed
from troth_node.transport.network import Network
from troth_protocol.core import Restoring
from troth_protocol.effects import Erase, Notice, Persist, Write


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    """A home sets the umask of its process; ours is put back."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A home that has been started once."""
    path = tmp_path / "home"
    Home.create(path, seed(0), sample_genesis(5, 4).encode()).close()
    opened(path).close()
    return path


def opened(path: Path, *, is_restored: bool = False) -> Disk:
    return Disk.open(Home.open(path), is_restored=is_restored)


def put_back_an_older_store(path: Path, write: Write) -> None:
    """Copy the store, commit one write, put the copy back."""
    opened(path).close()
    old = (path / "store.sqlite").read_bytes()
    with closing(opened(path)) as disk:
        disk.commit([write])
    (path / "store.sqlite").write_bytes(old)


@pytest.mark.parametrize(
    "write",
    [
        Persist("votes", b"place", b"vote", once=True),
        Persist("entries", b"place", b"what was acknowledged"),
        Persist("close", b"stopped", b""),
    ],
    ids=["a signature", "an acknowledged entry", "the end of voting"],
)
def test_a_store_that_has_forgotten_a_promise_shows(path: Path, write: Write) -> None:
    put_back_an_older_store(path, write)
    with closing(opened(path)) as disk:
        assert disk.is_restored()


@pytest.mark.parametrize(
    ("write", "syncs"),
    [
        (Persist("votes", b"place", b"vote", once=True), 1),
        (Persist("close", b"stopped", b""), 1),
        (Persist("entries", b"place", b"what was acknowledged"), 0),
    ],
    ids=["a signature", "the end of voting", "an acknowledged entry"],
)
def test_the_guard_is_synced_before_a_signature_leaves(
    path: Path, write: Write, syncs: int, monkeypatch
) -> None:
    synced: list[int] = []
    with closing(opened(path)) as disk:
        disk.commit([Persist("votes", b"the first of this start", b"vote", once=True)])
        monkeypatch.setattr(files.os, "fdatasync", synced.append)
        disk.commit([write])
        assert disk.guard.generation == disk.store.generation == 2
    assert len(synced) == syncs


@pytest.mark.parametrize("write", [Persist("duties", b"salt", b"1"), Erase("entries", b"old")])
def test_what_nobody_was_promised_costs_no_guard(path: Path, write: Write) -> None:
    with closing(opened(path)) as disk:
        before = disk.guard.generation
        disk.commit([write])
        assert disk.guard.generation == disk.store.generation == before


def test_restore_mode_lasts_until_it_is_settled(path: Path) -> None:
    with closing(opened(path)) as disk:
        assert not disk.is_restored()
        runtime(disk, is_restored=True)  # and then the power fails
    with closing(opened(path)) as disk:
        assert disk.is_restored()
        disk.settle()
    with closing(opened(path)) as disk:
        assert not disk.is_restored()


def test_what_peers_tell_lasts_through_a_crash_too(path: Path) -> None:
    with closing(opened(path)) as disk:
        runtime(disk)._apply(Notice(Restoring(7)))
    with closing(opened(path)) as disk:
        assert disk.is_restored()


def test_a_restored_node_can_commit_although_its_guard_was_ahead(path: Path) -> None:
    put_back_an_older_store(path, Persist("votes", b"place", b"vote", once=True))
    with closing(opened(path)) as disk:
        runtime(disk)
        disk.commit([Persist("entries", b"place", b"fetched")])
        assert disk.guard.generation == disk.store.generation
    with closing(opened(path)) as disk:
        assert disk.is_restored(), "not settled yet"


def test_a_lost_guard_is_made_anew_for_whoever_declares_a_restore(path: Path) -> None:
    (path / "guard").unlink()
    with closing(opened(path, is_restored=True)) as disk:
        assert disk.guard.generation == 0


def test_another_networks_genesis_is_named(path: Path) -> None:
    (path / "genesis.bin").write_bytes(sample_genesis(6, 4).encode())
    with pytest.raises(
        HomeError, match=r"genesis.bin: not the document of .*; put back that network's genesis"
    ):
        opened(path)


def test_a_damaged_genesis_is_named(path: Path) -> None:
    (path / "genesis.bin").write_bytes(b"\x00")
    with pytest.raises(
        HomeError, match=r"genesis.bin: no genesis document .*; put back the network's genesis"
    ):
        opened(path)


def runtime(disk: Disk, *, is_restored: bool = False) -> Runtime:
    """A runtime that is never run."""
    return Runtime(disk, cast(Network, None), "n", (), is_restored=is_restored)
