"""The `troth` command. Each subcommand imports what it needs only when it runs, so that --help is quick."""

from __future__ import annotations

from troth_node.cli.main import main

__all__ = ["main"]
