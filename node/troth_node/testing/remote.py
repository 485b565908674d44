"""A real node process without sockets: runtime, disk and core as they are, driven command by command over a socket.

`python -m troth_node.testing.remote` is the nursery of such processes: one thread, everything imported. For every line
on its input it forks a node and, when that has ended, prints the node's exit status. The node connects to the address
that the line gives and obeys: frames and links arrive, time passes. It answers each command with what it sends and then
with a mark that it is at rest, so a run on virtual time is the same every time, up to the point where it is killed.
"""

from __future__ import annotations

import json
import math
import os
import random
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import trio
from trio.testing import wait_all_tasks_blocked

from troth_node.runtime import Disk, Runtime
from troth_node.storage.home import Home
from troth_node.testing.actor import Actor, Habits
from troth_node.testing.faults import Fault, Points, install
from troth_node.transport.events import Frame, LinkDown, LinkUp
from troth_protocol.core import EpochOpened, Restoring
from troth_protocol.effects import Erase, Persist, Write
from troth_protocol.log.author import Finalized

if TYPE_CHECKING:
    from troth_node.transport.events import Event

KEY_BYTES: Final = 32
_LENGTH: Final = struct.Struct(">I")
TIME_STAMP: Final = struct.Struct(">d")
#: At rest: when the next timer is due, the open epoch, and whether the node may sign.
REST_MARK: Final = struct.Struct(">dI?")

LINK_UP, LINK_DOWN, FRAME, TIME, STOP = b"U", b"D", b"F", b"T", b"Q"
#: LATE is a frame that leaves although a call was refused.
SENT, LATE, FINAL, RESTORING, POINTS, FAULT, REST = b"S", b"L", b"N", b"R", b"P", b"X", b"."


@dataclass(frozen=True)
class Order:
    """What a node process is started with; `address` is where it connects to.

    With the hex of a `genesis` document it makes the home, and that is all.
    """

    home: str
    address: str
    name: str
    seed: int
    life: int
    fault: Fault
    habits: Mapping[str, float]
    is_restored: bool = False
    mistake: str = ""
    genesis: str = ""

    def line(self) -> bytes:
        """As one line of JSON."""
        fields = {**vars(self), "fault": asdict(self.fault), "habits": dict(self.habits)}
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def load(cls, line: str) -> Order:
        """Read the line."""
        fields = json.loads(line)
        return cls(**{**fields, "fault": Fault(**fields["fault"])})


class Wire:
    """Length-prefixed records over a stream socket."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._buffer = bytearray()

    def put(self, kind: bytes, data: bytes = b"") -> None:
        """Write one record."""
        self.end.sendall(_LENGTH.pack(len(data) + 1) + kind + data)

    def get(self) -> tuple[bytes, bytes] | None:
        """Wait for one record; None at the end of the stream, however it ended."""
        head = self._take(_LENGTH.size)
        body = self._take(_LENGTH.unpack(head)[0]) if head is not None else None
        return None if body is None else (body[:1], body[1:])

    def _take(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            try:
                data = self.end.recv(65_536)
            except OSError:
                data = b""
            if not data:
                return None
            self._buffer += data
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


class _Clock(trio.abc.Clock):
    """Stands still until somebody sets it."""

    now = 0.0

    def start_clock(self) -> None:
        """Nothing to start."""

    def current_time(self) -> float:
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return 0.0 if deadline <= self.now else math.inf


class _Network:
    """What the runtime takes for its network: the socket to whoever drives the node."""

    def __init__(self, wire: Wire, clock: _Clock, points: Points) -> None:
        self.runtime: Runtime | None = None
        self.scope = trio.CancelScope()
        self._wire = wire
        self._clock = clock
        self._points = points

    def flush(self) -> None:
        """They have left already."""

    def divert(self, sink: Callable[[Sequence[Event]], bool]) -> None:
        """Whoever drives us decides what comes next."""

    def send(self, peer: bytes, payload: bytes, *, is_corked: bool) -> bool:
        """The bytes leave."""
        self._points.leave()
        self._wire.put(LATE if self._points.failed else SENT, peer + payload)
        return True

    async def next_events(self) -> list[Event]:
        """Whatever the last command led to is done: say so, and wait for the next one."""
        while True:
            await wait_all_tasks_blocked()
            self._rest()
            await trio.lowlevel.wait_readable(self._wire.end.fileno())
            command = self._wire.get()
            if command is None or command[0] == STOP:
                self.scope.cancel()
                await trio.lowlevel.checkpoint()
                return []
            kind, data = command
            self._clock.now = TIME_STAMP.unpack(data[: TIME_STAMP.size])[0]
            rest = data[TIME_STAMP.size :]
            if kind == LINK_UP:
                return [LinkUp(rest)]
            if kind == LINK_DOWN:
                return [LinkDown(rest, "vanished")]
            if kind == FRAME:
                return [Frame(rest[:KEY_BYTES], rest[KEY_BYTES:])]

    def _rest(self) -> None:
        runtime = self.runtime
        assert runtime is not None
        due = runtime._timers.next()  # noqa: SLF001 - whoever drives us lets time pass until then
        core = runtime.core
        self._wire.put(REST, REST_MARK.pack(due, core.epoch, core.check.may_sign()))


class _Fickle(Actor):
    """Pays differently in every life: whatever it forgot to have signed, it signs otherwise."""

    def __init__(self, order: Order) -> None:
        super().__init__(order.seed, order.name, Habits(**order.habits))  # type: ignore[arg-type] # all numbers
        self._life = order.life

    def _rng(self, *about: object) -> random.Random:
        return super()._rng(*about, self._life) if about[0] == "epoch" else super()._rng(*about)


class _Script:
    """Plays the node's agent, and tells what became final."""

    def __init__(self, order: Order, runtime: Runtime, wire: Wire) -> None:
        self._actor = _Fickle(order)
        self._runtime = runtime
        self._wire = wire

    def notice(self, event: object) -> None:
        """One notice of the core."""
        match event:
            case EpochOpened():
                for ops in self._actor.act(self._runtime.core):
                    self._runtime.core.submit(ops)
            case Finalized():
                self._wire.put(FINAL, event.entry)
            case Restoring():
                self._wire.put(RESTORING, event.until.to_bytes(4, "big"))
            case _:
                pass


class _SendsFirst(Runtime):
    """Planted: bytes leave before what they say is on disk, and nobody is asked what they were."""

    async def run(self) -> None:
        self.core.check.is_news = lambda entry: False  # type: ignore[method-assign] # noqa: ARG005 - planted
        await super().run()

    def _carry_out(self) -> None:
        while effects := self.core.drain():
            for effect in effects:
                self._apply(effect)
            self.disk.commit([effect for effect in effects if isinstance(effect, Persist | Erase)])


class _Forgets(Disk):
    """Planted: what is signed as a witness is not kept."""

    def commit(self, writes: Sequence[Write]) -> None:
        super().commit([write for write in writes if write.table not in ("votes", "ballots")])


#: Mistakes that a node can be started with, to see that the kit finds them.
MISTAKES: Final[Mapping[str, tuple[type[Disk], type[Runtime]]]] = {
    "": (Disk, Runtime),
    "sends first": (Disk, _SendsFirst),
    "forgets": (_Forgets, Runtime),
}


def _run(order: Order, wire: Wire, points: Points) -> None:
    """The life of a node, as `single.run_single` lives it."""
    if order.genesis:
        Home.create(Path(order.home), None, bytes.fromhex(order.genesis)).close()
        return
    make_disk, make_runtime = MISTAKES[order.mistake]
    disk = make_disk.open(Home.open(Path(order.home)), is_restored=order.is_restored)
    try:
        clock = _Clock()
        network = _Network(wire, clock, points)
        runtime = make_runtime(disk, network, order.name, (), is_restored=order.is_restored)  # type: ignore[arg-type]
        network.runtime = runtime
        runtime.listeners.append(_Script(order, runtime, wire))
        trio.run(_serve, runtime, network, clock=clock)
    finally:
        disk.close()


async def _serve(runtime: Runtime, network: _Network) -> None:
    with network.scope:
        await runtime.run()


def _node(order: Order) -> NoReturn:
    """In the forked process: live, say why not if not, end."""
    code = 1
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(order.address)
        wire, points = Wire(end), Points(order.fault)
        try:
            install(points)
            _run(order, wire, points)
            code = 0
        except BaseException as error:  # noqa: BLE001 - whoever drives us judges it
            with suppress(OSError):
                wire.put(FAULT, _line(error).encode())
        with suppress(OSError):
            wire.put(POINTS, json.dumps([points.count, points.failed, points.names]).encode())
    os._exit(code)


def _line(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def main() -> None:
    """Fork a node for every line."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _node(Order.load(line))
        _, status = os.waitpid(pid, 0)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
