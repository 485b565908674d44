"""Claims at a close: what the payee's bond backs is paid two closes later, unless what it paid for was not delivered.

Theory of operation. An `unlock` or a report records a claim. In order of (epoch, lock id) the payee's agent bond takes
in as many as it covers; the others queue. From there on a claim is pending for two closes: whoever bought with the
lock may prove a misdelivery, and then the price goes back and the bond pays at least as much again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from troth_protocol.genesis import Rules
from troth_protocol.log.bonds import agent_bond, take_agent_bond
from troth_protocol.log.promising import floors
from troth_protocol.log.rows import Account, Claim, Lock, Promise
from troth_protocol.log.state import State
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.schema import PPM

#: A claim is paid this many closes after the one in which it was backed, when that close's accusations are in.
CLAIM_EPOCHS: Final = 2
_BACKING_ROLE: Final = "agent"


def apply_claims(state: State, claims: Mapping[bytes, bytes], epoch: int) -> None:
    """Record what the cut's reports opened: (lock id, preimage) of locks that exist, unclaimed and in time."""
    for key in sorted(claims):
        lock = state.find("locks", key, Lock)
        is_claimed = state.find("claims", key, Claim) is not None
        is_open = lock is not None and not is_claimed and epoch <= lock.until
        if lock is not None and is_open and digest(claims[key]) == lock.hash:
            state.put("claims", key, Claim(claims[key], epoch))


def settle_locks(state: State, epoch: int) -> None:
    """Pay claims that were pending for long enough, refund locks that nobody opened, and back what fits then."""
    for key, lock in state.items("locks", Lock):
        claim = state.find("claims", key, Claim)
        if claim is None and epoch >= lock.until:
            _end_lock(state, key, lock.payer, lock.amount)
        elif claim is not None and claim.backed is not None and epoch >= claim.backed + CLAIM_EPOCHS:
            _end_lock(state, key, lock.to, lock.amount)
            state.drop("claims", key)
    _back_claims(state, epoch)


def _end_lock(state: State, key: bytes, to: bytes, amount: int) -> None:
    account = state.account(to)
    state.put("accounts", to, replace(account, balance=account.balance + amount))
    state.drop("locks", key)


def _back_claims(state: State, epoch: int) -> None:
    """In order of (epoch, lock id) each payee's bond takes in every claim that still fits beside what it answers for:
    its pending claims, and the floors of what it promised itself.
    """
    pending: dict[bytes, int] = {}
    for _, promise in state.rows("promises", Promise):
        pending[promise.buyer] = pending.get(promise.buyer, 0) + floors((promise,))
    for key, claim in state.items("claims", Claim):
        if claim.backed is not None:
            lock = _lock_of(state, key)
            pending[lock.to] = pending.get(lock.to, 0) + lock.amount
    for key, claim in sorted(state.items("claims", Claim), key=lambda item: (item[1].epoch, item[0])):
        lock = _lock_of(state, key)
        total = pending.get(lock.to, 0) + lock.amount
        if claim.backed is None and total <= state.account(lock.to).bond(_BACKING_ROLE):
            pending[lock.to] = total
            state.put("claims", key, replace(claim, backed=epoch))


def _lock_of(state: State, key: bytes) -> Lock:
    lock = state.find("locks", key, Lock)
    assert lock is not None  # noqa: S101 - a claim goes with its lock
    return lock


def misdelivered(
    state: State, buyer: bytes | int, seller: bytes, key_hash: bytes | int
) -> list[tuple[bytes, Lock, Claim]]:
    """The claimed locks by which an exchange was paid. In order of their ids."""
    found = []
    for key, claim in state.items("claims", Claim):
        lock = _lock_of(state, key)
        if (lock.payer, lock.to, lock.hash) == (buyer, seller, key_hash):
            found.append((key, lock, claim))
    return found


def return_price(state: State, key: bytes, lock: Lock) -> None:
    """The lock goes back to its payer and its claim falls away."""
    _end_lock(state, key, lock.payer, lock.amount)
    state.drop("claims", key)


def slash_seller(account: Account, price: int, rules: Rules) -> Account:
    """What is left of a seller's agent bond: it pays the price again, or the share of any other offence if more.

    What is unbonding pays after the bond, the amounts that leave last first.
    """
    bonded = agent_bond(account)
    return take_agent_bond(account, min(bonded, max(price, bonded * rules.slash_author_ppm // PPM)))
