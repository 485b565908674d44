"""Votes and certificates: one signature over the Merkle root of up to 256 votes, a branch for each of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from troth_protocol.errors import Invalid
from troth_protocol.log.committee import MEMBERS_MAX, Committee
from troth_protocol.wire.codec import pack
from troth_protocol.wire.crypto import CACHED_VERDICTS, KeyPair, preimage, verify
from troth_protocol.wire.merkle import leaf_hash, root_and_branches, root_from_branch
from troth_protocol.wire.messages import Votes
from troth_protocol.wire.schema import EPOCH, HASH, ID, SIGNATURE, Record, many, nested, uint

VOTE_DOMAIN = "troth/vote/1"
BATCH_MAX = 256
_BRANCH_MAX = 8


@dataclass(frozen=True, slots=True)
class Vote:
    """A witness's vote: its place in the committee, its signed root, and the entry's branch to that root."""

    member: int
    root: bytes
    index: int
    size: int
    branch: tuple[bytes, ...]
    signature: bytes


VOTE = Record(
    "vote",
    Vote,
    {
        "member": uint(MEMBERS_MAX - 1),
        "root": HASH,
        "index": uint(BATCH_MAX - 1),
        "size": uint(BATCH_MAX),
        "branch": many(HASH, _BRANCH_MAX),
        "signature": SIGNATURE,
    },
)


@dataclass(frozen=True)
class Certificate:
    """Votes of more than two thirds of an epoch's witness weight for one entry."""

    entry: bytes
    epoch: int
    votes: tuple[Vote, ...]

    @cached_property
    def data(self) -> bytes:
        """The bytes it travels as."""
        return CERTIFICATE.encode(self)


CERTIFICATE = Record(
    "certificate",
    Certificate,
    {"entry": ID, "epoch": EPOCH, "votes": many(nested(VOTE), MEMBERS_MAX, 1)},
)


def load_certificate(data: bytes) -> Certificate:
    """Decode a certificate, whose votes are not checked yet; Invalid as the schema says."""
    certificate = CERTIFICATE.decode(data)
    vars(certificate)["data"] = data
    return certificate


def _message(network: bytes, epoch: int, set_digest: bytes, batch_root: bytes) -> bytes:
    return preimage(VOTE_DOMAIN, network, pack({"epoch": epoch, "root": batch_root, "set": set_digest}))


def sign_votes(
    keys: KeyPair, network: bytes, epoch: int, committee: Committee, entries: Sequence[bytes]
) -> list[Vote]:
    """One vote for each entry id (at most 256), all under one signature."""
    member = committee.index(keys.public)
    if member is None or len(entries) > BATCH_MAX:
        raise ValueError("only a member votes, at most 256 at a time")
    top, branches = root_and_branches(list(map(leaf_hash, entries)), range(len(entries)))
    signature = keys.sign(_message(network, epoch, committee.digest, top))
    return [
        Vote(member, top, index, len(entries), tuple(branch), signature)
        for index, branch in enumerate(branches)
    ]


@lru_cache(maxsize=CACHED_VERDICTS)
def _is_signed(
    key: bytes, network: bytes, epoch: int, set_digest: bytes, batch_root: bytes, signature: bytes
) -> bool:
    """Did this key sign this root? Asked again with each entry of the batch."""
    return verify(key, _message(network, epoch, set_digest, batch_root), signature)


def verify_vote(vote: Vote, entry: bytes, network: bytes, epoch: int, committee: Committee) -> None:
    """Check one vote for an entry; Invalid: bad_member, bad_branch, bad_signature."""
    if not 0 <= vote.member < len(committee.members):
        raise Invalid("bad_member", str(vote.member))
    _verify_vote(vote, leaf_hash(entry), network, epoch, committee)


def _verify_vote(vote: Vote, leaf: bytes, network: bytes, epoch: int, committee: Committee) -> None:
    if root_from_branch(leaf, vote.index, vote.size, vote.branch) != vote.root:
        raise Invalid("bad_branch", "the branch does not lead to the signed root")
    key = committee.members[vote.member].key
    if not _is_signed(key, network, epoch, committee.digest, vote.root, vote.signature):
        raise Invalid("bad_signature", f"vote of witness {vote.member}")


def open_batch(
    batch: Votes,
    peer: bytes,
    awaits: Callable[[bytes], bool],
    network: bytes,
    epoch: int,
    committee: Committee,
) -> list[tuple[bytes, Vote]]:
    """Each entry of a peer's batch that is awaited, with its vote; none if the peer is no member.

    The one signature is checked, so the votes are valid. Raises Invalid, if any entry is awaited: duplicate,
    bad_signature.
    """
    member, size = committee.index(peer), len(batch.entries)
    places = [place for place, entry in enumerate(batch.entries) if awaits(entry)]
    if member is None or not places:
        return []
    if len(set(batch.entries)) < size:
        raise Invalid("duplicate", "an entry twice in one batch")
    top, branches = root_and_branches(list(map(leaf_hash, batch.entries)), places)
    if not _is_signed(peer, network, epoch, committee.digest, top, batch.signature):
        raise Invalid("bad_signature", f"batch of witness {member}")
    return [
        (batch.entries[place], Vote(member, top, place, size, tuple(branch), batch.signature))
        for place, branch in zip(places, branches, strict=True)
    ]


def is_vote_of(key: bytes, vote: Vote, entry: bytes, network: bytes, epoch: int, set_digest: bytes) -> bool:
    """Did this key sign this vote for the entry, as a member of the witness set of that digest?"""
    try:
        top = root_from_branch(leaf_hash(entry), vote.index, vote.size, vote.branch)
    except Invalid:
        return False
    return top == vote.root and _is_signed(key, network, epoch, set_digest, vote.root, vote.signature)


def verify_certificate(
    certificate: Certificate, network: bytes, committee: Committee, known: Collection[Vote] = ()
) -> None:
    """Check a certificate: distinct members, weight above two thirds, every vote but those `known` to be valid.

    Raises Invalid: bad_member, not_enough_weight, bad_branch, bad_signature.
    """
    weight = committee.weigh(vote.member for vote in certificate.votes)
    if weight < committee.quorum:
        raise Invalid("not_enough_weight", f"{weight} of {committee.quorum}")
    leaf = leaf_hash(certificate.entry)
    by_member = {vote.member: vote for vote in known}
    for vote in certificate.votes:
        found = by_member.get(vote.member)
        if found is not vote and found != vote:
            _verify_vote(vote, leaf, network, certificate.epoch, committee)
