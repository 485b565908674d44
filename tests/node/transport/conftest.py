"""Real networks on loopback, each in a task of its own, and a child process to freeze and to kill."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from troth_node.testing.hostile import HostilePeer, RawPeer
from troth_node.transport.network import Network
from troth_node.transport.settings import Settings

CHILD = Path(__file__).with_name("child.py")
PATIENCE_S = 20
FAST = Settings(
    heartbeat_s=0.5,
    redial_min_s=0.01,
    redial_max_s=0.05,
    head_start_s=0,
    dial_timeout_s=2,
    handshake_timeout_s=1,
)


class Networks:
    """Starts networks for a test, and reads their events with patience."""

    def __init__(self, nursery):
        self._nursery = nursery
        self._running = {}

    async def start(self, name, listen="/ip4/127.0.0.1/tcp/0", **changes):
        """A serving network; its identity follows from `name`."""
        network = Network(name.encode().ljust(32, b"."), listen, replace(FAST, **changes))
        self._running[network] = await self._nursery.start(self._run, network)
        return network

    async def stop(self, network):
        """Let it say goodbye and end."""
        scope, ended = self._running[network]
        scope.cancel()
        await ended.wait()

    @staticmethod
    async def until(network, wanted):
        """Take events up to the first of a class, or the first that equals `wanted`; returns all of them."""
        events = []
        with trio.fail_after(PATIENCE_S):
            while not events or not (events[-1] == wanted or type(events[-1]) is wanted):
                events.append(await network.events.receive())
        return events

    async def _run(self, network, task_status):
        ended = trio.Event()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(network.serve)
                task_status.started((scope, ended))
        ended.set()


async def _eventually(condition):
    """Return once `condition()` is true: for what the library does in tasks of its own, and tells nobody."""
    with trio.fail_after(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await trio.sleep(0.002)


@pytest.fixture
def eventually():
    return _eventually


@pytest.fixture
def networks(nursery):
    return Networks(nursery)


class Hostiles:
    """Dials hostile peers, and closes them at the end of the test."""

    def __init__(self):
        self._peers = []

    async def dial(self, network):
        """TCP only."""
        self._peers.append(await RawPeer.dial(network.addresses[0]))
        return self._peers[-1]

    async def enter(self, network, seed=b"m" * 32):
        """Authenticated, and free to send any Yamux frame."""
        self._peers.append(await HostilePeer.enter(network.addresses[0], network.public, seed))
        return self._peers[-1]

    async def aclose(self):
        for peer in self._peers:
            await peer.aclose()


@pytest.fixture
async def hostiles():
    peers = Hostiles()
    yield peers
    await peers.aclose()


@pytest.fixture
def child():
    """Starts a node in a process of its own: (process, public key, address). Killed at the end of the test."""
    processes = []

    async def start(name, listen="/ip4/127.0.0.1/tcp/0"):
        process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once, and is killed by the fixture
            [sys.executable, str(CHILD), name, listen, str(FAST.heartbeat_s)],
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        line = await trio.to_thread.run_sync(process.stdout.readline)
        public, address = line.split()
        return process, bytes.fromhex(public), address

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()
