"""Seals: the signed result of an epoch's close. Whoever follows them from genesis can check any balance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from troth_protocol.errors import Invalid
from troth_protocol.log.committee import MEMBERS_MAX, Committee
from troth_protocol.wire.crypto import KeyPair, object_id, preimage, verify
from troth_protocol.wire.schema import EPOCH, HASH, ID, SIGNATURE, Record, blob, many, row, uint

SEAL_DOMAIN = "troth/seal/1"


@dataclass(frozen=True, slots=True)
class Seal:
    """What more than two thirds sign: the close of one epoch, chained to the one before.

    `state` is the state root, `emissions` and `evidence` are roots over what was paid and punished, `cut` is the
    root of the agreed cut's `cut_size` chunks, `next_set` the digest of the next epoch's witness set.
    """

    network: bytes
    epoch: int
    prev: bytes
    state: bytes
    emissions: bytes
    evidence: bytes
    next_set: bytes
    cut: bytes
    cut_size: int


SEAL = Record(
    "seal",
    Seal,
    {
        "network": ID,
        "epoch": EPOCH,
        "prev": ID,
        "state": HASH,
        "emissions": HASH,
        "evidence": HASH,
        "next_set": HASH,
        "cut": HASH,
        "cut_size": uint(20_000),
    },
)


@dataclass(frozen=True, slots=True)
class SignedSeal:
    """A seal's bytes with the members' signatures."""

    payload: bytes
    signatures: tuple[tuple[int, bytes], ...]


SIGNED_SEAL = Record(
    "signed_seal",
    SignedSeal,
    {"payload": blob(1024), "signatures": many(row(uint(MEMBERS_MAX - 1), SIGNATURE), MEMBERS_MAX, 1)},
)


def seal_id(network: bytes, payload: bytes) -> bytes:
    """The id of a seal's bytes, which the next seal names."""
    return object_id(SEAL_DOMAIN, network, payload)


def sign_seal(keys: KeyPair, network: bytes, payload: bytes) -> bytes:
    """One witness's signature."""
    return keys.sign(preimage(SEAL_DOMAIN, network, payload))


def verify_seal_vote(key: bytes, network: bytes, payload: bytes, signature: bytes) -> None:
    """Check one witness's signature; Invalid("bad_signature")."""
    if not verify(key, preimage(SEAL_DOMAIN, network, payload), signature):
        raise Invalid("bad_signature", "seal")


def collect(payload: bytes, signatures: Mapping[int, bytes]) -> SignedSeal:
    """A signed seal from votes by member."""
    return SignedSeal(payload, tuple(sorted(signatures.items())))


def verify_seal(signed: SignedSeal, network: bytes, prev: bytes, epoch: int, committee: Committee) -> Seal:
    """Check a seal against the one before it and its epoch's witness set; the one step of a light client.

    Raises Invalid: wrong_network, wrong_epoch, wrong_prev, bad_member, not_enough_weight, bad_signature.
    """
    seal = SEAL.decode(signed.payload)
    if seal.network != network:
        raise Invalid("wrong_network", seal.network.hex())
    if seal.epoch != epoch:
        raise Invalid("wrong_epoch", f"seal of epoch {seal.epoch}, expected {epoch}")
    if seal.prev != prev:
        raise Invalid("wrong_prev", "the seal does not follow the one before it")
    if committee.weigh(member for member, _ in signed.signatures) < committee.quorum:
        raise Invalid("not_enough_weight", "a seal needs more than two thirds")
    for member, signature in signed.signatures:
        verify_seal_vote(committee.members[member].key, network, signed.payload, signature)
    return seal
