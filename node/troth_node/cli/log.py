"""`troth log`: what is in an agent's log."""

from __future__ import annotations

from pathlib import Path

import click

from troth_node.cli.failure import Failure, one_line, parse_key


@click.command("log")
@click.argument("home", type=click.Path(path_type=Path))
@click.option("--key", help="Whose log, 64 hex digits; without it the node's own.")
@click.option("--epoch", type=int, help="Only entries of this epoch.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each entry.")
def command(home: Path, key: str | None, epoch: int | None, *, as_json: bool) -> None:
    """List the certified entries of a log, as a node has stored them.

    \b
    Example:
      troth log run/alma --epoch 5
    """
    import json  # noqa: PLC0415

    from troth_node.inspection import log_entries  # noqa: PLC0415
    from troth_node.storage.home import Home  # noqa: PLC0415

    with one_line():
        opened = Home.open(home)
        try:
            wanted = opened.key.public if key is None else parse_key(key)
            entries = log_entries(opened.store_path, opened.genesis, wanted, epoch)
        finally:
            opened.close()
    for entry in entries:
        if as_json:
            click.echo(json.dumps(entry))
        else:
            ops = ", ".join(f"{count} {name}" for name, count in entry["ops"].items())
            place = f"epoch {entry['epoch']:>4}  entry {entry['seq']:>5}  {entry['id'][:16]}"
            click.echo(f"{place}  {entry['votes']} votes  {ops}")
    if not entries and not as_json:
        raise Failure("no entries of that log are stored here")
