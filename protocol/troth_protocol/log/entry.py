"""Entries: what an author signs. The id is the header's id, so evidence needs headers and signatures only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from troth_protocol.errors import Invalid
from troth_protocol.log.ops import OPS, Op
from troth_protocol.wire.codec import Value, pack
from troth_protocol.wire.crypto import KeyPair, digest, is_valid_key, object_id, preimage, verify
from troth_protocol.wire.schema import EPOCH, HASH, ID, KEY, SEQ, SIGNATURE, Record, blob, read, uint

ENTRY_DOMAIN = "troth/entry/1"
OPS_MAX = 256
DEPS_MAX = 256
ENTRY_MAX_BYTES = 128 * 1024
HEADER_MAX_BYTES = 512
_NO_DEPS = pack([])


@dataclass(frozen=True, slots=True)
class Header:
    """What the author signs: its place in its log and the digests of deps and ops."""

    network: bytes
    author: bytes
    incarnation: int
    epoch: int
    seq: int
    prev: bytes
    deps: bytes
    ops: bytes

    def place(self) -> tuple[bytes, int, int]:
        """The place a witness locks: (author, epoch, seq), incarnation excluded."""
        return self.author, self.epoch, self.seq


HEADER = Record(
    "header",
    Header,
    {
        "network": ID,
        "author": KEY,
        "incarnation": uint(),
        "epoch": EPOCH,
        "seq": SEQ,
        "prev": ID,
        "deps": HASH,
        "ops": HASH,
    },
)


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """A header's bytes and the author's signature over them: half of a proof of a fork."""

    header: bytes
    signature: bytes


SIGNED_HEADER = Record(
    "signed_header", SignedHeader, {"header": blob(HEADER_MAX_BYTES), "signature": SIGNATURE}
)


@dataclass(frozen=True, slots=True)
class _Wire:
    header: bytes
    deps: bytes
    ops: bytes
    signature: bytes


_WIRE = Record(
    "entry",
    _Wire,
    {
        "header": blob(HEADER_MAX_BYTES),
        "deps": blob(ENTRY_MAX_BYTES),
        "ops": blob(ENTRY_MAX_BYTES),
        "signature": SIGNATURE,
    },
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A checked entry: `data` are the bytes it travels as, `id` names it."""

    id: bytes
    header: Header
    deps: tuple[bytes, ...]
    ops: tuple[Op, ...]
    signed: SignedHeader
    data: bytes


def header_id(network: bytes, header: bytes) -> bytes:
    """The entry id of a header's bytes."""
    return object_id(ENTRY_DOMAIN, network, header)


def make_entry(
    keys: KeyPair,
    network: bytes,
    *,
    incarnation: int,
    epoch: int,
    seq: int,
    prev: bytes,
    deps: Sequence[bytes],
    ops: Sequence[Op],
) -> Entry:
    """Build and sign an entry; `deps` are sorted here. Raises Invalid: no_ops, bad_deps, entry_too_large."""
    sorted_deps = sorted(set(deps))
    _check_counts(len(sorted_deps), len(ops))
    deps_bytes = pack(list[Value](sorted_deps))
    ops_bytes = pack(_dump_ops(ops))
    header = Header(
        network, keys.public, incarnation, epoch, seq, prev, digest(deps_bytes), digest(ops_bytes)
    )
    payload = HEADER.encode(header)
    signature = keys.sign(preimage(ENTRY_DOMAIN, network, payload))
    data = _WIRE.encode(_Wire(payload, deps_bytes, ops_bytes, signature))
    if len(data) > ENTRY_MAX_BYTES:
        raise Invalid("entry_too_large", f"{len(data)} bytes")
    return Entry(
        header_id(network, payload),
        header,
        tuple(sorted_deps),
        tuple(ops),
        SignedHeader(payload, signature),
        data,
    )


def load_entry(data: bytes, network: bytes) -> Entry:
    """Decode an entry and check everything that its bytes alone can show, the signature last.

    Raises Invalid: entry_too_large, wrong_network, bad_digest, bad_signature, bad_deps, no_ops and what the schema
    says.
    """
    if len(data) > ENTRY_MAX_BYTES:
        raise Invalid("entry_too_large", f"{len(data)} bytes")
    wire = _WIRE.decode(data)
    header = HEADER.decode(wire.header)
    if header.network != network:
        raise Invalid("wrong_network", header.network.hex())
    if digest(wire.deps) != header.deps or digest(wire.ops) != header.ops:
        raise Invalid("bad_digest", "deps or ops are not those of the header")
    deps, ops = _load_deps(wire.deps), _load_ops(wire.ops)
    signed = SignedHeader(wire.header, wire.signature)
    verify_header(signed, network, header)
    return Entry(header_id(network, wire.header), header, deps, ops, signed, data)


def entry_id(data: bytes, network: bytes) -> bytes:
    """The id that these bytes claim, and nothing checked beside their form: enough to see that an entry is known."""
    return header_id(network, _WIRE.decode(data).header)


def verify_header(signed: SignedHeader, network: bytes, header: Header) -> None:
    """Check the author's key and signature; Invalid("bad_signature")."""
    message = preimage(ENTRY_DOMAIN, network, signed.header)
    if not is_valid_key(header.author) or not verify(header.author, message, signed.signature):
        raise Invalid("bad_signature", f"entry {header.seq} of {header.author.hex()}")


def load_header(signed: SignedHeader, network: bytes) -> Header:
    """Decode and verify a signed header."""
    header = HEADER.decode(signed.header)
    if header.network != network:
        raise Invalid("wrong_network", header.network.hex())
    verify_header(signed, network, header)
    return header


def _check_counts(deps: int, ops: int) -> None:
    if deps > DEPS_MAX:
        raise Invalid("bad_deps", f"expected at most {DEPS_MAX} ids")
    if not 1 <= ops <= OPS_MAX:
        raise Invalid("no_ops", f"expected 1 to {OPS_MAX} ops")


def _load_deps(data: bytes) -> tuple[bytes, ...]:
    return () if data == _NO_DEPS else read(data, _deps_of)


def _deps_of(value: Value) -> tuple[bytes, ...]:
    if type(value) is not list:
        raise Invalid("bad_deps", "expected a list of ids")
    _check_counts(len(value), 1)
    deps = [item for item in value if type(item) is bytes and len(item) == 32]
    if len(deps) != len(value) or deps != sorted(set(deps)):
        raise Invalid("bad_deps", "expected distinct ids in order")
    return tuple(deps)


def _load_ops(data: bytes) -> tuple[Op, ...]:
    return read(data, _ops_of)


def _dump_ops(ops: Sequence[Op]) -> Value:
    return [OPS.dump(op) for op in ops]


def _ops_of(value: Value) -> tuple[Op, ...]:
    if type(value) is not list:
        raise Invalid("no_ops", "expected a list of ops")
    _check_counts(0, len(value))
    return tuple(map(OPS.load, value))
