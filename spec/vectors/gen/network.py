"""The small networks of the vectors: who holds what, by which rules, asked about what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from troth_protocol.genesis import Genesis, Holder, Pacing, Phases, Rules, Topic

from .common import TOKEN, keys

RULES: Final = Rules(
    fee=1_000,
    creation_fee=10_000,
    min_wager=TOKEN // 100,
    epsilon_ppm=10_000,
    kappa_ppm=500_000,
    house=1_000 * TOKEN,
    attest_fee=TOKEN,
    attest_penalty_ppm=10_000,
    void_ppm=50_000,
    value_ppm=200_000,
    slash_author_ppm=100_000,
    slash_witness_ppm=500_000,
    reporter_ppm=50_000,
    reporter_max=100 * TOKEN,
    evidence_epochs=64,
    silent_epochs=8,
    witnesses_min=1,
    witnesses_max=64,
    signals_max=2,
    mint_per_epoch=3 * TOKEN,
    mint_epochs=2,
)
PACING: Final = Pacing(epoch_ms=300, grace_ms=40, slot_ms=200, slot_max_ms=3_000)
#: The same, and three questions may be sponsored at a time.
PATRON_RULES: Final = replace(RULES, asks_max=3, min_bounty=2 * TOKEN)
COIN: Final = Topic(
    name="coin",
    text="Does the coin of {slot} show heads?",
    outcomes=("heads", "tails"),
    start="2026-01-01",
    hours=(9, 15),
    categories=(0, 0),
    prior=((5, 5),),
    first=1,
    questions=1,
    per_epoch=1,
    emission=100 * TOKEN,
    phases=Phases(commit=1, attest=2, reveal=2, attest_reveal=2),
)


def holder(name: str, balance: int, *, witness: int = 0, attester: int = 0, agent: int = 0) -> Holder:
    """A person of the vectors with tokens and bonds, in tokens."""
    return Holder(keys(name).public, balance * TOKEN, witness * TOKEN, attester * TOKEN, agent * TOKEN)


def document(
    holders: Sequence[Holder],
    *,
    rules: Rules = RULES,
    topics: Sequence[Topic] = (COIN,),
    name: str = "vectors",
) -> Genesis:
    """A genesis document with its holders in order; it is not checked."""
    ordered = sorted(holders, key=lambda one: one.key)
    return Genesis(1, name, PACING, rules, tuple(ordered), tuple(topics), 1_000_000 * TOKEN)
