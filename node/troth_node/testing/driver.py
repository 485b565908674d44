"""Where node processes come from, and what stands for one in the simulated world."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from troth_node.testing.faults import Fault
from troth_node.testing.remote import (
    FAULT,
    FINAL,
    FRAME,
    KEY_BYTES,
    LATE,
    LINK_DOWN,
    LINK_UP,
    POINTS,
    REST,
    REST_MARK,
    RESTORING,
    SENT,
    STOP,
    TIME,
    TIME_STAMP,
    Order,
    Wire,
)
from troth_node.testing.world import SimNode
from troth_protocol.close.light import genesis_committee
from troth_protocol.core import Restoring
from troth_protocol.effects import Effect, Notice, Send
from troth_protocol.log.author import Finalized
from troth_protocol.log.committee import Committee
from troth_protocol.wire.messages import MESSAGES

if TYPE_CHECKING:
    from troth_node.testing.crashes import CrashTrial


START_LIMIT_S: Final = 60.0


class Nursery:
    """The process that node processes are forked from, one at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "troth_node.testing.remote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def start(self, order: Order, listener: socket.socket) -> Wire:
        """Fork a node; the wire to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(order.line())
        self._process.stdin.flush()
        listener.settimeout(START_LIMIT_S)
        end, _ = listener.accept()
        end.settimeout(None)
        return Wire(end)

    def wait(self) -> int:
        """The exit status of the node that has ended; a negative signal number if it was killed."""
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def make_home(self, home: Path, genesis: bytes, fault: Fault) -> int:
        """Make a home in a process with a fault; how the process ended."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(home) + ".wire")
            listener.listen()
            wire = self.start(
                Order(str(home), str(home) + ".wire", "", 0, 0, fault, {}, genesis=genesis.hex()), listener
            )
            while wire.get() is not None:
                pass
            wire.end.close()
        return self.wait()

    def close(self) -> None:
        """No more nodes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.kill()  # it waits for a node that nobody ended, if a test failed
        self._process.wait()


@dataclass(slots=True)
class _View:
    """What `Recorder` asks a core's chain for."""

    network: bytes
    committee: Committee


@dataclass
class Life:
    """One life of the node process: how it ended, and what it passed on the way."""

    fault: Fault
    code: int | None = None
    reason: str = ""
    points: int = 0
    failed: str = ""
    late: int = 0
    names: Counter[str] = field(default_factory=Counter)
    restoring: list[int] = field(default_factory=list)


class Remote:
    """Stands in the world where a core stands, and passes everything on to the process."""

    def __init__(self, trial: CrashTrial, node: SimNode, life: Life) -> None:
        genesis = trial.world.genesis
        self.life = life
        self.epoch = 1
        self.may_sign = False
        self.chain = _View(genesis.network(), genesis_committee(genesis))
        self.witness = None
        self.due = math.inf
        self._trial = trial
        self._node = node
        self._effects: list[Effect] = []
        self._wire = trial.nursery.start(trial.order(life), trial.listener)
        self._listen()

    # What the world does with a core

    def start(self) -> None:
        """It started with its process."""

    def link_up(self, peer: bytes) -> None:
        self._tell(LINK_UP, peer)

    def link_down(self, peer: bytes) -> None:
        self._tell(LINK_DOWN, peer)

    def frame(self, peer: bytes, payload: bytes) -> None:
        self._tell(FRAME, peer + payload)

    def wake(self) -> None:
        """Time has passed."""
        self._tell(TIME, b"")

    def drain(self) -> list[Effect]:
        """What has left since the last call; once the process has ended, the world hears of it."""
        effects, self._effects = self._effects, []
        if not effects and self.life.code is not None:
            self._trial.died(self._node)
        return effects

    def stop(self) -> None:
        """End it politely: the store is closed."""
        self._send(STOP, b"")
        self._listen()
        assert self.life.code is not None

    def _tell(self, kind: bytes, data: bytes) -> None:
        now = max(self._trial.world.now_ms / 1000, self.due if kind == TIME else 0.0)
        self._send(kind, TIME_STAMP.pack(now) + data)
        self._listen()

    def _send(self, kind: bytes, data: bytes) -> None:
        if self.life.code is None:
            try:
                self._wire.put(kind, data)
            except OSError:
                self._ended()

    def _listen(self) -> None:
        """Until it is at rest or at its end."""
        while self.life.code is None:
            record = self._wire.get()
            if record is None:
                self._ended()
                return
            kind, data = record
            if kind == REST:
                self._at_rest(data)
                return
            self._heard(kind, data)

    def _at_rest(self, data: bytes) -> None:
        due, self.epoch, self.may_sign = REST_MARK.unpack(data)
        if due != self.due and math.isfinite(due):
            self._trial.wake_later(self._node, due)
        self.due = due
        self._trial.rested(self.epoch)

    def _heard(self, kind: bytes, data: bytes) -> None:
        if kind in (SENT, LATE):
            self.life.late += kind == LATE
            send = Send(data[:KEY_BYTES], data[KEY_BYTES:])
            self._node.said[id(send)] = MESSAGES.decode(send.payload)
            self._effects.append(send)
        elif kind == FINAL:
            self._effects.append(Notice(Finalized(0, data)))
        elif kind == RESTORING:
            until = int.from_bytes(data, "big")
            self.life.restoring.append(until)
            self._effects.append(Notice(Restoring(until)))
        elif kind == FAULT:
            self.life.reason = data.decode()
        elif kind == POINTS:
            self.life.points, self.life.failed, names = json.loads(data)
            self.life.names = Counter(names)

    def _ended(self) -> None:
        self._wire.end.close()
        self.life.code = self._trial.nursery.wait()
