"""The supervisor: forks node processes from one preloaded parent, watches them, restarts who dies, ends them all.

It runs no threads and no event loop of its own, so that it may fork at any moment.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from troth_node.agent import Json
from troth_node.swarm.scenario import NodePlan, Plan
from troth_protocol.errors import TrothError

STOP_GRACE_S: Final = 4.0
RESTARTS_MAX: Final = 5
READ_BYTES: Final = 65_536


class SwarmError(TrothError):
    """A swarm that cannot go on; one line that says why."""


@dataclass
class Process:
    """One node process."""

    plan: NodePlan
    home: Path
    pid: int = 0
    control: int = -1
    status: int = -1
    buffer: bytes = b""
    address: str = ""
    epoch: int = 0
    restarts: int = 0
    is_done: bool = False
    report: dict[str, Json] = field(default_factory=dict)
    market: dict[str, int] = field(default_factory=dict)
    fault: str = ""


#: Runs a node in its own process; like `child.main`.
Main = Callable[..., NoReturn]
#: What the supervisor tells its audience: the process and one status line of it.
Audience = Callable[[Process, dict[str, Json]], None]


class Supervisor:
    """All node processes of one swarm."""

    def __init__(
        self,
        plan: Plan,
        directory: Path,
        audience: Audience,
        *,
        main: Main | None = None,
        restarts_max: int = RESTARTS_MAX,
    ) -> None:
        self.plan = plan
        self.main = main
        self.restarts_max = restarts_max
        self.audience = audience
        self.processes = [Process(node, directory / node.name) for node in plan.nodes]
        self.is_stopping = False
        self._selector = selectors.DefaultSelector()

    def start(self) -> None:
        """Fork all nodes."""
        for process in self.processes:
            self._fork(process)

    def _fork(self, process: Process) -> None:
        from troth_node.swarm.child import Pipes, main  # noqa: PLC0415 - heavy; preloaded by the caller

        control_read, control_write = os.pipe()
        status_read, status_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._close_inherited()
            os.close(control_write)
            os.close(status_read)
            (self.main or main)(self.plan, process.plan, process.home, Pipes(control_read, status_write))
        os.close(control_read)
        os.close(status_write)
        os.set_blocking(status_read, False)
        process.pid, process.control, process.status = pid, control_write, status_read
        process.address, process.buffer, process.fault = "", b"", ""
        self._selector.register(status_read, selectors.EVENT_READ, process)

    def _close_inherited(self) -> None:
        for other in self.processes:
            for descriptor in (other.control, other.status):
                if descriptor >= 0:
                    with suppress(OSError):
                        os.close(descriptor)

    def poll(self, timeout_s: float) -> None:
        """Read what the nodes say, notice who ended; SwarmError if one keeps dying."""
        for key, _ in self._selector.select(timeout_s):
            self._read(key.data)
        self._reap()

    def _read(self, process: Process) -> None:
        try:
            data = os.read(process.status, READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(process.status)
            os.close(process.status)
            process.status = -1
            return
        *lines, process.buffer = (process.buffer + data).split(b"\n")
        for line in lines:
            self._heard(process, json.loads(line))

    def _heard(self, process: Process, line: dict[str, Json]) -> None:
        match line.get("event"):
            case "up":
                process.address = str(line["address"])
                self._send_rosters()
            case "epoch":
                process.epoch = max(process.epoch, int(str(line["epoch"])))
            case "done":
                process.is_done = True
                report = line.get("report")
                process.report = report if isinstance(report, dict) else {}
                market = line.get("market")
                counts = market.items() if isinstance(market, dict) else ()
                process.market = {key: int(str(count)) for key, count in counts}
            case "fault":
                process.fault = str(line.get("reason"))
            case _:
                pass
        self.audience(process, line)

    def _send_rosters(self) -> None:
        """Once everybody is up, and again whenever somebody has come back on another port."""
        if not all(process.address for process in self.processes):
            return
        roster = {
            process.plan.name: {
                "key": process.plan.keys.public.hex(),
                "address": process.address,
                "role": process.plan.role,
                "witness": "yes" if process.plan.witness else "no",
            }
            for process in self.processes
        }
        data = json.dumps({"roster": roster}).encode() + b"\n"
        for process in self.processes:
            with suppress(OSError):
                os.write(process.control, data)

    def _reap(self) -> None:
        for process in self.processes:
            if not process.pid:
                continue
            pid, status = os.waitpid(process.pid, os.WNOHANG)
            if pid:
                self._ended(process, os.waitstatus_to_exitcode(status))

    def _ended(self, process: Process, code: int) -> None:
        while process.status >= 0:  # its end of the pipe is closed: read what it still said
            self._read(process)
        self._drop_pipes(process)
        process.pid = 0
        if self.is_stopping:
            return
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        self.audience(process, {"event": "ended", "how": how, "reason": process.fault})
        if process.restarts >= self.restarts_max or (code > 0 and not process.epoch):
            raise SwarmError(
                f"node {process.plan.name} ended with {how}. {process.fault} See {process.home}/node.log"
            )
        process.restarts += 1
        self._fork(process)

    def _drop_pipes(self, process: Process) -> None:
        if process.status >= 0:
            self._selector.unregister(process.status)
            os.close(process.status)
        with suppress(OSError):
            os.close(process.control)
        process.status = process.control = -1

    def is_up(self) -> bool:
        """Has every node told its address?"""
        return all(process.address for process in self.processes)

    def is_done(self) -> bool:
        """Has every node seen the last epoch sealed?"""
        return all(process.is_done for process in self.processes)

    def stop(self) -> None:
        """End every node: politely, then not."""
        self.is_stopping = True
        for process in self.processes:
            self._signal(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_GRACE_S
        while any(process.pid for process in self.processes) and time.monotonic() < deadline:
            self.poll(0.05)
        for process in self.processes:
            self._signal(process, signal.SIGKILL)
        while any(process.pid for process in self.processes):
            self.poll(0.05)

    def _signal(self, process: Process, number: int) -> None:
        if process.pid:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)
