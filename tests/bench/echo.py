"""The raw py-libp2p echo: a stock host, one long-lived stream, frames of four bytes of length and a body.

This is what the transport alone costs, so that the settlement can be read beside it.
"""

from __future__ import annotations

import json
import logging
import socket
import struct
import time
from collections import deque
from typing import Final

import trio
from libp2p import new_host
from libp2p.abc import IHost, INetStream
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.peerinfo import info_from_p2p_addr
from multiaddr import Multiaddr
from processes import Child, Line, reply

from troth_protocol.wire.crypto import digest

PROTOCOL: Final = "/echo/1"
READ_BYTES: Final = 65_536
WRITE_BYTES: Final = 60_000
HEADER: Final = struct.Struct(">I")
#: The first byte of a body tells the other end how to answer: each frame by a write of its own, or all in one.
SINGLE, JOINED = b"s", b"j"


class Frames:
    """Cuts what arrives into frames."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Whole frames, header included."""
        self._buffer += data
        frames, at = [], 0
        while len(self._buffer) - at >= HEADER.size:
            end = at + HEADER.size + HEADER.unpack_from(self._buffer, at)[0]
            if end > len(self._buffer):
                break
            frames.append(self._buffer[at:end])
            at = end
        self._buffer = self._buffer[at:]
        return frames


async def _write(stream: INetStream, frames: list[bytes]) -> None:
    if frames[0][HEADER.size :].startswith(SINGLE):
        for frame in frames:
            await stream.write(frame)
        return
    data = b"".join(frames)
    for at in range(0, len(data), WRITE_BYTES):
        await stream.write(data[at : at + WRITE_BYTES])


async def _answer(stream: INetStream) -> None:
    reader = Frames()
    try:
        while True:
            frames = reader.feed(await stream.read(READ_BYTES))
            if frames:
                await _write(stream, frames)
    except (EOFError, StreamError):
        await stream.reset()


def serve_echo(control: socket.socket) -> None:
    """The main function of the answering process."""
    trio.run(_serve, control)


async def _serve(control: socket.socket) -> None:
    host = _make_host(b"server")
    async with host.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        host.set_stream_handler(PROTOCOL, _answer)
        reply(control, {"address": str(host.get_addrs()[0])})
        await _wait_for_end(control)


def _make_host(name: bytes) -> IHost:
    logging.getLogger("libp2p").setLevel(logging.CRITICAL + 1)
    return new_host(key_pair=create_new_key_pair(digest(b"troth bench echo " + name)))


async def _wait_for_end(control: socket.socket) -> None:
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(control.dup()))
    async for _ in stream:
        pass


def serve_caller(address: str, control: socket.socket) -> None:
    """The main function of the calling process."""
    trio.run(_call, address, control)


async def _call(address: str, control: socket.socket) -> None:
    host = _make_host(b"caller")
    async with host.run([]):
        info = info_from_p2p_addr(Multiaddr(address))
        await host.connect(info)
        caller = Caller(await host.new_stream(info.peer_id, [PROTOCOL]))
        reply(control, {})
        async for data in trio.SocketStream(trio.socket.from_stdlib_socket(control.dup())):
            for line in data.splitlines():
                order = json.loads(line)
                reply(control, await getattr(caller, f"do_{order.pop('do')}")(**order))


class Caller:
    """Sends frames and waits for them to come back."""

    def __init__(self, stream: INetStream) -> None:
        self._stream = stream
        self._reader = Frames()

    async def do_single(self, count: int, size: int) -> Line:
        """One frame under way at a time: round trips in milliseconds."""
        frame, took = _frame(SINGLE, size), []
        for _ in range(count):
            began = time.perf_counter()
            await self._stream.write(frame)
            while not self._reader.feed(await self._stream.read(READ_BYTES)):
                pass
            took.append(round((time.perf_counter() - began) * 1e3, 4))
        return {"latencies_ms": took}

    async def do_many(self, in_flight: int, size: int, seconds: float, *, is_joined: bool) -> Line:
        """So many frames under way all the time: round trips per second."""
        frame = _frame(JOINED if is_joined else SINGLE, size)
        began = time.perf_counter()
        sent: deque[float] = deque()
        done = 0
        await self._send(frame, in_flight, sent)
        while time.perf_counter() - began < seconds:
            back = len(self._reader.feed(await self._stream.read(READ_BYTES)))
            done += back
            if back:
                await self._send(frame, back, sent)
        rate = done / (time.perf_counter() - began)
        await self._drain(in_flight)
        return {"per_s": round(rate, 1)}

    async def _send(self, frame: bytes, count: int, sent: deque[float]) -> None:
        await _write(self._stream, [frame] * count)

    async def _drain(self, frames: int) -> None:
        while frames > 0:
            frames -= len(self._reader.feed(await self._stream.read(READ_BYTES)))


def _frame(mode: bytes, size: int) -> bytes:
    return HEADER.pack(size) + mode + b"x" * (size - 1)


def start_echo() -> tuple[Child, Child]:
    """Both ends, linked: who answers, and who calls."""
    server = Child("echo server", serve_echo)
    address = str(server.hear()["address"])
    caller = Child("echo caller", lambda control: serve_caller(address, control))
    caller.hear()
    return server, caller
