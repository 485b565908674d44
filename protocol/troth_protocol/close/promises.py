"""Promises at a close: a claim under a promise's hash proves the delivery that binds it, and a misdelivery voids it."""

from __future__ import annotations

from dataclasses import replace

from troth_protocol.log.rows import Claim, Lock, Promise
from troth_protocol.log.state import State


def bind_promises(state: State, epoch: int) -> None:
    """Bind what this close's claims deliver, if the buyer can still commit afterwards, by the epoch agreed on.

    The key is in the sealed state before the epoch opens until which the buyer has said that it waits.
    """
    opened = {_exchange(state, key) for key, claim in state.rows("claims", Claim) if claim.epoch == epoch}
    if not opened:
        return
    for key, promise in state.items("promises", Promise):
        last = min(promise.deliver, state.question(promise.question).commit_last())
        if (promise.buyer, promise.seller, promise.hash) in opened and epoch < last:
            state.put("promises", key, replace(promise, bound=True))


def _exchange(state: State, key: bytes) -> tuple[bytes, bytes, bytes]:
    lock = state.find("locks", key, Lock)
    assert lock is not None  # noqa: S101 - a claim goes with its lock
    return lock.payer, lock.to, lock.hash


def void_promises(state: State, lock: Lock) -> None:
    """What was sealed under this lock's hash is not what was promised: nor is anything owed for it."""
    for key, promise in state.items("promises", Promise):
        if (promise.buyer, promise.seller, promise.hash) == (lock.payer, lock.to, lock.hash):
            state.drop("promises", key)
