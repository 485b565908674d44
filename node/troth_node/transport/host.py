"""The one way to build and run a libp2p host here: TCP, Noise and Yamux only, and nothing that a peer does ends it.

The library's own swarm is kept for listening, dialling and upgrading; `Swarm` below takes away what harms: handlers
whose exceptions would end the process, a slot and a task lost with every connection that ever came in, and dialling
on its own accord. Dials go to one address and one key; nothing is remembered about those that fail.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, cast

import trio
from libp2p.abc import IMuxedConn, INetStream, IRawConnection, ISecureConn
from libp2p.custom_types import StreamHandlerFn, TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.identity.identify_push.identify_push import ID_PUSH
from libp2p.network import swarm as library
from libp2p.network.auto_connector import AutoConnector
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.transport.tcp.tcp import TCP
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr

from troth_node.transport import patches
from troth_node.transport.address import Target, parse_address, peer_id_bytes, public_from_peer_id
from troth_node.transport.noise import Noise, key_pair
from troth_node.transport.settings import Settings
from troth_node.transport.yamux import Session, Stream

PROTOCOL: Final = TProtocol("/troth/1")
UNLIMITED: Final = 1_000_000
SHUTDOWN_S: Final = 2.0
_FAMILIES: Final = {
    "ip4": socket.AF_INET,
    "dns4": socket.AF_INET,
    "ip6": socket.AF_INET6,
    "dns6": socket.AF_INET6,
    "dns": socket.AF_UNSPEC,
}


class ListenError(OSError):
    """The address cannot be listened on: it is malformed, in use, not ours or not allowed."""


class DialError(OSError):
    """No channel to the peer; the text says why in one line, for people."""


class Channel:
    """Our protocol's one stream on a connection of its own: bytes in both directions with one authenticated peer."""

    def __init__(self, stream: Stream, peer: bytes) -> None:
        self.peer = peer
        self._stream = stream
        self._session = cast(Session, stream.muxed_conn)

    @property
    def is_dialled(self) -> bool:
        """True if this end opened it."""
        return self._session.is_initiator

    async def read(self) -> bytes:
        """What has arrived, at least one byte; b"" at the end, however it came."""
        try:
            return await self._stream.read()
        except MuxedStreamError:
            return b""

    async def write(self, data: bytes) -> None:
        """Send all of `data`, waiting for the peer to take it. trio.BrokenResourceError once the channel has ended."""
        try:
            await self._stream.write(data)
        except MuxedStreamError as error:
            raise trio.BrokenResourceError(str(error)) from error

    def write_now(self, data: bytes) -> bool:
        """Send all of `data` without waiting; False, and nothing is sent, if something is in the way."""
        return self._stream.write_now(data)

    def divert(self, sink: Callable[[bytes], bool]) -> None:
        """Offer what arrives to `sink` first, which must not wait; what it does not take is there to be read."""
        self._stream.divert(sink)

    def abort(self) -> None:
        """End the connection now, whatever anybody is waiting for in it."""
        self._session.abort()


class Muxer(MuxerMultistream):
    """Offers Yamux alone, as our bounded sessions. (The library's own version builds its own class by name.)"""

    def __init__(self) -> None:
        super().__init__({TProtocol(YAMUX): Session})

    async def new_conn(self, conn: ISecureConn, peer_id: ID) -> IMuxedConn:
        """Agree on Yamux over a secured connection."""
        await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        return Session(conn, peer_id)


class NoAutoConnector(AutoConnector):
    """The library would dial every address that it ever heard of, up to half of the greatest number allowed."""

    async def start(self) -> None:
        """Do not start: everything it could be asked to do is then left alone."""


class Swarm(library.Swarm):
    """The library's swarm without what lets one connection harm the others."""

    claim_timeout_s: float

    def set_stream_handler(self, stream_handler: StreamHandlerFn) -> None:
        """Keep every exception of a handler (a protocol name that is no UTF-8 is enough) inside its stream."""

        async def guarded(stream: INetStream) -> None:
            try:
                await stream_handler(stream)
            except Exception:  # noqa: BLE001 - whatever it is, it was that stream's peer
                await stream.reset()

        super().set_stream_handler(guarded)

    async def upgrade_inbound_raw_conn(self, raw_conn: IRawConnection, maddr: Multiaddr) -> IMuxedConn:
        """Stay until the connection ends, then raise: the caller waits for the end of the swarm after a return, and
        gives its slot back after an exception. A connection that opens no stream of ours in time is closed.
        """
        session = cast(Session, await super().upgrade_inbound_raw_conn(raw_conn, maddr))
        with trio.move_on_after(self.claim_timeout_s):
            await session.claimed.wait()
        if not session.claimed.is_set():
            session.abort()
        await session.event_closed.wait()
        raise SwarmException("the connection has ended")


class Host:
    """A libp2p identity that listens, and hands each channel, dialled to it, to `on_channel` (which must not wait)."""

    def __init__(self, seed: bytes, on_channel: Callable[[Channel], None], settings: Settings) -> None:
        patches.quiet()
        self._on_channel = on_channel
        self._settings = settings
        self._swarm = _build_swarm(seed, settings)
        self._host = BasicHost(self._swarm, disable_identify_address_discovery=True)
        self._host.remove_stream_handler(ID_PUSH)  # nobody tells us what to know about peers
        self._host.set_stream_handler(PROTOCOL, self._accept)
        self._swarm.notifees.clear()  # no identify after each connection, no book-keeping of tags

    @property
    def public(self) -> bytes:
        """The public key (32 bytes)."""
        return public_from_peer_id(self._host.get_id().to_base58())

    @property
    def addresses(self) -> list[str]:
        """The multiaddrs listened on, with the ports that were really bound."""
        return [str(address) for address in self._host.get_transport_addrs()]

    @property
    def connections(self) -> int:
        """How many connections are open, in both directions."""
        return len(self._swarm.get_connections())

    @asynccontextmanager
    async def run(self, listen: Sequence[str]) -> AsyncIterator[None]:
        """Listen and serve inside the block. ListenError if one of the addresses cannot be had."""
        await _probe(listen)
        async with self._host.run([Multiaddr(address) for address in listen]):
            if has_all := len(self._swarm.listeners) == len(set(listen)):
                try:
                    yield
                finally:
                    await self._shut_down()
            else:
                await self._shut_down()
        if not has_all:
            raise ListenError(f"cannot listen on {', '.join(listen)}")

    async def dial(self, public: bytes, address: str) -> Channel:
        """A new connection to that address with our protocol agreed on. DialError if another key answers, or none."""
        session: Session | None = None
        try:
            with trio.fail_after(self._settings.dial_timeout_s):
                where = Multiaddr(await _numeric(address))
                connection = await self._swarm.dial_addr(where, ID(peer_id_bytes(public)))
                session = cast(Session, connection.muxed_conn)
                return Channel(await self._agree(session), public)
        except BaseException as error:
            if session is not None:
                session.abort()
            if isinstance(error, Exception):
                raise DialError(f"{address}: {_why(error)}") from error
            raise

    async def _agree(self, session: Session) -> Stream:
        stream = await session.open_stream()
        await MultiselectClient().select_one_of([PROTOCOL], MultiselectCommunicator(stream))
        return stream

    async def _accept(self, stream: INetStream) -> None:
        """One stream of ours on each connection; a second one is refused, and so is a peer without an Ed25519 key."""
        session = cast(Session, stream.muxed_conn)
        public = public_from_peer_id(session.peer_id.to_base58())
        if session.is_initiator or session.claimed.is_set():
            await stream.reset()
        else:
            session.claimed.set()
            # What the library hands out wraps our stream in locks that this protocol has no use for.
            self._on_channel(Channel(cast(Stream, getattr(stream, "muxed_stream")), public))  # noqa: B009

    async def _shut_down(self) -> None:
        """Close everything: leaving the library's own context would leave sockets and listeners open."""
        with trio.move_on_after(SHUTDOWN_S) as scope:
            scope.shield = True
            for listener in list(self._swarm.listeners.values()):
                await listener.close()
            async with trio.open_nursery() as nursery:
                for connection in self._swarm.get_connections():
                    nursery.start_soon(_ignoring_errors, connection.close)  # 0.1 s each, so all at once
            await self._host.close()


def _build_swarm(seed: bytes, settings: Settings) -> Swarm:
    keys = key_pair(seed)
    peer_id = ID.from_pubkey(keys.public_key)
    peerstore = PeerStore()
    peerstore.add_key_pair(peer_id, keys)
    upgrader = TransportUpgrader({NOISE: Noise(keys, settings.tcp_user_timeout_ms)}, {})
    upgrader.muxer_multistream = Muxer()
    config = ConnectionConfig(
        max_connections=UNLIMITED,  # counted over a lifetime by the library; links are limited by the network
        high_watermark=UNLIMITED,
        min_connections=0,
        low_watermark=0,
        max_connections_per_peer=UNLIMITED,  # the library would close the link that we keep, not its duplicate
        inbound_upgrade_timeout=settings.handshake_timeout_s,
        inbound_stream_protocol_negotiation_timeout=max(1.0, settings.handshake_timeout_s),
    )
    swarm = Swarm(peer_id, peerstore, upgrader, [TCP()], RetryConfig(max_retries=0), config)
    swarm.auto_connector = NoAutoConnector(swarm)
    swarm.claim_timeout_s = settings.handshake_timeout_s
    return swarm


async def _probe(listen: Sequence[str]) -> None:
    """Bind each address once without SO_REUSEPORT: the library sets it, and so would share a port with another node."""
    for address in listen:
        try:
            await _bind(parse_address(address))
        except (OSError, ValueError) as error:
            raise ListenError(f"cannot listen on {address}: {error}") from error


async def _bind(target: Target) -> None:
    if target.kind not in ("ip4", "ip6"):
        raise ValueError("a listening address is numeric")
    with trio.socket.socket(_FAMILIES[target.kind], socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        await probe.bind((target.host, target.port))


async def _numeric(address: str) -> str:
    """The address with its host name looked up as the system does; the library would only ask name servers."""
    kind, host, port, _public = parse_address(address)
    family, *_, where = (await trio.socket.getaddrinfo(host, port, _FAMILIES[kind], socket.SOCK_STREAM))[0]
    return f"/{'ip6' if family == socket.AF_INET6 else 'ip4'}/{where[0]}/tcp/{port}"


def _why(error: BaseException) -> str:
    """The first cause in a chain of the library's errors, in a few words."""
    while error.__cause__ is not None and not isinstance(error, PeerIDMismatchesPubkey):
        error = error.__cause__
    if isinstance(error, PeerIDMismatchesPubkey):
        return "another identity answers there"
    if isinstance(error, trio.TooSlowError):
        return "no answer in time"
    return f"{error}" or type(error).__name__


async def _ignoring_errors(close: Callable[[], Awaitable[None]]) -> None:
    with suppress(Exception):  # it is closed as far as it can be
        await close()
