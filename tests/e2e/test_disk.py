"""One node on a disk that fails or is full, or started twice: the command ends with one line that says what to do.

The small disk is a real one where we may mount one (as root); elsewhere the kernel limits the size of its files.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from troth_node.testing.command import TROTH, troth
from troth_node.testing.samples import sample_genesis

LIMIT_S = 60
SMALL_BYTES = 600 * 1024
LIMIT_BYTES = 4 * 1024
#: The command with a disk that refuses the call at a point.
REFUSING = """
import sys
from troth_node.testing.faults import Fault, Points, install
install(Points(Fault("refuse", int(sys.argv.pop(1)))))
from troth_node.cli import main
main()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that was just made."""
    return make(tmp_path, tmp_path / "home")


def make(tmp_path: Path, home: Path) -> Path:
    genesis = tmp_path / "genesis.bin"
    genesis.write_bytes(sample_genesis(5, 4).encode())
    done = troth("init", str(home), "--genesis", str(genesis))
    assert done.returncode == 0, done.stderr
    return home


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that failed said."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def refused_at(point: int, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", REFUSING, str(point), "node", str(home)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_a_disk_that_refuses_a_call_ends_the_command_with_one_line(home: Path) -> None:
    line = last_line(refused_at(8, home))
    assert line.startswith("troth: ")
    assert "start again" in line


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a disk of 600 KiB, if we may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_BYTES}", "tmpfs", str(place)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    yield place
    if mounted:
        subprocess.run(["umount", str(place)], check=True)  # noqa: S607


def is_small(place: Path) -> bool:
    """Was it mounted?"""
    return shutil.disk_usage(place).total <= SMALL_BYTES


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))


def test_a_full_disk_ends_the_command_with_one_line(small_disk: Path, tmp_path: Path) -> None:
    home = make(tmp_path, small_disk / "home")
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while is_small(small_disk):
            file.write(bytes(4096))
    done = subprocess.run(
        [TROTH, "node", str(home)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        preexec_fn=limit_files,
    )
    line = last_line(done)
    assert "free some space, then start again" in line or "check it, then start again" in line, line
    ballast.unlink()


def test_a_second_start_is_refused_while_the_first_runs(launch: Callable[..., object], home: Path) -> None:
    first = launch("node", str(home))
    first.until("listening")
    line = last_line(troth("node", str(home)))
    assert f"process {first.process.pid}" in line
    assert "stop" in line
