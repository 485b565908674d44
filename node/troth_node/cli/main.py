"""Where commands are gathered, and where every expected failure becomes one clear line and a non-zero status."""

from __future__ import annotations

import importlib
import sys
from typing import Final

import click

from troth_node.cli.failure import Failure

#: command -> the module that holds it; loaded when it is called or listed.
COMMANDS: Final = {
    "init": "troth_node.cli.init",
    "node": "troth_node.cli.node",
    "swarm": "troth_node.cli.swarm",
    "replay": "troth_node.cli.replay",
    "log": "troth_node.cli.log",
    "balance": "troth_node.cli.balance",
    "questions": "troth_node.cli.questions",
    "cards": "troth_node.cli.cards",
    "offers": "troth_node.cli.offers",
    "peers": "troth_node.cli.peers",
    "verify": "troth_node.cli.verify",
    "evidence": "troth_node.cli.evidence",
    "transcript": "troth_node.cli.transcript",
    "score": "troth_node.cli.score",
    "document": "troth_node.cli.document",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        found = getattr(importlib.import_module(COMMANDS[cmd_name]), "command", None)
        return found if isinstance(found, click.Command) else None


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="troth", prog_name="troth")
def group() -> None:
    """Troth: agents that sell each other insight, and are paid for it without a coordinator.

    \b
    Start here:
      troth swarm                      launch a local network that forecasts real questions
      troth swarm --epochs 20 --keep run   … a shorter one, whose stores stay in ./run
      troth verify run/alma            … and check one node's store, byte by byte
    """


def main() -> None:
    """Run the command line."""
    try:
        group.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as usage:
        click.echo(usage.format_message())
        sys.exit(0)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" Try '{context.command_path} --help'." if context is not None else ""
        click.echo(f"troth: {error.format_message()}{hint}", err=True)
        sys.exit(error.exit_code)
    except Failure as failure:
        click.echo(f"troth: {failure}", err=True)
        sys.exit(1)
