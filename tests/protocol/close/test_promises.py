"""A promised citation from the log to the seal: what binds it, what voids it, what breaking it costs."""

from dataclasses import replace

import pytest

from troth_node.testing.ledger import Ledger
from troth_node.testing.moves import SALT, agree, attest, receipted
from troth_node.testing.samples import COIN, RULES, TOKEN
from troth_protocol.close.findings import Findings
from troth_protocol.evidence import misdelivery
from troth_protocol.genesis import Phases
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.insight.results import emission_leaves
from troth_protocol.log.agreement import agreement_id
from troth_protocol.log.ops import Accuse, AttestReveal, CommitOp, LockOp, Reveal, Unlock
from troth_protocol.log.rows import Account, Claim, Promise
from troth_protocol.log.sealed import commit_digest, commit_id, lock_id
from troth_protocol.market.exchange import ExchangeTerms, sign_terms
from troth_protocol.wire.crypto import digest

BUYER, SELLER, LATE = 4, 5, 6
HEADS = 0
KEY = digest(b"key")
PAYLOAD = digest(b"payload")
FLOOR, BOND, WAGER = 3 * TOKEN, 20 * TOKEN, 10 * TOKEN
WEIGHT = 200_000
TOPIC = replace(COIN, phases=Phases(commit=5, attest=2, reveal=2, attest_reveal=2))
SURE = (900_000, 100_000)
JUNK = b"no signal at all"


class Deal(Ledger):
    """Agents 0 to 3 attest; 4 buys from 5, whose signal is committed. The buyer's bond is 20 tokens."""

    def __init__(self, *, topic=TOPIC, **terms):
        super().__init__(7, 4, topics=(topic,))
        for agent in (BUYER, SELLER):
            self.bond_agent(agent, BOND)
        self.sold = self.commit(SELLER, self.contribution(payload=PAYLOAD))
        usual = {"floor": FLOOR, "deliver": 5} | terms
        self.op = agree(self, BUYER, SELLER, WEIGHT, **usual)
        self.id = agreement_id(self.network, self.op.agreement)

    def contribution(self, ppm=None, payload=None, citations=()):
        return CONTRIBUTION.encode(Contribution(self.question(), "", tuple(citations), ppm, payload))

    def sealed(self, agent, body):
        return commit_digest(self.network, self.key(agent), self.question(), SALT, body)

    def commit(self, agent, body, wager=0):
        sealed = self.sealed(agent, body)
        self.put(agent, CommitOp(self.question(), sealed, wager))
        return commit_id(self.network, self.key(agent), self.question(), sealed)

    def until(self, epoch):
        closed = None
        while self.epoch < epoch:
            closed = self.close()
            assert all(row.worth() >= 0 for _, row in self.state.items("accounts", Account))
        return closed

    # Delivery

    def receipt(self):
        """The buyer has promised, under a seal, and the seller records its receipt."""
        self.put(BUYER, self.op)
        self.close()
        self.put(SELLER, receipted(self, self.op, BUYER, self.sold))

    def lock(self, *, amount=0, key=KEY):
        """The buyer promises and locks nothing, in one entry."""
        op = replace(self.op, hash=digest(key), commit=self.sold)
        entry = self.put(BUYER, op, LockOp(self.key(SELLER), amount, digest(key), self.epoch + 9))
        return lock_id(entry.id, 1), entry.id

    def unlock(self):
        key, entry = self.lock()
        self.put(SELLER, Unlock(key, KEY), deps=[entry])
        return key

    def promise(self):
        return self.state.find("promises", self.id, Promise)

    # The rest of the question

    def settle(self, *opened, outcome=HEADS):
        """Vote, open these (agent, contribution) beside the votes, and settle; returns the settlement."""
        question = self.state.question(self.question())
        self.until(question.attest_from)
        for agent in range(4):
            self.put(agent, attest(self, agent, outcome))
        self.until(question.opens + question.commit + question.attest)
        for agent, body in opened:
            name = commit_id(self.network, self.key(agent), self.question(), self.sealed(agent, body))
            self.put(agent, Reveal(name, SALT, body))
        self.until(question.reveal_from)
        for agent in range(4):
            self.put(agent, AttestReveal(self.question(), outcome, SALT))
        return self.until(question.closes() + 1).settlements[0]

    def signal(self):
        return SELLER, self.contribution(payload=PAYLOAD)

    def forecast(self, *citations, wager=WAGER):
        """The buyer commits a good forecast that cites this."""
        body = self.contribution(ppm=SURE, citations=citations)
        self.commit(BUYER, body, wager)
        return BUYER, body


def worth(deal):
    return [deal.account(agent).worth() for agent in (BUYER, SELLER)]


def kept(deliver, **terms):
    """The same story with the citation: what buyer and seller have in the end."""
    deal = Deal(**terms)
    getattr(deal, deliver)()
    deal.close()
    forecast = deal.forecast((deal.sold, WEIGHT))
    assert deal.settle(deal.signal(), forecast).breaches == ()
    return worth(deal)


# Stories


@pytest.mark.parametrize("deliver", ["receipt", "unlock"])
def test_who_takes_the_payload_and_cites_nobody_pays_without_anybodys_help(deliver):
    deal = Deal()
    getattr(deal, deliver)()
    deal.close()
    settlement = deal.settle(deal.signal(), deal.forecast())
    [line] = settlement.breaches
    assert (line.promise, line.buyer, line.seller, line.cited) == (
        deal.id,
        deal.key(BUYER),
        deal.key(SELLER),
        deal.sold,
    )
    assert line.paid == max(FLOOR, settlement.forecasts[0].income * WEIGHT // 2_000_000)
    assert line.burned >= line.paid
    buyer, seller = kept(deliver)
    assert worth(deal)[0] < buyer
    assert worth(deal)[1] >= seller
    assert deal.promise() is None, "once: the promise ends with its question"
    assert not list(deal.state.items("offences", object)), "a debt, no offence"


def test_a_breach_is_a_line_under_the_seal():
    deal = Deal()
    deal.receipt()
    deal.close()
    settlement = deal.settle(deal.signal(), deal.forecast())
    without = emission_leaves([replace(settlement, breaches=())])
    assert emission_leaves([settlement])[: len(without)] == without
    assert len(emission_leaves([settlement])) == len(without) + 1


@pytest.mark.parametrize("deliver", ["receipt", "unlock"])
def test_a_buyer_that_commits_nothing_owes_the_floor(deliver):
    deal = Deal()
    getattr(deal, deliver)()
    deal.close()
    before = worth(deal)
    [line] = deal.settle(deal.signal()).breaches
    assert (line.paid, line.burned) == (FLOOR, FLOOR)
    assert worth(deal) == [before[0] - 2 * FLOOR, before[1] + FLOOR]


def test_a_buyer_that_opens_its_citation_too_late_owes_the_floor():
    deal = Deal()
    deal.receipt()
    deal.close()
    deal.forecast((deal.sold, WEIGHT))
    [line] = deal.settle(deal.signal()).breaches
    assert (line.paid, line.burned) == (FLOOR, FLOOR)


def test_a_citation_under_too_small_a_wager_breaks_the_promise():
    deal = Deal(min_wager=2 * WAGER)
    deal.receipt()
    deal.close()
    settlement = deal.settle(deal.signal(), deal.forecast((deal.sold, WEIGHT)))
    [line] = settlement.breaches
    assert line.paid == FLOOR - sum(paid.amount for paid in settlement.payments)
    assert line.burned == FLOOR


def test_a_citation_of_too_small_a_weight_breaks_the_promise():
    deal = Deal(floor=0)
    deal.receipt()
    deal.close()
    settlement = deal.settle(deal.signal(), deal.forecast((deal.sold, WEIGHT // 2)))
    [line], [paid] = settlement.breaches, settlement.payments
    assert line.paid + paid.amount == settlement.forecasts[0].income * WEIGHT // 2_000_000
    assert line.burned == 2 * line.paid


def test_a_seller_that_reveals_nothing_gets_nothing():
    deal = Deal()
    deal.receipt()
    deal.close()
    assert deal.settle(deal.forecast()).breaches == ()


def test_a_promise_alone_proves_no_delivery():
    deal = Deal()
    deal.put(BUYER, deal.op)
    deal.close()
    assert deal.settle(deal.signal(), deal.forecast()).breaches == ()


def test_a_void_costs_the_floor_all_the_same():
    deal = Deal()
    deal.receipt()
    deal.close()
    for agent in range(4):
        deal.set_account(
            agent, balance=deal.account(agent).balance + deal.account(agent).attester, attester=0
        )
    forecast = deal.forecast()
    deal.until(8)
    for agent, body in (deal.signal(), forecast):
        name = commit_id(deal.network, deal.key(agent), deal.question(), deal.sealed(agent, body))
        deal.put(agent, Reveal(name, SALT, body))
    deal.until(deal.state.question(deal.question()).closes())
    [settlement] = deal.close().settlements
    while settlement.revote:
        deal.until(deal.state.question(deal.question()).closes())
        [settlement, *_] = deal.close().settlements
    assert settlement.outcome is None
    assert [(line.paid, line.burned) for line in settlement.breaches] == [(FLOOR, FLOOR)]


def test_a_promised_wager_that_the_value_cap_scaled_down_keeps_the_promise():
    deal = Deal(min_wager=WAGER)
    deal.receipt()
    deal.close()
    bond = deal.account(0).attester
    for agent in range(4):
        deal.set_account(agent, attester=TOKEN, balance=deal.account(agent).balance + bond - TOKEN)
    forecast = deal.forecast((deal.sold, WEIGHT))
    settlement = deal.settle(deal.signal(), forecast)
    assert 0 < settlement.forecasts[0].wager < WAGER
    assert settlement.breaches == ()


# What binds


@pytest.mark.parametrize(
    ("claimed", "deliver", "is_bound"), [(4, 5, True), (4, 4, False), (5, 6, False), (3, 9, True)]
)
def test_a_claim_binds_while_the_buyer_can_still_commit_and_by_the_epoch_agreed_on(
    claimed, deliver, is_bound
):
    deal = Deal(deliver=deliver)
    key, _ = deal.lock()
    deal.until(claimed)
    deal.put(SELLER, Unlock(key, KEY))
    deal.close()
    assert deal.promise().bound is is_bound


def test_a_claim_that_only_a_report_brings_binds():
    deal = Deal()
    key, _ = deal.lock()
    deal.close(Findings(claims={key: KEY}))
    assert deal.promise().bound


def test_another_key_binds_nothing():
    deal = Deal()
    deal.lock()
    op = LockOp(deal.key(SELLER), 1, digest(SALT), 9)
    key = lock_id(deal.put(BUYER, op).id, 0)
    deal.close(Findings(claims={key: SALT}))
    assert not deal.promise().bound


def test_a_commit_before_the_key_is_out_saves_nobody():
    """It would read the key in the very epoch in which it commits, or under another name."""
    deal = Deal()
    key, _ = deal.lock()
    forecast = deal.forecast()
    deal.close()
    deal.put(SELLER, Unlock(key, KEY))
    deal.close()
    assert len(deal.settle(deal.signal(), forecast).breaches) == 1


def test_a_misdelivery_voids_the_promise():
    deal = Deal()
    sealed = digest(b"commit")
    question = deal.question()
    parties = (deal.network, deal.key(SELLER), deal.key(BUYER), question)
    name = commit_id(deal.network, deal.key(SELLER), question, sealed)
    terms = ExchangeTerms(*parties, name, sealed, digest(KEY), digest(JUNK), 0, 9)
    deal.unlock()
    other = agree(deal, BUYER, LATE, 1)
    deal.put(BUYER, other)
    deal.put(BUYER, Accuse(misdelivery(*sign_terms(deal.keys[SELLER], terms), JUNK, KEY)))
    closed = deal.close()
    assert len(closed.offences) == 1
    assert deal.promise() is None
    assert deal.state.find("promises", agreement_id(deal.network, other.agreement), Promise)
    assert deal.settle(deal.signal(), deal.forecast()).breaches == ()


# What stands behind it


def test_floors_take_the_room_of_claims():
    deal = Deal()
    deal.put(BUYER, deal.op)
    free = BOND - 2 * FLOOR
    keys = {}
    for amount in (free + 1, free):
        op = LockOp(deal.key(BUYER), amount, digest(KEY), 60)
        keys[amount] = lock_id(deal.put(LATE, op).id, 0)
    deal.close(Findings(claims=dict.fromkeys(keys.values(), KEY)))
    assert deal.state.find("claims", keys[free], Claim).backed == 1
    assert deal.state.find("claims", keys[free + 1], Claim).backed is None
    deal.settle()
    deal.close()
    assert deal.state.find("claims", keys[free + 1], Claim).backed == deal.epoch - 1, "the promise is over"


def test_a_slashed_bond_pays_what_is_left_of_it():
    deal = Deal()
    deal.receipt()
    deal.close()
    rest = deal.account(BUYER).balance
    deal.put(BUYER, LockOp(deal.key(LATE), rest - 3 * RULES.fee, digest(KEY), 99))
    deal.close()
    deal.set_account(BUYER, agent=FLOOR // 2, balance=0)
    deal.set_account(LATE, balance=deal.account(LATE).balance + BOND - FLOOR // 2)
    [line] = deal.settle(deal.signal()).breaches
    assert (line.paid, line.burned) == (FLOOR // 2, 0)
    assert deal.account(BUYER).worth() == 0
