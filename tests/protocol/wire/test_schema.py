"""Kinds, records and variants: what is loaded is what was declared, and everything else is refused by one error."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgpack import Packer

from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import PEEK_MAX_BYTES, decode, encode, peek
from troth_protocol.wire.schema import (
    AMOUNT,
    EPOCH,
    FLAG,
    HASH,
    ID,
    KEY,
    MAX_INT,
    PPM,
    SALT,
    SEQ,
    SIGNATURE,
    Record,
    Variant,
    blob,
    choice,
    fixed,
    many,
    nested,
    optional,
    read,
    row,
    text,
    uint,
)


@dataclass(frozen=True)
class Point:
    x: int
    note: str | None = None


@dataclass(frozen=True)
class Segment:
    ends: tuple[Point, ...]
    color: str


POINT = Record("point", Point, {"x": uint(9), "note": optional(text(4))})
SEGMENT = Record("segment", Segment, {"ends": many(nested(POINT), 2, 1), "color": choice("red", "blue")})
SHAPE = Variant("shape", {Point: POINT, Segment: SEGMENT})


def code(load, value):
    with pytest.raises(Invalid) as refusal:
        load(value)
    return refusal.value.code


# Kinds

GOOD = [
    (fixed(2), b"ab", b"ab"),
    (blob(2), b"", b""),
    (blob(2), b"ab", b"ab"),
    (text(4), "", ""),
    (text(4), "€a", "€a"),
    (uint(), MAX_INT, MAX_INT),
    (uint(7), 0, 0),
    (uint(7), 7, 7),
    (choice("a", "b"), "b", "b"),
    (many(uint(3), 2), [], ()),
    (many(uint(3), 2, 2), [0, 3], (0, 3)),
    (row(uint(3), FLAG), [1, True], (1, True)),
    (FLAG, False, False),
    (AMOUNT, "0", 0),
    (AMOUNT, str(10**38 - 1), 10**38 - 1),
    (nested(POINT), {"x": 1}, Point(1)),
    (optional(uint()), 5, 5),
]


@pytest.mark.parametrize(("kind", "value", "loaded"), GOOD)
def test_what_a_kind_takes_it_gives_back(kind, value, loaded):
    assert kind.load(value) == loaded
    assert kind.dump(kind.load(value)) == value


BAD = [
    (fixed(2), b"a"),
    (fixed(2), b"abc"),
    (fixed(2), "ab"),
    (fixed(2), [1, 2]),
    (blob(2), b"abc"),
    (blob(2), "a"),
    (text(4), "€€"),
    (text(4), b"a"),
    (uint(7), 8),
    (uint(7), -1),
    (uint(7), True),
    (uint(7), "1"),
    (uint(), MAX_INT + 1),
    (choice("a", "b"), "c"),
    (choice("a", "b"), 0),
    (choice("a", "b"), ["a"]),
    (many(uint(3), 2), [1, 1, 1]),
    (many(uint(3), 2, 1), []),
    (many(uint(3), 2), [4]),
    (many(uint(3), 2), {}),
    (many(uint(3), 2), b"\x01"),
    (row(uint(3), FLAG), [1]),
    (row(uint(3), FLAG), [1, True, 1]),
    (row(uint(3), FLAG), [True, 1]),
    (row(uint(3), FLAG), "ab"),
    (FLAG, 1),
    (FLAG, "true"),
    (nested(POINT), [1]),
    (nested(POINT), {"x": 10}),
]


@pytest.mark.parametrize(("kind", "value"), BAD)
def test_what_a_kind_refuses(kind, value):
    assert code(kind.load, value) == "bad_field"


@pytest.mark.parametrize(
    "value", [1, "", "00", "01", "+1", "-1", "1.0", "1e3", " 1", "\uff11", "1" * 39, b"1"]
)
def test_an_amount_has_one_spelling(value):
    assert code(AMOUNT.load, value) == "bad_amount"


@pytest.mark.parametrize("number", [2**53, -(2**53)])
def test_a_number_that_cannot_travel_is_not_written(number):
    assert code(uint(9).dump, number) == "int_range"


@pytest.mark.parametrize("shape", [Point(3), Point(0, "ab"), Segment((Point(1), Point(2, "x")), "blue")])
def test_what_a_variant_writes_is_canonical(shape):
    assert SHAPE.encode(shape) == encode(SHAPE.dump(shape))
    assert list(SHAPE.dump(shape)) == sorted(SHAPE.dump(shape))


@pytest.mark.parametrize("amount", [-1, 10**38, True, "1"])
def test_an_amount_out_of_range_is_not_written(amount):
    assert code(AMOUNT.dump, amount) == "bad_amount"


def test_kinds_say_what_they_are():
    names = [uint(), uint(9), fixed(3), blob(4), text(5), choice("a", "b"), FLAG, AMOUNT, optional(uint())]
    assert [kind.name for kind in names] == [
        "uint",
        "uint ..9",
        "bin 3",
        "bin ..4",
        "str ..5",
        "a | b",
        "bool",
        "amount",
        "uint ?",
    ]
    assert many(uint(), 4, 1).name == "list 1..4 of (uint)"
    assert row(uint(), FLAG).name == "[uint, bool]"
    assert nested(POINT).name == "point"


def test_the_common_kinds_have_their_sizes():
    assert {kind.name for kind in (KEY, ID, HASH, SALT)} == {"bin 32"}
    assert (SIGNATURE.name, EPOCH.name, SEQ.name, PPM) == ("bin 64", "uint", "uint", 1_000_000)


# Records


def test_a_record_loads_to_its_class():
    assert POINT.decode(encode({"x": 1, "note": "hi"})) == Point(1, "hi")


def test_an_absent_optional_field_loads_to_none_and_is_left_out():
    assert POINT.decode(encode({"x": 1})) == Point(1, None)
    assert POINT.encode(Point(1)) == encode({"x": 1})


def test_records_inside_records():
    segment = Segment((Point(1), Point(2, "end")), "red")
    assert SEGMENT.decode(SEGMENT.encode(segment)) == segment


def test_an_unknown_field_is_named():
    with pytest.raises(Invalid, match=r"unknown_field: point\.y"):
        POINT.load({"x": 1, "y": 2})


def test_a_missing_field_is_named():
    with pytest.raises(Invalid, match=r"missing_field: point\.x"):
        POINT.load({"note": "hi"})


def test_a_bad_field_is_named_from_the_outside_in():
    with pytest.raises(Invalid, match=r"bad_field: segment\.ends: point\.x: expected a whole number up to 9"):
        SEGMENT.load({"ends": [{"x": 10}], "color": "red"})


def test_the_code_of_the_inner_refusal_stays():
    record = Record("pay", Point, {"x": AMOUNT})
    assert code(record.load, {"x": "01"}) == "bad_amount"


@pytest.mark.parametrize("value", [[], "x", 1, True, b"x"])
def test_a_record_is_a_map(value):
    assert code(POINT.load, value) == "bad_field"


# Variants


@pytest.mark.parametrize("item", [Point(3), Point(3, "p"), Segment((Point(0),), "blue")])
def test_a_variant_knows_its_records_by_their_tag(item):
    assert SHAPE.decode(SHAPE.encode(item)) == item
    assert SHAPE.dump(item)["shape"] == SHAPE.name_of(item)


@pytest.mark.parametrize(
    "value",
    [{}, {"x": 1}, {"shape": "circle", "x": 1}, {"shape": 1, "x": 1}, {"shape": ["point"]}, [], "point", 7],
)
def test_a_variant_refuses_what_its_catalogue_does_not_have(value):
    assert code(SHAPE.load, value) == "unknown_kind"


def test_a_tag_is_not_a_field_of_another_record():
    assert code(POINT.load, {"x": 1, "shape": "point"}) == "unknown_field"
    assert code(SHAPE.load, {"shape": "point", "x": 1, "color": "red"}) == "unknown_field"


# Hostile values

scalars = st.one_of(st.booleans(), st.integers(-5, 12), st.text(max_size=3), st.binary(max_size=3))
names = st.sampled_from(["shape", "x", "note", "ends", "color", "point", "segment", "red"])
values = st.recursive(
    st.one_of(scalars, names),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)


@given(values)
def test_any_value_loads_and_dumps_to_itself_or_is_invalid(value):
    for load, dump in ((SHAPE.load, SHAPE.dump), (POINT.load, POINT.dump), (SEGMENT.load, SEGMENT.dump)):
        try:
            item = load(value)
        except Invalid:
            continue
        assert dump(item) == value


@given(st.binary(max_size=40))
def test_any_bytes_decode_and_encode_to_themselves_or_are_invalid(data):
    try:
        item = SHAPE.decode(data)
    except Invalid:
        return
    assert SHAPE.encode(item) == data


def verdict(load, data):
    """What is loaded, or the code of the refusal."""
    try:
        return load(data)
    except Invalid as refusal:
        return refusal.code


@given(
    values, st.integers(0, 60), st.integers(0, 255), st.sampled_from(["change", "insert", "remove", "append"])
)
def test_the_short_cut_never_changes_a_verdict(value, place, byte, what):
    spoilt = bytearray(Packer().pack(value))
    place %= len(spoilt)
    if what == "change":
        spoilt[place] = byte
    elif what == "insert":
        spoilt.insert(place, byte)
    elif what == "remove":
        del spoilt[place]
    else:
        spoilt.append(byte)
    for record in (SHAPE, POINT, SEGMENT):
        data = bytes(spoilt)
        assert verdict(record.decode, data) == verdict(lambda data, r=record: r.load(decode(data)), data)


def test_what_is_long_takes_no_short_cut():
    assert peek(bytes(PEEK_MAX_BYTES + 1)) is None
    assert peek(b"\xdd\xff\xff\xff\xff") is None
    assert peek(encode([1] * 300)) is None
    items = many(uint(9), 300)
    assert read(encode([1] * 300), items.load) == (1,) * 300


def test_what_loads_but_is_not_canonical_is_refused():
    backwards = Packer().pack({"x": 1, "note": "a"})
    assert verdict(POINT.decode, backwards) == "key_order"


def test_a_record_may_be_made_by_a_function():
    pair = Record("pair", lambda x, y: (x, y), {"x": uint(9), "y": uint(9)})
    assert pair.load({"x": 1, "y": 2}) == (1, 2)
    assert pair.decode(encode({"x": 1, "y": 2})) == (1, 2)
