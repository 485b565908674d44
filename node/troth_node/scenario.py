"""Scenarios: a TOML file says who plays, what they are asked and by which rules; this reads it and nothing else does.

Amounts are in tokens there (exact decimals) and in atomic units here. A class is named "path/to/file.py:Class"; the path
counts from the root, two folders above the scenario's own.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import msgspec

from troth_node.agent import Agent, Json
from troth_protocol.genesis import PROTOCOL_VERSION, Genesis, Holder, Pacing, Rules, Topic

Role: TypeAlias = Literal["seller", "processor", "forecaster"]

ATOMIC_PER_TOKEN = 10**9
AMOUNTS = {
    "stakes": {"balance", "witness", "attester", "agent"},
    "rules": {"fee", "creation_fee", "min_wager", "house", "attest_fee", "reporter_max", "mint_per_epoch"},
    "topics": {"emission"},
    "": {"reserve"},
}


class ScenarioError(Exception):
    """The scenario cannot be played; the message says what is wrong with it."""


class Stakes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each agent starts with: a balance and an agent bond for all, the other bonds for those who have the duty."""

    balance: int
    agent: int
    witness: int
    attester: int


class AgentSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One agent of the cast: its class and options, and its duties."""

    name: str
    role: Role
    reference: str = msgspec.field(name="class")
    witness: bool = False
    attester: bool = False
    options: dict[str, Any] = {}


class ExtraSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of agent to fill a larger swarm with. `{n}` in its name and options is 1, 2, 3 …

    `vary` lists values of options; agent n takes entry n of each list, beginning again when a list is over.
    """

    name: str
    role: Role
    reference: str = msgspec.field(name="class")
    options: dict[str, Any] = {}
    vary: dict[str, list[Any]] = {}

    def make(self, n: int) -> AgentSpec:
        """The n-th agent of this kind, from 1."""
        options = self.options | {name: values[(n - 1) % len(values)] for name, values in self.vary.items()}
        filled = {name: _fill(value, n) for name, value in options.items()}
        return AgentSpec(self.name.replace("{n}", str(n)), self.role, self.reference, options=filled)


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A scenario as written, amounts in atomic units."""

    name: str
    nodes: int
    seed: int
    reserve: int
    pacing: Pacing
    rules: Rules
    stakes: Stakes
    topics: tuple[Topic, ...]
    agents: tuple[AgentSpec, ...]
    extra: tuple[ExtraSpec, ...] = ()

    def cast(self, nodes: int | None = None) -> list[AgentSpec]:
        """The agents of a swarm of `nodes`: the cast, then extras in turn; ScenarioError if they do not fit."""
        wanted = self.nodes if nodes is None else nodes
        missing = wanted - len(self.agents)
        if missing < 0 or (missing and not self.extra):
            raise ScenarioError(f"{self.name} has a cast of {len(self.agents)}, not {wanted}")
        kinds = len(self.extra)
        return [*self.agents, *(self.extra[i % kinds].make(i // kinds + 1) for i in range(missing))]

    def genesis(self, keys: Mapping[str, bytes], nodes: int | None = None) -> Genesis:
        """The genesis document, given each agent's public key by name."""
        stakes = self.stakes
        holders = [
            Holder(
                keys[agent.name],
                stakes.balance,
                stakes.witness if agent.witness else 0,
                stakes.attester if agent.attester else 0,
                stakes.agent,
            )
            for agent in self.cast(nodes)
        ]
        by_key = tuple(sorted(holders, key=lambda holder: holder.key))
        return Genesis(
            PROTOCOL_VERSION, self.name, self.pacing, self.rules, by_key, self.topics, self.reserve
        )

    def options(self, spec: AgentSpec) -> dict[str, Json]:
        """What an agent's `open` is given: its own options, its name, and a seed of its own."""
        index = sum(ord(letter) * 31**place for place, letter in enumerate(spec.name)) % 2**31
        return {**spec.options, "name": spec.name, "seed": (self.seed + index) % 2**31}


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file; ScenarioError says which field is missing, unknown or of the wrong type."""
    try:
        with path.open("rb") as file:
            raw = tomllib.load(file, parse_float=Decimal)
        for place, names in AMOUNTS.items():
            _to_atomic(raw if place == "" else raw[place], names)
        _refuse_unknown(raw, "pacing", Pacing)
        _refuse_unknown(raw, "rules", Rules)
        return msgspec.convert(raw, Scenario, strict=True)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, KeyError, TypeError) as error:
        raise ScenarioError(f"{path.name}: {error}") from error


def load_agent(reference: str, root: Path) -> Agent:
    """Make an agent from "path/to/file.py:Class", the path below `root`. Its folder's other files can be imported by it."""
    file, _, name = reference.partition(":")
    path = root / file
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = spec_from_file_location(f"troth_agent_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ScenarioError(f"no such file: {file}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    kind = getattr(module, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Agent)):
        raise ScenarioError(f"{reference} is no subclass of Agent")
    return kind()


def _to_atomic(table: dict[str, Any] | list[dict[str, Any]], names: set[str]) -> None:
    for row in table if isinstance(table, list) else [table]:
        for name in names & row.keys():
            amount = Decimal(row[name]) * ATOMIC_PER_TOKEN
            if amount != int(amount):
                raise ScenarioError(f"{name} = {row[name]}: a token has nine decimals")
            row[name] = int(amount)


def _refuse_unknown(raw: Mapping[str, Any], place: str, kind: type[Pacing | Rules]) -> None:
    unknown = raw[place].keys() - {field.name for field in fields(kind)}
    if unknown:
        raise ScenarioError(f"{place} has no {min(unknown)}")


def _fill(value: object, n: int) -> Json:
    if isinstance(value, str):
        return value.replace("{n}", str(n))
    if isinstance(value, list):
        return [_fill(item, n) for item in value]
    return cast("Json", value)
