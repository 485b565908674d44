"""Sealed sockets: libp2p's Noise handshake, then our own reading and writing of the packets.

After the handshake the library's session reads each packet in two calls and lets a cancelled write consume a nonce
without sending the packet, which ends the connection at the other side. Here reads are buffered and a write that has
begun cannot be cancelled: only `abort`, which closes the socket, stops it.
"""

from __future__ import annotations

import os
import socket
from typing import Final, cast

import trio
from libp2p.abc import IRawConnection, ISecureConn
from libp2p.connection_types import ConnectionType
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_x25519_key_pair
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.security.base_session import BaseSession
from libp2p.security.exceptions import HandshakeFailure
from libp2p.security.noise.io import NoiseTransportReadWriter
from libp2p.security.noise.transport import Transport
from libp2p.security.secure_session import SecureSession
from multiaddr import Multiaddr

from troth_node.transport.address import peer_id_bytes

READ_BYTES: Final = 128 * 1024
PACKET_PLAIN_BYTES: Final = 65_535 - 16
SEED_BYTES: Final = 32
KEEPALIVE_IDLE_S: Final = 10
KEEPALIVE_INTERVAL_S: Final = 5
KEEPALIVE_PROBES: Final = 3


class SocketEnded(ConnectionClosedError):
    """The connection has ended, whoever ended it and however."""


class SealedSocket(BaseSession):
    """An authenticated, encrypted byte stream over one TCP socket. One reader at a time, any number of writers."""

    def __init__(self, session: SecureSession, stream: trio.SocketStream, room: memoryview) -> None:
        """`room` is where bytes arrive; other sockets may use it too, for it is empty whenever another task runs."""
        super().__init__(
            local_peer=session.local_peer,
            local_private_key=session.local_private_key,
            remote_peer=session.remote_peer,
            remote_permanent_pubkey=session.remote_permanent_pubkey,
            is_initiator=session.is_initiator,
        )
        self._session = session
        # The handshake always ends with this reader-writer; the session declares only its base class.
        self._noise = cast(NoiseTransportReadWriter, session.conn).noise_state
        self._stream = stream
        self._room = room
        self._sealed = bytearray()
        self._plain = bytearray()
        self._turn = trio.Lock()
        self._unsent = b""

    async def read(self, n: int | None = None) -> bytes:
        """Between 1 and `n` bytes (None: all that has arrived). SocketEnded at the end, however it came."""
        while not self._plain:
            await self._fill()
        plain = bytes(self._plain[:n])
        del self._plain[:n]
        return plain

    async def write(self, data: bytes) -> None:
        """Send `data` whole; cannot be cancelled. SocketEnded once the socket is closed."""
        with trio.CancelScope(shield=True):
            if self._turn.locked():
                await self._turn.acquire()
            else:
                self._turn.acquire_nowait()
            try:
                await self._send(self._seal(data))
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise SocketEnded(str(error)) from error
            finally:
                self._turn.release()

    def write_now(self, data: bytes) -> bool:
        """Send `data` without waiting, unless others are sending or the socket has ended: False, and nothing is sent.

        What the socket does not take at once leaves with the next `write`, which the caller owes if `is_clogged`.
        """
        if self._turn.locked() or self._unsent:
            return False
        packets = self._seal(data)
        try:
            self._unsent = packets[self._put(packets) :]
        except OSError:
            self.abort()
        return True

    @property
    def is_clogged(self) -> bool:
        """True if the socket has not taken all that `write_now` gave it."""
        return bool(self._unsent)

    async def _send(self, packets: bytes) -> None:
        """Nearly always the socket takes all of it at once, and nobody needs to be scheduled again."""
        packets, self._unsent = self._unsent + packets, b""
        sent = self._put(packets)
        if sent < len(packets):
            await self._stream.send_all(memoryview(packets)[sent:])

    def _put(self, packets: bytes) -> int:
        """How many of these bytes the socket takes now. OSError once it is closed."""
        try:
            return os.write(self._stream.socket.fileno(), packets)
        except BlockingIOError:
            return 0

    def abort(self) -> None:
        """Close the socket now; tasks that read or write wake up with SocketEnded."""
        self._stream.socket.close()

    async def close(self) -> None:
        """`abort`, for the library."""
        self.abort()
        await trio.lowlevel.checkpoint()

    def get_remote_address(self) -> tuple[str, int] | None:
        """Host and port of the other end."""
        return self._session.get_remote_address()

    def get_transport_addresses(self) -> list[Multiaddr]:
        """The same as a multiaddr."""
        return self._session.get_transport_addresses()

    def get_connection_type(self) -> ConnectionType:
        """Always direct: no relays."""
        return self._session.get_connection_type()

    async def _fill(self) -> None:
        """Wait first: between two frames there is nearly never anything to read, and asking would cost a call."""
        descriptor = self._stream.socket.fileno()
        if descriptor < 0:
            raise SocketEnded("closed")
        try:
            await trio.lowlevel.wait_readable(descriptor)
            size = self._get()
        except (OSError, trio.ClosedResourceError) as error:
            raise SocketEnded(str(error)) from error
        self._sealed += self._room[:size]
        self._open_packets()

    def _get(self) -> int:
        """How many bytes have come into `_room`, perhaps none. SocketEnded at the end, OSError once it is closed: by
        now the number that was waited for may be another socket's.
        """
        try:
            size = os.readv(self._stream.socket.fileno(), [self._room])
        except BlockingIOError:
            return 0
        if not size:
            raise SocketEnded("end of stream")
        return size

    def _open_packets(self) -> None:
        sealed, start = self._sealed, 0
        while len(sealed) - start >= 2:
            end = start + 2 + int.from_bytes(sealed[start : start + 2], "big")
            if len(sealed) < end:
                break
            self._plain += self._noise.decrypt(bytes(sealed[start + 2 : end]))
            start = end
        del sealed[:start]

    def _seal(self, data: bytes) -> bytes:
        packets: list[bytes] = []
        for start in range(0, len(data), PACKET_PLAIN_BYTES):
            packet = self._noise.encrypt(data[start : start + PACKET_PLAIN_BYTES])
            packets += (len(packet).to_bytes(2, "big"), packet)
        return b"".join(packets)


class Noise(Transport):
    """libp2p's Noise (XX, Ed25519 identities) that hands out sealed sockets and sets the socket's options first."""

    def __init__(self, keys: KeyPair, tcp_user_timeout_ms: int) -> None:
        super().__init__(keys, create_new_x25519_key_pair().private_key)
        self._tcp_user_timeout_ms = tcp_user_timeout_ms
        self._room = memoryview(bytearray(READ_BYTES))

    async def secure_inbound(self, conn: IRawConnection) -> ISecureConn:
        """Be the responder of the handshake on `conn`."""
        stream = self._prepared(conn)
        session = cast(SecureSession, await super().secure_inbound(conn))
        return SealedSocket(session, stream, self._room)

    async def secure_outbound(self, conn: IRawConnection, peer_id: ID) -> ISecureConn:
        """Be the initiator; PeerIDMismatchesPubkey if somebody other than `peer_id` answers."""
        stream = self._prepared(conn)
        session = cast(SecureSession, await super().secure_outbound(conn, peer_id))
        return SealedSocket(session, stream, self._room)

    def _prepared(self, conn: IRawConnection) -> trio.SocketStream:
        if not isinstance(conn, RawConnection) or not isinstance(conn.stream, TrioTCPStream):
            raise HandshakeFailure("only plain TCP connections are secured")
        _set_options(conn.stream.stream.socket, self._tcp_user_timeout_ms)
        return conn.stream.stream


def key_pair(seed: bytes) -> KeyPair:
    """The identity of a 32-byte seed. ValueError for another length: the library would make up a random key."""
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
    return create_new_key_pair(seed)


async def seal(stream: trio.SocketStream, seed: bytes, public: bytes) -> SealedSocket:
    """Run the handshake as initiator on a TCP stream on which /noise has just been agreed."""
    raw = RawConnection(TrioTCPStream(stream), True)
    sealed = await Noise(key_pair(seed), 0).secure_outbound(raw, ID(peer_id_bytes(public)))
    return cast(SealedSocket, sealed)


def _set_options(tcp: trio.socket.SocketType, user_timeout_ms: int) -> None:
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wanted = {  # not every system has these: the heartbeat notices the same, a little later
        "TCP_KEEPIDLE": KEEPALIVE_IDLE_S,
        "TCP_KEEPINTVL": KEEPALIVE_INTERVAL_S,
        "TCP_KEEPCNT": KEEPALIVE_PROBES,
        "TCP_USER_TIMEOUT": user_timeout_ms,
    }
    for name, value in wanted.items():
        if hasattr(socket, name):
            tcp.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
