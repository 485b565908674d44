"""A contribution is a forecast or a signal of its question, within the rules for probabilities and citations."""

import pytest

from troth_protocol.errors import Invalid
from troth_protocol.insight.contribution import (
    CONTRIBUTION,
    RATIONALE_MAX_BYTES,
    Contribution,
    content_key,
    load_contribution,
)
from troth_protocol.log.rows import CITATIONS_MAX
from troth_protocol.wire.codec import encode

Q, A, B = (bytes([n]) * 32 for n in (1, 2, 3))
FORECAST = Contribution(Q, "because", ((A, 300_000), (B, 700_000)), ppm=(400_000, 600_000))
EPSILON = 10_000


def code(value, outcomes=2):
    with pytest.raises(Invalid) as refused:
        load_contribution(encode(value), Q, outcomes, EPSILON)
    return refused.value.code


def value(**changes):
    found = CONTRIBUTION.dump(FORECAST) | changes
    return {key: item for key, item in found.items() if item is not None}


@pytest.mark.parametrize(
    "item",
    [
        FORECAST,
        Contribution(Q, "", (), payload=A),
        Contribution(Q, "x" * RATIONALE_MAX_BYTES, (), ppm=(EPSILON, 1_000_000 - EPSILON)),
        Contribution(Q, "", tuple((bytes([n]) * 32, 62_500) for n in range(CITATIONS_MAX)), payload=A),
    ],
)
def test_there_and_back(item):
    assert load_contribution(CONTRIBUTION.encode(item), Q, 2, EPSILON) == item


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"question": A}, "wrong_question"),
        ({"payload": A}, "bad_contribution"),
        ({"ppm": None}, "bad_contribution"),
        ({"ppm": [400_000, 599_999]}, "bad_probabilities"),
        ({"ppm": [400_000, 600_001]}, "bad_probabilities"),
        ({"ppm": [9_999, 990_001]}, "bad_probabilities"),
        ({"ppm": [300_000, 300_000, 400_000]}, "bad_probabilities"),
        ({"ppm": [1_000_000]}, "bad_field"),
        ({"citations": [[A, 0]]}, "bad_citations"),
        ({"citations": [[A, 1], [A, 2]]}, "bad_citations"),
        ({"citations": [[A, 500_001], [B, 500_000]]}, "bad_citations"),
        ({"citations": [[A, 1_000_001]]}, "bad_field"),
        ({"citations": [[bytes([n]) * 32, 1] for n in range(CITATIONS_MAX + 1)]}, "bad_field"),
        ({"rationale": "x" * (RATIONALE_MAX_BYTES + 1)}, "bad_field"),
        ({"more": 1}, "unknown_field"),
    ],
)
def test_what_breaks_a_rule_is_refused(changes, expected):
    assert code(value(**changes)) == expected


def test_the_same_content_has_the_same_key():
    assert content_key((400_000, 600_000), None) == content_key((400_000, 600_000), None)
    assert content_key((400_000, 600_000), None) != content_key((600_000, 400_000), None)
    assert content_key(None, A) == A
    assert content_key(None, None) is None
