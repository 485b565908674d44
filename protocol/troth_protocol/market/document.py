"""Signal documents: a text that says what a payload means, addressed by the SHA-256 of its bytes.

    ---
    name: flights/weather
    version: 1
    description: Weather at a New York airport.
    multiround: false
    ---
    Prose, for whoever decides what the signal is worth.

    ```json schema
    {"type": "object", "properties": {"temp": {"type": "integer"}}}
    ```

The front matter is YAML that needs no YAML to be read, so that the text is an Agora protocol document as it stands
(agora.py): a value is plain where YAML takes it for the same text, and in double quotes otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from troth_protocol.errors import Invalid
from troth_protocol.market.schema import Schema, load_schema, weigh
from troth_protocol.wire.codec import Value
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import TEXT_MAX_BYTES

NAME_MAX_BYTES: Final = 128
DESCRIPTION_MAX_BYTES: Final = 512
FIELDS_MAX: Final = 16
#: JSON values in a payload times JSON values in its schema: the most that anybody has to check.
CHECK_MAX: Final = 2**18

FENCE: Final = "---"
SCHEMA_OPENS: Final = "```json schema"
SCHEMA_ENDS: Final = "```"
NEEDED: Final = ("name", "version", "description", "multiround")

#: What no line may hold: control characters but tab and carriage return, and what some readers take for a line's end.
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_FIELD: Final = re.compile(r"([a-z][a-z0-9_]{0,30}): ([^\t\r]+)")
_PLAIN: Final = re.compile(r"[A-Za-z0-9](?:.*[^ :])?")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])+)"')
_VERSION: Final = re.compile(r"[1-9][0-9]{0,8}")
#: What YAML must not read as text, and what it reads as something else than text.
_UNQUOTED: Final = frozenset({"version", "multiround"})
_YAML_WORDS: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


@dataclass(frozen=True, slots=True)
class Document:
    """A signal document that was read: its bytes, and what they say. `fields` is the front matter, in its order."""

    id: bytes
    data: bytes
    fields: Mapping[str, str]
    schema: Schema
    weight: int

    @property
    def name(self) -> str:
        """The name that people and agents use; who means the same text uses the id."""
        return self.fields["name"]

    @property
    def version(self) -> int:
        """Which of several texts of one name this is; at least 1."""
        return int(self.fields["version"])

    @property
    def description(self) -> str:
        """One line on what the signal is."""
        return self.fields["description"]

    @property
    def text(self) -> str:
        """The whole text."""
        return self.data.decode()


def document_id(data: bytes) -> bytes:
    """The id of a document's bytes: their SHA-256, without domain or network, as any tool computes it."""
    return digest(data)


def parse_document(data: bytes) -> Document:
    """Read a document. Raises Invalid: too_large, utf8, bad_document, duplicate_key, missing_field, bad_schema."""
    if len(data) > TEXT_MAX_BYTES:
        raise Invalid("too_large", f"a document has at most {TEXT_MAX_BYTES} bytes")
    lines = _lines(data)
    end = _end_of_front_matter(lines)
    fields = _parse_fields(lines[1:end])
    schema = load_schema(_schema_text(lines[end + 1 :]))
    return Document(document_id(data), data, MappingProxyType(fields), schema, weigh(schema))


def compose_document(fields: Mapping[str, str], body: str, schema: Mapping[str, Value] | str) -> Document:
    """Write a document: front matter, body, and the schema (a value, or JSON text) in a block at the end.

    Raises Invalid as `parse_document` does.
    """
    block = schema if isinstance(schema, str) else json.dumps(schema, indent=2, ensure_ascii=False)
    front = [f"{key}: {_quote(key, value)}" for key, value in fields.items()]
    lines = [FENCE, *front, FENCE, "", body.strip(), "", SCHEMA_OPENS, block.strip(), SCHEMA_ENDS, ""]
    return parse_document("\n".join(lines).encode(errors="replace"))


def is_within_check(document: Document, payload: Value) -> bool:
    """Is this payload small enough to be checked against this document's schema?"""
    return weigh(payload) * document.weight <= CHECK_MAX


def _lines(data: bytes) -> list[str]:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Invalid("utf8", str(error)) from None
    found = _CONTROL.search(text)
    if found is not None:
        raise Invalid("bad_document", f"character U+{ord(found[0]):04X} at {found.start()}")
    return text.split("\n")


def _end_of_front_matter(lines: Sequence[str]) -> int:
    """The number of the line that ends the front matter."""
    if lines[0] != FENCE:
        raise Invalid("bad_document", f"the first line is not {FENCE}")
    end = next((number for number, line in enumerate(lines) if number and line == FENCE), None)
    if end is None:
        raise Invalid("bad_document", f"no line {FENCE} ends the front matter")
    if end - 1 > FIELDS_MAX:
        raise Invalid("bad_document", f"more than {FIELDS_MAX} lines of front matter")
    return end


def _parse_fields(lines: Sequence[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        key, value = parse_field(line)
        if key in fields:
            raise Invalid("duplicate_key", f"front matter: {key}")
        fields[key] = value
    for key in NEEDED:
        if key not in fields:
            raise Invalid("missing_field", f"front matter: {key}")
        if (wrong := _wrong_value(key, fields[key])) is not None:
            raise Invalid("bad_document", f"front matter: {key}: {wrong}")
    return fields


def parse_field(line: str) -> tuple[str, str]:
    """One line of front matter: its key, and its value without quotes. Raises Invalid("bad_document")."""
    found = _FIELD.fullmatch(line)
    if found is None:
        raise Invalid("bad_document", f"front matter: {line!r:.60} is not `key: value`")
    key, value = found[1], found[2]
    quoted = _QUOTED.fullmatch(value)
    if FENCE in value or (quoted is None and not _is_plain(key, value)):
        raise Invalid("bad_document", f'front matter: {key}: put it in "double quotes", without {FENCE}')
    if quoted is not None and key in _UNQUOTED:
        raise Invalid("bad_document", f"front matter: {key}: write it without quotes")
    return key, re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else value


def _is_plain(key: str, value: str) -> bool:
    """Would YAML read it as the same text (a number or a truth where that is meant)?"""
    if _PLAIN.fullmatch(value) is None or ": " in value or " #" in value:
        return False
    return key not in {"name", "description"} or (value[0].isalpha() and value.lower() not in _YAML_WORDS)


def _quote(key: str, value: str) -> str:
    """A value as it stands in the front matter; what cannot stand there is taken out."""
    line = re.sub(r"-{3,}", "–", " ".join(value.split()))
    if _is_plain(key, line):
        return line
    return '"' + line.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _wrong_value(key: str, value: str) -> str | None:
    """What is wrong with a field that every document has."""
    match key:
        case "version":
            return None if _VERSION.fullmatch(value) else "expected a number from 1 to 999999999"
        case "multiround":
            return None if value in {"true", "false"} else "expected true or false"
        case _:
            limit = NAME_MAX_BYTES if key == "name" else DESCRIPTION_MAX_BYTES
            return None if len(value.encode()) <= limit else f"more than {limit} bytes"


def _schema_text(body: Sequence[str]) -> str:
    """The one schema block; there is prose besides it."""
    opens = [number for number, line in enumerate(body) if line == SCHEMA_OPENS]
    if len(opens) != 1:
        raise Invalid(
            "bad_document", f"{len(opens)} schema blocks, expected one that opens with {SCHEMA_OPENS}"
        )
    start = opens[0] + 1
    end = next((number for number in range(start, len(body)) if body[number] == SCHEMA_ENDS), None)
    if end is None:
        raise Invalid("bad_document", f"no line {SCHEMA_ENDS} ends the schema block")
    if not any(line.strip() for line in _around(body, start - 1, end)):
        raise Invalid("bad_document", "no prose: nothing says what the payload means")
    return "\n".join(body[start:end])


def _around(body: Sequence[str], first: int, last: int) -> Iterator[str]:
    yield from body[:first]
    yield from body[last + 1 :]
