"""Payloads against their schemas: the library's verdict, within the bound that everybody shares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_node.payload import validate_payload
from troth_protocol.errors import Invalid
from troth_protocol.market.document import CHECK_MAX, compose_document

FIELDS = {"name": "x", "version": "1", "description": "X.", "multiround": "false"}
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "temp"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def document(schema):
    return compose_document(FIELDS, "What it means.", schema)


def refusal(schema, payload):
    with pytest.raises(Invalid) as refused:
        validate_payload(document(schema), payload)
    assert refused.value.code == "bad_payload"
    return refused.value.detail


def test_a_refusal_says_where():
    schema = {"properties": {"temp": {"items": {"type": "integer"}}}}
    validate_payload(document(schema), {"temp": [1, 2]})
    assert refusal(schema, {"temp": [1, "2"]}) == "$.temp[1]: '2' is not of type 'integer'"


def test_a_long_complaint_is_cut():
    assert len(refusal({"type": "integer"}, "x" * 60_000)) < 400


def test_a_payload_that_takes_too_long_to_check_is_refused_unread():
    schema = {"items": {"properties": {f"a{number}": {} for number in range(500)}}}
    assert "too large" in refusal(schema, [{}] * (CHECK_MAX // 500))


@given(VALUES)
def test_a_schema_that_says_nothing_fits_everything(payload):
    validate_payload(document({}), payload)


@given(VALUES)
def test_a_type_fits_exactly_its_values(payload):
    kinds = {dict: "object", list: "array", str: "string", int: "integer", bool: "boolean"}
    for kind, name in kinds.items():
        schema = {"type": name}
        if type(payload) is kind:
            validate_payload(document(schema), payload)
        else:
            assert refusal(schema, payload)
