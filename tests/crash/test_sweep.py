"""A node that dies at a write or a sync, whichever: it never contradicts itself, loses nothing final, and goes on.

The node is a process with its real store and guard; its peers are simulated. `tools/crash.py sweep` visits every point,
these tests every so-many-th; a failure prints how to play it again. README.md lists the points.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import pytest

from troth_node.testing.crashes import AUTHOR, WITNESS, kills, play
from troth_node.testing.driver import Life, Nursery
from troth_node.testing.faults import Fault

README = Path(__file__).with_name("README.md")
SEED = 1
SAMPLES = 9
KILLED = -9
PLACES = pytest.mark.parametrize("place", [WITNESS, AUTHOR], ids=["witness", "author"])


@pytest.fixture(scope="module")
def whole(nursery: Nursery) -> dict[int, list[Life]]:
    """By place, the run in which nothing happens."""
    return {place: play(nursery, SEED, place) for place in (WITNESS, AUTHOR)}


def sample(whole: dict[int, list[Life]], place: int) -> list[int]:
    """Every so-many-th point of the first life, from a seeded offset."""
    last = whole[place][0].points
    step = last // SAMPLES
    first = random.Random(SEED).randint(1, step)
    print(f"seed {SEED}: points {first}, {first + step}, … of {last}")  # noqa: T201 - shown if it fails
    return list(range(first, last + 1, step))


def test_the_readme_lists_every_point(whole: dict[int, list[Life]]) -> None:
    passed = {name for lives in whole.values() for life in lives for name in life.names}
    listed = re.findall(r"^\| `([^`]+)` \|", README.read_text(), re.MULTILINE)
    assert passed <= set(listed)
    assert {name for name in listed if "host" not in name} <= passed, "a point is not passed any more"


@PLACES
def test_a_node_killed_at_a_point_and_at_two_more(nursery: Nursery, whole, place: int) -> None:
    trials = [play(nursery, SEED, place, kills(SEED, at)) for at in sample(whole, place)]
    ended = Counter(life.code for lives in trials for life in lives)
    assert ended[KILLED] >= SAMPLES
    assert set(ended) <= {0, KILLED}


@PLACES
def test_a_refused_write_or_sync_ends_the_node_with_one_line(nursery: Nursery, whole, place: int) -> None:
    for at in sample(whole, place):
        first, *_ = play(nursery, SEED, place, [Fault("refuse", at)])
        if first.failed:
            assert_stopped(first)


def assert_stopped(life: Life) -> None:
    """Nothing left the node after the refusal; its last word says what to do."""
    assert life.code == 1, f"{life.failed} was refused and the node went on"
    assert life.late == 0
    assert re.fullmatch(
        r"(StoreError|GuardError|HomeError): .*"
        r"(the disk is full; free some space|the disk failed to read or write; check it|check the dis[ck]).*",
        life.reason,
    ), life.reason


def is_found(nursery: Nursery, place: int, mistake: str, at: int) -> bool:
    """Does a kill at this point show the mistake?"""
    try:
        play(nursery, SEED, place, [Fault("kill", at)], mistake=mistake)
    except AssertionError as error:
        return "said twice, differently" in str(error)
    return False


@pytest.mark.parametrize(
    ("place", "mistake", "points"),
    [(AUTHOR, "sends first", range(284, 332, 2)), (WITNESS, "forgets", range(310, 390, 10))],
)
def test_a_planted_mistake_is_found(nursery: Nursery, place: int, mistake: str, points: range) -> None:
    assert any(is_found(nursery, place, mistake, at) for at in points)
