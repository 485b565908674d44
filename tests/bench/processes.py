"""Child processes that do as they are told: one JSON line each way over a socket, forked from a preloaded parent.

The parent runs no threads and no event loop, so that it may fork at any moment; a child whose parent is gone ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

Line = dict[str, Any]
_PR_SET_PDEATHSIG: Final = 1
PATIENCE_S: Final = 60.0
READ_BYTES: Final = 1 << 20


class BenchError(Exception):
    """The bench cannot go on; one line that says why."""


class Child:
    """The parent's end of one child process."""

    _open: Final[set[Child]] = set()

    def __init__(self, name: str, main: Callable[[socket.socket], None]) -> None:
        self.name = name
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            for other in self._open:
                other._control.close()
            _run(main, theirs)
        theirs.close()
        ours.settimeout(PATIENCE_S)
        self._control = ours
        self._buffer = b""
        self._open.add(self)

    def tell(self, what: str, **values: object) -> None:
        """Send an order."""
        with suppress(BrokenPipeError):  # why it ended is what `hear` says
            self._control.sendall(json.dumps({"do": what, **values}).encode() + b"\n")

    def hear(self) -> Line:
        """The next answer; BenchError if the child has ended, failed or does not answer."""
        while b"\n" not in self._buffer:
            try:
                data = self._control.recv(READ_BYTES)
            except TimeoutError:
                raise BenchError(f"{self.name} has not answered for {PATIENCE_S:.0f} s") from None
            if not data:
                raise BenchError(f"{self.name} has ended unasked")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: Line = json.loads(line)
        if "fault" in answer:
            raise BenchError(f"{self.name}: {answer['fault']}")
        return answer

    def ask(self, what: str, **values: object) -> Line:
        """Send an order and wait for the answer."""
        self.tell(what, **values)
        return self.hear()

    def stop(self) -> None:
        """End the process and wait for its end."""
        if self in self._open:
            self._open.discard(self)
            self._control.close()
            os.waitpid(self.pid, 0)

    @classmethod
    def stop_all(cls) -> None:
        """End every child that is left."""
        for child in list(cls._open):
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)
            child.stop()


def ask_all(children: Iterable[Child], what: str, **values: object) -> list[Line]:
    """The same order to several at once, and their answers in the same order."""
    asked = list(children)
    for child in asked:
        child.tell(what, **values)
    return [child.hear() for child in asked]


def reply(control: socket.socket, line: Line) -> None:
    """Answer the parent."""
    with suppress(OSError):
        control.sendall(json.dumps(line).encode() + b"\n")


def _run(main: Callable[[socket.socket], None], control: socket.socket) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        main(control)
    except BaseException as error:  # noqa: BLE001 - the parent must hear of it, whatever it is
        traceback.print_exc()
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        reply(control, {"fault": f"{type(error).__name__}: {error}"})
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
