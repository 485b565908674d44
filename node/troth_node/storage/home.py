"""The node's directory, its owner's alone: one process at a time, and no start overwrites anything in it.

    key           JSON: version, public key, 32-byte seed in hex     written last: with it the home exists
    genesis.bin   the genesis document as received
    config.toml   optional, the operator's
    store.sqlite  see store.py
    guard         see guard.py
    host          where this directory was when the node last settled
    lock          locked for the life of the process

A lock cannot tell a copy: each copied directory has a lock file of its own, and two nodes with one key
would sign against each other. Hence `host`: the machine's id with the inode number and the inode generation
of the lock file. A copy, or a backup put back, gets another inode, or the same number with another
generation; a renamed directory and a rebooted machine keep both.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Final, Self

from troth_node.storage.errors import GuardError, HomeError, LockHeld
from troth_node.storage.files import (
    OTHERS_MASK,
    PRIVATE_DIRECTORY_MODE,
    Lock,
    create_file,
    replace_file,
    sync_directory,
)
from troth_node.storage.guard import Guard
from troth_protocol.wire.crypto import SEED_BYTES, KeyPair

STORE_FILE = "store.sqlite"

__all__ = ["Home", "HomeError"]

KEY_VERSION: Final = 1

_UMASK: Final = 0o077
_MAX_KEY_FILE_BYTES: Final = 4_096
_HEX_32: Final = re.compile("[0-9a-f]{64}")
_MAY_BE_THERE: Final = frozenset({"lock", "config.toml", "lost+found"})
_MACHINE_ID_FILES: Final = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_GET_INODE_GENERATION: Final = 0x80087601  # FS_IOC_GETVERSION of linux/fs.h


class Home:
    """An open home directory, locked until `close` or the end of the process.

    `key` is the node's key pair, `genesis` the bytes of its genesis document. `moved`: this directory is
    not where the node last settled, so another copy may be running: restore mode, then `settle`.
    """

    def __init__(self, path: Path, lock: Lock, key: KeyPair, genesis: bytes) -> None:
        """Not for callers: `create` and `open` make homes."""
        self.path = path
        self.key = key
        self.genesis = genesis
        self._lock = lock
        self.moved = _read_host(path) != _host_record(lock)

    @classmethod
    def create(cls, path: Path, seed: bytes | None, genesis: bytes) -> Home:
        """A new home in a new or empty directory, with this 32-byte seed or a fresh one. Sets umask 077.

        Raises HomeError; never overwrites a file.
        """
        if not genesis:
            raise HomeError(f"{path}: the genesis document is empty; pass the network's genesis file")
        if seed is not None and len(seed) != SEED_BYTES:
            raise HomeError(
                f"{path}: a seed has {SEED_BYTES} bytes, this one has {len(seed)}; pass a whole one"
            )
        os.umask(_UMASK)
        _make_directory(path)
        lock = _take_lock(path)
        try:
            _check_empty(path)
            key = KeyPair.from_seed(os.urandom(SEED_BYTES) if seed is None else seed)
            _fill(path, lock, key, genesis)
            return cls(path, lock, key, genesis)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, path: Path) -> Home:
        """Open an existing home. Sets umask 077. Raises HomeError."""
        os.umask(_UMASK)
        _check_home(path)
        lock = _take_lock(path)
        try:
            return cls(path, lock, _read_key(path / "key"), _read_genesis(path / "genesis.bin"))
        except BaseException:
            lock.release()
            raise

    @property
    def store_path(self) -> Path:
        """Where `Store.open` finds or creates the store."""
        return self.path / STORE_FILE

    @property
    def config_path(self) -> Path:
        """Where the operator may have put a configuration."""
        return self.path / "config.toml"

    def unsettle(self) -> None:
        """Record that the node lives nowhere yet: until `settle` every start finds it moved. Raises HomeError."""
        if not self.moved:
            self._record(b"")
            self.moved = True

    def settle(self) -> None:
        """Record that the node lives here: call it when restore mode is over. Raises HomeError."""
        self._record(_host_record(self._lock))
        self.moved = False

    def _record(self, data: bytes) -> None:
        try:
            replace_file(self.path / "host", data)
        except OSError as error:
            raise _failed(self.path / "host", error) from error

    def close(self) -> None:
        """Let the directory go; a second call does nothing."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _make_directory(path: Path) -> None:
    """Only an empty directory that exists is made private: it was made for us."""
    try:
        path.mkdir(mode=PRIVATE_DIRECTORY_MODE, parents=True, exist_ok=True)
        if not set(os.listdir(path)) - _MAY_BE_THERE:
            path.chmod(PRIVATE_DIRECTORY_MODE)
        sync_directory(path.parent)
    except OSError as error:
        raise _failed(path, error) from error
    _check_private(path, path.stat().st_mode, "700")


def _check_empty(path: Path) -> None:
    names = set(os.listdir(path))
    if "key" in names:
        raise HomeError(f"{path}: already initialised; start the node there, or choose another directory")
    if names - _MAY_BE_THERE:
        raise HomeError(f"{path}: not empty and holds no key; choose an empty directory")


def _check_home(path: Path) -> None:
    """Before the lock file is touched: a wrong path is left as it was."""
    try:
        if not path.is_dir():
            raise HomeError(f"{path}: no such directory; initialise a node there first")
        _check_private(path, path.stat().st_mode, "700")
        if not (path / "key").exists():
            raise HomeError(f"{path}: no key file; initialise a node there first, or restore its key")
    except OSError as error:
        raise _failed(path, error) from error


def _fill(path: Path, lock: Lock, key: KeyPair, genesis: bytes) -> None:
    try:
        create_file(path / "genesis.bin", genesis)
        Guard.create(path).close()
        create_file(path / "host", _host_record(lock))
        create_file(path / "key", _encode_key(key))
    except GuardError as error:
        raise HomeError(str(error)) from error
    except OSError as error:
        raise _failed(path, error) from error


def _take_lock(path: Path) -> Lock:
    try:
        return Lock.take(path / "lock")
    except LockHeld as held:
        raise HomeError(f"{path}: a node is already running there, {held.holder}; stop it first") from None
    except OSError as error:
        raise _failed(path / "lock", error) from error


def _check_private(path: Path, mode: int, wanted: str) -> None:
    if mode & OTHERS_MASK:
        raise HomeError(f"{path}: open to others (mode {mode & 0o777:03o}); run chmod {wanted} on it")


def _encode_key(key: KeyPair) -> bytes:
    fields = {"version": KEY_VERSION, "public": key.public.hex(), "seed": key.seed.hex()}
    return json.dumps(fields, indent=1).encode() + b"\n"


def _read_key(path: Path) -> KeyPair:
    """No error from here carries a part of the file: the file is the secret."""
    try:
        with path.open("rb") as file:
            _check_private(path, os.fstat(file.fileno()).st_mode, "600")
            data = file.read(_MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise _failed(path, error) from error
    fields = _parse(data)
    if fields is None:
        raise _garbled(path, "no key")
    return _decode_key(path, fields)


def _parse(data: bytes) -> dict[str, object] | None:
    """None for anything else than an object: JSON's own error would carry the file's text along."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _decode_key(path: Path, fields: dict[str, object]) -> KeyPair:
    version, seed, public = (fields.get(name) for name in ("version", "seed", "public"))
    if not isinstance(version, int):
        raise _garbled(path, "no version")
    if version != KEY_VERSION:
        raise HomeError(
            f"{path}: key version {version} is not {KEY_VERSION}; start a newer version of the node"
        )
    if not isinstance(seed, str) or not _HEX_32.fullmatch(seed):
        raise _garbled(path, f"the seed is not {SEED_BYTES} bytes of hex")
    key = KeyPair.from_seed(bytes.fromhex(seed))
    if key.public.hex() != public:
        raise _garbled(path, "seed and public key do not belong together")
    return key


def _garbled(path: Path, what: str) -> HomeError:
    return HomeError(f"{path}: garbled, {what}; put back a copy of the key file")


def _read_genesis(path: Path) -> bytes:
    try:
        genesis = path.read_bytes()
    except OSError as error:
        raise _failed(path, error) from error
    if not genesis:
        raise HomeError(f"{path}: empty; put back the network's genesis file")
    return genesis


def _read_host(path: Path) -> bytes | None:
    """None (so: moved) if it cannot be read: the safe side costs two epochs of silence."""
    try:
        return (path / "host").read_bytes()
    except OSError:
        return None


def _host_record(lock: Lock) -> bytes:
    inode = os.fstat(lock.descriptor).st_ino
    fields = {
        "version": 1,
        "machine": _machine(),
        "inode": inode,
        "generation": _inode_generation(lock.descriptor),
    }
    return json.dumps(fields, indent=1).encode() + b"\n"


def _machine() -> str:
    """The machine's id, hashed as its manual asks; empty where there is none, as in some containers."""
    for path in _MACHINE_ID_FILES:
        try:
            identity = path.read_bytes().strip()
        except OSError:
            continue
        return hashlib.sha256(b"troth/host/1" + identity).hexdigest() if identity else ""
    return ""


def _inode_generation(descriptor: int) -> int:
    """Tells two files apart that had one inode number after each other; 0 on file systems without it."""
    try:
        answer = fcntl.ioctl(descriptor, _GET_INODE_GENERATION, bytes(8))
    except OSError:
        return 0
    return int.from_bytes(answer[:4], "little")


def _failed(path: Path, error: OSError) -> HomeError:
    return HomeError(f"{path}: {error.strerror or error}; check whose directory it is, and the disk")
