"""mDNS: what a LAN says leads to a dial or to nothing; two nodes on loopback find each other."""

from __future__ import annotations

import pytest
import trio
from zeroconf import ServiceInfo

from troth_node.transport.mdns import FOUND_MAX, SERVICE, Ears, Found, make_info, read_info, serve_mdns
from troth_protocol.wire.crypto import digest

NETWORK, ALMA, BRUNO = digest(b"network"), digest(b"alma"), digest(b"bruno")
LIMIT_S = 20


def info(network=NETWORK, key=ALMA, addresses=("192.0.2.1",), port=4001):
    return make_info(network, key, addresses, port)


def raw(**properties):
    return ServiceInfo(SERVICE, f"x.{SERVICE}", addresses=[bytes(4)], port=1, properties=properties)


def test_what_is_said_is_read():
    assert read_info(info(), NETWORK) == Found(ALMA, "/ip4/192.0.2.1/tcp/4001")


@pytest.mark.parametrize(
    "said",
    [
        info(network=digest(b"other")),
        info(addresses=()),
        info(port=0),
        raw(),
        raw(network=NETWORK.hex()),
        raw(network=NETWORK.hex(), key=b"\xff"),
        raw(network=NETWORK.hex(), key="00ff"),
        raw(network=NETWORK.hex(), key=None),
    ],
)
def test_what_makes_no_sense_is_passed_over(said):
    assert read_info(said, NETWORK) is None


def test_each_node_is_found_once_and_not_too_many():
    found = []
    ears = Ears(NETWORK, BRUNO, found.append)
    for said in (info(), info(), info(key=BRUNO), info(port=0)):
        ears.hear(said)
    assert found == [Found(ALMA, "/ip4/192.0.2.1/tcp/4001")]
    for number in range(FOUND_MAX + 5):
        ears.hear(info(key=digest(bytes([number]))))
    assert len(found) == FOUND_MAX


async def test_two_nodes_on_loopback_find_each_other():
    found = []
    done = trio.Event()

    def hear(item):
        found.append(item)
        if len(found) == 2:
            done.set()

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_mdns, NETWORK, ALMA, "/ip4/127.0.0.1/tcp/4001", hear)
            nursery.start_soon(serve_mdns, NETWORK, BRUNO, "/ip4/127.0.0.1/tcp/4002", hear)
            await done.wait()
            nursery.cancel_scope.cancel()
    assert set(found) == {Found(ALMA, "/ip4/127.0.0.1/tcp/4001"), Found(BRUNO, "/ip4/127.0.0.1/tcp/4002")}
