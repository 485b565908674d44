"""The bridge to Agora: two names of one text, and there and back without losing a byte."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.market.agora import agora_names, export_document, import_document
from troth_protocol.market.document import compose_document, parse_document

FIELDS = {"name": "flights/weather", "version": "1", "description": "Weather.", "multiround": "false"}
OWN = compose_document(FIELDS, "Thousandths of a °F.", {"type": "object"})
AGORA = b"""---
name: Weather Protocol
description: "Ask for a place: get its sky."
multiround: true
---
The sender names a place, the receiver answers with a word.
"""
BODY = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl"], exclude_characters="\ufeff\ufffe\uffff"))


def code(data, schema=None):
    with pytest.raises(Invalid) as refused:
        import_document(data, schema)
    return refused.value.code


def test_both_names_are_of_one_digest():
    names = agora_names(AGORA)
    sha1 = hashlib.sha1(AGORA, usedforsecurity=False).digest()
    assert names.sha1_hex == sha1.hex()
    assert base64.b64decode(names.sha1_base64) == sha1
    assert (len(names.sha1_hex), len(names.sha1_base64)) == (40, 28)


def test_a_signal_document_is_an_agora_document_as_it_stands():
    assert export_document(OWN) == OWN.data
    assert import_document(export_document(OWN)) == OWN


def test_an_agora_document_comes_back_to_its_last_byte():
    made = import_document(AGORA)
    assert (made.name, made.description) == ("Weather Protocol", "Ask for a place: get its sky.")
    assert (made.fields["multiround"], made.fields["agora"]) == ("true", agora_names(AGORA).sha1_hex)
    assert made.schema == {}
    assert export_document(made) == AGORA
    assert import_document(export_document(made)) == made


def test_the_importer_may_say_what_a_payload_is():
    assert import_document(AGORA, '{"type": "string"}').schema == {"type": "string"}
    assert code(AGORA, "{") == "bad_schema"
    assert code(OWN.data, "{}") == "bad_document"


def test_an_original_that_is_not_what_the_front_matter_names_is_not_exported():
    made = import_document(AGORA)
    forged = parse_document(made.data.replace(b"names a place", b"pays a price"))
    assert export_document(forged) == forged.data
    without = parse_document(made.data.replace(b"## Agora", b"## Other"))
    assert export_document(without) == without.data


@given(BODY)
def test_any_body_survives(body):
    original = f"---\nname: Any\n---\n{body}".encode()
    assert export_document(import_document(original)) == original


@pytest.mark.parametrize(
    ("metadata", "name", "description", "multiround"),
    [
        ("name: Plain\ndescription: It is.\nmultiround: false", "Plain", "It is.", "false"),
        ("name: 'It''s'\ndescription: \"said \\\"so\\\"\"\nmultiround: True", "It's", 'said "so"', "true"),
        ("description: >-\n  two\n  lines\nname:\n  below", "below", "two lines", "false"),
        ("# only a comment\n\nname: x # and another", "x", "No description provided", "false"),
        ("tags: [a, b]\nmultiround: yes", "Unnamed protocol", "No description provided", "true"),
        ('name: "\ndescription: |', '"', "No description provided", "false"),
        (f"name: {'é' * 100}\ndescription: {'x' * 600}", "é" * 64, "x" * 512, "false"),
    ],
)
@pytest.mark.parametrize("begin", ["", "---\n", "---\r\n"])
def test_metadata_is_read_as_far_as_it_is_simple(begin, metadata, name, description, multiround):
    lines = "\r\n" if "\r" in begin else "\n"
    original = f"{begin}{metadata.replace(chr(10), lines)}{lines}---{lines}Text.".encode()
    made = import_document(original)
    assert (made.name, made.description, made.fields["multiround"]) == (name, description, multiround)
    assert export_document(made) == original


@pytest.mark.parametrize(
    ("data", "refused"),
    [
        (b"", "bad_document"),
        (b"Just text.", "bad_document"),
        (b"---\nname: x\n", "bad_document"),
        (b"- a\n- list\n---\n", "bad_document"),
        (b"  indented first\n---\n", "bad_document"),
        (b"name: x\n---\n\x00", "bad_document"),
        (b"name: x\n---\n\xff", "utf8"),
        (b"name: x\n---\n" + b"x" * 32_700, "too_large"),
    ],
)
def test_what_cannot_be_imported(data, refused):
    assert code(data) == refused
