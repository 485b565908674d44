"""Evidence: signed statements that contradict each other or what they promise. Anybody can verify it from its bytes.

One format, one pure function. Silence and omission are never evidence: the network may have done it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

from troth_protocol.errors import Invalid
from troth_protocol.log.book import LogBook
from troth_protocol.log.entry import SIGNED_HEADER, Entry, Header, SignedHeader, header_id, load_header
from troth_protocol.log.ops import EVIDENCE_MAX_BYTES
from troth_protocol.log.vote import VOTE, Certificate, Vote, is_vote_of, verify_vote
from troth_protocol.market.exchange import (
    MISDELIVERED_FIELDS,
    ExchangeTerms,
    Misdelivered,
    verify_misdelivery,
)
from troth_protocol.wire.schema import HASH, KEY, Record, Variant, nested

ENTRY_FORK = "entry_fork"
VOTE_FORK = "vote_fork"
MISDELIVERY = "misdelivery"


@dataclass(frozen=True, slots=True)
class EntryFork:
    """An author signed two different entries at one place of its log."""

    first: SignedHeader
    second: SignedHeader


@dataclass(frozen=True, slots=True)
class SeenVote:
    """An entry's signed header with one witness's vote for it."""

    header: SignedHeader
    vote: Vote


SEEN_VOTE = Record("seen_vote", SeenVote, {"header": nested(SIGNED_HEADER), "vote": nested(VOTE)})


@dataclass(frozen=True, slots=True)
class VoteFork:
    """A witness voted for two different entries at one place; `set` is the digest of the epoch's witness set."""

    witness: bytes
    set: bytes
    first: SeenVote
    second: SeenVote


Evidence: TypeAlias = EntryFork | VoteFork | Misdelivered

_SEEN = nested(SEEN_VOTE)
EVIDENCE: Variant[Evidence] = Variant(
    "kind",
    {
        EntryFork: Record(
            ENTRY_FORK, EntryFork, {"first": nested(SIGNED_HEADER), "second": nested(SIGNED_HEADER)}
        ),
        VoteFork: Record(VOTE_FORK, VoteFork, {"witness": KEY, "set": HASH, "first": _SEEN, "second": _SEEN}),
        Misdelivered: Record(MISDELIVERY, Misdelivered, MISDELIVERED_FIELDS),
    },
)


@dataclass(frozen=True, slots=True)
class Proof:
    """What evidence proves: the kind of offence, who did it, and in which epoch.

    A misdelivery is about its `terms`; its epoch is the last one in which they could be claimed.
    """

    kind: str
    offender: bytes
    epoch: int
    terms: ExchangeTerms | None = None


def verify_evidence(data: bytes, network: bytes) -> Proof:
    """Decode evidence and check that it proves an offence.

    Raises Invalid: too_large, not_evidence (the statements contradict nothing), bad_signature, bad_branch,
    bad_digest, bad_terms, wrong_network, and what the schema says.
    """
    if len(data) > EVIDENCE_MAX_BYTES:
        raise Invalid("too_large", f"evidence of {len(data)} bytes")
    evidence = EVIDENCE.decode(data)
    return _VERIFY[type(evidence)](evidence, network)


def _verify_entry_fork(evidence: EntryFork, network: bytes) -> Proof:
    first, second = load_header(evidence.first, network), load_header(evidence.second, network)
    same_place = (first.author, first.incarnation, first.epoch, first.seq) == (
        second.author,
        second.incarnation,
        second.epoch,
        second.seq,
    )
    if not same_place or evidence.first.header == evidence.second.header:
        raise Invalid("not_evidence", "two different entries at one place are a fork, these are not")
    return Proof(ENTRY_FORK, first.author, first.epoch)


def _verify_vote_fork(evidence: VoteFork, network: bytes) -> Proof:
    first = _verify_seen(evidence.first, evidence, network)
    second = _verify_seen(evidence.second, evidence, network)
    if first.place() != second.place() or evidence.first.header.header == evidence.second.header.header:
        raise Invalid(
            "not_evidence", "two votes for different entries at one place are a fork, these are not"
        )
    return Proof(VOTE_FORK, evidence.witness, first.epoch)


def _verify_seen(seen: SeenVote, evidence: VoteFork, network: bytes) -> Header:
    header = load_header(seen.header, network)
    entry = header_id(network, seen.header.header)
    if not is_vote_of(evidence.witness, seen.vote, entry, network, header.epoch, evidence.set):
        raise Invalid("bad_signature", "not a vote of the accused")
    return header


def _verify_misdelivery(evidence: Misdelivered, network: bytes) -> Proof:
    terms = verify_misdelivery(evidence, network)
    return Proof(MISDELIVERY, terms.seller, terms.until, terms)


_VERIFY: Mapping[type[Evidence], Callable[[Evidence, bytes], Proof]] = cast(
    "Mapping[type[Evidence], Callable[[Evidence, bytes], Proof]]",
    {EntryFork: _verify_entry_fork, VoteFork: _verify_vote_fork, Misdelivered: _verify_misdelivery},
)


def misdelivery(terms: bytes, signature: bytes, ciphertext: bytes, key: bytes) -> bytes:
    """Evidence bytes of a misdelivery."""
    return EVIDENCE.encode(Misdelivered(terms, signature, ciphertext, key))


def entry_fork(first: SignedHeader, second: SignedHeader) -> bytes:
    """Evidence bytes of a fork; the two halves in a fixed order, so that everybody writes the same evidence."""
    halves = sorted((first, second), key=lambda half: (half.header, half.signature))
    return EVIDENCE.encode(EntryFork(*halves))


def vote_forks(book: LogBook, entry: Entry, certificate: Certificate) -> list[bytes]:
    """Evidence against every witness whose vote for this entry contradicts its vote for the one stored at its place.

    The certificate need not hold: whoever shows it may have made it up. Each vote is verified here, so that every
    piece of evidence returned convicts.
    """
    key = book.places.get((entry.header.author, entry.header.seq))
    is_of_book = certificate.entry == entry.id and certificate.epoch == entry.header.epoch == book.epoch
    if key is None or key == entry.id or not is_of_book:
        return []
    stored = book.stored[key]
    known = {vote.member: vote for vote in stored.certificate.votes}
    found: dict[int, bytes] = {}
    for vote in certificate.votes:
        if vote.member in known and vote.member not in found and _is_valid(vote, entry.id, book):
            witness = book.committee.members[vote.member].key
            seen = (SeenVote(stored.entry.signed, known[vote.member]), SeenVote(entry.signed, vote))
            found[vote.member] = EVIDENCE.encode(VoteFork(witness, book.committee.digest, *seen))
    return list(found.values())


def _is_valid(vote: Vote, entry: bytes, book: LogBook) -> bool:
    try:
        verify_vote(vote, entry, book.network, book.epoch, book.committee)
    except Invalid:
        return False
    return True
