"""A number beside the store that only grows: it tells an old copy of the store from a crash.

Theory of operation. `Store.apply(signed=True)` raises the store's generation in the same transaction as the
rows that let signed bytes leave; then `Guard.advance` brings the guard up to it; only then do the bytes
leave. So a crash leaves the store ahead of the guard or equal to it, and a store behind its guard is an old
copy that somebody put back: the node must not sign before it has learnt from its peers what it had said. A
whole directory put back from a backup takes the guard with it: no local file can tell that.

The number is synced before a signature leaves. For a store-ack it is written, and synced with the next signature: the
end of the process loses nothing of it, and what a power cut takes, an ack is no signature.

The file holds two slots of a sector each. The one that was synced last is left alone: whatever a power cut does to the
other, it holds a number of before, which is what a crash a moment earlier would have left.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Final, Literal

from troth_node.storage.errors import GuardError
from troth_node.storage.files import create_file, overwrite, sync_data
from troth_node.storage.store import Store

__all__ = ["Guard", "GuardError", "compare"]

_NAME: Final = "guard"
_SLOT_BYTES: Final = 512
_SLOTS: Final = 2
_NUMBER: Final = re.compile(rb"troth-guard 2 (0|[1-9][0-9]{0,18}) ")


class Guard:
    """The guard file of a directory. `generation` is the number that stands in it."""

    def __init__(self, path: Path, descriptor: int, numbers: list[int]) -> None:
        """Not for callers: `create` and `open` make guards."""
        self._path = path
        self._descriptor = descriptor
        self._fault: str | None = None
        self._synced = numbers.index(max(numbers))
        self._is_synced = True
        self._is_inherited = True
        self.generation = max(numbers)

    @classmethod
    def create(cls, directory: Path) -> Guard:
        """A new guard at generation 0. Raises GuardError, also if there is one."""
        path = directory / _NAME
        try:
            create_file(path, _SLOTS * _encode(0))
        except OSError as error:
            raise GuardError(
                f"{path}: cannot be created ({error.strerror or error}); choose an empty directory"
            ) from error
        return cls.open(directory)

    @classmethod
    def open(cls, directory: Path) -> Guard:
        """Read the guard. Raises GuardError if it is missing or damaged."""
        path = directory / _NAME
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            data = os.pread(descriptor, _SLOTS * _SLOT_BYTES + 1, 0)
        except OSError as error:
            raise GuardError(
                f"{path}: cannot be read ({error.strerror}); start the node as restored"
            ) from error
        try:
            return cls(path, descriptor, _decode(path, data))
        except GuardError:
            os.close(descriptor)
            raise

    def close(self) -> None:
        """Let the file go; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._fault = f"{self._path}: the guard is closed"

    @classmethod
    def renew(cls, directory: Path) -> Guard:
        """Read the guard, or make a new one if there is none: for a node that is started as restored.

        Raises GuardError if it is damaged.
        """
        if not (directory / _NAME).exists():
            return cls.create(directory)
        return cls.open(directory)

    def advance(self, generation: int, *, synced: bool = True) -> None:
        """Raise the number and sync it, or leave that to the next call that does; a number that is there costs nothing.

        Raises GuardError if asked to go back, or if the disk fails: from then on at every call, as a second
        fsync that succeeds would prove nothing.
        """
        if self._fault is not None:
            raise GuardError(self._fault)
        if generation < self.generation:
            raise GuardError(
                f"{self._path}: cannot go from {self.generation} back to {generation}; start the node as restored"
            )
        if generation > self.generation or (synced and not self._is_synced):
            self._write(generation, synced=synced)

    def _write(self, generation: int, *, synced: bool) -> None:
        slot = (self._synced + 1) % _SLOTS
        try:
            if self._is_inherited:  # a process that was killed may have only written what was read here
                sync_data(self._path, self._descriptor)
                self._is_inherited = False
            place = slot * _SLOT_BYTES
            overwrite(self._path, self._descriptor, place, _encode(generation), synced=synced)
        except OSError as error:
            self._fault = (
                f"{self._path}: cannot be written ({error.strerror}); check the disk, then start again"
            )
            raise GuardError(self._fault) from error
        self.generation, self._is_synced = generation, synced
        if synced:
            self._synced = slot


def compare(store: Store, guard: Guard) -> Literal["ok", "store_behind"]:
    """Compare both at the start, and let a guard that a crash left behind catch up before anything is sent.

    `store_behind` means an old copy of the store: enter restore mode. Once that is on disk too, `store.apply(...,
    at_least=guard.generation)` makes the two agree again. Raises GuardError.
    """
    if store.generation < guard.generation:
        return "store_behind"
    guard.advance(store.generation)
    return "ok"


def _encode(generation: int) -> bytes:
    body = b"troth-guard 2 %d " % generation
    return (body + _checksum(body)).ljust(_SLOT_BYTES - 1) + b"\n"


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def _decode(path: Path, data: bytes) -> list[int]:
    """The number in each slot: every byte of both counts."""
    slots = [data[at : at + _SLOT_BYTES] for at in range(0, len(data), _SLOT_BYTES)]
    found = [_NUMBER.match(slot) for slot in slots]
    numbers = [int(match[1]) for match in found if match is not None]
    if len(numbers) != _SLOTS or [_encode(number) for number in numbers] != slots:
        raise GuardError(f"{path}: damaged; remove it and start the node as restored")
    return numbers
