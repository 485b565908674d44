"""Canonical msgpack: every value has its one encoding, and what is no value has none."""

import enum

import msgpack
import pytest
from codec_kit import code_of, keys, scalars, values
from hypothesis import example, given
from hypothesis import strategies as st

from troth_protocol.wire.codec import (
    MAX_AMOUNT,
    MAX_DEPTH,
    MAX_FRAME_BYTES,
    MAX_INT,
    MAX_VALUES,
    decode,
    decode_amount,
    encode,
    encode_amount,
)


def nested(depth, inner=1):
    for _ in range(depth):
        inner = [inner]
    return inner


def exactly(value):
    """`value` with its types: True is not 1 here."""
    return repr(value)


# What travels


@given(values)
def test_there_and_back(value):
    assert decode(encode(value)) == value
    assert encode(decode(encode(value))) == encode(value)


@given(st.dictionaries(keys, scalars, min_size=2), st.randoms())
def test_order_of_keys_in_memory_is_not_on_the_wire(value, shuffler):
    items = list(value.items())
    shuffler.shuffle(items)
    assert encode(dict(items)) == encode(value)


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (False, "c2"),
        (True, "c3"),
        (0, "00"),
        (127, "7f"),
        (128, "cc80"),
        (255, "ccff"),
        (256, "cd0100"),
        (65535, "cdffff"),
        (65536, "ce00010000"),
        (2**32 - 1, "ceffffffff"),
        (2**32, "cf0000000100000000"),
        (MAX_INT, "cf001fffffffffffff"),
        (-1, "ff"),
        (-32, "e0"),
        (-33, "d0df"),
        (-128, "d080"),
        (-129, "d1ff7f"),
        (-32768, "d18000"),
        (-32769, "d2ffff7fff"),
        (-(2**31), "d280000000"),
        (-(2**31) - 1, "d3ffffffff7fffffff"),
        (-MAX_INT, "d3ffe0000000000001"),
        ("", "a0"),
        ("é", "a2c3a9"),
        ("e\u0301", "a365cc81"),
        ("a" * 31, "bf" + "61" * 31),
        ("a" * 32, "d920" + "61" * 32),
        (b"", "c400"),
        (b"\x01", "c40101"),
        ([], "90"),
        ({}, "80"),
        ({"b": 1, "a": [True]}, "82a16191c3a16201"),
    ],
)
def test_spelled_out(value, wire):
    assert encode(value).hex() == wire
    assert exactly(decode(bytes.fromhex(wire))) == exactly(decode(encode(value)))


@pytest.mark.parametrize("length", [15, 16, 31, 32, 255, 256, 65_535, 65_536, 100_000])
def test_every_length_of_header(length):
    for value in ("x" * length, b"x" * length, [1] * min(length, MAX_VALUES - 1)):
        assert decode(encode(value)) == value
    fields = {f"k{n}": n for n in range(min(length, 20_000))}
    assert decode(encode(fields)) == fields


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_any_bytes_like_is_read(kind):
    assert decode(kind(encode({"a": b"x"}))) == {"a": b"x"}
    assert type(decode(kind(encode(b"x")))) is bytes


# What is refused


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "nil"),
        (1.0, "float"),
        (float("nan"), "float"),
        ((1, 2), "bad_type"),
        ({1}, "bad_type"),
        (bytearray(b"x"), "bad_type"),
        (memoryview(b"x"), "bad_type"),
        (Colour.RED, "bad_type"),
        (Text("x"), "bad_type"),
        (msgpack.Timestamp(0), "bad_type"),
        (MAX_INT + 1, "int_range"),
        (-MAX_INT - 1, "int_range"),
        (2**64, "int_range"),
        ({"": 1}, "bad_key"),
        ({"A": 1}, "bad_key"),
        ({"a\n": 1}, "bad_key"),
        ({"1a": 1}, "bad_key"),
        ({"a" * 32: 1}, "bad_key"),
        ({"é": 1}, "bad_key"),
        ({"a\u0663": 1}, "bad_key"),  # a digit to some, not to us
        ({b"a": 1}, "bad_key"),
        ({1: 1}, "bad_key"),
        ({Text("a"): 1}, "bad_key"),
        ({True: 1, "a": 1}, "bad_key"),
        ("\ud800", "utf8"),
        (nested(MAX_DEPTH + 1), "depth"),
        (nested(5000), "depth"),
        ([1] * MAX_VALUES, "too_many"),
        ([[1] * 1000] * 33, "too_many"),
        ({"a": [1] * (MAX_VALUES - 1)}, "too_many"),
        (b"x" * MAX_FRAME_BYTES, "too_large"),
    ],
    ids=lambda argument: (
        argument if type(argument) is str and argument.isascii() else type(argument).__name__
    ),
)
def test_refused_values(value, code):
    assert code_of(encode, value) == code
    if type(value) not in (list, dict):
        assert code_of(encode, {"a": [value]}) == code


def test_a_value_inside_itself_is_too_deep():
    ring = []
    ring.append(ring)
    assert code_of(encode, ring) == "depth"


# Both directions draw every limit at the same place


def test_deepest():
    assert decode(encode(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    assert decode(encode({"a": nested(MAX_DEPTH - 1)})) == {"a": nested(MAX_DEPTH - 1)}
    assert code_of(decode, msgpack.packb(nested(MAX_DEPTH + 1))) == "depth"
    assert (
        decode(encode([nested(MAX_DEPTH - 1)] * 3)) == [nested(MAX_DEPTH - 1)] * 3
    )  # side by side is not deeper
    assert decode(encode([{"a": {}}, {"a": {}}] * 20)) == [{"a": {}}, {"a": {}}] * 20


@pytest.mark.parametrize(
    "build", [lambda n: [1] * (n - 1), lambda n: [[1]] * ((n - 1) // 2) + [1] * ((n - 1) % 2)]
)
def test_most_values(build):
    most = build(MAX_VALUES)
    assert decode(encode(most)) == most
    assert code_of(decode, msgpack.packb(build(MAX_VALUES + 1))) == "too_many"
    assert code_of(encode, build(MAX_VALUES + 1)) == "too_many"


def test_most_bytes():
    largest = b"x" * (MAX_FRAME_BYTES - 5)
    assert len(encode(largest)) == MAX_FRAME_BYTES
    assert decode(encode(largest)) == largest
    assert code_of(encode, largest + b"x") == "too_large"
    assert code_of(decode, msgpack.packb(largest + b"x")) == "too_large"


# Amounts


@given(st.integers(0, MAX_AMOUNT))
@example(0)
@example(MAX_AMOUNT)
def test_amount_there_and_back(amount):
    assert decode_amount(encode_amount(amount)) == amount


@pytest.mark.parametrize("amount", [-1, MAX_AMOUNT + 1, True, 1.0, "1", None])
def test_refused_amounts(amount):
    assert code_of(encode_amount, amount) == "bad_amount"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        "01",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1\n",
        "1_0",
        "1.0",
        "1e3",
        "0x1",
        "\u0663",
        "\uff11",
        "1" * 39,
        1,
        b"1",
        True,
        ["1"],
    ],
)
def test_refused_amount_texts(text):
    assert code_of(decode_amount, text) == "bad_amount"
