"""Promised citations in a log: a buyer promises what its weights and its bond can carry; a receipt binds it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from troth_protocol.errors import Invalid
from troth_protocol.log.agreement import (
    Agreement,
    agreement_id,
    decode_agreement,
    decode_receipt,
    load_agreement,
    verify_receipt,
)
from troth_protocol.log.rows import Claim, Commit, Entrant, Lock, Promise
from troth_protocol.log.state import State
from troth_protocol.wire.schema import PPM

if TYPE_CHECKING:
    from troth_protocol.log.evaluate import Evaluation
    from troth_protocol.log.ops import Agree

#: A breach costs its floor twice, for the seller and to be burned: so no bond can be moved to a friend whole.
FLOOR_TIMES: Final = 2


def record_agreement(at: Evaluation, op: Agree, _: int) -> None:
    """The rule of `agree`: a promise in the buyer's log, or in the seller's the receipt that binds it."""
    agreement = _read(at, op)
    key = agreement_id(at.view.network, op.agreement)
    if at.author == agreement.seller:
        _bind(at, op, agreement, key)
    else:
        _promise(at, op, agreement, key)


def _read(at: Evaluation, op: Agree) -> Agreement:
    if at.is_certified:
        return decode_agreement(op.agreement)
    return load_agreement(op.agreement, at.view.network, op.buyer_signature, op.seller_signature)


def _promise(at: Evaluation, op: Agree, agreement: Agreement, key: bytes) -> None:
    if agreement.buyer != at.author or at.find("promises", key, Promise) is not None:
        raise Invalid("bad_agreement", "recorded once, in the buyer's log")
    if op.receipt is not None or op.receipt_signature is not None or (op.hash is None) != (op.commit is None):
        raise Invalid("bad_agreement", "a buyer names hash and commit together or neither, and no receipt")
    if not at.question(agreement.question).is_commit_open(at.epoch):
        raise Invalid("wrong_phase", "the commit phase is not open")
    place = agreement.question + at.author
    entrant = at.find("entrants", place, Entrant) or Entrant()
    promised = entrant.promised_ppm + agreement.min_weight_ppm
    if promised > PPM:
        raise Invalid("too_many", f"promised weights add up to {promised} ppm")
    at.put("entrants", place, replace(entrant, promised_ppm=promised))
    at.put("promises", key, _row(op, agreement))
    if agreement.floor:
        validate_backed(at, backed_claims(at.view.sealed, at.author))


def _row(op: Agree, agreement: Agreement) -> Promise:
    return Promise(
        agreement.question,
        agreement.buyer,
        agreement.seller,
        agreement.min_weight_ppm,
        agreement.min_wager,
        agreement.floor,
        agreement.deliver,
        op.hash,
        op.commit,
    )


def _bind(at: Evaluation, op: Agree, agreement: Agreement, key: bytes) -> None:
    if op.receipt is None or op.receipt_signature is None or op.hash is not None or op.commit is not None:
        raise Invalid("bad_agreement", "a seller records the buyer's receipt, and nothing else")
    name = decode_receipt(op.receipt, key).commit
    if not at.is_certified:
        verify_receipt(agreement.buyer, at.view.network, op.receipt, op.receipt_signature)
    # Only what is sealed can be bound: two logs would write one row otherwise.
    sealed = at.view.sealed.find("promises", key, Promise)
    if sealed is None:
        raise Invalid("unknown_promise", key.hex())
    promise, commit = at.find("promises", key, Promise) or sealed, at.find("commits", name, Commit)
    if promise.bound:
        raise Invalid("duplicate", "the promise is bound already")
    if commit is None or (commit.author, commit.question) != (promise.seller, promise.question):
        raise Invalid("unknown_commit", name.hex())
    at.put("promises", key, replace(promise, commit=name, bound=True))


def validate_backed(at: Evaluation, others: int = 0) -> None:
    """The author's bond as agent covers its floors and `others` beside; Invalid("insufficient_bond")."""
    fresh = (
        row
        for rows in (at.view.rows, at.delta.rows)
        for row in rows.values()
        if isinstance(row, Promise) and row.buyer == at.author
    )
    owed = sealed_floors(at.view.sealed, at.author) + floors(fresh) + others
    bond = at.view.account.agent - at.leaving("agent")
    if owed > bond:
        raise Invalid("insufficient_bond", f"{bond} as agent, {owed} to answer for")


def floors(promises: Iterable[Promise]) -> int:
    """What the buyers of these promises answer for with their bonds, in atomic units."""
    return FLOOR_TIMES * sum(promise.floor for promise in promises)


def sealed_floors(state: State, buyer: bytes) -> int:
    """What a buyer's agent bond answers for in sealed promises, in atomic units."""
    return floors(promise for _, promise in state.rows("promises", Promise) if promise.buyer == buyer)


def backed_claims(state: State, seller: bytes) -> int:
    """What a seller's agent bond answers for in pending claims, in atomic units."""
    backed = (key for key, claim in state.rows("claims", Claim) if claim.backed is not None)
    locks = (state.find("locks", key, Lock) for key in backed)
    return sum(lock.amount for lock in locks if lock is not None and lock.to == seller)
