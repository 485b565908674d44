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

from collections import Counter
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


class Ended:
    """The commits of a question that has ended, by what promises ask of them: each is looked at once for all.

    A void question has no `flows`.
    """

    def __init__(self, commits: Mapping[bytes, Commit], flows: FlowResult | None) -> None:
        self.commits = commits
        self.flows = flows
        self._own: dict[bytes, dict[bytes, Commit]] = {}
        for key, commit in commits.items():
            if commit.revealed:
                self._own.setdefault(commit.author, {})[key] = commit
        self._first = self._earliest_cited()
        self._paid: Counter[tuple[bytes, bytes]] = Counter()
        for payment in () if flows is None else flows.payments:
            self._paid[commits[payment.frm_commit].author, payment.to_commit] += payment.amount

    def _earliest_cited(self) -> dict[bytes | None, tuple[int, bytes]]:
        """By content, the cited commit that is paid for it."""
        revealed = {key: commit for own in self._own.values() for key, commit in own.items()}
        cited = {key for commit in revealed.values() for key, _ in commit.citations}
        first: dict[bytes | None, tuple[int, bytes]] = {}
        for key in cited & revealed.keys():
            place = (revealed[key].epoch, key)
            content = _content(revealed[key])
            first[content] = min(place, first.get(content, place))
        return first

    def own(self, author: bytes) -> Mapping[bytes, Commit]:
        """What an author has revealed."""
        return self._own.get(author, {})

    def imposed(self, buyer: bytes, weight_ppm: int, name: bytes) -> int:
        """What this weight would have paid in the buyer's richest commit. Nothing if an earlier signal with the same
        content is cited itself.
        """
        place = (self.commits[name].epoch, name)
        if self.flows is None or self._first.get(_content(self.commits[name]), place) < place:
            return 0
        means = (self.flows.paid_out[key] + self.flows.retained[key] for key in self.own(buyer))
        return max(means, default=0) * weight_ppm // (2 * PPM)

    def paid(self, buyer: bytes, name: bytes) -> int:
        """What the buyer's citations of this commit have paid."""
        return self._paid[buyer, name]


def _content(commit: Commit) -> bytes | None:
    return content_key(commit.ppm, commit.payload)


def find_breach(promise: Promise, ended: Ended) -> Breach | None:
    """What this promise costs its buyer, or None if nothing."""
    name = promise.commit
    delivered = None if name is None or not promise.bound else ended.commits.get(name)
    if name is None or delivered is None or not _is_as_sold(promise, delivered):
        return None
    if any(_keeps(promise, name, commit) for commit in ended.own(promise.buyer).values()):
        return None
    imposed = ended.imposed(promise.buyer, promise.weight_ppm, name)
    paid = ended.paid(promise.buyer, name)
    damages = max(0, max(promise.floor, imposed) - paid)
    penalty = max(promise.floor, 2 * (imposed - paid))
    return Breach(promise, name, damages, penalty) if penalty > 0 else None


def _is_as_sold(promise: Promise, delivered: Commit) -> bool:
    """The seller's own signal, and it has revealed it."""
    return delivered.author == promise.seller and delivered.revealed and delivered.payload is not None


def _keeps(promise: Promise, name: bytes, commit: Commit) -> bool:
    cited = dict(commit.citations).get(name, 0)
    return commit.wager >= promise.min_wager and cited >= promise.weight_ppm


def settle_promises(
    state: State,
    promises: Sequence[tuple[bytes, Promise]],
    commits: Mapping[bytes, Commit],
    flows: FlowResult | None,
) -> tuple[BreachLine, ...]:
    """Settle a question's promises (agreement id, row) in order: damages first, then penalties."""
    if not promises:
        return ()
    ended = Ended(commits, flows)
    found = [(key, find_breach(promise, ended)) for key, promise in promises]
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


def scale_promises(state: State, capped: Mapping[bytes, tuple[int, int]]) -> None:
    """The value cap scales wagers down; what was promised of them shrinks as they do.

    `capped` are (total value, limit) of `scale_amount` by question.
    """
    if not capped:
        return
    for key, promise in state.items("promises", Promise):
        if promise.question in capped and promise.min_wager:
            least = scale_amount(promise.min_wager, *capped[promise.question])
            state.put("promises", key, replace(promise, min_wager=least))
