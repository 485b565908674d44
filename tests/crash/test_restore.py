"""Old copies of a home: put back whole, in part, or in place; started twice; started elsewhere.

What can be told, the node tells: by the guard, by where the directory is, by what its peers hold of its own log. Then
it signs nothing in the open epoch and the next, and goes on under the next incarnation. Not to be told from here is a
whole home put back in place by a node that has signed nothing as an author in the open epoch, but has as a witness:
nobody keeps a witness's votes for it. That is what `troth node --restored` is for.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from troth_node.runtime import Disk
from troth_node.storage.errors import StorageError
from troth_node.storage.guard import GuardError
from troth_node.storage.home import Home, HomeError
from troth_node.testing.crashes import AUTHOR, WITNESS, CrashTrial, place_for_homes
from troth_node.testing.driver import Nursery
from troth_node.testing.faults import Fault

PLACES = pytest.mark.parametrize("place", [WITNESS, AUTHOR], ids=["witness", "author"])
#: Epochs: the backup is made, it is put back, the run ends.
MADE, BACK, LAST = 2, 4, 8
KILLED = -9


@pytest.fixture
def begin(nursery: Nursery) -> Iterator[Callable[[int], CrashTrial]]:
    """A trial that has begun; its process is ended with the test."""
    with ExitStack() as stack:

        def start(place: int) -> CrashTrial:
            directory = tempfile.TemporaryDirectory(prefix="troth-", dir=place_for_homes())
            trial = CrashTrial(3, place, Path(stack.enter_context(directory)), nursery)
            stack.callback(trial.close)
            trial.begin()
            return trial

        yield start


class Backup:
    """A copy of a home, made while its node is down."""

    def __init__(self, trial: CrashTrial) -> None:
        self.home = trial.home
        self.copy = trial.home.with_name("backup")
        trial.until_epoch(MADE)
        trial.while_down(lambda: shutil.copytree(self.home, self.copy))
        trial.until_epoch(BACK)

    def put_back(self) -> None:
        """As `rm -r` and `cp -a` do."""
        shutil.rmtree(self.home)
        shutil.copytree(self.copy, self.home)

    def put_back_store(self) -> None:
        """The store alone, as its documentation says."""
        shutil.copyfile(self.copy / "store.sqlite", self.home / "store.sqlite")

    def put_back_in_place(self) -> None:
        """Every file written over, as `rsync --inplace` does: no file is a new one."""
        for file in self.copy.iterdir():
            (self.home / file.name).write_bytes(file.read_bytes())


def has_signed(trial: CrashTrial) -> bool:
    """Has the node signed an entry in the open epoch?"""
    remote, key = trial.remote, trial.victim.keys.public
    headers = trial.recorder.headers.values()
    return remote is not None and any(h.author == key and h.epoch == remote.epoch for h in headers)


def incarnations(trial: CrashTrial) -> list[int]:
    """Those under which the node has signed entries, in order."""
    key = trial.victim.keys.public
    mine = [header for header in trial.recorder.headers.values() if header.author == key]
    return [header.incarnation for header in sorted(mine, key=lambda h: (h.epoch, h.incarnation))]


@PLACES
@pytest.mark.parametrize("how", ["put_back", "put_back_store", "put_back_in_place"])
def test_an_old_backup_is_noticed_and_the_node_goes_on_under_the_next_incarnation(
    begin, place: int, how: str
):
    trial = begin(place)
    backup = Backup(trial)
    trial.until(lambda: has_signed(trial), "an entry of the open epoch")
    trial.while_down(getattr(backup, how))
    trial.finish(LAST)
    life = trial.lives[-1]
    assert life.restoring, "it did not notice"
    assert min(life.restoring) >= BACK + 2
    assert set(incarnations(trial)) == {0, 1}


@PLACES
def test_a_crash_does_not_end_restore_mode(begin, place: int):
    trial = begin(place)
    backup = Backup(trial)
    trial.faults = [Fault("kill", 60), Fault("kill", 90)]
    trial.while_down(backup.put_back_in_place, is_restored=True)  # declared, but only this time
    trial.victim.is_restored = False
    trial.finish(LAST)
    ended = [life.code for life in trial.lives[2:]]
    assert ended[:2] == [KILLED, KILLED]
    assert trial.lives[-1].restoring, "it forgot that it was restored"


@pytest.mark.parametrize("name", ["write host", "sync host", "rename host"])
def test_a_kill_at_the_end_of_restore_mode_only_prolongs_it(begin, name: str):
    trial = begin(AUTHOR)
    backup = Backup(trial)
    trial.faults = [Fault("kill", 1, name)]
    trial.while_down(backup.put_back)
    trial.finish(LAST)
    assert trial.lives[-2].code == KILLED
    assert trial.lives[-1].restoring


@PLACES
def test_a_store_that_is_moved_away_is_rebuilt_from_the_peers(begin, place: int):
    trial = begin(place)
    trial.until_epoch(BACK)
    trial.while_down((trial.home / "store.sqlite").unlink)
    trial.finish(LAST)
    assert trial.lives[-1].restoring
    assert set(incarnations(trial)) == {0, 1}


def test_a_damaged_guard_is_removed_and_the_node_started_as_restored(begin):
    trial = begin(AUTHOR)
    trial.until_epoch(MADE)

    def damage() -> None:
        (trial.home / "guard").write_bytes(b"troth-guard 1 7 ")
        with (
            Home.open(trial.home) as home,
            pytest.raises(GuardError, match=r"remove it and start .* as restored"),
        ):
            Disk.open(home)
        (trial.home / "guard").unlink()
        with Home.open(trial.home) as home, pytest.raises(GuardError, match="start the node as restored"):
            Disk.open(home)

    trial.while_down(damage, is_restored=True)
    trial.finish(LAST)
    assert trial.lives[-1].restoring


def test_a_second_start_in_the_same_directory_is_refused(begin):
    trial = begin(AUTHOR)
    trial.until_epoch(MADE)
    with pytest.raises(HomeError, match=r"held by process \d+|another process|stop"):
        Home.open(trial.home)
    trial.finish(BACK)


def test_a_copy_started_elsewhere_begins_in_restore_mode(begin):
    trial = begin(WITNESS)
    trial.until_epoch(MADE)
    copy = trial.home.with_name("copy")
    shutil.copytree(trial.home, copy)  # while the first one runs: as torn as it may be
    with Home.open(copy) as home:
        assert home.moved
        with suppress(StorageError), closing(Disk.open(home)) as disk:  # torn: refused; whole: restore mode
            assert disk.is_restored()
    trial.finish(BACK)
