"""Every message of the catalogue: there and back; and every way to spoil it is refused by the one error."""

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import MAX_FRAME_BYTES, decode, encode
from troth_protocol.wire.messages import (
    DOCUMENTS_MAX,
    ITEMS_MAX,
    MESSAGES,
    OBJECT_MAX_BYTES,
    AnnounceMsg,
    Ballot,
    CardMsg,
    Certified,
    Chunk,
    DocumentMsg,
    Entries,
    EvidenceMsg,
    Gone,
    Head,
    Hello,
    Refuse,
    ReportMsg,
    SealMsg,
    SealVote,
    Snapshot,
    StoredAck,
    Submit,
    Trade,
    VoteFor,
    Votes,
    WantCards,
    WantChunk,
    WantDocument,
    WantEntries,
    WantFeed,
    WantHead,
    WantLog,
    WantReport,
    WantSeals,
    WantSnapshot,
)
from troth_protocol.wire.schema import MAX_INT

A, B = bytes([1]) * 32, bytes([2]) * 32
SIGNATURE = bytes([3]) * 64

#: One full example of each message.
EXAMPLES = [
    Hello("troth 0.1", A, "alice", (("doc", A), ("other", B)), 7),
    Submit(b"entry"),
    VoteFor(A, b"vote"),
    Votes((A, B), SIGNATURE),
    Refuse(A, "missing", "who?", (A, B), b"entry"),
    Certified(b"certificate", b"entry"),
    StoredAck(7, (A, B)),
    WantLog(A, 7, 1, 9),
    WantEntries(7, (A,)),
    WantFeed(7),
    Entries(7, ((b"entry", b"certificate"), (b"", b""))),
    ReportMsg(b"header", SIGNATURE, b"body"),
    WantReport(7, A),
    Ballot(7, b"ballot"),
    SealVote(b"seal", SIGNATURE),
    SealMsg(b"seal", b"committee"),
    WantSeals(7),
    WantChunk(A, 3),
    Chunk(A, 3, 4, b"data", (A, B)),
    WantSnapshot(7),
    Snapshot(7, A, 3),
    WantHead(A),
    Head(A, 7, b"entry"),
    Gone("seal", 7),
    WantDocument(A),
    DocumentMsg(A, b"text"),
    EvidenceMsg(b"evidence"),
    CardMsg(b"card", SIGNATURE),
    AnnounceMsg(b"announcement", SIGNATURE),
    WantCards(7),
    Trade(b"body", SIGNATURE),
]
by_name = pytest.mark.parametrize("message", EXAMPLES, ids=MESSAGES.name_of)


def value_of(message):
    return decode(MESSAGES.encode(message))


def code(data):
    with pytest.raises(Invalid) as refusal:
        MESSAGES.decode(data)
    return refusal.value.code


def fields_of(message):
    return MESSAGES.records[MESSAGES.name_of(message)].fields


def test_there_is_an_example_of_every_message():
    assert {MESSAGES.name_of(message) for message in EXAMPLES} == set(MESSAGES.records)
    assert len(EXAMPLES) == len(MESSAGES.records)


@by_name
def test_there_and_back(message):
    data = MESSAGES.encode(message)
    assert MESSAGES.decode(data) == message
    assert MESSAGES.encode(MESSAGES.decode(data)) == data


@by_name
def test_its_fields_are_those_of_its_class(message):
    assert {field.name for field in dataclasses.fields(message)} == set(fields_of(message))


@by_name
def test_optional_fields_may_be_absent(message):
    absent = {name: None for name, kind in fields_of(message).items() if kind.optional}
    bare = dataclasses.replace(message, **absent)
    assert MESSAGES.decode(MESSAGES.encode(bare)) == bare
    assert not absent.keys() & value_of(bare).keys()


@by_name
def test_an_unknown_field_is_refused(message):
    assert code(encode(value_of(message) | {"zzz": 1})) == "unknown_field"


@by_name
def test_every_missing_field_is_refused(message):
    for name, kind in fields_of(message).items():
        value = value_of(message)
        del value[name]
        if kind.optional:
            assert getattr(MESSAGES.decode(encode(value)), name) is None
        else:
            assert code(encode(value)) == "missing_field"


@by_name
def test_every_field_of_a_wrong_type_is_refused(message):
    for name in fields_of(message):
        value = value_of(message)
        for wrong in (True, -1, {}, {"a": 1}, [[]], [1], 2**53 - 1 if type(value[name]) is not int else "1"):
            assert code(encode(value | {name: wrong})) == "bad_field", (name, wrong)


@by_name
def test_every_field_that_is_too_long_is_refused(message):
    for name in fields_of(message):
        value = value_of(message)
        too_long = {
            bytes: bytes(200_001),
            str: "x" * 5000,
            list: [A] * (ITEMS_MAX + 1),
        }.get(type(value[name]))
        if too_long is not None:
            assert code(encode(value | {name: too_long})) == "bad_field", name


@by_name
def test_a_message_is_no_other_message(message):
    others = {
        name for name in MESSAGES.records if MESSAGES.records[name].fields.keys() != fields_of(message).keys()
    }
    for name in others:
        assert code(encode(value_of(message) | {"type": name})) in {
            "unknown_field",
            "missing_field",
            "bad_field",
        }


@pytest.mark.parametrize("tag", ["", "nobody", "HELLO", 1, True, b"hello", ["hello"]])
def test_an_unknown_message_is_refused(tag):
    assert code(encode(value_of(EXAMPLES[0]) | {"type": tag})) == "unknown_kind"


@pytest.mark.parametrize("value", [1, "hello", [], ["hello"], b"", {}])
def test_what_is_no_tagged_map_is_refused(value):
    assert code(encode(value)) == "unknown_kind"


@pytest.mark.parametrize(
    "message",
    [
        Hello("s" * 64, A, "ü" * 32, (("d" * 128, A),) * DOCUMENTS_MAX, MAX_INT),
        Submit(bytes(OBJECT_MAX_BYTES)),
        Refuse(A, "c" * 32, "d" * 512, (A,) * 512, bytes(OBJECT_MAX_BYTES)),
        Votes((A,) * 256, SIGNATURE),
        StoredAck(0, (A,) * ITEMS_MAX),
        Ballot(0, bytes(200_000)),
        Trade(bytes(200_000), SIGNATURE),
    ],
    ids=MESSAGES.name_of,
)
def test_the_largest_ones_fit_a_frame(message):
    data = MESSAGES.encode(message)
    assert len(data) <= MAX_FRAME_BYTES
    assert MESSAGES.decode(data) == message


def test_two_large_objects_in_one_message_do_not_fit():
    with pytest.raises(Invalid) as refusal:
        MESSAGES.encode(Certified(bytes(OBJECT_MAX_BYTES), bytes(OBJECT_MAX_BYTES)))
    assert refusal.value.code == "too_large"


# Hostile bytes


def spoil(data, rng):
    """One change to the bytes: a flip, a cut, a doubling, a swap."""
    at, to = sorted((rng.randrange(len(data)), rng.randrange(len(data) + 1)))
    return rng.choice(
        (
            data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
            data[:at] + data[to:],
            data[:to] + data[at:],
            data[:at] + rng.randbytes(4) + data[at:],
            data + data[at:to],
        )
    )


@by_name
def test_spoilt_bytes_are_invalid_or_another_message(message):
    rng = random.Random(MESSAGES.name_of(message))
    data = MESSAGES.encode(message)
    for _ in range(300):
        spoilt = spoil(spoil(data, rng) or data, rng)
        try:
            found = MESSAGES.decode(spoilt)
        except Invalid:
            continue
        assert MESSAGES.encode(found) == spoilt


scalars = st.one_of(
    st.booleans(), st.integers(-2, 2**53 - 1), st.text(max_size=3), st.just(A), st.binary(max_size=3)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=6)


@given(st.sampled_from(EXAMPLES), st.data())
def test_any_values_in_its_fields_are_taken_as_they_are_or_refused(message, data):
    value = {name: data.draw(values, name) for name in fields_of(message)}
    value["type"] = MESSAGES.name_of(message)
    try:
        found = MESSAGES.load(value)
    except Invalid:
        return
    assert MESSAGES.dump(found) == value
