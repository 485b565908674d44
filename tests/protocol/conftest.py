"""A stage that is ready to play on."""

import pytest

from troth_node.testing.stage import Stage


@pytest.fixture
def stage():
    """Four witnesses and one more agent, cleared and in epoch 1."""
    made = Stage()
    made.start()
    made.settle()
    return made
