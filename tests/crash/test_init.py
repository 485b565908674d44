"""A home that is being made when the process dies is there whole, or is none and says so: the key comes last."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from troth_node.runtime import Disk
from troth_node.storage.home import Home, HomeError
from troth_node.testing.driver import Nursery
from troth_node.testing.faults import Fault
from troth_node.testing.samples import sample_genesis

GENESIS = sample_genesis(5, 4).encode()
KILLED = -9


def assert_whole_or_none(home: Path) -> None:
    """Whoever starts a node there finds either a node, or one line that says to make one."""
    if (home / "key").exists():
        Disk.open(Home.open(home)).close()
        return
    with pytest.raises(HomeError, match=r"no key file; initialise a node there first|no such directory"):
        Home.open(home)
    try:
        Home.create(home, None, GENESIS).close()
    except HomeError as error:
        assert "choose an empty directory" in str(error)  # noqa: PT017 - it may also succeed


@pytest.mark.parametrize("kind", ["kill", "refuse"])
def test_every_point_of_making_a_home(nursery: Nursery, place: Path, kind: str) -> None:
    ended = []
    for at in count(1):
        home = place / str(at)
        ended.append(nursery.make_home(home, GENESIS, Fault(kind, at)))
        assert_whole_or_none(home)
        if ended[-1] == 0:
            break
    assert len(ended) > 16, "four files, each written, synced, renamed and its name synced"
    assert set(ended[:-1]) == {KILLED if kind == "kill" else 1}
