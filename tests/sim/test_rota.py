"""The witness set changes at every seal: nodes bond in, witness for a few epochs, unbond and go, under load.

They pay, forecast, ask for a bounty and attest meanwhile. Some leave for good the moment they are out, one is killed
the moment it is in; the network drops and delays. No epoch stalls, nothing final is lost, and honest nodes contradict
nobody (`Trial.check`).
"""

from dataclasses import replace
from itertools import pairwise

import pytest

from troth_node.testing.actor import Actor, Habits
from troth_node.testing.samples import TOKEN
from troth_node.testing.trial import Options, Trial
from troth_node.testing.world import Faults
from troth_protocol.close.light import genesis_committee
from troth_protocol.core import EpochOpened
from troth_protocol.log.committee import bonded_in, load_committee
from troth_protocol.log.ops import Bond, Unbond
from troth_protocol.wire.codec import decode

WITNESSES, OTHERS = 5, 8
LEAST = 4
TURNS = 14
#: A bond weighs in the second epoch after its own.
LAG = 2
LIMIT_MS = 90_000


class Rota(Trial):
    """In epochs 1 to TURNS one node bonds and one witness unbonds, in the order of their numbers.

    `silent` leave the network as soon as they are out of the set, `victim` is killed as soon as it is in it.
    """

    def __init__(self, options, *, silent=(), victim=None):
        super().__init__(options)
        self.silent = {self.keys[number] for number in silent}
        self.victim = None if victim is None else self.keys[victim]
        self.gone = set()
        self.served = set()
        self.settled = 0
        habits = Habits(rebond=0.0, forecast=0.3, ask=0.2)
        self.actors = {key: Actor(options.seed, self.world.nodes[key].name, habits) for key in self.keys}

    def _rules(self):
        return replace(super()._rules(), asks_max=4, min_bounty=2 * TOKEN, witnesses_min=LEAST)

    def run(self):
        self._set_up()
        self._reach(TURNS + LAG + 1)
        self._calm_down()
        self._reach(max(core.epoch for core in self.cores()) + 2)
        self.check()
        assert min(len(members.members) for members in self.sets()) >= LEAST

    def _reach(self, epoch):
        done = self.world.run(lambda: all(core.epoch >= epoch for core in self.cores()), LIMIT_MS)
        assert done, f"epochs {[core.epoch for core in self.cores()]}, wanted {epoch}: a stall"

    def _restart(self, node):
        if node.keys.public not in self.gone:
            super()._restart(node)

    def _notice(self, node, event):
        super()._notice(node, event)
        if isinstance(event, EpochOpened) and node.core is not None:
            settlements = event.closed.settlements if event.closed else ()
            self.settled += sum(item.asker is not None and not item.revote for item in settlements)
            self._take_turn(node.core, node.keys.public)

    def _take_turn(self, core, me):
        number, turn = self.keys.index(me), core.epoch - 1
        if turn < TURNS and number == (WITNESSES + turn) % len(self.keys):
            core.submit((Bond(100 * TOKEN, "witness"),))
        if turn < TURNS and number == turn % len(self.keys):
            core.submit((Unbond(core.chain.state.account(me).witness, "witness"),))
        if core.is_witness():
            self.served.add(me)
        elif me in self.served & self.silent:
            self._kill(me)
        if me == self.victim and core.is_witness():
            self._kill(me)

    def _kill(self, key):
        if key not in self.gone:
            self.gone.add(key)
            self.world.at(0, lambda: self.world.crash(key))

    def sets(self):
        """The witness set of each epoch, from the seals that a node holds."""
        disk = next(self.world.nodes[key].disk for key in self.honest if key not in self.gone)
        rows = [decode(row) for _, row in disk.scan("seals", b"")]
        return [genesis_committee(self.world.genesis), *(load_committee(row[1]) for row in rows)]

    def changes(self):
        """(bonded in, bonded out) of each epoch's set beside the one before."""
        sets = self.sets()
        return [(len(bonded_in(old, new)), len(bonded_in(new, old))) for old, new in pairwise(sets)]


def options(seed, **changes):
    return Options(seed, (1,) * WITNESSES, authors=OTHERS, **changes)


def test_the_set_changes_in_every_epoch_and_nothing_is_lost():
    rota = Rota(options(3))
    rota.run()
    assert rota.changes()[LAG - 1 : TURNS + LAG - 1] == [(1, 1)] * TURNS
    assert len(rota.recorder.final) > 50
    assert rota.settled > 0, "sponsored questions among them"


@pytest.mark.parametrize("seed", range(4))
def test_so_it_does_on_a_network_that_drops_and_delays(seed):
    rota = Rota(options(seed, faults=Faults(0.05, 0.05, (1, 40)), partitions=1, crashes=1))
    rota.run()
    changed = [change for change in rota.changes() if change != (0, 0)]
    assert len(changed) >= 10


def test_leavers_go_silent_at_once_and_a_joiner_is_killed_right_after_it_joined():
    rota = Rota(options(5), silent=(0, 1, 2, 3), victim=WITNESSES + 2)
    rota.run()
    assert {rota.keys[number] for number in (0, 1, 2, 3, WITNESSES + 2)} == rota.gone
    assert len([change for change in rota.changes() if change != (0, 0)]) >= 10
