"""agreement.json: candidates, votes and slot certificates of a close, and what they decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from troth_protocol.close.ballots import (
    CANDIDATE,
    CERTIFICATE,
    DOMAINS,
    FINALIZE,
    NOTARIZE,
    SKIP,
    Candidate,
    CandidateMsg,
    Instance,
    SlotCertificate,
    Statement,
    propose,
    read_candidate,
)
from troth_protocol.wire.codec import decode
from troth_protocol.wire.crypto import KeyPair, digest, preimage

from .common import (
    NETWORK,
    OTHER_NETWORK,
    Case,
    Json,
    cases,
    changed,
    flipped,
    hexed,
    invalid,
    keys,
    plain,
    valid,
)
from .votes import EPOCH, NAMES, SET, committee, place, setting

AT: Final = Instance(NETWORK, EPOCH, SET)
VALUE: Final = b"a value of reports"


def _sign(signer: KeyPair, kind: str, payload: bytes, network: bytes = NETWORK) -> bytes:
    return signer.sign(preimage(DOMAINS[kind], network, payload))


def _candidate(
    slot: int, value: bytes = VALUE, parent: Candidate | None = None, at: Instance = AT
) -> Candidate:
    payload = propose(at, slot, value, parent)
    return read_candidate(at, CandidateMsg(payload, _sign(keys("dora"), CANDIDATE, payload)))


FIRST: Final = _candidate(0)
SECOND: Final = _candidate(2, parent=FIRST)
OTHER: Final = _candidate(0, b"another value")


def _certificate(kind: str, candidate: Candidate | None, slot: int, names: Sequence[str]) -> SlotCertificate:
    payload = Statement(kind, slot, candidate.id if candidate else b"").payload(AT)
    places = sorted((place(name), name) for name in names)
    return SlotCertificate(
        kind, payload, tuple((at, _sign(keys(name), kind, payload)) for at, name in places)
    )


FINAL: Final = _certificate(FINALIZE, FIRST, 0, ["dora", "emil"])


def _proposed(name: str, candidate: Candidate) -> Case:
    return valid(
        name,
        check="candidate",
        **setting(),
        value=plain(decode(candidate.signed.payload)),
        payload=candidate.signed.payload.hex(),
        id=candidate.id.hex(),
        signature=candidate.signed.signature.hex(),
        signer=keys("dora").public.hex(),
    )


def _voted(kind: str, candidate: Candidate | None, slot: int) -> Case:
    payload = Statement(kind, slot, candidate.id if candidate else b"").payload(AT)
    return valid(
        f"a vote to {kind}",
        check="vote",
        **setting(),
        vote=kind,
        value=plain(decode(payload)),
        payload=payload.hex(),
        preimage=preimage(DOMAINS[kind], NETWORK, payload).hex(),
        member=place("emil"),
        signature=_sign(keys("emil"), kind, payload).hex(),
    )


def _certified(name: str, made: SlotCertificate) -> Case:
    return valid(name, check="certificate", **setting(), bytes=CERTIFICATE.encode(made).hex(), vote=made.vote)


def _decided(name: str, candidate: Candidate, made: SlotCertificate) -> Case:
    fields = {"candidate": candidate.signed.payload.hex(), "certificate": CERTIFICATE.encode(made).hex()}
    return valid(name, check="decision", **setting(), **fields, decided=candidate.value.hex())


def _good() -> list[Case]:
    return [
        _proposed("a candidate of the first slot", FIRST),
        _proposed("a candidate with a parent", SECOND),
        _voted(NOTARIZE, FIRST, 0),
        _voted(FINALIZE, FIRST, 0),
        _voted(SKIP, None, 1),
        _certified("a slot notarized by 70 of 100", _certificate(NOTARIZE, FIRST, 0, ["dora", "emil"])),
        _certified("a slot skipped by everybody", _certificate(SKIP, None, 1, list(NAMES.values()))),
        _decided("a decision", FIRST, FINAL),
        _decided(
            "a decision in a later slot", SECOND, _certificate(FINALIZE, SECOND, 2, ["dora", "emil", "fay"])
        ),
    ]


def _bad_candidates() -> list[Case]:
    payload, second = FIRST.signed.payload, SECOND.signed.payload
    other_set = _candidate(0, at=Instance(NETWORK, EPOCH, committee([1, 1, 1, 1]))).signed.payload
    rows: list[tuple[str, str, bytes]] = [
        ("wrong_epoch", "of the next epoch", changed(payload, epoch=EPOCH + 1)),
        ("wrong_set", "of another witness set", other_set),
        ("bad_parent", "a parent without a slot", changed(second, parent_slot=None)),
        ("bad_parent", "a parent's slot without a parent", changed(second, parent=None)),
        ("bad_parent", "a parent in its own slot", changed(second, parent_slot=2)),
        ("bad_parent", "a parent in a later slot", changed(second, parent_slot=3)),
        ("bad_field", "a value of 32,769 bytes", changed(payload, value=bytes(32_769))),
        ("missing_field", "no value", changed(payload, value=None)),
        ("unknown_field", "a field too many", changed(payload, time=1)),
    ]
    fields = {"check": "candidate", **setting(), "signer": keys("dora").public.hex()}
    out = [
        invalid(
            code,
            f"a candidate: {what}",
            **fields,
            payload=hexed(data),
            signature=_sign(keys("dora"), CANDIDATE, data).hex(),
        )
        for code, what, data in rows
    ]
    foreign = _sign(keys("dora"), CANDIDATE, payload, OTHER_NETWORK).hex()
    return [
        *out,
        invalid(
            "bad_signature",
            "a candidate signed for another network",
            **fields,
            payload=payload.hex(),
            signature=foreign,
        ),
    ]


def _bad_votes() -> list[Case]:
    payload = Statement(NOTARIZE, 0, FIRST.id).payload(AT)
    bare = Statement(SKIP, 0).payload(AT)
    emil = place("emil")
    rows: list[tuple[str, str, str, bytes, int]] = [
        ("wrong_epoch", "of the next epoch", NOTARIZE, changed(payload, epoch=EPOCH + 1), emil),
        ("wrong_set", "of another witness set", NOTARIZE, changed(payload, set=digest(b"set")), emil),
        ("bad_field", "to notarize nothing", NOTARIZE, bare, emil),
        ("bad_field", "to finalize nothing", FINALIZE, bare, emil),
        ("bad_field", "to skip a candidate", SKIP, payload, emil),
        ("bad_member", "of a place outside the set", NOTARIZE, payload, 4),
        ("bad_signature", "of another member", NOTARIZE, payload, place("dora")),
    ]
    out = []
    for code, what, kind, data, member in rows:
        fields = {
            "vote": kind,
            "payload": data.hex(),
            "member": member,
            "signature": _sign(keys("emil"), kind, data).hex(),
        }
        out.append(invalid(code, f"a vote {what}", check="vote", **setting(), **fields))
    crossed = {"vote": FINALIZE, "payload": payload.hex(), "member": emil}
    signature = _sign(keys("emil"), NOTARIZE, payload).hex()
    return [
        *out,
        invalid(
            "bad_signature",
            "a vote to finalize signed to notarize",
            check="vote",
            **setting(),
            **crossed,
            signature=signature,
        ),
    ]


def _bad_certificates() -> list[Case]:
    payload = FINAL.payload
    one, two = FINAL.signatures
    rows: list[tuple[str, str, SlotCertificate]] = [
        ("not_enough_weight", "one member", SlotCertificate(FINALIZE, payload, (one,))),
        ("not_enough_weight", "half", _certificate(FINALIZE, FIRST, 0, ["emil", "fay"])),
        ("bad_member", "a member twice", SlotCertificate(FINALIZE, payload, (one, one))),
        ("bad_member", "places that do not ascend", SlotCertificate(FINALIZE, payload, (two, one))),
        ("bad_member", "a place outside the set", SlotCertificate(FINALIZE, payload, (one, (4, two[1])))),
        (
            "bad_signature",
            "a bit of it",
            SlotCertificate(FINALIZE, payload, (one, (two[0], flipped(two[1], 0)))),
        ),
        ("bad_signature", "votes of another kind", SlotCertificate(NOTARIZE, payload, FINAL.signatures)),
        ("bad_field", "a skip of a candidate", SlotCertificate(SKIP, payload, FINAL.signatures)),
    ]
    return [
        invalid(
            code,
            f"a certificate: {what}",
            check="certificate",
            **setting(),
            bytes=CERTIFICATE.encode(made).hex(),
        )
        for code, what, made in rows
    ]


def _bad_decisions() -> list[Case]:
    notarized = _certificate(NOTARIZE, FIRST, 0, ["dora", "emil"])
    rows: list[tuple[str, str, Candidate, SlotCertificate]] = [
        ("not_final", "a notarized candidate", FIRST, notarized),
        ("wrong_candidate", "another candidate of the slot", OTHER, FINAL),
        ("wrong_candidate", "a candidate of another slot", SECOND, FINAL),
    ]
    return [
        invalid(
            code,
            f"a decision: {what}",
            check="decision",
            **setting(),
            candidate=candidate.signed.payload.hex(),
            certificate=CERTIFICATE.encode(made).hex(),
        )
        for code, what, candidate, made in rows
    ]


def agreement() -> Json:
    """The file agreement.json."""
    bad = [*_bad_candidates(), *_bad_votes(), *_bad_certificates(), *_bad_decisions()]
    return cases(
        "The close's agreement (04): candidates, votes, slot certificates, decisions.",
        _good(),
        bad,
    )
