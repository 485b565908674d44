"""Close reports: what one witness had stored when it stopped, signed; and the value that a close agrees on."""

from __future__ import annotations

from dataclasses import dataclass

from troth_protocol.errors import Invalid
from troth_protocol.log.committee import Committee
from troth_protocol.wire.chunks import Chunks
from troth_protocol.wire.codec import Value, decode, encode
from troth_protocol.wire.crypto import KeyPair, object_id, preimage, verify
from troth_protocol.wire.schema import EPOCH, HASH, KEY, Record, uint

REPORT_DOMAIN = "troth/report/1"
_HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class ReportHeader:
    """What a witness signs: the root and number of its findings' chunks."""

    epoch: int
    witness: bytes
    set: bytes
    root: bytes
    size: int


REPORT_HEADER = Record(
    "report_header",
    ReportHeader,
    {"epoch": EPOCH, "witness": KEY, "set": HASH, "root": HASH, "size": uint(20_000)},
)


@dataclass(frozen=True, slots=True)
class Report:
    """A signed header; its findings travel as chunks."""

    id: bytes
    header: ReportHeader
    payload: bytes
    signature: bytes


def sign_report(keys: KeyPair, network: bytes, epoch: int, committee: Committee, chunks: Chunks) -> Report:
    """Sign one's own report."""
    header = ReportHeader(epoch, keys.public, committee.digest, chunks.root, chunks.size)
    payload = REPORT_HEADER.encode(header)
    signature = keys.sign(preimage(REPORT_DOMAIN, network, payload))
    return Report(object_id(REPORT_DOMAIN, network, payload), header, payload, signature)


def load_report(payload: bytes, signature: bytes, network: bytes, epoch: int, committee: Committee) -> Report:
    """Decode and verify a report's header; Invalid: wrong_epoch, bad_member, bad_signature."""
    header = REPORT_HEADER.decode(payload)
    if header.epoch != epoch or header.set != committee.digest:
        raise Invalid("wrong_epoch", f"report of epoch {header.epoch}")
    if committee.index(header.witness) is None:
        raise Invalid("bad_member", header.witness.hex())
    if not verify(header.witness, preimage(REPORT_DOMAIN, network, payload), signature):
        raise Invalid("bad_signature", "close report")
    return Report(object_id(REPORT_DOMAIN, network, payload), header, payload, signature)


def encode_value(reports: dict[int, bytes]) -> bytes:
    """The value that the close agrees on: [[member, report id]…] in member order."""
    return encode([[member, reports[member]] for member in sorted(reports)])


def load_value(data: bytes, committee: Committee) -> dict[int, bytes]:
    """Decode a value; Invalid: bad_value, bad_member, not_enough_weight."""
    value = decode(data)
    if type(value) is not list:
        raise Invalid("bad_value", "expected a list of reports")
    pairs = [_load_pair(item) for item in value]
    members = [member for member, _ in pairs]
    if members != sorted(members):
        raise Invalid("bad_value", "reports in member order")
    if committee.weigh(members) < committee.quorum:
        raise Invalid("not_enough_weight", "a close needs reports of more than two thirds")
    return dict(pairs)


def _load_pair(item: Value) -> tuple[int, bytes]:
    match item:
        case [member, bytes(report)] if type(member) is int and member >= 0 and len(report) == _HASH_BYTES:
            return member, report
        case _:
            raise Invalid("bad_value", "expected [member, report id]")
