"""Two ends of a pipe in memory, for links without sockets: what one end writes, the other reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

LEFT: Final = b"L" * 32
RIGHT: Final = b"R" * 32


class MemoryPipe:
    """One end. `writes` lists the sizes of its writes; `is_frozen` makes the other end's writes wait for ever.

    If it `is_quick`, it takes writes that do not wait, and hands what arrives to whoever wants it at once.
    """

    def __init__(self, peer: bytes, *, is_dialled: bool) -> None:
        self.peer = peer
        self.is_dialled = is_dialled
        self.is_frozen = False
        self.is_quick = False
        self.is_ended = False
        self.writes: list[int] = []
        self.other = self
        self._arrived = bytearray()
        self._changed = trio.lowlevel.ParkingLot()
        self._sink: Callable[[bytes], bool] | None = None

    async def read(self) -> bytes:
        """What has arrived, at least one byte; b"" at the end."""
        await trio.lowlevel.checkpoint()
        while not self._arrived and not self.is_ended:
            await self._changed.park()
        data = bytes(self._arrived)
        self._arrived.clear()
        return data

    def write_now(self, data: bytes) -> bool:
        """Hand `data` to the other end without waiting, if this one is quick and the other not frozen."""
        if not self.is_quick or self.other.is_frozen or self.is_ended:
            return False
        self.writes.append(len(data))
        self.say(data)
        return True

    def divert(self, sink: Callable[[bytes], bool]) -> None:
        """Offer what arrives to `sink` first, if this end is quick."""
        self._sink = sink

    async def write(self, data: bytes) -> None:
        """Hand `data` to the other end; trio.BrokenResourceError once the pipe has ended."""
        await trio.lowlevel.checkpoint()
        while self.other.is_frozen and not self.is_ended:
            await self._changed.park()
        if self.is_ended:
            raise trio.BrokenResourceError
        self.writes.append(len(data))
        self.say(data)

    def say(self, data: bytes) -> None:
        """Hand `data` to the other end at once, frozen or not."""
        self.other.arrive(data)

    def arrive(self, data: bytes) -> None:
        """Let this end find `data`."""
        if self.is_quick and not self._arrived and self._sink is not None and self._sink(data):
            return
        self._arrived += data
        self.wake()

    def wake(self) -> None:
        """Let everybody who waits at this end look again."""
        self._changed.unpark_all()

    def abort(self) -> None:
        """End the pipe at both ends; what has arrived can still be read."""
        for end in (self, self.other):
            end.is_ended = True
            end.wake()


def memory_pipes() -> tuple[MemoryPipe, MemoryPipe]:
    """A pipe that LEFT dialled to RIGHT: the end that LEFT holds, and RIGHT's."""
    left, right = MemoryPipe(RIGHT, is_dialled=True), MemoryPipe(LEFT, is_dialled=False)
    left.other, right.other = right, left
    return left, right
