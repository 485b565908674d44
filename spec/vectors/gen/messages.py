"""messages.json: every message and ballot in full, without its optional fields, and with one mistake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from troth_protocol.close import ballots
from troth_protocol.wire.codec import encode
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import MESSAGES
from troth_protocol.wire.schema import Variant

from .common import NETWORK, Case, Json, cases, hexed, invalid, plain, valid

A, B, SIGNATURE = digest(b"a"), digest(b"b"), digest(b"a") + digest(b"b")
#: One full example of each message.
FULL: Final[Mapping[str, Mapping[str, Json]]] = {
    "hello": {
        "software": "troth 1",
        "network": NETWORK,
        "name": "alma",
        "documents": [["weather", A]],
        "epoch": 7,
    },
    "submit": {"entry": b"entry"},
    "vote": {"entry": A, "vote": b"vote"},
    "votes": {"entries": [A, B], "signature": SIGNATURE},
    "refuse": {"entry": A, "code": "missing", "detail": "an entry", "missing": [B], "conflict": b"entry"},
    "certified": {"certificate": b"certificate", "entry": b"entry"},
    "stored": {"epoch": 7, "entries": [A, B]},
    "want_log": {"author": A, "epoch": 7, "first": 1, "last": 9},
    "want_entries": {"epoch": 7, "entries": [A]},
    "entries": {"epoch": 7, "items": [[b"entry", b"certificate"]]},
    "want_feed": {"epoch": 7},
    "report": {"header": b"header", "signature": SIGNATURE, "body": b"body"},
    "want_report": {"epoch": 7, "report": A},
    "ballot": {"epoch": 7, "ballot": b"ballot"},
    "seal_vote": {"seal": b"seal", "signature": SIGNATURE},
    "seal": {"seal": b"seal", "committee": b"committee"},
    "want_seals": {"first": 1},
    "want_chunk": {"root": A, "index": 0},
    "chunk": {"root": A, "index": 1, "size": 2, "data": b"data", "branch": [B]},
    "want_snapshot": {"epoch": 7},
    "snapshot": {"epoch": 7, "root": A, "size": 3},
    "want_head": {"nonce": A},
    "head": {"nonce": A, "epoch": 7, "entry": b"entry"},
    "gone": {"what": "seals", "epoch": 7},
    "want_document": {"document": A},
    "document": {"id": A, "text": b"text"},
    "evidence": {"evidence": b"evidence"},
    "card": {"card": b"card", "signature": SIGNATURE},
    "announce": {"announcement": b"announcement", "signature": SIGNATURE},
    "want_cards": {"epoch": 7},
    "trade": {"body": b"body", "signature": SIGNATURE},
}
FULL_BALLOTS: Final[Mapping[str, Mapping[str, Json]]] = {
    "candidate": {"payload": b"payload", "signature": SIGNATURE},
    "vote": {"vote": "notarize", "payload": b"payload", "member": 63, "signature": SIGNATURE},
    "certificate": {"vote": "skip", "payload": b"payload", "signatures": [[0, SIGNATURE], [63, SIGNATURE]]},
    "want": {"slot": 3, "candidate": A},
}
#: catalogue -> (its tag, its records, an example of each).
CATALOGUES: Final = {
    "message": (MESSAGES, FULL),
    "ballot": (ballots.MESSAGES, FULL_BALLOTS),
}
#: (code, what, catalogue, message, fields): bounds passed by one, and words for numbers.
BOUNDS: Final[tuple[tuple[str, str, str, str, dict[str, Json]], ...]] = (
    ("bad_field", "33 documents", "message", "hello", {"documents": [["x", A]] * 33}),
    ("bad_field", "a document's name of 129 bytes", "message", "hello", {"documents": [["x" * 129, A]]}),
    ("bad_field", "a document without an id", "message", "hello", {"documents": [["x"]]}),
    ("bad_field", "a document of 32,769 bytes", "message", "document", {"text": bytes(32_769)}),
    ("bad_field", "a network id of 31 bytes", "message", "hello", {"network": bytes(31)}),
    ("bad_field", "a negative epoch", "message", "hello", {"epoch": -1}),
    ("bad_field", "a bool for an epoch", "message", "hello", {"epoch": True}),
    ("bad_field", "an entry of 135,169 bytes", "message", "submit", {"entry": bytes(135_169)}),
    ("bad_field", "a vote of 1,025 bytes", "message", "vote", {"vote": bytes(1_025)}),
    ("bad_field", "no entry", "message", "votes", {"entries": []}),
    ("bad_field", "257 entries", "message", "votes", {"entries": [A] * 257}),
    ("bad_field", "an id of 31 bytes", "message", "votes", {"entries": [A, bytes(31)]}),
    ("bad_field", "a signature of 65 bytes", "message", "votes", {"signature": bytes(65)}),
    ("bad_field", "a code of 33 bytes", "message", "refuse", {"code": "x" * 33}),
    ("bad_field", "513 missing entries", "message", "refuse", {"missing": [A] * 513}),
    ("bad_field", "4,097 acks", "message", "stored", {"entries": [A] * 4_097}),
    ("bad_field", "an entry without a certificate", "message", "entries", {"items": [[b"entry"]]}),
    ("bad_field", "a branch of 33 hashes", "message", "chunk", {"branch": [A] * 33}),
    ("bad_field", "a card of 8,193 bytes", "message", "card", {"card": bytes(8_193)}),
    ("bad_field", "an announcement of 513 bytes", "message", "announce", {"announcement": bytes(513)}),
    ("bad_field", "a signature of 63 bytes", "message", "trade", {"signature": bytes(63)}),
    ("bad_field", "text for a body", "message", "trade", {"body": "body"}),
    ("bad_field", "a kind of vote that does not exist", "ballot", "vote", {"vote": "abstain"}),
    ("bad_field", "place 64", "ballot", "vote", {"member": 64}),
    ("bad_field", "a payload of 257 bytes", "ballot", "vote", {"payload": bytes(257)}),
    ("bad_field", "no signatures", "ballot", "certificate", {"signatures": []}),
    ("bad_field", "65 signatures", "ballot", "certificate", {"signatures": [[0, SIGNATURE]] * 65}),
)


def _tagged(catalogue: str, name: str, fields: Mapping[str, Json]) -> dict[str, Json]:
    variant: Variant[Json] = CATALOGUES[catalogue][0]
    return {variant.tag: name, **fields}


def _good(catalogue: str, name: str, what: str, fields: Mapping[str, Json]) -> Case:
    value = _tagged(catalogue, name, fields)
    return valid(f"{catalogue} {name}{what}", check=catalogue, value=plain(value), bytes=encode(value).hex())


def _each(catalogue: str) -> Iterator[Case]:
    variant, examples = CATALOGUES[catalogue]
    for name, fields in examples.items():
        yield _good(catalogue, name, "", fields)
        needed = {key: item for key, item in fields.items() if not variant.records[name].fields[key].optional}
        if len(needed) < len(fields):
            yield _good(catalogue, name, " without what is optional", needed)


def _bad(code: str, what: str, catalogue: str, name: str, fields: Mapping[str, Json]) -> Case:
    data = encode(_tagged(catalogue, name, fields))
    return invalid(code, f"{catalogue} {name}, {what}", check=catalogue, bytes=hexed(data))


def _spoiled(catalogue: str) -> Iterator[Case]:
    """Each message with a field too many, without one that it needs, and with a list for its first field."""
    variant, examples = CATALOGUES[catalogue]
    for name, fields in examples.items():
        first, *_ = fields
        needed = next(key for key in fields if not variant.records[name].fields[key].optional)
        without = {key: item for key, item in fields.items() if key != needed}
        yield _bad("unknown_field", "a field too many", catalogue, name, {**fields, "zzz": 1})
        yield _bad("missing_field", f"without {needed}", catalogue, name, without)
        yield _bad("bad_field", f"a map for {first}", catalogue, name, {**fields, first: {}})


def _strange() -> list[Case]:
    hello = _tagged("message", "hello", FULL["hello"])
    rows = [
        ("unknown_kind", "a message that does not exist", encode({"type": "steal"})),
        ("unknown_kind", "a message without a type", encode({**FULL["submit"]})),
        ("unknown_kind", "a type that is a number", encode({**hello, "type": 1})),
        ("unknown_kind", "a list", encode([])),
        ("empty", "no bytes", b""),
        ("trailing", "two messages", encode(hello) * 2),
        ("truncated", "a byte short", encode(hello)[:-1]),
        ("too_large", "262,145 bytes", bytes(262_145)),
    ]
    return [invalid(code, what, check="message", bytes=hexed(data)) for code, what, data in rows]


def messages() -> Json:
    """The file messages.json."""
    bounds = [
        _bad(code, what, catalogue, name, {**CATALOGUES[catalogue][1][name], **fields})
        for code, what, catalogue, name, fields in BOUNDS
    ]
    return cases(
        "Messages and ballots (07): records with a tag, their fields and their bounds.",
        [*_each("message"), *_each("ballot")],
        [*_spoiled("message"), *_spoiled("ballot"), *bounds, *_strange()],
    )
