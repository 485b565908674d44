"""The registry and the code say the same, in both directions, and every row of it says what it means."""

from __future__ import annotations

import ast
import importlib.util
import re
from itertools import pairwise
from pathlib import Path

import pytest

from troth_protocol.close import ballots
from troth_protocol.evidence import EVIDENCE
from troth_protocol.log.ops import OPS
from troth_protocol.log.rows import TABLES
from troth_protocol.market.trades import BODIES
from troth_protocol.wire.crypto import DOMAINS
from troth_protocol.wire.messages import MESSAGES

ROOT = Path(__file__).parents[2]
PROTOCOL = ROOT / "protocol" / "troth_protocol"


def load_tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = load_tool("registry")
REGISTRY = TOOL.load()
CODE = TOOL.code_tables()
CATALOGUES = {
    "ops": OPS.records,
    "messages": MESSAGES.records,
    "ballots": ballots.MESSAGES.records,
    "trades": BODIES.records,
    "evidence": EVIDENCE.records,
    "tables": TABLES,
}
#: Where a code is handed on, not chosen: a record names the field before what its kind said; the codec's readers.
HANDED_ON = {("wire.schema", "error.code"), ("wire.codec", "code")}


def code_part(table):
    """A table of the registry without what people wrote."""
    written = TOOL.WRITTEN.get(table, TOOL.DEFAULT_WRITTEN)
    return {
        name: {key: value for key, value in row.items() if key not in written}
        for name, row in REGISTRY.get(table, {}).items()
    }


def as_in_file(rows):
    """Numbers of more than 64 bits are written as text."""
    return {
        name: {key: str(v) if isinstance(v, int) and abs(v) >= 2**63 else v for key, v in row.items()}
        for name, row in rows.items()
    }


def kinds_in(name):
    """The plain kinds that a kind's name is made of."""
    name = name.removesuffix(" ?")
    if found := re.fullmatch(r"list \d+\.\.\d+ of \((.*)\)", name):
        return kinds_in(found[1])
    if name.startswith("["):
        return {kind for part in name[1:-1].split(", ") for kind in kinds_in(part)}
    return set(name.split(" | "))


def test_registry_has_the_tables_of_the_code():
    assert set(REGISTRY) == set(CODE)


@pytest.mark.parametrize("table", CODE)
def test_table_equals_the_code(table):
    assert code_part(table) == as_in_file(CODE[table]), "python tools/registry.py writes it anew"


@pytest.mark.parametrize("table", CATALOGUES)
def test_catalogue_is_whole(table):
    fields = {
        name: {key: kind.name for key, kind in record.fields.items()}
        for name, record in CATALOGUES[table].items()
    }
    assert fields == {name: row["fields"] for name, row in REGISTRY[table].items()}


def test_domains_are_the_ones_that_can_be_signed():
    assert set(REGISTRY["domains"]) == DOMAINS


def test_domains_without_use_are_reserved():
    for name, row in REGISTRY["domains"].items():
        assert row["is_used"] != row["meaning"].startswith("Reserved"), name


def test_no_domain_begins_another():
    prefixed = sorted(bytes([len(name)]) + name.encode() for name in REGISTRY["domains"])
    assert not [a for a, b in pairwise(prefixed) if b.startswith(a)]


def test_every_row_has_a_meaning():
    bare = [
        f"{table}.{name}.{key}"
        for table, rows in REGISTRY.items()
        for name, row in rows.items()
        for key in TOOL.WRITTEN.get(table, TOOL.DEFAULT_WRITTEN)
        if not row.get(key)
    ]
    assert not bare


def test_constants_say_whether_they_are_agreed():
    assert {row["scope"] for row in REGISTRY["constants"].values()} == {"agreed", "local"}


def test_units_in_names_are_the_units():
    for name, row in REGISTRY["constants"].items():
        for unit in ("bytes", "ms", "ppm", "epochs", "bits"):
            if name.endswith(f"_{unit.upper()}") and "." in name:
                assert row["unit"] == unit, name


def test_kinds_are_known():
    plain = re.compile(r"bin (\.\.)?\d+|str \.\.\d+|uint( \.\.\d+)?|amount|bool")
    words = {"witness", "attester", "agent", "notarize", "finalize", "skip", "nawm", "posterior", "wswm"}
    for table in (*CATALOGUES, "objects"):
        for name, row in REGISTRY[table].items():
            for field, kind in row["fields"].items():
                strange = {
                    part
                    for part in kinds_in(kind)
                    if not plain.fullmatch(part) and part not in REGISTRY["objects"] and part not in words
                }
                assert not strange, f"{table}.{name}.{field}"


def test_codes_are_written_out_where_they_are_raised():
    """A code that is computed could not be found, so there is none but those handed on."""
    found = set()
    for path in PROTOCOL.rglob("*.py"):
        module = ".".join(path.relative_to(PROTOCOL).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Invalid":
                code = node.args[0]
                if not isinstance(code, ast.Constant | ast.IfExp):
                    found.add((module, ast.unparse(code)))
    assert found == HANDED_ON


def test_codes_fit_into_a_refusal():
    limit = int(REGISTRY["messages"]["refuse"]["fields"]["code"].removeprefix("str .."))
    assert all(len(code) <= limit and re.fullmatch(r"[a-z0-9_]+", code) for code in REGISTRY["errors"])


def test_file_is_what_the_tool_writes():
    assert TOOL.REGISTRY.read_text() == TOOL.render(TOOL.merge(CODE, REGISTRY))
