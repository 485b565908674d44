"""Schemas: every word has its own check, nothing nests or weighs too much, and JSON is read strictly."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.market.schema import DIALECT, ENUM_MAX, SCHEMA_DEPTH_MAX, WORDS, load_schema, weigh

GOOD = {
    "$schema": DIALECT,
    "title": "t",
    "description": "d",
    "type": ["object", "string"],
    "enum": ["a", 1, True],
    "const": False,
    "properties": {"a": {"type": "integer"}, "b": {}},
    "required": ["a"],
    "additionalProperties": {"minimum": -(2**53) + 1},
    "items": {"maximum": 2**53 - 1},
    **dict.fromkeys(
        (
            "minProperties",
            "maxProperties",
            "minItems",
            "maxItems",
            "minLength",
            "maxLength",
            "minimum",
            "maximum",
        ),
        0,
    ),
}
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ANY_JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*WORDS, "pattern"]), inner, max_size=3)
    ),
    max_leaves=12,
)


def refused(text):
    with pytest.raises(Invalid) as found:
        load_schema(text if isinstance(text, str) else json.dumps(text))
    assert found.value.code == "bad_schema"
    return found.value.detail


def nested(depth, word="items"):
    inner = {} if depth == 1 else nested(depth - 1, word)
    return inner if depth == 1 else {"properties": {"a": inner}} if word == "properties" else {word: inner}


def test_every_word_may_be_used():
    assert set(GOOD) == set(WORDS)
    assert load_schema(json.dumps(GOOD)) == GOOD


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("value", [None, 0.5, -1, [[]], [{}], [None], {"a": 1}, "\ud800"])
def test_every_word_refuses_what_is_not_for_it(word, value):
    if word in {"minimum", "maximum", "const"} and value == -1:
        return
    assert word.lstrip("$") in refused({word: value}) or type(value) is float


@pytest.mark.parametrize("word", ["items", "additionalProperties", "properties"])
def test_schemas_nest_so_deep_and_no_deeper(word):
    assert load_schema(json.dumps(nested(SCHEMA_DEPTH_MAX, word)))
    assert "nested deeper" in refused(nested(SCHEMA_DEPTH_MAX + 1, word))


def test_an_enum_has_its_bound():
    assert load_schema(json.dumps({"enum": [*range(ENUM_MAX)]}))
    refused({"enum": [*range(ENUM_MAX + 1)]})


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "null", "1", '{"a": 1}', '{"type": "string", "type": "string"}', "[" * 100_000, "{} {}"),
        *('{"minimum": 1e3}', '{"minimum": Infinity}', '{"minimum": 9007199254740992}'),
        '{"minimum": ' + "9" * 5_000 + "}",
        '{"properties": {"\\ud800": {}}}',
        '{"title": "a\nb"}',
    ],
)
def test_what_is_no_schema(text):
    refused(text)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({"type": ["string", "string"]}, "a type occurs twice"),
        ({"required": ["a", "a"]}, "a name occurs twice"),
        ({"additionalProperties": {"type": 1}}, "additionalProperties/type"),
        ({"properties": {"a": {"pattern": "(a+)+"}}}, "/properties/a: 'pattern' is no word"),
    ],
)
def test_a_refusal_says_where_and_what(value, what):
    assert what in refused(value)
    assert load_schema('{"additionalProperties": true}') == {"additionalProperties": True}


@given(ANY_JSON)
def test_any_json_is_a_schema_or_refused(value):
    text = json.dumps(value)
    try:
        schema = load_schema(text)
    except Invalid as error:
        refused_with = error.code
    else:
        assert schema == value
        assert 1 <= weigh(schema) <= len(text)
        return
    assert refused_with == "bad_schema"


def test_every_value_weighs_one():
    assert [weigh(value) for value in (1, "text", [], {}, [1, [2]], {"a": [1], "b": b"x"})] == [
        1,
        1,
        1,
        1,
        4,
        4,
    ]
