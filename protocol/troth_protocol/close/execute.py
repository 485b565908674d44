"""Executing a close: the next state is a pure function of the sealed state and the agreed cut, to the unit.

Order: logs, claims, offences, payments and refunds, auctions, questions, releases, mint, the next witness set, and
new questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from troth_protocol.close.auctions import advance_auctions
from troth_protocol.close.claims import apply_claims, settle_locks
from troth_protocol.close.findings import Findings
from troth_protocol.close.punish import punish
from troth_protocol.errors import Invalid, TrothError
from troth_protocol.genesis import WITNESS_SHARE, Genesis
from troth_protocol.insight.contribution import load_contribution
from troth_protocol.insight.lifecycle import advance_questions, open_questions
from troth_protocol.insight.results import Settlement, emission_leaves
from troth_protocol.insight.sponsor import admit_questions
from troth_protocol.log.book import Stored
from troth_protocol.log.committee import Committee, Member
from troth_protocol.log.rows import ROLES, Account, Attendance, Attestation, Commit, Offence
from troth_protocol.log.state import TOTALS_KEY, State
from troth_protocol.market.sale import Sale, sale_leaves
from troth_protocol.wire.codec import encode
from troth_protocol.wire.merkle import leaf_hash, root

#: A bond that starts to leave still weighs in the next epoch, whose set was drawn before.
UNBOND_LAG_EPOCHS: Final = 2
_QUESTION_BYTES: Final = 32


@dataclass(frozen=True)
class Closed:
    """The result of a close: the new state, the next witness set, what was settled and punished, how many entries."""

    state: State
    committee: Committee
    settlements: tuple[Settlement, ...]
    offences: tuple[tuple[bytes, Offence], ...]
    entries: int
    sales: tuple[Sale, ...] = ()

    @cached_property
    def emissions_root(self) -> bytes:
        """Merkle root over the lines of the settlements, then of the sales, in order."""
        return root(emission_leaves(self.settlements) + sale_leaves(self.sales))

    @cached_property
    def evidence_root(self) -> bytes:
        """Merkle root over the punished offences, in order."""
        return root([leaf_hash(key + encode([o.kind, o.offender, o.epoch])) for key, o in self.offences])


@dataclass(frozen=True, slots=True)
class Close:
    """What a close works on: the network's constants, the epoch and its witness set."""

    genesis: Genesis
    network: bytes
    epoch: int
    committee: Committee


def execute(close: Close, sealed: State, cut: Findings, logs: Mapping[bytes, Sequence[Stored]]) -> Closed:
    """Compute the state after a close; `logs` holds each log of the cut, in order, up to its head there.

    Raises TrothError if an invariant of the books would break (which no valid cut can do).
    """
    state = sealed.copy()
    for author in sorted(logs):
        _apply_log(state, close, author, logs[author])
    apply_claims(state, cut.claims, close.epoch)
    offences = punish(state, close.genesis.rules, close.network, close.epoch, _accusations(cut, logs))
    settle_locks(state, close.epoch)
    sales = advance_auctions(state, close.network, close.epoch)
    settlements = advance_questions(state, close.genesis, close.epoch)
    _release_bonds(state, close.epoch)
    _count_attendance(state, close, cut)
    _advance_totals(state, close.genesis, close.epoch)
    committee = _next_committee(sealed, state, close, offences)
    admit_questions(state, sealed, close.genesis.rules)
    open_questions(state, close.genesis, close.network, close.epoch + 1)
    if not state.is_conserved():
        raise TrothError(f"the books of epoch {close.epoch} do not balance")
    entries = sum(map(len, logs.values()))
    return Closed(state, committee, tuple(settlements), tuple(offences), entries, tuple(sales))


def _accusations(cut: Findings, logs: Mapping[bytes, Sequence[Stored]]) -> list[tuple[bytes | None, bytes]]:
    found: list[tuple[bytes | None, bytes]] = [
        (author, evidence)
        for author in sorted(logs)
        for stored in logs[author]
        for evidence in stored.delta.accusations
    ]
    return found + [(None, cut.evidence[key]) for key in sorted(cut.evidence)]


def _apply_log(state: State, close: Close, author: bytes, log: Sequence[Stored]) -> None:
    last = log[-1].entry
    account = state.account(author)
    spent = sum(stored.delta.spent for stored in log)
    resumed = any(stored.delta.resumed for stored in log)
    state.put(
        "accounts",
        author,
        replace(
            _rebond(account, close, log),
            balance=account.balance - spent,
            seq=last.header.seq,
            head=last.id,
            incarnation=last.header.incarnation,
            frozen=account.frozen and not resumed,
        ),
    )
    for stored in log:
        _apply_entry(state, close, stored)


def _rebond(account: Account, close: Close, log: Sequence[Stored]) -> Account:
    bonds = {role: account.bond(role) for role in ROLES}
    unbonding = list(account.unbonding)
    leaving: dict[str, int] = {}
    leaves = _leaves(close)
    for stored in log:
        for role, amount in stored.delta.bonded:
            bonds[role] += amount
        for role, amount in stored.delta.unbonded:
            bonds[role] -= amount
            leaving[role] = leaving.get(role, 0) + amount
    # One item a role and epoch, however many ops: the row stays short enough to be read back.
    unbonding += [(role, leaving[role], leaves) for role in ROLES if role in leaving]
    return replace(
        account,
        witness=bonds["witness"],
        attester=bonds["attester"],
        agent=bonds["agent"],
        unbonding=tuple(unbonding),
    )


def _apply_entry(state: State, close: Close, stored: Stored) -> None:
    delta = stored.delta
    for (table, key), row in sorted(delta.rows.items(), key=lambda item: item[0]):
        state.put(table, key, row)
    for key, contribution in delta.reveals:
        _open_commit(state, close.genesis.rules.epsilon_ppm, key, contribution)
    for to, amount in delta.credits:
        account = state.account(to)
        state.put("accounts", to, replace(account, balance=account.balance + amount))
    if delta.burned:
        books = state.totals()
        state.put("totals", TOTALS_KEY, replace(books, burned=books.burned + delta.burned))
    if any(role == "witness" for role, _ in delta.bonded):
        state.put("attendance", delta.author, Attendance())


def _open_commit(state: State, epsilon_ppm: int, key: bytes, contribution: bytes) -> None:
    commit = state.find("commits", key, Commit)
    if commit is None:
        return
    question = state.question(commit.question)
    try:
        opened = load_contribution(contribution, commit.question, len(question.prior), epsilon_ppm)
    except Invalid:
        # A contribution that breaks the rules counts as not revealed: its author sealed it, nobody else.
        state.put("commits", key, replace(commit, revealed=False))
        return
    state.put(
        "commits",
        key,
        replace(commit, revealed=True, ppm=opened.ppm, payload=opened.payload, citations=opened.citations),
    )


def _release_bonds(state: State, epoch: int) -> None:
    accounts = state.rows("accounts", Account)
    ending = {key: row for key, row in accounts if any(leaves <= epoch for _, _, leaves in row.unbonding)}
    at_stake = _votes_at_stake(state) if ending else {}
    for key, account in sorted(ending.items()):
        votes = at_stake.get(key, 0) > account.attester
        left = tuple(
            item for item in account.unbonding if item[2] > epoch or (item[0] == "attester" and votes)
        )
        due = account.worth() - replace(account, unbonding=left).worth()
        state.put("accounts", key, replace(account, balance=account.balance + due, unbonding=left))


def _votes_at_stake(state: State) -> dict[bytes, int]:
    """What each attester may still lose: the most that it had bonded when a vote began that is not counted yet."""
    out: dict[bytes, int] = {}
    for place, duty in state.rows("attestations", Attestation):
        attester = place[_QUESTION_BYTES:]
        out[attester] = max(out.get(attester, 0), duty.bond)
    return out


def _count_attendance(state: State, close: Close, cut: Findings) -> None:
    for member in close.committee.members:
        row = state.find("attendance", member.key, Attendance) or Attendance()
        missed = 0 if member.key in cut.reporters else row.missed + 1
        left_out = row.left_out or missed >= close.genesis.rules.silent_epochs
        if Attendance(missed, left_out) != row:
            state.put("attendance", member.key, Attendance(missed, left_out))


def _advance_totals(state: State, genesis: Genesis, epoch: int) -> None:
    books = state.totals()
    minted = genesis.rules.mint_per_epoch if epoch <= genesis.rules.mint_epochs else 0
    state.put(
        "totals",
        TOTALS_KEY,
        replace(books, epoch=epoch, minted=books.minted + minted, reserve=books.reserve + minted),
    )


def _next_committee(
    sealed: State, state: State, close: Close, offences: Sequence[tuple[bytes, Offence]]
) -> Committee:
    """The largest eligible witness bonds of the state before this close, less whom it convicts."""
    convicted = {offence.offender for _, offence in offences}
    bonded = [(a.witness, key) for key, a in sealed.items("accounts", Account) if a.witness]
    total = sum(weight for weight, _ in bonded)
    eligible = sorted(
        (-weight, key)
        for weight, key in bonded
        if weight * WITNESS_SHARE >= total and key not in convicted and _is_present(state, key)
    )
    chosen = eligible[: close.genesis.rules.witnesses_max]
    if len(chosen) < close.genesis.rules.witnesses_min:
        _keep_bonds(state, close)
        return close.committee
    return Committee(tuple(Member(key, -weight) for weight, key in sorted(chosen, key=lambda item: item[1])))


def _keep_bonds(state: State, close: Close) -> None:
    """Whoever is kept in the set answers for one epoch more: what it unbonds as witness leaves no earlier."""
    leaves = _leaves(close)
    for member in close.committee.members:
        account = state.account(member.key)
        unbonding = tuple(
            (role, amount, max(due, leaves) if role == "witness" else due)
            for role, amount, due in account.unbonding
        )
        if unbonding != account.unbonding:
            state.put("accounts", member.key, replace(account, unbonding=unbonding))


def _leaves(close: Close) -> int:
    """The close that releases what carries weight, or backs something, in the next epoch for the last time."""
    return close.epoch + close.genesis.rules.evidence_epochs + UNBOND_LAG_EPOCHS


def _is_present(state: State, key: bytes) -> bool:
    row = state.find("attendance", key, Attendance)
    return not (row and row.left_out) and state.account(key).offences == 0
