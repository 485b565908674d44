"""Evidence: signed statements that contradict each other or what they promise. Anybody can verify it from its bytes.

One format, one pure function, and one table, OFFENCES, with a row for each kind. The two statements stand in the order
of their bytes, so that everybody writes the same evidence of the same pair. Silence and omission are never evidence:
the network may have done it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Never, TypeAlias, cast

from troth_protocol.close.ballots import (
    CANDIDATE,
    FINALIZE,
    NOTARIZE,
    PAYLOAD_MAX_BYTES,
    SKIP,
    VOTE_MAX_BYTES,
    Signed,
    check_signature,
    read_slot,
)
from troth_protocol.close.seal import SEAL, verify_seal_vote
from troth_protocol.errors import Invalid
from troth_protocol.genesis import Rules
from troth_protocol.log.committee import Committee
from troth_protocol.log.entry import SIGNED_HEADER, Entry, Header, SignedHeader, header_id, load_header
from troth_protocol.log.ops import EVIDENCE_MAX_BYTES
from troth_protocol.log.vote import VOTE, Vote, is_vote_of
from troth_protocol.market.exchange import MISDELIVERED_FIELDS, Misdelivered, verify_misdelivery
from troth_protocol.wire.schema import HASH, KEY, SIGNATURE, Record, Variant, blob, nested

ENTRY_FORK: Final = "entry_fork"
VOTE_FORK: Final = "vote_fork"
PROPOSAL_FORK: Final = "proposal_fork"
NOTARIZE_FORK: Final = "notarize_fork"
FINALIZE_FORK: Final = "finalize_fork"
FINALIZE_SKIP: Final = "finalize_skip"
SEAL_FORK: Final = "seal_fork"
MISDELIVERY: Final = "misdelivery"

_SEAL_MAX_BYTES: Final = 1024


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


@dataclass(frozen=True, slots=True)
class VoteFork:
    """A witness voted for two different entries at one place; `set` is the digest of the epoch's witness set."""

    witness: bytes
    set: bytes
    first: SeenVote
    second: SeenVote


@dataclass(frozen=True, slots=True)
class SignedPayload:
    """What a witness signed in a close, as it travelled; the evidence's kind names the domain."""

    payload: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class CloseFork:
    """Two signatures of one witness in a close; the payloads name the epoch, and the slot."""

    witness: bytes
    first: SignedPayload
    second: SignedPayload


class ProposalFork(CloseFork):
    """A leader put forward two different candidates in one slot."""


class NotarizeFork(CloseFork):
    """A witness voted to notarize two different candidates in one slot."""


class FinalizeFork(CloseFork):
    """A witness voted to finalize two different candidates in one slot."""


class FinalizeSkip(CloseFork):
    """A witness voted to finalize a candidate (`first`) and to skip its slot (`second`)."""


class SealFork(CloseFork):
    """A witness signed two different seals of one epoch."""


Evidence: TypeAlias = EntryFork | VoteFork | CloseFork | Misdelivered


@dataclass(frozen=True, slots=True)
class Proof:
    """What evidence proves: the kind of offence, who did it, in which epoch and at which place (its parts by name).

    The place of a misdelivery is the exchange, and its epoch the last one in which it could be claimed.
    """

    kind: str
    offender: bytes
    epoch: int
    place: tuple[tuple[str, int | bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Offence:
    """One kind of offence: how its evidence travels, who judges it, what share of the bonds it costs."""

    record: Record[Evidence]
    judge: Callable[[Never, bytes], Proof]
    share_ppm: Callable[[Rules], int]
    is_freezing: bool = False


# Judges: each raises Invalid unless the statements convict the key that signed both.


def _judge_entry_fork(evidence: EntryFork, network: bytes) -> Proof:
    first, second = load_header(evidence.first, network), load_header(evidence.second, network)
    place = (first.author, first.incarnation, first.epoch, first.seq)
    if place != (second.author, second.incarnation, second.epoch, second.seq):
        raise Invalid("not_evidence", "entries at two places are no fork")
    _check_order(evidence.first.header, evidence.second.header)
    return Proof(
        ENTRY_FORK, first.author, first.epoch, (("incarnation", first.incarnation), ("seq", first.seq))
    )


def _judge_vote_fork(evidence: VoteFork, network: bytes) -> Proof:
    first, second = (_load_seen(seen, evidence, network) for seen in (evidence.first, evidence.second))
    if first.place() != second.place():
        raise Invalid("not_evidence", "votes at two places are no fork")
    _check_order(evidence.first.header.header, evidence.second.header.header)
    return Proof(VOTE_FORK, evidence.witness, first.epoch, (("author", first.author), ("seq", first.seq)))


def _load_seen(seen: SeenVote, evidence: VoteFork, network: bytes) -> Header:
    header = load_header(seen.header, network)
    entry = header_id(network, seen.header.header)
    if not is_vote_of(evidence.witness, seen.vote, entry, network, header.epoch, evidence.set):
        raise Invalid("bad_signature", "not a vote of the accused")
    return header


def _judge_slot(name: str, *kinds: str) -> Callable[[CloseFork, bytes], Proof]:
    """The judge of two signatures in one slot of an agreement, of these kinds and in this order."""

    def judge(evidence: CloseFork, network: bytes) -> Proof:
        pairs = list(zip(kinds, (evidence.first, evidence.second), strict=True))
        (epoch, digest, slot), other = (read_slot(kind, part.payload) for kind, part in pairs)
        if (epoch, digest, slot) != other:
            raise Invalid("not_evidence", "statements of two slots do not exclude each other")
        if kinds[0] == kinds[1]:
            _check_order(evidence.first.payload, evidence.second.payload)
        for kind, part in pairs:
            check_signature(network, evidence.witness, Signed(kind, part.payload, part.signature))
        return Proof(name, evidence.witness, epoch, (("slot", slot),))

    return judge


def _judge_seal_fork(evidence: SealFork, network: bytes) -> Proof:
    parts = (evidence.first, evidence.second)
    seals = [SEAL.decode(part.payload) for part in parts]
    if any(seal.network != network for seal in seals):
        raise Invalid("wrong_network", "seals of another network")
    if seals[0].epoch != seals[1].epoch:
        raise Invalid("not_evidence", "seals of two epochs")
    _check_order(evidence.first.payload, evidence.second.payload)
    for part in parts:
        verify_seal_vote(evidence.witness, network, part.payload, part.signature)
    return Proof(SEAL_FORK, evidence.witness, seals[0].epoch)


def _judge_misdelivery(evidence: Misdelivered, network: bytes) -> Proof:
    terms = verify_misdelivery(evidence, network)
    place = (("buyer", terms.buyer), ("hash", terms.hash))
    return Proof(MISDELIVERY, terms.seller, terms.until, place)


def _check_order(first: bytes, second: bytes) -> None:
    if first == second:
        raise Invalid("not_evidence", "one statement twice")
    if first > second:
        raise Invalid("bad_order", "the statements stand in the order of their bytes")


# The table


def _of_author(rules: Rules) -> int:
    return rules.slash_author_ppm


def _of_witness(rules: Rules) -> int:
    return rules.slash_witness_ppm


def _signed(name: str, limit: int) -> Record[SignedPayload]:
    return Record(name, SignedPayload, {"payload": blob(limit), "signature": SIGNATURE})


def _fork(name: str, make: type[CloseFork], part: Record[SignedPayload]) -> Record[Evidence]:
    return Record(name, make, {"witness": KEY, "first": nested(part), "second": nested(part)})


SIGNED_CANDIDATE = _signed("signed_candidate", PAYLOAD_MAX_BYTES)
SIGNED_BALLOT = _signed("signed_ballot", VOTE_MAX_BYTES)
SEAL_SIGNATURE = _signed("seal_signature", _SEAL_MAX_BYTES)
SEEN_VOTE = Record("seen_vote", SeenVote, {"header": nested(SIGNED_HEADER), "vote": nested(VOTE)})
_SEEN, _HEADER = nested(SEEN_VOTE), nested(SIGNED_HEADER)

#: Every kind of offence. A new one is a class, its judge, and a row here.
OFFENCES: Final[Mapping[type[Evidence], Offence]] = {
    EntryFork: Offence(
        Record(ENTRY_FORK, EntryFork, {"first": _HEADER, "second": _HEADER}),
        _judge_entry_fork,
        _of_author,
        is_freezing=True,
    ),
    VoteFork: Offence(
        Record(VOTE_FORK, VoteFork, {"witness": KEY, "set": HASH, "first": _SEEN, "second": _SEEN}),
        _judge_vote_fork,
        _of_witness,
    ),
    ProposalFork: Offence(
        _fork(PROPOSAL_FORK, ProposalFork, SIGNED_CANDIDATE),
        _judge_slot(PROPOSAL_FORK, CANDIDATE, CANDIDATE),
        _of_witness,
    ),
    NotarizeFork: Offence(
        _fork(NOTARIZE_FORK, NotarizeFork, SIGNED_BALLOT),
        _judge_slot(NOTARIZE_FORK, NOTARIZE, NOTARIZE),
        _of_witness,
    ),
    FinalizeFork: Offence(
        _fork(FINALIZE_FORK, FinalizeFork, SIGNED_BALLOT),
        _judge_slot(FINALIZE_FORK, FINALIZE, FINALIZE),
        _of_witness,
    ),
    FinalizeSkip: Offence(
        _fork(FINALIZE_SKIP, FinalizeSkip, SIGNED_BALLOT),
        _judge_slot(FINALIZE_SKIP, FINALIZE, SKIP),
        _of_witness,
    ),
    SealFork: Offence(_fork(SEAL_FORK, SealFork, SEAL_SIGNATURE), _judge_seal_fork, _of_witness),
    Misdelivered: Offence(
        Record(MISDELIVERY, Misdelivered, MISDELIVERED_FIELDS), _judge_misdelivery, _of_author
    ),
}
#: The same by the name that travels.
BY_NAME: Final[Mapping[str, Offence]] = {row.record.name: row for row in OFFENCES.values()}
EVIDENCE: Variant[Evidence] = Variant("kind", {make: row.record for make, row in OFFENCES.items()})


def verify_evidence(data: bytes, network: bytes) -> Proof:
    """Decode evidence and check that it proves an offence: a pure function of these bytes.

    Raises Invalid: too_large, not_evidence (the statements contradict nothing), bad_order, bad_signature (a branch
    that leads elsewhere included), bad_digest, bad_terms, wrong_network, and what the schema says.
    """
    if len(data) > EVIDENCE_MAX_BYTES:
        raise Invalid("too_large", f"evidence of {len(data)} bytes")
    evidence = EVIDENCE.decode(data)
    judge = cast("Callable[[Evidence, bytes], Proof]", OFFENCES[type(evidence)].judge)
    return judge(evidence, network)


# Making it


def misdelivery(terms: bytes, signature: bytes, ciphertext: bytes, key: bytes) -> bytes:
    """Evidence bytes of a misdelivery."""
    return EVIDENCE.encode(Misdelivered(terms, signature, ciphertext, key))


def entry_fork(first: SignedHeader, second: SignedHeader) -> bytes:
    """Evidence bytes of a fork."""
    return EVIDENCE.encode(EntryFork(*sorted((first, second), key=lambda half: half.header)))


def ballot_fork(witness: bytes, first: Signed, second: Signed) -> bytes:
    """Evidence bytes of two statements in one slot that exclude each other (`EXCLUDES` in ballots.py)."""
    low, high = sorted((first, second), key=lambda signed: (signed.kind, signed.payload))
    make = _OF_BALLOTS[low.kind, high.kind]
    return EVIDENCE.encode(make(witness, *(SignedPayload(s.payload, s.signature) for s in (low, high))))


_OF_BALLOTS: Final[Mapping[tuple[str, str], type[CloseFork]]] = {
    (CANDIDATE, CANDIDATE): ProposalFork,
    (NOTARIZE, NOTARIZE): NotarizeFork,
    (FINALIZE, FINALIZE): FinalizeFork,
    (FINALIZE, SKIP): FinalizeSkip,
}


def seal_fork(witness: bytes, first: SignedPayload, second: SignedPayload) -> bytes:
    """Evidence bytes of two seals of one epoch."""
    return EVIDENCE.encode(SealFork(witness, *sorted((first, second), key=lambda part: part.payload)))


def vote_forks(
    committee: Committee, known: tuple[Entry, Sequence[Vote]], shown: tuple[Entry, Sequence[Vote]]
) -> list[bytes]:
    """Evidence against every member that voted for both of two entries at one place.

    The entries and the votes of `known` were verified. Those of `shown` need not hold: whoever shows them may have
    made them up. All evidence returned convicts.
    """
    entry, network, votes = shown[0], shown[0].header.network, {vote.member: vote for vote in known[1]}
    found: dict[int, bytes] = {}
    for vote in shown[1]:
        if vote.member not in votes or vote.member in found:
            continue
        witness = committee.members[vote.member].key
        if is_vote_of(witness, vote, entry.id, network, entry.header.epoch, committee.digest):
            halves = [SeenVote(known[0].signed, votes[vote.member]), SeenVote(entry.signed, vote)]
            halves.sort(key=lambda half: half.header.header)
            found[vote.member] = EVIDENCE.encode(VoteFork(witness, committee.digest, *halves))
    return list(found.values())
