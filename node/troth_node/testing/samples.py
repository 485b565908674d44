"""Small genesis documents, and evidence, for tests and simulations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from troth_protocol.evidence import entry_fork, misdelivery
from troth_protocol.genesis import Genesis, Holder, Pacing, Phases, Rules, Topic, load_genesis
from troth_protocol.log.entry import make_entry
from troth_protocol.log.ops import Bond
from troth_protocol.log.rows import NO_HEAD
from troth_protocol.log.sealed import commit_id
from troth_protocol.market.exchange import ExchangeTerms, sign_terms
from troth_protocol.wire.crypto import KeyPair, digest

TOKEN = 10**9

RULES = Rules(
    fee=1_000,
    creation_fee=10_000,
    min_wager=TOKEN // 100,
    epsilon_ppm=10_000,
    kappa_ppm=500_000,
    house=1_000 * TOKEN,
    attest_fee=TOKEN,
    attest_penalty_ppm=10_000,
    void_ppm=50_000,
    value_ppm=500_000,
    slash_author_ppm=100_000,
    slash_witness_ppm=500_000,
    reporter_ppm=50_000,
    reporter_max=100 * TOKEN,
    evidence_epochs=64,
    silent_epochs=8,
    witnesses_min=1,
    witnesses_max=64,
    signals_max=8,
    mint_per_epoch=0,
    mint_epochs=0,
)

COIN = Topic(
    name="coin",
    text="Does the coin of {slot} show heads?",
    outcomes=("heads", "tails"),
    start="2026-01-01",
    hours=(9, 15),
    categories=(0, 0),
    prior=((5, 5),),
    first=1,
    questions=1_000,
    per_epoch=1,
    emission=100 * TOKEN,
    phases=Phases(commit=2, attest=2, reveal=2, attest_reveal=2),
)

PACING = Pacing(epoch_ms=300, grace_ms=40, slot_ms=200, slot_max_ms=3_000)


def seed(number: int) -> bytes:
    """The key seed of the n-th agent of a test."""
    return digest(b"agent" + number.to_bytes(4, "big"))


def sample_genesis(
    agents: int,
    witnesses: int,
    *,
    weights: Sequence[int] = (),
    topics: tuple[Topic, ...] = (COIN,),
    rules: Rules = RULES,
    pacing: Pacing = PACING,
) -> Genesis:
    """A network of `agents` holders, the first `witnesses` of which witness and attest."""
    holders = []
    for number in range(agents):
        bond = 100_000 * TOKEN if number < witnesses else 0
        weight = weights[number] * TOKEN if number < len(weights) else bond
        key = KeyPair.from_seed(seed(number)).public
        holders.append(Holder(key, 1_000 * TOKEN, weight, bond, 0))
    holders.sort(key=lambda holder: holder.key)
    draft = Genesis(1, "sample", pacing, rules, tuple(holders), topics, 1_000_000 * TOKEN)
    return load_genesis(replace(draft).encode())


def sample_fork(keys: KeyPair, network: bytes, *, epoch: int = 1, seq: int = 1) -> bytes:
    """Evidence against whoever signed two entries at one place of its log: an entry fork."""
    halves = [
        make_entry(
            keys,
            network,
            incarnation=0,
            epoch=epoch,
            seq=seq,
            prev=NO_HEAD,
            deps=[],
            ops=[Bond(amount, "agent")],
        ).signed
        for amount in (1, 2)
    ]
    return entry_fork(*halves)


def sample_misdelivery(
    seller: KeyPair, network: bytes, buyer: bytes, key: bytes, *, question: bytes = digest(b"question")
) -> bytes:
    """Evidence that this seller sold this buyer junk for a token, under this key of 32 bytes."""
    sealed, junk = digest(b"commit"), b"junk"
    terms = ExchangeTerms(
        network,
        seller.public,
        buyer,
        question,
        commit_id(network, seller.public, question, sealed),
        sealed,
        digest(key),
        digest(junk),
        TOKEN,
        9,
    )
    return misdelivery(*sign_terms(seller, terms), junk, key)
