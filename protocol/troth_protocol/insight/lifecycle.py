"""The life of questions at the closes: they open, their pots are fixed, their outcomes are tallied, they settle.

Every function changes a state that the caller owns; every amount that leaves one place arrives in another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from troth_protocol.genesis import Genesis, Rules
from troth_protocol.insight.contribution import content_key
from troth_protocol.insight.fixed import floor_log2_ppm
from troth_protocol.insight.flow import FlowNode, FlowResult, flow
from troth_protocol.insight.oracle import (
    Decision,
    Verdict,
    scale_amount,
    scale_wagers,
    settle_attesters,
    tally,
    value_limit,
)
from troth_protocol.insight.prior import compute_prior
from troth_protocol.insight.records import count, take_in
from troth_protocol.insight.results import AttesterLine, ForecastLine, PaymentLine, Settlement
from troth_protocol.insight.rules import score_shares
from troth_protocol.insight.score import Scores, Wager, log_span, score_question
from troth_protocol.insight.sponsor import close_sponsored, forfeit, most, purse, to_purse, turn
from troth_protocol.log.rows import (
    Account,
    Attestation,
    Commit,
    Promise,
    Question,
    TopicRow,
)
from troth_protocol.log.sealed import question_id
from troth_protocol.log.state import State
from troth_protocol.wire.schema import PPM

#: A first vote and up to two re-votes.
ROUNDS = 3
_QUESTION_BYTES = 32


def open_questions(state: State, genesis: Genesis, network: bytes, epoch: int) -> None:
    """Put the standing topics' questions of an epoch into the state, each with the prior of that moment."""
    for topic in genesis.topics:
        key = topic.name.encode()
        empty = tuple((0,) * len(counts) for counts in topic.prior)
        counts = (state.find("topics", key, TopicRow) or TopicRow(empty)).counts
        if topic.prior_fixed:
            counts = empty
        for index in topic.indices(epoch):
            category = topic.category(index)
            prior = compute_prior(counts[category], topic.prior[category], genesis.rules.epsilon_ppm)
            phases = topic.phases
            state.put(
                "questions",
                question_id(network, topic.name, index),
                Question(
                    topic=topic.name,
                    index=index,
                    category=category,
                    opens=epoch,
                    commit=phases.commit,
                    attest=phases.attest,
                    reveal=phases.reveal,
                    attest_reveal=phases.attest_reveal,
                    prior=prior,
                    emission=topic.emission,
                    pot=0,
                    round=0,
                    attest_from=epoch + phases.commit,
                    reveal_from=epoch + phases.commit + phases.attest + phases.reveal,
                ),
            )


def advance_questions(state: State, genesis: Genesis, epoch: int) -> list[Settlement]:
    """Do what the close of an epoch means for each question: by (opens, topic, index), sponsored ones last."""
    entries = _by_question(state)
    ordered = sorted(state.items("questions", Question), key=turn)
    ending = [(key, question) for key, question in ordered if question.commit_last() == epoch]
    _fix_pots(state, genesis, ending, entries)
    closing = [key for key, question in ordered if question.closes() == epoch]
    places = _places(state, frozenset(closing))
    settled = []
    for key in closing:
        duties = _duties(state, places[key])
        settlement = _close_question(state, genesis, epoch, key, entries.get(key, []), duties)
        if not settlement.revote:
            settlement = close_sponsored(state, key, settlement)
            _forget(state, key, places[key])
        settled.append(settlement)
    return settled


def _by_question(state: State) -> dict[bytes, list[tuple[bytes, Commit]]]:
    out: dict[bytes, list[tuple[bytes, Commit]]] = {}
    for key, commit in state.rows("commits", Commit):
        out.setdefault(commit.question, []).append((key, commit))
    for commits in out.values():
        commits.sort(key=itemgetter(0))
    return out


def _places(state: State, questions: frozenset[bytes]) -> dict[bytes, list[tuple[str, bytes]]]:
    """Where rows about these questions stand, besides their own: found in one pass for all of them."""
    out: dict[bytes, list[tuple[str, bytes]]] = {question: [] for question in questions}
    if not questions:
        return out
    for table in ("entrants", "attestations"):
        for key in state.tables[table].rows:
            if key[:_QUESTION_BYTES] in questions:
                out[key[:_QUESTION_BYTES]].append((table, key))
    for key, commit in state.rows("commits", Commit):
        if commit.question in questions:
            out[commit.question].append(("commits", key))
    for key, promise in state.rows("promises", Promise):
        if promise.question in questions:
            out[promise.question].append(("promises", key))
    return out


def _attester_bonds(state: State) -> dict[bytes, int]:
    bonded = [(key, row.attester) for key, row in state.rows("accounts", Account) if row.attester]
    return dict(sorted(bonded))


def _call_attesters(state: State, key: bytes, round_index: int) -> None:
    """A round of votes begins: whoever has an attester bond now owes a vote, and answers for it with that bond."""
    for attester, bond in _attester_bonds(state).items():
        state.put("attestations", key + attester, Attestation(round_index, bond))


def _credit(state: State, key: bytes, amount: int) -> None:
    if amount:
        account = state.account(key)
        state.put("accounts", key, replace(account, balance=account.balance + amount))


def _fix_pots(
    state: State,
    genesis: Genesis,
    ending: Sequence[tuple[bytes, Question]],
    entries: Mapping[bytes, list[tuple[bytes, Commit]]],
) -> None:
    """At the end of the commit phase: cap what rides on the questions by what their oracle is worth, set E aside."""
    rules = genesis.rules
    total_bond = sum(_attester_bonds(state).values())
    limit = value_limit(total_bond, rules.attest_penalty_ppm, rules.value_ppm)
    left = limit
    for key, question in ending:
        wagers = {commit_key: commit.wager for commit_key, commit in entries.get(key, []) if commit.wager}
        staked = sum(wagers.values())
        emission = most(genesis, question, staked)
        # The epoch's cap is shared by the questions whose commit phases end together, in their order.
        scaled, returned = scale_wagers(staked + emission, left, wagers)
        pot = min(scale_amount(emission, staked + emission, left), purse(state, key))
        for commit_key, commit in entries.get(key, []):
            if commit.wager:
                state.put("commits", commit_key, replace(commit, wager=scaled[commit_key]))
                _credit(state, commit.author, returned[commit_key])
        left -= sum(scaled.values()) + pot
        to_purse(state, key, -pot)
        state.put("questions", key, replace(state.question(key), pot=pot))
        _call_attesters(state, key, 0)


def _close_question(
    state: State,
    genesis: Genesis,
    epoch: int,
    key: bytes,
    entries: Sequence[tuple[bytes, Commit]],
    duties: Mapping[bytes, Attestation],
) -> Settlement:
    question = state.question(key)
    # Wagers may have been scaled at an earlier close: read them as they are now.
    commits = [
        (commit_key, state.find("commits", commit_key, Commit) or commit) for commit_key, commit in entries
    ]
    verdict = _tally(question, duties)
    attesters = _settle_attesters(state, genesis.rules, key, verdict, duties)
    if verdict.decision is Decision.REVOTE:
        begin = epoch + 1
        again = replace(
            question, round=question.round + 1, attest_from=begin, reveal_from=begin + question.attest
        )
        state.put("questions", key, again)
        for attester in duties:  # whoever has left since then has no voice any more
            state.drop("attestations", key + attester)
        _call_attesters(state, key, again.round)
        return _settlement(key, question, None, attesters, revote=True)
    if verdict.outcome is None:
        forecasts = _void(state, genesis.rules, key, commits)
        return _settlement(key, question, None, attesters, forecasts)
    return _settle(state, genesis, key, question, verdict.outcome, commits, attesters)


def _settlement(
    key: bytes,
    question: Question,
    outcome: int | None,
    attesters: tuple[AttesterLine, ...],
    forecasts: tuple[ForecastLine, ...] = (),
    payments: tuple[PaymentLine, ...] = (),
    *,
    revote: bool = False,
) -> Settlement:
    return Settlement(
        key,
        question.topic,
        question.index,
        question.round,
        outcome,
        revote,
        question.prior,
        forecasts,
        payments,
        attesters,
    )


def _duties(state: State, places: Sequence[tuple[str, bytes]]) -> dict[bytes, Attestation]:
    """The votes owed on a question, by attester."""
    owed = sorted(place for table, place in places if table == "attestations")
    duties = ((place, state.find("attestations", place, Attestation)) for place in owed)
    return {place[_QUESTION_BYTES:]: duty for place, duty in duties if duty is not None}


def _tally(question: Question, duties: Mapping[bytes, Attestation]) -> Verdict:
    bonds = {attester: duty.bond for attester, duty in duties.items()}
    votes = {attester: duty.outcome for attester, duty in duties.items() if duty.digest is not None}
    return tally(bonds, votes, question.round, ROUNDS, len(question.prior))


def _settle_attesters(
    state: State, rules: Rules, key: bytes, verdict: Verdict, duties: Mapping[bytes, Attestation]
) -> tuple[AttesterLine, ...]:
    """Pay the coherent, take penalties from the others' bonds, what is unbonding included.

    Anybody can ask, so to vote on a sponsored question is no duty: whoever has sealed no vote there loses nothing.
    """
    question = state.question(key)
    if question.asker is not None:
        verdict = replace(verdict, absent=())
    fee = min(rules.attest_fee, purse(state, key))
    bonds = {attester: duty.bond for attester, duty in duties.items()}
    done = settle_attesters(verdict, bonds, question.round, rules.attest_penalty_ppm, fee)
    taken = {attester: _charge(state, attester, penalty) for attester, penalty in done.penalties.items()}
    for attester, reward in done.rewards.items():
        _credit(state, attester, reward)
    to_purse(state, key, -sum(done.rewards.values()))
    forfeit(state, key, sum(taken.values()))
    return tuple(
        AttesterLine(attester, duty.outcome, done.rewards.get(attester, 0) - taken.get(attester, 0))
        for attester, duty in duties.items()
    )


def _charge(state: State, attester: bytes, penalty: int) -> int:
    """Take a penalty from an attester's bond, then from what it is unbonding; returns what was there to take."""
    account = state.account(attester)
    from_bond = min(penalty, account.attester)
    left = penalty - from_bond
    unbonding = []
    for role, amount, leaves in account.unbonding:
        part = min(left, amount) if role == "attester" else 0
        left -= part
        unbonding.append((role, amount - part, leaves))
    state.put(
        "accounts",
        attester,
        replace(account, attester=account.attester - from_bond, unbonding=tuple(unbonding)),
    )
    return penalty - left


def _void(
    state: State, rules: Rules, question: bytes, commits: Sequence[tuple[bytes, Commit]]
) -> tuple[ForecastLine, ...]:
    """Nobody knows: each wager returns less v, so that voiding is never free."""
    lines = []
    to_purse(state, question, state.question(question).pot)
    for key, commit in commits:
        if commit.wager:
            back = commit.wager * (PPM - rules.void_ppm) // PPM
            _credit(state, commit.author, back)
            forfeit(state, question, commit.wager - back)
            lines.append(ForecastLine(commit.author, key, commit.ppm, commit.wager, back, 0, 0))
    return tuple(lines)


def _settle(
    state: State,
    genesis: Genesis,
    key: bytes,
    question: Question,
    outcome: int,
    commits: Sequence[tuple[bytes, Commit]],
    attesters: tuple[AttesterLine, ...],
) -> Settlement:
    rules = genesis.rules
    wagering = {commit.author: (commit_key, commit) for commit_key, commit in commits if commit.wager}
    wagers = [Wager(author, c.wager, c.ppm if c.revealed else None) for author, (_, c) in wagering.items()]
    scores = _score(genesis, question, wagers, outcome)
    incomes = {row.author: take_in(state, question, row) for row in scores.rows}
    to_purse(state, key, scores.to_reserve + question.pot - scores.net())
    for row in scores.rows:
        _credit(state, row.author, row.back + row.net)
    graph = _Graph(question, outcome, rules.epsilon_ppm)
    flows = flow([graph.node(commit_key, commit, incomes) for commit_key, commit in commits])
    payments = _pay(state, dict(commits), flows)
    count(state, genesis, question, outcome)
    forecasts = tuple(
        ForecastLine(
            row.author,
            wagering[row.author][0],
            wagering[row.author][1].ppm,
            wagering[row.author][1].wager,
            row.back,
            row.net,
            incomes[row.author],
        )
        for row in scores.rows
    )
    return _settlement(key, question, outcome, attesters, forecasts, payments)


def _score(genesis: Genesis, question: Question, wagers: Sequence[Wager], outcome: int) -> Scores:
    rules = genesis.rules
    rule = genesis.topic(question.topic).rule if question.asker is None else None
    if rule is not None:
        return score_shares(rule, question.pot, rules.house, rules.epsilon_ppm, wagers, outcome)
    return score_question(
        question.prior, question.pot, rules.house, rules.kappa_ppm, rules.epsilon_ppm, wagers, outcome
    )


@dataclass(frozen=True, slots=True)
class _Graph:
    question: Question
    outcome: int
    epsilon_ppm: int

    def node(self, key: bytes, commit: Commit, incomes: Mapping[bytes, int]) -> FlowNode:
        gain = 0
        if commit.revealed and commit.ppm is not None:
            log2 = floor_log2_ppm(commit.ppm[self.outcome], self.question.prior[self.outcome])
            gain = log2 * PPM // log_span(self.epsilon_ppm)
        return FlowNode(
            commit=key,
            author=commit.author,
            epoch=commit.epoch,
            revealed=commit.revealed,
            content_key=content_key(commit.ppm, commit.payload) if commit.revealed else None,
            G_ppm=gain,
            income=incomes.get(commit.author, 0) if commit.wager else 0,
            citations=commit.citations,
        )


def _pay(state: State, commits: Mapping[bytes, Commit], flows: FlowResult) -> tuple[PaymentLine, ...]:
    lines = []
    for payment in flows.payments:
        payer, payee = commits[payment.frm_commit].author, commits[payment.to_commit].author
        _credit(state, payer, -payment.amount)
        _credit(state, payee, payment.amount)
        lines.append(PaymentLine(payer, payee, payment.frm_commit, payment.to_commit, payment.amount))
    return tuple(lines)


def _forget(state: State, key: bytes, places: Sequence[tuple[str, bytes]]) -> None:
    """A settled question leaves the state; what it did stays in the seal's emissions root."""
    for table, place in places:
        state.drop(table, place)
    state.drop("questions", key)
