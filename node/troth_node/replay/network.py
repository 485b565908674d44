"""The network of a replay: a genesis document in which nothing but the rule and the forecasts moves a stake.

Ops are free, attesters get no fee, and their bonds and the reserve are so large that no cap binds: the value cap ties
wagers to what attesters of a real network can lose, while a replay's outcomes are read from its table. Each round of
the table is one batch of a standing topic; the next one opens when all of it is settled, so the stakes carry over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from troth_node.replay.forecasts import Table, TableError
from troth_node.swarm.scenario import ATOMS
from troth_protocol.errors import Invalid
from troth_protocol.genesis import (
    PROTOCOL_VERSION,
    Genesis,
    Holder,
    Pacing,
    Phases,
    RuleName,
    Rules,
    Topic,
    load_genesis,
)
from troth_protocol.wire.crypto import KeyPair, digest

TOPIC: Final = "replay"
WITNESSES: Final = 4
#: Each attester's bond and the reserve, in atomic units: far above any stakes, far below the largest amount.
BOND: Final = 10**35
RESERVE: Final = 10**37
WITNESS_BOND: Final = 1_000 * ATOMS
#: More questions than any table has fit between the first hour of this day and the end of the calendar.
START: Final = "2000-01-01"
#: The epoch in which the first round opens: by then every node has heard from the witnesses.
FIRST_EPOCH: Final = 2
Prior = Literal["frequency", "uniform"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a replay is asked for: amounts in atomic units, shares in parts per million; `rule` None is `kelly`."""

    rule: RuleName | None = None
    emission_ppm: int = 100_000
    house: int = 1_000 * ATOMS
    kappa_ppm: int = 500_000
    stake: int = 1_000 * ATOMS
    epsilon_ppm: int = 10_000
    prior: Prior = "frequency"
    min_forecasters: int = 1
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay: its table, its settings, the network that it makes and who takes part in it."""

    table: Table
    settings: Settings
    genesis: Genesis
    witnesses: tuple[KeyPair, ...]
    forecasters: tuple[KeyPair, ...]

    @property
    def topic(self) -> Topic:
        """The one standing topic."""
        return self.genesis.topics[0]

    @property
    def last_epoch(self) -> int:
        """The epoch whose close settles the last round, if no vote has to be repeated."""
        every = self.topic.every or 1
        return self.topic.first + (len(self.table.rounds) - 1) * every + self.topic.phases.total() - 1

    def opens(self, number: int) -> int:
        """The epoch in which round `number` opens."""
        return self.topic.first + number * (self.topic.every or 1)


def make_replay(table: Table, settings: Settings, phases: Phases, pacing: Pacing) -> Replay:
    """The network in which a table is replayed; TableError if the settings allow none."""
    witnesses = tuple(_keys(settings, f"witness {number}") for number in range(WITNESSES))
    forecasters = tuple(_keys(settings, f"forecaster {number}") for number in range(len(table.forecasters)))
    holders = [Holder(keys.public, 0, WITNESS_BOND, BOND, 0) for keys in witnesses]
    holders += [Holder(keys.public, settings.stake, 0, 0, 0) for keys in forecasters]
    draft = Genesis(
        protocol=PROTOCOL_VERSION,
        name=f"replay {table.digest.hex()[:16]}",
        pacing=pacing,
        rules=_rules(settings),
        holders=tuple(sorted(holders, key=lambda holder: holder.key)),
        topics=(_topic(table, settings, phases),),
        reserve=RESERVE,
    )
    try:
        genesis = load_genesis(draft.encode())
    except Invalid as error:
        raise TableError(f"no network can replay this table so: {error.detail or error.code}") from None
    return Replay(table, settings, genesis, witnesses, forecasters)


def _keys(settings: Settings, name: str) -> KeyPair:
    # As in any local swarm: made from the seed, so that a run can be repeated. They guard play money only.
    return KeyPair.from_seed(digest(f"troth replay {settings.seed} {name}".encode()))


def _rules(settings: Settings) -> Rules:
    return Rules(
        fee=0,
        creation_fee=0,
        min_wager=1,
        epsilon_ppm=settings.epsilon_ppm,
        kappa_ppm=settings.kappa_ppm,
        house=settings.house,
        attest_fee=0,
        attest_penalty_ppm=100_000,
        void_ppm=50_000,
        value_ppm=10**12,
        slash_author_ppm=100_000,
        slash_witness_ppm=500_000,
        reporter_ppm=50_000,
        reporter_max=ATOMS,
        evidence_epochs=10**6,  # nothing is pruned: the audit executes every close again
        silent_epochs=8,
        witnesses_min=1,
        witnesses_max=64,
        signals_max=1,
        mint_per_epoch=0,
        mint_epochs=0,
    )


def _topic(table: Table, settings: Settings, phases: Phases) -> Topic:
    return Topic(
        name=TOPIC,
        text="A question of the replayed table: which of its outcomes came true?",
        outcomes=tuple(f"outcome {number}" for number in range(table.outcomes)),
        start=START,
        hours=tuple(range(24)),
        categories=(0,) * 24,
        prior=((1,) * table.outcomes,),
        first=FIRST_EPOCH,
        questions=sum(table.batches()),
        per_epoch=0,
        emission=RESERVE,
        phases=phases,
        emission_ppm=settings.emission_ppm,
        prior_fixed=True if settings.prior == "uniform" else None,
        rule=settings.rule,
        batches=table.batches(),
        every=phases.total(),
    )
