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

from troth_node.testing.crashes import AUTHOR, WITNESS, Life, Nursery, kills, play
from troth_node.testing.faults import FRAME, Fault

README = Path(__file__).with_name("README.md")
SEED = 1
SAMPLES = 11
KILLED = -9
PLACES = pytest.mark.parametrize("place", [WITNESS, AUTHOR], ids=["witness", "author"])


def whole(nursery: Nursery, place: int) -> list[Life]:
    """The run in which nothing happens."""
    return play(nursery, SEED, place)


def sample(last: int) -> list[int]:
    """Every so-many-th point, from a seeded offset."""
    step = max(1, last // SAMPLES)
    return list(range(random.Random(SEED).randint(1, step), last + 1, step))


def test_the_readme_lists_every_point(nursery: Nursery) -> None:
    passed: Counter[str] = Counter()
    for place in (WITNESS, AUTHOR):
        for life in whole(nursery, place):
            passed += life.names
    listed = re.findall(r"^\| `([^`]+)` \|", README.read_text(), re.MULTILINE)
    assert set(passed) <= set(listed)
    assert {name for name in listed if "host" not in name} <= set(passed), "a point is not passed any more"


@PLACES
def test_a_node_killed_at_a_point_and_at_two_more(nursery: Nursery, place: int) -> None:
    last = whole(nursery, place)[0].points
    print(f"every {last // SAMPLES}th of {last} points, seed {SEED}")  # noqa: T201 - shown if it fails
    ended = Counter(life.code for at in sample(last) for life in play(nursery, SEED, place, kills(SEED, at)))
    assert ended[KILLED] >= SAMPLES
    assert set(ended) <= {0, KILLED}


@PLACES
def test_a_refused_write_or_sync_ends_the_node_with_one_line(nursery: Nursery, place: int) -> None:
    last = whole(nursery, place)[0].points
    for at in sample(last):
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


@pytest.mark.parametrize(
    ("place", "mistake", "points"),
    [(AUTHOR, "sends first", range(142, 190, 2)), (WITNESS, "forgets", range(170, 240, 10))],
)
def test_a_planted_mistake_is_found(nursery: Nursery, place: int, mistake: str, points: range) -> None:
    for at in points:
        try:
            play(nursery, SEED, place, [Fault("kill", at)], mistake=mistake)
        except AssertionError as error:
            assert "said twice, differently" in str(error)
            return
    raise AssertionError(f"{mistake}: not found at any point")


def test_frames_count_as_points(nursery: Nursery) -> None:
    assert whole(nursery, AUTHOR)[0].names[FRAME] > 0
