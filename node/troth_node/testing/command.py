"""Driving the real `troth` command from tests: start it, read what it says, kill what it started."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

TROTH: Final = Path(sys.executable).with_name("troth")
LIMIT_S: Final = 300
POLL_S: Final = 0.02


class Command:
    """A running `troth` command."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [TROTH, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []

    def until(self, text: str) -> str:
        """Read lines until one holds this text; fails if the command ends first."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"never said {text!r}:\n{''.join(self.lines)}")

    def finish(self) -> str:
        """Everything it says until it ends."""
        rest, _ = self.process.communicate(timeout=LIMIT_S)
        return "".join(self.lines) + rest

    def stop(self) -> None:
        """End it, if it has not."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.process.stdout is not None and not self.process.stdout.closed:
            self.process.communicate()


def troth(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(  # noqa: S603 - our own command
        [TROTH, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def pid_of(home: Path) -> int:
    """The process that holds a node's home."""
    return int((home / "lock").read_text().split()[0])


def is_running(pid: int) -> bool:
    """Does a process exist (and is no zombie)?"""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_gone(pid: int, limit_s: float) -> bool:
    """Wait for a process to end; False if it has not within the limit."""
    deadline = time.monotonic() + limit_s
    while is_running(pid):
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], POLL_S)
    return True
