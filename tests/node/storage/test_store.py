"""The store's promises: whole transactions, rows that never change, and no word after a fault."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_node.storage import files
from troth_node.storage import keys as index
from troth_node.storage.keys import RECENT_MAX
from troth_node.storage.store import Store, StoreConflict, StoreError
from troth_protocol.effects import Erase, Persist, Write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def store(path: Path) -> Store:
    return Store.open(path, ["entries", "votes"])


def put(key: bytes, value: bytes, *, once: bool = False) -> Persist:
    return Persist("entries", key, value, once)


class TestRows:
    def test_a_row_comes_back_also_after_a_restart(self, store: Store, path: Path) -> None:
        store.apply([put(b"a", b"1"), Persist("votes", b"a", b"2")])
        assert store.get("entries", b"a") == b"1"
        store.close()
        with Store.open(path, ["entries", "votes"]) as again:
            assert again.get("entries", b"a") == b"1"
            assert again.get("votes", b"a") == b"2"
            assert again.get("votes", b"b") is None

    def test_a_row_is_replaced_and_erased(self, store: Store) -> None:
        store.apply([put(b"a", b"1"), put(b"b", b"1")])
        store.apply([put(b"a", b"2"), Erase("entries", b"b"), Erase("entries", b"never there")])
        assert list(store.scan("entries")) == [(b"a", b"2")]
        assert store.count("entries") == 1

    def test_the_last_of_two_writes_in_one_call_wins(self, store: Store) -> None:
        store.apply([put(b"a", b"1"), put(b"a", b"2"), put(b"b", b"1"), Erase("entries", b"b")])
        assert list(store.scan("entries")) == [(b"a", b"2")]

    def test_empty_keys_and_values_are_rows_too(self, store: Store) -> None:
        store.apply([put(b"", b"")])
        assert store.get("entries", b"") == b""

    def test_a_table_added_by_a_later_version_starts_empty(self, store: Store, path: Path) -> None:
        store.close()
        with Store.open(path, ["entries", "acks"]) as again:
            assert again.count("acks") == 0

    def test_an_unnamed_table_is_refused_and_nothing_is_written(self, store: Store) -> None:
        with pytest.raises(StoreError, match="no table 'seals'"):
            store.apply([put(b"a", b"1"), Persist("seals", b"a", b"1")])
        assert store.get("entries", b"a") is None

    @pytest.mark.parametrize("name", ["meta", "sqlite_x", "Entries", "a b", "", 'a"', "1a", "a" * 32])
    def test_a_bad_table_name_is_refused(self, path: Path, name: str) -> None:
        with pytest.raises(ValueError, match="bad table name"):
            Store.open(path, [name])
        assert not path.exists()

    def test_a_word_of_sqlite_may_name_a_table(self, path: Path) -> None:
        with Store.open(path, ["order", "select"]) as store:
            store.apply([Persist("order", b"a", b"1")])
            assert store.count("order") == 1

    def test_files_are_the_owners_alone(self, store: Store, path: Path) -> None:
        store.apply([put(b"a", b"1")])
        assert {file.name for file in path.parent.iterdir()} == {
            path.name + end for end in ("", "-wal", ".lock")
        }
        assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


class TestScan:
    def test_in_key_order_under_a_prefix_after_a_key(self, store: Store) -> None:
        store.apply([put(key, b"") for key in (b"b2", b"a", b"b", b"b1", b"c", b"b\xff\xff", b"b\xff")])
        keys = [key for key, _ in store.scan("entries", b"b")]
        assert keys == [b"b", b"b1", b"b2", b"b\xff", b"b\xff\xff"]
        assert [key for key, _ in store.scan("entries", b"b", after=b"b2")] == keys[3:]
        assert [key for key, _ in store.scan("entries", b"b", after=b"a")] == keys
        assert [key for key, _ in store.scan("entries", b"b", after=b"c")] == []

    def test_more_rows_than_a_page(self, store: Store) -> None:
        keys = [number.to_bytes(2, "big") for number in range(1_000)]
        store.apply([put(key, key) for key in reversed(keys)])
        assert [key for key, _ in store.scan("entries")] == keys

    def test_keys_go_to_the_index_in_the_midst_of_a_scan(self, store: Store) -> None:
        numbers = range(0, 2 * RECENT_MAX, 2)
        store.apply([put(number.to_bytes(2, "big"), b"") for number in numbers[:-1]])
        rows = store.scan("entries")
        found = [next(rows)[0] for _ in range(200)]
        store.apply([put((601).to_bytes(2, "big"), b""), put(numbers[-1].to_bytes(2, "big"), b"")])
        found += [key for key, _ in rows]
        assert found == sorted(number.to_bytes(2, "big") for number in [*numbers, 601])

    def test_rows_may_be_written_meanwhile(self, store: Store) -> None:
        store.apply([put(number.to_bytes(2, "big"), b"") for number in range(300)])
        for key, _ in store.scan("entries"):
            store.apply([Erase("entries", key), Persist("votes", key, b"")])
        assert (store.count("entries"), store.count("votes")) == (0, 300)

    def test_a_scan_of_a_store_that_was_closed_raises(self, store: Store) -> None:
        store.apply([put(number.to_bytes(2, "big"), b"") for number in range(300)])
        rows = store.scan("entries")
        next(rows)
        store.close()
        with pytest.raises(StoreError, match="closed"):
            list(rows)


KEYS = st.binary(max_size=3)
WRITES = st.one_of(
    st.builds(Persist, st.just("entries"), KEYS, st.binary(max_size=3), st.booleans()),
    st.builds(Erase, st.just("entries"), KEYS),
)


@given(
    calls=st.lists(st.lists(WRITES, max_size=8), max_size=8),
    prefix=KEYS,
    after=st.none() | KEYS,
    recent_max=st.integers(1, 6) | st.just(RECENT_MAX),
)
def test_a_store_is_a_sorted_map_with_whole_transactions(
    tmp_path_factory: pytest.TempPathFactory,
    calls: list[list[Write]],
    prefix: bytes,
    after: bytes | None,
    recent_max: int,
) -> None:
    """However soon the keys of its rows go to the index."""
    model: dict[bytes, bytes] = {}
    path = tmp_path_factory.mktemp("store") / "store.sqlite"
    with mock.patch.object(index, "RECENT_MAX", recent_max), Store.open(path, ["entries"]) as store:
        for writes in calls:
            after_call = applied(model, writes)
            if after_call is None:
                with pytest.raises(StoreConflict):
                    store.apply(writes)
            else:
                store.apply(writes)
                model = after_call
            assert list(store.scan("entries")) == sorted(model.items())
        expected = [key for key in sorted(model) if key.startswith(prefix) and (after is None or key > after)]
        assert [key for key, _ in store.scan("entries", prefix, after)] == expected
    with Store.open(path, ["entries"]) as store:
        assert list(store.scan("entries")) == sorted(model.items())
        assert all(store.get("entries", key) == value for key, value in model.items())
        assert store.get("entries", b"never there") is None


def applied(model: dict[bytes, bytes], writes: list[Write]) -> dict[bytes, bytes] | None:
    """What the writes make of the map; None for a conflict."""
    rows = dict(model)
    for write in writes:
        if isinstance(write, Erase):
            rows.pop(write.key, None)
        elif write.once and rows.get(write.key, write.value) != write.value:
            return None
        else:
            rows[write.key] = write.value
    return rows


class TestOnce:
    def test_the_same_bytes_again_are_fine(self, store: Store) -> None:
        store.apply([put(b"lock", b"entry 1", once=True)])
        store.apply([put(b"lock", b"entry 1", once=True), put(b"other", b"1")])
        assert store.count("entries") == 2

    def test_other_bytes_undo_the_whole_call_and_the_store_goes_on(self, store: Store) -> None:
        store.apply([put(b"lock", b"entry 1", once=True)])
        with pytest.raises(StoreConflict, match=r"entries\[6c6f636b\]") as caught:
            store.apply([put(b"a", b"1"), put(b"lock", b"entry 2", once=True), put(b"b", b"1")], signed=True)
        assert (caught.value.table, caught.value.key) == ("entries", b"lock")
        assert list(store.scan("entries")) == [(b"lock", b"entry 1")]
        assert store.generation == 0
        store.apply([put(b"a", b"1")])
        assert store.count("entries") == 2

    def test_two_values_in_one_call_conflict(self, store: Store) -> None:
        with pytest.raises(StoreConflict):
            store.apply([put(b"lock", b"1", once=True), put(b"lock", b"2", once=True)])
        assert store.count("entries") == 0

    def test_after_a_restart_it_still_holds(self, store: Store, path: Path) -> None:
        store.apply([put(b"lock", b"1", once=True)])
        store.close()
        with Store.open(path, ["entries"]) as again, pytest.raises(StoreConflict):
            again.apply([put(b"lock", b"2", once=True)])

    def test_a_fault_of_the_caller_in_the_middle_undoes_the_call(self, store: Store) -> None:
        with pytest.raises(TypeError):
            store.apply([put(b"a", b"1"), put("no key", b"1")])  # type: ignore[arg-type]
        assert store.count("entries") == 0
        store.apply([put(b"a", b"1")])


class TestGeneration:
    def test_only_signed_calls_count(self, store: Store, path: Path) -> None:
        assert store.apply([put(b"a", b"1")]) == 0
        assert store.apply([put(b"b", b"1")], signed=True) == 1
        assert store.apply([], signed=True) == 2
        assert store.apply([]) == 2
        store.close()
        with Store.open(path, ["entries"]) as again:
            assert again.generation == 2

    def test_it_is_lifted_with_the_rows_that_say_why(self, store: Store) -> None:
        assert store.apply([put(b"restored", b"")], at_least=7) == 7
        assert store.apply([], at_least=3) == 7
        assert store.apply([put(b"a", b"1")], signed=True, at_least=9) == 10


FAULTS = {
    "disk full": ("write", apsw.FullError, apsw.SQLITE_FULL, "disk is full; free some space"),
    "write error": ("write", apsw.IOError, apsw.SQLITE_IOERR_WRITE, "disk failed to read or write; check it"),
    "sync error": ("sync", apsw.IOError, apsw.SQLITE_IOERR_FSYNC, "disk failed to read or write; check it"),
}


class TestPoison:
    @pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
    def test_after_a_fault_in_a_commit_it_never_answers_again(self, disk, path: Path, fault) -> None:
        call, kind, extended, advice = fault
        store = Store.open(path, ["entries"])
        store.apply([put(b"a", b"1")])
        disk.fail(call, kind, extended)
        with pytest.raises(StoreError, match=advice) as first:
            store.apply([put(b"b", b"1")])
        disk.heal()
        before = disk.calls
        for silent in every_call(store, path):
            with pytest.raises(StoreError) as later:
                silent()
            assert str(later.value) == str(first.value)
            assert "\n" not in str(later.value)
        store.close()
        assert disk.calls == before, "nothing was retried, neither a write nor a sync"

    @pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
    def test_a_restart_after_the_fault_finds_all_that_was_acknowledged(self, disk, path: Path, fault) -> None:
        store = Store.open(path, ["entries"])
        store.apply([put(b"a", b"1")], signed=True)
        disk.fail(*fault[:3])
        with pytest.raises(StoreError):
            store.apply([put(b"a", b"2")], signed=True)
        store.close()
        disk.heal()
        with Store.open(path, ["entries"]) as again:
            assert (again.get("entries", b"a"), again.generation) in {(b"1", 1), (b"2", 2)}

    def test_a_fault_while_folding_the_log_is_seen(self, disk, path: Path, monkeypatch) -> None:
        monkeypatch.setattr("troth_node.storage.store._CHECKPOINT_PAGES", 1)
        store = Store.open(path, ["entries"])
        store.apply([put(b"a", b"1")])
        disk.fail("sync to the file", apsw.IOError, apsw.SQLITE_IOERR_FSYNC)
        with pytest.raises(StoreError, match="disk failed"):
            store.apply([put(b"b", b"1")])
        with pytest.raises(StoreError, match="disk failed"):
            store.get("entries", b"a")
        store.close()

    def test_a_fault_while_closing_is_seen_and_loses_nothing(self, disk, path: Path) -> None:
        store = Store.open(path, ["entries"])
        store.apply([put(b"a", b"1")])
        disk.fail("sync", apsw.IOError, apsw.SQLITE_IOERR_FSYNC)
        with pytest.raises(StoreError, match="disk failed"):
            store.close()
        store.close()
        disk.heal()
        with Store.open(path, ["entries"]) as again:
            assert again.get("entries", b"a") == b"1"

    def test_a_page_that_cannot_be_read_poisons_too(self, disk, path: Path) -> None:
        with Store.open(path, ["entries"]) as store:
            store.apply([put(number.to_bytes(2, "big"), bytes(4_096)) for number in range(2_000)])
        store = Store.open(path, ["entries"])
        disk.fail("read", apsw.IOError, apsw.SQLITE_IOERR_READ)
        with pytest.raises(StoreError, match="disk failed"):
            store.get("entries", b"\0\0")
        disk.heal()
        with pytest.raises(StoreError, match="disk failed"):
            list(store.scan("entries"))
        store.close()

    def test_a_real_full_disk(self, disk, small_disk: Path) -> None:
        path = small_disk / "store.sqlite"
        store = Store.open(path, ["entries"])
        if not small_disk.is_mount():
            disk.limit_bytes = 400_000
        acknowledged = fill(store)
        with pytest.raises(StoreError, match="disk is full; free some space"):
            store.get("entries", acknowledged[0])
        store.close()
        (small_disk / "ballast").unlink()
        disk.limit_bytes = None
        with Store.open(path, ["entries"]) as again:
            assert [key for key, _ in again.scan("entries")][: len(acknowledged)] == acknowledged
            again.apply([put(b"z", b"1")])


def every_call(store: Store, path: Path) -> list[Callable[[], object]]:
    return [
        lambda: store.apply([put(b"b", b"1")]),
        lambda: store.apply([]),
        lambda: store.get("entries", b"a"),
        lambda: store.scan("entries"),
        lambda: store.count("entries"),
        lambda: store.backup(path.with_name("copy")),
    ]


def fill(store: Store) -> list[bytes]:
    """Write until the disk is full; the keys that were acknowledged."""
    keys = [number.to_bytes(2, "big") for number in range(1_000)]
    for number, key in enumerate(keys):
        try:
            store.apply([put(key, bytes(2_000))])
        except StoreError:
            return keys[:number]
    raise AssertionError("the disk never filled up")


class TestLazy:
    """Rows that may wait for the next synced commit: they are read at once, and cost no sync of their own."""

    def test_a_lazy_row_is_there_and_after_a_restart_too(self, store: Store, path: Path) -> None:
        store.apply([put(b"a", b"1")], durable=False)
        assert store.get("entries", b"a") == b"1"
        store.close()
        with Store.open(path, ["entries", "votes"]) as again:
            assert again.get("entries", b"a") == b"1"

    def test_only_a_durable_call_syncs(self, store: Store) -> None:
        def level() -> int:
            return int(store._connection.pragma("synchronous"))

        store.apply([put(b"a", b"1")], durable=False)
        assert level() == 1
        store.apply([put(b"b", b"1")])
        assert level() == 2

    def test_after_a_conflict_in_a_lazy_call_the_next_durable_one_syncs(self, store: Store) -> None:
        store.apply([put(b"a", b"1", once=True)])
        with pytest.raises(StoreConflict):
            store.apply([put(b"a", b"2", once=True)], durable=False)
        store.apply([put(b"b", b"1")])
        assert int(store._connection.pragma("synchronous")) == 2


def refuse(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """From now on the disk takes no zeros."""

    def write(_path: Path, descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) // 2])
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.kernel, "write", write)


class TestLog:
    """The log is lengthened ahead of what is written to it."""

    def test_commits_do_not_lengthen_it_one_by_one(self, store: Store, path: Path) -> None:
        log = path.with_name(path.name + "-wal")
        sizes = set()
        for number in range(100):
            store.apply([Persist("entries", b"%d" % number, bytes(900))])
            sizes.add(log.stat().st_size)
        assert len(sizes) <= 5

    def test_it_is_written_over_after_a_checkpoint(self, monkeypatch, path: Path, tmp_path: Path) -> None:
        monkeypatch.setattr("troth_node.storage.store._CHECKPOINT_PAGES", 20)
        log = path.with_name(path.name + "-wal")
        headers, sizes = set(), set()
        with Store.open(path, ["entries"]) as store:
            for number in range(100):
                store.apply([Persist("entries", b"%d" % number, bytes(900))])
                headers.add(log.read_bytes()[:32])
                sizes.add(log.stat().st_size)
                copy = tmp_path / f"{number}" / path.name
                copy.parent.mkdir()
                shutil.copy(path, copy)
                shutil.copy(log, copy.with_name(log.name))
                with Store.open(copy, ["entries"]) as killed:
                    assert killed.count("entries") == number + 1, "what a crash would leave has every row"
        assert bytes(32) in headers, "voided by each checkpoint"
        assert len(headers) >= 5
        assert len(sizes) == 1

    def test_zeros_ahead_change_nothing_for_the_next_start(self, store: Store, path: Path) -> None:
        store.apply([Persist("entries", b"key", b"value")])
        store.close()
        with Store.open(path, ["entries"]) as again:
            assert again.get("entries", b"key") == b"value"

    def test_a_full_disk_takes_no_zeros_and_the_row_is_there(self, monkeypatch, path: Path) -> None:
        with Store.open(path, ["entries"]) as store:
            refuse(monkeypatch, errno.ENOSPC)
            store.apply([Persist("entries", b"key", b"value")])
            assert store.get("entries", b"key") == b"value"
            assert path.with_name(path.name + "-wal").stat().st_size < 100_000, "given back"

    def test_a_disk_that_fails_poisons(self, monkeypatch, path: Path) -> None:
        with Store.open(path, ["entries"]) as store:
            refuse(monkeypatch, errno.EIO)
            with pytest.raises(StoreError, match="the disk failed"):
                store.apply([Persist("entries", b"key", b"value")])
            with pytest.raises(StoreError):
                store.get("entries", b"key")
