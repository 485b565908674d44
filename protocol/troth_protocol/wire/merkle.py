"""Merkle trees in the shape of RFC 6962: a leaf can never pass for a node, and no leaf is ever duplicated.

A tree over n > 1 leaves splits at the largest power of two below n. Built level by level this means: pair neighbours,
and a node without a right neighbour rises as it is. Sources: RFC 6962 section 2.1, RFC 9162 section 2.1.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final

from troth_protocol.errors import Invalid

HASH_BYTES: Final = 32
_CACHED_PLACES: Final = 16_384
EMPTY_ROOT: Final = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """H(0x00 | data): 32 bytes."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """H(0x01 | left | right): 32 bytes, of two hashes of 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, in order; H("") of no leaves; the leaf hash itself of one."""
    return root_and_branches(leaves, ())[0]


def branch(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The siblings from leaf `index` up to the root, lowest first. Invalid("bad_branch") if there is no such leaf."""
    _check_place(index, len(leaves))
    return _climb(_levels(leaves), index)


def root_and_branches(leaves: Sequence[bytes], indices: Iterable[int]) -> tuple[bytes, list[list[bytes]]]:
    """The root, and the branches of the leaves at these places: each node is hashed once for all of them."""
    levels = _levels(leaves)
    return levels[-1][0] if leaves else EMPTY_ROOT, [_climb(levels, index) for index in indices]


def root_from_branch(leaf: bytes, index: int, size: int, branch: Sequence[bytes]) -> bytes:
    """The root of the tree of `size` leaves that has the hash `leaf` at `index` and `branch` beside it.

    Raises Invalid("bad_branch") where no tree has that shape: an index outside the tree, a branch of another length
    than the place asks for, a hash that is not 32 bytes. Whether the root is the right one is the caller's comparison.
    """
    sides = _sides(index, size)
    if len(leaf) != HASH_BYTES or len(branch) != len(sides):
        raise Invalid("bad_branch", f"{len(branch)} hashes at {index} of {size}")
    node = leaf
    for sibling, is_left in zip(branch, sides, strict=True):
        if len(sibling) != HASH_BYTES:
            raise Invalid("bad_branch", f"a hash of {len(sibling)} bytes")
        node = sha256(b"\x01" + sibling + node if is_left else b"\x01" + node + sibling).digest()
    return node


@lru_cache(maxsize=_CACHED_PLACES)
def _sides(index: int, size: int) -> tuple[bool, ...]:
    """Of each hash in the branch of leaf `index` of `size`: does it stand to the left? Invalid outside the tree."""
    _check_place(index, size)
    sides, last = [], size - 1
    while last:
        if (index | 1) <= last:  # else it has no right neighbour, and rises as it is
            sides.append(bool(index & 1))
        index, last = index >> 1, last >> 1
    return tuple(sides)


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """All levels from the leaves to the root."""
    levels = [list(leaves)]
    while len(level := levels[-1]) > 1:
        above = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) & 1:
            above.append(level[-1])
        levels.append(above)
    return levels


def _climb(levels: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    """The siblings that the path from leaf `index` meets."""
    return [level[i] for h, level in enumerate(levels) if (i := (index >> h) ^ 1) < len(level)]


def _check_place(index: int, size: int) -> None:
    if not 0 <= index < size:
        raise Invalid("bad_branch", f"no leaf {index} in {size}")
