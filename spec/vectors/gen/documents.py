"""documents.json: signal documents and what is none, payloads that fit and that do not, and the bridge to Agora."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from troth_protocol.market.agora import agora_names, export_document, import_document
from troth_protocol.market.document import parse_document
from troth_protocol.market.schema import DIALECT

from .common import Case, Json, cases, hexed, invalid, plain, valid

SCHEMA: Final[dict[str, Json]] = {
    "$schema": DIALECT,
    "title": "Weather",
    "type": "object",
    "properties": {
        "temp": {"type": "integer", "minimum": -100_000, "maximum": 150_000, "description": "m°F"},
        "sky": {"enum": ["clear", "cloudy", 0, True]},
        "kind": {"const": "metar"},
        "gusts": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
        "note": {"type": ["string", "boolean"], "minLength": 2, "maxLength": 4},
        "more": {"additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 2},
        "raw": {},
    },
    "required": ["temp"],
    "additionalProperties": False,
}
FRONT: Final = (
    "name: flights/weather",
    "version: 1",
    "description: Weather at an airport.",
    "multiround: false",
)
#: Longer ones are shown as bytes, where repetitions are written once.
TEXT_MAX_BYTES: Final = 4_096
PROSE: Final = "Milli-units of what the station reports."


def written(
    front: tuple[str, ...] = FRONT, prose: str = PROSE, schema: Json = None, opens: str = "```json schema"
) -> str:
    """A document's text."""
    block = schema if isinstance(schema, str) else json.dumps(SCHEMA if schema is None else schema)
    return "\n".join(["---", *front, "---", "", prose, "", opens, block, "```", ""])


def _with(number: int, line: str) -> tuple[str, ...]:
    """The front matter with another line in that place."""
    return (*FRONT[:number], line, *FRONT[number + 1 :])


def _good() -> Iterator[tuple[str, str]]:
    yield "a document", written()
    yield "more fields", written((*FRONT, "licence: CC0-1.0", 'see: "03: log # 4"'))
    yield "quoted values", written(_with(2, r'description: "Said \"so\": a \\ and a # in it."'))
    yield "a name that YAML takes for a truth, quoted", written(_with(0, 'name: "yes"'))
    yield "a multiround document", written(_with(3, "multiround: true"))
    yield "the largest version", written(_with(1, "version: 999999999"))
    yield "a schema that allows everything", written(schema="{}")
    yield "prose below the schema, and another block", written(prose="") + "~~~\n```json\n{}\n```\nThe end."
    yield "text beyond ASCII", written(prose="Höhe über dem Meer: 4 m — 日本 🌦")
    yield "carriage returns and tabs in the body", written(prose="one\r\n\ttwo\r")
    yield "schemas nested 8 deep", written(schema=_nested(8))
    yield "as large as can be", _sized(32_768)


def _nested(depth: int) -> Json:
    return {} if depth == 1 else {"items": _nested(depth - 1)}


def _sized(size: int) -> str:
    return written(prose="x" * (size - len(written(prose=""))))


def _shown(data: bytes) -> dict[str, Json]:
    """A text as a text, unless it is none or too long to be read."""
    try:
        return {"text": data.decode()} if len(data) < TEXT_MAX_BYTES else {"bytes": hexed(data)}
    except UnicodeDecodeError:
        return {"bytes": hexed(data)}


def _document(name: str, text: str) -> Case:
    found = parse_document(text.encode())
    names = agora_names(found.data)
    return valid(
        name,
        check="document",
        **_shown(found.data),
        id=found.id.hex(),
        fields=dict(found.fields),
        schema=found.schema,
        weight=found.weight,
        agora_sha1_hex=names.sha1_hex,
        agora_sha1_base64=names.sha1_base64,
    )


def _bad_text() -> Iterator[tuple[str, str, bytes]]:
    whole = written()
    yield "too_large", "a byte too many", _sized(32_769).encode()
    yield "utf8", "half a letter", whole.encode() + b"\xc3"
    for what, letter in (
        ("NUL", "\0"),
        ("DEL", "\x7f"),
        ("a line separator", "\u2028"),
        ("a mark", "\ufeff"),
    ):
        yield "bad_document", f"{what} in the prose", written(prose=f"one{letter}two").encode()
    yield "bad_document", "nothing", b""
    yield "bad_document", "no front matter", whole.removeprefix("---\n").encode()
    yield "bad_document", "front matter without an end", "\n".join(["---", *FRONT]).encode()
    yield (
        "bad_document",
        "a carriage return after the first line",
        whole.replace("---\n", "---\r\n", 1).encode(),
    )
    yield (
        "bad_document",
        "17 lines of front matter",
        written((*FRONT, *(f"x{n}: 1" for n in range(13)))).encode(),
    )
    for number, line, what in _bad_lines():
        yield "bad_document", what, written(_with(number, line)).encode()
    yield "duplicate_key", "two names", written((*FRONT, "name: other")).encode()
    for number, line in enumerate(FRONT):
        key = line.partition(":")[0]
        yield "missing_field", f"no {key}", written((*FRONT[:number], *FRONT[number + 1 :])).encode()
    yield "bad_document", "no schema", written(opens="```json").encode()
    yield "bad_document", "two schemas", (whole + written()[4:]).encode()
    yield "bad_document", "a schema without an end", whole[: whole.rindex("```")].encode()
    yield "bad_document", "no prose", written(prose=" ").encode()


def _bad_lines() -> Iterator[tuple[int, str, str]]:
    yield 0, "name flights/weather", "a line without a colon"
    yield 0, "Name: flights/weather", "a key with a capital"
    yield 0, "name:flights/weather", "a key without a space after it"
    yield 0, "name: ", "a field without a value"
    yield 0, 'name: ""', "an empty text in quotes"
    yield 0, "name:  flights", "a value that begins with a space"
    yield 0, "name: flights ", "a value that ends with a space"
    yield 0, "name: flights:", "a plain value that ends with a colon"
    yield 0, "name: yes", "a plain name that YAML takes for a truth"
    yield 0, "name: 7up", "a plain name that begins with a digit"
    yield 0, "name: " + "x" * 129, "a name of 129 bytes"
    yield 1, "version: 0", "version 0"
    yield 1, "version: 01", "a version with a leading zero"
    yield 1, "version: 1000000000", "a version of ten digits"
    yield 1, 'version: "1"', "a version in quotes"
    yield 2, "description: Weather: hourly", "a plain value with a colon in it"
    yield 2, "description: Weather #1", "a plain value with a YAML comment in it"
    yield 2, "description: [weather]", "a plain value that begins with a bracket"
    yield 2, "description: Weather --- all of it", "three dashes in a plain value"
    yield 2, 'description: "Weather --- all of it"', "three dashes in quotes"
    yield 2, 'description: "Weather', "a quote that is not closed"
    yield 2, r'description: "Weather\n"', "an escape other than of quote and backslash"
    yield 2, "description: " + "x" * 513, "a description of 513 bytes"
    yield 2, "description: tab\tstop", "a tab in the front matter"
    yield 3, "multiround: no", "a multiround that is neither true nor false"


def _bad_schemas() -> Iterator[tuple[str, Json]]:
    yield "no JSON", "{"
    yield "a list", "[]"
    yield "true", "true"
    yield "a key twice", '{"type": "object", "type": "object"}'
    yield "a fraction", {"minimum": 0.5}
    yield "not a number", '{"minimum": NaN}'
    yield "an integer of 2^53", {"minimum": 2**53}
    yield "an integer of 40 digits", {"minimum": 10**40}
    yield "nested 9 deep", _nested(9)
    yield "brackets without end", "[" * 20_000
    yield "half a letter in a text", '{"title": "\\ud83c"}'
    yield "half a letter in a key", '{"properties": {"\\ud83c": {}}}'
    words = (
        "$ref",
        "$defs",
        "$id",
        "pattern",
        "patternProperties",
        "format",
        "anyOf",
        "allOf",
        "oneOf",
        "not",
    )
    for word in (*words, "if", "uniqueItems", "contains", "multipleOf", "propertyNames", "unit"):
        yield f"the word {word}", {word: {}}
    yield "another dialect", {"$schema": "http://json-schema.org/draft-07/schema#"}
    yield "a number for a title", {"title": 1}
    for item in ("number", "null", [], ["string", "string"], {}, [["string"]]):
        yield f"type {json.dumps(item)}", {"type": item}
    yield "properties in a list", {"properties": [{}]}
    yield "a property that is no schema", {"properties": {"temp": True}}
    yield "items in a list", {"items": [{}]}
    yield "text for additionalProperties", {"additionalProperties": "no"}
    yield "required as one text", {"required": "temp"}
    yield "a number among the required", {"required": [1]}
    yield "a required name twice", {"required": ["temp", "temp"]}
    yield "an empty enum", {"enum": []}
    yield "an enum of 65", {"enum": list(range(65))}
    yield "a text for an enum", {"enum": "clear"}
    yield "null in an enum", {"enum": [None]}
    yield "a list for a const", {"const": []}
    yield "a negative count", {"minItems": -1}
    yield "true for a count", {"maxLength": True}
    yield "a text for a bound", {"maximum": "9"}


def _bad() -> Iterator[Case]:
    for code, what, data in _bad_text():
        yield invalid(code, what, check="document", **_shown(data))
    for what, schema in _bad_schemas():
        data = written(schema=schema).encode()
        yield invalid("bad_schema", what, check="document", **_shown(data))


GOOD_PAYLOADS: Final[tuple[tuple[str, Json], ...]] = (
    ("the least there can be", {"temp": 71_060}),
    (
        "everything",
        {"temp": 0, "sky": "clear", "kind": "metar", "gusts": [1], "note": "fog", "more": {"a": 1}},
    ),
    (
        "values at their bounds",
        {"temp": 150_000, "gusts": [1, 2, 3], "note": "日本", "more": {"a": 1, "b": 2}},
    ),
    ("one of several types", {"temp": -100_000, "note": True}),
    ("bytes where nothing is said of them", {"temp": 1, "raw": b"\x00\xff"}),
    ("a truth and a number of an enum", {"temp": 1, "sky": True}),
)
BAD_PAYLOADS: Final[tuple[tuple[str, Json], ...]] = (
    ("a list", [71_060]),
    ("nothing that is required", {}),
    ("a field that is not described", {"temp": 1, "rain": 1}),
    ("a text for a number", {"temp": "71"}),
    ("a truth for a number", {"temp": True}),
    ("bytes for a number", {"temp": b"71"}),
    ("below the minimum", {"temp": -100_001}),
    ("above the maximum", {"temp": 150_001}),
    ("a word that is not in the enum", {"temp": 1, "sky": "green"}),
    ("false for 0 of an enum", {"temp": 1, "sky": False}),
    ("another text than the const", {"temp": 1, "kind": "taf"}),
    ("too few items", {"temp": 1, "gusts": []}),
    ("too many items", {"temp": 1, "gusts": [1, 2, 3, 4]}),
    ("an item of another type", {"temp": 1, "gusts": ["1"]}),
    ("a text too short", {"temp": 1, "note": "日"}),
    ("a text too long", {"temp": 1, "note": "foggy"}),
    ("a map too small", {"temp": 1, "more": {}}),
    ("a map too large", {"temp": 1, "more": {"a": 1, "b": 2, "c": 3}}),
    ("another field of another type", {"temp": 1, "more": {"a": "1"}}),
    ("too large to be checked", {"temp": 1, "raw": [0] * 9_000}),
)

AGORA: Final = """---
name: "Weather: hourly"
description: >
  The sender names a place and a day,
  the receiver says what the sky does.
multiround: true
tags: weather # and nothing else
---
The sender sends JSON with `location` and `date`.
"""


def _imports() -> Iterator[tuple[str, str, str | None]]:
    yield "an Agora document", AGORA, None
    yield "the same with a schema", AGORA, '{"type": "string"}'
    yield "metadata without a line before it", "name: plain\ndescription: 'it''s plain'\n---\nText.", None
    yield "metadata that says nothing", "---\n\n# nothing\n---\nText.\r\n", None
    yield "a signal document", written(), None


def _import(what: str, original: str, schema: str | None) -> Case:
    document = import_document(original.encode(), schema)
    if export_document(document) != original.encode():
        raise ValueError(what)
    given = {} if schema is None else {"schema": schema}
    return valid(what, check="import", original=original, **given, text=document.text, id=document.id.hex())


def _bad_imports() -> Iterator[Case]:
    for what, original in (
        ("an Agora document without metadata", "Just text."),
        ("metadata without an end", "---\nname: x\n"),
        ("metadata that is a list", "- name\n---\nText."),
        ("an Agora document with NUL", "name: x\n---\n\0"),
    ):
        yield invalid("bad_document", what, check="import", original=original)
    yield invalid(
        "bad_document",
        "a second schema for a signal document",
        check="import",
        original=written(),
        schema="{}",
    )
    yield invalid(
        "bad_schema", "an import with a list for a schema", check="import", original=AGORA, schema="[]"
    )
    yield invalid("too_large", "no room around it", check="import", original=_agora_sized())


def _agora_sized() -> Json:
    return "name: x\n---\n" + "Text. " * 5_440


def documents() -> Json:
    """The file documents.json."""
    text = written()
    good = [
        *(_document(name, item) for name, item in _good()),
        *(valid(what, check="payload", text=text, payload=plain(item)) for what, item in GOOD_PAYLOADS),
        *(_import(*item) for item in _imports()),
    ]
    bad = [
        *_bad(),
        *(
            invalid("bad_payload", what, check="payload", text=text, payload=plain(item))
            for what, item in BAD_PAYLOADS
        ),
        *_bad_imports(),
    ]
    return cases(
        "Signal documents (10): texts, the payloads that they describe, and their names in Agora.", good, bad
    )
