"""What can be asked, for how much, and how many at once: the rules of `ask`, in the log and at the close."""

from dataclasses import replace

import pytest

from troth_node.testing.moves import commit, refused, taken
from troth_node.testing.patron import BOUNTY, PATRON_RULES, RAIN, Patronage
from troth_node.testing.samples import COIN, RULES, TOKEN
from troth_protocol.errors import Invalid
from troth_protocol.genesis import load_genesis
from troth_protocol.log.ops import OPS, AskOp, CommitOp
from troth_protocol.log.rows import Question
from troth_protocol.wire.crypto import digest

ASKER, OTHER = 4, 5
FEE = PATRON_RULES.fee


@pytest.fixture
def net():
    return Patronage()


def asked(**changes):
    return AskOp(replace(RAIN, **changes), BOUNTY)


def test_an_ask_spends_its_bounty_and_a_fee_for_each_epoch_that_it_takes_up(net):
    delta = taken(net, ASKER, asked())
    epochs = 8 - net.epoch
    assert (delta.spent, delta.burned) == (BOUNTY + (1 + epochs) * FEE, (1 + epochs) * FEE)
    ((_, row),) = delta.rows.items()
    assert (row.asker, row.bounty, row.pot) == (net.key(ASKER), BOUNTY, 0)
    assert row.emission == BOUNTY - RULES.attest_fee, "the attesters' fee is set aside"


def test_a_question_is_sealed_before_anybody_can_answer_it(net):
    key = net.ask()
    answer = CommitOp(key, digest(b"sealed"), TOKEN)
    assert refused(net, OTHER, answer) == "unknown_question"
    assert refused(net, OTHER, answer, deps=[net.book.head(net.key(ASKER))[1]]) == "unknown_question"
    net.close()
    row = net.state.question(key)
    assert (row.text, row.outcomes, row.prior) == (RAIN.text, RAIN.outcomes, RAIN.prior)
    taken(net, OTHER, answer)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"opens": 1}, "bad_epoch"),
        ({"opens": 1 + 1_001}, "bad_epoch"),
        ({"text": ""}, "bad_question"),
        ({"outcomes": ("yes", "yes")}, "bad_question"),
        ({"text": "rain?\x1b[2J"}, "bad_question"),
        ({"topic": "a\nb"}, "bad_question"),
        ({"outcomes": ("yes", "\u202eno")}, "bad_question"),
        ({"commit": 0}, "bad_question"),
        ({"attest": 1}, "bad_question"),
        ({"reveal": 1}, "bad_question"),
        ({"attest_reveal": 1}, "bad_question"),
        ({"attest": 61}, "bad_question"),
        ({"prior": (300_000, 300_000, 400_000)}, "bad_probabilities"),
        ({"prior": (300_000, 699_999)}, "bad_probabilities"),
        ({"prior": (9_999, 990_001)}, "bad_probabilities"),
    ],
)
def test_what_cannot_be_asked(net, changes, code):
    assert refused(net, ASKER, asked(**changes)) == code


def test_the_latest_opening_and_the_longest_prior_are_taken(net):
    taken(net, ASKER, asked(opens=1_001))
    taken(net, ASKER, asked(attest=RULES.evidence_epochs - 4))
    many = tuple(f"outcome {number}" for number in range(64))
    taken(net, ASKER, asked(outcomes=many, prior=(15_625,) * 64))


@pytest.mark.parametrize(
    "changes", [{"outcomes": ("yes",)}, {"text": "x" * 1_025}, {"topic": "x" * 33}, {"commit": 1_001}]
)
def test_what_is_out_of_bounds_has_no_encoding(changes):
    with pytest.raises(Invalid, match="bad_field"):
        OPS.decode(OPS.encode(asked(**changes)))


def test_a_bounty_has_a_least_amount_and_is_covered(net):
    least = PATRON_RULES.min_bounty
    taken(net, ASKER, AskOp(RAIN, least))
    assert refused(net, ASKER, AskOp(RAIN, least - 1)) == "bad_amount"
    enough = least + 8 * FEE
    net.set_account(ASKER, balance=enough)
    taken(net, ASKER, AskOp(RAIN, least))
    net.set_account(ASKER, balance=enough - 1)
    assert refused(net, ASKER, AskOp(RAIN, least)) == "insufficient_balance"


def test_a_network_that_says_nothing_of_it_takes_no_questions():
    assert refused(Patronage(rules=RULES), ASKER, asked()) == "too_many"


@pytest.mark.parametrize(
    "changes", [{"asks_max": None}, {"min_bounty": None}, {"min_bounty": RULES.attest_fee - 1}]
)
def test_both_rules_come_together_and_pay_the_attesters(net, changes):
    rules = replace(PATRON_RULES, **changes)
    with pytest.raises(Invalid, match="bad_genesis"):
        load_genesis(replace(net.genesis, rules=rules).encode())


# So many at once


def test_one_log_asks_no_more_than_there_is_room_for(net):
    assert refused(net, ASKER, *[asked()] * 4) == "too_many"
    net.put(ASKER, asked(), asked())
    assert refused(net, ASKER, asked(), asked()) == "too_many"
    net.put(ASKER, asked())
    net.close()
    assert refused(net, OTHER, asked(opens=3)) == "too_many", "they are sealed"


def test_of_too_many_in_one_epoch_the_highest_bounties_stay(net):
    before = net.account(6).balance
    keys = [net.ask(agent, bounty * TOKEN) for agent, bounty in ((3, 5), (4, 9), (5, 7), (6, 3))]
    net.advance(2)
    assert [key in net.state.tables["questions"].rows for key in keys] == [True, True, True, False]
    assert net.account(6).balance == before - 8 * FEE, "the bounty is back, the fees are not"


def test_equal_bounties_stay_by_their_ids(net):
    keys = [net.ask(agent) for agent in (3, 4, 5, 6)]
    net.advance(2)
    assert sorted(keys)[:3] == sorted(key for key, _ in net.state.items("questions", Question))


def test_there_is_room_again_once_a_question_has_closed(net):
    first = net.ask()
    for agent in (5, 6):
        net.ask(agent, asked=replace(RAIN, opens=9))
    net.advance(8)
    assert refused(net, OTHER, asked(opens=10)) == "too_many", "the first one closes with this epoch"
    net.advance(27)
    assert first not in net.state.tables["questions"].rows
    taken(net, OTHER, asked(opens=30))


def test_standing_questions_take_no_room():
    net = Patronage(topics=(replace(COIN, per_epoch=5),))
    net.put(ASKER, asked(), asked(), asked())
    net.close()
    taken(net, OTHER, commit(net, OTHER, TOKEN))
