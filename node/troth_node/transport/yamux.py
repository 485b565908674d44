"""Yamux streams over a sealed socket, with bounded memory: a peer that sends more than it was granted is cut off.

The library's session is replaced because a remote peer can harm it: it buffers whatever comes, granted or not; it
gives a paused reader's writer up after five seconds; its reading loop writes, so two busy ends can block each other
for ever; it throws away what had arrived when the connection ended; a local reset leaves the local reader asleep.
Here reading never waits for writing: what the loop must answer is posted, and a second task sends the posts.

Format: https://github.com/hashicorp/yamux/blob/master/spec.md. A header is version (0), kind, flags, stream, value.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import UnsupportedOperation
from types import TracebackType
from typing import Final, NamedTuple, Self, cast

import trio
from libp2p.abc import IMuxedConn, IMuxedStream, ISecureConn
from libp2p.connection_types import ConnectionType
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import (
    MuxedConnUnavailable,
    MuxedStreamClosed,
    MuxedStreamEOF,
    MuxedStreamReset,
)
from multiaddr import Multiaddr

from troth_node.transport.noise import PACKET_PLAIN_BYTES, SealedSocket, SocketEnded

HEADER: Final = struct.Struct("!BBHII")
DATA, WINDOW, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
WINDOW_BYTES: Final = 256 * 1024
CHUNK_BYTES: Final = PACKET_PLAIN_BYTES - HEADER.size
MAX_INBOUND_STREAMS: Final = 8
MAX_POSTS: Final = 1024


class Violation(Exception):
    """The peer broke the rules of the format: the connection ends."""


class Header(NamedTuple):
    """One frame's header; `value` is a length, an increment, a ping's number or a reason."""

    version: int
    kind: int
    flags: int
    stream: int
    value: int


class Stream(IMuxedStream):
    """One stream. Any call may be cancelled without harm to the connection."""

    def __init__(self, session: Session, number: int) -> None:
        self.muxed_conn = session
        self.number = number
        self._session = session
        self._buffer = bytearray()
        self._credit = WINDOW_BYTES  # what we may still send
        self._granted = WINDOW_BYTES  # what the peer may still send
        self._owed = 0  # what was read since we last granted
        self._is_reset = self._fin_sent = self._fin_received = False
        self._changed = trio.lowlevel.ParkingLot()
        self._sink: Callable[[bytes], bool] | None = None

    async def read(self, n: int | None = None) -> bytes:
        """Between 1 and `n` bytes (None or negative: all there is). MuxedStreamEOF or MuxedStreamReset at the end."""
        if self._buffer:
            await trio.lowlevel.checkpoint()  # to wait is one, too
        while not self._buffer:
            if self._is_reset:
                raise MuxedStreamReset("the stream was reset")
            if self._fin_received or self._session.is_closed:
                raise MuxedStreamEOF("the stream has ended")
            await self._changed.park()
        size = len(self._buffer) if n is None or n < 0 else n
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._grant(len(data))
        return data

    async def write(self, data: bytes) -> None:
        """Send `data`, waiting for the peer's window without limit of time. MuxedStreamClosed if it cannot be sent."""
        rest = memoryview(data)
        while rest:
            while not self._credit and not self._is_write_closed:
                await self._changed.park()
            if self._is_write_closed:
                raise MuxedStreamClosed("the stream is closed for writing")
            size = min(len(rest), self._credit, CHUNK_BYTES)
            self._credit -= size
            await self._session.send(HEADER.pack(0, DATA, 0, self.number, size) + rest[:size])
            rest = rest[size:]

    def write_now(self, data: bytes) -> bool:
        """Send `data` without waiting; False, and nothing is sent, if something is in the way."""
        size = len(data)
        if self._is_write_closed or size > min(self._credit, CHUNK_BYTES):
            return False
        if not self._session.send_now(HEADER.pack(0, DATA, 0, self.number, size) + data):
            return False
        self._credit -= size
        return True

    def divert(self, sink: Callable[[bytes], bool]) -> None:
        """Offer what arrives to `sink` first, which must not wait; what it does not take is there to be read."""
        self._sink = sink

    async def close(self) -> None:
        """Say that nothing more will be written; reading goes on."""
        await trio.lowlevel.checkpoint()
        if not self._is_write_closed:
            self._fin_sent = True
            self._session.post(WINDOW, FIN, self.number, 0)
            self._settle()

    async def reset(self) -> None:
        """End both directions; whoever waits in this stream wakes up."""
        await trio.lowlevel.checkpoint()
        if not self._is_reset:
            self._is_reset = True
            self._session.post(WINDOW, RST, self.number, 0)
            self._settle()

    def set_deadline(self, ttl: int) -> None:
        """Part of the library's interface, which asks for ValueError where it cannot be: Yamux has no deadlines."""
        raise UnsupportedOperation("a Yamux stream has no deadline: bound the wait with a cancel scope")

    def get_remote_address(self) -> tuple[str, int] | None:
        """Host and port of the other end."""
        return self._session.get_remote_address()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def take(self, header: Header, body: bytes) -> None:
        """Apply a frame from the peer. Violation if it sent more than it was granted."""
        if header.kind == WINDOW:
            self._credit += header.value
        elif len(body) > self._granted:
            raise Violation(f"{len(body)} bytes on stream {self.number}, {self._granted} were granted")
        else:
            self._granted -= len(body)
            if self._sink is not None and body and not self._buffer and self._sink(body):
                self._grant(len(body))
                if not header.flags:
                    return  # there is nothing for whoever waits in this stream
            else:
                self._buffer += body
        self._fin_received |= bool(header.flags & FIN)
        self._is_reset |= bool(header.flags & RST)
        self._settle()

    def wake(self) -> None:
        """Let everybody who waits look again."""
        self._changed.unpark_all()

    @property
    def _is_write_closed(self) -> bool:
        return self._is_reset or self._fin_sent or self._session.is_closed

    def _grant(self, size: int) -> None:
        self._owed += size
        if self._owed >= WINDOW_BYTES // 2 and not self._fin_received:
            self._session.post(WINDOW, 0, self.number, self._owed)
            self._granted += self._owed
            self._owed = 0

    def _settle(self) -> None:
        if self._is_reset or (self._fin_sent and self._fin_received):
            self._session.streams.pop(self.number, None)
        self.wake()


class Session(IMuxedConn):
    """The streams of one connection. `start` runs until the connection ends and never raises."""

    def __init__(self, conn: ISecureConn, peer_id: ID) -> None:
        self.peer_id = peer_id
        self.secured_conn = cast(SealedSocket, conn)  # the only security that a host offers
        self.event_started = trio.Event()
        self.event_closed = trio.Event()
        self.claimed = trio.Event()
        self.streams: dict[int, Stream] = {}
        self._next_number = 1 if self.is_initiator else 2
        self._inbox = bytearray()
        self._posts: list[bytes] = []
        self._posted = trio.Event()
        self._offer, self._offered = trio.open_memory_channel[Stream](MAX_INBOUND_STREAMS)

    async def start(self) -> None:
        """Receive until the connection ends, for whatever reason."""
        self.event_started.set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_posts)
            await self._receive_all()
            nursery.cancel_scope.cancel()

    def abort(self) -> None:
        """End the connection now: the socket is closed, every waiting task wakes up. What had arrived can be read."""
        if not self.event_closed.is_set():
            self.event_closed.set()
            self.claimed.set()
            self.secured_conn.abort()
            self._offer.close()
            for stream in self.streams.values():
                stream.wake()

    async def close(self) -> None:
        """`abort`, for the library."""
        self.abort()
        await trio.lowlevel.checkpoint()

    async def open_stream(self) -> Stream:
        """A new stream; the peer has not agreed to it yet. MuxedStreamClosed if the connection has ended."""
        stream = Stream(self, self._next_number)
        self._next_number += 2
        self.streams[stream.number] = stream
        await self.send(HEADER.pack(0, WINDOW, SYN, stream.number, 0))
        return stream

    async def accept_stream(self) -> Stream:
        """The next stream that the peer opens. MuxedConnUnavailable once the connection has ended."""
        try:
            return await self._offered.receive()
        except trio.EndOfChannel:
            raise MuxedConnUnavailable("the connection has ended") from None

    async def send(self, frame: bytes) -> None:
        """Send one frame whole; cannot be cancelled, ends when the connection does. MuxedStreamClosed then."""
        try:
            await self.secured_conn.write(frame)
        except SocketEnded as error:
            raise MuxedStreamClosed(str(error)) from error

    def send_now(self, frame: bytes) -> bool:
        """Send one frame without waiting; False, and nothing is sent, if something is in the way."""
        is_sent = self.secured_conn.write_now(frame)
        if self.secured_conn.is_clogged:
            self._posted.set()  # which writes the rest
        return is_sent

    def post(self, kind: int, flags: int, stream: int, value: int) -> None:
        """Send a frame without a body when the socket next has room. A peer that lets them pile up is cut off."""
        if len(self._posts) >= MAX_POSTS:
            self.abort()
        if not self.is_closed:
            self._posts.append(HEADER.pack(0, kind, flags, stream, value))
            self._posted.set()

    @property
    def is_initiator(self) -> bool:
        """True if this end dialled."""
        return self.secured_conn.is_initiator

    @property
    def is_established(self) -> bool:
        """True from the start to the end."""
        return self.event_started.is_set() and not self.is_closed

    @property
    def is_closed(self) -> bool:
        """True once the connection has ended."""
        return self.event_closed.is_set()

    def get_remote_address(self) -> tuple[str, int] | None:
        """Host and port of the other end."""
        return self.secured_conn.get_remote_address()

    def get_transport_addresses(self) -> list[Multiaddr]:
        """The same as a multiaddr."""
        return self.secured_conn.get_transport_addresses()

    def get_connection_type(self) -> ConnectionType:
        """Always direct: no relays."""
        return self.secured_conn.get_connection_type()

    def feed(self, data: bytes) -> None:
        """Apply what arrived, however it was cut. Violation on what the format forbids."""
        self._inbox += data
        start = 0
        while len(self._inbox) - start >= HEADER.size:
            header = _checked(Header(*HEADER.unpack_from(self._inbox, start)))
            body = start + HEADER.size
            end = body + (header.value if header.kind == DATA else 0)
            if len(self._inbox) < end:
                break
            _HANDLERS[header.kind](self, header, bytes(self._inbox[body:end]))
            start = end
        del self._inbox[:start]

    async def _receive_all(self) -> None:
        try:
            while not self.is_closed:
                self.feed(await self.secured_conn.read())
        except Exception:  # noqa: BLE001, S110 - a bad packet, a bad frame, the end: they end this connection only
            pass
        finally:
            self.abort()  # also when cancelled, or a write that hangs would keep `start` from ending

    async def _send_posts(self) -> None:
        try:
            while True:
                await self._posted.wait()
                self._posted = trio.Event()
                frames, self._posts = b"".join(self._posts), []
                await self.secured_conn.write(frames)
        except SocketEnded:
            self.abort()

    def _on_stream_frame(self, header: Header, body: bytes) -> None:
        if header.flags & SYN:
            self._on_new_stream(header.stream)
        stream = self.streams.get(header.stream)
        if stream is not None:  # frames of a stream that we have just ended are late, not wrong
            stream.take(header, body)

    def _on_new_stream(self, number: int) -> None:
        if number in self.streams or number % 2 != (0 if self.is_initiator else 1) or number == 0:
            raise Violation(f"stream {number} cannot be opened")
        inbound = sum(1 for taken in self.streams if taken % 2 == number % 2)
        unaccepted = self._offer.statistics().current_buffer_used
        if max(inbound, unaccepted) >= MAX_INBOUND_STREAMS:
            self.post(WINDOW, RST, number, 0)
            return
        self.streams[number] = Stream(self, number)
        self._offer.send_nowait(self.streams[number])
        self.post(WINDOW, ACK, number, 0)

    def _on_ping(self, header: Header, _body: bytes) -> None:
        if header.flags & SYN:
            self.post(PING, ACK, 0, header.value)

    def _on_go_away(self, _header: Header, _body: bytes) -> None:
        """Nothing to do: no stream is opened on an old connection, and the peer will close it."""


def _checked(header: Header) -> Header:
    if header.version != 0 or header.kind > GO_AWAY:
        raise Violation(f"version {header.version}, kind {header.kind}")
    if header.kind == DATA and header.value > WINDOW_BYTES:
        raise Violation(f"{header.value} bytes at once")
    return header


_HANDLERS: Final[tuple[Callable[[Session, Header, bytes], None], ...]] = (
    Session._on_stream_frame,  # noqa: SLF001 - the table of frame kinds
    Session._on_stream_frame,  # noqa: SLF001
    Session._on_ping,  # noqa: SLF001
    Session._on_go_away,  # noqa: SLF001
)
