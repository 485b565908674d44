"""What `Store.open` says of a file that is not what it should be: one clear line each, and the file untouched."""

from __future__ import annotations

import os
import re
from pathlib import Path

import apsw
import pytest

from troth_node.storage import keys
from troth_node.storage import store as module
from troth_node.storage.store import Store, StoreError
from troth_protocol.effects import Persist

PAGE_BYTES = 4_096
ROWS = 500


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed store with some fifty pages."""
    path = tmp_path / "store.sqlite"
    with Store.open(path, ["entries"]) as store:
        store.apply([Persist("entries", number.to_bytes(2, "big"), bytes(300)) for number in range(ROWS)])
    return path


def refusal(path: Path) -> str:
    """The line with which it is refused; nothing of the file changes, and the lock is free again."""
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError) as caught:
        Store.open(path, ["entries"])
    assert before is None or path.read_bytes() == before
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    with pytest.raises(StoreError) as again:
        Store.open(path, ["entries"])
    assert str(again.value) == line
    return line


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


class TestSettings:
    def test_every_commit_is_synced_and_a_crafted_file_runs_no_code(self, path: Path) -> None:
        with Store.open(path, ["entries"]) as store:
            asked = (
                "journal_mode",
                "synchronous",
                "locking_mode",
                "trusted_schema",
                "cell_size_check",
                "fullfsync",
            )
            assert [store._connection.pragma(name) for name in asked] == ["wal", 2, "exclusive", 0, 1, 1]

    def test_an_sqlite_that_keeps_another_setting_is_refused(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr(module, "_PRAGMAS", (*module._PRAGMAS, ("page_size", "512", 512)))
        assert "SQLite keeps page_size at 4096" in refusal(tmp_path / "store.sqlite")


class TestDamage:
    def test_garbage(self, path: Path) -> None:
        path.write_bytes(b"not a database " * 1_000)
        assert "not a Troth store" in refusal(path)

    def test_emptied(self, path: Path) -> None:
        os.truncate(path, 0)
        assert "not a Troth store, or emptied" in refusal(path)

    @pytest.mark.parametrize("size", [PAGE_BYTES, 3 * PAGE_BYTES, 10 * PAGE_BYTES + 100])
    def test_truncated(self, path: Path, size: int) -> None:
        os.truncate(path, size)
        assert "damaged" in refusal(path)

    def test_truncated_within_the_first_page(self, path: Path) -> None:
        os.truncate(path, 700)
        assert "the node rebuilds it from its peers" in refusal(path)

    @pytest.mark.parametrize(
        "offset", [0, 16, 20, 68, 100], ids=["magic", "page size", "reserve", "mark", "root"]
    )
    def test_a_flipped_byte_in_the_header(self, path: Path, offset: int) -> None:
        overwrite(path, offset, bytes([path.read_bytes()[offset] ^ 0xFF]))
        assert refusal(path)

    @pytest.mark.parametrize("page", [1, 2, 5, 20, -1])
    def test_an_overwritten_page(self, path: Path, page: int) -> None:
        pages = path.stat().st_size // PAGE_BYTES
        overwrite(path, (page % pages) * PAGE_BYTES, b"\x5a" * PAGE_BYTES)
        assert "damaged" in refusal(path)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE entries SET value = x'00' WHERE key = x'0007'",
            "UPDATE entries SET key = x'ff07' WHERE key = x'0007'",
            "UPDATE entries SET sum = sum + 1 WHERE key = x'0007'",
        ],
        ids=["value", "key", "sum"],
    )
    def test_a_row_that_is_not_what_was_written(self, path: Path, statement: str) -> None:
        alter(path, statement)
        assert re.search(
            r"damaged; .* rebuilds it from its peers .*entries\[..07\] is not what", refusal(path)
        )

    def test_a_row_that_is_gone(self, path: Path) -> None:
        alter(path, "DELETE FROM entries WHERE key = x'0007'")
        assert "damaged; " in refusal(path)
        assert "rows are missing, or older than others" in refusal(path)

    def test_a_table_under_another_name(self, path: Path) -> None:
        alter(path, "ALTER TABLE entries RENAME TO entriez")
        assert "tables entries entriez" in refusal(path)

    def test_a_row_that_rots_while_the_store_is_open(self, path: Path) -> None:
        with Store.open(path, ["entries"]) as store:
            store._connection.execute("UPDATE entries SET value = x'00' WHERE key = x'0007'")
            with pytest.raises(StoreError, match=r"entries\[0007\] is not what was written"):
                store.get("entries", b"\x00\x07")
            with pytest.raises(StoreError, match="rebuilds it from its peers"):
                list(store.scan("entries"))

    def test_its_own_description_is_gone(self, path: Path) -> None:
        alter(path, "DELETE FROM meta WHERE key = 'generation'")
        assert "description is missing" in refusal(path)


class TestOthers:
    def test_a_file_of_another_program(self, tmp_path: Path) -> None:
        path = tmp_path / "theirs.sqlite"
        alter(path, "CREATE TABLE mail(text)")
        assert "not a Troth store" in refusal(path)

    def test_a_newer_format(self, path: Path) -> None:
        alter(path, "UPDATE meta SET value = 5 WHERE key = 'format'")
        assert "format 5 is newer than 4; start a newer version" in refusal(path)

    def test_an_older_format(self, path: Path) -> None:
        alter(path, "UPDATE meta SET value = 1 WHERE key = 'format'")
        assert "format 1 is older than 4; move it away" in refusal(path)

    def test_a_directory_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "store.sqlite").mkdir()
        assert "cannot be opened; check that the path is a file" in refusal(tmp_path / "store.sqlite")

    def test_no_directory(self, tmp_path: Path) -> None:
        assert "No such file or directory; check the directory" in refusal(tmp_path / "none" / "store.sqlite")

    def test_a_log_without_its_file(self, tmp_path: Path) -> None:
        (tmp_path / "store.sqlite-wal").write_bytes(b"frames")
        assert "missing beside its own log" in refusal(tmp_path / "store.sqlite")
        assert not (tmp_path / "store.sqlite").exists()

    def test_what_an_unfinished_creation_left_is_swept_away(self, tmp_path: Path) -> None:
        (tmp_path / "store.sqlite.new").write_bytes(b"half a")
        (tmp_path / "store.sqlite.new-journal").write_bytes(b"half a journal")
        with Store.open(tmp_path / "store.sqlite", ["entries"]) as store:
            assert store.count("entries") == 0
        assert sorted(file.name for file in tmp_path.glob("*.new*")) == []


class TestUnsynced:
    def test_a_log_whose_name_cannot_be_synced_is_not_written_to(self, path: Path, monkeypatch) -> None:
        monkeypatch.setattr(module, "sync_directory", fail)
        assert "Input/output error; check the directory and the disk" in refusal(path)


def fail(path: Path) -> None:
    raise OSError(5, "Input/output error")


class TestLocked:
    def test_by_another_process_until_it_is_killed(self, path: Path, child) -> None:
        holder = child("hold-store", path)
        assert holder.stdout.read(5) == b"ready"
        assert refusal(path) == f"{path}: locked by process {holder.pid}; stop that process first"
        holder.kill()
        holder.wait()
        with Store.open(path, ["entries"]) as store:
            assert store.count("entries") == ROWS

    def test_by_this_process(self, path: Path) -> None:
        with Store.open(path, ["entries"]) as store:
            with pytest.raises(StoreError, match=f"locked by process {os.getpid()}"):
                Store.open(path, ["entries"])
            assert store.count("entries") == ROWS

    def test_by_another_program(self, path: Path, child) -> None:
        holder = child("hold-sqlite", path)
        assert holder.stdout.read(5) == b"ready"
        assert "locked by another program; close that program" in refusal(path)

    def test_other_programs_stay_out_while_it_is_open(self, path: Path, child) -> None:
        with Store.open(path, ["entries"]):
            assert b"ready" not in child("hold-sqlite", path).stdout.read()


class TestBackup:
    def test_a_copy_is_a_whole_private_store(self, path: Path) -> None:
        copy = path.with_name("copy.sqlite")
        with Store.open(path, ["entries"]) as store:
            store.apply([Persist("entries", b"late", b"1")], signed=True)
            store.backup(copy)
            store.apply([Persist("entries", b"later", b"1")], signed=True)
        assert copy.stat().st_mode & 0o777 == 0o600
        with Store.open(copy, ["entries"]) as store:
            assert (store.count("entries"), store.generation) == (ROWS + 1, 1)

    def test_it_never_overwrites(self, path: Path) -> None:
        (path.parent / "copy").write_bytes(b"precious")
        with Store.open(path, ["entries"]) as store:
            with pytest.raises(StoreError, match="File exists; choose another place"):
                store.backup(path.parent / "copy")
            assert store.count("entries") == ROWS
        assert (path.parent / "copy").read_bytes() == b"precious"

    def test_no_room_for_it_poisons_nothing(self, path: Path, disk) -> None:
        with Store.open(path, ["entries"]) as store:
            disk.limit_bytes = PAGE_BYTES
            with pytest.raises(StoreError, match=r"no copy was made: .*disk is full"):
                store.backup(path.parent / "copy")
            disk.limit_bytes = None
            store.apply([Persist("entries", b"late", b"1")])
        assert not (path.parent / "copy").exists()

    def test_a_copy_that_cannot_be_synced_is_no_copy(self, path: Path, monkeypatch) -> None:
        with Store.open(path, ["entries"]) as store:
            monkeypatch.setattr(module, "sync_file", fail)
            with pytest.raises(StoreError, match="Input/output error; no copy was made"):
                store.backup(path.parent / "copy")
            assert store.count("entries") == ROWS
        assert not (path.parent / "copy").exists()


def alter(path: Path, statement: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    connection.close()


class TestIndex:
    """Rows are found by an index of their keys, which may rot as rows do."""

    @pytest.mark.parametrize(
        "statement",
        [
            """DELETE FROM "entries keys" WHERE key = x'0007'""",
            """UPDATE "entries keys" SET place = 9 - place WHERE place IN (4, 5)""",
            """INSERT INTO "entries keys" VALUES (x'ffff', 501)""",
            """UPDATE meta SET value = value - 1 WHERE key = 'table entries'""",
            """UPDATE meta SET value = 0 WHERE key = 'table entries'""",
            """DROP TABLE "entries keys\"""",
        ],
    )
    def test_an_index_of_other_keys_than_its_rows_is_noticed(
        self, tmp_path: Path, monkeypatch, statement: str
    ) -> None:
        monkeypatch.setattr(keys, "RECENT_MAX", ROWS)
        path = tmp_path / "store.sqlite"
        with Store.open(path, ["entries"]) as store:
            store.apply([Persist("entries", number.to_bytes(2, "big"), b"") for number in range(ROWS)])
        alter(path, statement)
        assert "damaged; move it away and start again" in refusal(path)

    def test_a_key_that_is_flipped_in_the_index_alone_is_noticed(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr(keys, "RECENT_MAX", 41)
        path, key = tmp_path / "store.sqlite", b"a key of forty bytes, found twice on disk"
        with Store.open(path, ["votes"]) as store:
            store.apply([Persist("votes", b"%d" % number, bytes(400)) for number in range(40)])
            store.apply([Persist("votes", key, b"a vote")])
        data = path.read_bytes()
        places = [at for at in range(len(data)) if data.startswith(key, at)]
        assert len(places) == 2
        for at in places:
            path.write_bytes(data)
            overwrite(path, at + 5, bytes([data[at + 5] ^ 1]))
            with pytest.raises(StoreError, match="damaged; move it away"):
                Store.open(path, ["votes"])
