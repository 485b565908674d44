"""The home directory: private, whole, for one process, and noticed when it is a copy."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from troth_node.storage import files
from troth_node.storage import home as module
from troth_node.storage.guard import Guard, compare
from troth_node.storage.home import Home, HomeError
from troth_node.storage.store import Store
from troth_protocol.wire.crypto import KeyPair

SEED = bytes(range(32))
GENESIS = b"genesis document"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A home that was created and closed."""
    path = tmp_path / "home"
    Home.create(path, SEED, GENESIS).close()
    return path


def refusal(path: Path) -> str:
    """The line with which it is refused, twice the same: a refusal leaves no lock behind."""
    lines = []
    for _ in range(2):
        with pytest.raises(HomeError) as caught:
            Home.open(path)
        lines.append(str(caught.value))
    assert lines[0] == lines[1]
    assert lines[0].startswith(str(path))
    assert "\n" not in lines[0]
    return lines[0]


class TestCreate:
    def test_what_it_holds_comes_back(self, path: Path) -> None:
        with Home.open(path) as home:
            assert home.key.public == KeyPair.from_seed(SEED).public
            assert home.key.seed == SEED
            assert home.genesis == GENESIS
            assert not home.moved
            assert (home.store_path.parent, home.config_path.parent) == (path, path)

    def test_it_is_open_and_locked_at_once(self, tmp_path: Path) -> None:
        with Home.create(tmp_path / "home", None, GENESIS) as home:
            assert not home.moved
            assert f"already running there, process {os.getpid()}" in refusal(home.path)

    def test_seeds_are_fresh(self, tmp_path: Path) -> None:
        with Home.create(tmp_path / "a", None, GENESIS) as a, Home.create(tmp_path / "b", None, GENESIS) as b:
            assert a.key.public != b.key.public

    def test_everything_is_the_owners_alone(self, path: Path) -> None:
        assert path.stat().st_mode & 0o777 == 0o700
        assert {file.name: file.stat().st_mode & 0o777 for file in path.iterdir()} == dict.fromkeys(
            ["key", "genesis.bin", "guard", "host", "lock"], 0o600
        )
        assert os.umask(0o077) == 0o077

    def test_store_and_guard_live_in_it(self, path: Path) -> None:
        with Home.open(path) as home, Store.open(home.store_path, ["entries"]) as store:
            assert compare(store, Guard.open(home.path)) == "ok"

    def test_an_empty_directory_with_a_configuration_will_do(self, tmp_path: Path) -> None:
        (tmp_path / "config.toml").write_text("answer = 42")
        tmp_path.chmod(0o755)
        Home.create(tmp_path, SEED, GENESIS).close()
        assert tmp_path.stat().st_mode & 0o777 == 0o700
        Home.open(tmp_path).close()
        assert (tmp_path / "config.toml").read_text() == "answer = 42"

    def test_it_never_overwrites_a_home(self, path: Path) -> None:
        before = contents(path)
        with pytest.raises(HomeError, match="already initialised; start the node there"):
            Home.create(path, None, b"other")
        assert contents(path) == before

    def test_it_never_writes_among_other_files(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("mine")
        tmp_path.chmod(0o700)
        with pytest.raises(HomeError, match="not empty and holds no key; choose an empty directory"):
            Home.create(tmp_path, None, GENESIS)
        assert "thesis.txt" in contents(tmp_path)
        assert "key" not in contents(tmp_path)

    def test_it_does_not_close_a_directory_that_others_use(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("ours")
        tmp_path.chmod(0o755)
        with pytest.raises(HomeError, match="open to others"):
            Home.create(tmp_path, None, GENESIS)
        assert tmp_path.stat().st_mode & 0o777 == 0o755

    def test_a_running_node_is_left_alone(self, path: Path, child) -> None:
        holder = child("hold-home", path)
        assert holder.stdout.read(5) == b"ready"
        with pytest.raises(HomeError, match=f"process {holder.pid}"):
            Home.create(path, None, GENESIS)

    @pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33)])
    def test_a_short_seed_makes_nothing(self, tmp_path: Path, seed: bytes) -> None:
        with pytest.raises(HomeError, match=f"a seed has 32 bytes, this one has {len(seed)}"):
            Home.create(tmp_path / "home", seed, GENESIS)
        assert not (tmp_path / "home").exists()

    def test_a_guard_that_is_there_without_a_key_stops_it(self, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir(mode=0o700)
        Guard.create(tmp_path / "home")
        with pytest.raises(HomeError, match="not empty and holds no key"):
            Home.create(tmp_path / "home", SEED, GENESIS)

    def test_no_genesis_makes_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(HomeError, match="genesis document is empty"):
            Home.create(tmp_path / "home", SEED, b"")
        assert not (tmp_path / "home").exists()

    def test_a_file_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "home").write_text("a file")
        with pytest.raises(HomeError, match="File exists"):
            Home.create(tmp_path / "home", SEED, GENESIS)

    def test_a_disk_that_fails_leaves_no_key(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr(files, "_write_and_rename", fail)
        with pytest.raises(HomeError, match="No space left"):
            Home.create(tmp_path / "home", SEED, GENESIS)
        monkeypatch.undo()
        assert "no key file" in refusal(tmp_path / "home")


def fail(*_: object) -> None:
    raise OSError(28, "No space left on device")


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir() if file.name != "lock"}


class TestRefusals:
    def test_no_directory(self, tmp_path: Path) -> None:
        assert "no such directory; initialise a node there first" in refusal(tmp_path / "none")

    def test_a_name_that_the_system_refuses(self, tmp_path: Path) -> None:
        assert "File name too long; check whose directory it is" in refusal(tmp_path / ("x" * 300))

    def test_no_key_and_no_lock_left_there(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o700)
        assert "no key file; initialise a node there first, or restore its key" in refusal(tmp_path)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
    def test_a_key_that_others_may_touch(self, path: Path, mode: int) -> None:
        (path / "key").chmod(mode)
        assert f"key: open to others (mode {mode:03o}); run chmod 600 on it" in refusal(path)

    @pytest.mark.parametrize("mode", [0o710, 0o705, 0o777])
    def test_a_directory_that_others_may_enter(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        assert f"open to others (mode {mode:03o}); run chmod 700 on it" in refusal(path)

    def test_already_running_until_it_is_killed(self, path: Path, child) -> None:
        holder = child("hold-home", path)
        assert holder.stdout.read(5) == b"ready"
        assert (
            refusal(path) == f"{path}: a node is already running there, process {holder.pid}; stop it first"
        )
        holder.kill()
        holder.wait()
        Home.open(path).close()

    def test_a_holder_that_has_not_said_who_it_is(self, path: Path) -> None:
        with Home.open(path):
            os.truncate(path / "lock", 0)
            assert "already running there, another process" in refusal(path)

    def test_a_lock_that_cannot_be_opened(self, path: Path) -> None:
        (path / "lock").unlink()
        (path / "lock").mkdir()
        assert "lock: Is a directory; check whose directory it is" in refusal(path)

    def test_a_file_system_that_cannot_lock(self, path: Path, monkeypatch) -> None:
        monkeypatch.setattr(files.fcntl, "flock", fail)
        assert "lock: No space left on device" in refusal(path)

    def test_a_key_that_cannot_be_read(self, path: Path) -> None:
        (path / "key").unlink()
        (path / "key").mkdir(mode=0o700)
        assert "key: Is a directory; check whose directory it is" in refusal(path)

    @pytest.mark.parametrize("damage", [b"", None])
    def test_no_genesis(self, path: Path, damage: bytes | None) -> None:
        (path / "genesis.bin").unlink()
        if damage is not None:
            (path / "genesis.bin").write_bytes(damage)
        assert "genesis.bin: " in refusal(path)


class TestKeyFile:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x00\xff",
            b"null",
            b"[]",
            b'"key"',
            b"[" * 4_000,
            b"{}",
            b'{"version": "1"}',
            b" " * 100_000,
        ],
    )
    def test_garbled(self, path: Path, data: bytes) -> None:
        (path / "key").write_bytes(data)
        assert "key: garbled, no" in refusal(path)
        assert "put back a copy of the key file" in refusal(path)

    def test_torn_at_any_byte(self, path: Path) -> None:
        whole = (path / "key").read_bytes().rstrip()
        for size in range(len(whole)):
            (path / "key").write_bytes(whole[:size])
            assert "garbled, no key" in refusal(path)

    @pytest.mark.parametrize("seed", ["", "00" * 31, "00" * 33, "zz" * 32, "AB" * 32, 7, None])
    def test_short_or_no_hex(self, path: Path, seed: object) -> None:
        edit(path, seed=seed)
        assert "the seed is not 32 bytes of hex" in refusal(path)

    def test_a_seed_with_a_flipped_bit_does_not_fit_its_public_key(self, path: Path) -> None:
        edit(path, seed=(b"\x80" + SEED[1:]).hex())
        assert "seed and public key do not belong together" in refusal(path)

    def test_a_newer_version(self, path: Path) -> None:
        edit(path, version=2)
        assert "key version 2 is not 1; start a newer version of the node" in refusal(path)

    def test_no_error_carries_the_secret(self, path: Path) -> None:
        (path / "key").write_bytes((path / "key").read_bytes()[:-3])
        with pytest.raises(HomeError) as caught:
            Home.open(path)
        error: BaseException | None = caught.value
        while error is not None:
            assert SEED.hex() not in repr(error) + repr(vars(error))
            error = error.__context__


def edit(path: Path, **fields: object) -> None:
    key = path / "key"
    key.write_text(json.dumps(json.loads(key.read_text()) | fields))


class TestMoved:
    def test_a_copy_is_noticed_although_it_can_be_locked(self, path: Path, tmp_path: Path) -> None:
        shutil.copytree(path, tmp_path / "copy")
        with Home.open(path) as original, Home.open(tmp_path / "copy") as copy:
            assert (original.moved, copy.moved) == (False, True)

    def test_it_is_noticed_at_every_start_until_it_settles(self, path: Path, tmp_path: Path) -> None:
        shutil.copytree(path, tmp_path / "copy")
        Home.open(tmp_path / "copy").close()
        with Home.open(tmp_path / "copy") as copy:
            assert copy.moved
            copy.settle()
            assert not copy.moved
        with Home.open(tmp_path / "copy") as copy:
            assert not copy.moved

    def test_a_new_name_is_no_copy(self, path: Path, tmp_path: Path) -> None:
        path.rename(tmp_path / "renamed")
        with Home.open(tmp_path / "renamed") as home:
            assert not home.moved

    def test_an_inode_number_that_was_used_again_is_told_by_its_generation(
        self, path: Path, monkeypatch
    ) -> None:
        monkeypatch.setattr(module, "_inode_generation", lambda descriptor: 12_345)
        with Home.open(path) as home:
            assert home.moved

    def test_another_machine(self, path: Path, tmp_path: Path, monkeypatch) -> None:
        (tmp_path / "machine-id").write_text("another\n")
        monkeypatch.setattr(module, "_MACHINE_ID_FILES", (tmp_path / "none", tmp_path / "machine-id"))
        with Home.open(path) as home:
            assert home.moved

    def test_a_machine_without_an_id_is_a_machine(self, path: Path, tmp_path: Path, monkeypatch) -> None:
        (tmp_path / "empty").write_text("")
        for files_there in ((tmp_path / "none",), (tmp_path / "empty",)):
            monkeypatch.setattr(module, "_MACHINE_ID_FILES", files_there)
            with Home.open(path) as home:
                home.settle()
            with Home.open(path) as home:
                assert not home.moved

    @pytest.mark.parametrize("record", [None, b"", b"{}"])
    def test_a_lost_or_garbled_record_counts_as_moved(self, path: Path, record: bytes | None) -> None:
        (path / "host").unlink()
        if record is not None:
            (path / "host").write_bytes(record)
        with Home.open(path) as home:
            assert home.moved

    def test_a_record_that_cannot_be_written(self, path: Path, monkeypatch) -> None:
        (path / "host").unlink()
        monkeypatch.setattr(files, "_write_and_rename", fail)
        with Home.open(path) as home:
            with pytest.raises(HomeError, match="No space left"):
                home.settle()
            assert home.moved
