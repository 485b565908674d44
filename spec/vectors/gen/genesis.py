"""genesis.json: documents, the network ids that they make, and what stands before the first epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from troth_protocol.close.light import genesis_committee
from troth_protocol.genesis import GENESIS, Genesis, Holder, Phases, Topic
from troth_protocol.insight.lifecycle import open_questions
from troth_protocol.log.rows import Question
from troth_protocol.log.state import genesis_state
from troth_protocol.wire.codec import decode, encode

from .common import TOKEN, Case, Json, cases, changed, hexed, invalid, keys, plain, valid
from .network import COIN, PACING, PATRON_RULES, RULES, document, holder

ALMA, BRUNO, CARLA = holder("alma", 1_000, witness=500), holder("bruno", 0, witness=300), holder("carla", 7)
WIDE: Final = replace(
    COIN,
    name="wide",
    outcomes=tuple(f"outcome {k}" for k in range(64)),
    prior=((1,) * 64, tuple(range(1, 65))),
    hours=(0, 12, 23),
    categories=(1, 0, 1),
    start="2024-02-28",
    first=0,
    questions=9,
    per_epoch=4,
)
BATCHED: Final = replace(
    COIN, name="batched", batches=(2, 0, 3), every=7, questions=5, per_epoch=0, first=1, prior=((1, 3),)
)


def _state_and_questions(genesis: Genesis) -> tuple[str, list[Json]]:
    state = genesis_state(genesis)
    open_questions(state, genesis, genesis.network(), 1)
    rows = sorted(state.items("questions", Question), key=lambda item: (item[1].topic, item[1].index))
    shown = [
        {
            "id": key.hex(),
            "topic": question.topic,
            "index": question.index,
            "text": genesis.topic(question.topic).question_text(question.index),
            "category": question.category,
            "prior": list(question.prior),
        }
        for key, question in rows
    ]
    return state.root().hex(), shown


def _good(name: str, genesis: Genesis) -> Case:
    root, questions = _state_and_questions(genesis)
    committee = genesis_committee(genesis)
    return valid(
        name,
        check="genesis",
        value=plain(GENESIS.dump(genesis)),
        bytes=hexed(genesis.encode()),
        network=genesis.network().hex(),
        witness_set=committee.encode().hex(),
        witness_set_digest=committee.digest.hex(),
        quorum=str(committee.quorum),
        third=str(committee.third),
        questions=questions,
        state=root,
    )


def _documents() -> list[Case]:
    base = document([ALMA, BRUNO, CARLA])
    crowd = [holder(f"holder {i}", 1, witness=1 + i // 2) for i in range(6)]
    tight = replace(
        base, rules=replace(RULES, witnesses_max=3), holders=tuple(sorted(crowd, key=lambda h: h.key))
    )
    rich = Holder(keys("alma").public, LARGEST, 5, 0, 0)
    return [
        _good("three holders and a coin", base),
        _good("one holder and no topic", document([ALMA], topics=())),
        _good("another name is another network", replace(base, name="rename")),
        _good("ties of witness bonds go to the smaller key", tight),
        _good(
            "64 outcomes, categories, four questions an epoch, a leap day",
            document([ALMA], topics=(COIN, WIDE)),
        ),
        _good(
            "batches, a share of wagers and house, a fixed prior, a rule for comparison",
            document(
                [ALMA],
                topics=(replace(BATCHED, emission_ppm=100_000, prior_fixed=True, rule="wswm"), COIN),
            ),
        ),
        _good(
            "a batch that opens later, and what may be left out as if it were",
            document([ALMA], topics=(replace(BATCHED, first=2, emission_ppm=500_000, prior_fixed=False),)),
        ),
        _good("all there can ever be", document([rich], topics=())),
        _good("questions may be sponsored", document([ALMA], rules=PATRON_RULES)),
        _good(
            "a witness bond of a thousandth", replace(base, holders=_thousandth(999_000, 1_000), topics=())
        ),
    ]


def _topic(**fields: Json) -> Callable[[Genesis], bytes]:
    return lambda genesis: replace(genesis, topics=(replace(COIN, **fields),)).encode()


def _rules(**fields: Json) -> Callable[[Genesis], bytes]:
    return lambda genesis: replace(genesis, rules=replace(RULES, **fields)).encode()


def _pacing(**fields: int) -> Callable[[Genesis], bytes]:
    return lambda genesis: replace(genesis, pacing=replace(PACING, **fields)).encode()


def _phases(**fields: int) -> Callable[[Genesis], bytes]:
    return _topic(phases=replace(Phases(1, 2, 2, 2), **fields))


def _holders(*holders: Holder) -> Callable[[Genesis], bytes]:
    return lambda genesis: replace(genesis, holders=holders).encode()


def _topics(*topics: Topic) -> Callable[[Genesis], bytes]:
    return lambda genesis: replace(genesis, topics=topics).encode()


def _thousandth(large: int, small: int) -> tuple[Holder, ...]:
    """Two holders with witness bonds of so many tokens."""
    pair = holder("alma", 1, witness=large), holder("bruno", 1, witness=small)
    return tuple(sorted(pair, key=lambda one: one.key))


FIRST, SECOND = sorted((ALMA, BRUNO), key=lambda one: one.key)
NO_POINT = Holder(b"\x02" + bytes(31), 1, 1, 0, 0)
#: With a bond of 5, the reserve and all that is ever minted, one unit below 10^38.
LARGEST: Final = 10**38 - 1 - 1_000_000 * TOKEN - 5 - RULES.mint_per_epoch * RULES.mint_epochs
BAD: Final[tuple[tuple[str, Callable[[Genesis], bytes]], ...]] = (
    ("protocol 0", lambda genesis: replace(genesis, protocol=0).encode()),
    ("protocol 2", lambda genesis: replace(genesis, protocol=2).encode()),
    ("an epoch of no time", _pacing(epoch_ms=0)),
    ("no grace", _pacing(grace_ms=0)),
    ("a slot of no time", _pacing(slot_ms=0)),
    ("a longest slot below the first", _pacing(slot_max_ms=199)),
    ("a reporter's part above a half", _rules(reporter_ppm=500_001)),
    ("a witness set that may be empty", _rules(witnesses_min=0)),
    ("a witness set that can never be", _rules(witnesses_min=3, witnesses_max=2)),
    ("left out at once", _rules(silent_epochs=0)),
    ("no time for evidence", _rules(evidence_epochs=0)),
    ("more than an amount can say", _holders(Holder(keys("alma").public, LARGEST + 1, 5, 0, 0))),
    ("two outcomes of one name", _topic(outcomes=("heads", "heads"))),
    ("holders out of order", _holders(SECOND, FIRST)),
    ("a holder twice", _holders(FIRST, FIRST)),
    ("a holder whose key is none", _holders(NO_POINT, *sorted((ALMA, BRUNO), key=lambda one: one.key))),
    ("no witness bond", _holders(CARLA)),
    ("kappa above a half", _rules(kappa_ppm=500_001)),
    ("no epsilon", _rules(epsilon_ppm=0)),
    ("questions sponsored for no least bounty", _rules(asks_max=3)),
    ("a least bounty for no questions", _rules(min_bounty=TOKEN)),
    ("a least bounty that cannot pay the attesters", _rules(asks_max=3, min_bounty=TOKEN - 1)),
    ("a witness bond below a thousandth", _holders(*_thousandth(999_001, 999))),
    ("an epsilon that leaves no room", _rules(epsilon_ppm=500_001)),
    ("two topics of one name", _topics(COIN, COIN)),
    ("a start that is no date", _topic(start="2026-02-29")),
    ("a start in another form", _topic(start="20260101")),
    ("a last day beyond the calendar", _topic(start="9999-12-31", questions=3)),
    ("an hour without a category", _topic(categories=(0,))),
    ("a category without a prior", _topic(categories=(0, 1))),
    ("a prior of another length", _topic(prior=((5, 5, 5),))),
    ("a pseudo-count of 0", _topic(prior=((0, 5),))),
    ("batches without every", _topic(batches=(1,), per_epoch=0)),
    ("every without batches", _topic(every=7)),
    ("batches every no epochs", _topic(batches=(1,), every=0, per_epoch=0)),
    ("batches and so many an epoch", _topic(batches=(1,), every=7)),
    ("batches that are not all questions", _topic(batches=(1, 1), every=7, per_epoch=0)),
    ("no commit phase", _phases(commit=0)),
    ("an attest phase of one epoch", _phases(attest=1)),
    ("a reveal phase of one epoch", _phases(reveal=1)),
    ("an attest-reveal phase of one epoch", _phases(attest_reveal=1)),
)


def _bad() -> list[Case]:
    base = document([ALMA, BRUNO, CARLA])
    data = base.encode()
    rules = decode(data)
    if not isinstance(rules, dict) or not isinstance(rules["rules"], dict):
        raise TypeError("no map")
    out = [invalid("bad_genesis", what, check="genesis", bytes=hexed(make(base))) for what, make in BAD]
    fields: list[tuple[str, str, bytes]] = [
        ("bad_field", "no holders", changed(data, holders=[])),
        ("bad_field", "a name of 65 bytes", changed(data, name="x" * 65)),
        ("bad_amount", "a reserve that is a number", changed(data, reserve=5)),
        ("bad_amount", "a reserve of 10^38", changed(data, reserve="1" + "0" * 38)),
        ("missing_field", "no reserve", changed(data, reserve=None)),
        ("unknown_field", "a field too many", changed(data, zzz=1)),
        ("unknown_field", "a rule too many", changed(data, rules=rules["rules"] | {"zzz": 1})),
        ("bad_field", "a share above a half", _topic(emission_ppm=500_001)(base)),
        ("bad_field", "an unknown rule", _topic(rule="kelly")(base)),
        ("bad_field", "no batch", _topic(batches=(), every=7, per_epoch=0, questions=0)(base)),
        (
            "bad_field",
            "a batch of 10,001",
            _topic(batches=(10_001,), every=7, per_epoch=0, questions=10_001)(base),
        ),
        ("trailing", "a byte after it", data + b"\x00"),
        ("empty", "no bytes", b""),
        ("bad_field", "a list", encode([])),
    ]
    return out + [invalid(code, what, check="genesis", bytes=hexed(bad)) for code, what, bad in fields]


def genesis() -> Json:
    """The file genesis.json."""
    return cases(
        "Genesis documents (02, 09): network id, witness set of epoch 1, its questions.", _documents(), _bad()
    )
