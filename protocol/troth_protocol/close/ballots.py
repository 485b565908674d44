"""What is signed in the close's agreement, and what such signatures prove: functions of bytes, without memory.

A candidate is the proposal of a slot's leader; a ballot is a member's vote to notarize it, to finalize it, or to skip
the slot. Signed payloads travel as opaque bytes and are verified as they came. A member who signs what `EXCLUDES`
forbids has signed its own conviction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from troth_protocol.errors import Invalid
from troth_protocol.log.committee import MEMBERS_MAX, Committee
from troth_protocol.wire import crypto
from troth_protocol.wire.crypto import object_id, preimage
from troth_protocol.wire.schema import (
    EPOCH,
    HASH,
    ID,
    SIGNATURE,
    Record,
    Variant,
    blob,
    choice,
    many,
    optional,
    row,
    uint,
)

CANDIDATE: Final = "candidate"
NOTARIZE: Final = "notarize"
FINALIZE: Final = "finalize"
SKIP: Final = "skip"
DOMAINS: Final[Mapping[str, str]] = {
    kind: f"troth/{kind}/1" for kind in (CANDIDATE, NOTARIZE, FINALIZE, SKIP)
}

#: What an honest member never signs beside a kind in one slot, unless it is the same statement again. The machine asks
#: it before it signs (which is R2 to R5), and whoever listens asks it afterwards: each pair is a kind of evidence.
EXCLUDES: Final[Mapping[str, tuple[str, ...]]] = {
    CANDIDATE: (CANDIDATE,),  # R2: a leader proposes once
    NOTARIZE: (NOTARIZE,),  # R3: one notarize vote in a slot
    FINALIZE: (FINALIZE, SKIP),  # R4: no finalize vote after a skip vote
    SKIP: (FINALIZE,),  # R5: no skip vote after a finalize vote
}

VALUE_MAX_BYTES: Final = 32 * 1024  # two candidates make evidence, which has at most 100 KiB
PAYLOAD_MAX_BYTES: Final = VALUE_MAX_BYTES + 256
VOTE_MAX_BYTES: Final = 256

Verify: TypeAlias = Callable[[bytes, bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class Instance:
    """One agreement: network id, epoch, the epoch's committee, and the turn that leads slot 0."""

    network: bytes
    epoch: int
    committee: Committee
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Signed:
    """One signed payload as it travelled; `kind` names its domain."""

    kind: str
    payload: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """What a ballot says: a kind of vote, the slot, and the candidate's id (empty for a skip vote)."""

    kind: str
    slot: int
    candidate: bytes = b""

    def payload(self, instance: Instance) -> bytes:
        """The bytes that members sign to say this."""
        place = _Place(instance.epoch, instance.committee.digest, self.slot, self.candidate or None)
        return _PLACE.encode(place)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A leader's proposal, checked except for its signature; `parent` is what must have been notarized before."""

    id: bytes
    slot: int
    value: bytes
    parent: Statement | None
    signed: Signed


@dataclass(frozen=True, slots=True)
class Ballot:
    """One member's vote: its place in the committee, what it says, and the signed bytes."""

    member: int
    statement: Statement
    signed: Signed


# Messages: what travels, one row each in MESSAGES.


@dataclass(frozen=True, slots=True)
class CandidateMsg:
    """A candidate from its leader, or from whoever was asked for it."""

    payload: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class VoteMsg:
    """One vote of the member at place `member`."""

    vote: str
    payload: bytes
    member: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class SlotCertificate:
    """Votes of a quorum over the same payload: (place, signature) each, in ascending order of places."""

    vote: str
    payload: bytes
    signatures: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class WantMsg:
    """Send me the candidate of that id; without one, the decision, if there is one: I am still at this slot."""

    slot: int
    candidate: bytes | None = None


Message: TypeAlias = CandidateMsg | VoteMsg | SlotCertificate | WantMsg

_VOTE = choice(NOTARIZE, FINALIZE, SKIP)
_MEMBER = uint(MEMBERS_MAX - 1)
CERTIFICATE = Record(
    "certificate",
    SlotCertificate,
    {
        "vote": _VOTE,
        "payload": blob(VOTE_MAX_BYTES),
        "signatures": many(row(_MEMBER, SIGNATURE), MEMBERS_MAX, 1),
    },
)
#: The catalogue, tagged by "kind".
MESSAGES: Variant[Message] = Variant(
    "kind",
    {
        CandidateMsg: Record(
            "candidate", CandidateMsg, {"payload": blob(PAYLOAD_MAX_BYTES), "signature": SIGNATURE}
        ),
        VoteMsg: Record(
            "vote",
            VoteMsg,
            {"vote": _VOTE, "payload": blob(VOTE_MAX_BYTES), "member": _MEMBER, "signature": SIGNATURE},
        ),
        SlotCertificate: CERTIFICATE,
        WantMsg: Record("want", WantMsg, {"slot": uint(), "candidate": optional(ID)}),
    },
)


# Payloads: what is signed.


@dataclass(frozen=True, slots=True)
class _Place:
    epoch: int
    set: bytes
    slot: int
    candidate: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Proposal:
    epoch: int
    set: bytes
    slot: int
    value: bytes
    parent_slot: int | None = None
    parent: bytes | None = None


_PLACE = Record(
    "vote payload", _Place, {"epoch": EPOCH, "set": HASH, "slot": uint(), "candidate": optional(ID)}
)
_PROPOSAL = Record(
    "candidate payload",
    _Proposal,
    {
        "epoch": EPOCH,
        "set": HASH,
        "slot": uint(),
        "value": blob(VALUE_MAX_BYTES),
        "parent_slot": optional(uint()),
        "parent": optional(ID),
    },
)


def propose(instance: Instance, slot: int, value: bytes, parent: Candidate | None) -> bytes:
    """The payload of a candidate for its leader to sign."""
    where = (None, None) if parent is None else (parent.slot, parent.id)
    return _PROPOSAL.encode(_Proposal(instance.epoch, instance.committee.digest, slot, value, *where))


def read_candidate(instance: Instance, message: CandidateMsg) -> Candidate:
    """Read a candidate; its leader's signature is the caller's to check.

    Raises Invalid: wrong_epoch, wrong_set, bad_parent, and what the codec and the fields refuse.
    """
    fields = _PROPOSAL.decode(message.payload)
    _check_instance(instance, fields)
    return Candidate(
        object_id(DOMAINS[CANDIDATE], instance.network, message.payload),
        fields.slot,
        fields.value,
        _read_parent(fields),
        Signed(CANDIDATE, message.payload, message.signature),
    )


def _read_parent(fields: _Proposal) -> Statement | None:
    if fields.parent_slot is None and fields.parent is None:
        return None
    if fields.parent_slot is None or fields.parent is None:
        raise Invalid("bad_parent", "a parent has a slot and an id")
    if fields.parent_slot >= fields.slot:
        raise Invalid("bad_parent", f"slot {fields.parent_slot} is not before {fields.slot}")
    return Statement(NOTARIZE, fields.parent_slot, fields.parent)


def read_statement(instance: Instance, kind: str, payload: bytes) -> Statement:
    """Read what a vote says. Raises Invalid: wrong_epoch, wrong_set, bad_field, and what the codec refuses."""
    fields = _read_vote(kind, payload)
    _check_instance(instance, fields)
    return Statement(kind, fields.slot, fields.candidate or b"")


def _read_vote(kind: str, payload: bytes) -> _Place:
    fields = _PLACE.decode(payload)
    if (fields.candidate is None) != (kind == SKIP):
        raise Invalid("bad_field", f"{kind}: a vote names a candidate unless it skips")
    return fields


def read_ballot(instance: Instance, message: VoteMsg) -> Ballot:
    """Read a vote; its signature is the caller's to check. Raises Invalid as `read_statement`, and bad_member."""
    if message.member >= len(instance.committee.members):
        raise Invalid("bad_member", str(message.member))
    statement = read_statement(instance, message.vote, message.payload)
    return Ballot(message.member, statement, Signed(message.vote, message.payload, message.signature))


def check_signature(network: bytes, key: bytes, signed: Signed, verify: Verify = crypto.verify) -> None:
    """Raises Invalid("bad_signature") unless `key` signed this."""
    if not verify(key, preimage(DOMAINS[signed.kind], network, signed.payload), signed.signature):
        raise Invalid("bad_signature", signed.kind)


def verify_certificate(
    instance: Instance, certificate: SlotCertificate, verify: Verify = crypto.verify
) -> Statement:
    """What a quorum says: distinct members in order, weight at least the quorum, every signature good.

    Raises Invalid: bad_member, not_enough_weight, bad_signature, and as `read_statement`.
    """
    statement = read_statement(instance, certificate.vote, certificate.payload)
    places = [place for place, _ in certificate.signatures]
    weight = instance.committee.weigh(places)
    if places != sorted(places):
        raise Invalid("bad_member", "places must ascend")
    if weight < instance.committee.quorum:
        raise Invalid("not_enough_weight", f"{weight} of {instance.committee.quorum}")
    for place, signature in certificate.signatures:
        signed = Signed(certificate.vote, certificate.payload, signature)
        check_signature(instance.network, instance.committee.members[place].key, signed, verify)
    return statement


def verify_decision(
    instance: Instance, candidate: bytes, certificate: bytes, verify: Verify = crypto.verify
) -> bytes:
    """The agreed value, from a candidate's payload and the encoded certificate that finalizes it, and nothing else.

    The leader's signature is not asked for: the quorum signed the digest of the payload. Raises Invalid:
    not_final, wrong_candidate, and as `verify_certificate` and `read_candidate`.
    """
    statement = verify_certificate(instance, CERTIFICATE.decode(certificate), verify)
    if statement.kind != FINALIZE:
        raise Invalid("not_final", statement.kind)
    found = read_candidate(instance, CandidateMsg(candidate, b""))
    if (found.slot, found.id) != (statement.slot, statement.candidate):
        raise Invalid("wrong_candidate", f"slot {found.slot}")
    return found.value


def read_slot(kind: str, payload: bytes) -> tuple[int, bytes, int]:
    """Epoch, set digest and slot that a signed payload names, for whoever has no agreement at hand.

    Raises Invalid: bad_field, and what the codec and the fields refuse.
    """
    fields = _PROPOSAL.decode(payload) if kind == CANDIDATE else _read_vote(kind, payload)
    return fields.epoch, fields.set, fields.slot


def _check_instance(instance: Instance, fields: _Place | _Proposal) -> None:
    if fields.epoch != instance.epoch:
        raise Invalid("wrong_epoch", f"{fields.epoch}, not {instance.epoch}")
    if fields.set != instance.committee.digest:
        raise Invalid("wrong_set")
