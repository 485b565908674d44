"""Signal documents: what is written is read, a spoilt text is refused in one word, and the id is a plain SHA-256."""

import hashlib
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.market.document import (
    CHECK_MAX,
    FIELDS_MAX,
    compose_document,
    document_id,
    is_within_check,
    parse_document,
)
from troth_protocol.wire.messages import TEXT_MAX_BYTES

FIELDS = {"name": "flights/weather", "version": "3", "description": "Weather.", "multiround": "false"}
SCHEMA = {"type": "object", "properties": {"temp": {"type": "integer"}}}
TEXT = compose_document(FIELDS, "Thousandths of a °F.", SCHEMA).text

#: Text that may stand in a front matter once it is quoted.
VALUES = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="\ufeff\ufffe\uffff-"),
    min_size=1,
    max_size=40,
)


def code(text):
    with pytest.raises(Invalid) as refused:
        parse_document(text if isinstance(text, bytes) else text.encode())
    return refused.value.code


def test_a_document_says_what_its_front_matter_says():
    document = parse_document(TEXT.encode())
    assert (document.name, document.version, document.description) == ("flights/weather", 3, "Weather.")
    assert document.schema == SCHEMA
    assert document.text == TEXT
    assert document.id == hashlib.sha256(TEXT.encode()).digest() == document_id(TEXT.encode())
    with pytest.raises(FrozenInstanceError):
        document.weight = 0
    with pytest.raises(TypeError):
        document.fields["name"] = "lies"


@given(name=VALUES, description=VALUES, more=VALUES)
def test_whatever_is_written_is_read(name, description, more):
    fields = {**FIELDS, "name": name, "description": description, "more": more}
    document = compose_document(fields, "Prose.", SCHEMA)
    assert dict(document.fields) == fields
    assert parse_document(document.data) == document


@given(st.integers(0, len(TEXT.encode()) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_a_spoilt_text_is_refused_or_another_document(at, put, cut):
    data = TEXT.encode()
    spoilt = data[:at] + put + data[at + cut :]
    try:
        document = parse_document(spoilt)
    except Invalid:
        return
    assert (document.id == document_id(data)) == (spoilt == data)


@given(st.binary(max_size=300))
def test_bytes_lead_to_nothing_but_invalid(data):
    with pytest.raises(Invalid):
        parse_document(data)


@given(st.text(max_size=300))
def test_text_between_the_marks_leads_to_nothing_but_invalid(text):
    try:
        parse_document(f"---\n{text}\n---\n{text}\n```json schema\n{text}\n```".encode(errors="replace"))
    except Invalid:
        return


@pytest.mark.parametrize("value", ["yes", "NULL", "7up", "a: b", "a #1", "a:", '"so"', "- x", "[x]", "~"])
def test_what_yaml_would_misread_is_quoted(value):
    document = compose_document({**FIELDS, "name": value}, "Prose.", {})
    assert document.name == value
    assert '\nname: "' in document.text


def test_what_cannot_stand_in_a_front_matter_is_taken_out():
    document = compose_document({**FIELDS, "description": " two\nlines --- and  a rule\t"}, "Prose.", {})
    assert document.description == "two lines – and a rule"


def test_a_lone_surrogate_becomes_a_question_mark():
    assert compose_document(FIELDS, "Half \ud83c a letter.", {}).text.count("Half ? a letter.") == 1


@pytest.mark.parametrize("key", FIELDS)
def test_what_every_document_has(key):
    lines = [line for line in TEXT.split("\n") if not line.startswith(f"{key}:")]
    assert code("\n".join(lines)) == "missing_field"


@pytest.mark.parametrize(
    ("was", "becomes", "refused"),
    [
        ("---\n", "", "bad_document"),
        ("false\n---", "false\n--", "bad_document"),
        ("version: 3", "version: 3.0", "bad_document"),
        ("version: 3", 'version: "3"', "bad_document"),
        ("multiround: false", "multiround: maybe", "bad_document"),
        ("multiround: false", 'multiround: "true"', "bad_document"),
        ("description: Weather.", "description: Weather.\r", "bad_document"),
        ("description: Weather.", f"description: {'x' * 513}", "bad_document"),
        ("name: flights/weather", f"name: {'x' * 129}", "bad_document"),
        ("name: flights/weather", "name: x\nname: x", "duplicate_key"),
        ("```json schema", "```json", "bad_document"),
        ("```json schema", "```json schema\n{}\n```\n```json schema", "bad_document"),
        ("```\n", "", "bad_document"),
        ("Thousandths of a °F.", " \t", "bad_document"),
        ("Thousandths", "\x7f", "bad_document"),
        ("Thousandths", "\u2028", "bad_document"),
        ('"integer"', '"number"', "bad_schema"),
    ],
)
def test_each_defect_has_its_word(was, becomes, refused):
    assert was in TEXT
    assert code(TEXT.replace(was, becomes)) == refused


def test_bounds_of_size():
    room = TEXT_MAX_BYTES - len(TEXT.encode())
    assert len(parse_document((TEXT + "x" * room).encode()).data) == TEXT_MAX_BYTES
    assert code(TEXT + "x" * (room + 1)) == "too_large"
    assert code(TEXT.encode() + b"\xff") == "utf8"


def test_bounds_of_the_front_matter():
    more = {f"x{number}": "1" for number in range(FIELDS_MAX - len(FIELDS))}
    assert compose_document({**FIELDS, **more}, "Prose.", {}).fields["x0"] == "1"
    with pytest.raises(Invalid, match="more than 16 lines"):
        compose_document({**FIELDS, **more, "last": "1"}, "Prose.", {})


def test_a_payload_may_be_as_large_as_can_be_checked():
    document = compose_document(FIELDS, "Prose.", {"items": {"type": "integer"}})
    assert document.weight == 3
    most = CHECK_MAX // 3 - 1
    assert is_within_check(document, [0] * most)
    assert not is_within_check(document, [0] * (most + 1))
    assert not is_within_check(document, {"a": [[0] * (most - 1)]})
