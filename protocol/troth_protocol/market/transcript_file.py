"""A transcript as a file: what proves a negotiation to somebody who was not there."""

from __future__ import annotations

from dataclasses import dataclass

from troth_protocol.market.transcript import Transcript, verify_transcript
from troth_protocol.wire.codec import MAX_FRAME_BYTES
from troth_protocol.wire.schema import ID, SIGNATURE, Record, blob, many, row

#: More than any negotiation has.
MESSAGES_MAX = 16


@dataclass(frozen=True, slots=True)
class _File:
    items: tuple[tuple[bytes, bytes], ...]
    network: bytes


TRANSCRIPT = Record(
    "transcript",
    _File,
    {"items": many(row(blob(MAX_FRAME_BYTES), SIGNATURE), MESSAGES_MAX), "network": ID},
)


def pack_transcript(transcript: Transcript) -> bytes:
    """A transcript as a file. Invalid("too_large") if it is more than a frame could carry."""
    return TRANSCRIPT.encode(_File(tuple(transcript.items), transcript.network))


def load_transcript(data: bytes) -> Transcript:
    """Judge a file's bytes. Raises Invalid as the codec, the schema and `verify_transcript` do."""
    found = TRANSCRIPT.decode(data)
    return verify_transcript(found.network, found.items)
