"""One exception type for everything the protocol refuses: what it was, in one word, and what to say about it."""

from __future__ import annotations


class TrothError(Exception):
    """Base of every error that this library raises on purpose."""


class Invalid(TrothError):
    """Refused bytes or values.

    `code` is a row of the errors table in spec/registry.toml (snake_case); `detail` is for people.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class FaultBoundBroken(TrothError):
    """Two certificates exist at one place: more than a third of the weight is faulty. Stop and report."""
