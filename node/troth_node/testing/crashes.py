"""One node of a simulated network is a real process on a real disk, and dies or is refused at a point that is chosen.

Everybody else is a core in memory (`trial.Trial`); whatever the process sends is recorded like what they send, and its
store takes part in the same checks as theirs. A `CrashTrial` ends with the audit of the real store.
"""

from __future__ import annotations

import math
import os
import random
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast

from troth_node.audit import audit_store, replay
from troth_node.runtime import Archive
from troth_node.storage.home import Home
from troth_node.storage.store import Store
from troth_node.testing.actor import Actor, Habits
from troth_node.testing.driver import Life, Nursery, Remote
from troth_node.testing.faults import Fault
from troth_node.testing.remote import Order
from troth_node.testing.trial import Options, Trial
from troth_node.testing.world import Disk, SimNode
from troth_protocol.core import Core, EpochOpened, Profile
from troth_protocol.effects import TABLES
from troth_protocol.genesis import Genesis
from troth_protocol.log.entry import Entry, make_entry
from troth_protocol.log.ops import Transfer
from troth_protocol.wire.crypto import KeyPair
from troth_protocol.wire.messages import MESSAGES, Submit

#: Everybody works, nobody changes the witness set.
HABITS: Final = Habits(rebond=0.0, forget=0.0)
#: The epoch at whose opening the first process is stopped politely, and the one that all must reach.
PAUSE_EPOCH: Final = 3
LAST_EPOCH: Final = 5
LIMIT_MS: Final = 20_000
AUTHORS: Final = 2
#: Hostile authors, each at work in one epoch of its own.
TEMPTERS: Final = 3
TEMPT_MS: Final = 5
#: Places in a trial.
WITNESS: Final = 0
AUTHOR: Final = 4
#: The second and third kill of a trial come within so many points of a start.
LATER_POINTS: Final = 400
DOWN_MS: Final = (20, 120)


class CrashTrial(Trial):
    """A run in which the node at one place is a process. `lives` tells how its processes fared, in order."""

    def __init__(
        self,
        seed: int,
        place: int,
        directory: Path,
        nursery: Nursery,
        faults: Sequence[Fault] = (),
        *,
        mistake: str = "",
    ) -> None:
        super().__init__(Options(seed, authors=AUTHORS + TEMPTERS))
        self.tempters = [Tempter(self.world.nodes[key].keys) for key in self.keys[-TEMPTERS:]]
        self.hostile = {tempter.keys.public for tempter in self.tempters}
        self.honest = [key for key in self.keys if key not in self.hostile]
        self.mistake = mistake
        self.place = place
        self.victim = self.world.nodes[self.keys[place]]
        self.home = directory / "home"
        self.nursery = nursery
        self.faults = list(faults)
        self.has_paused = True  # only `run` pauses by itself
        self.lives: list[Life] = []
        self.address = str(directory / "wire")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.address)
        self.listener.listen()
        self.actors = {key: Actor(seed, self.world.nodes[key].name, HABITS) for key in self.honest}
        self.actors |= {key: Actor(seed, "nobody", Habits(0, 0, 0, 0)) for key in self.hostile}
        self.world.makers[self.victim.keys.public] = self._make
        Home.create(self.home, self.victim.keys.seed, self.world.genesis.encode()).close()

    # The run

    def run(self) -> None:
        """Some epochs of work through all faults, then the checks."""
        self.has_paused = False
        self.begin()
        self.finish(LAST_EPOCH)

    def begin(self) -> None:
        """Everybody starts."""
        self._set_up()

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Let time pass; AssertionError if what is waited for does not come."""
        done = self.world.run(condition, LIMIT_MS)
        assert done, f"{what} never came; epochs {[core.epoch for core in self.cores()]}"

    def until_epoch(self, epoch: int) -> None:
        """Let time pass until this epoch is open at the process."""
        self.until(lambda: self.remote is not None and self.remote.epoch >= epoch, f"epoch {epoch}")

    def while_down(self, action: Callable[[], None], *, is_restored: bool = False) -> None:
        """Stop the process politely, do something to its home, start it again."""
        remote = self.remote
        assert remote is not None
        remote.stop()
        self.world.lose(self.victim)
        action()
        self.victim.is_restored = is_restored
        self._restart(self.victim)

    def finish(self, epoch: int) -> None:
        """Once this epoch is open everywhere and the process may sign: the checks."""
        self.until(lambda: self._is_done(epoch), f"epoch {epoch} with all at work")
        self.check()

    def _is_done(self, epoch: int) -> bool:
        remote = self.remote
        ready = remote is not None and remote.may_sign and remote.epoch >= epoch
        return ready and all(core.epoch >= epoch for core in self.cores())

    def rested(self, epoch: int) -> None:
        """Once, if nothing happened before: end the process as its operator would, and start it again."""
        if epoch >= PAUSE_EPOCH and not self.has_paused and len(self.lives) == 1:
            self.has_paused = True
            self.world.at(0, self._pause)

    def _pause(self) -> None:
        remote = self.remote
        if remote is not None:
            remote.stop()
            self.world.flush(self.victim)

    def _notice(self, node: SimNode, event: object) -> None:
        super()._notice(node, event)
        key = node.keys.public
        if isinstance(event, EpochOpened) and node.core is not None and key in self.hostile:
            number = self.keys[-TEMPTERS:].index(key)
            if event.epoch == number + 1:
                entry = self.tempters[number].open(node.core, self.keys)
                self.recorder.headers[entry.id] = entry.header
                for member in node.core.chain.committee.members:
                    self.world.carry(key, member.key, MESSAGES.encode(Submit(entry.data)))

    def _tempt(self) -> None:
        """Show the process that came back other entries at places where it may have voted before."""
        for tempter in self.tempters if len(self.lives) > 1 else ():
            for entry in tempter.others(self.keys):
                self.recorder.headers[entry.id] = entry.header
                frame = MESSAGES.encode(Submit(entry.data))
                self.world.carry(tempter.keys.public, self.victim.keys.public, frame)

    # The process

    def _make(self, node: SimNode) -> Core:
        """Start it, and start it again if its fault is due before it is up."""
        while True:
            life = Life(self.faults.pop(0) if self.faults else Fault())
            self.lives.append(life)
            remote = Remote(self, node, life)
            self.world.at(TEMPT_MS, self._tempt)
            if life.code is None:
                return cast(Core, remote)
            assert life.fault.kind != "none", f"the node does not start: {life.reason}"

    def order(self, life: Life) -> Order:
        """What the process is started with."""
        return Order(
            str(self.home),
            self.address,
            self.victim.name,
            self.options.seed,
            len(self.lives),
            life.fault,
            {name: getattr(HABITS, name) for name in Habits.__slots__},
            self.victim.is_restored,
            self.mistake,
        )

    @property
    def remote(self) -> Remote | None:
        """The running process."""
        return cast("Remote | None", self.victim.core)

    def died(self, node: SimNode) -> None:
        """The process has ended by itself: its supervisor will start it again."""
        self.world.lose(node)
        self.world.at(self._rng.randint(*DOWN_MS), lambda: self._restart(node))

    def wake_later(self, node: SimNode, due_s: float) -> None:
        """Its next timer is due then."""
        starts = node.starts

        def wake() -> None:
            remote = self.remote
            if remote is not None and node.starts == starts and remote.due == due_s:
                remote.wake()
                self.world.flush(node)

        self.world.at(max(0, math.ceil(due_s * 1000) - self.world.now_ms), wake)

    def stop(self) -> None:
        """End the process politely and take its store for its disk."""
        remote = self.remote
        if remote is not None:
            remote.stop()
            self.world.lose(self.victim)
        self.victim.disk = read_disk(self.home)

    def close(self) -> None:
        """Whatever happened: no process stays."""
        remote = self.remote
        if remote is not None:
            remote.stop()
        self.listener.close()

    # What must hold

    def check(self) -> None:
        """Every promise, the real store among the disks of the honest, and its audit."""
        self.stop()
        genesis = self.world.genesis
        profile = Profile(self.victim.name, (), "sim", bytes(32))
        self.victim.core = Core(genesis, self.victim.keys, self.victim.disk, profile)
        super().check()
        check_audit(self.home, genesis)
        self.victim.core = None


class Tempter:
    """An author that asks all witnesses for a vote once, and later one of them for a vote on something else."""

    def __init__(self, keys: KeyPair) -> None:
        self.keys = keys
        self._first: Entry | None = None
        self._core: Core | None = None

    def open(self, core: Core, keys: Sequence[bytes]) -> Entry:
        """The entry that everybody is asked to vote for."""
        self._core = core
        self._first = self._make(core, keys[0], b"first")
        return self._first

    def others(self, keys: Sequence[bytes]) -> list[Entry]:
        """Other entries at that place, as long as it is of the open epoch."""
        core, first = self._core, self._first
        if core is None or first is None or core.epoch != first.header.epoch:
            return []
        return [self._make(core, key, b"other") for key in keys[:2]]

    def _make(self, core: Core, to: bytes, ref: bytes) -> Entry:
        account = core.chain.state.account(self.keys.public)
        return make_entry(
            self.keys,
            core.chain.network,
            incarnation=account.incarnation,
            epoch=core.epoch,
            seq=account.seq + 1,
            prev=account.head,
            deps=[],
            ops=[Transfer(to, 1, ref)],
        )


def check_audit(home: Path, genesis: Genesis) -> None:
    """The audit of a home's store passes, and every close executed again gives its state."""
    path = home / "store.sqlite"
    audit = audit_store(path, genesis, home.name)
    assert audit.is_ok, audit.problems
    if audit.seals == audit.epoch:  # else it jumped over closes: nothing to execute
        assert replay(path, genesis).state.root() == audit.state_root


def read_disk(home: Path) -> Disk:
    """A home's store, in memory."""
    disk = Disk()
    with Store.open(home / "store.sqlite", TABLES) as store:
        archive = Archive(store)
        disk.tables = {table: dict(archive.scan(table, b"")) for table in TABLES}
    return disk


def play(
    nursery: Nursery, seed: int, place: int, faults: Sequence[Fault] = (), *, mistake: str = ""
) -> list[Life]:
    """A whole trial in a directory of its own; a failure says how to run it again."""
    with tempfile.TemporaryDirectory(prefix="troth-", dir=place_for_homes()) as directory:
        trial = CrashTrial(seed, place, Path(directory), nursery, faults, mistake=mistake)
        try:
            trial.run()
        except Exception as error:
            again = f"play(nursery, {seed}, {place}, {list(faults)}, mistake={mistake!r})"
            raise AssertionError(f"{error} -- again with {again}") from error
        finally:
            trial.close()
    return trial.lives


def place_for_homes() -> str | None:
    """Memory, where there is some: a kill leaves what the kernel holds, so the tests need no platter to wait for."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a directory of our own is made there


def kills(seed: int, at: int) -> list[Fault]:
    """A first kill at a point, and two more at random ones of the lives that follow."""
    rng = random.Random(f"{seed}/{at}")
    return [Fault("kill", at), *(Fault("kill", rng.randint(1, LATER_POINTS)) for _ in range(2))]
