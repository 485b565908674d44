"""What every generator needs: keys from names, cases, and bytes and values as JSON can hold them.

Nothing here is random and nothing asks the time: the same code writes the same files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from troth_protocol.wire.codec import decode, encode
from troth_protocol.wire.crypto import KeyPair, digest

Json = Any
Case = dict[str, Json]

NETWORK: Final = digest(b"network of the test vectors")
OTHER_NETWORK: Final = digest(b"another network")
TOKEN: Final = 10**9
WIDTH: Final = 118
#: What repeats itself so often, and takes so many bytes, is written once with the number of times.
RUN: Final = re.compile(rb"(.{1,96}?)\1{7,}", re.DOTALL)
RUN_MIN_BYTES: Final = 64
REPEAT_MIN_ITEMS: Final = 20
L: Final = 2**252 + 27742317777372353535851937790883648493


def keys(name: str) -> KeyPair:
    """The key pair of a person of the vectors."""
    return KeyPair.from_seed(digest(name.encode()))


def valid(name: str, **fields: Json) -> Case:
    """A case that every implementation accepts, with the same result."""
    return {"name": name, **fields}


def invalid(code: str, what: str, **fields: Json) -> Case:
    """A case that every implementation refuses, with this code."""
    return {"name": f"{code}: {what}", **fields, "error": code}


def cases(about: str, valid_cases: Iterable[Case], invalid_cases: Iterable[Case], **more: Json) -> Case:
    """A whole file."""
    return {"about": about, **more, "valid": list(valid_cases), "invalid": list(invalid_cases)}


def hexed(data: bytes) -> Json:
    """Bytes as hex; or, where a long repetition is among them, as a list of [hex, times]."""
    parts: list[Json] = []
    at = 0
    for run in RUN.finditer(data):
        if len(run[0]) >= RUN_MIN_BYTES:
            parts += [[data[at : run.start()].hex(), 1]] if run.start() > at else []
            parts.append([run[1].hex(), len(run[0]) // len(run[1])])
            at = run.end()
    if not parts:
        return data.hex()
    return parts + ([[data[at:].hex(), 1]] if at < len(data) else [])


def hexes(items: Iterable[bytes]) -> list[Json]:
    """Several byte strings."""
    return [hexed(item) for item in items]


def plain(value: Json) -> Json:
    """A value as JSON: bin is {"$hex": …}, a long list of one item {"$repeat": …}; all else is what it looks like."""
    if isinstance(value, bytes):
        return {"$hex": hexed(value)}
    if isinstance(value, Mapping):
        return {key: plain(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        items = [plain(item) for item in value]
        is_long = len(items) >= REPEAT_MIN_ITEMS and items.count(items[0]) == len(items)
        return {"$repeat": [items[:1], len(items)]} if is_long else items
    return value


def changed(data: bytes, **fields: Json) -> bytes:
    """An encoded map with other fields; None leaves one out."""
    value = decode(data)
    if not isinstance(value, dict):
        raise TypeError("no map")
    value |= fields
    return encode({key: item for key, item in value.items() if item is not None})


def flipped(data: bytes, at: int = -1) -> bytes:
    """The same with one bit of one byte changed."""
    out = bytearray(data)
    out[at] ^= 1
    return bytes(out)


def raised_s(signature: bytes) -> bytes:
    """The same signature with S + L for S."""
    s = int.from_bytes(signature[32:], "little") + L
    return signature[:32] + s.to_bytes(32, "little")


def text(data: Json) -> str:
    """A file's text: whatever fits on a line stands on one."""
    return _laid_out(data, "") + "\n"


def _laid_out(data: Json, indent: str) -> str:
    line = json.dumps(data)
    if len(indent) + len(line) <= WIDTH or not isinstance(data, dict | list) or not data:
        return line
    inner = indent + " "
    if isinstance(data, dict):
        rows = [f"{json.dumps(key)}: {_laid_out(item, inner)}" for key, item in data.items()]
    elif all(isinstance(item, int) for item in data):
        return line
    else:
        rows = [_laid_out(item, inner) for item in data]
    begin, end = ("{", "}") if isinstance(data, dict) else ("[", "]")
    return f"{begin}\n{inner}" + f",\n{inner}".join(rows) + f"\n{indent}{end}"


def tried(template: Case, changes: Sequence[tuple[str, str, Mapping[str, Json]]]) -> list[Case]:
    """Refused variants of one good case: (code, what, the fields that are different)."""
    out = []
    for code, what, fields in changes:
        twin = template | dict(fields)
        twin.pop("name", None)
        out.append(invalid(code, what, **twin))
    return out
