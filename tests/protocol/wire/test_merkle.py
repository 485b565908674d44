"""Merkle trees: the shape of RFC 6962, and branches that prove one leaf at one place and nothing else."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.wire.merkle import (
    EMPTY_ROOT,
    branch,
    leaf_hash,
    node_hash,
    root,
    root_and_branches,
    root_from_branch,
)

# The eight inputs and their tree heads that Certificate Transparency implementations share.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def tree(size):
    return [leaf_hash(b"leaf %d" % i) for i in range(size)]


def split(size):
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def mth(inputs):
    """MTH, word for word from RFC 6962 section 2.1."""
    if not inputs:
        return sha256(b"").digest()
    if len(inputs) == 1:
        return sha256(b"\x00" + inputs[0]).digest()
    k = split(len(inputs))
    return sha256(b"\x01" + mth(inputs[:k]) + mth(inputs[k:])).digest()


def path(m, inputs):
    """PATH, word for word from RFC 6962 section 2.1.1."""
    if len(inputs) == 1:
        return []
    k = split(len(inputs))
    return [*path(m, inputs[:k]), mth(inputs[k:])] if m < k else [*path(m - k, inputs[k:]), mth(inputs[:k])]


places = st.integers(1, 70).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_known_from_certificate_transparency(size):
    assert root([leaf_hash(data) for data in INPUTS[:size]]).hex() == ROOTS[size - 1]


def test_empty_tree():
    assert root([]) == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root_and_branches([], ()) == (EMPTY_ROOT, [])


def test_one_leaf_is_its_own_root():
    leaf = leaf_hash(b"vote")
    assert root([leaf]) == leaf
    assert branch([leaf], 0) == []
    assert root_from_branch(leaf, 0, 1, []) == leaf


def branch_length(index: int, size: int) -> int:
    """How many hashes the branch of leaf `index` of `size` has (RFC 9162 section 2.1.3.1)."""
    last = size - 1
    shared = (index ^ last).bit_length()
    return shared + (index >> shared).bit_count()


@given(st.lists(st.binary(max_size=3), max_size=70))
def test_root_and_branches_are_rfc_6962_s(inputs):
    leaves = [leaf_hash(data) for data in inputs]
    assert root(leaves) == mth(inputs)
    everything = range(len(inputs))
    assert root_and_branches(leaves, everything) == (mth(inputs), [path(m, inputs) for m in everything])


@given(places)
def test_every_branch_leads_to_the_root(place):
    size, index = place
    leaves = tree(size)
    proof = branch(leaves, index)
    assert root_and_branches(leaves, [index]) == (root(leaves), [proof])
    assert len(proof) == branch_length(index, size)
    assert root_from_branch(leaves[index], index, size, proof) == root(leaves)


@given(places, st.integers(0, 69))
def test_branch_proves_no_other_index(place, other):
    size, index = place
    leaves = tree(size)
    if other != index:
        assert_not_proved(leaves, leaves[index], other, size, branch(leaves, index))


@given(places, st.integers(1, 140))
def test_branch_of_another_size_that_reaches_the_root_reads_the_same_place(place, size):
    """Nothing in a root tells its size, so a verifier takes the size from what is signed, never from the prover."""
    true_size, index = place
    leaves = tree(true_size)
    proof = branch(leaves, index)
    if index >= size or branch_length(index, size) != len(proof):
        assert_not_proved(leaves, leaves[index], index, size, proof)


@given(places, st.integers(0, 255), st.data())
def test_no_bit_of_leaf_or_branch_can_change(place, bit, data):
    size, index = place
    leaves = tree(size)
    hashes = [leaves[index], *branch(leaves, index)]
    victim = data.draw(st.integers(0, len(hashes) - 1))
    hashes[victim] = (int.from_bytes(hashes[victim], "big") ^ 1 << bit).to_bytes(32, "big")
    assert root_from_branch(hashes[0], index, size, hashes[1:]) != root(leaves)


@given(places, st.binary(min_size=32, max_size=32))
def test_branch_of_another_length_is_refused(place, extra):
    size, index = place
    leaves = tree(size)
    proof = branch(leaves, index)
    for wrong in ([*proof, extra], [extra, *proof], *([proof[1:], proof[:-1]] if proof else [])):
        assert_refused(leaves[index], index, size, wrong)


def test_an_inner_node_is_no_leaf():
    """The second preimage that a tree without prefixes allows: two leaves' hashes passed off as one leaf's data."""
    leaves = tree(4)
    left, right = node_hash(leaves[0], leaves[1]), node_hash(leaves[2], leaves[3])
    assert root_from_branch(left, 0, 2, [right]) == root(
        leaves
    )  # a node is not hidden from who takes bare hashes …
    assert leaf_hash(leaves[0] + leaves[1]) != left  # … but no data has it as its leaf hash
    assert root([leaf_hash(leaves[0] + leaves[1]), leaf_hash(leaves[2] + leaves[3])]) != root(leaves)


@pytest.mark.parametrize("size", [3, 5, 6, 7, 11])
def test_last_leaf_is_not_duplicated(size):
    """The double of CVE-2012-2459: a list that repeats its tail has a root of its own."""
    leaves = tree(size)
    assert root(leaves) != root([*leaves, leaves[-1]])
    assert root(leaves) != root([*leaves, *leaves[-2:]])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, -1), (2**70, 2**60)])
def test_place_outside_the_tree_is_refused(index, size):
    assert_refused(leaf_hash(b""), index, size, [])


def test_place_outside_the_list_is_refused():
    for index in (-1, 3):
        with pytest.raises(Invalid, match="bad_branch"):
            branch(tree(3), index)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_hash_of_another_length_is_refused(length):
    leaves = tree(2)
    assert_refused(leaves[0], 0, 2, [bytes(length)])
    assert_refused(bytes(length), 0, 2, [leaves[1]])


def test_enormous_size_costs_no_more_than_its_branch():
    assert_refused(leaf_hash(b""), 0, 2**4000, [bytes(32)] * 16)


def assert_refused(leaf, index, size, proof):
    with pytest.raises(Invalid) as refusal:
        root_from_branch(leaf, index, size, proof)
    assert refusal.value.code == "bad_branch"


def assert_not_proved(leaves, leaf, index, size, proof):
    try:
        assert root_from_branch(leaf, index, size, proof) != root(leaves)
    except Invalid as refusal:
        assert refusal.code == "bad_branch"  # noqa: PT017
