"""What is read off a running process and its machine: CPU time, bytes on its sockets, signatures, where time goes.

Every meter only counts up, so that a window is the difference of two readings.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

from troth_node.runtime import Disk
from troth_protocol.effects import Write
from troth_protocol.wire import crypto

_TCP_INFO_BYTES: Final = 136
_TCP_INFO_COUNTED: Final = 120  # tcpi_bytes_acked and tcpi_bytes_received of linux/tcp.h, 64 bits each
SYNCS: Final = 50
SYNC_BYTES: Final = 4_096


class Signatures:
    """Counts what this process signs and verifies from now on."""

    def __init__(self) -> None:
        self.signed = self.verified = 0
        sign, check = crypto.KeyPair.sign, crypto.crypto_sign_open

        def counted_sign(keys: crypto.KeyPair, data: bytes) -> bytes:
            self.signed += 1
            return sign(keys, data)

        def counted_check(message: bytes, public: bytes) -> bytes:
            self.verified += 1
            return check(message, public)

        crypto.KeyPair.sign, crypto.crypto_sign_open = counted_sign, counted_check


class Commits:
    """Counts this process's transactions from now on, and how long they keep everything else waiting."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        commit = Disk.commit

        def timed(disk: Disk, writes: Sequence[Write]) -> None:
            began = time.perf_counter()
            commit(disk, writes)
            self.seconds += time.perf_counter() - began
            self.count += 1

        Disk.commit = timed


def tcp_bytes() -> tuple[int, int]:
    """Bytes that this process's TCP connections have sent (and the peers acknowledged) and received."""
    sent = received = 0
    for entry in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):
            if entry.readlink().name.startswith("socket:"):
                acked, got = _tcp_counted(int(entry.name))
                sent, received = sent + acked, received + got
    return sent, received


def _tcp_counted(descriptor: int) -> tuple[int, int]:
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        info = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    acked, got = struct.unpack_from("=QQ", info, _TCP_INFO_COUNTED)
    return acked, got


def machine_busy_s() -> float:
    """CPU seconds that all processes of this machine have used since it started."""
    fields = [int(field) for field in Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


def sync_ms(directory: Path) -> float:
    """The median time of writing and syncing one page in a directory."""
    took = []
    path = directory / "sync"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    for _ in range(SYNCS):
        began = time.perf_counter()
        os.write(descriptor, b"x" * SYNC_BYTES)
        os.fsync(descriptor)
        took.append((time.perf_counter() - began) * 1e3)
    os.close(descriptor)
    path.unlink()
    return sorted(took)[SYNCS // 2]


class Profiler:
    """Samples this process each time it has used some more CPU, and names functions of the packages of interest.

    A sample is the own time of the innermost frame of ours, trio's or libp2p's (what the C code below it costs is its
    cost), and is in the total of every such frame that it was called from.
    """

    INTERVAL_S: Final = 0.002
    PACKAGES: Final = ("troth_protocol", "troth_node", "libp2p", "trio")
    #: SQLite calls this in the middle of a commit: a sample that finds it there was waiting for the commit.
    CALLBACKS: Final = ("_note_log_pages",)

    def __init__(self) -> None:
        self.own: Counter[str] = Counter()
        self.total: Counter[str] = Counter()
        self._names: dict[object, str | None] = {}

    def start(self) -> None:
        """Sample from now on."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, self.INTERVAL_S, self.INTERVAL_S)

    def stop(self) -> dict[str, dict[str, int]]:
        """Samples by `file:function`: own and total."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        return {"own": dict(self.own), "total": dict(self.total)}

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        found: list[str] = []
        while frame is not None:
            code = frame.f_code
            if code not in self._names:
                self._names[code] = self._name(code.co_filename, code.co_name)
            name = self._names[code]
            if name is not None:
                found.append(name)
            frame = frame.f_back
        self.own[found[0] if found else "elsewhere"] += 1
        self.total.update(set(found))

    def _name(self, file: str, function: str) -> str | None:
        parts = Path(file).parts
        if function in self.CALLBACKS:
            return None
        for package in self.PACKAGES:
            if package in parts:
                at = len(parts) - 1 - parts[::-1].index(package)
                return f"{'/'.join(parts[at:])}:{function}"
        return None
