"""What an agent does with its account: bonds are a target that it comes back to, questions are asked and paid for."""

from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from troth_node.agent import Agent, Ask
from troth_node.loader import load_agent
from troth_node.testing.company import Company
from troth_node.testing.patron import PATRON_RULES
from troth_node.testing.samples import RULES, TOKEN, sample_genesis
from troth_protocol.log.rows import Question

ROOT = Path(__file__).parents[2]
EMIL, FAY = 4, 5
BOND = 500 * TOKEN


class Holder(Agent):
    """Holds a witness bond from one epoch on, up to another."""

    is_quick = True
    since, until = 2, 100

    def bonds(self, means):
        return {"witness": BOND if self.since <= means.epoch < self.until else 0}


class Quiet(Agent):
    """Does nothing, quickly."""

    is_quick = True


class Leaver(Holder):
    until = 5


def company(cast, *, bonds=None, rules=RULES):
    genesis = sample_genesis(6, 4, weights=[500] * 4, rules=rules, topics=())
    made = Company(genesis, cast, bonds)
    made.start()
    made.settle()
    return made


def is_witness(made, agent):
    return made.core(0).chain.committee.index(made.key(agent)) is not None


def test_an_agent_bonds_in_and_is_a_witness_two_epochs_later():
    made = company({EMIL: Holder})
    made.live(2)
    assert (made.account(EMIL).witness, is_witness(made, EMIL)) == (BOND, False)
    made.live(1)
    assert is_witness(made, EMIL)
    made.live(3)
    assert made.account(EMIL).witness == BOND, "what is held is not bonded again"
    assert made.core(EMIL).closer is not None


def test_it_leaves_and_its_bond_is_unbonding():
    made = company({EMIL: Leaver})
    made.live(5)
    assert made.account(EMIL).witness == 0
    made.live(1)
    assert not is_witness(made, EMIL)
    assert [amount for _, amount, _ in made.account(EMIL).unbonding] == [BOND]


def test_a_bond_of_the_command_line_wins_and_a_restart_does_not_bond_twice():
    made = company({EMIL: Leaver}, bonds={EMIL: {"witness": BOND // 2, "agent": TOKEN}})
    made.live(2)
    made.crash(EMIL)
    made.start(EMIL)
    made.live(5)
    account = made.account(EMIL)
    assert (account.witness, account.agent, account.unbonding) == (BOND // 2, TOKEN, ())
    assert is_witness(made, EMIL)


def test_a_crash_between_bonding_and_the_seal_is_made_up_for():
    made = company({EMIL: Holder})
    made.live(1)
    made.settle()
    made.crash(EMIL)
    made.start(EMIL)
    made.live(4)
    assert made.account(EMIL).witness == BOND


def test_whoever_was_left_out_for_silence_returns_by_itself():
    made = company({EMIL: Holder}, rules=replace(RULES, silent_epochs=2))
    made.live(4)
    assert is_witness(made, EMIL)
    made.crash(EMIL)
    made.live(3)
    assert not is_witness(made, EMIL)
    made.start(EMIL)
    made.live(8)
    assert is_witness(made, EMIL)
    assert made.account(EMIL).witness == BOND + 1


def test_what_cannot_be_bonded_is_said():
    made = company({EMIL: Quiet}, bonds={EMIL: {"witness": 10**6 * TOKEN}})
    with capture_logs() as lines:
        made.live(2)
    assert [line["code"] for line in lines if line["event"] == "op refused"] == ["insufficient_balance"] * 2


def harbour(name):
    def make():
        made = load_agent(f"examples/agents/asker.py:{name}", ROOT)()
        made.open({"name": name})
        return made

    return make


def asked():
    cast = {EMIL: harbour("Asker"), **dict.fromkeys((0, 1, 2, 3, FAY), harbour("Harbourmaster"))}
    return company(cast, rules=replace(PATRON_RULES, house=10 * TOKEN))


def test_an_asker_pays_for_an_answer():
    made = asked()
    before = {agent: made.account(agent).worth() for agent in range(6)}
    made.live(5)
    ((_, question),) = made.core(0).chain.state.items("questions", Question)
    assert (question.asker, question.text) == (made.key(EMIL), made.players[EMIL].agent.text)
    made.live(9)
    assert made.players[EMIL].agent.answer == "yes"
    assert 0 < made.players[EMIL].agent.paid < made.players[EMIL].agent.bounty
    assert made.account(FAY).worth() > before[FAY], "it knew, and was paid"
    assert made.account(EMIL).worth() < before[EMIL]
    assert sum(made.account(agent).worth() for agent in range(6)) < sum(before.values())
    assert made.core(0).chain.state.is_conserved()
    results = made.core(0).chain.state.totals()
    assert results.reserve == made.genesis.reserve


def test_a_strange_question_costs_an_agent_none_of_its_duties():
    class Picky(Agent):
        """Knows three outcomes, and stumbles over anything else."""

        is_quick = True

        def wants(self, question):
            raise KeyError(question.topic)

        def attest(self, question):
            return {"Shall I?": 0}[question.text]

    class Bore(Agent):
        """Asks two things in one epoch."""

        is_quick = True

        def asks(self, means):
            texts = [text for text in ("Shall I not?", "Shall I?") if means.epoch == 1]
            return [Ask(text, ("a", "b"), 5 * TOKEN, topic=text) for text in texts]

    made = company({EMIL: Bore, **dict.fromkeys(range(4), Picky)}, rules=PATRON_RULES)
    with capture_logs():
        made.live(12)
    left = [row.text for _, row in made.core(0).chain.state.items("questions", Question)]
    assert left == ["Shall I not?"], "the other one is answered"


@pytest.mark.parametrize("bad", [{"prior_ppm": (1, 2)}, {"bounty": 1}, {"ahead": 0}])
def test_what_cannot_be_asked_is_said(bad):
    class Bungler(Agent):
        is_quick = True

        def asks(self, means):
            return [Ask(**{"text": "why?", "outcomes": ("a", "b"), "bounty": 5 * TOKEN} | bad)]

    made = company({EMIL: Bungler}, rules=PATRON_RULES)
    with capture_logs() as lines:
        made.live(2)
    assert {line["event"] for line in lines} == {"op refused"}
    assert not list(made.core(0).chain.state.items("questions", Question))
