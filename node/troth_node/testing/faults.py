"""A disk that fails where it is told to: every write and every sync of a node is a numbered point.

Theory of operation. `install` puts itself between SQLite and its files (a VFS) and in the place of `files.kernel`, for
the life of the process. Whatever then changes the disk passes `Points.pass_by`, which counts a point before the call;
so does every frame before it leaves. (After a call is before the next one, or before a frame.) At the point that a
`Fault` names the process is killed by SIGKILL, so the disk is left as a real kill leaves it; or the call is refused as
on a full disk (a write) or on a broken one (a sync).
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NoReturn, TypeVar

import apsw

from troth_node.storage import files, keys
from troth_node.storage import store as store_module

T = TypeVar("T")
Kind = Literal["none", "kill", "refuse"]

VFS_NAME: Final = "troth-faults"
FRAME: Final = "a frame leaves"
#: Checkpoints come after so few pages of log, so that a short run passes through some.
CHECKPOINT_PAGES: Final = 60
#: Keys go to the index after so few rows, for the same reason.
RECENT_ROWS: Final = 16


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at which point, counted from 1: "kill" the process, or "refuse" the call that begins there.

    With a `name` only points of that name count.
    """

    kind: Kind = "none"
    at: int = 0
    name: str = ""


@dataclass
class Points:
    """The points that a process has passed.

    `names` counts them by what was done to which file, `failed` is the call that was refused.
    """

    fault: Fault = field(default_factory=Fault)
    count: int = 0
    names: Counter[str] = field(default_factory=Counter)
    failed: str = ""

    def pass_by(self, name: str, action: Callable[[], T], refuse: Callable[[], NoReturn]) -> T:
        """Do something to the disk, unless the fault is due."""
        if self._reach(name) and self.fault.kind == "refuse":
            self.failed = name
            refuse()
        return action()

    def leave(self) -> None:
        """A frame is about to leave."""
        self._reach(FRAME)

    def _reach(self, name: str) -> bool:
        """Is the fault due? A kill is carried out."""
        self.count += 1
        self.names[name] += 1
        number = self.names[name] if self.fault.name else self.count
        is_due = number == self.fault.at and self.fault.name in ("", name)
        if is_due and self.fault.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return is_due


_installed: list[apsw.VFS] = []  # SQLite forgets a VFS that nobody holds


def install(points: Points) -> None:
    """From now on everything that this process does to stores and small files passes these points."""
    _installed.append(Vfs(points))
    apsw.set_default_vfs(VFS_NAME)
    files.kernel = Kernel(points)
    store_module._CHECKPOINT_PAGES = CHECKPOINT_PAGES  # type: ignore[misc] # noqa: SLF001
    keys.RECENT_MAX = RECENT_ROWS  # type: ignore[misc]


def _name(path: str | None) -> str:
    """Which of a home's files: its role, not where it is."""
    return Path(path or "temporary").name.replace("store.sqlite", "store").removesuffix(".new")


def _full() -> NoReturn:
    raise apsw.FullError("injected: no space left")


def _broken(code: int) -> Callable[[], NoReturn]:
    def refuse() -> NoReturn:
        error = apsw.IOError("injected: the disk failed")
        error.extendedresult = code  # type: ignore[attr-defined] # apsw reads it back
        raise error

    return refuse


def _os_error(number: int) -> Callable[[], NoReturn]:
    def refuse() -> NoReturn:
        raise OSError(number, os.strerror(number))

    return refuse


class Kernel(files.Kernel):
    """Writes, syncs and renames of small files."""

    def __init__(self, points: Points) -> None:
        self._points = points

    def write(self, path: Path, descriptor: int, data: bytes) -> None:
        act = super().write
        self._points.pass_by(
            f"write {_name(str(path))}", lambda: act(path, descriptor, data), _os_error(errno.ENOSPC)
        )

    def sync(self, path: Path, descriptor: int) -> None:
        act = super().sync
        name = "directory" if path.is_dir() else _name(str(path))
        self._points.pass_by(f"sync {name}", lambda: act(path, descriptor), _os_error(errno.EIO))

    def sync_data(self, path: Path, descriptor: int) -> None:
        act = super().sync_data
        self._points.pass_by(f"sync {_name(str(path))}", lambda: act(path, descriptor), _os_error(errno.EIO))

    def rename(self, old: Path, new: Path) -> None:
        act = super().rename
        self._points.pass_by(f"rename {_name(str(new))}", lambda: act(old, new), _os_error(errno.ENOSPC))


class Vfs(apsw.VFS):
    """SQLite's files."""

    def __init__(self, points: Points) -> None:
        self._base = apsw.vfs_names()[0]
        self._points = points
        super().__init__(VFS_NAME, base=self._base)

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> VfsFile:  # noqa: N802 - SQLite's
        return VfsFile(self._base, self._points, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        act = super().xDelete
        self._points.pass_by(
            f"delete {_name(filename)}",
            lambda: act(filename, syncdir),
            _broken(apsw.SQLITE_IOERR_DELETE),
        )


class VfsFile(apsw.VFSFile):
    """One of them."""

    def __init__(
        self, base: str, points: Points, name: apsw.URIFilename | str | None, flags: list[int]
    ) -> None:
        super().__init__(base, name, flags)
        self._points = points
        self._name = _name(name.filename() if isinstance(name, apsw.URIFilename) else name)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        act = super().xWrite
        self._points.pass_by(f"write {self._name}", lambda: act(data, offset), _full)

    def xSync(self, flags: int) -> None:  # noqa: N802
        act = super().xSync
        self._points.pass_by(f"sync {self._name}", lambda: act(flags), _broken(apsw.SQLITE_IOERR_FSYNC))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        act = super().xTruncate
        self._points.pass_by(
            f"truncate {self._name}", lambda: act(newsize), _broken(apsw.SQLITE_IOERR_TRUNCATE)
        )
