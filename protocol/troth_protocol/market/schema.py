"""The schema of a signal document: JSON Schema (draft 2020-12) in words that are cheap and safe to check, and no other.

Nothing here looks at payloads: any library for JSON Schema can. What is left out is what lets the author of a schema
spend its reader's time or reach beyond the text: references, patterns, combinations of schemas. What no payload can
hold is left out as well: null and fractions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import Value
from troth_protocol.wire.schema import MAX_INT

#: A schema: a JSON object of the words below.
Schema: TypeAlias = dict[str, Value]
_Check: TypeAlias = Callable[[object, str], None]
_Nested: TypeAlias = Callable[[object, str, int], None]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_DEPTH_MAX: Final = 8
ENUM_MAX: Final = 64
_INT_DIGITS_MAX: Final = 17  # a sign, and the 16 digits of 2^53 - 1
_SCALARS: Final = (bool, int, str)


def load_schema(text: str) -> Schema:
    """Read a schema; Invalid("bad_schema") says where it is not what this subset allows."""
    try:
        value: object = json.loads(
            text, object_pairs_hook=_map, parse_int=_int, parse_float=_fraction, parse_constant=_fraction
        )
    except (ValueError, RecursionError) as error:
        raise Invalid("bad_schema", f"no JSON: {error}") from None
    _validate(value, "", 1)
    return value  # type: ignore[return-value] # what was validated is a map of values


def weigh(value: object) -> int:
    """How many JSON values there are: one for this value, and those of all its items."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(weigh, items))


def _map(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Invalid("bad_schema", "a key occurs twice")
    for key in found:
        _text(key, "")
    return found


def _int(digits: str) -> int:
    if len(digits) > _INT_DIGITS_MAX or abs(int(digits)) > MAX_INT:
        raise Invalid("bad_schema", f"{digits:.20}: an integer beyond 2^53 - 1")
    return int(digits)


def _fraction(digits: str) -> object:
    raise Invalid("bad_schema", f"{digits:.20}: payloads hold integers only")


def _validate(value: object, where: str, depth: int) -> None:
    """A schema and all schemas in it."""
    if not isinstance(value, dict):
        raise _wrong(where, "expected a schema, which is an object")
    if depth > SCHEMA_DEPTH_MAX:
        raise _wrong(where, f"schemas nested deeper than {SCHEMA_DEPTH_MAX}")
    for word, item in value.items():
        if word in _NESTED:
            _NESTED[word](item, f"{where}/{word}", depth + 1)
        elif word in _PLAIN:
            _PLAIN[word](item, f"{where}/{word}")
        else:
            raise _wrong(where, f"{word!r:.40} is no word that may be used")


def _wrong(where: str, what: str) -> Invalid:
    return Invalid("bad_schema", f"{where or '/'}: {what}")


def _text(value: object, where: str) -> None:
    if not isinstance(value, str) or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _wrong(where, "expected text")


def _dialect(value: object, where: str) -> None:
    if value != DIALECT:
        raise _wrong(where, f"expected {DIALECT}")


def _type(value: object, where: str) -> None:
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name in _TYPES for name in names):
        raise _wrong(where, f"expected {', '.join(_TYPES)}, or a list of these")
    if len(set(names)) < len(names):
        raise _wrong(where, "a type occurs twice")


def _properties(value: object, where: str, depth: int) -> None:
    if not isinstance(value, dict):
        raise _wrong(where, "expected an object of schemas")
    for name, item in value.items():
        _validate(item, f"{where}/{name}", depth)


def _names(value: object, where: str) -> None:
    if not isinstance(value, list):
        raise _wrong(where, "expected a list of names")
    for name in value:
        _text(name, where)
    if len(set(value)) < len(value):
        raise _wrong(where, "a name occurs twice")


def _others(value: object, where: str, depth: int) -> None:
    if not isinstance(value, bool):
        _validate(value, where, depth)


def _count(value: object, where: str) -> None:
    if type(value) is not int or value < 0:
        raise _wrong(where, "expected a whole number, at least 0")


def _bound(value: object, where: str) -> None:
    if type(value) is not int:
        raise _wrong(where, "expected an integer")


def _scalar(value: object, where: str) -> None:
    if not isinstance(value, _SCALARS):
        raise _wrong(where, "expected text, an integer, true or false")
    if isinstance(value, str):
        _text(value, where)


def _enum(value: object, where: str) -> None:
    if not isinstance(value, list) or not 1 <= len(value) <= ENUM_MAX:
        raise _wrong(where, f"expected a list of 1 to {ENUM_MAX}")
    for item in value:
        _scalar(item, where)


_TYPES: Final = ("object", "array", "string", "integer", "boolean")
#: Every word that a schema may use, and what its value must be: without schemas in it, and with.
_PLAIN: Final[Mapping[str, _Check]] = {
    "$schema": _dialect,
    "title": _text,
    "description": _text,
    "type": _type,
    "enum": _enum,
    "const": _scalar,
    "required": _names,
    "minProperties": _count,
    "maxProperties": _count,
    "minItems": _count,
    "maxItems": _count,
    "minLength": _count,
    "maxLength": _count,
    "minimum": _bound,
    "maximum": _bound,
}
_NESTED: Final[Mapping[str, _Nested]] = {
    "properties": _properties,
    "additionalProperties": _others,
    "items": _validate,
}
#: The words of a schema, for whoever documents or checks them.
WORDS: Final = (*_PLAIN, *_NESTED)
