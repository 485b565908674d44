"""`troth evidence`: what a node holds against others, what is in a piece of it, and whether that proves anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from troth_node.cli.failure import Failure, one_line

if TYPE_CHECKING:
    from troth_node.agent import Json
    from troth_node.cases import Case

TOKEN = 10**9
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.group("evidence", context_settings={"max_content_width": 100})
def command() -> None:
    """Look at evidence: two signed statements that one key must never make together.

    \b
    Example:
      troth evidence list run/alma
      troth evidence show run/alma 5f0c --out fork.evidence
      troth evidence verify fork.evidence --genesis run/alma/genesis.bin
    """


@command.command("list")
@click.argument("home", type=click.Path(path_type=Path))
@_AS_JSON
def list_command(home: Path, *, as_json: bool) -> None:
    """List the offences that a node knows: those that closes punished, and those that wait for a close.

    \b
    Example:
      troth evidence list run/alma
      troth evidence list run/alma --json | jq .kind
    """
    import json  # noqa: PLC0415

    cases = _cases(home)
    for case in cases:
        click.echo(json.dumps(case.as_json()) if as_json else _line(case))
    if not cases and not as_json:
        click.echo("no offence is known here")


@command.command("show")
@click.argument("what", metavar="FILE|HOME", type=click.Path(path_type=Path))
@click.argument("key", required=False)
@click.option("--out", type=click.Path(path_type=Path), help="Write the evidence itself to a new file.")
@_AS_JSON
def show_command(what: Path, key: str | None, out: Path | None, *, as_json: bool) -> None:
    """Show one piece of evidence: a file, or the offence of a node's home whose id begins with KEY.

    A file is shown as it is; `troth evidence verify` says whether it proves anything.

    \b
    Example:
      troth evidence show fork.evidence
      troth evidence show run/alma 5f0c --out fork.evidence
    """
    import json  # noqa: PLC0415

    from troth_node.cases import explain, find_case, read_evidence  # noqa: PLC0415

    if what.is_dir() == (key is None):
        raise Failure("name a file, or a home and the first digits of an offence's id")
    facts: dict[str, Json] = {}
    with one_line():
        if key is None:
            data: bytes | None = read_evidence(what)
        else:
            case = find_case(_cases(what), key)
            data, facts = case.evidence, case.as_json()
    with _about(what, "this is no evidence"):
        if data is not None:
            facts["statements"] = explain(data)
    if out is not None:
        _write(out, data)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo("\n".join(_lines(facts)))


@command.command("verify")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--genesis", required=True, type=click.Path(path_type=Path), help="The network's genesis document."
)
@_AS_JSON
def verify_command(file: Path, genesis: Path, *, as_json: bool) -> None:
    """Judge evidence offline, from its bytes and the network's genesis alone; the status says whether it convicts.

    \b
    Example:
      troth evidence verify fork.evidence --genesis run/alma/genesis.bin
    """
    import json  # noqa: PLC0415

    from troth_node.cases import proof_as_json, read_evidence  # noqa: PLC0415
    from troth_protocol.errors import Invalid  # noqa: PLC0415
    from troth_protocol.evidence import verify_evidence  # noqa: PLC0415
    from troth_protocol.genesis import load_genesis  # noqa: PLC0415

    with one_line():
        data, document = read_evidence(file), genesis.read_bytes()
    with _about(genesis, "this is no genesis document"):
        network = load_genesis(document).network()
    try:
        proof = verify_evidence(data, network)
    except Invalid as error:
        if as_json:
            click.echo(json.dumps({"ok": False, "code": error.code, "detail": error.detail}))
        raise Failure(f"{file}: proves nothing in this network: {error}") from None
    facts = proof_as_json(proof)
    if as_json:
        click.echo(json.dumps({"ok": True, **facts}))
    else:
        click.echo(f"proves {proof.kind} by {proof.offender.hex()} in epoch {proof.epoch}{_place(facts)}")


@contextmanager
def _about(path: Path, what: str) -> Iterator[None]:
    """What is wrong with a file's bytes, as one line that names it."""
    from troth_protocol.errors import Invalid  # noqa: PLC0415

    try:
        yield
    except Invalid as error:
        raise Failure(f"{path}: {what} ({error})") from None


def _cases(home: Path) -> list[Case]:
    from troth_node.cases import list_cases  # noqa: PLC0415
    from troth_node.storage.home import Home  # noqa: PLC0415

    with one_line():
        opened = Home.open(home)
        try:
            return list_cases(opened.store_path, opened.genesis)
        finally:
            opened.close()


def _line(case: Case) -> str:
    facts, sentence = case.as_json(), case.sentence
    where = f"{case.id.hex()[:16]}  {case.proof.kind:<13}  {case.proof.offender.hex()[:16]}  "
    where += f"epoch {case.proof.epoch:>4}{_place(facts)}"
    if sentence is None:
        return f"{where}  waits for a close"
    paid = f", {case.part / TOKEN:,.9g} of it to {case.reporter.hex()[:16]}" if case.reporter else ""
    return f"{where}  punished at close {sentence.closed}: {sentence.slashed / TOKEN:,.9g} tokens taken{paid}"


def _place(facts: dict[str, Json]) -> str:
    place = facts["place"]
    parts = place.items() if isinstance(place, dict) else ()
    return "".join(f", {name} {str(part)[:16]}" for name, part in parts)


def _lines(value: Json, indent: str = "") -> list[str]:
    """Nested facts, one to a line."""
    out = []
    for key, item in value.items() if isinstance(value, dict) else ():
        if isinstance(item, dict):
            out += [f"{indent}{key}:", *_lines(item, indent + "  ")]
        elif item not in (None, []):
            text = ", ".join(map(str, item)) if isinstance(item, list) else str(item)
            out.append(f"{indent}{key}: {text[:160]}{'…' if len(text) > 160 else ''}")
    return out


def _write(path: Path, data: bytes | None) -> None:
    if data is None:
        raise Failure("the evidence itself is pruned here; ask a node that keeps more")
    with one_line(), path.open("xb") as file:
        file.write(data)
