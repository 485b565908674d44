"""What storage refuses, in one line that says what to do: on a fault nothing else leaves this package."""

from __future__ import annotations

from troth_protocol.errors import TrothError


class StorageError(TrothError):
    """Base of the errors below; the message is one line for the operator."""


class StoreError(StorageError):
    """The store cannot be opened, read or written."""


class StoreConflict(StoreError):
    """A row that may be written only once exists with other bytes; nothing of that call was written."""

    def __init__(self, table: str, key: bytes) -> None:
        super().__init__(
            f"{table}[{key.hex()}] holds other bytes and may never change; stop the node and report this"
        )
        self.table = table
        self.key = key


class GuardError(StorageError):
    """The guard file is missing, damaged, cannot be written, or was asked to go back."""


class HomeError(StorageError):
    """The home directory cannot be created or used."""


class LockHeld(StorageError):
    """Another process holds a lock file. `pid` is None if it has not written its number yet."""

    def __init__(self, pid: int | None) -> None:
        self.holder = "another process" if pid is None else f"process {pid}"
        super().__init__(f"held by {self.holder}")
        self.pid = pid
