"""One long-lived stream with one peer: one task reads, one writes, and both ends show each other that they live.

On the wire (protocol `/troth/1`) every frame is a four-byte big-endian length and that many bytes. Frames of two bytes
or more are payloads. A frame of one byte is a control frame: 0 is a heartbeat, sent once in every heartbeat's time
unless other frames wait to be sent, and never answered; 1 to 5 are a goodbye, the last frame of its sender
(1 leaving, 2 forgotten, 3 duplicate link, 4 full, 5 refused). Any other single byte is refused. Whoever receives a
goodbye closes the connection; whoever hears nothing at all for two heartbeats' time does too, and so does whoever
meets a bad length. An end without a goodbye is a crash.

No time limit is ever put on a read or a write: giving up on a peer means closing its socket.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from troth_node.transport.budget import Bucket
from troth_node.transport.events import Goodbye, PeerStats
from troth_node.transport.settings import Settings
from troth_protocol.wire.framing import FrameReader, frame

WRITE_BYTES: Final = 60_000
HEARTBEAT: Final = b"\x00"
PAYLOAD_MIN_BYTES: Final = 2
_GOODBYES: Final = frozenset(int(goodbye) for goodbye in Goodbye)


class Pipe(Protocol):
    """What a link runs on: bytes in both directions with one authenticated peer."""

    @property
    def peer(self) -> bytes:
        """Public key of the other end."""

    @property
    def is_dialled(self) -> bool:
        """True if this end opened it."""

    async def read(self) -> bytes:
        """At least one byte; b"" at the end."""

    async def write(self, data: bytes) -> None:
        """Send all of `data`; trio.BrokenResourceError once the pipe has ended."""

    def write_now(self, data: bytes) -> bool:
        """Send all of `data` without waiting; False, and nothing is sent, if something is in the way."""

    def divert(self, sink: Callable[[bytes], bool]) -> None:
        """Offer what arrives to `sink` first, which must not wait; what it does not take is there to be read."""

    def abort(self) -> None:
        """End it now, and wake whoever reads or writes."""


def _decline(_payloads: list[bytes]) -> bool:
    return False


class Link:
    """Frames to and from one peer, from `run` until it returns why it ended."""

    def __init__(
        self,
        pipe: Pipe,
        settings: Settings,
        stats: PeerStats,
        deliver: Callable[[bytes], Awaitable[None]],
        deliver_now: Callable[[list[bytes]], bool] = _decline,
    ) -> None:
        self.ended = trio.Event()  # for the owner, who sets it
        self.is_dialled = pipe.is_dialled
        self.peer = pipe.peer
        self._pipe = pipe
        self._settings = settings
        self._stats = stats
        self._deliver = deliver
        self._deliver_now = deliver_now
        self._reader = FrameReader()
        self._reason: str | None = None
        self._scope = trio.CancelScope()
        self._closing = trio.Event()
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
        self._wake = trio.Event()
        self._is_writing = False
        self._full_since = math.inf
        self._taken_bytes = 0  # since then
        now = trio.current_time()
        self._heard_at = now
        self._is_listening = True
        self._bytes = Bucket(settings.inbound_bytes_per_s, now)
        self._frames = Bucket(settings.inbound_frames_per_s, now)

    def send(self, payload: bytes, *, is_corked: bool = False) -> bool:
        """Queue a payload of 2 bytes or more; False if the link is ending or its outbox is full. Never waits.

        Whoever sends it `is_corked` calls `flush` when all is said.

        Raises ValueError for a shorter payload and Invalid("frame_too_large") for one that is too long.
        """
        if len(payload) < PAYLOAD_MIN_BYTES:
            raise ValueError("a payload has at least two bytes: frames of one byte are control frames")
        data = frame(payload)
        if self._reason is not None or self._outbox_bytes + len(data) > self._settings.outbox_bytes:
            self._stats.dropped += 1
            self._note_full()
            return False
        self._stats.frames_out += 1
        self._queue(data, is_corked=is_corked)
        return True

    def flush(self) -> None:
        """Send what is queued: at once, without waking the writer, if nothing is in the way."""
        if not self._outbox:
            return
        data = b"".join(self._outbox)
        if self._is_writing or len(data) > WRITE_BYTES or not self._pipe.write_now(data):
            self._wake.set()
            return
        self._outbox.clear()
        self._note_written(len(data))

    def close(self, goodbye: Goodbye, reason: str) -> None:
        """Say goodbye and end; `run` returns `reason` once the peer has hung up, or soon after if it does not."""
        if self._reason is None:
            self._reason = reason
            self._queue(frame(bytes([goodbye])))
            self._closing.set()

    async def run(self) -> str:
        """Serve the link to its end, and return why it ended: see `LinkDown`."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                for task in (self._read, self._write, self._watch, self._linger):
                    nursery.start_soon(task)
        return self._reason or ""

    def _finish(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
        self._pipe.abort()  # before the cancellation: a write that waits for its socket cannot be cancelled
        self._scope.cancel()

    def _queue(self, data: bytes, *, is_corked: bool = False) -> None:
        self._outbox.append(data)
        self._outbox_bytes += len(data)
        if not is_corked:
            self._wake.set()

    async def _read(self) -> None:
        self._pipe.divert(self._take_now)
        while data := await self._pipe.read():
            self._heard_at = trio.current_time()
            self._stats.bytes_in += len(data)
            if not self._reader.broken:
                self._is_listening = False  # the peer is not silent while it is we who do not read
                await self._take(self._reader.feed(data), len(data))
                self._is_listening = True
                self._heard_at = trio.current_time()
            if self._reader.broken:
                self.close(Goodbye.REFUSED, f"refused: {self._reader.broken.code}")
        self._finish("vanished")

    def _take_now(self, data: bytes) -> bool:
        """Take a little that arrived without waking the reader, if it need not wait for anything; else False.

        A goodbye, and all that is wrong, is the reader's business.
        """
        payloads = self._reader.peek(data)
        now = trio.current_time()
        if payloads is None or self._reason is not None or not self._is_listening:
            return False
        if (
            min(map(len, payloads)) < PAYLOAD_MIN_BYTES
            or not self._bytes.has(len(data), now)
            or not self._frames.has(len(payloads), now)
        ):
            return False
        if not self._deliver_now(payloads):
            return False
        self._bytes.take(len(data), now)
        self._frames.take(len(payloads), now)
        self._heard_at = now
        self._stats.bytes_in += len(data)
        self._stats.frames_in += len(payloads)
        return True

    async def _take(self, payloads: list[bytes], size: int) -> None:
        await self._pace(size, len(payloads))
        for payload in payloads:
            if len(payload) < PAYLOAD_MIN_BYTES:
                self._control(payload[0])
            elif self._reason is None:  # after our own goodbye only the peer's is of interest
                self._stats.frames_in += 1
                await self._deliver(payload)

    async def _pace(self, size: int, frames: int) -> None:
        now = trio.current_time()
        delay = max(self._bytes.take(size, now), self._frames.take(frames, now))
        if delay:
            await trio.sleep(delay)

    def _control(self, byte: int) -> None:
        if byte in _GOODBYES:
            self._finish(f"peer said {Goodbye(byte).name.lower()}")
        elif byte != HEARTBEAT[0]:
            self.close(Goodbye.REFUSED, "refused: unknown control frame")

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                self._is_writing = True
                data = memoryview(b"".join(self._outbox))
                self._outbox.clear()
                for start in range(0, len(data), WRITE_BYTES):
                    await self._write_some(bytes(data[start : start + WRITE_BYTES]))
                self._is_writing = False
        except trio.BrokenResourceError:
            pass  # the reader may still find a goodbye in what had arrived before the end

    async def _write_some(self, data: bytes) -> None:
        await self._pipe.write(data)
        self._note_written(len(data))

    def _note_written(self, size: int) -> None:
        self._stats.bytes_out += size
        self._outbox_bytes -= size
        self._taken_bytes += size
        limit = self._settings.outbox_bytes
        if self._outbox_bytes <= limit // 2 or self._taken_bytes >= limit:
            self._full_since = (
                math.inf
            )  # it keeps up, or it takes a whole outbox and is only given more than that

    def _note_full(self) -> None:
        if self._full_since == math.inf:
            self._full_since = trio.current_time()
            self._taken_bytes = 0

    async def _watch(self) -> None:
        """Send heartbeats, and end the link when the peer shows no life or takes nothing."""
        period = self._settings.heartbeat_s
        next_beat = trio.current_time() + period
        while True:
            due = min(next_beat, self._silent_at, self._stalled_at)
            await trio.sleep_until(due)
            now = trio.current_time()
            if now - due > period / 2:
                self._heard_at = now  # it was this process that slept: judge the peer afresh
            if now >= self._silent_at:
                self._finish("silent")
            elif now >= self._stalled_at:
                self._finish("outbox_full")
            elif now >= next_beat:
                next_beat = now + period
                self._beat()

    def _beat(self) -> None:
        if not self._outbox_bytes and self._reason is None:
            self._queue(frame(HEARTBEAT))

    @property
    def _silent_at(self) -> float:
        return self._heard_at + 2 * self._settings.heartbeat_s if self._is_listening else math.inf

    @property
    def _stalled_at(self) -> float:
        return self._full_since + self._settings.stall_s

    async def _linger(self) -> None:
        """After our goodbye the peer hangs up, which ends the reader; a peer that does not is cut off."""
        try:
            await self._closing.wait()
            await trio.sleep(self._settings.linger_s)
        finally:
            self._finish("leaving")  # also when cancelled, or a write that hangs would keep `run` from ending


async def refuse(pipe: Pipe, goodbye: Goodbye, settings: Settings) -> None:
    """Say goodbye on a pipe that never becomes a link, and close it."""
    link = Link(pipe, settings, PeerStats(), _drop)
    link.close(goodbye, goodbye.name.lower())
    await link.run()


async def _drop(_payload: bytes) -> None:
    """Nobody waits for what a refused peer sends."""
