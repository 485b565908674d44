"""Node processes to kill: one nursery for all tests of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from troth_node.testing.crashes import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where node processes come from."""
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    """A home sets the umask of its process; ours is put back."""
    before = os.umask(0o022)
    yield
    os.umask(before)
