"""`troth verify`: check a store, or the transcript of a negotiation, offline, from its bytes alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from troth_node.cli.failure import Failure, one_line

if TYPE_CHECKING:
    from troth_protocol.insight.results import BreachLine

ATOMS = 10**9  # to the token


@click.command("verify")
@click.argument("what", metavar="HOME|TRANSCRIPT", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(what: Path, *, as_json: bool) -> None:
    """Verify everything that a node has stored: seals, certificates, state, and every close executed again.

    Or the transcript of one negotiation, a file that `troth transcript export` has written: every signature, and that
    each message may follow the one that it names.

    \b
    Example:
      troth swarm --epochs 14 --keep run
      troth verify run/alma
      troth transcript export run/alma 5f0c --out deal.transcript
      troth verify deal.transcript
    """
    if what.is_file():
        _verify_transcript(what, as_json=as_json)
    else:
        _verify_home(what, as_json=as_json)


def _verify_transcript(file: Path, *, as_json: bool) -> None:
    import json  # noqa: PLC0415

    from troth_node.transcripts import as_json as facts_of  # noqa: PLC0415
    from troth_node.transcripts import lines, read_transcript  # noqa: PLC0415
    from troth_protocol.errors import Invalid  # noqa: PLC0415

    with one_line():
        try:
            found = read_transcript(file)
        except Invalid as error:
            if as_json:
                click.echo(json.dumps({"ok": False, "code": error.code, "detail": error.detail}))
            raise Failure(f"{file}: no transcript that holds ({error})") from None
    if as_json:
        click.echo(json.dumps({"ok": True, **facts_of(found)}, indent=2))
    else:
        click.echo("\n".join([*lines(found), "everything holds"]))


def _verify_home(home: Path, *, as_json: bool) -> None:
    import json  # noqa: PLC0415

    from troth_node.audit import Pruned, audit_store, replay  # noqa: PLC0415
    from troth_node.storage.home import Home  # noqa: PLC0415
    from troth_protocol.errors import TrothError  # noqa: PLC0415
    from troth_protocol.genesis import load_genesis  # noqa: PLC0415

    breaches: list[tuple[bytes, BreachLine]] = []
    with one_line():
        opened = Home.open(home)
        try:
            genesis = load_genesis(opened.genesis)
            found = audit_store(opened.store_path, genesis, home.name)
            try:
                history = replay(opened.store_path, genesis)
                breaches = history.breaches()
                is_same = history.state.root() == found.state_root
                if not is_same:
                    found.problems.append("executing every close again gives another state")
            except Pruned as error:
                found.notes.append(str(error))
            except TrothError as error:
                found.problems.append(f"executing every close again: {error}")
        finally:
            opened.close()
    facts = {
        "ok": found.is_ok,
        "epoch": found.epoch,
        "state_root": found.state_root.hex(),
        "seals": found.seals,
        "entries": found.entries,
        "votes": found.votes,
        "supply_conserved": found.is_conserved,
        "breaches": [_breach(question, line) for question, line in breaches],
        "notes": list(found.notes),
        "problems": list(found.problems),
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo(f"epoch {found.epoch}, state {found.state_root.hex()[:16]}…")
        click.echo(f"{found.seals} seals, {found.entries} certified entries, {found.votes} votes verified")
        click.echo("supply conserved to the unit" if found.is_conserved else "SUPPLY NOT CONSERVED")
        for _, line in breaches:
            click.echo(_told(line))
        for note in found.notes:
            click.echo(note)
    if found.problems:
        raise Failure(f"{len(found.problems)} problems, the first: {found.problems[0]}")
    if not as_json:
        click.echo("everything holds")


def _breach(question: bytes, line: BreachLine) -> dict[str, str]:
    """A broken promise for machines: keys and ids in hex, amounts in atomic units."""
    named = {"question": question, "agreement": line.promise, "buyer": line.buyer, "seller": line.seller}
    amounts = {"paid": str(line.paid), "burned": str(line.burned)}
    return {key: name.hex() for key, name in named.items()} | {"commit": line.cited.hex()} | amounts


def _told(line: BreachLine) -> str:
    paid, burned = (f"{amount / ATOMS:,.2f}" for amount in (line.paid, line.burned))
    who = f"{line.buyer.hex()[:12]}… did not cite {line.seller.hex()[:12]}… as it had promised"
    return f"{who}: {paid} tokens to the seller, {burned} burned"
