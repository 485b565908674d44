"""sponsored.json: closes of a network in which questions are asked for a bounty, from bytes to bytes."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.ops import (
    AskOp,
    Attest,
    AttestReveal,
    CommitOp,
    Reveal,
    Sponsored,
    Unbond,
)
from troth_protocol.log.sealed import asked_id, attest_digest, commit_digest, commit_id

from .closes import executed
from .common import TOKEN, Case, Json, cases, hexed, invalid, keys
from .network import PATRON_RULES, document, holder
from .story import Story, Told, salt

GENESIS: Final = document(
    [
        *(holder(name, 1_000) for name in ("alma", "bruno", "carla", "hugo")),
        *(holder(name, 100, witness=30_000, attester=50_000) for name in ("dora", "emil", "fay")),
    ],
    rules=replace(PATRON_RULES, asks_max=2, witnesses_min=3, evidence_epochs=6, mint_epochs=0),
    topics=(),
    name="sponsored",
)
NETWORK: Final = GENESIS.network()
RAIN: Final = Sponsored("weather", "Does it rain?", ("yes", "no"), (300_000, 700_000), 2, 1, 2, 2, 2)
SNOW: Final = replace(RAIN, topic="", text="Does it snow?")
FORECASTS: Final = {"bruno": (800_000, 200_000), "carla": (100_000, 900_000)}
TITLES: Final = (
    "three questions are asked where there is room for two, and two witnesses unbond",
    "forecasts with wagers; the set stays as it is, and so do the bonds",
    "one question is voted on, the other by one attester alone",
    "nothing happens",
    "one forecast opens, the other does not",
    "nothing happens again",
    "votes open",
    "one question settles, the other is voted on again",
)


def _contribution(question: bytes, name: str) -> bytes:
    return CONTRIBUTION.encode(Contribution(question, "I looked up", (), ppm=FORECASTS[name]))


def _sealed(question: bytes, name: str) -> bytes:
    body = _contribution(question, name)
    return commit_digest(NETWORK, keys(name).public, question, salt(name), body)


def _vote(at: Story, question: bytes, name: str, outcome: int) -> None:
    sealed = attest_digest(NETWORK, keys(name).public, question, salt(name), outcome)
    at.certify(name, Attest(question, sealed))


@lru_cache(maxsize=1)
def story() -> tuple[Told, ...]:
    """Eight epochs."""
    at = Story(GENESIS)
    rain = asked_id(at.certify("alma", AskOp(RAIN, 50 * TOKEN)).id, 0)
    snow = asked_id(at.certify("hugo", AskOp(SNOW, 9 * TOKEN)).id, 0)
    at.certify("carla", AskOp(replace(RAIN, text="Does it hail?"), 8 * TOKEN))
    for name in ("dora", "emil"):
        at.certify(name, Unbond(30_000 * TOKEN, "witness"))
    at.close()
    for name in FORECASTS:
        at.certify(name, CommitOp(rain, _sealed(rain, name), 20 * TOKEN))
    at.close()
    for name, outcome in (("dora", 0), ("emil", 0), ("fay", 1)):
        _vote(at, rain, name, outcome)
    _vote(at, snow, "emil", 1)
    at.close()
    at.close()
    commit = commit_id(NETWORK, keys("bruno").public, rain, _sealed(rain, "bruno"))
    at.certify("bruno", Reveal(commit, salt("bruno"), _contribution(rain, "bruno")))
    at.close()
    at.close()
    for name, outcome in (("dora", 0), ("emil", 0), ("fay", 1)):
        at.certify(name, AttestReveal(rain, outcome, salt(name)))
    at.close()
    at.close()
    return tuple(at.told)


BAD: Final = (
    ("bad_amount", "a bounty below the least", 2 * TOKEN - 1, {}),
    ("bad_epoch", "a question that opens at once", 9 * TOKEN, {"opens": 1}),
    ("bad_epoch", "a question that opens in 1,001 epochs", 9 * TOKEN, {"opens": 1_002}),
    ("bad_question", "no text", 9 * TOKEN, {"text": ""}),
    ("bad_question", "a text that breaks lines", 9 * TOKEN, {"text": "Rain?\nNo."}),
    ("bad_question", "an outcome that runs to the left", 9 * TOKEN, {"outcomes": ("yes", "\u202eno")}),
    ("bad_question", "an outcome twice", 9 * TOKEN, {"outcomes": ("yes", "yes")}),
    ("bad_question", "no commit phase", 9 * TOKEN, {"commit": 0}),
    ("bad_question", "an attest phase of one epoch", 9 * TOKEN, {"attest": 1}),
    ("bad_question", "a reveal phase of one epoch", 9 * TOKEN, {"reveal": 1}),
    ("bad_question", "an attest-reveal phase of one epoch", 9 * TOKEN, {"attest_reveal": 1}),
    ("bad_question", "a vote that outlasts a bond", 9 * TOKEN, {"reveal": 3}),
    ("bad_probabilities", "a prior of three for two", 9 * TOKEN, {"prior": (10_000, 20_000, 970_000)}),
    ("bad_probabilities", "a prior that falls short", 9 * TOKEN, {"prior": (100_000, 899_999)}),
    ("bad_probabilities", "a prior below epsilon", 9 * TOKEN, {"prior": (9_999, 990_001)}),
)


def _refused() -> list[Case]:
    """What carla cannot ask in epoch 1; in its last case three questions are one too many."""
    at = Story(GENESIS)
    asks = [
        (code, what, [AskOp(replace(RAIN, **changes), bounty)])  # type: ignore[arg-type] # by their names
        for code, what, bounty, changes in BAD
    ]
    asks.append(("too_many", "three questions in one entry", [AskOp(RAIN, 9 * TOKEN)] * 3))
    state = hexed(at.state.encode())
    setting = {"epoch": 1, "witness_set": at.committee.encode().hex(), "before": state}
    return [
        invalid(code, what, check="ask", **setting, entry=at.entry("carla", ops).data.hex())
        for code, what, ops in asks
    ]


def sponsored() -> Json:
    """The file sponsored.json."""
    good = [executed(told, title) for told, title in zip(story(), TITLES, strict=True)]
    return cases("Closes of sponsored questions (14).", good, _refused(), genesis=hexed(GENESIS.encode()))
