"""One honest observer is enough: whoever contradicts itself before a single node is convicted and slashed everywhere.

A network of four witnesses and two more agents; one witness commits one kind of offence, and only one node is shown
both halves of it. Whether that one is a witness or not, it shows the evidence to its peers, and the next close of every
honest node punishes it.
"""

import pytest

from troth_node.testing.contradictions import CONTRADICTIONS, make_contradicts
from troth_node.testing.samples import RULES, TOKEN, sample_genesis, seed
from troth_node.testing.world import World
from troth_protocol.core import EpochOpened
from troth_protocol.log.ops import Transfer
from troth_protocol.log.rows import Offence

WITNESSES, AGENTS = 4, 6
BOND = 100_000 * TOKEN
#: The traitor also attests, and loses the same share of that bond.
TAKEN = 2 * BOND * RULES.slash_witness_ppm // 1_000_000
LIMIT_MS = 20_000


class Drama:
    """A world in which one witness contradicts itself in epoch 2, before one observer."""

    def __init__(self, kind, observer):
        self.world = World(sample_genesis(AGENTS, WITNESSES), [seed(n) for n in range(AGENTS)], 1)
        self.keys = list(self.world.nodes)
        self.traitor, self.observer, self.author = self.keys[1], self.keys[observer], self.keys[4]
        self.honest = [key for key in self.keys if key != self.traitor]
        self.world.twists[self.traitor] = make_contradicts(kind, self.observer, first=2)
        self.world.on_notice = self.notice
        for key in self.keys:
            self.world.start(key)

    def notice(self, node, event):
        """Something is paid in every epoch, so that there is something to vote for."""
        if isinstance(event, EpochOpened) and node.keys.public == self.author:
            node.core.submit((Transfer(self.keys[0], event.epoch, b""),))

    def play(self, epoch):
        """Until this epoch is open at every honest node."""
        cores = self.cores()
        assert self.world.run(lambda: all(core.epoch >= epoch for core in cores), LIMIT_MS), "no progress"

    def cores(self):
        return [self.world.nodes[key].core for key in self.honest]

    def offences(self, core):
        return [row for _, row in core.chain.state.items("offences", Offence)]


@pytest.mark.parametrize("kind", CONTRADICTIONS)
@pytest.mark.parametrize("observer", [5, 2], ids=["an agent saw it", "a witness saw it"])
def test_one_observer_convicts_and_everybody_punishes(kind, observer):
    drama = Drama(kind, observer)
    drama.play(7)
    for core in drama.cores():
        (offence,) = drama.offences(core)
        assert (offence.kind, offence.offender, offence.slashed) == (kind, drama.traitor, TAKEN)
        account = core.chain.state.account(drama.traitor)
        assert (account.witness, account.attester, account.offences) == (BOND // 2, BOND // 2, 1)
        assert core.chain.committee.index(drama.traitor) is None
        assert len(core.chain.committee.members) == WITNESSES - 1
        assert core.chain.state.is_conserved()
        assert core.docket.due() == []
