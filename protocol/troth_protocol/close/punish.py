"""Punishing offences at a close: one offence once, the reporter's part capped, the rest burned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from troth_protocol.close.claims import misdelivered, return_price, slash_seller
from troth_protocol.errors import Invalid
from troth_protocol.evidence import ENTRY_FORK, MISDELIVERY, VOTE_FORK, Proof, verify_evidence
from troth_protocol.genesis import Rules
from troth_protocol.log.rows import Account, Offence
from troth_protocol.log.state import TOTALS_KEY, State
from troth_protocol.market.exchange import ExchangeTerms
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.schema import PPM


def punish(
    state: State,
    rules: Rules,
    network: bytes,
    epoch: int,
    accusations: Sequence[tuple[bytes | None, bytes]],
) -> list[tuple[bytes, Offence]]:
    """Execute every piece of (reporter, evidence) that proves a new offence within the evidence window."""
    done: list[tuple[bytes, Offence]] = []
    for reporter, evidence in accusations:
        try:
            proof = verify_evidence(evidence, network)
        except Invalid:
            continue
        if proof.terms is not None:
            done += _undo_exchange(state, rules, epoch, proof.terms, reporter)
            continue
        # Anybody can make up a key and let it offend: whoever has no account has nothing to lose.
        is_known = state.find("accounts", proof.offender, Account) is not None
        if is_known and is_due(state, rules, epoch, proof):
            done.append(_convict(state, rules, epoch, proof, reporter))
    return done


def _undo_exchange(
    state: State, rules: Rules, epoch: int, terms: ExchangeTerms, reporter: bytes | None
) -> list[tuple[bytes, Offence]]:
    """Return the price of every lock that was claimed under broken terms, and let the seller's bond pay for each."""
    done: list[tuple[bytes, Offence]] = []
    for lock_key, lock, claim in misdelivered(state, terms):
        return_price(state, lock_key, lock)
        account = state.account(terms.seller)
        left = slash_seller(account, lock.amount, rules)
        taken = account.worth() - left.worth()
        key = offence_key(MISDELIVERY, terms.seller)
        known = state.find("offences", key, Offence)
        # Everything up to the close that first punishes it is one offence; each lock is paid for all the same.
        is_new = known is None or claim.epoch > known.closed
        state.put("accounts", terms.seller, replace(left, offences=left.offences + is_new))
        _distribute(state, rules, taken, reporter if reporter != terms.seller else None)
        closed = epoch if known is None or is_new else known.closed
        offence = Offence(MISDELIVERY, terms.seller, claim.epoch, closed, taken)
        state.put("offences", key, offence)
        done.append((key, offence))
    return done


def offence_key(kind: str, offender: bytes) -> bytes:
    """One row per offender and kind of offence."""
    return digest(kind.encode() + b"/" + offender)


def is_due(state: State, rules: Rules, epoch: int, proof: Proof) -> bool:
    """Is this a new offence for the close of an epoch, within the evidence window?"""
    known = state.find("offences", offence_key(proof.kind, proof.offender), Offence)
    # Everything up to the close that first punishes it is one offence.
    is_new = known is None or proof.epoch > known.closed
    return is_new and epoch - rules.evidence_epochs <= proof.epoch <= epoch


def _convict(
    state: State, rules: Rules, epoch: int, proof: Proof, reporter: bytes | None
) -> tuple[bytes, Offence]:
    share = {ENTRY_FORK: rules.slash_author_ppm, VOTE_FORK: rules.slash_witness_ppm}[proof.kind]
    account = state.account(proof.offender)
    slashed_account = _slash(account, share)
    taken = account.worth() - slashed_account.worth()
    state.put(
        "accounts",
        proof.offender,
        replace(
            slashed_account,
            frozen=account.frozen or proof.kind == ENTRY_FORK,
            offences=account.offences + 1,
        ),
    )
    _distribute(state, rules, taken, reporter if reporter != proof.offender else None)
    key = offence_key(proof.kind, proof.offender)
    offence = Offence(proof.kind, proof.offender, proof.epoch, epoch, taken)
    state.put("offences", key, offence)
    return key, offence


def _slash(account: Account, share_ppm: int) -> Account:
    def left(amount: int) -> int:
        return amount - amount * share_ppm // PPM

    return replace(
        account,
        witness=left(account.witness),
        attester=left(account.attester),
        agent=left(account.agent),
        unbonding=tuple((role, left(amount), leaves) for role, amount, leaves in account.unbonding),
    )


def _distribute(state: State, rules: Rules, taken: int, reporter: bytes | None) -> None:
    part = 0
    if reporter is not None:
        part = min(taken * rules.reporter_ppm // PPM, rules.reporter_max)
        account = state.account(reporter)
        state.put("accounts", reporter, replace(account, balance=account.balance + part))
    books = state.totals()
    state.put("totals", TOTALS_KEY, replace(books, burned=books.burned + taken - part))
