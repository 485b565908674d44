"""`troth transcript`: the negotiations that a node holds, and one of them as a file that anybody can check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from troth_node.cli.failure import one_line

if TYPE_CHECKING:
    from troth_protocol.market.transcript import Transcript


@click.group("transcript", context_settings={"max_content_width": 100})
def command() -> None:
    """Look at negotiations: the chain of what two parties signed to each other.

    A node holds a negotiation for some epochs after its end; what was agreed on stays in the logs.

    \b
    Example:
      troth transcript list run/alma
      troth transcript export run/alma 5f0c --out deal.transcript
      troth verify deal.transcript
    """


@command.command("list")
@click.argument("home", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each.")
def list_command(home: Path, *, as_json: bool) -> None:
    """List the negotiations that a node holds, each verified: who, in which state, after how many messages.

    \b
    Example:
      troth transcript list run/alma
      troth transcript list run/alma --json | jq .state
    """
    import json  # noqa: PLC0415

    from troth_node.transcripts import as_json as facts_of  # noqa: PLC0415

    found = _stored(home)
    for transcript in found:
        click.echo(json.dumps(facts_of(transcript)) if as_json else _line(transcript))
    if not found and not as_json:
        click.echo("no negotiation is held here")


@command.command("export")
@click.argument("home", type=click.Path(path_type=Path))
@click.argument("negotiation")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new file.")
def export_command(home: Path, negotiation: str, out: Path) -> None:
    """Write the negotiation whose id begins with these hex digits to a new file, for `troth verify` anywhere.

    \b
    Example:
      troth transcript export run/alma 5f0c --out deal.transcript
    """
    from troth_node.transcripts import find  # noqa: PLC0415
    from troth_protocol.market.transcript_file import pack_transcript  # noqa: PLC0415

    with one_line():
        found = find(_stored(home), negotiation)
        with out.open("xb") as file:
            file.write(pack_transcript(found))
    click.echo(f"{out}: {len(found.said)} messages; check them with  troth verify {out}")


def _stored(home: Path) -> list[Transcript]:
    from troth_node.storage.home import Home  # noqa: PLC0415
    from troth_node.transcripts import stored  # noqa: PLC0415
    from troth_protocol.genesis import load_genesis  # noqa: PLC0415

    with one_line():
        opened = Home.open(home)
        try:
            return stored(opened.store_path, load_genesis(opened.genesis).network())
        finally:
            opened.close()


def _line(transcript: Transcript) -> str:
    request = transcript.request
    return (
        f"{transcript.id.hex()[:16]}  {transcript.state:<14}  {len(transcript.said)} messages  "
        f"buyer {request.buyer.hex()[:16]}  seller {request.seller.hex()[:16]}"
    )
