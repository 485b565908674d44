"""Is an entry's every op valid? It depends only on the sealed state, the author's own log and the entry's deps.

One function per op, in one table; each refuses with `Invalid` or adds to the entry's `Delta`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar, cast

from troth_protocol.errors import Invalid
from troth_protocol.genesis import Rules
from troth_protocol.log.asking import check_room, make_question
from troth_protocol.log.bidding import find_auction, make_auction, open_bid, seal_bid
from troth_protocol.log.entry import Entry
from troth_protocol.log.ops import (
    Accuse,
    Agree,
    AskOp,
    Attest,
    AttestReveal,
    AuctionOp,
    BidOp,
    BidReveal,
    Bond,
    CommitOp,
    LockOp,
    Op,
    Resume,
    Reveal,
    Transfer,
    Unbond,
    Unlock,
)
from troth_protocol.log.promising import record_agreement, validate_backed
from troth_protocol.log.rows import (
    ROLES,
    UNBONDING_MAX,
    Account,
    Attestation,
    Auction,
    Bid,
    Claim,
    Commit,
    Entrant,
    Lock,
    Question,
    Row,
)
from troth_protocol.log.sealed import asked_id, attest_digest, auction_id, commit_digest, commit_id, lock_id
from troth_protocol.log.state import State
from troth_protocol.wire.crypto import digest, is_valid_key

R = TypeVar("R")
RowKey: TypeAlias = tuple[str, bytes]

LOCK_EPOCHS_MAX = 1_000
LOCK_EPOCHS_MIN = 2
#: So many offences end an account.
OFFENCES_MAX = 2
_FEES_NONE, _FEES_ONE, _FEES_DUTY, _FEES_LOCK = 0, 1, 2, 3


@dataclass(slots=True)
class Delta:
    """What one entry changes: its author's spending, credits to others, rows, and what the close executes."""

    author: bytes
    spent: int = 0
    burned: int = 0
    credits: list[tuple[bytes, int]] = field(default_factory=list)
    rows: dict[RowKey, Row] = field(default_factory=dict)
    bonded: list[tuple[str, int]] = field(default_factory=list)
    unbonded: list[tuple[str, int]] = field(default_factory=list)
    reveals: list[tuple[bytes, bytes]] = field(default_factory=list)
    accusations: list[bytes] = field(default_factory=list)
    resumed: bool = False

    def credit_to(self, key: bytes) -> int:
        """What this entry pays to one account."""
        return sum(amount for to, amount in self.credits if to == key)


@dataclass(slots=True)
class LogView:
    """One author's account as its own log has left it: the sealed account, less what it spent this epoch."""

    network: bytes
    rules: Rules
    epoch: int
    author: bytes
    sealed: State
    account: Account
    balance: int
    rows: dict[RowKey, Row] = field(default_factory=dict)
    unbonded: dict[str, int] = field(default_factory=dict)
    deps: set[bytes] = field(default_factory=set)
    is_resumed: bool = False

    @classmethod
    def open(cls, network: bytes, rules: Rules, epoch: int, sealed: State, author: bytes) -> LogView:
        """The view before the first entry of the epoch."""
        account = sealed.account(author)
        return cls(network, rules, epoch, author, sealed, account, account.balance)

    def apply(self, entry: Entry, delta: Delta, dep_deltas: Mapping[bytes, Delta]) -> None:
        """Take a stored entry's changes in."""
        self.balance += self.new_credit(entry, dep_deltas) - delta.spent
        self.deps.update(entry.deps)
        self.rows.update(delta.rows)
        self.is_resumed |= delta.resumed
        for role, amount in delta.unbonded:
            self.unbonded[role] = self.unbonded.get(role, 0) + amount

    def new_credit(self, entry: Entry, dep_deltas: Mapping[bytes, Delta]) -> int:
        """What deps not relied on before pay to this author."""
        if not entry.deps:
            return 0
        return sum(dep_deltas[dep].credit_to(self.author) for dep in entry.deps if dep not in self.deps)


class Evaluation:
    """One entry being evaluated: the view below, the delta above.

    With `is_certified` the signatures inside ops are taken as checked: a quorum's honest part has checked them.
    """

    def __init__(
        self, view: LogView, entry: Entry, dep_deltas: Mapping[bytes, Delta], *, is_certified: bool
    ) -> None:
        self.is_certified = is_certified
        self.view = view
        self.entry = entry
        self.rules = view.rules
        self.epoch = view.epoch
        self.author = view.author
        self.delta = Delta(view.author)
        self._budget = view.balance + view.new_credit(entry, dep_deltas)
        self._dep_rows = [dep_deltas[dep].rows for dep in entry.deps]

    def spend(self, amount: int) -> None:
        """Take an amount from the author's balance; Invalid("insufficient_balance")."""
        if self.delta.spent + amount > self._budget:
            raise Invalid("insufficient_balance", f"{self._budget - self.delta.spent} left, {amount} needed")
        self.delta.spent += amount

    def burn(self, amount: int) -> None:
        """Spend a fee."""
        self.spend(amount)
        self.delta.burned += amount

    def find(self, table: str, key: bytes, kind: type[R]) -> R | None:
        """A row as this entry sees it: its own, its log's, its deps', the sealed one."""
        place = (table, key)
        for rows in (self.delta.rows, self.view.rows, *self._dep_rows):
            if place in rows:
                return cast("R", rows[place])
        return self.view.sealed.find(table, key, kind)

    def put(self, table: str, key: bytes, row: Row) -> None:
        """Record a row."""
        self.delta.rows[table, key] = row

    def leaving(self, role: str) -> int:
        """What the author's entries of this epoch unbond in one role."""
        return self.view.unbonded.get(role, 0) + sum(a for r, a in self.delta.unbonded if r == role)

    def question(self, key: bytes) -> Question:
        """A question under way; Invalid("unknown_question")."""
        return self.view.sealed.question(key)


def evaluate(
    view: LogView, entry: Entry, dep_deltas: Mapping[bytes, Delta], *, is_certified: bool = False
) -> Delta:
    """Evaluate all ops of an entry on a view; Invalid names the first rule that is broken."""
    _validate_standing(view, entry)
    evaluation = Evaluation(view, entry, dep_deltas, is_certified=is_certified)
    for index, op in enumerate(entry.ops):
        make, fees = _RULES[type(op)]
        evaluation.burn(fees * evaluation.rules.fee)
        make(evaluation, op, index)
    return evaluation.delta


def _validate_standing(view: LogView, entry: Entry) -> None:
    if view.account.offences >= OFFENCES_MAX:
        raise Invalid("tombstoned", "two offences end an account")
    resumes = isinstance(entry.ops[0], Resume)
    if view.account.frozen and not view.is_resumed and not resumes:
        raise Invalid("frozen", "the first entry after a freeze contains resume")


def _transfer(at: Evaluation, op: Transfer, _: int) -> None:
    if op.amount < 1 or op.to == at.author:
        raise Invalid("bad_amount", "a transfer pays a positive amount to somebody else")
    _pay_into(at, op.to)
    at.spend(op.amount)
    at.delta.credits.append((op.to, op.amount))


def _pay_into(at: Evaluation, to: bytes) -> None:
    if at.view.sealed.find("accounts", to, Account) is None:
        if not is_valid_key(to):
            raise Invalid("bad_key", to.hex())
        at.burn(at.rules.creation_fee)


def _bond(at: Evaluation, op: Bond, _: int) -> None:
    if op.amount < 1:
        raise Invalid("bad_amount", "a bond is positive")
    at.spend(op.amount)
    at.delta.bonded.append((op.role, op.amount))


def _unbond(at: Evaluation, op: Unbond, _: int) -> None:
    leaving = at.leaving(op.role)
    if op.amount < 1 or leaving + op.amount > at.view.account.bond(op.role):
        raise Invalid("insufficient_bond", f"{at.view.account.bond(op.role) - leaving} left as {op.role}")
    # A close adds one amount a role, and a row that is too long could never be read back.
    if len(at.view.account.unbonding) + len(ROLES) > UNBONDING_MAX:
        raise Invalid("too_many", f"{len(at.view.account.unbonding)} amounts are unbonding")
    at.delta.unbonded.append((op.role, op.amount))
    if op.role == "agent":
        validate_backed(at)


def _resume(at: Evaluation, op: Resume, index: int) -> None:
    account = at.view.account
    if index or at.view.is_resumed or not account.frozen:
        raise Invalid("not_frozen", "resume opens the first entry after a freeze")
    if (op.seq, op.head) != (account.seq, account.head):
        raise Invalid("wrong_head", "resume names the head in the seal")
    at.delta.resumed = True


def _lock(at: Evaluation, op: LockOp, index: int) -> None:
    if op.to == at.author:
        raise Invalid("bad_amount", "a lock is in favour of somebody else")
    if not at.epoch + LOCK_EPOCHS_MIN <= op.until <= at.epoch + LOCK_EPOCHS_MAX:
        raise Invalid("bad_epoch", f"until is {LOCK_EPOCHS_MIN} to {LOCK_EPOCHS_MAX} epochs away")
    _pay_into(at, op.to)
    at.spend(op.amount)
    at.put("locks", lock_id(at.entry.id, index), Lock(at.author, op.to, op.amount, op.hash, op.until))


def _unlock(at: Evaluation, op: Unlock, _: int) -> None:
    lock = at.find("locks", op.lock, Lock)
    if lock is None or lock.to != at.author:
        raise Invalid("unknown_lock", op.lock.hex())
    if at.epoch > lock.until or at.find("claims", op.lock, Claim) is not None:
        raise Invalid("lock_over", "the lock is claimed or past its epoch")
    if digest(op.preimage) != lock.hash:
        raise Invalid("wrong_preimage", op.lock.hex())
    at.put("claims", op.lock, Claim(op.preimage, at.epoch))


def _commit(at: Evaluation, op: CommitOp, _: int) -> None:
    if not at.question(op.question).is_commit_open(at.epoch):
        raise Invalid("wrong_phase", "the commit phase is not open")
    key = commit_id(at.view.network, at.author, op.question, op.digest)
    if at.find("commits", key, Commit) is not None:
        raise Invalid("duplicate", "this digest is committed already")
    entrant = at.find("entrants", op.question + at.author, Entrant) or Entrant()
    at.put("entrants", op.question + at.author, _entered(at.rules, entrant, op.wager))
    at.spend(op.wager)
    at.put("commits", key, Commit(at.author, op.question, op.digest, op.wager, at.epoch))


def _entered(rules: Rules, entrant: Entrant, wager: int) -> Entrant:
    if wager == 0:
        if entrant.signals >= rules.signals_max:
            raise Invalid("too_many", f"at most {rules.signals_max} commits without a wager")
        return replace(entrant, signals=entrant.signals + 1)
    if wager < rules.min_wager:
        raise Invalid("bad_amount", f"a wager is at least {rules.min_wager}")
    if entrant.wagered:
        raise Invalid("duplicate", "one wagering commit per author and question")
    return replace(entrant, wagered=True)


def _reveal(at: Evaluation, op: Reveal, _: int) -> None:
    commit = at.find("commits", op.commit, Commit)
    if commit is None or commit.author != at.author:
        raise Invalid("unknown_commit", op.commit.hex())
    if not at.question(commit.question).is_reveal_open(at.epoch):
        raise Invalid("wrong_phase", "the reveal phase is not open")
    if commit.revealed:
        raise Invalid("duplicate", "this commit is revealed already")
    sealed = commit_digest(at.view.network, at.author, commit.question, op.salt, op.contribution)
    if sealed != commit.digest:
        raise Invalid("bad_digest", "the contribution does not open the commit")
    at.put("commits", op.commit, replace(commit, revealed=True))
    at.delta.reveals.append((op.commit, op.contribution))


def _attest(at: Evaluation, op: Attest, _: int) -> None:
    question = at.question(op.question)
    if not question.is_attest_open(at.epoch):
        raise Invalid("wrong_phase", "the attest phase is not open")
    place = op.question + at.author
    duty = at.find("attestations", place, Attestation)
    if duty is None:
        raise Invalid("insufficient_bond", "attesting needs an attester bond from before the vote began")
    if duty.digest is not None:
        raise Invalid("duplicate", "one attestation per author, question and round")
    at.put("attestations", place, replace(duty, digest=op.digest))


def _attest_reveal(at: Evaluation, op: AttestReveal, _: int) -> None:
    question = at.question(op.question)
    if not question.is_attest_reveal_open(at.epoch):
        raise Invalid("wrong_phase", "the attest-reveal phase is not open")
    place = op.question + at.author
    vote = at.find("attestations", place, Attestation)
    if vote is None or vote.digest is None or vote.outcome is not None:
        raise Invalid("unknown_commit", "no unopened attestation in this round")
    if op.outcome >= len(question.prior):
        raise Invalid("bad_outcome", str(op.outcome))
    if attest_digest(at.view.network, at.author, op.question, op.salt, op.outcome) != vote.digest:
        raise Invalid("bad_digest", "the outcome does not open the attestation")
    at.put("attestations", place, replace(vote, outcome=op.outcome))


def _accuse(at: Evaluation, op: Accuse, _: int) -> None:
    at.delta.accusations.append(op.evidence)


def _auction(at: Evaluation, op: AuctionOp, _: int) -> None:
    made = make_auction(op, at.author, at.epoch)
    commit = at.find("commits", op.commit, Commit)
    if commit is None or commit.author != at.author:
        raise Invalid("unknown_commit", op.commit.hex())
    key = auction_id(at.view.network, at.author, op.commit, op.hashlock)
    if at.find("auctions", key, Auction) is not None:
        raise Invalid("duplicate", "this commit is for sale under this hash already")
    at.spend(op.cap)
    at.put("auctions", key, made)
    at.put("bids", key + at.author, Bid(op.reserve, op.cap))


def _bid(at: Evaluation, op: BidOp, _: int) -> None:
    auction, place = find_auction(at.view.sealed, op.auction), op.auction + at.author
    at.put("bids", place, seal_bid(auction, at.find("bids", place, Bid), op.digest, at.epoch))
    at.spend(auction.cap)


def _bid_reveal(at: Evaluation, op: BidReveal, _: int) -> None:
    auction, place = find_auction(at.view.sealed, op.auction), op.auction + at.author
    known = at.find("bids", place, Bid)
    at.put("bids", place, open_bid(auction, known, at.view.network, at.author, op, at.epoch))


def _ask(at: Evaluation, op: AskOp, index: int) -> None:
    made = make_question(op, at.author, at.epoch, at.rules)
    check_room(at.view.sealed, [*at.view.rows, *at.delta.rows], at.rules)
    at.burn(at.rules.fee * (made.closes() - at.epoch))
    at.spend(op.bounty)
    at.put("questions", asked_id(at.entry.id, index), made)


#: op class -> (its rule, how many fees it burns: opening a sealed thing is prepaid by sealing it)
_RULES: Mapping[type[Op], tuple[Callable[[Evaluation, Op, int], None], int]] = cast(
    "Mapping[type[Op], tuple[Callable[[Evaluation, Op, int], None], int]]",
    {
        Transfer: (_transfer, _FEES_ONE),
        Bond: (_bond, _FEES_ONE),
        Unbond: (_unbond, _FEES_ONE),
        Resume: (_resume, _FEES_NONE),
        LockOp: (_lock, _FEES_LOCK),
        Unlock: (_unlock, _FEES_NONE),
        CommitOp: (_commit, _FEES_DUTY),
        Reveal: (_reveal, _FEES_NONE),
        Agree: (record_agreement, _FEES_ONE),
        Attest: (_attest, _FEES_DUTY),
        AttestReveal: (_attest_reveal, _FEES_NONE),
        Accuse: (_accuse, _FEES_ONE),
        AuctionOp: (_auction, _FEES_DUTY),
        BidOp: (_bid, _FEES_DUTY),
        BidReveal: (_bid_reveal, _FEES_NONE),
        AskOp: (_ask, _FEES_ONE),
    },
)
