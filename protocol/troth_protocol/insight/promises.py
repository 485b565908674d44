"""Binding promises when their question ends: whoever did not cite as it promised pays for it, by nobody's accusation.

A promise is kept if a revealed commit of the buyer with a wager of `min_wager` or more cites the delivered commit with
the promised weight. If not, and the delivered commit was revealed, then with the means of the buyer's richest commit

    imposed = means * weight_ppm // (2 * 10**6)     what the promised weight would have paid (a signal has G = 0)
    omitted = max(0, imposed - paid)                paid: what the buyer's citations of it paid
    damages = max(0, max(floor, imposed) - paid)    goes to the seller
    penalty = max(floor, 2 * omitted)               is burned; it is never below the damages

So the seller has no less than by a kept promise, and the buyer pays at least twice what it saved. Both are taken from
the balance, to which the question has just paid, then from the bond as agent and what of that is unbonding, as far as
there is anything: first all damages of the question in the order of the agreements' ids, then the penalties.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from troth_protocol.insight.contribution import content_key
from troth_protocol.insight.flow import FlowResult
from troth_protocol.insight.oracle import scale_amount
from troth_protocol.insight.results import BreachLine
from troth_protocol.log.bonds import agent_bond, take_agent_bond
from troth_protocol.log.rows import Commit, Promise
from troth_protocol.log.state import TOTALS_KEY, State
from troth_protocol.wire.schema import PPM


@dataclass(frozen=True, slots=True)
class Breach:
    """What a broken promise costs its buyer, in atomic units, however much of it there is."""

    promise: Promise
    commit: bytes
    damages: int
    penalty: int


def find_breach(promise: Promise, commits: Mapping[bytes, Commit], flows: FlowResult | None) -> Breach | None:
    """What this promise costs, or None if nothing. A void question has no `flows`."""
    name = promise.commit
    delivered = None if name is None or not promise.bound else commits.get(name)
    if name is None or delivered is None or not _is_as_sold(promise, delivered):
        return None
    own = {key: c for key, c in commits.items() if c.author == promise.buyer and c.revealed}
    if any(_keeps(promise, name, commit) for commit in own.values()):
        return None
    imposed = paid = 0
    if flows is not None:
        means = max((flows.paid_out[key] + flows.retained[key] for key in own), default=0)
        imposed = means * promise.weight_ppm // (2 * PPM) if _is_earliest(name, commits) else 0
        paid = sum(p.amount for p in flows.payments if p.to_commit == name and p.frm_commit in own)
    damages = max(0, max(promise.floor, imposed) - paid)
    penalty = max(promise.floor, 2 * (imposed - paid))
    return Breach(promise, name, damages, penalty) if penalty > 0 else None


def _is_as_sold(promise: Promise, delivered: Commit) -> bool:
    """The seller's own signal, and it has revealed it."""
    return delivered.author == promise.seller and delivered.revealed and delivered.payload is not None


def _keeps(promise: Promise, name: bytes, commit: Commit) -> bool:
    cited = dict(commit.citations).get(name, 0)
    return commit.wager >= promise.min_wager and cited >= promise.weight_ppm


def _is_earliest(name: bytes, commits: Mapping[bytes, Commit]) -> bool:
    """Would a citation of it be paid? Not if an earlier commit of the same content is cited, too."""
    revealed = {key: commit for key, commit in commits.items() if commit.revealed}
    cited = {key for commit in revealed.values() for key, _ in commit.citations} | {name}
    content = content_key(commits[name].ppm, commits[name].payload)
    same = [
        (commit.epoch, key)
        for key, commit in revealed.items()
        if key in cited and content_key(commit.ppm, commit.payload) == content
    ]
    return min(same) == (commits[name].epoch, name)


def settle_promises(
    state: State,
    promises: Sequence[tuple[bytes, Promise]],
    commits: Mapping[bytes, Commit],
    flows: FlowResult | None,
) -> tuple[BreachLine, ...]:
    """Settle a question's promises (agreement id, row) in order: damages first, then penalties."""
    found = [(key, find_breach(promise, commits, flows)) for key, promise in promises]
    broken = [(key, breach) for key, breach in found if breach is not None]
    paid = [_pay_damages(state, breach) for _, breach in broken]
    burned = [_burn_penalty(state, breach) for _, breach in broken]
    return tuple(
        BreachLine(key, breach.promise.buyer, breach.promise.seller, breach.commit, got, lost)
        for (key, breach), got, lost in zip(broken, paid, burned, strict=True)
    )


def _pay_damages(state: State, breach: Breach) -> int:
    amount = _take(state, breach.promise.buyer, breach.damages)
    seller = state.account(breach.promise.seller)
    state.put("accounts", breach.promise.seller, replace(seller, balance=seller.balance + amount))
    return amount


def _burn_penalty(state: State, breach: Breach) -> int:
    amount = _take(state, breach.promise.buyer, breach.penalty)
    books = state.totals()
    state.put("totals", TOTALS_KEY, replace(books, burned=books.burned + amount))
    return amount


def _take(state: State, buyer: bytes, owed: int) -> int:
    """Take what is there of an amount, the balance first; returns how much it was."""
    account = state.account(buyer)
    part = min(owed, account.balance)
    bonded = min(owed - part, agent_bond(account))
    left = replace(account, balance=account.balance - part)
    state.put("accounts", buyer, take_agent_bond(left, bonded))
    return part + bonded


def scale_promises(state: State, question: bytes, total_value: int, limit: int) -> None:
    """The value cap scales a question's wagers down; what was promised of them shrinks as they do."""
    for key, promise in state.items("promises", Promise):
        if promise.question == question and promise.min_wager:
            least = scale_amount(promise.min_wager, total_value, limit)
            state.put("promises", key, replace(promise, min_wager=least))
