"""Reading the test vectors as any implementation would: from the JSON alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from troth_protocol.errors import Invalid

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"


def read(name):
    """A whole file."""
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def cases(*names):
    """A decorator: every case of these files, one test each."""
    found = [
        pytest.param(name, case, id=f"{name.removesuffix('.json')}: {case['name']}")
        for name in names
        for kind in ("valid", "invalid")
        for case in read(name)[kind]
    ]
    return pytest.mark.parametrize(("name", "case"), found)


def judge(checks, case):
    """Do what the case's check says: a valid case passes, an invalid one is refused with exactly its code."""
    check = checks[case["check"]]
    if "error" not in case:
        check(case)
        return
    with pytest.raises(Invalid) as refused:
        check(case)
    assert refused.value.code == case["error"], refused.value.detail


def unhex(data):
    """Bytes from hex, or from a list of [hex, times]."""
    if isinstance(data, str):
        return bytes.fromhex(data)
    return b"".join(bytes.fromhex(part) * times for part, times in data)


def unhexes(items):
    return [unhex(item) for item in items]


def value(data):
    """A value from its JSON form."""
    match data:
        case {"$hex": digits}:
            return unhex(digits)
        case {"$int": digits}:
            return int(digits)
        case {"$repeat": [part, times]}:
            return value(part) * times
        case dict():
            return {key: value(item) for key, item in data.items()}
        case list():
            return [value(item) for item in data]
        case _:
            return data
