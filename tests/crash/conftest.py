"""Node processes to kill: one nursery for all tests of a run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from troth_node.testing.crashes import place_for_homes
from troth_node.testing.driver import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where node processes come from."""
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short name, in memory if there is some."""
    with tempfile.TemporaryDirectory(prefix="troth-", dir=place_for_homes()) as directory:
        yield Path(directory)


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    """A home sets the umask of its process; ours is put back."""
    before = os.umask(0o022)
    yield
    os.umask(before)
