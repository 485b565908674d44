"""`troth offers`: what agents want and offer, as one node has heard it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from troth_node.cli.cards import open_directory, tokens


@click.command("offers")
@click.argument("home", type=click.Path(path_type=Path))
@click.option("--wants", is_flag=True, help="Only what is wanted.")
@click.option("--topic", help="Only announcements of this topic.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each announcement.")
def command(home: Path, topic: str | None, *, wants: bool, as_json: bool) -> None:
    """List what agents have announced that they offer and want, and what those agents have earned.

    An announcement binds nobody: what is agreed is negotiated.

    \b
    Example:
      troth offers run/alma
      troth offers run/alma --wants --topic flights
      troth offers run/alma --json | jq .document
    """
    from troth_node.directory import announcement_as_json  # noqa: PLC0415

    found = open_directory(home)
    items = [
        item
        for item in found.announcements
        if topic in (None, item.topic) and not (wants and item.kind == "offer")
    ]
    for item in sorted(items, key=lambda item: (item.kind, item.document, -found.standing(item.key).net)):
        if as_json:
            click.echo(json.dumps(announcement_as_json(found, item)))
            continue
        terms = f"{item.weight_ppm:>7} ppm" + (f" and {tokens(item.price)}" if item.price else "")
        by = f"{found.cards[item.key].name} {item.key.hex()[:16]}"
        earned = tokens(found.standing(item.key).net)
        what = f"{item.kind:<5}  {item.topic:<12} {item.document:<28} {terms}"
        click.echo(f"{what}  by {by}, earned {earned}; until {item.expires}")
    if not items and not as_json:
        click.echo("no announcement is held here; nodes tell each other while they run")
