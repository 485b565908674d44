"""Rows that outlive the process: how certified entries, votes and own entries are keyed and packed on disk."""

from __future__ import annotations

from collections.abc import Collection

from troth_protocol.effects import Effects
from troth_protocol.errors import Invalid
from troth_protocol.log.book import LogBook
from troth_protocol.log.entry import Entry, load_entry
from troth_protocol.log.vote import VOTE, Certificate, Vote, load_certificate
from troth_protocol.wire.codec import decode, pack


def epoch_key(epoch: int) -> bytes:
    """Epochs as keys: 8 bytes, big-endian, so that they sort."""
    return epoch.to_bytes(8, "big")


def place_key(epoch: int, author: bytes, seq: int) -> bytes:
    """The place of an entry as a key."""
    return epoch_key(epoch) + author + seq.to_bytes(8, "big")


def pack_stored(entry: Entry, certificate: Certificate) -> bytes:
    """A certified entry as one row."""
    return pack([entry.data, certificate.data])


def unpack_stored(data: bytes, network: bytes) -> tuple[Entry, Certificate]:
    """Read a certified entry back, its signature checked; Invalid on damage."""
    match decode(data):
        case [bytes(entry), bytes(certificate)]:
            return load_entry(entry, network), load_certificate(certificate)
        case _:
            raise Invalid("bad_row", "expected [entry, certificate]")


def pack_vote(entry: Entry, vote: bytes) -> bytes:
    """A vote's bytes with its entry as one row."""
    return pack([entry.data, vote])


def unpack_vote(data: bytes, network: bytes) -> tuple[Entry, Vote]:
    """Read a vote back; Invalid on damage."""
    match decode(data):
        case [bytes(entry), bytes(vote)]:
            return load_entry(entry, network), VOTE.decode(vote)
        case _:
            raise Invalid("bad_row", "expected [entry, vote]")


def keep(
    book: LogBook,
    out: Effects,
    entry: Entry,
    certificate: Certificate,
    *,
    known: Collection[Vote] = (),
    lazy: bool = False,
) -> bool:
    """Store a certified entry in the book and on disk; False if it was there. Raises what LogBook.add raises.

    Votes that are `known` to be valid are not verified again. It may be `lazy` where no store-ack says that it is
    there.
    """
    if not book.add(entry, certificate, known):
        return False
    key = place_key(entry.header.epoch, entry.header.author, entry.header.seq)
    out.persist("entries", key, pack_stored(entry, certificate), lazy=lazy)
    return True
