"""Large objects: any order of chunks gives the object back, no other bytes do; rows in one object likewise."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.wire.chunks import CHUNK_BYTES, CHUNKS_MAX, Assembly, Chunks, pack_rows, unpack_rows
from troth_protocol.wire.merkle import branch, leaf_hash, root

SIZES = [
    0,
    1,
    CHUNK_BYTES - 1,
    CHUNK_BYTES,
    CHUNK_BYTES + 1,
    2 * CHUNK_BYTES + 1,
    3 * CHUNK_BYTES,
    4 * CHUNK_BYTES + 5,
]


def content(size):
    return random.Random(size).randbytes(size)


def code(action, *args):
    with pytest.raises(Invalid) as refusal:
        action(*args)
    return refusal.value.code


def offered(parts):
    """What a peer that cuts an object its own way offers: root, and each chunk with its branch."""
    leaves = [leaf_hash(part) for part in parts]
    return root(leaves), [(index, part, branch(leaves, index)) for index, part in enumerate(parts)]


# Chunks


@pytest.mark.parametrize("size", SIZES)
def test_any_order_of_chunks_gives_the_object_back(size):
    whole = Chunks(content(size))
    order = list(range(whole.size))
    random.Random(size).shuffle(order)
    assembly = Assembly(whole.root, whole.size)
    assert [assembly.add(index, *whole.part(index)) for index in order] == [False] * (whole.size - 1) + [True]
    assert assembly.data() == content(size)
    assert assembly.wanted() is None


def test_the_first_missing_chunk_is_wanted():
    whole = Chunks(content(3 * CHUNK_BYTES))
    assembly = Assembly(whole.root, 3)
    assert assembly.wanted() == 0
    assembly.add(1, *whole.part(1))
    assert assembly.wanted() == 0
    assembly.add(0, *whole.part(0))
    assert assembly.wanted() == 2


def test_a_chunk_that_comes_twice_changes_nothing():
    whole = Chunks(content(2 * CHUNK_BYTES))
    assembly = Assembly(whole.root, 2)
    assert not assembly.add(0, *whole.part(0))
    assert not assembly.add(0, *whole.part(0))
    assert assembly.add(1, *whole.part(1))
    assert assembly.add(1, *whole.part(1))
    assert assembly.data() == content(2 * CHUNK_BYTES)


@pytest.mark.parametrize("index", [-1, 2, 10**6])
def test_there_is_no_chunk_beyond_the_end(index):
    assert code(Chunks(content(2 * CHUNK_BYTES)).part, index) == "bad_index"


@pytest.mark.parametrize("size", [0, -1, CHUNKS_MAX + 1, 2**53])
def test_an_object_of_no_or_too_many_chunks_is_not_fetched(size):
    assert code(Assembly, bytes(32), size) == "too_large"


def test_a_changed_chunk_is_refused():
    whole = Chunks(content(2 * CHUNK_BYTES))
    data, hashes = whole.part(1)
    assert code(Assembly(whole.root, 2).add, 1, b"x" + data[1:], hashes) == "bad_branch"


def test_a_chunk_of_another_place_or_size_is_refused():
    whole = Chunks(content(4 * CHUNK_BYTES))
    data, hashes = whole.part(1)
    for index, size in ((0, 4), (2, 4), (4, 4), (-1, 4), (1, 2), (1, 9)):
        assert code(Assembly(whole.root, size).add, index, data, hashes) == "bad_branch", (index, size)


def test_a_chunk_with_a_spoilt_branch_is_refused():
    whole = Chunks(content(4 * CHUNK_BYTES))
    data, hashes = whole.part(1)
    for spoilt in (hashes[:-1], [*hashes, hashes[0]], hashes[::-1], [b"", *hashes[1:]], []):
        assert code(Assembly(whole.root, 4).add, 1, data, spoilt) == "bad_branch"


@pytest.mark.parametrize(
    "parts",
    [
        [b"short", b"rest"],
        [bytes(CHUNK_BYTES + 1), b"rest"],
        [bytes(CHUNK_BYTES + 1)],
        [bytes(CHUNK_BYTES), b""],
    ],
    ids=["short", "long", "long and alone", "empty end"],
)
def test_an_object_that_was_cut_another_way_is_refused(parts):
    top, chunks = offered(parts)
    assembly = Assembly(top, len(parts))
    codes = []
    for chunk in chunks:
        try:
            assembly.add(*chunk)
        except Invalid as error:
            codes.append(error.code)
    assert codes == ["bad_chunk"]
    assert assembly.wanted() is not None


def test_asking_for_what_is_missing_does_not_grow_with_what_is_here():
    assembly = Assembly(bytes(32), CHUNKS_MAX)
    assembly._parts = dict.fromkeys(range(CHUNKS_MAX - 1), b"")
    assert [assembly.wanted() for _ in range(20_000)] == [CHUNKS_MAX - 1] * 20_000


# Rows

values = st.recursive(
    st.one_of(
        st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), st.text(max_size=5), st.binary(max_size=5)
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(values, max_size=6))
def test_rows_there_and_back(rows):
    assert list(unpack_rows(pack_rows(rows))) == rows


@given(st.lists(values, max_size=4), st.binary(max_size=6), st.integers(0, 40), st.integers(0, 40))
def test_spoilt_rows_are_invalid_or_other_rows(rows, noise, at, to):
    data = pack_rows(rows)
    spoilt = data[:at] + noise + data[to:]
    try:
        found = list(unpack_rows(spoilt))
    except Invalid:
        return
    assert pack_rows(found) == spoilt


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\0", "truncated"),
        (b"\0\0\0", "truncated"),
        (b"\0\0\0\2\1", "truncated"),
        (b"\xff\xff\xff\xff\1", "truncated"),
        (b"\0\0\0\0", "empty"),
        (b"\0\0\0\2\1\1", "trailing"),
        (b"\0\0\0\1\xc0", "nil"),
        (b"\0\0\0\1\1\0", "truncated"),
    ],
)
def test_what_is_no_list_of_rows_is_refused(data, expected):
    assert code(lambda: list(unpack_rows(data))) == expected


def test_a_row_is_no_larger_than_a_frame():
    assert code(pack_rows, [bytes(262_144)]) == "too_large"
