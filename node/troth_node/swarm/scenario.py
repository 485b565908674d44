"""Scenarios: a TOML file that says who takes part and by which rules; checked whole before anything starts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

import msgspec

from troth_node.agent import Json
from troth_protocol.errors import Invalid
from troth_protocol.genesis import Genesis, Holder, Pacing, Phases, Rules, Topic, load_genesis
from troth_protocol.wire.crypto import KeyPair, digest

ATOMS: Final = 10**9
Role = Literal["seller", "processor", "forecaster"]


class ScenarioError(Exception):
    """A scenario that cannot run; one line that says what to change."""


class _Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    pass


class PacingPart(_Strict, frozen=True):
    """Timers in milliseconds."""

    epoch_ms: int
    grace_ms: int
    slot_ms: int
    slot_max_ms: int


class RulesPart(_Strict, frozen=True):
    """The mechanism's parameters; amounts in tokens."""

    fee: Decimal
    creation_fee: Decimal
    min_wager: Decimal
    epsilon_ppm: int
    kappa_ppm: int
    house: Decimal
    attest_fee: Decimal
    attest_penalty_ppm: int
    void_ppm: int
    value_ppm: int
    slash_author_ppm: int
    slash_witness_ppm: int
    reporter_ppm: int
    reporter_max: Decimal
    evidence_epochs: int
    silent_epochs: int
    witnesses_min: int
    witnesses_max: int
    signals_max: int
    mint_per_epoch: Decimal
    mint_epochs: int
    asks_max: int | None = None
    min_bounty: Decimal | None = None


class StakesPart(_Strict, frozen=True):
    """What each agent starts with, in tokens."""

    balance: Decimal
    agent: Decimal
    witness: Decimal
    attester: Decimal


class PhasesPart(_Strict, frozen=True):
    """Phase lengths in epochs."""

    commit: int
    attest: int
    reveal: int
    attest_reveal: int


class TopicPart(_Strict, frozen=True):
    """A standing topic; `emission` in tokens."""

    name: str
    text: str
    outcomes: list[str]
    start: str
    hours: list[int]
    categories: list[int]
    prior: list[list[int]]
    first: int
    questions: int
    per_epoch: int
    emission: Decimal
    phases: PhasesPart


class AgentPart(_Strict, frozen=True):
    """One node of the cast; `budget` is what it may spend on prices in all, in tokens."""

    name: str
    class_: str = msgspec.field(name="class")
    role: Role
    witness: bool = False
    attester: bool = False
    budget: Decimal | None = None
    options: dict[str, object] = {}


class ExtraPart(_Strict, frozen=True):
    """A kind of agent that larger swarms add, `vary` giving the n-th of it the n-th option of each list."""

    name: str
    class_: str = msgspec.field(name="class")
    role: Role
    budget: Decimal | None = None
    options: dict[str, object] = {}
    vary: dict[str, list[object]] = {}


class Scenario(_Strict, frozen=True):
    """A whole scenario file."""

    name: str
    nodes: int
    seed: int
    reserve: Decimal
    pacing: PacingPart
    rules: RulesPart
    stakes: StakesPart
    topics: list[TopicPart]
    agents: list[AgentPart]
    extra: list[ExtraPart] = []


@dataclass(frozen=True)
class NodePlan:
    """One node to start: who it is and which agent it runs; `budget` in atomic units (None: as its class says)."""

    name: str
    reference: str
    role: str
    witness: bool
    attester: bool
    options: Mapping[str, Json]
    keys: KeyPair
    budget: int | None = None


@dataclass(frozen=True)
class Plan:
    """Everything that a swarm needs: the nodes, the genesis, and the last epoch."""

    scenario: str
    root: Path
    nodes: tuple[NodePlan, ...]
    genesis: Genesis
    epochs: int


def load_scenario(path: Path) -> Scenario:
    """Read and check a scenario file; ScenarioError names the first thing that is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
        return msgspec.convert(tomllib.loads(text, parse_float=Decimal), Scenario)
    except OSError as error:
        raise ScenarioError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{path} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path} is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{path}: {error}") from None


def default_epochs(scenario: Scenario) -> int:
    """The epoch whose close settles the last question of every topic."""
    return max(
        topic.first - 1 - (-topic.questions // topic.per_epoch) + _life(topic.phases) - 1
        for topic in scenario.topics
    )


def _life(phases: PhasesPart) -> int:
    return phases.commit + phases.attest + phases.reveal + phases.attest_reveal


@dataclass(frozen=True)
class Guest:
    """An agent that somebody adds to a scenario's cast: `reference` is an absolute path with its class."""

    name: str
    reference: str
    role: str


def make_plan(
    scenario: Scenario,
    root: Path,
    nodes: int | None,
    epochs: int | None,
    seed: int | None,
    guests: Sequence[Guest] = (),
) -> Plan:
    """Fix the cast, the keys and the genesis of one run; ScenarioError if they cannot be.

    Guests come on top of `nodes`.
    """
    count = scenario.nodes if nodes is None else nodes
    chosen_seed = scenario.seed if seed is None else seed
    last = default_epochs(scenario) if epochs is None else epochs
    if count < len(scenario.agents):
        raise ScenarioError(f"{scenario.name} needs at least {len(scenario.agents)} nodes, not {count}")
    if count > len(scenario.agents) and not scenario.extra:
        raise ScenarioError(f"{scenario.name} has no extra agents: at most {len(scenario.agents)} nodes")
    if last < _least_epochs(scenario):
        raise ScenarioError(
            f"{scenario.name} needs at least {_least_epochs(scenario)} epochs to settle a question"
        )
    plans = [_plan(part, chosen_seed) for part in scenario.agents]
    plans += [_extra_plan(scenario, number, chosen_seed) for number in range(count - len(plans))]
    plans += [_guest_plan(guest, chosen_seed) for guest in guests]
    if len({plan.name for plan in plans}) != len(plans):
        raise ScenarioError(f"{scenario.name}: agent names must be distinct")
    try:
        genesis = load_genesis(_genesis(scenario, plans, last).encode())
    except Invalid as error:
        raise ScenarioError(f"{scenario.name}: {error.detail}") from None
    return Plan(scenario.name, root, tuple(plans), genesis, last)


def _least_epochs(scenario: Scenario) -> int:
    return min(topic.first + _life(topic.phases) - 1 for topic in scenario.topics)


def _keys(seed: int, name: str) -> KeyPair:
    # Keys of a local swarm are made from its seed, so that a run can be repeated. They guard play money only.
    return KeyPair.from_seed(digest(f"troth swarm {seed} {name}".encode()))


def _options(options: Mapping[str, object], name: str, seed: int) -> dict[str, Json]:
    converted = msgspec.convert(msgspec.to_builtins(options), dict[str, object])
    return {**converted, "name": name, "seed": seed}  # type: ignore[dict-item]


def _plan(part: AgentPart, seed: int) -> NodePlan:
    options = _options(part.options, part.name, seed)
    keys, budget = _keys(seed, part.name), _budget(part.budget)
    return NodePlan(part.name, part.class_, part.role, part.witness, part.attester, options, keys, budget)


def _budget(tokens: Decimal | None) -> int | None:
    return None if tokens is None else atoms(tokens)


def _extra_plan(scenario: Scenario, number: int, seed: int) -> NodePlan:
    part = scenario.extra[number % len(scenario.extra)]
    turn = number // len(scenario.extra)
    name = part.name.replace("{n}", str(turn + 1))
    varied = {key: values[turn % len(values)] for key, values in part.vary.items() if values}
    options = _fill(_options({**part.options, **varied}, name, seed), turn + 1)
    keys, budget = _keys(seed, name), _budget(part.budget)
    return NodePlan(name, part.class_, part.role, False, False, options, keys, budget)


def _guest_plan(guest: Guest, seed: int) -> NodePlan:
    options = _options({}, guest.name, seed)
    return NodePlan(guest.name, guest.reference, guest.role, False, False, options, _keys(seed, guest.name))


def _fill(options: Mapping[str, Json], number: int) -> dict[str, Json]:
    def fill(value: Json) -> Json:
        if isinstance(value, str):
            return value.replace("{n}", str(number))
        if isinstance(value, list):
            return [fill(item) for item in value]
        return value

    return {key: fill(value) for key, value in options.items()}


def atoms(tokens: Decimal) -> int:
    """Tokens to atomic units; ScenarioError if it is negative or finer than one unit."""
    amount = tokens * ATOMS
    if amount < 0 or amount != int(amount):
        raise ScenarioError(f"{tokens} tokens is not a whole number of atomic units (10^-9)")
    return int(amount)


def _genesis(scenario: Scenario, plans: list[NodePlan], epochs: int) -> Genesis:
    stakes = scenario.stakes
    holders = [
        Holder(
            plan.keys.public,
            atoms(stakes.balance),
            atoms(stakes.witness) if plan.witness else 0,
            atoms(stakes.attester) if plan.attester else 0,
            atoms(stakes.agent),
        )
        for plan in plans
    ]
    holders.sort(key=lambda holder: holder.key)
    pacing, topics = scenario.pacing, scenario.topics
    return Genesis(
        protocol=1,
        name=scenario.name,
        pacing=Pacing(pacing.epoch_ms, pacing.grace_ms, pacing.slot_ms, pacing.slot_max_ms),
        rules=_rules(scenario.rules, epochs),
        holders=tuple(holders),
        topics=tuple(_shorten(_topic(part), epochs) for part in topics),
        reserve=atoms(scenario.reserve),
    )


def _rules(part: RulesPart, epochs: int) -> Rules:
    """Nothing of a run is pruned before its end: the audit executes every close again."""
    fields = msgspec.structs.asdict(part)
    rules = Rules(
        **{key: atoms(value) if isinstance(value, Decimal) else value for key, value in fields.items()}
    )
    return replace(rules, evidence_epochs=max(rules.evidence_epochs, epochs))


def _topic(part: TopicPart) -> Topic:
    phases = part.phases
    return Topic(
        name=part.name,
        text=part.text,
        outcomes=tuple(part.outcomes),
        start=part.start,
        hours=tuple(part.hours),
        categories=tuple(part.categories),
        prior=tuple(tuple(counts) for counts in part.prior),
        first=part.first,
        questions=part.questions,
        per_epoch=part.per_epoch,
        emission=atoms(part.emission),
        phases=Phases(phases.commit, phases.attest, phases.reveal, phases.attest_reveal),
    )


def _shorten(topic: Topic, epochs: int) -> Topic:
    """Open only what can be settled by the last epoch."""
    openings = max(0, epochs - topic.phases.total() + 2 - topic.first)
    return replace(topic, questions=min(topic.questions, openings * topic.per_epoch))
