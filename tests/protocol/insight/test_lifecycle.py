"""A question's life at the closes: opened, capped, voted on, settled or voided, forgotten; every unit accounted for."""

from dataclasses import replace

import pytest

from troth_node.testing.ledger import Ledger
from troth_node.testing.samples import COIN, RULES, TOKEN
from troth_protocol.genesis import Phases
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.insight.oracle import majority_risk
from troth_protocol.log.ops import Attest, AttestReveal, Bond, CommitOp, Reveal, Unbond
from troth_protocol.log.rows import Attestation, Commit, Entrant, Promise, Question, Standing, TopicRow
from troth_protocol.log.sealed import attest_digest, commit_digest, commit_id
from troth_protocol.wire.crypto import digest

SALT = digest(b"salt")
SURE, UNSURE = (900_000, 100_000), (600_000, 400_000)
WAGER = 10 * TOKEN
HEADS, TAILS = 0, 1
QUICK = replace(COIN, phases=Phases(commit=1, attest=2, reveal=2, attest_reveal=2))


class Forum(Ledger):
    """Agents 0 to 3 attest; agents 4 and up forecast. The question of index 0 is the one that all is about."""

    def __init__(self, agents=7, *, topic=QUICK, **options):
        super().__init__(agents, 4, topics=(topic,), **options)

    def contribution(self, ppm=None, payload=None, citations=(), question=None):
        question = self.question() if question is None else question
        return CONTRIBUTION.encode(Contribution(question, "", tuple(citations), ppm, payload))

    def commit(self, agent, body, wager=0, question=None):
        """Seal a contribution; returns its id."""
        question = self.question() if question is None else question
        sealed = commit_digest(self.network, self.key(agent), question, SALT, body)
        self.put(agent, CommitOp(question, sealed, wager))
        return commit_id(self.network, self.key(agent), question, sealed)

    def advance(self, epoch):
        """Close until this epoch is open; returns the last close."""
        closed = None
        while self.epoch < epoch:
            closed = self.close()
            assert self.state.is_conserved()
            assert min(row.balance for _, row in self.state.items("accounts", type(self.account(0)))) >= 0
        return closed

    def vote(self, votes, opened=None):
        """Attesters seal and open a round's votes; an agent missing from `opened` does not open its own."""
        question = self.state.question(self.question())
        self.advance(question.attest_from)
        for agent, outcome in votes.items():
            sealed = attest_digest(self.network, self.key(agent), self.question(), SALT, outcome)
            self.put(agent, Attest(self.question(), sealed))
        self.advance(question.reveal_from)
        for agent, outcome in votes.items():
            if opened is None or agent in opened:
                self.put(agent, AttestReveal(self.question(), outcome, SALT))
        (settlement, *_) = self.advance(question.closes() + 1).settlements
        return settlement

    def reveal(self, *commits):
        """Open (agent, commit, body) in the reveal phase."""
        question = self.state.question(self.question())
        self.advance(question.opens + question.commit + question.attest)
        for agent, commit, body in commits:
            self.put(agent, Reveal(commit, SALT, body))

    def all_vote(self, outcome=HEADS):
        """Seal, reveal nothing, open: the round of a question in which all attesters agree."""
        return self.vote(dict.fromkeys(range(4), outcome))


def play(forum, forecasts, outcome=HEADS):
    """Commit these (agent, ppm) with a wager, let attesters seal, reveal, let them open; returns the settlement."""
    bodies = {agent: forum.contribution(ppm=ppm) for agent, ppm in forecasts}
    commits = [(agent, forum.commit(agent, body, WAGER), body) for agent, body in bodies.items()]
    question = forum.state.question(forum.question())
    forum.advance(question.attest_from)
    for agent in range(4):
        sealed = attest_digest(forum.network, forum.key(agent), forum.question(), SALT, outcome)
        forum.put(agent, Attest(forum.question(), sealed))
    forum.reveal(*commits)
    forum.advance(question.reveal_from)
    for agent in range(4):
        forum.put(agent, AttestReveal(forum.question(), outcome, SALT))
    (settlement, *_) = forum.advance(question.closes() + 1).settlements
    return settlement


def line(settlement, agent, forum):
    return next(item for item in settlement.forecasts if item.author == forum.key(agent))


def test_a_question_opens_with_the_prior_of_that_moment():
    forum = Forum()
    question = forum.state.question(forum.question())
    assert (question.opens, question.attest_from, question.reveal_from) == (1, 2, 6)
    assert question.prior == (500_000, 500_000)
    assert question.closes() == 7


def test_the_better_informed_gains_and_the_prior_earns_nothing():
    forum = Forum()
    settlement = play(forum, [(4, SURE), (5, UNSURE), (6, (500_000, 500_000))])
    assert settlement.outcome == HEADS
    best, middle, prior = (line(settlement, agent, forum) for agent in (4, 5, 6))
    assert best.net > middle.net > prior.net == 0
    assert best.back > WAGER > prior.back
    assert best.income == best.net
    assert sum(item.back for item in settlement.forecasts) <= 3 * WAGER


def test_the_wrong_pay_the_reserve_and_their_record_remembers():
    forum = Forum()
    settlement = play(forum, [(4, SURE)], outcome=TAILS)
    only = line(settlement, 4, forum)
    assert (only.back, only.income) == (WAGER, 0)
    assert only.net < 0
    standing = forum.state.find("standings", b"coin/" + forum.key(4), Standing)
    assert (standing.won, standing.lost, standing.high) == (0, -only.net, 0)


def test_income_is_only_what_rises_above_the_highest_record():
    forum = Forum(topic=replace(QUICK, questions=1))
    forum.state.put("standings", b"coin/" + forum.key(4), Standing(won=0, lost=50 * TOKEN, high=0))
    settlement = play(forum, [(4, SURE)])
    assert line(settlement, 4, forum).net > 0
    assert line(settlement, 4, forum).income == 0


def test_a_settled_question_leaves_nothing_but_its_count():
    forum = Forum()
    settled = play(forum, [(4, SURE)])
    assert settled.question == forum.question()
    with pytest.raises(Exception, match="unknown_question"):
        forum.state.question(forum.question())
    assert not any(row.question == forum.question() for _, row in forum.state.items("commits", Commit))
    for table, kind in (("entrants", Entrant), ("attestations", Attestation)):
        assert not any(key.startswith(forum.question()) for key, _ in forum.state.items(table, kind))
    assert forum.state.find("topics", b"coin", TopicRow).counts == ((1, 0),)


def test_the_next_prior_counts_the_outcome():
    forum = Forum()
    play(forum, [])
    assert forum.state.question(forum.question(forum.epoch - 1)).prior == (545_455, 454_545)


def test_an_unrevealed_wager_is_forfeit_to_the_reserve():
    forum = Forum()
    forum.commit(4, forum.contribution(ppm=SURE), WAGER)
    settlement = forum.all_vote()
    only = line(settlement, 4, forum)
    assert (only.ppm, only.back, only.net, only.income) == (None, 0, 0, 0)
    standing = forum.state.find("standings", b"coin/" + forum.key(4), Standing)
    assert standing.lost > 0, "it counts as the worst score"


@pytest.mark.parametrize(
    "fields",
    [
        {"ppm": (900_000, 90_000)},
        {"ppm": (999_999, 1)},
        {"ppm": SURE, "payload": SALT},
        {},
        {"ppm": SURE, "citations": [(SALT, 0)]},
        {"ppm": SURE, "question": SALT},
        {"payload": SALT},
    ],
)
def test_a_wager_on_what_is_no_forecast_counts_as_unrevealed(fields):
    forum = Forum()
    body = forum.contribution(**fields)
    commit = forum.commit(4, body, WAGER)
    forum.reveal((4, commit, body))
    settlement = forum_settled_after_reveal(forum)
    assert line(settlement, 4, forum).back == 0


def forum_settled_after_reveal(forum):
    """Nobody sealed a vote: three rounds, of which the last two are held properly."""
    question = forum.state.question(forum.question())
    forum.advance(question.closes() + 1)
    return forum.all_vote()


def test_a_cited_signal_is_paid_from_the_income_of_whoever_cited_it():
    forum = Forum()
    signal = forum.contribution(payload=digest(b"signal"))
    sold = forum.commit(5, signal)
    body = forum.contribution(ppm=SURE, citations=[(sold, 400_000), (digest(b"nothing"), 100_000)])
    bought = forum.commit(4, body, WAGER)
    question = forum.state.question(forum.question())
    forum.advance(question.attest_from)
    for agent in range(4):
        sealed = attest_digest(forum.network, forum.key(agent), forum.question(), SALT, HEADS)
        forum.put(agent, Attest(forum.question(), sealed))
    forum.reveal((4, bought, body), (5, sold, signal))
    forum.advance(question.reveal_from)
    for agent in range(4):
        forum.put(agent, AttestReveal(forum.question(), HEADS, SALT))
    before = forum.account(5).balance
    (settlement,) = forum.advance(question.closes() + 1).settlements
    (payment,) = settlement.payments
    assert (payment.payer, payment.payee) == (forum.key(4), forum.key(5))
    assert payment.amount == line(settlement, 4, forum).income * 400_000 // 2_000_000
    assert forum.account(5).balance == before + payment.amount


# The oracle


def test_coherent_attesters_share_the_fee_and_the_others_pay():
    forum = Forum()
    settlement = forum.vote({0: HEADS, 1: HEADS, 2: HEADS, 3: TAILS})
    assert settlement.outcome == HEADS
    gains = {item.attester: item.amount for item in settlement.attesters}
    assert [gains[forum.key(agent)] for agent in range(3)] == [TOKEN // 3] * 3
    assert gains[forum.key(3)] == -100_000 * TOKEN * RULES.attest_penalty_ppm // 1_000_000
    assert forum.account(3).attester == 100_000 * TOKEN + gains[forum.key(3)]


@pytest.mark.parametrize(("votes", "opened"), [({0: HEADS, 1: HEADS, 2: HEADS}, None), (None, [0, 1, 2])])
def test_absence_and_an_unopened_vote_cost_like_a_wrong_one(votes, opened):
    forum = Forum()
    settlement = forum.vote(votes or dict.fromkeys(range(4), HEADS), opened)
    gains = {item.attester: item for item in settlement.attesters}
    assert gains[forum.key(3)].outcome is None
    assert gains[forum.key(3)].amount < 0


def test_a_split_vote_is_held_again_at_twice_the_penalty():
    forum = Forum()
    first = forum.vote({0: HEADS, 1: HEADS, 2: TAILS, 3: TAILS})
    assert (first.revote, first.outcome, first.round) == (True, None, 0)
    assert all(item.amount == 0 for item in first.attesters), "both led"
    again = forum.state.question(forum.question())
    assert (again.round, again.attest_from) == (1, forum.epoch)
    second = forum.vote({0: HEADS, 1: HEADS, 2: HEADS, 3: TAILS})
    assert (second.revote, second.outcome, second.round) == (False, HEADS, 1)
    lost = next(item.amount for item in second.attesters if item.attester == forum.key(3))
    assert lost == -2 * 100_000 * TOKEN * RULES.attest_penalty_ppm // 1_000_000


def test_votes_of_a_round_do_not_count_in_the_next():
    forum = Forum()
    forum.vote({0: HEADS, 1: HEADS, 2: TAILS, 3: TAILS})
    second = forum.vote({0: HEADS, 1: HEADS})
    assert second.revote
    assert {item.outcome for item in second.attesters} == {HEADS, None}


def test_a_void_returns_wagers_less_a_share_and_charges_the_absent():
    forum = Forum(topic=replace(QUICK, questions=1))
    forum.commit(4, forum.contribution(ppm=SURE), WAGER)
    before = forum.account(4).balance
    for number in range(3):
        settlement = forum.vote({})
        assert settlement.revote == (number < 2)
    assert settlement.outcome is None
    assert line(settlement, 4, forum).back == WAGER * 95 // 100
    assert forum.account(4).balance == before - WAGER + WAGER * 95 // 100 - 2 * RULES.fee
    assert forum.state.find("topics", b"coin", TopicRow) is None, "no outcome to count"
    bond = 100_000 * TOKEN
    for factor in (1, 2, 4):
        bond -= -(-bond * factor * RULES.attest_penalty_ppm // 1_000_000)
    assert forum.account(0).attester == bond


def test_a_void_forgets_the_signals_too():
    forum = Forum()
    forum.commit(5, forum.contribution(payload=SALT))
    for _ in range(3):
        settlement = forum.vote({})
    assert settlement.forecasts == ()
    assert not any(row.question == forum.question() for _, row in forum.state.items("commits", Commit))


def test_the_last_round_is_decided_by_plurality():
    forum = Forum()
    votes = {0: HEADS, 1: HEADS, 2: TAILS}
    assert forum.vote({0: HEADS, 1: TAILS}).revote
    assert forum.vote({0: HEADS, 1: TAILS}).revote
    assert forum.vote(votes).outcome == HEADS


def test_whoever_bonds_after_the_call_owes_nothing_and_has_no_voice():
    forum = Forum()
    forum.advance(2)
    forum.put(4, Bond(500 * TOKEN, "attester"))
    settlement = forum.all_vote()
    assert forum.key(4) not in {item.attester for item in settlement.attesters}


def test_whoever_has_left_before_a_vote_is_held_again_has_no_voice_in_it():
    forum = Forum()
    forum.advance(2)
    forum.put(3, Unbond(100_000 * TOKEN, "attester"))
    assert forum.vote({0: HEADS, 1: HEADS, 2: TAILS, 3: TAILS}).revote
    second = forum.vote({0: HEADS, 1: HEADS, 2: TAILS})
    assert (second.outcome, second.round) == (HEADS, 1)
    assert forum.key(3) not in {item.attester for item in second.attesters}


def test_whoever_leaves_after_the_call_still_pays_from_what_is_leaving():
    forum = Forum()
    forum.advance(2)
    forum.put(3, Unbond(100_000 * TOKEN, "attester"), Unbond(50_000 * TOKEN, "witness"))
    settlement = forum.vote({0: HEADS, 1: HEADS, 2: HEADS})
    penalty = 100_000 * TOKEN * RULES.attest_penalty_ppm // 1_000_000
    assert next(item.amount for item in settlement.attesters if item.attester == forum.key(3)) == -penalty
    leaving = {role: amount for role, amount, _ in forum.account(3).unbonding}
    assert leaving == {"attester": 100_000 * TOKEN - penalty, "witness": 50_000 * TOKEN}


# The value cap


def test_what_rides_on_a_question_is_capped_by_what_its_oracle_risks():
    forum = Forum(rules=replace(RULES, value_ppm=2_000))
    limit = majority_risk(400_000 * TOKEN, RULES.attest_penalty_ppm) * 2_000 // 1_000_000
    body = forum.contribution(ppm=SURE)
    commit = forum.commit(4, body, WAGER)
    before = forum.account(4).balance
    forum.advance(2)
    kept, question = forum.state.find("commits", commit, Commit).wager, forum.state.question(forum.question())
    assert 0 < kept < WAGER
    assert limit - 2 <= kept + question.pot <= limit
    assert forum.account(4).balance == before - kept - 2 * RULES.fee


def test_questions_that_close_together_share_the_cap_in_their_order():
    topic = replace(QUICK, per_epoch=2)
    forum = Forum(topic=topic, rules=replace(RULES, value_ppm=60_000))
    limit = majority_risk(400_000 * TOKEN, RULES.attest_penalty_ppm) * 60_000 // 1_000_000
    for agent, index in ((4, 0), (5, 1)):
        question = forum.question(index)
        forum.commit(agent, forum.contribution(ppm=SURE, question=question), WAGER, question)
    forum.advance(2)
    wagers = {row.question: row.wager for _, row in forum.state.items("commits", Commit)}
    pots = {key: row.pot for key, row in forum.state.items("questions", Question) if row.opens == 1}
    assert sum(wagers.values()) + sum(pots.values()) <= limit
    assert wagers[forum.question(0)] == WAGER
    assert wagers[forum.question(1)] < WAGER


def test_without_attesters_everything_returns():
    forum = Forum()
    for agent in range(4):
        forum.set_account(agent, attester=0, balance=101_000 * TOKEN)
    forum.commit(4, forum.contribution(ppm=SURE), WAGER)
    before = forum.account(4).balance
    forum.advance(2)
    assert forum.account(4).balance == before - 2 * RULES.fee
    assert forum.state.question(forum.question()).pot == 0
    (last, *_) = forum.advance(8 + 4 + 4).settlements
    assert (last.outcome, last.forecasts) == (None, ()), "nobody can say, and nothing rode on it"


def test_a_pot_is_never_more_than_the_reserve_holds():
    forum = Forum()
    books = forum.state.totals()
    moved = books.reserve - 3
    forum.state.put("totals", b"totals", replace(books, reserve=3))
    forum.set_account(6, balance=1_000 * TOKEN + moved)
    forum.commit(4, forum.contribution(ppm=SURE), WAGER)
    forum.advance(2)
    assert forum.state.question(forum.question()).pot == 3
    assert forum.state.totals().reserve == 0
    settlement = forum.vote(dict.fromkeys(range(4), HEADS))
    assert all(item.amount == 0 for item in settlement.attesters), "no fee without a reserve"


def test_a_question_without_wagers_has_no_pot():
    forum = Forum()
    forum.commit(5, forum.contribution(payload=SALT))
    forum.advance(2)
    assert forum.state.question(forum.question()).pot == 0
    assert forum.all_vote().forecasts == ()


def test_promises_end_with_their_question():
    forum = Forum()
    promise = Promise(forum.question(), forum.key(4), forum.key(5), 100_000)
    other = replace(promise, question=SALT)
    forum.state.put("promises", b"p" * 32, promise)
    forum.state.put("promises", b"q" * 32, other)
    forum.book = forum.new_book()
    forum.all_vote()
    assert [row for _, row in forum.state.items("promises", Promise)] == [other]


def test_a_fixed_prior_counts_no_outcome():
    forum = Forum(topic=replace(QUICK, prior_fixed=True))
    play(forum, [])
    assert forum.state.find("topics", b"coin", TopicRow).counts == ((1, 0),)
    assert forum.state.question(forum.question(forum.epoch - 1)).prior == (500_000, 500_000)


def test_a_batch_opens_when_the_one_before_is_settled():
    topic = replace(QUICK, batches=(1, 2), every=7, per_epoch=0, questions=3)
    forum = Forum(topic=topic)
    assert [row.index for _, row in forum.state.items("questions", Question)] == [0]
    play(forum, [])
    opened = [row for _, row in forum.state.items("questions", Question)]
    assert {(row.index, row.opens) for row in opened} == {(1, 8), (2, 8)}
    assert {row.prior for row in opened} == {(545_455, 454_545)}


def test_a_share_of_wagers_and_house_is_set_aside():
    forum = Forum(topic=replace(QUICK, emission_ppm=100_000, emission=10**6 * TOKEN))
    forum.commit(4, forum.contribution(ppm=SURE), WAGER)
    forum.close()
    assert forum.state.question(forum.question()).pot == (WAGER + RULES.house) // 10


@pytest.mark.parametrize(("rule", "nets"), [("posterior", (3, 2)), ("wswm", (43, 37)), ("nawm", (0, 0))])
def test_a_topic_may_name_a_rule_that_shares_a_pot(rule, nets):
    forum = Forum(topic=replace(QUICK, rule=rule, emission=100 * TOKEN))
    settlement = play(forum, [(4, SURE), (5, UNSURE)])
    first, second = (line(settlement, agent, forum) for agent in (4, 5))
    assert first.back == second.back == WAGER
    assert first.income == first.net > second.net == second.income > 0
    if rule != "nawm":
        assert first.net * nets[1] == second.net * nets[0]
    assert first.net + second.net <= 100 * TOKEN


def test_unrevealed_wagers_are_lost_under_any_rule():
    forum = Forum(topic=replace(QUICK, rule="posterior"))
    forum.commit(4, forum.contribution(ppm=SURE), WAGER)
    (only,) = forum.all_vote().forecasts
    assert (only.back, only.net, only.income) == (0, 0, 0)
