"""The command line as a newcomer meets it: every command is listed, and says by an example how it is called."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from troth_node.cli.main import COMMANDS, group


def parts(command: click.Command, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of this command and of every command below it."""
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from parts(command.get_command(context, name), *words, name)


def help_of(*words: str) -> str:
    done = CliRunner().invoke(group, [*words, "--help"], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_the_help_lists_every_command_with_a_line() -> None:
    listed = help_of().split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in listed if line.startswith("  ")] == list(COMMANDS)
    assert all(len(line.split()) > 2 for line in listed)
    assert "\n    troth swarm " in help_of()


@pytest.mark.parametrize("words", list(parts(group))[1:], ids=" ".join)
def test_every_command_has_help_with_an_example(words: tuple[str, ...]) -> None:
    _, example = help_of(*words).split("Example", 1)
    assert f"troth {' '.join(words)} " in example
