"""Large objects travel in chunks under one Merkle root, so that each chunk can be checked as it comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import Value, decode, encode
from troth_protocol.wire.merkle import branch, leaf_hash, root, root_from_branch

CHUNK_BYTES = 60_000
CHUNKS_MAX = 20_000


class Chunks:
    """An object that is held whole: its root, its number of chunks, and any of them with its branch."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.parts = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)] or [b""]
        self._leaves = [leaf_hash(part) for part in self.parts]
        self.root = root(self._leaves)
        self.size = len(self.parts)

    def part(self, index: int) -> tuple[bytes, list[bytes]]:
        """One chunk and its branch; Invalid("bad_index")."""
        if not 0 <= index < self.size:
            raise Invalid("bad_index", str(index))
        return self.parts[index], branch(self._leaves, index)


class Assembly:
    """An object that is being fetched: chunks in any order, each checked against the root."""

    def __init__(self, root_hash: bytes, size: int) -> None:
        if not 1 <= size <= CHUNKS_MAX:
            raise Invalid("too_large", f"{size} chunks")
        self.root = root_hash
        self.size = size
        self._parts: dict[int, bytes] = {}
        self._first = 0

    def wanted(self) -> int | None:
        """The first chunk that is not here yet."""
        while self._first in self._parts:
            self._first += 1
        return self._first if self._first < self.size else None

    def add(self, index: int, data: bytes, branch_hashes: Sequence[bytes]) -> bool:
        """Take a chunk in; True when the object is whole.

        Raises Invalid: bad_branch (it is not of this object), bad_chunk (the object is not cut as `Chunks` cuts it,
        so that it would not have this root once it is whole, and could take more memory than its size says).
        """
        if root_from_branch(leaf_hash(data), index, self.size, branch_hashes) != self.root:
            raise Invalid("bad_branch", "the chunk is not of this object")
        self._check_length(index, len(data))
        self._parts[index] = data
        return len(self._parts) == self.size

    def _check_length(self, index: int, length: int) -> None:
        is_last = index == self.size - 1
        least = CHUNK_BYTES if not is_last else min(index, 1)
        if not least <= length <= CHUNK_BYTES:
            raise Invalid("bad_chunk", f"{length} bytes in chunk {index} of {self.size}")

    def data(self) -> bytes:
        """The whole object."""
        return b"".join(self._parts[index] for index in range(self.size))


def pack_rows(rows: Iterable[Value]) -> bytes:
    """Many canonical values in one object: each with its length in 4 bytes, big-endian."""
    encoded = map(encode, rows)
    return b"".join(len(item).to_bytes(4, "big") + item for item in encoded)


def unpack_rows(data: bytes) -> Iterator[Value]:
    """The values of an object made by `pack_rows`; Invalid on anything else."""
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            raise Invalid("truncated", "a row reaches past the end")
        yield decode(data[at + 4 : end])
        at = end
