"""The genesis document: everything that the members of one network agree on before its first epoch.

Its digest is the network id, which every signature covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, TypeAlias

from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import MAX_AMOUNT
from troth_protocol.wire.crypto import digest, is_valid_key
from troth_protocol.wire.schema import (
    AMOUNT,
    FLAG,
    KEY,
    PPM,
    Record,
    choice,
    many,
    nested,
    optional,
    text,
    uint,
)

PROTOCOL_VERSION = 1
#: A witness bond below one in this many of the total carries no weight.
WITNESS_SHARE = 1000
_DOMAIN = b"troth/genesis/1"
HOUR_MAX = 23
KAPPA_MAX_PPM = PPM // 2
REPORTER_MAX_PPM = PPM // 2
OUTCOMES_MAX = 64
EMISSION_MAX_PPM = PPM // 2
BATCHES_MAX = 10_000
BATCH_MAX = 10_000
PHASE_MAX_EPOCHS = 1000
ASKS_MAX = 1000

#: Rules that share a fixed pot and are there for comparison; a topic that names none is scored by `kelly`.
RuleName: TypeAlias = Literal["nawm", "posterior", "wswm"]


@dataclass(frozen=True, slots=True)
class Holder:
    """An account that exists from the start: balance and bonds by role, in atomic units."""

    key: bytes
    balance: int
    witness: int
    attester: int
    agent: int


@dataclass(frozen=True, slots=True)
class Phases:
    """How many epochs each phase of a question lasts."""

    commit: int
    attest: int
    reveal: int
    attest_reveal: int

    def total(self) -> int:
        """Epochs from the opening of a question to the close that settles it."""
        return self.commit + self.attest + self.reveal + self.attest_reveal


@dataclass(frozen=True, slots=True)
class Topic:
    """A standing topic: `questions` questions in all, `per_epoch` of them opened each epoch from `first` on.

    Question i asks about day `start` + i // len(hours), hour hours[i % len(hours)]; its prior counts the sealed
    outcomes of category categories[i % len(hours)] on top of the pseudo-counts `prior[category]`.

    What may be left out: `emission_ppm`, most of M + H that one question pays (half); `prior_fixed`, the prior counts
    the pseudo-counts alone (no); `rule`, another score than `kelly`; `batches` with `every`, how many questions open
    together, a batch each `every` epochs from `first` on, in the place of `per_epoch`, which is 0 then.
    """

    name: str
    text: str
    outcomes: tuple[str, ...]
    start: str
    hours: tuple[int, ...]
    categories: tuple[int, ...]
    prior: tuple[tuple[int, ...], ...]
    first: int
    questions: int
    per_epoch: int
    emission: int
    phases: Phases
    emission_ppm: int | None = None
    prior_fixed: bool | None = None
    rule: RuleName | None = None
    batches: tuple[int, ...] | None = None
    every: int | None = None

    def slot(self, index: int) -> str:
        """The hour that question `index` asks about, as YYYY-MM-DDTHH:00 local time."""
        day = date.fromisoformat(self.start) + timedelta(days=index // len(self.hours))
        return f"{day.isoformat()}T{self.hours[index % len(self.hours)]:02d}:00"

    def category(self, index: int) -> int:
        """The prior's category of question `index`."""
        return self.categories[index % len(self.hours)]

    def indices(self, epoch: int) -> range:
        """The questions that open in an epoch."""
        if self.batches is not None:
            return self._batch(epoch, self.batches)
        begin = (epoch - self.first) * self.per_epoch
        return range(max(0, begin), max(0, min(begin + self.per_epoch, self.questions)))

    def _batch(self, epoch: int, batches: tuple[int, ...]) -> range:
        number, off = divmod(epoch - self.first, self.every or 1)
        if off or not 0 <= number < len(batches):
            return range(0)
        begin = sum(batches[:number])
        return range(begin, begin + batches[number])

    def pot(self, wagered: int, house: int) -> int:
        """Most that a question pays for wagers of so much in all, in atomic units."""
        share = EMISSION_MAX_PPM if self.emission_ppm is None else self.emission_ppm
        return min(self.emission, (wagered + house) * share // PPM)

    def question_text(self, index: int) -> str:
        """The question in words."""
        return self.text.replace("{slot}", self.slot(index))


@dataclass(frozen=True, slots=True)
class Pacing:
    """Timers, in milliseconds of each node's own monotonic clock; nothing certified depends on them."""

    epoch_ms: int
    grace_ms: int
    slot_ms: int
    slot_max_ms: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The mechanism's parameters; amounts in atomic units, shares in parts per million.

    `asks_max` and `min_bounty`, together, may be left out: then nobody can sponsor a question.
    """

    fee: int
    creation_fee: int
    min_wager: int
    epsilon_ppm: int
    kappa_ppm: int
    house: int
    attest_fee: int
    attest_penalty_ppm: int
    void_ppm: int
    value_ppm: int
    slash_author_ppm: int
    slash_witness_ppm: int
    reporter_ppm: int
    reporter_max: int
    evidence_epochs: int
    silent_epochs: int
    witnesses_min: int
    witnesses_max: int
    signals_max: int
    mint_per_epoch: int
    mint_epochs: int
    asks_max: int | None = None
    min_bounty: int | None = None


@dataclass(frozen=True, slots=True)
class Genesis:
    """The document itself; `reserve` is the supply that emissions are paid from."""

    protocol: int
    name: str
    pacing: Pacing
    rules: Rules
    holders: tuple[Holder, ...]
    topics: tuple[Topic, ...]
    reserve: int

    def encode(self) -> bytes:
        """Canonical bytes; their digest is the network id."""
        return GENESIS.encode(self)

    def network(self) -> bytes:
        """The network id: H(domain, payload)."""
        return network_id(self.encode())

    def supply(self) -> int:
        """Everything that exists before the first epoch, in atomic units."""
        return self.reserve + sum(h.balance + h.witness + h.attester + h.agent for h in self.holders)

    def topic(self, name: str) -> Topic:
        """The topic of that name; Invalid("unknown_topic")."""
        for topic in self.topics:
            if topic.name == name:
                return topic
        raise Invalid("unknown_topic", name)


def network_id(payload: bytes) -> bytes:
    """The network id of a genesis document's bytes."""
    return digest(bytes([len(_DOMAIN)]) + _DOMAIN + payload)


_SHARE = uint(PPM)
_PHASES = Record(
    "phases",
    Phases,
    {name: uint(PHASE_MAX_EPOCHS) for name in ("commit", "attest", "reveal", "attest_reveal")},
)
_HOLDER = Record(
    "holder",
    Holder,
    {"key": KEY, "balance": AMOUNT, "witness": AMOUNT, "attester": AMOUNT, "agent": AMOUNT},
)
_TOPIC = Record(
    "topic",
    Topic,
    {
        "name": text(32),
        "text": text(1024),
        "outcomes": many(text(64), OUTCOMES_MAX, 2),
        "start": text(10),
        "hours": many(uint(HOUR_MAX), 24, 1),
        "categories": many(uint(63), 24, 1),
        "prior": many(many(uint(10**9), OUTCOMES_MAX, 2), 64, 1),
        "first": uint(),
        "questions": uint(10**9),
        "per_epoch": uint(1000),
        "emission": AMOUNT,
        "phases": nested(_PHASES),
        "emission_ppm": optional(uint(EMISSION_MAX_PPM)),
        "prior_fixed": optional(FLAG),
        "rule": optional(choice("nawm", "posterior", "wswm")),
        "batches": optional(many(uint(BATCH_MAX), BATCHES_MAX, 1)),
        "every": optional(uint(10**6)),
    },
)
_PACING = Record(
    "pacing",
    Pacing,
    {name: uint(86_400_000) for name in ("epoch_ms", "grace_ms", "slot_ms", "slot_max_ms")},
)
_RULES = Record(
    "rules",
    Rules,
    {
        "fee": AMOUNT,
        "creation_fee": AMOUNT,
        "min_wager": AMOUNT,
        "epsilon_ppm": _SHARE,
        "kappa_ppm": _SHARE,
        "house": AMOUNT,
        "attest_fee": AMOUNT,
        "attest_penalty_ppm": _SHARE,
        "void_ppm": _SHARE,
        "value_ppm": uint(),
        "slash_author_ppm": _SHARE,
        "slash_witness_ppm": _SHARE,
        "reporter_ppm": _SHARE,
        "reporter_max": AMOUNT,
        "evidence_epochs": uint(10**6),
        "silent_epochs": uint(10**6),
        "witnesses_min": uint(64),
        "witnesses_max": uint(64),
        "signals_max": uint(64),
        "mint_per_epoch": AMOUNT,
        "mint_epochs": uint(),
        "asks_max": optional(uint(ASKS_MAX)),
        "min_bounty": optional(AMOUNT),
    },
)
GENESIS = Record(
    "genesis",
    Genesis,
    {
        "protocol": uint(),
        "name": text(64),
        "pacing": nested(_PACING),
        "rules": nested(_RULES),
        "holders": many(nested(_HOLDER), 10_000, 1),
        "topics": many(nested(_TOPIC), 64),
        "reserve": AMOUNT,
    },
)


def load_genesis(payload: bytes) -> Genesis:
    """Decode and check a genesis document; Invalid("bad_genesis") says what is wrong with it."""
    genesis = GENESIS.decode(payload)
    if genesis.protocol != PROTOCOL_VERSION:
        raise Invalid("bad_genesis", f"protocol version {genesis.protocol}, this is {PROTOCOL_VERSION}")
    _validate_pacing(genesis.pacing)
    _validate_rules(genesis.rules)
    _validate_holders(genesis)
    if len({topic.name for topic in genesis.topics}) != len(genesis.topics):
        raise Invalid("bad_genesis", "topic names must be distinct")
    for topic in genesis.topics:
        _validate_topic(topic, genesis.rules.epsilon_ppm)
    return genesis


def _validate_pacing(pacing: Pacing) -> None:
    if min(pacing.epoch_ms, pacing.grace_ms, pacing.slot_ms) < 1 or pacing.slot_max_ms < pacing.slot_ms:
        raise Invalid("bad_genesis", "timers are positive, and slot_max_ms is no shorter than slot_ms")


def _validate_rules(rules: Rules) -> None:
    if rules.kappa_ppm > KAPPA_MAX_PPM:
        raise Invalid("bad_genesis", f"kappa of {rules.kappa_ppm} ppm; above 1/2 a loss could exceed a wager")
    if rules.reporter_ppm > REPORTER_MAX_PPM:
        raise Invalid(
            "bad_genesis", f"a reporter's {rules.reporter_ppm} ppm; above 1/2 accusing oneself is cheap"
        )
    if not 1 <= rules.witnesses_min <= rules.witnesses_max:
        raise Invalid("bad_genesis", "witnesses_min is at least 1 and at most witnesses_max")
    if min(rules.silent_epochs, rules.evidence_epochs) < 1:
        raise Invalid("bad_genesis", "silent_epochs and evidence_epochs are at least 1")
    if (rules.asks_max is None) != (rules.min_bounty is None):
        raise Invalid("bad_genesis", "asks_max and min_bounty come together")
    if rules.min_bounty is not None and rules.min_bounty < rules.attest_fee:
        raise Invalid("bad_genesis", "min_bounty pays the attesters: it is no less than attest_fee")


def _validate_holders(genesis: Genesis) -> None:
    keys = [holder.key for holder in genesis.holders]
    if keys != sorted(set(keys)) or not all(map(is_valid_key, keys)):
        raise Invalid("bad_genesis", "holders must be distinct valid keys in order")
    bonds = [holder.witness for holder in genesis.holders if holder.witness]
    if not bonds:
        raise Invalid("bad_genesis", "no holder has a witness bond")
    if min(bonds) * WITNESS_SHARE < sum(bonds):
        raise Invalid("bad_genesis", f"a witness bond is at least 1/{WITNESS_SHARE} of all of them")
    # Every amount that can ever exist must have an encoding, or a state could not be written down.
    if genesis.supply() + genesis.rules.mint_per_epoch * genesis.rules.mint_epochs > MAX_AMOUNT:
        raise Invalid("bad_genesis", "the supply exceeds the largest amount")


def _validate_topic(topic: Topic, epsilon_ppm: int) -> None:
    size = len(topic.outcomes)
    if len(set(topic.outcomes)) != size:
        raise Invalid("bad_genesis", f"topic {topic.name}: outcomes must be distinct")
    if not _has_dates(topic):
        raise Invalid(
            "bad_genesis", f"topic {topic.name}: start must be a date YYYY-MM-DD, no question after 9999"
        )
    if len(topic.categories) != len(topic.hours) or max(topic.categories) >= len(topic.prior):
        raise Invalid(
            "bad_genesis", f"topic {topic.name}: a category for each hour, a prior for each category"
        )
    if any(len(counts) != size or min(counts) < 1 for counts in topic.prior):
        raise Invalid("bad_genesis", f"topic {topic.name}: positive pseudo-counts, one per outcome")
    if not _has_schedule(topic):
        raise Invalid(
            "bad_genesis",
            f"topic {topic.name}: batches and every come together, every 1 or more, with no per_epoch and as many"
            " questions as the batches have",
        )
    if not 0 < epsilon_ppm * size <= PPM:
        raise Invalid("bad_genesis", f"topic {topic.name}: epsilon leaves no room for {size} outcomes")
    phases = topic.phases
    if phases.commit < 1 or min(phases.attest, phases.reveal, phases.attest_reveal) < 2:
        raise Invalid(
            "bad_genesis", f"topic {topic.name}: attest, reveal and attest_reveal last at least 2 epochs"
        )


def _has_schedule(topic: Topic) -> bool:
    if topic.batches is None:
        return topic.every is None
    return bool(topic.every) and topic.per_epoch == 0 and topic.questions == sum(topic.batches)


def _has_dates(topic: Topic) -> bool:
    try:
        topic.slot(max(0, topic.questions - 1))
        return date.fromisoformat(topic.start).isoformat() == topic.start
    except (ValueError, OverflowError):
        return False
