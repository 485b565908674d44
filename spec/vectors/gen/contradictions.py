"""The part of evidence.json that is about closes: what convicts a witness there, and what looks like it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from troth_protocol.close.ballots import (
    CANDIDATE,
    DOMAINS,
    FINALIZE,
    NOTARIZE,
    SKIP,
    VALUE_MAX_BYTES,
    Instance,
    Signed,
    Statement,
    propose,
)
from troth_protocol.close.seal import SEAL, Seal, sign_seal
from troth_protocol.evidence import (
    EVIDENCE,
    CloseFork,
    FinalizeFork,
    FinalizeSkip,
    NotarizeFork,
    ProposalFork,
    SealFork,
    SignedPayload,
    ballot_fork,
    seal_fork,
)
from troth_protocol.wire.crypto import digest, preimage

from .common import NETWORK, OTHER_NETWORK, Json, changed, flipped, keys
from .votes import EPOCH, SET, committee

AT: Final = Instance(NETWORK, EPOCH, SET)
SLOT: Final = 4
ONE, TWO, THREE = digest(b"one"), digest(b"two"), digest(b"three")
WITNESS: Final = keys("dora").public
#: kind -> the kinds of its two ballots.
BALLOTS: Final = {
    ProposalFork: (CANDIDATE, CANDIDATE),
    NotarizeFork: (NOTARIZE, NOTARIZE),
    FinalizeFork: (FINALIZE, FINALIZE),
    FinalizeSkip: (FINALIZE, SKIP),
}
Row = tuple[str, str, bytes]


def said(kind: str, what: bytes, slot: int = SLOT, *, signer: str = "dora", at: Instance = AT) -> Signed:
    """One statement in a slot, signed: a candidate with that value, or a vote for that candidate."""
    vote = Statement(kind, slot, b"" if kind == SKIP else what)
    payload = propose(at, slot, what, None) if kind == CANDIDATE else vote.payload(at)
    return Signed(kind, payload, keys(signer).sign(preimage(DOMAINS[kind], at.network, payload)))


def _pair(make: type[CloseFork]) -> tuple[Signed, Signed]:
    first, second = BALLOTS[make]
    return said(first, ONE), said(second, TWO)


def _seal(
    state: bytes, *, epoch: int = EPOCH, network: bytes = NETWORK, signer: str = "dora"
) -> SignedPayload:
    payload = SEAL.encode(Seal(network, epoch, ONE, state, ONE, ONE, ONE, ONE, 1))
    return SignedPayload(payload, sign_seal(keys(signer), network, payload))


def _raw(make: type[CloseFork], first: Signed | SignedPayload, second: Signed | SignedPayload) -> bytes:
    parts = (SignedPayload(part.payload, part.signature) for part in (first, second))
    return EVIDENCE.encode(make(WITNESS, *parts))


def convicting() -> list[tuple[str, bytes, str, dict[str, Json]]]:
    """(name, evidence, kind, place): every kind, and the largest."""
    at = {"slot": SLOT}
    large = [said(CANDIDATE, letter * VALUE_MAX_BYTES) for letter in (b"a", b"b")]
    return [
        ("two candidates in one slot", ballot_fork(WITNESS, *_pair(ProposalFork)), "proposal_fork", at),
        ("two candidates of the largest values", ballot_fork(WITNESS, *large), "proposal_fork", at),
        ("two notarize votes in one slot", ballot_fork(WITNESS, *_pair(NotarizeFork)), "notarize_fork", at),
        ("two finalize votes in one slot", ballot_fork(WITNESS, *_pair(FinalizeFork)), "finalize_fork", at),
        ("finalize and skip in one slot", ballot_fork(WITNESS, *_pair(FinalizeSkip)), "finalize_skip", at),
        ("two seals of one epoch", seal_fork(WITNESS, _seal(ONE), _seal(TWO)), "seal_fork", {}),
    ]


def refusals() -> list[Row]:
    """(code, what, evidence): pairs that convict nobody."""
    rows = [row for make in BALLOTS for row in _of_slot(make)]
    return [*rows, *_of_seals(), *_of_kinds()]


def _of_slot(make: type[CloseFork]) -> list[Row]:
    """What is wrong in the same ways whatever two ballots it is about."""
    first, second = sorted(_pair(make), key=lambda part: (part.kind, part.payload))
    name = EVIDENCE.name_of(make(WITNESS, _part(first), _part(second)))
    later, other_set = replace(AT, epoch=EPOCH + 1), replace(AT, committee=committee([1, 1, 1, 1]))
    kind, there = second.kind, replace(AT, network=OTHER_NETWORK)
    foreign = [
        said(part.kind, what, at=there) for part, what in zip((first, second), (ONE, TWO), strict=True)
    ]
    rows = [
        ("not_evidence", "in two slots", ballot_fork(WITNESS, first, said(kind, THREE, SLOT + 1))),
        ("not_evidence", "in two epochs", ballot_fork(WITNESS, first, said(kind, THREE, at=later))),
        ("not_evidence", "in two witness sets", ballot_fork(WITNESS, first, said(kind, THREE, at=other_set))),
        ("bad_signature", "of two witnesses", ballot_fork(WITNESS, first, said(kind, THREE, signer="emil"))),
        ("bad_signature", "of somebody else", ballot_fork(keys("emil").public, first, second)),
        ("bad_signature", "with a changed signature", ballot_fork(WITNESS, first, _spoiled(second))),
        ("bad_signature", "of another network", ballot_fork(WITNESS, *foreign)),
    ]
    if make is not FinalizeSkip:
        rows += [
            ("bad_order", "in the other order", _raw(make, second, first)),
            ("not_evidence", "the same twice", _raw(make, first, first)),
        ]
    return [(code, f"{name}: {what}", data) for code, what, data in rows]


def _of_seals() -> list[Row]:
    first, second = sorted((_seal(ONE), _seal(TWO)), key=lambda part: part.payload)
    foreign = [_seal(state, network=OTHER_NETWORK) for state in (ONE, TWO)]
    spoiled = replace(second, signature=flipped(second.signature, 0))
    rows = [
        ("not_evidence", "of two epochs", seal_fork(WITNESS, first, _seal(THREE, epoch=EPOCH + 1))),
        ("not_evidence", "the same twice", _raw(SealFork, first, first)),
        ("bad_order", "in the other order", _raw(SealFork, second, first)),
        ("wrong_network", "of another network", seal_fork(WITNESS, *foreign)),
        ("bad_signature", "of two witnesses", seal_fork(WITNESS, first, _seal(THREE, signer="emil"))),
        ("bad_signature", "of somebody else", seal_fork(keys("emil").public, first, second)),
        ("bad_signature", "with a changed signature", seal_fork(WITNESS, first, spoiled)),
    ]
    return [(code, f"seal_fork: {what}", data) for code, what, data in rows]


def _of_kinds() -> list[Row]:
    """Statements that an honest witness makes beside each other, under the name of an offence."""
    notarize, finalize, skip = (said(kind, ONE) for kind in (NOTARIZE, FINALIZE, SKIP))
    two = sorted((notarize, said(FINALIZE, TWO)), key=lambda part: part.payload)
    good = ballot_fork(WITNESS, *_pair(NotarizeFork))
    return [
        ("bad_signature", "notarize_fork: a notarize and a finalize vote", _raw(NotarizeFork, *two)),
        ("bad_signature", "finalize_skip: a notarize and a skip vote", _raw(FinalizeSkip, notarize, skip)),
        ("bad_field", "finalize_skip: skip first", _raw(FinalizeSkip, skip, finalize)),
        ("bad_field", "notarize_fork: a vote without a candidate", _raw(NotarizeFork, notarize, skip)),
        ("unknown_field", "notarize_fork: a set beside it", changed(good, set=SET.digest)),
        ("missing_field", "notarize_fork: nobody accused", changed(good, witness=None)),
        ("bad_field", "notarize_fork: a witness of 31 bytes", changed(good, witness=bytes(31))),
    ]


def _part(one: Signed) -> SignedPayload:
    return SignedPayload(one.payload, one.signature)


def _spoiled(one: Signed) -> Signed:
    return Signed(one.kind, one.payload, flipped(one.signature, 0))
