"""Whether a payload is what its signal document says: asked of the jsonschema library, within an agreed bound."""

from __future__ import annotations

from jsonschema import Draft202012Validator

from troth_protocol.errors import Invalid
from troth_protocol.market.document import Document, is_within_check
from troth_protocol.wire.codec import Value


def validate_payload(document: Document, payload: Value) -> None:
    """Invalid("bad_payload") says where a payload is not what the document's schema describes.

    A byte string has no type in JSON: it fits where the schema says nothing. Takes a second at the very most.
    """
    if not is_within_check(document, payload):
        raise Invalid("bad_payload", "too large to be checked against this schema")
    error = next(Draft202012Validator(document.schema).iter_errors(payload), None)
    if error is not None:
        raise Invalid("bad_payload", f"{error.json_path:.100}: {error.message:.200}")
