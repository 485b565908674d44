"""The witnesses of one epoch: who they are, what they weigh, and how much weight decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import Value, decode, decode_amount, encode
from troth_protocol.wire.crypto import digest

MEMBERS_MAX = 64


@dataclass(frozen=True)
class Member:
    """One witness: 32-byte key and weight (its witness bond in atomic units)."""

    key: bytes
    weight: int


@dataclass(frozen=True)
class Committee:
    """The witness set of an epoch, in key order."""

    members: tuple[Member, ...]

    @cached_property
    def total(self) -> int:
        """W, the sum of all weights."""
        return sum(member.weight for member in self.members)

    @cached_property
    def quorum(self) -> int:
        """More than two thirds: floor(2W/3) + 1."""
        return 2 * self.total // 3 + 1

    @cached_property
    def third(self) -> int:
        """More than the faulty can be: floor((W-1)/3) + 1."""
        return (self.total - 1) // 3 + 1

    @cached_property
    def digest(self) -> bytes:
        """Digest of the set, which votes and seals name."""
        return digest(self.encode())

    @cached_property
    def _index(self) -> dict[bytes, int]:
        return {member.key: index for index, member in enumerate(self.members)}

    def index(self, key: bytes) -> int | None:
        """The place of a key, or None if it is no witness of this epoch."""
        return self._index.get(key)

    def weigh(self, indices: Iterable[int]) -> int:
        """Weight of distinct members; Invalid("bad_member") on a duplicate or an unknown place."""
        seen: set[int] = set()
        weight, members = 0, self.members
        for index in indices:
            if index in seen or not 0 <= index < len(members):
                raise Invalid("bad_member", str(index))
            seen.add(index)
            weight += members[index].weight
        return weight

    def encode(self) -> bytes:
        """Canonical [[key, weight]…]."""
        return encode([[member.key, str(member.weight)] for member in self.members])


def bonded_in(before: Committee, after: Committee) -> frozenset[bytes]:
    """Who became a witness from one set to the next; the other way round it is who left."""
    return frozenset(member.key for member in after.members) - {member.key for member in before.members}


def count_changes(sets: Sequence[Committee]) -> tuple[int, int]:
    """How often somebody became a witness, and how often one left, in the sets of epochs that follow each other."""
    pairs = list(pairwise(sets))
    return sum(len(bonded_in(*pair)) for pair in pairs), sum(len(bonded_in(*pair[::-1])) for pair in pairs)


def load_committee(data: bytes) -> Committee:
    """Decode a witness set; Invalid: bad_member, bad_amount."""
    value = decode(data)
    if type(value) is not list or not 1 <= len(value) <= MEMBERS_MAX:
        raise Invalid("bad_member", "expected a list of witnesses")
    committee = Committee(tuple(map(_load_member, value)))
    if list(committee._index) != sorted(committee._index) or len(committee._index) != len(value):  # noqa: SLF001
        raise Invalid("bad_member", "witnesses must be distinct and in key order")
    return committee


def _load_member(item: Value) -> Member:
    match item:
        case [bytes(key), weight] if len(key) == 32 and weight != "0":
            return Member(key, decode_amount(weight))
        case _:
            raise Invalid("bad_member", "expected [key, weight]")
