"""Punishing offences at a close: one offence once, the reporter's part capped, the rest burned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from troth_protocol.errors import Invalid
from troth_protocol.evidence import BY_NAME, Proof, verify_evidence
from troth_protocol.genesis import Rules
from troth_protocol.log.rows import Account, Offence
from troth_protocol.log.state import TOTALS_KEY, State
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
        if is_due(state, rules, epoch, proof):
            done.append(_convict(state, rules, epoch, proof, reporter))
    return done


def offence_key(kind: str, offender: bytes) -> bytes:
    """One row per offender and kind of offence."""
    return digest(kind.encode() + b"/" + offender)


def is_due(state: State, rules: Rules, epoch: int, proof: Proof) -> bool:
    """Is this a new offence for the close of an epoch, within the evidence window?"""
    # Anybody can make up a key and let it offend: whoever has no account has nothing to lose.
    if state.find("accounts", proof.offender, Account) is None:
        return False
    known = state.find("offences", offence_key(proof.kind, proof.offender), Offence)
    # Everything up to the close that first punishes it is one offence.
    is_new = known is None or proof.epoch > known.closed
    return is_new and epoch - rules.evidence_epochs <= proof.epoch <= epoch


def _convict(
    state: State, rules: Rules, epoch: int, proof: Proof, reporter: bytes | None
) -> tuple[bytes, Offence]:
    row = BY_NAME[proof.kind]
    account = state.account(proof.offender)
    slashed = _slash(account, row.share_ppm(rules))
    taken = account.worth() - slashed.worth()
    state.put(
        "accounts",
        proof.offender,
        replace(
            slashed,
            frozen=account.frozen or row.is_freezing,
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
