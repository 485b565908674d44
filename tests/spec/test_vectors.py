"""The test vectors as a whole: made again they are the same, every case is well formed, every code is met."""

from __future__ import annotations

import importlib.util
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from vector_kit import VECTORS, read

ROOT = Path(__file__).parents[2]


def load_maker():
    spec = importlib.util.spec_from_file_location("make_vectors", VECTORS / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKER = load_maker()
CODES = tomllib.loads((ROOT / "spec" / "registry.toml").read_text())["errors"]
#: Codes that bytes alone never lead to: they depend on what a running node has seen, on its disk, or on its language.
OF_A_RUNNING_NODE = {
    *("closed", "conflict", "not_a_member", "not_a_payee", "expired", "bad_range"),
    *("bad_row", "foreign_ballot", "no_seal", "unknown_topic"),
    "bad_type",
}
by_file = pytest.mark.parametrize("name", MAKER.FILES)


@by_file
def test_making_them_again_changes_nothing(name):
    assert (VECTORS / name).read_text(encoding="utf-8") == MAKER.render(name), "make vectors writes it anew"


@by_file
def test_there_are_as_many_refusals_as_good_cases(name):
    found = read(name)
    assert 0 < len(found["valid"]) <= len(found["invalid"])


@by_file
def test_every_case_is_named_once_and_a_refusal_after_its_code(name):
    found = read(name)
    names = Counter(case["name"] for kind in ("valid", "invalid") for case in found[kind])
    assert [case for case, count in names.items() if count > 1] == []
    assert all(case["name"].startswith(f"{case['error']}: ") for case in found["invalid"])
    assert not [case for case in found["valid"] if "error" in case]
    assert all("check" in case for kind in ("valid", "invalid") for case in found[kind])


@by_file
def test_no_input_is_there_twice(name):
    """Two cases with the same fields would be one."""
    found = read(name)
    inputs = [
        str({key: item for key, item in case.items() if key not in {"name", "error"}})
        for kind in ("valid", "invalid")
        for case in found[kind]
    ]
    assert len(set(inputs)) == len(inputs)


@by_file
def test_the_readme_tells_of_it(name):
    assert f"`{name}`" in (VECTORS / "README.md").read_text(encoding="utf-8")


def test_every_file_is_made_or_told_of():
    told = {"ed25519_edge.json", "reference_values.json", "nyc_coalition_values.json"}
    assert {path.name for path in VECTORS.glob("*.json")} == told | set(MAKER.FILES)


def test_numbers_are_safe_in_every_language():
    """Integers within 2^53 and no floats, but where a file says otherwise with a tag or refuses just that."""

    def numbers(item):
        if isinstance(item, dict):
            return [n for value in item.values() for n in numbers(value)]
        if isinstance(item, list):
            return [n for value in item for n in numbers(value)]
        return [item] if isinstance(item, int | float) else []

    for name in MAKER.FILES:
        unsafe = [n for n in numbers(read(name)) if isinstance(n, float) or abs(n) > 2**53 - 1]
        assert unsafe == ([0.5] if name == "encoding.json" else []), name


def test_every_code_is_met_but_those_of_a_running_node():
    met = {case["error"] for name in MAKER.FILES for case in read(name)["invalid"]}
    assert met <= set(CODES)
    assert set(CODES) - met == OF_A_RUNNING_NODE
