"""Fair exchange: either party is killed before every step of the spec's table of stopping points, and nobody loses.

The steps are those that the node itself takes; the table in 06 names them, and says how each story ends.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from troth_node.agent import Accept, Counter, Quote, Reject, Want
from troth_node.exchanges import TABLE, Exchanges
from troth_node.player import Player
from troth_node.testing.bazaar import BOND, DOCUMENT, HINT, PRICE, Bazaar, Buyer, Seller
from troth_node.testing.samples import TOKEN
from troth_protocol.close.docket import EVIDENCE_TABLE, Accusation
from troth_protocol.errors import Invalid
from troth_protocol.log.ops import LockOp, Unlock
from troth_protocol.log.payee import Credited
from troth_protocol.log.rows import Lock, Offence
from troth_protocol.market.exchange import Contents, Misdelivery
from troth_protocol.wire.codec import encode
from troth_protocol.wire.crypto import digest

SPEC = Path(__file__).parents[2] / "spec" / "06-market.md"
ROW = re.compile(r"^\| (seller|buyer) \| `([a-z ]+)` \|.*\| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
START = (1_000 * TOKEN + BOND) // TOKEN
#: (seller, buyer) in tokens -> how it ended.
ENDS = {
    (START, START): "neither",
    (START + PRICE // TOKEN, START - PRICE // TOKEN): "both",
    (START - PRICE // TOKEN, START): "returned",
}


def rows():
    """The table: (party, step), and how it ends: back at once, never back, never back from a misdelivery."""
    return [(found[1], found[2], found[3], found[4], found[5]) for found in ROW.finditer(SPEC.read_text())]


def walk(party, place, *, away, witnesses=1, is_cheating=False):
    """Kill a party before its step at this place, let it come back or not, and wait until all is over."""
    agent = {"seller": witnesses, "buyer": witnesses + 1}[party]
    bazaar = Bazaar(is_cheating=is_cheating, witnesses=witnesses, fuses=[(agent, place)])
    bazaar.run(away)
    assert not bazaar.fuses, "it died"
    assert not list(bazaar.core(0).chain.state.items("locks", Lock)), "nothing stays locked"
    return bazaar


def end_of(bazaar):
    """How a story ended; the price and the key always move together."""
    end = ENDS[bazaar.tokens(bazaar.seller), bazaar.tokens(bazaar.buyer)]
    player = bazaar.players.get(bazaar.buyer)
    if player is not None and end != "neither":
        [purchase] = player.dealings.exchanges.purchases.values()
        expected = Misdelivery if bazaar.is_cheating else Contents
        assert isinstance(purchase.found(), expected), "paid or undone, so the key is known, and opens it"
    return "paid" if end == "both" and bazaar.is_cheating else end


def whole(is_cheating=False, witnesses=1):
    """A story in which nobody dies."""
    bazaar = Bazaar(is_cheating=is_cheating, witnesses=witnesses)
    bazaar.run()
    return bazaar


STORIES = {is_cheating: whole(is_cheating).steps for is_cheating in (False, True)}
PARTIES = {"seller": 1, "buyer": 2}


def places(party, step):
    """Where this step stands among a party's steps: in an honest story, or else in the other."""
    for is_cheating in (False, True):
        steps = STORIES[is_cheating][PARTIES[party]]
        found = [place for place, name in enumerate(steps) if name == step]
        if found:
            return is_cheating, found
    raise AssertionError(f"no {party} ever takes the step {step}")


# The table


def test_the_table_has_every_step_that_a_party_takes():
    taken = {
        (party, step)
        for steps in STORIES.values()
        for party, agent in PARTIES.items()
        for step in steps[agent]
    }
    assert {(party, step) for party, step, *_ in rows()} == taken


@pytest.mark.parametrize(("party", "step", "back", "gone", "cheated"), rows())
def test_a_row_of_the_table_ends_as_it_says(party, step, back, gone, cheated):
    is_cheating, found = places(party, step)
    for place in found:
        if not is_cheating:
            assert end_of(walk(party, place, away=0)) in back.split(" or ")
            assert end_of(walk(party, place, away=None)) in gone.split(" or ")
    for place in [n for n, name in enumerate(STORIES[True][PARTIES[party]]) if name == step]:
        assert end_of(walk(party, place, away=None, is_cheating=True)) in cheated.split(" or ")


@pytest.mark.parametrize("away", [0, 1, 3])
@pytest.mark.parametrize("party", PARTIES)
def test_an_honest_exchange_ends_with_signal_and_paid_or_with_neither(party, away):
    for place in range(len(STORIES[False][PARTIES[party]])):
        assert end_of(walk(party, place, away=away)) in {"both", "neither"}


@pytest.mark.parametrize("away", [0, 1])
@pytest.mark.parametrize("party", PARTIES)
def test_a_misdelivery_is_undone_whoever_dies_if_the_buyer_is_back_within_the_window(party, away):
    for place in range(len(STORIES[True][PARTIES[party]])):
        assert end_of(walk(party, place, away=away, is_cheating=True)) in {"returned", "neither"}


@pytest.mark.parametrize("party", PARTIES)
def test_with_four_witnesses_it_is_the_same(party):
    agent = {"seller": 4, "buyer": 5}[party]
    steps = whole(witnesses=4).steps[agent]
    for place in range(0, len(steps), 3):
        assert end_of(walk(party, place, away=0, witnesses=4)) in {"both", "neither"}


@pytest.mark.parametrize("is_cheating", [False, True])
def test_both_may_die_each_before_any_step(is_cheating):
    for sold in range(len(STORIES[is_cheating][1])):
        for bought in range(sold % 2, len(STORIES[is_cheating][2]), 2):
            bazaar = Bazaar(is_cheating=is_cheating, fuses=[(1, sold), (2, bought)])
            bazaar.run(0)
            assert end_of(bazaar) in {"neither", "returned" if is_cheating else "both"}


def test_a_party_may_die_at_every_second_step():
    for first in (0, 1):
        for agent in PARTIES.values():
            bazaar = Bazaar(fuses=[(agent, place) for place in range(first, 20, 2)])
            bazaar.run(0)
            assert end_of(bazaar) in {"neither", "both"}


# Stories


def test_the_signal_is_paid_and_comes_in_time():
    bazaar = whole()
    assert bazaar.got == [dict(HINT)]
    assert end_of(bazaar) == "both"


def test_a_cheat_pays_and_the_buyer_loses_nothing():
    bazaar = whole(is_cheating=True)
    assert bazaar.got == []
    assert end_of(bazaar) == "returned"
    [(_, offence)] = bazaar.core(0).chain.state.items("offences", Offence)
    assert (offence.kind, offence.slashed) == ("misdelivery", PRICE)


def test_everybody_is_shown_a_misdelivery_and_forgets_it_when_it_is_punished():
    bazaar = whole(is_cheating=True)
    for agent in (0, bazaar.seller):
        [accusation] = bazaar.notices(agent, Accusation)
        assert accusation.proof.kind == "misdelivery"
        assert accusation.proof.offender == bazaar.key(bazaar.seller)
        assert list(bazaar.seats[agent].disk.scan(EVIDENCE_TABLE, b"")) == []


class Sloppy(Seller):
    """Says of its hint what is not so."""

    def describe(self, document):
        head = f"name: {document}\nversion: 1\ndescription: A hint.\nmultiround: false"
        schema = '{"type": "object", "properties": {"heads": {"type": "string"}}}'
        return f"---\n{head}\n---\n\nIn words.\n\n```json schema\n{schema}\n```\n"


@pytest.mark.parametrize("fuses", [(), [(2, 9)]], ids=["alive", "killed before it keeps the key"])
def test_a_paid_payload_that_does_not_fit_its_document_is_dropped_and_accuses_nobody(monkeypatch, fuses):
    async def trusting(player, production):
        return True

    monkeypatch.setattr(Player, "_is_as_described", trusting)
    bazaar = Bazaar(cast=(Sloppy, Buyer), fuses=fuses)
    bazaar.run(0)
    assert bazaar.got == []
    assert end_of(bazaar) == "both", "it opens the commit, so the seller is paid"
    assert not {"say receipt", "sign accuse"} & set(bazaar.steps[2])
    assert not bazaar.notices(0, Accusation)


def test_a_seller_does_not_commit_to_what_its_own_document_forbids():
    bazaar = Bazaar(cast=(Sloppy, Buyer))
    bazaar.run()
    assert "write sale" not in bazaar.steps[1]


def test_no_signal_is_bought_twice_after_a_restart():
    for place, step in enumerate(STORIES[False][2]):
        if step.endswith("lock"):
            bazaar = walk("buyer", place, away=0)
            assert len(bazaar.players[2].dealings.exchanges.purchases) <= 1


def test_rows_are_gone_when_all_is_over():
    bazaar = Bazaar()
    bazaar.run(epochs=26)
    for agent in (bazaar.seller, bazaar.buyer):
        assert list(bazaar.seats[agent].disk.scan(TABLE, b"")) == []


def test_a_damaged_row_is_said_so():
    bazaar = Bazaar()
    bazaar.start()
    for key, row in ((b"s", [b""]), (b"z", True), (b"s", [b"\x80", b"", b"", False])):
        disk = bazaar.seats[0].disk
        disk.tables[TABLE] = {key: encode(row)}
        with pytest.raises(Invalid):
            Exchanges(bazaar.core(0))


class Haggler(Seller):
    """Asks for seven tokens, takes five."""

    def quote(self, request):
        asked = 7 * TOKEN if request.round == 0 else PRICE
        return Quote(request.min_weight_ppm, asked)


class Miser(Buyer):
    """Offers five tokens for whatever costs more."""

    def consider(self, offer):
        if offer.price <= self.budget:
            return Accept()
        return Counter(offer.min_weight_ppm, self.budget) if offer.round == 0 else Reject()


class Citing(Buyer):
    """Promises a citation besides."""

    def wants(self, question):
        return [Want(DOCUMENT, 50_000)]


class Poor(Buyer):
    """Would pay more than it has."""

    budget = 10**9 * TOKEN


class Dear(Seller):
    """Asks for more than anybody has."""

    price = 10**6 * TOKEN


def test_a_price_is_haggled_over():
    bazaar = Bazaar(cast=(Haggler, Miser))
    bazaar.run()
    assert end_of(bazaar) == "both"


def test_a_price_above_the_budget_is_refused():
    bazaar = Bazaar(cast=(Haggler, Buyer))
    bazaar.run()
    assert end_of(bazaar) == "neither"
    assert bazaar.steps[1] == ["write deal", "say offer"]
    assert bazaar.steps[2] == ["write deal", "say request", "write deal", "say reject"]


def test_nobody_agrees_to_what_it_cannot_pay():
    bazaar = Bazaar(cast=(Dear, Poor))
    bazaar.run()
    assert end_of(bazaar) == "neither"
    assert bazaar.steps[2] == ["write deal", "say request", "write deal", "say reject"]


def test_a_price_and_a_citation_together():
    """The promise and the lock are one entry: so it takes no longer than a price alone."""
    bazaar = Bazaar(cast=(Seller, Citing), commit=4)
    bazaar.run()
    assert end_of(bazaar) == "both"
    assert bazaar.got == [dict(HINT)]


def test_what_would_come_too_late_is_not_sealed():
    """A lock has to be open for two epochs, and the buyer then needs one to commit."""
    bazaar = Bazaar(commit=3)
    bazaar.run()
    assert end_of(bazaar) == "neither"
    assert "write sale" not in bazaar.steps[1]


# Single steps


def sealed_for(bazaar):
    """Run until the buyer has something sealed; its purchase."""
    bazaar.start()
    for _ in range(3):
        bazaar.settle()
        if bazaar.players[2].dealings.exchanges.purchases:
            break
        bazaar.tick(1)
        bazaar.close()
    [purchase] = bazaar.players[2].dealings.exchanges.purchases.values()
    return purchase


def test_a_wrong_key_is_passed_over():
    bazaar = Bazaar()
    purchase = sealed_for(bazaar)
    exchanges = bazaar.players[2].dealings.exchanges
    exchanges.learn(purchase.id, b"x" * 32)
    exchanges.learn(bytes(32), b"x" * 32)
    assert exchanges.purchases[purchase.id].key is None


def test_a_key_of_no_bytes_is_remembered_and_opens_nothing():
    bazaar = Bazaar()
    purchase = sealed_for(bazaar)
    exchanges = bazaar.players[2].dealings.exchanges
    exchanges.purchases[purchase.id] = replace(purchase, terms=replace(purchase.terms, hash=digest(b"")))
    exchanges.learn(purchase.id, b"")
    bazaar.flush(2)
    assert isinstance(exchanges.purchases[purchase.id].found(), Misdelivery)
    assert Exchanges(bazaar.core(2)).purchases[purchase.id].key == b""


def test_a_lock_of_less_than_the_price_is_not_opened():
    bazaar = Bazaar()
    purchase = sealed_for(bazaar)
    bazaar.lose()
    terms = purchase.terms
    bazaar.players[2].dealings.exchanges.purchases.clear()
    bazaar.put(2, LockOp(terms.seller, terms.price - 1, terms.hash, terms.until))
    for _ in range(4):
        bazaar.tick(2)
        bazaar.close()
    assert "sign unlock" not in bazaar.steps[1]


def test_a_final_lock_is_opened_before_the_close():
    bazaar = Bazaar()
    purchase = sealed_for(bazaar)
    bazaar.tick(2)
    epoch = bazaar.core(1).epoch
    while "sign lock" not in bazaar.steps[2]:
        bazaar.close()
        bazaar.tick(3)
        epoch = bazaar.core(1).epoch
    bazaar.tick(4)
    assert "sign unlock" in bazaar.steps[1]
    assert bazaar.core(1).epoch == epoch
    assert isinstance(bazaar.notices(1, Credited)[-1], Credited)
    assert purchase.terms.price == PRICE


def test_what_the_key_opens_is_found_again_from_the_row():
    bazaar = whole(is_cheating=True)
    assert bazaar.is_cheating
    bazaar = Bazaar(is_cheating=True)
    sealed_for(bazaar)
    for _ in range(2):
        bazaar.tick(3)
        bazaar.close()
    twin = Exchanges(bazaar.core(2))
    [found] = [each.found() for each in twin.purchases.values()]
    assert isinstance(found, Misdelivery)
    assert twin.opened(next(iter(twin.purchases.values())).terms.question) == []
    sold = Exchanges(bazaar.core(1))
    assert all(Unlock(bytes(32), sale.key).preimage == sale.key for sale in sold.sales.values())
