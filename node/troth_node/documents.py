"""The signal documents that an agent ships: files, found by the document's name and read strictly at the start."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Final, Protocol

from troth_protocol.errors import Invalid, TrothError
from troth_protocol.market.document import Document, compose_document, parse_document

FOLDER: Final = "documents"
#: Names that are paths: flights/own_delays is documents/flights/own_delays.md.
_PATH_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*")


class DocumentError(TrothError):
    """A signal document that an agent cannot sell by; one line that says what is wrong with it."""


class Describer(Protocol):
    """The part of an agent that knows its documents."""

    documents: tuple[str, ...]

    def describe(self, document: str) -> str | None:
        """The text of a document, or None."""


def shipped_text(owner: type, name: str) -> str | None:
    """The file documents/NAME.md in the folder of a class's file or in the one above; its bases' files come next."""
    if _PATH_NAME.fullmatch(name) is None:
        return None  # such a name is no path, so it has no file
    for folder in _folders(owner):
        path = folder / FOLDER / f"{name}.md"
        if path.is_file():
            return path.read_bytes().decode(errors="replace")
    return None


def _folders(owner: type) -> Iterator[Path]:
    for base in owner.__mro__:
        file = getattr(sys.modules.get(base.__module__), "__file__", None)
        if file is not None and base is not object:
            yield from Path(file).resolve().parents[:2]


def own_documents(agent: Describer) -> tuple[Document, ...]:
    """What an agent sells by, read and checked. Raises DocumentError."""
    return tuple(_own_document(agent, name) for name in agent.documents)


def _own_document(agent: Describer, name: str) -> Document:
    text = agent.describe(name)
    try:
        document = _plain_document(agent, name) if text is None else parse_document(text.encode())
    except Invalid as error:
        raise DocumentError(f"signal document {name!r}: {error}; correct it (troth document show)") from None
    if document.name != name:
        raise DocumentError(f"signal document {name!r}: its front matter says name: {document.name}")
    return document


def _plain_document(agent: Describer, name: str) -> Document:
    """For a seller without a text of its own: what its class says, and any payload."""
    said = cleandoc(type(agent).__doc__ or "") or "Nobody has said yet what this signal means."
    fields = {"name": name, "version": "1", "description": said.split("\n")[0][:100], "multiround": "false"}
    return compose_document(fields, said, {})
