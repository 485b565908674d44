"""Hostile bytes: what unpacking, encoding again and comparing would refuse is refused, with its reason and cheaply."""

import random
import re
import tracemalloc

import msgpack
import pytest
from codec_kit import code_of, values
from hypothesis import example, given, settings
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import MAX_DEPTH, MAX_FRAME_BYTES, MAX_INT, decode, encode

# The second opinion: unpack with the library, check the rules on the value, encode again with the library, compare


class Pairs(list):
    """A map as it was on the wire."""


def obeys(value, depth=0):
    if type(value) is int:
        return -MAX_INT <= value <= MAX_INT
    if type(value) is list:
        return depth < MAX_DEPTH and all(obeys(item, depth + 1) for item in value)
    if type(value) is Pairs:
        names = [key for key, _ in value]
        return (
            depth < MAX_DEPTH
            and all(type(key) is str and re.fullmatch(r"[a-z][a-z0-9_]{0,30}", key) for key in names)
            and names == sorted(set(names))
            and all(obeys(item, depth + 1) for _, item in value)
        )
    return type(value) in (bool, str, bytes)


def plain(value):
    if type(value) is Pairs:
        return {key: plain(item) for key, item in value}
    return [plain(item) for item in value] if type(value) is list else value


def by_comparison(data):
    """The value of canonical `data`, in a list; an empty list if it is not canonical."""
    try:
        raw = msgpack.unpackb(data, object_pairs_hook=Pairs)
    except (ValueError, TypeError):
        return []
    return [plain(raw)] if obeys(raw) and msgpack.packb(plain(raw)) == data else []


def by_us(data):
    try:
        return [decode(data)]
    except Invalid:
        return []


def exactly(value):
    """`value` with its types: True is not 1 here."""
    return repr(value)


@given(values)
def test_there_and_back_also_by_way_of_the_library(value):
    data = encode(value)
    assert decode(data) == value
    assert exactly(by_comparison(data)) == exactly([decode(data)])
    assert encode(decode(data)) == data


# What is refused, and why


@pytest.mark.parametrize("data", ["text", 5, None, [1]])
def test_what_is_no_bytes_is_the_caller_s_mistake(data):
    with pytest.raises(TypeError):
        decode(data)


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        ("", "empty"),
        ("c0", "nil"),
        ("91c0", "nil"),
        ("c1", "not_canonical"),
        ("ca3f800000", "float"),
        ("cb3ff0000000000000", "float"),
        ("cb7ff8000000000000", "float"),
        ("c70001", "ext"),
        ("c8000001", "ext"),
        ("c90000000001", "ext"),
        ("d40101", "ext"),
        ("d5010101", "ext"),
        ("d6ff00000000", "ext"),
        ("d7ff0000000000000000", "ext"),
        ("d801" + "00" * 16, "ext"),
        # longer headers than needed
        ("cc7f", "not_canonical"),
        ("cd00ff", "not_canonical"),
        ("ce0000ffff", "not_canonical"),
        ("cf0000000000000001", "not_canonical"),
        ("d0e0", "not_canonical"),
        ("d001", "not_canonical"),
        ("d1ff80", "not_canonical"),
        ("d10001", "not_canonical"),
        ("d2ffff8000", "not_canonical"),
        ("d3ffffffff80000000", "not_canonical"),
        ("d30000000000000001", "not_canonical"),
        ("d90161", "not_canonical"),
        ("da000161", "not_canonical"),
        ("db0000000161", "not_canonical"),
        ("c5000161", "not_canonical"),
        ("c60000000161", "not_canonical"),
        ("dc000101", "not_canonical"),
        ("dd0000000101", "not_canonical"),
        ("de0001a16101", "not_canonical"),
        ("df00000001a16101", "not_canonical"),
        # beyond what JavaScript holds
        ("cf0020000000000000", "int_range"),
        ("cfffffffffffffffff", "int_range"),
        ("d3ffe0000000000000", "int_range"),
        ("d38000000000000000", "int_range"),
        ("d37fffffffffffffff", "int_range"),
        # text
        ("a1ff", "utf8"),
        ("a2c080", "utf8"),
        ("a3eda080", "utf8"),
        ("a4f4908080", "utf8"),
        # maps
        ("82a16101a16102", "duplicate_key"),
        ("83a16101a16201a16101", "duplicate_key"),
        ("82a16201a16101", "key_order"),
        ("82a2616101a16101", "key_order"),
        ("81a001", "bad_key"),
        ("81a14101", "bad_key"),
        ("81a13101", "bad_key"),
        ("81a15f01", "bad_key"),
        ("81a2612d01", "bad_key"),
        ("81a2610a01", "bad_key"),
        ("81a2c3a901", "bad_key"),
        ("81a1ff01", "bad_key"),
        ("810101", "bad_key"),
        ("81c001", "bad_key"),
        ("81c301", "bad_key"),
        ("81c4016101", "bad_key"),
        ("81d9016101", "bad_key"),
        ("81d920" + "61" * 32 + "01", "bad_key"),
        ("81900101", "bad_key"),
        ("81c0" + "61" * 40, "bad_key"),
        # cut off, or more than one value
        ("91", "truncated"),
        ("9101"[:2], "truncated"),
        ("cc", "truncated"),
        ("ce000100", "truncated"),
        ("d3ff", "truncated"),
        ("a261", "truncated"),
        ("d920", "truncated"),
        ("c4", "truncated"),
        ("c40261", "truncated"),
        ("c6ffffffff", "truncated"),
        ("dbffffffff", "truncated"),
        ("dc00", "truncated"),
        ("dc0010", "truncated"),
        ("81a161", "truncated"),
        ("82a16101a3", "truncated"),
        ("82a16101a361", "truncated"),
        ("82a16101a16201"[:-2], "truncated"),
        ("929101", "truncated"),
        ("0000", "trailing"),
        ("c3c3", "trailing"),
        ("a16101", "trailing"),
        # too much
        ("ddffffffff", "too_many"),
        ("dfffffffff", "too_many"),
        ("91" * (MAX_DEPTH + 1) + "01", "depth"),
        ("91" * 5000, "depth"),
        ("81a161" * 5000, "depth"),
        ("00" * (MAX_FRAME_BYTES + 1), "too_large"),
    ],
)
def test_refused_bytes(wire, code):
    data = bytes.fromhex(wire)
    assert code_of(decode, data) == code
    assert len(data) > 1000 or by_comparison(data) == []


# Hostile bytes


@settings(max_examples=1000)
@given(st.binary(max_size=64))
@example(b"\x81\xc4\x01a\x01")
@example(b"\xd6\xff\0\0\0\0")
def test_noise_is_refused_as_comparison_would(data):
    assert exactly(by_us(data)) == exactly(by_comparison(data))


@settings(max_examples=1000)
@given(
    st.lists(
        st.sampled_from([bytes([n]) for n in (*range(0x78, 0xB4), *range(0xC0, 0x100), 0, 1, 0x61, 0x62)])
    )
)
def test_strings_of_headers_are_refused_as_comparison_would(parts):
    data = b"".join(parts)
    assert exactly(by_us(data)) == exactly(by_comparison(data))


def mutate(rng, data):
    """One to three byte edits: change, insert, remove, copy a stretch, cut off."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at, to = sorted(rng.randint(0, len(data)) for _ in range(2))
        match rng.randrange(5):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                data[at:at] = bytes(
                    [rng.choice(b"\x00\x61\x80\x81\x90\x91\xa0\xa1\xc0\xc4\xcc\xd0\xd9\xdc\xde\xff")]
                )
            case 2:
                del data[at : at + 1]
            case 3:
                data[rng.randint(0, len(data)) : 0] = data[at:to]
            case _:
                del data[to:]
    return bytes(data)


@given(values, st.integers(0, 2**32))
def test_mutants_are_refused_as_comparison_would(value, seed):
    rng, data = random.Random(seed), encode(value)
    for mutant in (mutate(rng, data) for _ in range(30)):
        assert exactly(by_us(mutant)) == exactly(by_comparison(mutant)), mutant.hex()


@given(values)
def test_no_beginning_of_an_encoding_is_one(value):
    data = encode(value)
    for end in {len(data) - 1, len(data) // 2, 1} - {0, len(data)}:
        assert code_of(decode, data[:end]) == "truncated"
    assert code_of(decode, data + b"\0") == "trailing"


ARRAY_OF_32767 = b"\xdc\x7f\xff"
BOMBS = {
    "arrays in arrays, each claiming much": b"\xdd\x00\x00\x7f\xff" * 50_000,
    "arrays in arrays, small claims": b"\x91" * MAX_FRAME_BYTES,
    "maps in maps": b"\x81\xa1a" * 80_000,
    "a claim of 4 GiB of text": b"\xdb\xff\xff\xff\xff",
    "a claim of 4 G items": b"\xdd\xff\xff\xff\xff" + b"\x00" * 1000,
    "empty maps": ARRAY_OF_32767 + b"\x80" * 32_767,
    "more empty maps than values are allowed": b"\xdc\xff\xff" + b"\x80" * 65_535,
    "maps of one": b"\xdc\x3f\xff" + b"\x81\xa1a\x00" * 16_383,
    "short strings": ARRAY_OF_32767 + b"\xa2ab" * 32_767,
    "ints": ARRAY_OF_32767 + b"\xce\x7f\xff\xff\xff" * 32_767,
    "different keys": b"\xde\x7f\xff" + b"".join(b"\xa4k" + b"%03x" % n + b"\x00" for n in range(4096)) * 8,
    "one long key": b"\x81\x00" + b"a" * 200_000,
    "wide text": b"\xdb\x00\x03\x00\x00" + b"\xf0\x9f\x98\x80" + b"a" * (0x30000 - 4),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_memory_for_a_bomb_is_in_proportion_to_a_frame(bomb):
    data = BOMBS[bomb]
    tracemalloc.start()
    by_us(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * MAX_FRAME_BYTES
