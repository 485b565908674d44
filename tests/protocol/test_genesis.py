"""The genesis document: one encoding, one network id; what could stop a network later is refused before it starts."""

import random
from dataclasses import replace

import pytest

from troth_node.testing.samples import COIN, PACING, RULES, TOKEN, sample_genesis, seed
from troth_protocol.errors import Invalid
from troth_protocol.genesis import Holder, Pacing, Phases, load_genesis, network_id
from troth_protocol.log.state import genesis_state
from troth_protocol.wire.codec import MAX_AMOUNT, decode, encode
from troth_protocol.wire.crypto import KeyPair, digest

GOOD = sample_genesis(4, 2)
MOST_PPM = 1_000_000


def code(genesis):
    with pytest.raises(Invalid) as refusal:
        load_genesis(genesis if isinstance(genesis, bytes) else genesis.encode())
    return refusal.value.code


def with_topic(**changes):
    return replace(GOOD, topics=(replace(COIN, **changes),))


def with_rules(**changes):
    return replace(GOOD, rules=replace(RULES, **changes))


def test_there_and_back():
    assert load_genesis(GOOD.encode()) == GOOD
    assert load_genesis(GOOD.encode()).encode() == GOOD.encode()


def test_the_network_id_is_the_digest_of_the_bytes_under_a_domain():
    payload = GOOD.encode()
    assert GOOD.network() == network_id(payload) == digest(b"\x0ftroth/genesis/1" + payload)


def test_any_other_document_is_another_network():
    others = [
        replace(GOOD, name="other"),
        replace(GOOD, reserve=1),
        with_rules(fee=2),
        with_topic(per_epoch=2),
    ]
    assert len({genesis.network() for genesis in (GOOD, *others)}) == 5


def test_the_supply_is_reserve_balances_and_bonds():
    assert GOOD.supply() == GOOD.reserve + 4 * 1_000 * TOKEN + 2 * 200_000 * TOKEN
    assert genesis_state(GOOD).supply() == GOOD.supply()


def test_every_kind_of_bond_counts():
    holder = replace(GOOD.holders[0], balance=1, witness=10, attester=100, agent=1_000)
    assert replace(GOOD, holders=(holder,), reserve=10_000).supply() == 11_111


def test_topics_by_name():
    assert GOOD.topic("coin") == COIN
    with pytest.raises(Invalid, match="unknown_topic"):
        GOOD.topic("dice")


# Standing topics


def test_the_questions_of_an_epoch():
    topic = replace(COIN, first=3, questions=5, per_epoch=2)
    assert [list(topic.indices(epoch)) for epoch in range(1, 8)] == [[], [], [0, 1], [2, 3], [4], [], []]


BATCHED = {"batches": (2, 0, 3), "every": 7, "first": 3, "per_epoch": 0, "questions": 5}


def test_the_questions_of_batches():
    topic = load_genesis(with_topic(**BATCHED).encode()).topics[0]
    opened = {epoch: list(topic.indices(epoch)) for epoch in range(60)}
    assert {epoch: found for epoch, found in opened.items() if found} == {3: [0, 1], 17: [2, 3, 4]}


def test_a_pot_is_a_share_of_wagers_and_house():
    assert replace(COIN, emission=10**9).pot(7, 4) == 5
    assert replace(COIN, emission=10**9, emission_ppm=500_000).pot(7, 4) == 5
    assert replace(COIN, emission=10**9, emission_ppm=100_000).pot(70, 40) == 11
    assert replace(COIN, emission=9, emission_ppm=100_000).pot(70, 40) == 9


@pytest.mark.parametrize(
    "changes",
    [{"batches": None}, {"every": None}, {"every": 0}, {"per_epoch": 1}, {"questions": 4}],
    ids=str,
)
def test_batches_that_are_no_schedule_are_refused(changes):
    assert code(with_topic(**BATCHED | changes)) == "bad_genesis"


def test_what_a_question_asks_about():
    topic = replace(COIN, hours=(9, 15), categories=(0, 1))
    assert [topic.slot(index) for index in range(3)] == [
        "2026-01-01T09:00",
        "2026-01-01T15:00",
        "2026-01-02T09:00",
    ]
    assert [topic.category(index) for index in range(3)] == [0, 1, 0]
    assert topic.question_text(1) == "Does the coin of 2026-01-01T15:00 show heads?"


def test_how_long_a_question_lives():
    assert COIN.phases.total() == 8


# Refusals


@pytest.mark.parametrize("version", [0, 2, 2**53 - 1])
def test_another_version_is_said_to_be_one(version):
    with pytest.raises(Invalid, match=f"bad_genesis: protocol version {version}, this is 1"):
        load_genesis(replace(GOOD, protocol=version).encode())


HOLDERS = [
    (GOOD.holders[0], GOOD.holders[0]),
    GOOD.holders[::-1],
    (Holder(bytes(32), 1, 1, 0, 0),),
    (Holder(bytes([1]) + bytes(31), 1, 1, 0, 0),),
    (Holder(KeyPair.from_seed(seed(0)).public, 1, 0, 5, 5),),
]


@pytest.mark.parametrize(
    "holders", HOLDERS, ids=["twice", "out of order", "no key", "small order", "no witness"]
)
def test_holders_are_distinct_keys_in_order_and_one_is_a_witness(holders):
    assert code(replace(GOOD, holders=tuple(holders))) == "bad_genesis"


RULES_REFUSED = [
    {"kappa_ppm": MOST_PPM // 2 + 1},
    {"reporter_ppm": MOST_PPM // 2 + 1},
    {"witnesses_min": 0},
    {"witnesses_min": 3, "witnesses_max": 2},
    {"witnesses_min": 0, "witnesses_max": 0},
    {"silent_epochs": 0},
    {"evidence_epochs": 0},
    {"epsilon_ppm": 0},
    {"epsilon_ppm": MOST_PPM // 2 + 1},
]


@pytest.mark.parametrize("changes", RULES_REFUSED, ids=str)
def test_rules_that_no_network_could_live_with_are_refused(changes):
    assert code(with_rules(**changes)) == "bad_genesis"


@pytest.mark.parametrize(
    "changes",
    [
        {"kappa_ppm": MOST_PPM // 2},
        {"reporter_ppm": MOST_PPM // 2},
        {"witnesses_min": 2, "witnesses_max": 2},
        {"witnesses_min": 64},
        {"silent_epochs": 1, "evidence_epochs": 1},
        {"silent_epochs": 10**6, "evidence_epochs": 10**6},
        {"epsilon_ppm": MOST_PPM // 2},
    ],
    ids=str,
)
def test_rules_at_their_bounds_are_taken(changes):
    load_genesis(with_rules(**changes).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch_ms": 0},
        {"grace_ms": 0},
        {"slot_ms": 0},
        {"slot_max_ms": 0},
        {"slot_ms": 201, "slot_max_ms": 200},
    ],
    ids=str,
)
def test_timers_that_never_rest_are_refused(changes):
    assert code(replace(GOOD, pacing=replace(PACING, **changes))) == "bad_genesis"


def test_a_witness_bond_below_a_thousandth_of_all_is_refused():
    large, small, *rest = GOOD.holders
    bonds = [replace(large, witness=999_000), replace(small, witness=1_000)]
    others = [replace(holder, witness=0) for holder in rest]
    load_genesis(replace(GOOD, holders=(*bonds, *others)).encode())
    bonds[1] = replace(small, witness=999)
    assert code(replace(GOOD, holders=(*bonds, *others))) == "bad_genesis"


def test_the_shortest_timers_are_taken():
    load_genesis(replace(GOOD, pacing=Pacing(1, 1, 1, 1)).encode())


def test_no_more_can_ever_exist_than_has_an_encoding():
    room = MAX_AMOUNT - GOOD.supply()
    rich = replace(GOOD, reserve=GOOD.reserve + room)
    assert load_genesis(rich.encode()).supply() == MAX_AMOUNT
    genesis_state(rich).root()
    assert code(replace(GOOD, reserve=GOOD.reserve + room + 1)) == "bad_genesis"
    assert code(replace(rich, rules=replace(RULES, mint_per_epoch=1, mint_epochs=1))) == "bad_genesis"
    assert code(with_rules(mint_per_epoch=MAX_AMOUNT // 2, mint_epochs=3)) == "bad_genesis"
    load_genesis(with_rules(mint_per_epoch=MAX_AMOUNT, mint_epochs=0).encode())


TOPICS_REFUSED = [
    {"start": "2026-02-30"},
    {"start": "20260101"},
    {"start": "2026-W01-1"},
    {"start": "someday"},
    {"start": ""},
    {"start": "9999-12-31", "questions": 1_000},
    {"questions": 10**9, "per_epoch": 1},
    {"outcomes": ("heads", "heads")},
    {"categories": (0,)},
    {"categories": (0, 0, 0)},
    {"categories": (0, 1)},
    {"prior": ((5, 5, 5),)},
    {"prior": ((5, 5), (1, 0))},
    {"outcomes": tuple(map(str, range(64))), "prior": ((1,) * 63,)},
    {"phases": Phases(0, 2, 2, 2)},
    {"phases": Phases(1, 1, 2, 2)},
    {"phases": Phases(1, 2, 1, 2)},
    {"phases": Phases(1, 2, 2, 1)},
]


@pytest.mark.parametrize("changes", TOPICS_REFUSED, ids=lambda changes: str(changes)[:50])
def test_a_topic_that_asks_nothing_sensible_is_refused(changes):
    assert code(with_topic(**changes)) == "bad_genesis"


@pytest.mark.parametrize(
    "changes",
    [
        {"phases": Phases(1, 2, 2, 2)},
        {"phases": Phases(1000, 1000, 1000, 1000)},
        {"prior": ((1, 1),)},
        {"prior": ((10**9, 10**9),) * 64, "categories": (63, 0)},
        {"start": "9999-12-31", "questions": 2},
        {"hours": tuple(range(24)), "categories": (0,) * 24},
        {"name": "n" * 32, "text": "t" * 1024, "outcomes": ("a" * 64, "b" * 64)},
        {"outcomes": tuple(map(str, range(64))), "prior": ((1,) * 64,)},
        {"questions": 1, "per_epoch": 1000, "first": 2**53 - 1},
    ],
    ids=lambda changes: str(changes)[:50],
)
def test_a_topic_at_its_bounds_is_taken(changes):
    load_genesis(with_topic(**changes).encode())


def test_the_first_question_too_many():
    assert code(with_topic(start="9999-12-31", questions=3)) == "bad_genesis"


def test_a_topic_that_never_opens_a_question_is_no_fault():
    load_genesis(with_topic(questions=0, per_epoch=0).encode())


def test_topic_names_are_distinct():
    assert code(replace(GOOD, topics=(COIN, COIN))) == "bad_genesis"
    load_genesis(replace(GOOD, topics=(COIN, replace(COIN, name="other"))).encode())
    load_genesis(replace(GOOD, topics=()).encode())


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("name",), "n" * 65),
        (("reserve",), "01"),
        (("reserve",), 1),
        (("protocol",), True),
        (("pacing", "epoch_ms"), -1),
        (("pacing", "epoch_ms"), 86_400_001),
        (("rules", "fee"), "-1"),
        (("rules", "kappa_ppm"), 1_000_001),
        (("rules", "witnesses_max"), 65),
        (("holders",), []),
        (("holders", 0, "key"), bytes(31)),
        (("holders", 0, "balance"), str(10**38)),
        (("topics", 0, "hours"), [24]),
        (("topics", 0, "hours"), []),
        (("topics", 0, "outcomes"), ["only"]),
        (("topics", 0, "prior"), []),
        (("topics", 0, "phases", "commit"), "2"),
        (("topics", 0, "phases", "reveal"), 1001),
        (("topics", 0, "name"), "n" * 33),
        (("topics", 0, "text"), "t" * 1025),
        (("topics", 0, "start"), "2026-01-011"),
        (("topics", 0, "outcomes"), ["x"] * 65),
        (("topics", 0, "outcomes"), ["x" * 65, "y"]),
        (("topics", 0, "hours"), [0] * 25),
        (("topics", 0, "categories"), [64, 0]),
        (("topics", 0, "prior"), [[1, 1]] * 65),
        (("topics", 0, "prior"), [[1, 10**9 + 1]]),
        (("topics", 0, "questions"), 10**9 + 1),
        (("topics", 0, "per_epoch"), 1001),
        (("rules", "evidence_epochs"), 10**6 + 1),
        (("rules", "silent_epochs"), 10**6 + 1),
        (("rules", "signals_max"), 65),
        (("topics",), [{}] * 65),
    ],
)
def test_fields_have_their_types_and_ranges(path, wrong):
    value = decode(GOOD.encode())
    at = value
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = wrong
    assert code(encode(value)) in {"bad_field", "bad_amount"}


def test_unknown_and_missing_fields_are_refused():
    value = decode(GOOD.encode())
    assert code(encode(value | {"motto": "x"})) == "unknown_field"
    for name in value:
        assert code(encode({key: item for key, item in value.items() if key != name})) == "missing_field"


@pytest.mark.parametrize("data", [b"", b"\x80", b"[]", b"\xc0", GOOD.encode() + b"\0", GOOD.encode()[:-1]])
def test_other_bytes_are_refused(data):
    code(data)


def test_spoilt_bytes_are_invalid_or_another_document():
    rng = random.Random(6)
    data = GOOD.encode()
    for _ in range(400):
        at = rng.randrange(len(data))
        spoilt = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        try:
            found = load_genesis(spoilt)
        except Invalid:
            continue
        assert found.encode() == spoilt
        assert found.network() != GOOD.network()
