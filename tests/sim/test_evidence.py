"""One honest observer is enough: whoever contradicts itself before a single node is convicted and slashed everywhere.

A network of four witnesses and two more agents; one witness commits one kind of offence, and only one node is shown
both halves of it. Whether that one is a witness or not, it shows the evidence to its peers, and the next close of every
honest node punishes it.
"""

import pytest

from troth_node.testing.contradictions import CONTRADICTIONS, make_contradicts
from troth_node.testing.samples import RULES, TOKEN, sample_genesis, seed
from troth_node.testing.world import Faults, World
from troth_protocol.core import EpochOpened
from troth_protocol.log.ops import Transfer
from troth_protocol.log.rows import Offence

WITNESSES, AGENTS = 4, 6
A_WITNESS, TRAITOR, AUTHOR, AN_AGENT = 2, 1, 4, 5
#: What one role's bond of the traitor holds: it witnesses and attests, and loses the same share of both.
BOND = 100_000 * TOKEN
PPM = 1_000_000
LIMIT_MS = 40_000


class Drama:
    """A world in which one witness contradicts itself once, in epoch 2 or soon after, before one observer."""

    def __init__(self, kind, observer, faults=None):
        genesis = sample_genesis(AGENTS, WITNESSES)
        self.world = World(genesis, [seed(n) for n in range(AGENTS)], 1, faults)
        self.keys = list(self.world.nodes)
        self.traitor, self.observer = self.keys[TRAITOR], self.keys[observer]
        self.honest = [key for key in self.keys if key != self.traitor]
        self.world.twists[self.traitor] = make_contradicts(kind, self.observer, first=2)
        self.world.on_notice = self.notice
        for key in self.keys:
            self.world.start(key)

    def notice(self, node, event):
        """Something is paid in every epoch, so that there is something to vote for."""
        if isinstance(event, EpochOpened) and node.keys.public in (self.keys[AUTHOR], self.traitor):
            node.core.submit((Transfer(self.keys[0], event.epoch, b""),))

    def play(self, until):
        """Until this holds of every honest node's core."""
        assert self.world.run(lambda: all(map(until, self.cores())), LIMIT_MS), "it never comes to this"

    def cores(self):
        return [self.world.nodes[key].core for key in self.honest if self.world.nodes[key].core]

    def offences(self, core):
        return [row for _, row in core.chain.state.items("offences", Offence)]

    def sees_it_punished(self, core):
        return bool(self.offences(core)) and core.epoch >= self.offences(core)[0].closed + 3


@pytest.mark.parametrize("kind", CONTRADICTIONS)
@pytest.mark.parametrize("observer", [AN_AGENT, A_WITNESS], ids=["an agent saw it", "a witness saw it"])
def test_one_observer_convicts_and_everybody_punishes(kind, observer):
    drama = Drama(kind, observer)
    drama.play(drama.sees_it_punished)
    share = RULES.slash_author_ppm if kind == "entry_fork" else RULES.slash_witness_ppm
    taken = BOND * share // PPM
    for core in drama.cores():
        (offence,) = drama.offences(core)
        assert (offence.kind, offence.offender, offence.slashed) == (kind, drama.traitor, 2 * taken)
        account = core.chain.state.account(drama.traitor)
        assert (account.witness, account.attester, account.offences) == (BOND - taken, BOND - taken, 1)
        assert core.chain.committee.index(drama.traitor) is None
        assert len(core.chain.committee.members) == WITNESSES - 1
        assert core.chain.state.is_conserved()
        assert core.docket.due() == []


def test_an_agent_that_saw_it_is_paid_its_capped_part_and_a_witness_nothing():
    paid = []
    for observer in (AN_AGENT, A_WITNESS):
        drama = Drama("seal_fork", observer)
        drama.play(drama.sees_it_punished)
        states = [core.chain.state for core in drama.cores()]
        paid.append({state.account(drama.observer).balance for state in states})
        assert all(state.is_conserved() for state in states)
    agent, witness = paid
    assert agent == {1_000 * TOKEN + RULES.reporter_max - RULES.fee}
    assert max(witness) <= 1_000 * TOKEN + AGENTS * TOKEN


@pytest.mark.parametrize("kind", ["vote_fork", "notarize_fork"])
def test_evidence_arrives_though_a_third_of_all_frames_is_lost(kind):
    drama = Drama(kind, A_WITNESS, Faults(0.3, 0.1, (1, 60)))
    drama.world.twists[drama.traitor] = make_contradicts(kind, drama.observer)
    drama.play(lambda core: drama.offences(core) != [])
    assert {row.offender for core in drama.cores() for row in drama.offences(core)} == {drama.traitor}
