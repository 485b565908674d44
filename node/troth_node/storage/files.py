"""Small files that survive a power cut: data is synced before its name appears, the name before we go on."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from troth_node.storage.errors import LockHeld

PRIVATE_FILE_MODE = 0o600
PRIVATE_DIRECTORY_MODE = 0o700
OTHERS_MASK = 0o077

_PID_BYTES = 20


class Kernel:
    """Every call that changes what is on disk outside SQLite: the one place where a test can come in between."""

    def write(self, path: Path, descriptor: int, data: bytes) -> None:
        """Write all of it. Raises OSError."""
        while data:
            data = data[os.write(descriptor, data) :]

    def sync(self, path: Path, descriptor: int) -> None:
        """Bring a file or directory to the platter. Raises OSError, after which nobody knows what is there."""
        os.fsync(descriptor)

    def sync_data(self, path: Path, descriptor: int) -> None:
        """Bring what was written over older bytes of the same length to the platter. Raises OSError, as `sync`."""
        os.fdatasync(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Let a file appear under another name. Raises OSError."""
        os.rename(old, new)


#: What everybody here goes through; a test kit puts its own in this place.
kernel = Kernel()


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable: a power cut may undo an unsynced rename. Raises OSError."""
    sync_file(path, os.O_DIRECTORY)


def sync_file(path: Path, flag: int = 0) -> None:
    """Make durable what others wrote to a file. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | flag)
    try:
        kernel.sync(path, descriptor)
    finally:
        os.close(descriptor)


def rename_file(old: Path, new: Path) -> None:
    """Let a synced file appear under its name, for good. Raises OSError."""
    kernel.rename(old, new)
    sync_directory(new.parent)


def create_file(path: Path, data: bytes) -> None:
    """A new private file, whole or absent after a crash. Raises OSError (FileExistsError: name taken)."""
    if path.exists():
        raise FileExistsError(f"{path} exists")
    _write_and_rename(path, data, os.O_EXCL)


def replace_file(path: Path, data: bytes) -> None:
    """Replace a private file: old or new contents after a crash, never a mixture. Raises OSError."""
    _write_and_rename(path, data, os.O_TRUNC)


def _write_and_rename(path: Path, data: bytes, flag: int) -> None:
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | flag, PRIVATE_FILE_MODE)
    try:
        kernel.write(path, descriptor, data)
        kernel.sync(path, descriptor)
    finally:
        os.close(descriptor)
    rename_file(fresh, path)


def overwrite(path: Path, descriptor: int, place: int, data: bytes, *, synced: bool = True) -> None:
    """Write over bytes that are there, and sync them: no name and no length changes, so it costs one sync of data.

    Raises OSError.
    """
    os.lseek(descriptor, place, os.SEEK_SET)
    kernel.write(path, descriptor, data)
    if synced:
        kernel.sync_data(path, descriptor)


def sync_data(path: Path, descriptor: int) -> None:
    """Sync what was written over older bytes, whoever wrote it. Raises OSError."""
    kernel.sync_data(path, descriptor)


def lengthen(path: Path, size_bytes: int) -> None:
    """Append zeros to a file, synced, up to a size: what is later written over them costs one sync of data.

    Raises OSError; zeros that a full disk has taken are given back.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    before = os.fstat(descriptor).st_size
    try:
        kernel.write(path, descriptor, bytes(max(0, size_bytes - before)))
        kernel.sync(path, descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise
    finally:
        os.close(descriptor)


class Lock:
    """An exclusive advisory lock on a file, held until release or the end of the process, even by kill -9.

    The file stays when the lock goes: removing it would let two processes lock two files of one name.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Lock:
        """Lock the file, creating it if absent. Raises LockHeld, OSError."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        except BlockingIOError:
            held = LockHeld(_holder(descriptor))
            os.close(descriptor)
            raise held from None
        except OSError:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def release(self) -> None:
        """Let the lock go; a second call does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _holder(descriptor: int) -> int | None:
    written = os.pread(descriptor, _PID_BYTES, 0).strip()
    return int(written) if written.isdigit() else None
