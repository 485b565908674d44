"""The hardened host against peers that try to end it, and against the library's own."""

import gc
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from multiaddr import Multiaddr

from troth_node.testing.hostile import NOISE, REFUSED, TROTH, YAMUX, HostilePeer, RawPeer
from troth_node.transport.address import peer_id_text
from troth_node.transport.events import Frame, LinkDown, LinkUp
from troth_node.transport.host import DialError, Host, ListenError
from troth_node.transport.noise import SocketEnded, seal
from troth_node.transport.settings import Settings
from troth_node.transport.yamux import DATA, PING, SYN, WINDOW, WINDOW_BYTES
from troth_protocol.wire.codec import MAX_FRAME_BYTES
from troth_protocol.wire.framing import frame

ANYWHERE = "/ip4/127.0.0.1/tcp/0"


async def assert_serves(networks, network):
    """An honest peer is served as before."""
    honest = await networks.start("honest")
    honest.connect(network.public, network.addresses[0])
    await networks.until(network, LinkUp(honest.public))
    assert network.send(honest.public, b"still here")
    await networks.until(honest, Frame(network.public, b"still here"))


async def test_an_exception_in_a_handler_ends_its_stream_only(networks, hostiles):
    alice = await networks.start("alice")

    async def fails(_stream):
        raise RuntimeError("a bug of ours")

    alice._host._host.set_stream_handler("/fails", fails)
    mallory = await hostiles.enter(alice)
    for _ in range(3):
        await mallory.open(b"/fails")
    await assert_serves(networks, alice)


async def test_a_protocol_name_that_is_no_utf8_ends_its_stream_only(networks, hostiles):
    alice = await networks.start("alice")
    mallory = await hostiles.enter(alice)
    await mallory.open(b"/\xff\xfe")
    await mallory.open(b"")
    await assert_serves(networks, alice)


@pytest.mark.parametrize("protocol", [b"/plaintext/2.0.0", b"/secio/1.0.0", b"/tls/1.0.0", b"/\xff\xff"])
async def test_only_noise_is_spoken(networks, protocol, hostiles):
    alice = await networks.start("alice")
    mallory = await hostiles.dial(alice)
    assert await mallory.propose(protocol) in (REFUSED, b"")
    await mallory.aclose()
    assert alice._host.connections == 0
    await assert_serves(networks, alice)


async def test_only_yamux_is_spoken(networks, hostiles):
    alice = await networks.start("alice")
    mallory = await hostiles.dial(alice)
    assert await mallory.propose(NOISE) == NOISE
    sealed = await hostiles.enter(alice)
    await sealed.aclose()
    third = HostilePeer(mallory.stream)
    third.sealed = await _seal(mallory.stream, alice)
    assert await third.propose(b"/mplex/6.7.0") == REFUSED
    await third.say(YAMUX)
    assert await third.hear() == YAMUX
    await third.aclose()


async def _seal(stream, network):
    return await seal(stream, b"m" * 32, network.public)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 100,
        b"\xff" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"",
    ],
)
async def test_garbage_is_cut_off(networks, garbage, hostiles):
    alice = await networks.start("alice")
    mallory = await hostiles.dial(alice)
    await mallory.write(garbage)
    with trio.fail_after(5):
        await mallory.until_cut_off()
    await assert_serves(networks, alice)


async def test_garbage_after_the_handshake_is_cut_off(networks, hostiles):
    alice = await networks.start("alice")
    mallory = await hostiles.enter(alice)
    await mallory.stream.send_all(b"\x00\x40" + bytes(64))
    with trio.fail_after(5):
        await mallory.until_cut_off()
    await assert_serves(networks, alice)


@pytest.mark.parametrize(
    "frames",
    [
        [(9, 0, 1, 0, b"")],
        [(DATA, SYN, 1, WINDOW_BYTES + 1, b"")],
        [(WINDOW, SYN, 2, 0, b"")],
        [(WINDOW, SYN, 1, 0, b""), *[(DATA, 0, 1, WINDOW_BYTES // 2, bytes(WINDOW_BYTES // 2))] * 3],
        [(PING, SYN, 0, n, b"") for n in range(50_000)],
    ],
    ids=["kind", "too long", "our stream", "not granted", "ping flood"],
)
async def test_broken_yamux_is_cut_off_or_borne(networks, frames, hostiles):
    alice = await networks.start("alice")
    mallory = await hostiles.enter(alice)
    with suppress(SocketEnded):  # the node may hang up in the middle
        for one in frames:
            await mallory.frame(*one)
    await assert_serves(networks, alice)


async def test_an_oversize_frame_ends_the_link_with_the_reason(networks, hostiles):
    alice = await networks.start("alice")
    mallory = await hostiles.enter(alice)
    number = await mallory.open_link()
    up = (await networks.until(alice, LinkUp))[-1]
    await mallory.send(number, frame(b"fine") + (MAX_FRAME_BYTES + 1).to_bytes(4, "big"))
    events = await networks.until(alice, LinkDown)
    assert events == [Frame(up.peer, b"fine"), LinkDown(up.peer, "refused: frame_too_large")]
    await mallory.until_cut_off()
    await assert_serves(networks, alice)


async def test_a_second_stream_of_ours_on_one_connection_is_refused(networks, hostiles):
    alice = await networks.start("alice")
    mallory = await hostiles.enter(alice)
    first = await mallory.open_link()
    await networks.until(alice, LinkUp)
    await mallory.open()
    await mallory.send(first, frame(b"the first one lives"))
    events = await networks.until(alice, Frame)
    assert [type(event) for event in events] == [Frame]


async def test_connections_that_ask_for_nothing_are_closed_and_leave_nothing(networks, hostiles, eventually):
    alice = await networks.start("alice")
    silent = [await hostiles.dial(alice) for _ in range(5)]
    idle = [await hostiles.enter(alice, bytes([n]) * 32) for n in range(5)]
    await assert_serves(networks, alice)
    with trio.fail_after(5):
        for peer in silent + idle:
            await peer.until_cut_off()
        await eventually(lambda: alice._host._swarm._inbound_limiter.borrowed_tokens == 1)


async def test_cancelled_reads_and_writes_do_not_end_the_connection(eventually):
    channels = []
    alice, bob = (Host(seed * 32, channels.append, Settings()) for seed in (b"a", b"b"))
    async with alice.run([ANYWHERE]), bob.run([ANYWHERE]), trio.open_nursery() as nursery:
        ours = await bob.dial(alice.public, alice.addresses[0])
        theirs = channels[0]
        read = []
        nursery.start_soon(_drain, theirs, read)
        for n in range(1000):
            with trio.move_on_after(0 if n % 3 else 0.0002):
                await (ours.write(bytes(50)) if n % 2 else ours.read())
        await ours.write(b"sound")
        await eventually(lambda: b"sound" in read[-1])
        assert len(b"".join(read)) % 50 == len(b"sound")
        await theirs.write(b"and well")
        assert await ours.read() == b"and well"
        nursery.cancel_scope.cancel()


async def _drain(channel, read):
    while data := await channel.read():
        read.append(data)


async def test_a_dial_says_why_it_failed(nursery, eventually):
    alice, bob = (
        Host(seed * 32, lambda channel: channel.abort(), Settings(dial_timeout_s=0.3))
        for seed in (b"a", b"b")
    )
    async with alice.run([ANYWHERE]), bob.run([ANYWHERE]):
        with pytest.raises(DialError, match="another identity answers there"):
            await bob.dial(b"?" * 32, alice.addresses[0])
        with pytest.raises(DialError, match="failed"):
            await bob.dial(alice.public, "/ip4/127.0.0.1/tcp/1")
        mute = socket.create_server(("127.0.0.1", 0))
        with mute, pytest.raises(DialError, match="no answer in time"):
            await bob.dial(alice.public, f"/ip4/127.0.0.1/tcp/{mute.getsockname()[1]}")
        alice._host.remove_stream_handler("/troth/1")
        with pytest.raises(DialError, match="not supported"):
            await bob.dial(alice.public, alice.addresses[0])
        await eventually(lambda: not bob.connections and not alice.connections)


@pytest.mark.parametrize(
    "address", ["", "nonsense", "/ip4/127.0.0.1/udp/1", "/ip4/192.0.2.1/tcp/0", "/dns4/localhost/tcp/0"]
)
async def test_what_cannot_be_listened_on_is_one_clear_error(address):
    with pytest.raises(ListenError, match="cannot listen on"):
        async with Host(b"a" * 32, lambda _channel: None, Settings()).run([address]):
            pass


@pytest.mark.parametrize("shared", [False, True])
async def test_a_port_in_use_is_one_clear_error_even_if_it_is_shared(shared):
    with socket.socket() as taken:
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"/ip4/127.0.0.1/tcp/{taken.getsockname()[1]}"
        with pytest.raises(ListenError, match="Address already in use"):
            async with Host(b"a" * 32, lambda _channel: None, Settings()).run([address]):
                pass


async def test_a_listener_that_fails_inside_the_library_is_the_same_error(monkeypatch):
    async def fails(_host, _port):
        raise OSError("no more descriptors")

    monkeypatch.setattr("libp2p.transport.tcp.tcp._open_reuseport_listeners", fails)
    with pytest.raises(ListenError, match="cannot listen on"):
        async with Host(b"a" * 32, lambda _channel: None, Settings()).run([ANYWHERE]):
            pass


async def test_a_stopped_host_leaves_no_task_and_no_socket(nursery):
    async def once():
        channels = []
        hosts = [Host(bytes([n]) * 32, channels.append, Settings()) for n in range(1, 4)]
        async with hosts[0].run([ANYWHERE]), hosts[1].run([ANYWHERE]), hosts[2].run([ANYWHERE]):
            for host in hosts[1:]:
                await host.dial(hosts[0].public, hosts[0].addresses[0])
            peer = await RawPeer.dial(hosts[0].addresses[0])
        await peer.until_cut_off()
        await peer.aclose()

    await once()
    gc.collect()
    before = trio.lowlevel.current_statistics().tasks_living, _descriptors()
    for _ in range(3):
        await once()
    gc.collect()
    assert (trio.lowlevel.current_statistics().tasks_living, _descriptors()) == before


async def test_sockets_are_tuned(networks):
    channels = []
    alice, bob = (
        Host(seed * 32, channels.append, Settings(tcp_user_timeout_ms=7000)) for seed in (b"a", b"b")
    )
    async with alice.run([ANYWHERE]), bob.run([ANYWHERE]):
        channels.append(await bob.dial(alice.public, alice.addresses[0]))
        for channel in channels:
            tcp = channel._session.secured_conn._stream.socket
            assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert tcp.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000


def test_the_library_is_quiet_and_leaves_the_root_logger_alone():
    program = """
import logging, trio
from troth_node.transport.network import Network
async def main():
    async with Network(b"1" * 32).run() as one, Network(b"2" * 32).run() as two:
        one.connect(two.public, two.addresses[0])
        await two.events.receive()
        one.connect(b"?" * 32, two.addresses[0])
        while not one.stats[b"?" * 32].dial_failures:
            await trio.sleep(0.01)
trio.run(main)
assert logging.getLogger().handlers == [], logging.getLogger().handlers
"""
    result = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


async def test_a_stock_libp2p_host_talks_to_ours(networks, nursery, eventually):
    alice = await networks.start("alice")
    stock = new_host(key_pair=create_new_key_pair(b"s" * 32))
    received = []

    async def echo(stream):
        try:
            while True:
                received.append(await stream.read(65_536))
        except (StreamError, EOFError):
            pass

    async with stock.run([Multiaddr(ANYWHERE)]):
        await stock.connect(
            info_from_p2p_addr(Multiaddr(f"{alice.addresses[0]}/p2p/{peer_id_text(alice.public)}"))
        )
        stream = await stock.new_stream(_peer_id(alice), [TROTH.decode()])
        await stream.write(frame(b"hello from stock") * 1000)
        up = (await networks.until(alice, LinkUp))[-1]
        for _ in range(1000):
            assert await alice.events.receive() == Frame(up.peer, b"hello from stock")
        nursery.start_soon(echo, stream)
        total = 0
        while total < 2_000_000:  # more than seven windows
            assert alice.send(up.peer, bytes(1000))
            total += 1004
        await eventually(lambda: sum(map(len, received)) == total)
        await stock.close()
    assert (await networks.until(alice, LinkDown))[-1].reason == "vanished"


async def test_ours_dials_a_stock_libp2p_host(networks):
    alice = await networks.start("alice")
    stock = new_host(key_pair=create_new_key_pair(b"s" * 32))

    async def echo(stream):
        try:
            while True:
                await stream.write(await stream.read(65_536))
        except (StreamError, EOFError):
            pass

    stock.set_stream_handler(TROTH.decode(), echo)
    async with stock.run([Multiaddr(ANYWHERE)]):
        public = stock.get_public_key().to_bytes()
        alice.connect(public, str(stock.get_addrs()[0]))
        await networks.until(alice, LinkUp(public))
        for n in range(100):
            assert alice.send(public, bytes([n]) * 5000)
        for n in range(100):
            assert await alice.events.receive() == Frame(public, bytes([n]) * 5000)
        alice.forget(public)
        await networks.until(alice, LinkDown)
        await stock.close()


def _peer_id(network):
    return ID.from_string(peer_id_text(network.public))


def _descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
