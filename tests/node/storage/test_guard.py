"""The guard only grows, says when it is damaged, and tells an old copy of the store from a crash."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from troth_node.storage import files
from troth_node.storage.guard import Guard, GuardError, compare
from troth_node.storage.store import Store


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    return Guard.create(tmp_path)


class TestFile:
    def test_it_grows_and_is_read_back(self, guard: Guard, tmp_path: Path) -> None:
        assert guard.generation == 0
        guard.advance(3)
        guard.advance(10**18)
        assert guard.generation == Guard.open(tmp_path).generation == 10**18
        assert (tmp_path / "guard").stat().st_mode & 0o777 == 0o600

    def test_it_refuses_to_go_back(self, guard: Guard, tmp_path: Path) -> None:
        guard.advance(5)
        with pytest.raises(GuardError, match="cannot go from 5 back to 4; start the node as restored"):
            guard.advance(4)
        guard.advance(6)
        assert Guard.open(tmp_path).generation == 6

    def test_the_same_number_writes_nothing(self, guard: Guard, tmp_path: Path) -> None:
        guard.advance(5)
        before = (tmp_path / "guard").read_bytes()
        guard.advance(5)
        assert (tmp_path / "guard").read_bytes() == before

    def test_it_is_created_once(self, guard: Guard, tmp_path: Path) -> None:
        guard.advance(5)
        with pytest.raises(GuardError, match="choose an empty directory"):
            Guard.create(tmp_path)
        assert Guard.open(tmp_path).generation == 5

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(GuardError, match=r"No such file or directory.*; start the node as restored"):
            Guard.open(tmp_path)

    def test_a_leftover_of_a_crash_before_it_had_its_name_changes_nothing(
        self, guard: Guard, tmp_path: Path
    ) -> None:
        guard.advance(5)
        (tmp_path / "guard.new").write_bytes(b"troth-guard 2 9")
        assert Guard.open(tmp_path).generation == 5

    def test_the_number_before_stays_until_the_next_is_on_disk(self, guard: Guard, tmp_path: Path) -> None:
        for generation in range(1, 6):
            before = (tmp_path / "guard").read_bytes()
            guard.advance(generation)
            after = (tmp_path / "guard").read_bytes()
            changed = [slot for slot in (0, 512) if before[slot : slot + 512] != after[slot : slot + 512]]
            assert len(changed) == 1
            assert b" %d " % (generation - 1) in after[512 - changed[0] :][:512]

    def test_what_was_synced_last_stays_while_numbers_are_only_written(
        self, guard: Guard, tmp_path: Path, monkeypatch
    ) -> None:
        syncs: list[int] = []
        guard.advance(2)
        monkeypatch.setattr(files.os, "fdatasync", syncs.append)
        guard.advance(3)
        for generation in (4, 5, 6):
            guard.advance(generation, synced=False)
            assert b"troth-guard 2 3 " in (tmp_path / "guard").read_bytes()
            assert Guard.open(tmp_path).generation == guard.generation == generation
        assert len(syncs) == 1
        guard.advance(6)
        guard.advance(6)
        assert len(syncs) == 2, "a signature may leave that relies on it"
        guard.advance(7)
        assert b"troth-guard 2 6 " in (tmp_path / "guard").read_bytes()

    def test_what_a_killed_process_only_wrote_is_synced_before_the_other_slot_is_written_over(
        self, guard: Guard, tmp_path: Path, monkeypatch
    ) -> None:
        guard.advance(3)
        guard.advance(4, synced=False)
        again = Guard.open(tmp_path)
        on_platter: list[bytes] = []
        monkeypatch.setattr(
            files.os, "fdatasync", lambda _: on_platter.append((tmp_path / "guard").read_bytes())
        )
        again.advance(5)
        assert b" 4 " in on_platter[0]
        assert b" 3 " in on_platter[0]
        assert b" 4 " in on_platter[1]
        assert b" 5 " in on_platter[1]
        again.advance(6)
        assert len(on_platter) == 3, "once"

    def test_a_closed_guard_says_so(self, guard: Guard) -> None:
        guard.close()
        guard.close()
        with pytest.raises(GuardError, match="closed"):
            guard.advance(1)


class TestDamage:
    def test_torn_at_any_byte(self, guard: Guard, tmp_path: Path) -> None:
        guard.advance(123_456)
        whole = (tmp_path / "guard").read_bytes()
        for size in range(len(whole)):
            (tmp_path / "guard").write_bytes(whole[:size])
            assert_damaged(tmp_path)

    def test_any_flipped_bit(self, guard: Guard, tmp_path: Path) -> None:
        guard.advance(123_456)
        whole = (tmp_path / "guard").read_bytes()
        for bit in range(len(whole) * 8):
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            (tmp_path / "guard").write_bytes(flipped)
            assert_damaged(tmp_path)

    def test_more_behind_it(self, guard: Guard, tmp_path: Path) -> None:
        with (tmp_path / "guard").open("ab") as file:
            file.write(bytes(1_000))
        assert_damaged(tmp_path)


def assert_damaged(directory: Path) -> None:
    with pytest.raises(GuardError, match="guard: damaged; remove it and start the node as restored"):
        Guard.open(directory)


class TestFaults:
    def test_after_a_sync_that_failed_it_never_writes_again(
        self, guard: Guard, tmp_path: Path, monkeypatch
    ) -> None:
        guard.advance(1)
        monkeypatch.setattr(files.os, "fdatasync", fail)
        with pytest.raises(GuardError, match=r"Input/output error.*check the disk"):
            guard.advance(2)
        monkeypatch.undo()
        with pytest.raises(GuardError, match="Input/output error"):
            guard.advance(3)
        assert guard.generation == 1
        assert Guard.open(tmp_path).generation in (1, 2)  # nobody knows what is on the platter

    def test_after_the_first_sync_of_a_start_failed_nothing_is_written(
        self, guard: Guard, tmp_path: Path, monkeypatch
    ) -> None:
        monkeypatch.setattr(files.os, "fdatasync", fail)
        for _ in range(2):
            with pytest.raises(GuardError, match=r"Input/output error.*check the disk"):
                guard.advance(1)
        assert Guard.open(tmp_path).generation == 0

    def test_a_number_is_written_then_synced(self, guard: Guard, monkeypatch) -> None:
        guard.advance(1)
        calls: list[str] = []
        write, sync = os.write, os.fdatasync
        monkeypatch.setattr(files.os, "write", lambda fd, data: (calls.append("write"), write(fd, data))[1])
        monkeypatch.setattr(files.os, "fdatasync", lambda fd: (calls.append("sync"), sync(fd)))
        guard.advance(2)
        assert calls == ["write", "sync"]

    def test_data_is_synced_before_its_name_and_the_name_before_it_returns(
        self, tmp_path: Path, monkeypatch
    ) -> None:
        calls: list[str] = []
        sync, rename = os.fsync, os.rename
        monkeypatch.setattr(files.os, "fsync", lambda fd: (calls.append(f"sync {kind(fd)}"), sync(fd)))
        monkeypatch.setattr(files.os, "rename", lambda *names: (calls.append("rename"), rename(*names)))
        Guard.create(tmp_path)
        assert calls == ["sync file", "rename", "sync directory"]


def kind(descriptor: int) -> str:
    return "directory" if os.fstat(descriptor).st_mode & 0o170000 == 0o040000 else "file"


def fail(descriptor: int) -> None:
    raise OSError(5, "Input/output error")


class TestCompare:
    @pytest.fixture
    def store(self, tmp_path: Path):
        with Store.open(tmp_path / "store.sqlite", ["entries"]) as store:
            yield store

    def test_both_new(self, store: Store, guard: Guard) -> None:
        assert compare(store, guard) == "ok"

    def test_a_crash_between_the_two_is_caught_up_with(
        self, store: Store, guard: Guard, tmp_path: Path
    ) -> None:
        guard.advance(store.apply([], signed=True))
        for _ in range(3):
            store.apply([], signed=True)
        assert compare(store, guard) == "ok"
        assert Guard.open(tmp_path).generation == 4

    def test_an_old_copy_of_the_store_is_noticed_until_it_is_lifted(
        self, tmp_path: Path, guard: Guard
    ) -> None:
        path, copy = tmp_path / "store.sqlite", tmp_path / "copy"
        with Store.open(path, ["entries"]) as store:
            guard.advance(store.apply([], signed=True))
            store.backup(copy)
            guard.advance(store.apply([], signed=True))
        shutil.copy(copy, path)
        with Store.open(path, ["entries"]) as store:
            assert compare(store, guard) == "store_behind"
            assert guard.generation == 2
            store.apply([], at_least=guard.generation)
            assert compare(store, guard) == "ok"
            guard.advance(store.apply([], signed=True))

    def test_a_store_that_vanished_is_an_old_copy(self, tmp_path: Path, guard: Guard) -> None:
        guard.advance(1)
        with Store.open(tmp_path / "store.sqlite", ["entries"]) as store:
            assert compare(store, guard) == "store_behind"

    def test_a_log_that_lost_its_end_is_an_old_copy(self, tmp_path: Path, guard: Guard, child) -> None:
        writer = child("write", tmp_path / "store.sqlite")
        assert len(writer.stdout.read(8)) == 8
        writer.kill()
        writer.wait()
        os.truncate(tmp_path / "store.sqlite-wal", 100)
        with Store.open(tmp_path / "store.sqlite", ["entries"]) as store:
            assert compare(store, Guard.open(tmp_path)) == "store_behind"
