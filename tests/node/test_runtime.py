"""The shell around the core: what is answered at once, what waits for company, and how it ends."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
import trio

from troth_node.garbage import NEW_OBJECTS
from troth_node.runtime import REST_S, Disk, Runtime
from troth_node.storage.home import Home
from troth_node.testing.samples import sample_genesis, seed
from troth_node.transport.events import Event, Frame
from troth_node.transport.network import Network
from troth_protocol.core import Core
from troth_protocol.errors import TrothError
from troth_protocol.wire.crypto import KeyPair
from troth_protocol.wire.messages import MESSAGES, Head, WantHead

PEER = KeyPair(seed(1)).public
QUESTION = Frame(PEER, MESSAGES.encode(WantHead(bytes(32))))


class Line:
    """A network of which a test holds the other end."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.offer: Callable[[Sequence[Event]], bool] | None = None
        self.arrive, self._events = trio.open_memory_channel[Event](10)

    def send(self, peer: bytes, payload: bytes, *, is_corked: bool) -> bool:
        self.sent.append(payload)
        return True

    def flush(self) -> None:
        pass

    def divert(self, sink: Callable[[Sequence[Event]], bool]) -> None:
        self.offer = sink

    async def next_events(self) -> list[Event]:
        return [await self._events.receive()]


@pytest.fixture(autouse=True)
def own_process() -> Iterator[None]:
    """A home sets the umask of its process, a runtime its collector; both are put back."""
    umask, threshold = os.umask(0o022), gc.get_threshold()
    yield
    os.umask(umask)
    gc.set_threshold(*threshold)
    gc.unfreeze()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    home = tmp_path / "home"
    Home.create(home, seed(0), sample_genesis(5, 4).encode()).close()
    with closing(Disk.open(Home.open(home))) as disk:
        yield disk


@pytest.fixture
async def line(disk: Disk, mock_clock: trio.testing.MockClock) -> Line:
    return Line()


def damaged(_core: Core, _peer: bytes, _payload: bytes) -> None:
    raise TrothError("rows are damaged")


async def running(nursery: trio.Nursery, disk: Disk, line: Line) -> Runtime:
    runtime = Runtime(disk, cast(Network, line), "n", ())
    nursery.start_soon(runtime.run)
    await trio.testing.wait_all_tasks_blocked()
    line.sent.clear()
    return runtime


async def test_a_frame_that_comes_alone_is_answered_at_once(disk, line, mock_clock) -> None:
    async with trio.open_nursery() as nursery:
        await running(nursery, disk, line)
        mock_clock.jump(REST_S)
        assert line.offer([QUESTION])
        assert [type(MESSAGES.decode(payload)) for payload in line.sent] == [Head]
        nursery.cancel_scope.cancel()


async def test_frames_soon_after_a_write_wait_for_the_next_one(disk, line, mock_clock) -> None:
    async with trio.open_nursery() as nursery:
        runtime = await running(nursery, disk, line)
        mock_clock.jump(REST_S)
        assert line.offer([QUESTION])
        assert line.offer([QUESTION]), "nothing was written for the first one"
        runtime.core.out.persist("duties", b"key", b"value")
        assert line.offer([QUESTION])
        assert not line.offer([QUESTION])
        await line.arrive.send(QUESTION)
        await trio.testing.wait_all_tasks_blocked()
        assert len(line.sent) == 4
        mock_clock.jump(REST_S)
        assert line.offer([QUESTION])
        nursery.cancel_scope.cancel()


async def test_a_fault_in_the_midst_of_a_peers_frame_ends_the_node(
    disk, line, mock_clock, monkeypatch
) -> None:
    monkeypatch.setattr(Core, "frame", damaged)
    with pytest.RaisesGroup(pytest.RaisesExc(TrothError, match="rows are damaged"), flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            await running(nursery, disk, line)
            mock_clock.jump(REST_S)
            assert line.offer([QUESTION]), "the peer's own task goes on"


async def test_after_a_fault_nothing_is_carried_out(disk, line, mock_clock, monkeypatch) -> None:
    monkeypatch.setattr(Core, "frame", damaged)
    runtime = Runtime(disk, cast(Network, line), "n", ())
    runtime.core.start()
    runtime.core.link_up(PEER)  # a hello is due
    assert runtime._take([QUESTION])
    with pytest.raises(TrothError, match="rows are damaged"):
        runtime._carry_out()
    assert line.sent == []


async def test_the_collector_looks_seldom(disk, line) -> None:
    async with trio.open_nursery() as nursery:
        await running(nursery, disk, line)
        assert gc.get_threshold()[0] == NEW_OBJECTS
        nursery.cancel_scope.cancel()
