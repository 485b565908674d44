"""The bridge to Agora's protocol documents: the same text under Agora's two names, and back.

Agora's specification (draft of 2025, section 8) names a protocol document by the SHA-1 of its whole text, in 40 hex
digits; its Python library (agora-protocol 0.2.0, `agora.utils.compute_hash`) compares the base64 of the same digest.
Neither is an address to trust: SHA-1 collides. Here a text is known by its SHA-256, and these names lead to it.

Every signal document is an Agora protocol document as it stands. An Agora document becomes a signal document around
itself: front matter, a schema, and the original to its last byte, which export gives back.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from troth_protocol.errors import Invalid
from troth_protocol.market.document import (
    DESCRIPTION_MAX_BYTES,
    FENCE,
    NAME_MAX_BYTES,
    Document,
    compose_document,
    parse_document,
)

#: The line before an original that a signal document was made around.
ORIGINAL: Final = "## Agora protocol document"
#: A schema that every payload fits: what an Agora document means by its prose alone.
ANYTHING: Final = "{}"
#: The field of the front matter that names the original.
FIELD: Final = "agora"

# As Agora's Python library has it when the metadata does not say.
_UNNAMED: Final = "Unnamed protocol"
_UNDESCRIBED: Final = "No description provided"
_LINE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*):(?:[ \t]+(.*))?")
_BLOCK: Final = re.compile(r"[|>][-+]?")
_TRUE: Final = frozenset({"true", "yes", "on"})


@dataclass(frozen=True, slots=True)
class AgoraNames:
    """A text's two names in Agora: as the specification writes it, and as the Python library compares it."""

    sha1_hex: str
    sha1_base64: str


def agora_names(data: bytes) -> AgoraNames:
    """Both names of a text: SHA-1 over all of its bytes."""
    found = hashlib.sha1(data, usedforsecurity=False)
    return AgoraNames(found.hexdigest(), b64encode(found.digest()).decode())


def export_document(document: Document) -> bytes:
    """The Agora protocol document: the original that a signal document was made around, or else the text itself."""
    named = document.fields.get(FIELD)
    _, _, original = document.data.partition(f"\n{ORIGINAL}\n\n".encode())
    return original if named is not None and agora_names(original).sha1_hex == named else document.data


def import_document(data: bytes, schema: str | None = None) -> Document:
    """The signal document for an Agora protocol document: the text itself if it is one, or else one made around it.

    `schema` is JSON text; without one every payload fits. A text that is a signal document already keeps its own, so
    that a schema besides is refused. Raises Invalid("bad_document") for a text without metadata, and as
    `parse_document` does for what is made: too_large among others.
    """
    try:
        document = parse_document(data)
    except Invalid:
        return _around(data, schema or ANYTHING)
    if schema is not None:
        raise Invalid("bad_document", "it is a signal document with a schema of its own already")
    return document


def _around(data: bytes, schema: str) -> Document:
    text = _decode(data)
    metadata = _metadata(text.split("\n"))
    fields = {
        "name": _cut(metadata.get("name") or _UNNAMED, NAME_MAX_BYTES),
        "version": "1",
        "description": _cut(metadata.get("description") or _UNDESCRIBED, DESCRIPTION_MAX_BYTES),
        "multiround": "true" if metadata.get("multiround", "").lower() in _TRUE else "false",
        FIELD: agora_names(data).sha1_hex,
    }
    head = compose_document(
        fields, f"Made around the Agora protocol document below, sha1 {fields[FIELD]}.", schema
    )
    return parse_document(head.data + f"\n{ORIGINAL}\n\n".encode() + data)


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Invalid("utf8", str(error)) from None


def _cut(text: str, limit: int) -> str:
    return text.encode()[:limit].decode(errors="ignore")


def _metadata(lines: Sequence[str]) -> Mapping[str, str]:
    """The metadata above the line `---`, which may have another such line before it."""
    lines = [line.removesuffix("\r") for line in lines]
    first = 1 if lines[0] == FENCE else 0
    last = next((number for number in range(first, len(lines)) if lines[number] == FENCE), None)
    if last is None:
        raise Invalid("bad_document", f"no metadata: an Agora protocol document has a line {FENCE} after it")
    return _read(lines[first:last])


def _read(lines: Sequence[str]) -> dict[str, str]:
    """The simple part of YAML: `key: value`, quoted or not, and values that go on in indented lines below."""
    found: dict[str, str] = {}
    key = ""
    for line in lines:
        if line.startswith((" ", "\t")) and key:
            found[key] = f"{found[key]} {line.strip()}".strip()
        elif matched := _LINE.fullmatch(line.rstrip()):
            key = matched[1]
            found[key] = _value((matched[2] or "").strip())
        elif line.strip() and not line.startswith("#"):
            raise Invalid("bad_document", f"metadata: {line!r:.60} is not `key: value`")
    return found


def _value(text: str) -> str:
    """A value without its quotes; one that begins a block of lines is empty so far."""
    if _BLOCK.fullmatch(text):
        return ""
    for mark in ('"', "'"):
        if len(text) > 1 and text.startswith(mark) and text.endswith(mark):
            return text[1:-1].replace('\\"', '"').replace("''", "'")
    return text.partition(" #")[0].rstrip()
