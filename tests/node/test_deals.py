"""Negotiations outlive their process: what was said is on disk, and whoever comes back goes on, or lets it end."""

import pytest
from structlog.testing import capture_logs

from troth_node.agent import Reject, Want
from troth_node.deals import TABLE, Deals
from troth_node.testing.bazaar import DOCUMENT, HINT, Bazaar, Buyer, Seller
from troth_protocol.errors import Invalid
from troth_protocol.log.rows import Promise
from troth_protocol.market.desk import Desk, Limits
from troth_protocol.wire.codec import encode

SELLER, BUYER = 1, 2


class Giver(Seller):
    """Asks for a citation only."""

    price = 0


class Citing(Buyer):
    """Promises one."""

    def wants(self, question):
        return [Want(DOCUMENT, 50_000)]


class Proud(Buyer):
    """Takes nothing."""

    def consider(self, offer):
        return Reject()


def rows(bazaar, agent):
    return list(bazaar.seats[agent].disk.scan(TABLE, b""))


def desk_of(bazaar, agent):
    core = bazaar.core(agent)
    return Desk(core.keys, bazaar.network, core.epoch)


def states(bazaar, agent):
    return [negotiation.state for negotiation in bazaar.players[agent].dealings.desk]


def reborn(bazaar, agent):
    """Kill an agent between two effects, and start it again."""
    bazaar.crash(agent)
    bazaar.start(agent)
    bazaar.settle()
    bazaar.tick(3)


def given(fuses=()):
    """A signal for a citation, to its delivery."""
    bazaar = Bazaar(cast=(Giver, Citing), fuses=fuses)
    bazaar.run(0, epochs=4)
    return bazaar


def test_a_delivered_signal_is_still_there_after_a_restart_and_its_promise_is_recorded_once():
    bazaar = given()
    assert bazaar.got == [dict(HINT)]
    reborn(bazaar, BUYER)
    [(_, signal)] = bazaar_run(bazaar.players[BUYER].dealings.opened())
    assert signal.payload == dict(HINT)
    assert len(list(bazaar.core(0).chain.state.items("promises", Promise))) == 1


def bazaar_run(coroutine):
    """A quick agent's coroutine never waits."""
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    return end.value.value


@pytest.mark.parametrize("agent", [SELLER, BUYER])
def test_whoever_dies_before_a_step_of_a_delivery_for_a_citation_goes_on(agent):
    for place in range(len(given().steps[agent])):
        bazaar = given(fuses=[(agent, place)])
        assert not bazaar.fuses
        assert bazaar.got[-1:] == [dict(HINT)], f"before step {place}"
        assert len(list(bazaar.core(0).chain.state.items("promises", Promise))) == 1


def test_nothing_is_asked_for_twice_but_what_was_refused():
    bazaar = Bazaar(cast=(Seller, Proud))
    bazaar.start()
    while not rows(bazaar, BUYER):
        bazaar.settle()
        bazaar.close()
    bazaar.settle()
    assert states(bazaar, BUYER) == ["rejected"]
    reborn(bazaar, BUYER)
    assert states(bazaar, BUYER) == ["rejected", "rejected"]
    bazaar = Bazaar(fuses=[(SELLER, 1)])
    bazaar.start()
    while not rows(bazaar, SELLER):
        bazaar.settle()
        bazaar.close()
    assert states(bazaar, BUYER) == ["requested"]
    reborn(bazaar, BUYER)
    assert states(bazaar, BUYER) == ["requested"]


def test_what_both_have_agreed_on_is_delivered_though_both_die():
    bazaar = Bazaar(fuses=[(SELLER, 4), (BUYER, 4)], commit=6)
    bazaar.run(0)
    assert bazaar.got == [dict(HINT)]


def test_silence_ends_what_nobody_goes_on_with():
    bazaar = Bazaar(fuses=[(SELLER, 4)])
    bazaar.run(3)
    assert bazaar.got == []
    assert states(bazaar, SELLER) == states(bazaar, BUYER) == []


def test_a_full_desk_costs_a_question_and_not_the_epoch():
    bazaar = Bazaar()
    bazaar.start()
    desk = bazaar.players[BUYER].dealings.desk
    desk._limits = Limits(peer=0, total=0)
    for _ in range(3):
        bazaar.settle()
        bazaar.close()
    assert states(bazaar, BUYER) == []
    assert list(bazaar.players[BUYER].plays)
    assert desk.epoch == bazaar.core(BUYER).epoch, "what is over can still be forgotten"


def test_rows_are_gone_when_the_desk_has_forgotten():
    bazaar = Bazaar()
    bazaar.run()
    for agent in (SELLER, BUYER):
        assert rows(bazaar, agent) == []


def test_restarts_do_not_prolong_what_is_over():
    bazaar = Bazaar()
    bazaar.run(epochs=4)
    assert states(bazaar, BUYER) == ["received"]
    while states(bazaar, BUYER):
        assert bazaar.core(BUYER).epoch < 14
        reborn(bazaar, BUYER)
        bazaar.close()
    assert rows(bazaar, BUYER) == []


def test_a_negotiation_that_cannot_be_read_is_forgotten():
    bazaar = given()
    disk = bazaar.seats[SELLER].disk
    for key, _ in rows(bazaar, SELLER)[1:]:
        del disk.tables[TABLE][key]
    [(key, _)] = rows(bazaar, SELLER)
    disk.tables[TABLE][key] = encode([[[b"junk", bytes(64)]], 1, []])
    with capture_logs() as lines:
        Deals(bazaar.core(SELLER), desk_of(bazaar, SELLER))
    assert [line["event"] for line in lines] == ["negotiation forgotten"]
    bazaar.flush(SELLER)
    assert rows(bazaar, SELLER) == []


@pytest.mark.parametrize("row", [True, [[], 1, [], []], [[b"no pair"], 1, []]])
def test_a_damaged_row_is_said_so(row):
    bazaar = given()
    disk = bazaar.seats[SELLER].disk
    disk.tables[TABLE] = {bytes(33): encode(row)}
    with pytest.raises(Invalid) as refusal:
        Deals(bazaar.core(SELLER), desk_of(bazaar, SELLER))
    assert refusal.value.code == "bad_row"
