"""`troth document`: look at signal documents, check payloads against them, and cross the bridge to Agora."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import click

from troth_node.agent import Json
from troth_node.cli.failure import Failure, one_line
from troth_protocol.errors import Invalid
from troth_protocol.market.agora import agora_names, export_document, import_document
from troth_protocol.market.document import Document, document_id, parse_document
from troth_protocol.wire.codec import Value

READ_MAX_BYTES: Final = 1024 * 1024
TEXT: Final = click.File("rb")
OUT: Final = click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write here; standard output without it.",
)
AS_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("document")
def command() -> None:
    """Signal documents: texts that say what a payload means. FILE may be - for standard input.

    \b
    Examples:
      troth document show examples/documents/flights/weather.md
      troth document check examples/documents/flights/tip.md payload.json
      troth document import protocol.txt -o documents/protocol.md
      troth document export documents/protocol.md
    """


@command.command("show")
@click.argument("file", type=TEXT)
@AS_JSON
def show(file: BinaryIO, *, as_json: bool) -> None:
    """Check a document, and show its id, its front matter and its names in Agora.

    \b
    Example:
      troth document show examples/documents/flights/weather.md
    """
    with _about(file):
        document = parse_document(_read(file))
    names = _names(export_document(document))
    facts: dict[str, Json] = {"id": document.id.hex(), **names, "bytes": len(document.data)}
    if as_json:
        click.echo(
            json.dumps({**facts, "fields": dict(document.fields), "schema": document.schema}, indent=2)
        )
        return
    _print({**facts, **document.fields})


@command.command("hash")
@click.argument("files", metavar="FILE...", type=TEXT, nargs=-1, required=True)
@AS_JSON
def hash_(files: tuple[BinaryIO, ...], *, as_json: bool) -> None:
    """Print the names of any text: its id here, and both forms of its hash in Agora.

    The specification of Agora writes SHA-1 in hex, its Python library compares the same digest in base64.

    \b
    Example:
      troth document hash protocol.txt
    """
    for file in files:
        with _about(file):
            data = _read(file)
        found: dict[str, Json] = {"file": _title(file), "id": document_id(data).hex(), **_names(data)}
        if as_json:
            click.echo(json.dumps(found))
        else:
            _print(found)


@command.command("check")
@click.argument("file", type=TEXT)
@click.argument("payload", type=TEXT)
def check(file: BinaryIO, payload: BinaryIO) -> None:
    """Check a payload, as JSON, against a document's schema.

    \b
    Example:
      troth document check examples/documents/flights/tip.md payload.json
    """
    from troth_node.payload import validate_payload  # noqa: PLC0415 - the library takes a while to load

    with _about(file):
        document = parse_document(_read(file))
    with _about(payload):
        validate_payload(document, _json(_read(payload)))
    click.echo(f"{_title(payload)} fits {document.name}, version {document.version}")


@command.command("import")
@click.argument("file", type=TEXT)
@click.option("--schema", type=TEXT, help="A JSON Schema for the payload; without one every payload fits.")
@OUT
def import_(file: BinaryIO, schema: BinaryIO | None, out: Path | None) -> None:
    """Make a signal document of an Agora protocol document, which stays in it to the last byte.

    A text that is a signal document already stays as it is. Names and notes go to standard error.

    \b
    Example:
      troth document import protocol.txt --schema payload.schema.json -o documents/protocol.md
    """
    with _about(file):
        text = _decode(_read(schema)) if schema is not None else None
        document = import_document(_read(file), text)
    if not document.schema:
        click.echo("troth: its schema fits every payload; --schema says more", err=True)
    _write(out, document)


@command.command("export")
@click.argument("file", type=TEXT)
@OUT
def export(file: BinaryIO, out: Path | None) -> None:
    """Give the Agora protocol document of a signal document: the text itself, or the one that it was made around.

    Its names go to standard error.

    \b
    Example:
      troth document export examples/documents/flights/weather.md > weather.agora.md
    """
    with _about(file):
        data = export_document(parse_document(_read(file)))
    _write(out, data)


@contextmanager
def _about(file: BinaryIO) -> Iterator[None]:
    """Whatever is refused is refused in one line that names the file."""
    with one_line():
        try:
            yield
        except Invalid as error:
            raise Failure(f"{_title(file)}: {error}") from None


def _title(file: BinaryIO) -> str:
    return str(getattr(file, "name", "<stdin>"))


def _read(file: BinaryIO) -> bytes:
    return file.read(READ_MAX_BYTES)


def _decode(data: bytes) -> str:
    return data.decode(errors="replace")


def _json(data: bytes) -> Value:
    try:
        found: Value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Failure(f"the payload is no JSON: {error}") from None
    return found


def _names(data: bytes) -> dict[str, Json]:
    names = agora_names(data)
    return {"agora_sha1_hex": names.sha1_hex, "agora_sha1_base64": names.sha1_base64}


def _print(facts: Mapping[str, Json]) -> None:
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        click.echo(f"{name:<{width}}{value}")


def _write(out: Path | None, what: Document | bytes) -> None:
    """The text to a file or standard output, its names to standard error."""
    data = what if isinstance(what, bytes) else what.data
    with one_line():
        if out is None:
            click.echo(data, nl=False)
        else:
            out.write_bytes(data)
    names = {"id": document_id(data).hex(), **_names(data)}
    for name, value in names.items():
        click.echo(f"{name:<19}{value}", err=True)
