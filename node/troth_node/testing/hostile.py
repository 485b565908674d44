"""Peers that say what they like: raw TCP, and a valid Noise handshake with hand-made Yamux frames on top.

An adversary is a subclass or a few calls: `RawPeer` for what comes before the encryption, `HostilePeer` for what an
authenticated peer may send. Neither keeps any rule on its own, not even reading what it is sent.
"""

from __future__ import annotations

from typing import Self

import trio

from troth_node.transport.address import parse_address
from troth_node.transport.noise import SealedSocket, SocketEnded, seal
from troth_node.transport.yamux import DATA, HEADER, SYN, WINDOW, Header

MULTISTREAM = b"/multistream/1.0.0"
NOISE = b"/noise"
YAMUX = b"/yamux/1.0.0"
TROTH = b"/troth/1"
REFUSED = b"na"
_ENDS = (trio.BrokenResourceError, trio.ClosedResourceError)


def line(text: bytes) -> bytes:
    """One multistream-select message: length (varint), text, newline."""
    size = len(text) + 1
    prefix = bytes([size]) if size < 0x80 else bytes([size & 0x7F | 0x80, size >> 7])
    return prefix + text + b"\n"


class RawPeer:
    """A TCP connection to a node, and multistream-select by hand."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream

    @classmethod
    async def dial(cls, address: str) -> Self:
        """Connect to a multiaddr."""
        target = parse_address(address)
        return cls(await trio.open_tcp_stream(target.host, target.port))

    async def write(self, data: bytes) -> None:
        """Send any bytes."""
        await self.stream.send_all(data)

    async def read(self, size: int) -> bytes:
        """Exactly `size` bytes, or fewer at the end of the connection."""
        data = b""
        while len(data) < size:
            try:
                more = await self.stream.receive_some(size - len(data))
            except _ENDS:
                more = b""
            if not more:
                break
            data += more
        return data

    async def say(self, text: bytes) -> None:
        """Send one line of multistream-select."""
        await self.write(line(text))

    async def hear(self) -> bytes:
        """The next line; b"" at the end of the connection."""
        size = await self.read(1)
        return (await self.read(size[0]))[:-1] if size else b""

    async def propose(self, protocol: bytes) -> bytes:
        """Propose a protocol as the initiator; returns the answer: the protocol, or REFUSED."""
        await self.say(MULTISTREAM)
        await self.say(protocol)
        await self.hear()
        return await self.hear()

    async def until_cut_off(self) -> None:
        """Read until the node ends the connection."""
        while await self.read(65_536):
            pass

    async def aclose(self) -> None:
        """End the connection."""
        await self.stream.aclose()


class HostilePeer(RawPeer):
    """An authenticated peer that builds its Yamux frames itself. Make one with `HostilePeer.enter`."""

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        self.sealed: SealedSocket | None = None
        self._next_number = 1

    @classmethod
    async def enter(cls, address: str, public: bytes, seed: bytes) -> Self:
        """Connect to the node `public` with the identity of `seed`, up to agreed Yamux."""
        peer = await cls.dial(address)
        await peer.propose(NOISE)
        peer.sealed = await seal(peer.stream, seed, public)
        await peer.propose(YAMUX)
        return peer

    async def write(self, data: bytes) -> None:
        """Send any bytes, encrypted once the handshake is done."""
        if self.sealed is None:
            await super().write(data)
        else:
            await self.sealed.write(data)

    async def read(self, size: int) -> bytes:
        """Exactly `size` bytes, decrypted, or fewer at the end of the connection."""
        if self.sealed is None:
            return await super().read(size)
        data = b""
        while len(data) < size:
            try:
                data += await self.sealed.read(size - len(data))
            except SocketEnded:
                break
        return data

    async def frame(self, kind: int, flags: int, number: int, value: int, body: bytes = b"") -> None:
        """Send one Yamux frame, sensible or not."""
        await self.write(HEADER.pack(0, kind, flags, number, value) + body)

    async def next_frame(self) -> tuple[Header, bytes] | None:
        """The next Yamux frame from the node, or None at the end of the connection."""
        raw = await self.read(HEADER.size)
        if len(raw) < HEADER.size:
            return None
        header = Header(*HEADER.unpack(raw))
        return header, await self.read(header.value) if header.kind == DATA else b""

    async def send(self, number: int, data: bytes) -> None:
        """Send bytes on a stream, whether it is open and the node has granted them or not."""
        await self.frame(DATA, 0, number, len(data), data)

    async def open(self, protocol: bytes = TROTH) -> int:
        """Open a stream and propose a protocol on it, without waiting for the answer; returns its number."""
        number = self._next_number
        self._next_number += 2
        await self.frame(WINDOW, SYN, number, 0)
        await self.send(number, line(MULTISTREAM) + line(protocol))
        return number

    async def receive(self, number: int, size: int) -> bytes:
        """The next `size` bytes at least that the node sends on a stream, or fewer at the end of the connection."""
        data = b""
        while len(data) < size and (frame := await self.next_frame()):
            if frame[0].kind == DATA and frame[0].stream == number:
                data += frame[1]
        return data

    async def open_link(self) -> int:
        """Open a stream of our protocol and wait until the node has agreed."""
        number = await self.open()
        await self.receive(number, len(line(MULTISTREAM) + line(TROTH)))
        return number
