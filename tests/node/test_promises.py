"""Promised citations between two players on whole cores: kept by the node, dear to an agent that breaks them."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from troth_node.agent import Agent, Counter, Forecast, Quote, Reject, Want
from troth_node.promises import TABLE, Owed, Promises, with_owed
from troth_node.testing.bazaar import BOND, DOCUMENT, HINT, PRICE, Bazaar, Buyer, Seller
from troth_node.testing.moves import SALT
from troth_node.testing.samples import TOKEN
from troth_protocol.core import EpochOpened
from troth_protocol.errors import Invalid
from troth_protocol.log.ops import Agree, Attest, AttestReveal
from troth_protocol.log.rows import Attestation, Promise, Question
from troth_protocol.log.sealed import attest_digest
from troth_protocol.wire.codec import encode
from troth_protocol.wire.schema import PPM

WEIGHT, FLOOR, HEADS = 300_000, 4 * TOKEN, 0
OPENING_EPOCHS = 18


class Source(Seller):
    """Sells for a citation alone."""

    price = 0

    def quote(self, request):
        return Quote(WEIGHT)


class Guarded(Source):
    """Wants a floor besides, and a real wager."""

    def quote(self, request):
        return Quote(WEIGHT, floor=FLOOR, min_wager=20 * TOKEN)


class Priced(Source):
    """Wants a price and a citation."""

    def quote(self, request):
        return Quote(WEIGHT, PRICE)


class Honest(Buyer):
    """Forecasts what it has heard, with a small wager, and cites as much as it promised."""

    cite_ppm = WEIGHT

    def wants(self, question):
        return [Want(DOCUMENT, WEIGHT)]

    def consider(self, offer):
        self.offer = offer
        return super().consider(replace(offer, min_weight_ppm=0))

    def forecast(self, question, signals):
        super().forecast(question, signals)
        return Forecast((900_000, 100_000), "I was told", wager_ppm=1_000)


class Rat(Honest):
    """Takes the hint and cites nobody."""

    def allocate(self, question, signals, output):
        return {}


class Mouse(Honest):
    """Cites less than it promised."""

    def allocate(self, question, signals, output):
        return {signal.commit: WEIGHT // 2 for signal in signals}


class Listener(Honest):
    """Takes the hint and says nothing."""

    def forecast(self, question, signals):
        return Buyer.forecast(self, question, signals)


class Fair(Bazaar):
    """A bazaar whose witness tells the outcome."""

    def __init__(self, seller, buyer, **options):
        super().__init__(cast=(seller, buyer), **options)

    def _live(self):
        super()._live()
        core, now = self.core(0), self.core(0).epoch
        for key, question in core.chain.state.items("questions", Question):
            duty = core.chain.state.find("attestations", key + self.key(0), Attestation)
            if question.is_attest_open(now):
                self.put(0, Attest(key, attest_digest(self.network, self.key(0), key, SALT, HEADS)))
            elif question.is_attest_reveal_open(now) and duty is not None:
                self.put(0, AttestReveal(key, HEADS, SALT))

    def settled(self):
        """The settlement of the one question, as the witness executed it."""
        closes = [event.closed for event in self.notices(0, EpochOpened) if event.closed]
        [found] = [item for closed in closes for item in closed.settlements if not item.revote]
        return found

    def said(self):
        """What the buyer has said."""
        return [step for step in self.steps[self.buyer] if step.startswith("say")]

    def ops(self, agent, kind):
        """The ops of one kind that an agent has signed."""
        core = self.core(agent)
        entries = [*core.chain.book.stored.values()]
        return [op for stored in entries for op in stored.entry.ops if isinstance(op, kind)]


def story(seller, buyer, away=None, **options):
    fair = Fair(seller, buyer, **options)
    fair.run(away, epochs=OPENING_EPOCHS)
    return fair


# Kept and broken


@pytest.mark.parametrize("seller", [Source, Guarded, Priced])
def test_a_promise_that_is_kept_costs_the_citation(seller):
    fair = story(seller, Honest)
    settlement = fair.settled()
    assert fair.got == [dict(HINT)]
    assert settlement.breaches == ()
    [paid] = settlement.payments
    assert paid.amount == settlement.forecasts[0].income * WEIGHT // (2 * PPM) > 0


@pytest.mark.parametrize("seller", [Source, Guarded, Priced])
@pytest.mark.parametrize("buyer", [Rat, Mouse])
def test_a_buyer_that_takes_the_hint_and_does_not_cite_it_loses_and_the_seller_is_paid(seller, buyer):
    honest, fair = story(seller, Honest), story(seller, buyer)
    assert fair.got == [dict(HINT)]
    [line] = fair.settled().breaches
    assert (line.buyer, line.seller) == (fair.key(fair.buyer), fair.key(fair.seller))
    assert line.paid > 0
    assert line.burned >= line.paid
    assert fair.account(fair.buyer).worth() < honest.account(honest.buyer).worth()
    assert fair.account(fair.seller).worth() >= honest.account(honest.seller).worth()
    assert fair.core(0).chain.state.is_conserved()


def test_a_buyer_that_forecasts_under_another_name_pays_the_floor():
    fair = story(Guarded, Listener)
    [line] = fair.settled().breaches
    assert (line.paid, line.burned) == (FLOOR, FLOOR)
    assert story(Source, Listener).settled().breaches == (), "it earned nothing by it, and promised no floor"


def test_the_agents_learn_what_a_breach_cost_and_paid():
    told = {}

    class Told(Rat):
        def observe(self, result):
            told["buyer"] = result.paid

    class Teller(Guarded):
        def observe(self, result):
            told["seller"] = result.income

    [line] = story(Teller, Told).settled().breaches
    assert told == {"buyer": line.paid + line.burned, "seller": line.paid}


# How it binds


def test_an_open_delivery_is_bound_by_the_receipt_that_the_seller_records():
    fair = Fair(Source, Honest)
    fair.run(epochs=5)
    [(_, promise)] = fair.core(0).chain.state.items("promises", Promise)
    assert promise.bound
    assert promise.hash is None
    assert "say receipt" in fair.steps[fair.buyer]


@pytest.mark.parametrize("seller", [Guarded, Priced])
def test_a_sealed_delivery_is_bound_by_its_key_whatever_the_buyer_says(seller):
    class Mute(Honest):
        pass

    fair = Fair(seller, Mute)
    fair.run(epochs=5)
    [(_, promise)] = fair.core(0).chain.state.items("promises", Promise)
    assert promise.bound
    assert promise.hash is not None
    assert not [op for op in fair.ops(fair.seller, Agree) if op.receipt is not None]


def test_a_key_is_not_published_before_the_promise_is_in_the_log(monkeypatch):
    monkeypatch.setattr("troth_node.exchanges.Purchase.ops", lambda purchase: (purchase.lock(),))
    fair = story(Guarded, Rat)
    assert "sign lock" in fair.steps[fair.buyer]
    assert "sign unlock" not in fair.steps[fair.seller]
    assert fair.got == []


def test_a_floor_that_the_bond_does_not_cover_is_refused():
    class Greedy(Source):
        def quote(self, request):
            return Quote(WEIGHT, floor=BOND // 2 + 1)

    class Rich(Honest):
        budget = 10**6 * TOKEN

    fair = story(Greedy, Rich)
    assert fair.said() == ["say request", "say reject"]


def test_a_floor_above_the_budget_is_refused_by_default():
    class Careful(Honest):
        budget = FLOOR - 1

    fair = story(Guarded, Careful)
    assert fair.said() == ["say request", "say reject"]


def test_a_counter_keeps_floor_and_wager():
    class Haggler(Honest):
        def consider(self, offer):
            self.got.append((offer.floor, offer.min_wager))
            return Counter(WEIGHT // 2) if offer.round == 0 else Reject()

    fair = story(Guarded, Haggler)
    assert fair.got[:2] == [(FLOOR, 20 * TOKEN)] * 2


# After a restart


@pytest.mark.parametrize("seller", [Source, Guarded])
def test_whoever_dies_after_its_receipt_cites_all_the_same(seller):
    whole = story(seller, Honest)
    places = [place for place, step in enumerate(whole.steps[whole.buyer]) if step == "say receipt"]
    for place in (places[0], places[0] + 1):
        fair = story(seller, Honest, away=0, fuses=[(whole.buyer, place)])
        assert fair.settled().breaches == ()


def test_what_is_owed_is_found_on_disk_and_forgotten_with_its_question():
    fair = Fair(Source, Honest)
    fair.run(epochs=5)
    dealings = fair.players[fair.buyer].dealings
    [(_, promise)] = fair.core(0).chain.state.items("promises", Promise)
    owed = [Owed(promise.question, promise.commit, WEIGHT, 0)]
    again = Promises(fair.core(fair.buyer), dealings.desk, dealings.exchanges)
    assert dealings.promises.owed(promise.question) == again.owed(promise.question) == owed
    assert again.owed(bytes(32)) == []
    fair.run(epochs=OPENING_EPOCHS)
    assert list(fair.seats[fair.buyer].disk.scan(TABLE, b"")) == []


def test_a_damaged_row_is_said_so():
    fair = Fair(Source, Honest)
    fair.start()
    dealings = fair.players[fair.buyer].dealings
    fair.seats[fair.buyer].disk.tables[TABLE] = {b"a": encode([b""])}
    with pytest.raises(Invalid):
        Promises(fair.core(fair.buyer), dealings.desk, dealings.exchanges)


# Weights


def test_what_an_agent_was_not_shown_is_cited_and_the_rest_makes_room():
    owed = [Owed(b"q", b"a", 600_000, 0), Owed(b"q", b"b", 100_000, 0), Owed(b"q", b"z", 0, 0)]
    assert with_owed({b"b": 300_000}, owed, [b"b"]) == {b"a": 600_000, b"b": 300_000}
    assert with_owed({b"b": 800_000}, owed, [b"b"]) == {b"a": 600_000, b"b": 400_000}
    assert with_owed({}, owed, []) == {b"a": 600_000, b"b": 100_000}
    assert with_owed({b"b": PPM}, [], [b"b"]) == {b"b": PPM}


def test_an_agent_that_cites_less_than_it_promised_is_warned():
    with capture_logs() as logs:
        assert with_owed({b"b": 1}, [Owed(b"q", b"b", 2, 0)], [b"b"]) == {b"b": 1}
    assert [line["promised_ppm"] for line in logs] == [2]


def test_by_default_an_agent_asks_for_no_floor():
    assert Quote(1) == Quote(1, 0, 0, 0)
    assert Agent().budget == 0
