"""A child process to kill, a disk that fails on demand, and a small disk: what the dialogues about storage need."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import apsw
import pytest

SYSTEM = apsw.vfs_names()[0]
CHILD = Path(__file__).with_name("child.py")


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    """A home sets the umask of its process; ours is put back."""
    before = os.umask(0o022)
    yield
    os.umask(before)


Child = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def child() -> Iterator[Child]:
    """Start child.py with arguments; whatever still runs at the end is killed."""
    with ExitStack() as stack:

        def start(*arguments: object) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, str(CHILD), *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


class Disk(apsw.VFS):
    """The system's disk, until `fail` says which calls fail, and how."""

    NAME = "disk-that-fails"

    def __init__(self) -> None:
        super().__init__(self.NAME, base=SYSTEM)
        self.errors: dict[str, apsw.Error] = {}
        self.calls = 0
        self.limit_bytes: int | None = None

    def fail(self, call: str, error: type[apsw.Error], extended: int) -> None:
        self.errors[call] = error(f"injected into {call}")
        self.errors[call].extendedresult = extended

    def heal(self) -> None:
        self.errors.clear()

    def check(self, call: str) -> None:
        self.calls += 1
        if call in self.errors:
            raise self.errors[call]

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> DiskFile:  # noqa: N802
        return DiskFile(self, name, flags)


class DiskFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: apsw.URIFilename | str | None, flags: list[int]) -> None:
        super().__init__(SYSTEM, name, flags)
        self.disk = disk
        self.is_log = bool(flags[0] & apsw.SQLITE_OPEN_WAL)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.disk.check("sync")
        self.disk.check("sync to the log" if self.is_log else "sync to the file")
        super().xSync(flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self.disk.check("write")
        if self.disk.limit_bytes is not None and offset + len(data) > self.disk.limit_bytes:
            raise apsw.FullError("injected: over the limit")
        super().xWrite(data, offset)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self.disk.check("read")
        return super().xRead(amount, offset)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Stores opened in this test stand on a disk that can be told to fail."""
    disk = Disk()
    apsw.set_default_vfs(Disk.NAME)
    yield disk
    apsw.set_default_vfs(SYSTEM)
    disk.unregister()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a disk of 1 MiB where we may mount one, elsewhere an ordinary one; with `ballast` to remove."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    (place / "ballast").write_bytes(bytes(600_000))
    yield place
    if mounted:
        subprocess.run(["umount", str(place)], check=True)  # noqa: S607
