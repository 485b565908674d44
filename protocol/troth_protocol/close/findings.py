"""What a close is about: heads, claims and evidence. A report holds one witness's, the cut holds their union."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from troth_protocol.errors import FaultBoundBroken, Invalid
from troth_protocol.log.ops import EVIDENCE_MAX_BYTES
from troth_protocol.log.rows import PREIMAGE_MAX_BYTES
from troth_protocol.wire.chunks import Chunks, pack_rows, unpack_rows
from troth_protocol.wire.codec import Value
from troth_protocol.wire.crypto import digest

HEADS_MAX = 200_000
EVIDENCE_MAX = 256
_HASH_BYTES = 32


@dataclass(slots=True)
class Findings:
    """`heads`: author -> (seq, entry id); `claims`: lock id -> preimage; `evidence`: digest -> bytes.

    `reporters` are the witnesses whose reports make up a cut; empty in a report.
    """

    heads: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    claims: dict[bytes, bytes] = field(default_factory=dict)
    evidence: dict[bytes, bytes] = field(default_factory=dict)
    reporters: set[bytes] = field(default_factory=set)

    def chunks(self) -> Chunks:
        """The canonical bytes, chunked; the chunks' root is the digest."""
        return Chunks(self.encode())

    def encode(self) -> bytes:
        """The canonical bytes: heads, claims, evidence and reporters, each in key order."""
        rows: list[Value] = [["head", key, *self.heads[key]] for key in sorted(self.heads)]
        rows += [["claim", key, self.claims[key]] for key in sorted(self.claims)]
        rows += [["evidence", self.evidence[key]] for key in sorted(self.evidence)]
        rows += [["reporter", key] for key in sorted(self.reporters)]
        return pack_rows(rows)

    def add_evidence(self, data: bytes) -> None:
        """Add one piece of evidence, once."""
        self.evidence[digest(data)] = data


def load_findings(data: bytes) -> Findings:
    """Decode; Invalid("bad_findings") unless re-encoding gives the same bytes."""
    out = Findings()
    for item in unpack_rows(data):
        _load_row(out, item)
    reports = max(1, len(out.reporters))  # a cut may hold what each of its reports may
    if len(out.heads) > HEADS_MAX * reports or len(out.evidence) > EVIDENCE_MAX * reports:
        raise Invalid("bad_findings", "too many heads, or too much evidence")
    if out.encode() != data:
        raise Invalid("bad_findings", "not in canonical order")
    return out


def _load_row(out: Findings, item: Value) -> None:
    match item:
        case ["head", bytes(author), seq, bytes(entry)] if len(author) == len(entry) == _HASH_BYTES:
            out.heads[author] = (_load_seq(seq), entry)
        case ["claim", bytes(lock), bytes(preimage)] if len(lock) == _HASH_BYTES:
            out.claims[lock] = _load_preimage(preimage)
        case ["evidence", bytes(evidence)] if len(evidence) <= EVIDENCE_MAX_BYTES:
            out.add_evidence(evidence)
        case ["reporter", bytes(witness)] if len(witness) == _HASH_BYTES:
            out.reporters.add(witness)
        case _:
            raise Invalid("bad_findings", "expected head, claim, evidence or reporter")


def _load_seq(seq: Value) -> int:
    if type(seq) is not int or seq < 1:
        raise Invalid("bad_findings", "a head is at least the first entry of its log")
    return seq


def _load_preimage(preimage: bytes) -> bytes:
    if len(preimage) > PREIMAGE_MAX_BYTES:
        raise Invalid("bad_findings", f"a preimage of {len(preimage)} bytes")
    return preimage


def merge(reports: Mapping[bytes, Findings]) -> Findings:
    """The cut of reports by witness: pointwise maximum of heads, union of the rest. Nothing in it is discretionary.

    Raises FaultBoundBroken if two reports hold different certified entries at one place.
    """
    out = Findings(reporters=set(reports))
    for _, item in sorted(reports.items()):
        for author, head in item.heads.items():
            _raise_head(out, author, head)
        out.claims.update(item.claims)
        out.evidence.update(item.evidence)
    return out


def _raise_head(out: Findings, author: bytes, head: tuple[int, bytes]) -> None:
    known = out.heads.get(author, (0, b""))
    if head[0] == known[0] and head != known:
        raise FaultBoundBroken(f"two certified entries at {author.hex()}:{head[0]}")
    out.heads[author] = max(known, head)
