"""Sealed digests: bound to network, author and subject, so that a copied digest opens for nobody else."""

from __future__ import annotations

from troth_protocol.wire.crypto import object_id


def commit_digest(network: bytes, author: bytes, question: bytes, salt: bytes, contribution: bytes) -> bytes:
    """What a `commit` seals: H(domain | network | author | question | salt | contribution)."""
    return object_id("troth/commit/1", network, author + question + salt + contribution)


def commit_id(network: bytes, author: bytes, question: bytes, digest: bytes) -> bytes:
    """The name that citations use; it does not depend on which entry carried the commit."""
    return object_id("troth/commit_id/1", network, author + question + digest)


def attest_digest(network: bytes, author: bytes, question: bytes, salt: bytes, outcome: int) -> bytes:
    """What an `attest` seals."""
    return object_id("troth/attest/1", network, author + question + salt + bytes([outcome]))


def question_id(network: bytes, topic: str, index: int) -> bytes:
    """The id of a standing topic's question: topic and index determine it."""
    return object_id("troth/question/1", network, topic.encode() + b"/" + index.to_bytes(8, "big"))


def asked_id(entry: bytes, index: int) -> bytes:
    """The id of the question that op `index` of an entry asks."""
    return entry[:30] + index.to_bytes(2, "big")


def lock_id(entry: bytes, index: int) -> bytes:
    """The id of the lock made by op `index` of an entry."""
    return entry[:30] + index.to_bytes(2, "big")


def auction_id(network: bytes, seller: bytes, commit: bytes, hashlock: bytes) -> bytes:
    """The id of an auction; it does not depend on which entry carried it, so that the seller can seal its reserve."""
    return object_id("troth/auction/1", network, seller + commit + hashlock)


def bid_digest(network: bytes, author: bytes, auction: bytes, salt: bytes, amount: int) -> bytes:
    """What a `bid` seals, and what an `auction` seals as its reserve: the amount as its decimal digits."""
    return object_id("troth/bid/1", network, author + auction + salt + str(amount).encode())


def won_lock_id(network: bytes, auction: bytes, bidder: bytes, epoch: int) -> bytes:
    """The id of the lock into which the close of `epoch` turns a winner's payment.

    The same auction may be held again while a claim on its first lock waits, so the epoch tells them apart.
    """
    return object_id("troth/lock/1", network, auction + bidder + epoch.to_bytes(8, "big"))
