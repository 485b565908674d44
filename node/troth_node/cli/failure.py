"""Expected failures: whatever goes wrong in a known way ends as one line that says what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from troth_node.agent import Json
from troth_node.loader import AgentError
from troth_node.storage.errors import StorageError
from troth_node.swarm.scenario import ScenarioError
from troth_protocol.errors import TrothError

KEY_BYTES: Final = 32


class Failure(Exception):
    """One line for the user."""


@contextmanager
def one_line() -> Iterator[None]:
    """Turn every expected exception into a Failure."""
    try:
        yield
    except (StorageError, ScenarioError, AgentError, TrothError) as error:
        raise Failure(str(error)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Failure(f"{where}{error.strerror or error}") from None


def write_json(path: str, data: Mapping[str, Json]) -> None:
    """Write JSON to a file, or to standard output for "-"."""
    text = json.dumps(data, indent=2)
    if path == "-":
        click.echo(text)
    else:
        Path(path).write_text(text + "\n", encoding="utf-8")


def parse_key(text: str) -> bytes:
    """A public key from 64 hex digits."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise Failure("--key takes 64 hex digits")
    return key
