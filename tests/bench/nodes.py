"""The nodes of a bench: the real runtime, disk and network, driven by orders. A payer hosts the logs that make load."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import structlog
import trio
from fleet import Fleet
from meters import Commits, Profiler, Signatures, tcp_bytes
from processes import Line, reply

from troth_node.runtime import Disk, Runtime
from troth_node.storage.home import Home
from troth_node.transport.network import Network
from troth_protocol.core import EpochOpened, PeerFault
from troth_protocol.log.author import Finalized, Refused
from troth_protocol.log.ops import Transfer
from troth_protocol.log.payee import Credited
from troth_protocol.market.document import Document
from troth_protocol.wire.crypto import KeyPair

READ_BYTES: Final = 65_536
LINK_POLL_S: Final = 0.01


class Node:
    """A node without an agent: a witness, or a payee."""

    def __init__(self, home: Path, control: socket.socket, documents: tuple[Document, ...] = ()) -> None:
        self.signatures = Signatures()
        self.commits = Commits()
        self.profiler = Profiler()
        self.control = control
        self.disk = Disk.open(Home.open(home))
        self.network = Network(self.disk.home.key.seed)
        self.runtime = Runtime(self.disk, self.network, home.name, documents)
        self.runtime.listeners.append(self)
        self.opened = trio.Event()
        self.finals = 0
        self.credits = 0
        self.faults: list[str] = []

    async def run(self) -> None:
        """Until told to stop."""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.network.serve)
                reply(self.control, {"address": self.network.addresses[0]})
                await self._obey_all(nursery)
                nursery.cancel_scope.cancel()
        finally:
            self.disk.close()

    async def _obey_all(self, nursery: trio.Nursery) -> None:
        buffer = b""
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(self.control.dup()))
        async for data in stream:
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                order = json.loads(line)
                nursery.start_soon(self._obey, order.pop("do"), order, nursery)

    async def _obey(self, what: str, order: Line, nursery: trio.Nursery) -> None:
        if what == "join":
            self.begin(nursery)
        reply(self.control, await getattr(self, f"do_{what}")(**order))

    def begin(self, nursery: trio.Nursery) -> None:
        """Start what the node does by itself."""
        nursery.start_soon(self.runtime.run)

    async def do_join(self, roster: dict[str, str]) -> Line:
        """Link to all of these and wait until the first epoch is open here."""
        for key, address in roster.items():
            if bytes.fromhex(key) != self.network.public:
                self.network.connect(bytes.fromhex(key), address)
        wanted = {bytes.fromhex(key) for key in roster} - {self.network.public}
        await self.opened.wait()
        while not wanted <= set(self.network.linked):  # noqa: ASYNC110 - links tell the core, and nobody else
            await trio.sleep(LINK_POLL_S)
        return {"epoch": self.runtime.core.epoch}

    async def do_close(self) -> Line:
        """The pacing timer fires now; answers when the epoch is sealed and the next one open."""
        began = time.perf_counter()
        self.opened = trio.Event()
        self.runtime.core.timer(f"pace:{self.runtime.core.epoch}")
        self.runtime.kick()
        await self.opened.wait()
        return {"epoch": self.runtime.core.epoch, "close_s": time.perf_counter() - began}

    async def do_meter(self) -> Line:
        """Everything counted so far."""
        tcp_out, tcp_in = tcp_bytes()
        peers = self.network.stats.values()
        return {
            "at_s": time.perf_counter(),
            "cpu_s": time.process_time(),
            "signed": self.signatures.signed,
            "verified": self.signatures.verified,
            "commits": self.commits.count,
            "commit_s": self.commits.seconds,
            "finals": self.finals,
            "credits": self.credits,
            "frame_bytes": sum(peer.bytes_out + peer.bytes_in for peer in peers),
            "socket_bytes": tcp_out + tcp_in,
            "frame_bytes_sent": sum(peer.bytes_out for peer in peers),
            "socket_bytes_sent": tcp_out,
            "faults": self.faults[:3],
        }

    async def do_sample(self) -> Line:
        """Start to profile this process."""
        self.profiler.start()
        return {}

    async def do_profile(self) -> Line:
        """What the profile shows."""
        return self.profiler.stop()

    def notice(self, event: object) -> None:
        """What the core says."""
        match event:
            case EpochOpened():
                self.opened.set()
            case Credited():
                self.credits += 1
            case PeerFault():
                self.faults.append(f"{event.code}: {event.detail}")
            case _:
                pass


class Payer(Node):
    """A node that hosts many logs, each with a key of its own, and keeps `depth` entries of each under way."""

    def __init__(
        self, home: Path, control: socket.socket, keys: Sequence[KeyPair], payees: Sequence[bytes]
    ) -> None:
        super().__init__(home, control)
        self.payees = payees
        self.fleet = Fleet(self.runtime.core, keys, self._refill)
        self.active = self.ops = self.depth = 0
        self.settled = [0] * len(keys)
        self.latencies: list[tuple[float, float]] = []
        self._began: list[dict[int, float]] = [{} for _ in keys]
        self._final = trio.Event()

    def _submit(self, log: int) -> None:
        payee = self.payees[(log + self.settled[log]) % len(self.payees)]
        number = self.fleet.submit_to(log, tuple(Transfer(payee, 1, b"") for _ in range(self.ops)))
        self._began[log][number] = time.perf_counter()

    def _refill(self, log: int) -> None:
        if log < self.active and len(self._began[log]) < self.depth and self.fleet.is_free(log):
            self._submit(log)

    def notice(self, event: object) -> None:
        """What the core says; a final entry makes room for the next one."""
        match event:
            case Finalized():
                self._settled(self.fleet.log_of(event.entry), event.number)
            case Refused():
                self.faults.append(f"{event.code}: {event.detail}")
            case _:
                super().notice(event)

    def _settled(self, log: int, number: int) -> None:
        now = time.perf_counter()
        self.finals += 1
        self.settled[log] += 1
        self.latencies.append((now, now - self._began[log].pop(number)))
        self._final.set()
        self._refill(log)

    async def do_load(self, logs: int, ops: int, depth: int) -> Line:
        """Keep so many logs busy from now on."""
        self.active, self.ops, self.depth = logs, ops, depth
        for log in range(logs):
            self._refill(log)
        self.runtime.kick()
        return {}

    async def do_halt(self, since_s: float, until_s: float) -> Line:
        """Sign nothing more; answers when everything is final: the latencies of that window, and how many in all."""
        self.active = 0
        while any(self._began):
            self._final = trio.Event()
            await self._final.wait()
        window = [round(took * 1e3, 4) for at, took in self.latencies if since_s <= at < until_s]
        return {"latencies_ms": window, "settled": self.settled}

    async def do_single(self, count: int) -> Line:
        """Settle one entry of one transfer after the other, alone."""
        self.ops, took = 1, []
        for _ in range(count):
            self._final = trio.Event()
            self._submit(0)
            self.runtime.kick()
            await self._final.wait()
            took.append(round(self.latencies[-1][1] * 1e3, 4))
        return {"latencies_ms": took}


def serve_node(home: Path, control: socket.socket) -> None:
    """The main function of a witness's or payee's process."""
    quiet()
    trio.run(Node(home, control).run)


def serve_payer(home: Path, keys: Sequence[KeyPair], payees: Sequence[bytes], control: socket.socket) -> None:
    """The main function of a payer's process."""
    quiet()
    trio.run(partial(_run_payer, home, control, keys, payees))


async def _run_payer(
    home: Path, control: socket.socket, keys: Sequence[KeyPair], payees: Sequence[bytes]
) -> None:
    await Payer(home, control, keys, payees).run()


def quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
