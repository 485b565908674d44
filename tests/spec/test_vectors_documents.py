"""The vectors of signal documents, read from their JSON alone: ids, fields, payloads, and both names in Agora."""

from __future__ import annotations

import base64
import hashlib

from vector_kit import cases, judge, read, unhex, value

from troth_node.payload import validate_payload
from troth_protocol.market.agora import agora_names, export_document, import_document
from troth_protocol.market.document import parse_document
from troth_protocol.market.schema import WORDS


def data_of(case):
    return unhex(case["bytes"]) if "bytes" in case else case["text"].encode()


def check_document(case):
    data = data_of(case)
    found = parse_document(data)
    assert found.id.hex() == hashlib.sha256(data).hexdigest() == case["id"]
    assert dict(found.fields) == case["fields"]
    assert (found.schema, found.weight) == (case["schema"], case["weight"])
    sha1 = hashlib.sha1(data, usedforsecurity=False).digest()
    names = agora_names(data)
    assert names.sha1_hex == sha1.hex() == case["agora_sha1_hex"]
    assert names.sha1_base64 == base64.b64encode(sha1).decode() == case["agora_sha1_base64"]


def check_payload(case):
    validate_payload(parse_document(case["text"].encode()), value(case["payload"]))


def check_import(case):
    document = import_document(case["original"].encode(), case.get("schema"))
    assert (document.text, document.id.hex()) == (case["text"], case["id"])
    assert export_document(document) == case["original"].encode()


@cases("documents.json")
def test_documents(name, case):
    judge({"document": check_document, "payload": check_payload, "import": check_import}, case)


def test_every_word_of_a_schema_is_used():
    schemas = [case["schema"] for case in read("documents.json")["valid"] if "schema" in case]
    used = {word for schema in schemas if isinstance(schema, dict) for word in words_of(schema)}
    assert used == set(WORDS)


def words_of(schema):
    nested = [
        *schema.get("properties", {}).values(),
        *(schema[word] for word in ("items", "additionalProperties") if isinstance(schema.get(word), dict)),
    ]
    return set(schema).union(*map(words_of, nested))
