"""`troth peers`: where other nodes can be reached, as their cards say."""

from __future__ import annotations

import json
from pathlib import Path

import click

from troth_node.agent import Json
from troth_node.cli.cards import open_directory


@click.command("peers")
@click.argument("home", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each node.")
def command(home: Path, *, as_json: bool) -> None:
    """List the nodes that can be dialled, witnesses first, as `troth node --peer` takes them.

    \b
    Example:
      troth peers run/alma
      troth peers run/alma > peers.txt
      troth node late --bootstrap peers.txt
    """
    found = open_directory(home)
    cards = [card for card in found.ranked() if card.endpoints]
    for card in sorted(cards, key=lambda card: card.key not in found.witnesses):
        is_witness = card.key in found.witnesses
        if as_json:
            facts: dict[str, Json] = {
                "key": card.key.hex(),
                "name": card.name,
                "endpoints": list(card.endpoints),
                "software": card.software,
                "is_witness": is_witness,
                "is_own": card.key == found.own,
            }
            click.echo(json.dumps(facts))
            continue
        note = "witness" if is_witness else "node"
        click.echo(f"{card.key.hex()}@{card.endpoints[0]}  # {card.name}, {note}")
    if not cards and not as_json:
        click.echo("# no endpoint is known here; nodes tell each other while they run")
