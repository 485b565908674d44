"""`troth questions`: what is being asked, and by whom."""

from __future__ import annotations

from pathlib import Path

import click

from troth_node.cli.failure import one_line


@click.command("questions")
@click.argument("home", type=click.Path(path_type=Path))
@click.option("--sponsored", is_flag=True, help="Only those that somebody pays for.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each question.")
def command(home: Path, *, sponsored: bool, as_json: bool) -> None:
    """List the questions under way, as they stand in the newest sealed state of a node.

    \b
    Example:
      troth questions run/alma
      troth questions run/alma --sponsored --json | jq .text
    """
    import json  # noqa: PLC0415

    from troth_node.inspection import open_questions  # noqa: PLC0415
    from troth_node.storage.home import Home  # noqa: PLC0415

    with one_line():
        opened = Home.open(home)
        try:
            found = open_questions(opened.store_path, opened.genesis)
        finally:
            opened.close()
    shown = [item for item in found if item["asker"] is not None or not sponsored]
    for item in shown:
        if as_json:
            click.echo(json.dumps(item))
            continue
        phase = f"{item['phase']:<13} closes {item['closes']:>4}"
        paid = f"  bounty {int(item['bounty']) / 10**9:,.3f} by {item['asker'][:16]}" if item["asker"] else ""
        click.echo(f"{item['id'][:16]}  {phase}  {item['text']}{paid}")
    if not shown and not as_json:
        click.echo("no question is under way in the newest sealed state")
