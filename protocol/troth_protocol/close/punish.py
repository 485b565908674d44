"""Punishing offences at a close: one offence once, the reporter's part capped, the rest burned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from troth_protocol.close.claims import misdelivered, return_price, slash_seller
from troth_protocol.close.promises import void_promises
from troth_protocol.errors import Invalid
from troth_protocol.evidence import BY_NAME, MISDELIVERY, Proof, verify_evidence
from troth_protocol.genesis import Rules
from troth_protocol.log.rows import Account, Claim, Lock, Offence
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
            convict = _undo_exchange if proof.kind == MISDELIVERY else _convict
            done.append(convict(state, rules, epoch, proof, reporter))
    return done


def offence_key(kind: str, offender: bytes, place: bytes = b"") -> bytes:
    """One row per offender and kind of offence; per exchange, which is its `place`, for a misdelivery."""
    return digest(kind.encode() + b"/" + offender + place)


def offence_of(proof: Proof) -> bytes:
    """The id of an offence. Each misdelivery is one: it is undone for itself."""
    place = b"".join(part for _, part in proof.place if isinstance(part, bytes))
    return offence_key(proof.kind, proof.offender, place if proof.kind == MISDELIVERY else b"")


def is_due(state: State, rules: Rules, epoch: int, proof: Proof) -> bool:
    """Is this a new offence for the close of an epoch, within the evidence window?

    A misdelivery is one as long as its price can be returned: a lock under its terms is claimed and not paid.
    """
    if proof.kind == MISDELIVERY:
        return bool(_claimed(state, proof))
    # Anybody can make up a key and let it offend: whoever has no account has nothing to lose.
    if state.find("accounts", proof.offender, Account) is None:
        return False
    known = state.find("offences", offence_of(proof), Offence)
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
    key = offence_of(proof)
    offence = Offence(proof.kind, proof.offender, proof.epoch, epoch, taken)
    state.put("offences", key, offence)
    return key, offence


def _undo_exchange(
    state: State, rules: Rules, epoch: int, proof: Proof, reporter: bytes | None
) -> tuple[bytes, Offence]:
    """Return the price of every lock that was claimed under broken terms, and let the seller's bond pay for each."""
    last = _last_misdelivery(state, proof.offender)
    # Everything up to the close that first punishes one of these is one offence; each is paid for all the same.
    is_new, taken = False, 0
    for lock_key, lock, claim in _claimed(state, proof):
        return_price(state, lock_key, lock)
        void_promises(state, lock)
        account = state.account(proof.offender)
        left = slash_seller(account, lock.amount, rules)
        taken += account.worth() - left.worth()
        state.put("accounts", proof.offender, left)
        is_new = is_new or last is None or claim.epoch > last
    account = state.account(proof.offender)
    state.put("accounts", proof.offender, replace(account, offences=account.offences + is_new))
    _distribute(state, rules, taken, reporter if reporter != proof.offender else None)
    closed = epoch if last is None or is_new else last
    offence = Offence(proof.kind, proof.offender, proof.epoch, closed, taken)
    state.put("offences", offence_of(proof), offence)
    return offence_of(proof), offence


def _claimed(state: State, proof: Proof) -> list[tuple[bytes, Lock, Claim]]:
    place = dict(proof.place)
    return misdelivered(state, place["buyer"], proof.offender, place["hash"])


def _last_misdelivery(state: State, seller: bytes) -> int | None:
    """The last close that punished one of this seller's."""
    rows = (row for _, row in state.rows("offences", Offence))
    return max(
        (row.closed for row in rows if (row.kind, row.offender) == (MISDELIVERY, seller)), default=None
    )


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
