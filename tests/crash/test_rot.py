"""One flipped bit anywhere in a home: the node notices before it signs, says what to do, or nothing was harmed.

What the store holds after a start is compared row by row with what was written. A flip is found if the start is refused
with one line, or if the node enters restore mode; it is harmless if every row is as it was, or if only rows are gone
on which no promise rests (a flip in the log undoes what came after it; the guard tells if that was more).
"""

from __future__ import annotations

import random
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from troth_node.runtime import Archive, Disk
from troth_node.storage.home import Home
from troth_node.testing.crashes import WITNESS, CrashTrial, place_for_homes
from troth_node.testing.driver import Nursery
from troth_node.testing.faults import Fault
from troth_protocol.core import Core, Profile
from troth_protocol.effects import TABLES
from troth_protocol.errors import Invalid, TrothError

SEED = 7
FLIPS = 150
#: Killed in the middle of a commit, so that the guard counts all commits before it.
HISTORIES = {"stopped": [], "killed": [Fault("kill", 400, "write store-wal")]}
PROMISES = ("own", "votes", "ballots", "close", "entries")
Rows = dict[str, dict[bytes, bytes]]
#: What the line says that a damaged file earns: which file, and what to do.
ADVICE = {
    "store.sqlite": r"store.sqlite: .*(rebuilds it from its peers|move the file away|move it away|start a newer version"
    r"|restore a backup|locked)",
    "guard": r"guard: damaged; remove it and start the node as restored",
    "key": r"key: .*(put back a copy of the key file|start a newer version)",
    "genesis.bin": r"genesis.bin: (not the document of|no genesis document).*; put back .*network's genesis file",
}


class Rotting:
    """A home whose files are put back, but for one bit, before every start."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.pristine = {file.name: file.read_bytes() for file in home.iterdir() if file.name != "lock"}
        self.rows = self.start()[0]

    def start(self) -> tuple[Rows, bool]:
        """The rows that a start finds, and whether it is in restore mode; TrothError if it is refused."""
        with Home.open(self.home) as home:
            disk = Disk.open(home)
            try:
                is_restored = disk.is_restored()
                archive = Archive(disk.store)
                core = Core(disk.genesis, home.key, archive, Profile("n", (), "test", bytes(32)))
                core.check.clear()
                return {table: dict(archive.scan(table, b"")) for table in TABLES}, is_restored
            finally:
                disk.close()

    def flip(self, name: str, bit: int) -> str:
        """Start with one bit flipped: what came of it."""
        for file in set(self.home.iterdir()) - {self.home / "lock"}:
            if file.name not in self.pristine:
                file.unlink()
        for other, data in self.pristine.items():
            (self.home / other).write_bytes(data)
        data = bytearray(self.pristine[name])
        data[bit // 8] ^= 1 << bit % 8
        (self.home / name).write_bytes(data)
        try:
            rows, is_restored = self.start()
        except (TrothError, Invalid) as error:
            return f"refused: {error}"
        if is_restored:
            return "restore mode"
        if rows == self.rows:
            return "harmless"
        return "nothing promised is gone" if self._keeps_promises(rows) else "NOT NOTICED"

    def _keeps_promises(self, rows: Rows) -> bool:
        return all(self.rows[table].items() <= rows[table].items() for table in PROMISES)


@pytest.fixture(scope="module")
def homes(nursery: Nursery) -> Iterator[dict[str, Rotting]]:
    """Two homes: one that was stopped politely, and one that was killed with a full log."""
    with ExitStack() as stack:
        yield {name: rotting(stack, nursery, faults) for name, faults in HISTORIES.items()}


def rotting(stack: ExitStack, nursery: Nursery, faults: list[Fault]) -> Rotting:
    directory = tempfile.TemporaryDirectory(prefix="troth-", dir=place_for_homes())
    trial = CrashTrial(SEED, WITNESS, Path(stack.enter_context(directory)), nursery, faults)
    trial.begin()
    if faults:
        trial.until(lambda: trial.lives[0].code is not None, "the kill")
    else:
        trial.until_epoch(3)
    trial.close()
    return Rotting(trial.home)


def flips(rotting: Rotting, name: str, count: int) -> Counter[str]:
    """Flip seeded bits of a file; how often each thing came of it, by the file that the line names.

    A log is lengthened with zeros ahead of what is written to it: bits behind its last written one are left out.
    """
    size = 8 * len(rotting.pristine[name].rstrip(b"\0"))
    bits = random.Random(f"{SEED}/{name}").sample(range(size), min(count, size))
    came: Counter[str] = Counter()
    for bit in bits:
        found = rotting.flip(name, bit)
        assert found != "NOT NOTICED", f"{name}: bit {bit} of {size}"
        came[found] += 1
    return came


def refusals(came: Counter[str]) -> list[str]:
    lines = [line for line in came if line.startswith("refused: ")]
    assert not any("\n" in line for line in lines)
    return lines


def test_a_flipped_bit_in_the_store_is_found_or_harmless(homes: dict[str, Rotting]) -> None:
    came = flips(homes["stopped"], "store.sqlite", FLIPS)
    assert refusals(came), came
    for line in refusals(came):
        assert re.search(ADVICE["store.sqlite"], line), line


def test_a_flipped_bit_in_the_log_sends_the_node_into_restore_mode(homes: dict[str, Rotting]) -> None:
    came = flips(homes["killed"], "store.sqlite-wal", FLIPS // 2)
    assert came["restore mode"] > 0, came


def test_a_flipped_bit_among_the_zeros_ahead_of_the_log_is_harmless(homes: dict[str, Rotting]) -> None:
    size = len(homes["killed"].pristine["store.sqlite-wal"])
    assert homes["killed"].flip("store.sqlite-wal", 8 * size - 1_000) == "harmless"


@pytest.mark.parametrize("name", ["guard", "key", "genesis.bin", "host"])
def test_a_flipped_bit_in_a_small_file(homes: dict[str, Rotting], name: str) -> None:
    came = flips(homes["stopped"], name, 40)
    if name == "host":
        assert set(came) <= {"restore mode"}
    else:
        assert came["harmless"] + came["restore mode"] == 0 or name == "guard", came
        assert all(re.search(ADVICE[name], line) for line in refusals(came)), came
