"""Writes spec/registry.toml: tables come from the code, what they mean was written by people and is kept.

`registry.py` rewrites the file in place; a row that is new has an empty meaning, which the tests refuse.
"""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from troth_protocol import evidence, genesis
from troth_protocol.close import ballots, report, seal
from troth_protocol.insight import contribution
from troth_protocol.log import agreement, entry, evaluate, ops, rows, vote
from troth_protocol.market import card, exchange, trades, transcript_file
from troth_protocol.wire import crypto, messages
from troth_protocol.wire.schema import Record

ROOT = Path(__file__).parent.parent
REGISTRY = ROOT / "spec" / "registry.toml"
PROTOCOL = ROOT / "protocol" / "troth_protocol"
NODE = ROOT / "node" / "troth_node"

Row = dict[str, Any]
Table = dict[str, Row]

#: What people write, by table; everything else in a row is the code's.
WRITTEN = {
    "domains": ("meaning",),
    "errors": ("meaning",),
    "constants": ("unit", "scope", "meaning"),
}
DEFAULT_WRITTEN = ("meaning",)

#: Records that are no op, message or row of a table: what is signed, and what is nested in those.
OBJECTS: Mapping[str, Record[Any]] = {
    "header": entry.HEADER,
    "sponsored": ops.SPONSORED,
    "signed_header": entry.SIGNED_HEADER,
    "entry": entry._WIRE,  # noqa: SLF001 - the layout is the code's own affair, its text is not
    "vote": vote.VOTE,
    "certificate": vote.CERTIFICATE,
    "agreement": agreement.AGREEMENT,
    "contribution": contribution.CONTRIBUTION,
    "exchange_terms": exchange.EXCHANGE_TERMS,
    "contents": exchange.CONTENTS,
    "report_header": report.REPORT_HEADER,
    "candidate_payload": ballots._PROPOSAL,  # noqa: SLF001
    "vote_payload": ballots._PLACE,  # noqa: SLF001
    "seal": seal.SEAL,
    "signed_seal": seal.SIGNED_SEAL,
    "transcript": transcript_file.TRANSCRIPT,
    "seen_vote": evidence.SEEN_VOTE,
    "signed_candidate": evidence.SIGNED_CANDIDATE,
    "signed_ballot": evidence.SIGNED_BALLOT,
    "seal_signature": evidence.SEAL_SIGNATURE,
    "card": card.CARD,
    "announcement": card.ANNOUNCEMENT,
    "genesis": genesis.GENESIS,
    "holder": genesis._HOLDER,  # noqa: SLF001
    "topic": genesis._TOPIC,  # noqa: SLF001
    "phases": genesis._PHASES,  # noqa: SLF001
    "pacing": genesis._PACING,  # noqa: SLF001
    "rules": genesis._RULES,  # noqa: SLF001
}


def code_tables() -> dict[str, Table]:
    """Everything that the code says, by table and name."""
    return {
        "domains": _domains(),
        "ops": _ops(),
        "messages": _catalogue(messages.MESSAGES.records),
        "ballots": _catalogue(ballots.MESSAGES.records),
        "trades": _catalogue(trades.BODIES.records),
        "evidence": _catalogue(evidence.EVIDENCE.records),
        "objects": _catalogue(OBJECTS),
        "tables": _catalogue(rows.TABLES),
        "errors": {code: {"raised_by": sorted(places)} for code, places in sorted(_codes().items())},
        "constants": dict(_constants()),
    }


def _fields(record: Record[Any]) -> dict[str, str]:
    return {name: kind.name for name, kind in record.fields.items()}


def _catalogue(records: Mapping[str, Record[Any]]) -> Table:
    return {name: {"fields": _fields(record)} for name, record in records.items()}


def _ops() -> Table:
    fees = {ops.OPS._of_class[make].name: count for make, (_, count) in evaluate._RULES.items()}  # noqa: SLF001
    return {name: {"fees": fees[name], **row} for name, row in _catalogue(ops.OPS.records).items()}


def _domains() -> Table:
    """A domain is used if the code names it somewhere else than in its own list."""
    used = {*ballots.DOMAINS.values(), *(f"troth/{name}/1" for name in trades.BODIES.records)}
    for path in _modules():
        if path.name != "crypto.py":
            used |= set(re.findall(r"troth/[a-z_]+/1", path.read_text(encoding="utf-8")))
    return {f"troth/{name}/1": {"is_used": f"troth/{name}/1" in used} for name in crypto.SIGNED_OBJECTS}


def _modules() -> list[Path]:
    return [*sorted(PROTOCOL.rglob("*.py")), *sorted(NODE.rglob("*.py"))]


def _name(path: Path) -> str:
    base, prefix = (PROTOCOL, "") if path.is_relative_to(PROTOCOL) else (NODE, "troth_node.")
    return prefix + ".".join(path.relative_to(base).with_suffix("").parts)


def _codes() -> dict[str, set[str]]:
    """Every code that a module raises or sends, found in its source."""
    found: dict[str, set[str]] = {}
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for code in _codes_of(node):
                found.setdefault(code, set()).add(_name(path))
    return found


def _codes_of(node: ast.AST) -> Iterator[str]:
    """`Invalid(code)`, `_refused(code)` of the codec, `Refuse(entry, code)`, and the base call of a kind of Invalid."""
    if not isinstance(node, ast.Call):
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Invalid" for base in node.bases):
            yield from _codes_of_subclass(node)
        return
    called = ast.unparse(node.func)
    place = {"Invalid": 0, "_refused": 0, "Refuse": 1}.get(called)
    if place is None or len(node.args) <= place:
        return
    value = node.args[place]
    branches = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
    yield from (b.value for b in branches if isinstance(b, ast.Constant) and isinstance(b.value, str))


def _codes_of_subclass(node: ast.ClassDef) -> Iterator[str]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
            yield from (
                a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)
            )


def _constants() -> Iterator[tuple[str, Row]]:
    """Public numbers and byte strings of the protocol, by module; a name that is imported belongs to its module."""
    for path in sorted(PROTOCOL.rglob("*.py")):
        module = importlib.import_module(f"troth_protocol.{_name(path)}")
        for name in _assigned(path):
            value = getattr(module, name)
            if type(value) in (int, bytes):
                yield f"{_name(path)}.{name}", {"value": value.hex() if isinstance(value, bytes) else value}
    yield from _transport()


def _assigned(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        for target in targets:
            if isinstance(target, ast.Name) and target.id.isupper() and not target.id.startswith("_"):
                yield target.id


def _transport() -> Iterator[tuple[str, Row]]:
    """What peers must share of the transport. Its host is read as text: importing it would import libp2p."""
    host = (NODE / "transport" / "host.py").read_text(encoding="utf-8")
    protocol = re.search(r'^PROTOCOL: Final = TProtocol\("([^"]+)"\)', host, re.MULTILINE)
    link, settings = _transport_module("link"), _transport_module("settings")
    yield "transport.PROTOCOL", {"value": protocol[1] if protocol else ""}
    yield "transport.HEARTBEAT", {"value": link.HEARTBEAT.hex()}
    yield "transport.HEARTBEAT_MS", {"value": round(settings.Settings().heartbeat_s * 1000)}
    yield "transport.PAYLOAD_MIN_BYTES", {"value": link.PAYLOAD_MIN_BYTES}
    for goodbye in _transport_module("events").Goodbye:
        yield f"transport.GOODBYE_{goodbye.name}", {"value": int(goodbye)}


def _transport_module(name: str) -> ModuleType:
    return importlib.import_module(f"troth_node.transport.{name}")


def merge(code: Mapping[str, Table], written: Mapping[str, Table]) -> dict[str, Table]:
    """The code's tables with what people wrote about the rows that are still there."""
    out: dict[str, Table] = {}
    for table, found in code.items():
        keys = WRITTEN.get(table, DEFAULT_WRITTEN)
        known = written.get(table, {})
        out[table] = {
            name: row | {key: known.get(name, {}).get(key, "") for key in keys} for name, row in found.items()
        }
    return out


HEAD = """\
# The machine-readable registry: every domain, op, message, object, table, piece of evidence, error code and constant.
# Kinds: `bin 32` 32 bytes; `bin ..64` at most 64 bytes; `str ..64` at most 64 UTF-8 bytes; `uint` 0 to 2^53 - 1;
# `uint ..9` 0 to 9; `amount` decimal str; `bool`; `a | b` one of these words; `list 1..9 of (k)`; `[k, l]` a list with
# a kind for each place; `k ?` a field that may be absent; any other word names a row of [objects].
# tools/registry.py makes tables and values from the code; meaning, unit and scope are written by people, and kept.
# scope: agreed = every node must use this value; local = a node's own choice, given as this implementation has it.
"""


def render(tables: Mapping[str, Table]) -> str:
    """The file's text."""
    parts = [HEAD]
    for table, found in tables.items():
        for name, row in found.items():
            parts.append(f"\n[{table}.{_key(name)}]\n" + "".join(_lines(row)))
    return "".join(parts)


def _lines(row: Row) -> Iterator[str]:
    for key, value in row.items():
        if key == "fields":
            yield from (f"fields.{name} = {_value(kind)}\n" for name, kind in value.items())
        else:
            yield f"{key} = {_value(value)}\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        # TOML promises no more than 64 bits
        return str(value) if abs(value) < 2**63 else f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def load() -> dict[str, Table]:
    """The registry as it is in the file; empty if there is none."""
    return tomllib.loads(REGISTRY.read_text(encoding="utf-8")) if REGISTRY.exists() else {}


if __name__ == "__main__":
    merged = merge(code_tables(), load())
    REGISTRY.write_text(render(merged), encoding="utf-8")
    print(f"{sum(map(len, merged.values()))} rows in {REGISTRY.relative_to(ROOT)}")
