"""Contributions: forecasts and signals are one thing; a forecast has probabilities, a signal a payload digest."""

from __future__ import annotations

from dataclasses import dataclass

from troth_protocol.errors import Invalid
from troth_protocol.insight.prior import validate_ppm
from troth_protocol.log.rows import CITATION_LIST, PPM_LIST
from troth_protocol.wire.codec import Value, encode
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.schema import HASH, ID, PPM, Record, optional, text

RATIONALE_MAX_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a commit seals. `ppm` are probabilities in parts per million; `citations` are (commit id, weight ppm)."""

    question: bytes
    rationale: str
    citations: tuple[tuple[bytes, int], ...]
    ppm: tuple[int, ...] | None = None
    payload: bytes | None = None


CONTRIBUTION = Record(
    "contribution",
    Contribution,
    {
        "question": ID,
        "rationale": text(RATIONALE_MAX_BYTES),
        "citations": CITATION_LIST,
        "ppm": optional(PPM_LIST),
        "payload": optional(HASH),
    },
)


def content_key(ppm: tuple[int, ...] | None, payload: bytes | None) -> bytes | None:
    """What makes two contributions the same: their payload digest, or their probabilities."""
    return payload if ppm is None else digest(encode(list[Value](ppm)))


def load_contribution(data: bytes, question: bytes, outcomes: int, epsilon_ppm: int) -> Contribution:
    """Decode a contribution and check it against its question.

    Raises Invalid: wrong_question, bad_contribution (neither or both of ppm and payload), bad_probabilities,
    bad_citations.
    """
    item = CONTRIBUTION.decode(data)
    if item.question != question:
        raise Invalid("wrong_question", item.question.hex())
    if (item.ppm is None) == (item.payload is None):
        raise Invalid("bad_contribution", "either probabilities or a payload digest")
    if item.ppm is not None:
        validate_ppm(item.ppm, outcomes, epsilon_ppm)
    validate_citations(item.citations)
    return item


def validate_citations(citations: tuple[tuple[bytes, int], ...]) -> None:
    """Citations are distinct, each weighs more than zero, and together at most 1,000,000 ppm."""
    weights = [weight for _, weight in citations]
    if len({commit for commit, _ in citations}) != len(citations) or 0 in weights or sum(weights) > PPM:
        raise Invalid("bad_citations", "distinct, each above 0 ppm, together at most 1,000,000 ppm")
