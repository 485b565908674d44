"""Networks over real sockets: links come up, stay up, come back, and tell their owners in pairs."""

import os
import signal
import time
from pathlib import Path

import pytest
import trio

from troth_node.transport.address import peer_id_text
from troth_node.transport.events import Frame, LinkDown, LinkUp
from troth_node.transport.network import ListenError, Network
from troth_protocol.wire.framing import frame

PATIENCE_S = 20

HAS_IP6 = Path("/proc/net/if_inet6").exists()


async def link(networks, left, right):
    """`left` dials `right`; both know."""
    left.connect(right.public, right.addresses[0])
    await networks.until(left, LinkUp(right.public))
    await networks.until(right, LinkUp(left.public))


def ups_and_downs(events):
    return [event for event in events if not isinstance(event, Frame)]


async def test_frames_go_both_ways_in_order(networks):
    alice, bob = await networks.start("alice"), await networks.start("bob")
    await link(networks, alice, bob)
    for n in range(100):
        assert alice.send(bob.public, b"question %d" % n)
        assert bob.send(alice.public, b"answer %d" % n)
    heard = await networks.until(bob, Frame(alice.public, b"question 99"))
    assert [event.payload for event in heard] == [b"question %d" % n for n in range(100)]
    await networks.until(alice, Frame(bob.public, b"answer 99"))
    assert alice.stats[bob.public].frames_out == bob.stats[alice.public].frames_in == 100
    assert alice.linked == [bob.public]


async def test_a_network_may_run_as_a_block():
    async with Network(b"1" * 32).run() as alice, Network(b"2" * 32).run() as bob:
        alice.connect(bob.public, bob.addresses[0] + "/p2p/" + peer_id_text(bob.public))
        assert await bob.events.receive() == LinkUp(alice.public)
    assert [type(event) async for event in alice.events] == [LinkUp, LinkDown]


async def test_nothing_is_sent_to_strangers(networks):
    alice = await networks.start("alice")
    assert not alice.send(b"?" * 32, b"hello")
    alice.connect(b"?" * 32, "/ip4/127.0.0.1/tcp/9")
    assert not alice.send(b"?" * 32, b"hello")
    assert alice.stats[b"?" * 32].dropped == 1


@pytest.mark.parametrize(
    "address",
    ["", "/ip4/127.0.0.1/udp/1", "/ip4/127.0.0.1/tcp/1/p2p/" + peer_id_text(b"!" * 32), "/dns4//tcp/1"],
)
def test_bad_addresses_are_refused_at_once(address):
    with pytest.raises(ValueError, match=r".+"):
        Network(b"1" * 32).connect(b"?" * 32, address)


def test_nobody_connects_to_itself():
    alice = Network(b"1" * 32)
    with pytest.raises(ValueError, match="cannot connect"):
        alice.connect(alice.public, "/ip4/127.0.0.1/tcp/1")


@pytest.mark.parametrize("seed", [b"", b"1" * 31, b"1" * 33])
def test_a_seed_has_32_bytes(seed):
    with pytest.raises(ValueError, match="32 bytes"):
        Network(seed)


async def test_a_port_in_use_is_one_clear_error(networks):
    alice = await networks.start("alice")
    with pytest.raises(ListenError, match="in use"):
        async with Network(b"2" * 32, alice.addresses[0]).run():
            pass


async def test_connections_asked_for_before_serving_are_made(networks, nursery):
    bob = await networks.start("bob")
    alice = Network(b"1" * 32)
    alice.connect(bob.public, bob.addresses[0])
    await nursery.start(alice.serve)
    await networks.until(bob, LinkUp(alice.public))


async def test_leaving_is_told_from_a_crash(networks):
    alice, bob = await networks.start("alice"), await networks.start("bob")
    await link(networks, alice, bob)
    alice.send(bob.public, b"last words")
    await networks.stop(alice)
    events = await networks.until(bob, LinkDown)
    assert events == [Frame(alice.public, b"last words"), LinkDown(alice.public, "peer said leaving")]
    assert events[-1].is_clean


async def test_a_forgotten_peer_is_told_and_not_dialled_again(networks):
    alice, bob = await networks.start("alice"), await networks.start("bob")
    await link(networks, alice, bob)
    alice.forget(bob.public)
    assert (await networks.until(alice, LinkDown))[-1].reason == "forgotten"
    assert (await networks.until(bob, LinkDown))[-1].reason == "peer said forgotten"
    await trio.testing.wait_all_tasks_blocked()
    assert alice.stats == bob.stats == {}
    assert alice.departed.links == bob.departed.links == 1


@pytest.mark.parametrize("port", ["the same port", "another port"])
async def test_a_peer_that_restarts_is_linked_again(networks, port):
    alice, bob = await networks.start("alice"), await networks.start("bob")
    await link(networks, alice, bob)
    address = bob.addresses[0]
    await networks.stop(bob)
    await networks.until(alice, LinkDown)
    bob = await networks.start("bob", address if port == "the same port" else "/ip4/127.0.0.1/tcp/0")
    alice.connect(bob.public, bob.addresses[0])
    await networks.until(alice, LinkUp(bob.public))
    assert alice.send(bob.public, b"welcome back")
    await networks.until(bob, Frame(alice.public, b"welcome back"))


async def test_a_peer_that_is_not_there_yet_is_linked_when_it_comes(networks, eventually):
    alice, bob = await networks.start("alice"), await networks.start("bob")
    address = bob.addresses[0]
    await networks.stop(bob)
    alice.connect(bob.public, address)
    await eventually(lambda: alice.stats[bob.public].dial_failures)
    assert address in alice.stats[bob.public].last_failure
    bob = await networks.start("bob", address)
    await networks.until(alice, LinkUp(bob.public))


async def test_host_names_are_looked_up(networks):
    alice, bob = await networks.start("alice"), await networks.start("bob")
    alice.connect(bob.public, bob.addresses[0].replace("ip4/127.0.0.1", "dns4/localhost"))
    await networks.until(alice, LinkUp(bob.public))


async def test_ip6_works_where_there_is_any(networks):
    listen = "/ip6/::1/tcp/0" if HAS_IP6 else "/ip4/127.0.0.1/tcp/0"
    alice = await networks.start("alice", listen)
    bob = await networks.start("bob", listen)
    await link(networks, alice, bob)


async def test_another_key_at_the_address_is_refused_with_the_reason(networks, eventually):
    alice, bob = await networks.start("alice"), await networks.start("bob")
    alice.connect(b"?" * 32, bob.addresses[0])
    await eventually(lambda: alice.stats[b"?" * 32].last_failure)
    assert alice.stats[b"?" * 32].last_failure == f"{bob.addresses[0]}: another identity answers there"
    assert bob.stats == {}


async def test_simultaneous_dials_end_in_one_link(networks):
    names = ("alice", "bob", "carol", "dave")
    everybody = [await networks.start(name) for name in names]
    for one in everybody:
        for other in everybody:
            if one is not other:
                one.connect(other.public, other.addresses[0])
    for one in everybody:
        for other in everybody:
            if one is not other:
                await _exchange(networks, one, other)
    for one in everybody:
        assert len(one.linked) == 3
        assert one._host.connections == 3


async def _exchange(networks, one, other):
    """Send until it arrives: a link may just be replaced."""
    with trio.fail_after(10):
        while True:
            one.send(other.public, b"from " + one.public)
            with trio.move_on_after(0.2):
                await networks.until(other, Frame(one.public, b"from " + one.public))
                return


async def test_ups_and_downs_come_in_pairs_whoever_dials(networks):
    alice, bob = await networks.start("alice"), await networks.start("bob")
    seen = {alice: [], bob: []}
    for _ in range(10):
        alice.connect(bob.public, bob.addresses[0])
        bob.connect(alice.public, alice.addresses[0])
        for network, other in ((alice, bob), (bob, alice)):
            if other.public not in network.linked:
                seen[network] += await networks.until(network, LinkUp)
        alice.forget(bob.public)
        bob.forget(alice.public)
        for network in (alice, bob):
            while network.linked or network.stats:
                with trio.move_on_after(0.01):
                    seen[network] += await network.next_events()
    for network in (alice, bob):
        with trio.move_on_after(0.01):
            seen[network] += await network.next_events()
        kinds = [type(event) for event in seen[network]]
        assert kinds == [LinkUp, LinkDown] * (len(kinds) // 2)


async def test_frames_are_offered_while_the_owner_waits_and_overtake_nothing(networks, nursery):
    alice, bob = await networks.start("alice"), await networks.start("bob")
    order, offered = [], []

    def take(events):
        offered.extend(events)
        order.extend(events)
        return b"declined" not in [event.payload for event in events]

    async def own():
        while True:
            order.extend(await bob.next_events())

    bob.divert(take)
    alice.connect(bob.public, bob.addresses[0])
    await networks.until(alice, LinkUp)
    alice.send(bob.public, b"nobody waits yet")
    while bob.events.statistics().current_buffer_used < 2:
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert not offered
    nursery.start_soon(own)
    await trio.testing.wait_all_tasks_blocked(0.01)
    alice.send(bob.public, b"taken")
    await _until(lambda: len(order) == 3)
    alice.send(bob.public, b"declined")
    await _until(lambda: len(order) == 5)
    frames = [Frame(alice.public, text) for text in (b"nobody waits yet", b"taken", b"declined")]
    assert order == [LinkUp(alice.public), *frames, frames[-1]]
    assert offered == frames[1:]


async def _until(holds):
    with trio.fail_after(PATIENCE_S):
        while not holds():
            await trio.testing.wait_all_tasks_blocked(0.01)


async def test_the_newer_of_two_streams_of_one_opener_is_kept(networks, hostiles):
    alice = await networks.start("alice")
    first = await hostiles.enter(alice)
    await first.open_link()
    up = (await networks.until(alice, LinkUp))[-1]
    second = await hostiles.enter(alice)
    number = await second.open_link()
    assert (await networks.until(alice, LinkUp)) == [LinkDown(up.peer, "replaced"), up]
    await second.send(number, frame(b"hello"))
    await networks.until(alice, Frame(up.peer, b"hello"))


async def test_uninvited_links_are_limited_and_invited_ones_are_not(networks):
    alice = await networks.start("alice", max_links=1)
    bob, carol = await networks.start("bob"), await networks.start("carol")
    await link(networks, bob, alice)
    carol.connect(alice.public, alice.addresses[0])
    assert (await networks.until(carol, LinkDown))[-1].reason == "peer said full"
    carol.forget(alice.public)
    await link(networks, alice, carol)
    assert sorted(alice.linked) == sorted([bob.public, carol.public])


async def test_strangers_do_not_fill_the_memory(networks, hostiles):
    alice = await networks.start("alice")
    for n in range(5):
        peer = await hostiles.enter(alice, bytes([n]) * 32)
        await peer.open_link()
        await networks.until(alice, LinkUp)
        await peer.aclose()
        assert (await networks.until(alice, LinkDown))[-1].reason == "vanished"
    assert alice.stats == {}
    assert alice.departed.links == 5


async def test_a_slow_reader_slows_the_sender_and_bounds_the_memory(networks, eventually):
    alice = await networks.start("alice", outbox_bytes=500_000, stall_s=60)
    bob = await networks.start("bob", events=16)
    await link(networks, alice, bob)
    queue = alice._peers[bob.public].link
    accepted = 0

    def is_everything_full():
        nonlocal accepted
        while alice.send(bob.public, accepted.to_bytes(4, "big") + bytes(996)):
            accepted += 1
        return queue._pipe._stream._credit == 0

    await eventually(is_everything_full)
    assert 500 < accepted < 1500  # outbox 500 kB, window 262 kB, one read, 16 events
    assert bob.events.statistics().current_buffer_used == 16
    for n in range(accepted):
        assert (await bob.events.receive()).payload[:4] == n.to_bytes(4, "big")
    assert alice.linked == [bob.public]


async def test_a_peer_that_never_reads_is_cut_off(networks, eventually):
    alice = await networks.start("alice", outbox_bytes=100_000, stall_s=0.2, heartbeat_s=0.1)
    bob = await networks.start("bob", events=1, heartbeat_s=0.1)
    await link(networks, alice, bob)
    await eventually(lambda: not alice.send(bob.public, bytes(10_000)) and bob.public not in alice.linked)
    assert (await networks.until(alice, LinkDown))[-1].reason == "outbox_full"


@pytest.mark.slow
async def test_a_frozen_peer_is_noticed_in_two_heartbeats_and_comes_back(networks, child):
    alice = await networks.start("alice")
    process, public, address = await child("bob")
    alice.connect(public, address)
    await networks.until(alice, LinkUp(public))
    alice.send(public, b"are you there")
    await networks.until(alice, Frame(public, b"are you there"))
    os.kill(process.pid, signal.SIGSTOP)
    began = trio.current_time()
    assert (await networks.until(alice, LinkDown))[-1].reason == "silent"
    assert trio.current_time() - began < 2 * 0.5 + 0.3
    os.kill(process.pid, signal.SIGCONT)
    await networks.until(alice, LinkUp(public))
    os.kill(process.pid, signal.SIGKILL)
    began = trio.current_time()
    assert (await networks.until(alice, LinkDown))[-1].reason == "vanished"
    assert trio.current_time() - began < 0.5


@pytest.mark.slow
async def test_stopping_takes_less_than_three_seconds_with_a_frozen_peer(networks, child, eventually):
    alice = await networks.start("alice", heartbeat_s=60)
    process, public, address = await child("bob")
    alice.connect(public, address)
    await networks.until(alice, LinkUp(public))
    os.kill(process.pid, signal.SIGSTOP)
    await eventually(lambda: not alice.send(public, bytes(100_000)))  # a write that hangs cannot be cancelled
    began = time.monotonic()
    await networks.stop(alice)
    assert time.monotonic() - began < 3


@pytest.mark.slow
async def test_three_hundred_reconnects_leave_nothing_behind(networks, eventually, record_property):
    alice = await networks.start("alice", redial_min_s=0.001)
    bob = await networks.start("bob")
    alice.connect(bob.public, bob.addresses[0])
    before = None
    began = trio.current_time()
    for _ in range(300):
        await networks.until(alice, LinkUp)
        await networks.until(bob, LinkUp)
        before = before or _held(alice, bob)
        bob._peers[alice.public].link._finish("vanished")
        await networks.until(alice, LinkDown)
        await networks.until(bob, LinkDown)
    await networks.until(bob, LinkUp)
    record_property("reconnects_per_s", round(300 / (trio.current_time() - began), 1))
    await eventually(lambda: _held(alice, bob) == before)


def _held(*networks):
    """Tasks, descriptors, connections and inbound slots."""
    tasks = trio.lowlevel.current_statistics().tasks_living
    descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    slots = sum(network._host._swarm._inbound_limiter.borrowed_tokens for network in networks)
    return tasks, descriptors, slots, [network._host.connections for network in networks]


async def test_throughput_is_measured(networks, record_property):
    alice, bob = await networks.start("alice"), await networks.start("bob")
    await link(networks, alice, bob)
    count, sent, received = 50_000, 0, 0
    began = time.perf_counter()
    while received < count:
        while sent - received < 1000 and sent < count:
            alice.send(bob.public, bytes(256))
            sent += 1
        received += len(await bob.next_events())
    record_property("frames_per_s", round(count / (time.perf_counter() - began)))
