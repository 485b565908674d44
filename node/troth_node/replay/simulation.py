"""A replay in memory: witnesses are whole cores, forecasters write their own logs, time is virtual, a seed decides all.

The forecasts pass through commits, votes, certificates, reveals, attestations and closes as they would between
processes; what the witnesses' disks hold afterwards is written to homes like any node's, and audited there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from troth_node.replay.light import OPS_PER_ENTRY, LightNode
from troth_node.replay.network import Replay
from troth_node.storage.home import Home
from troth_node.storage.store import Store
from troth_node.testing.world import Faults, SimNode, World
from troth_protocol.core import Core, EpochOpened
from troth_protocol.effects import TABLES, Persist
from troth_protocol.errors import TrothError
from troth_protocol.genesis import Pacing, Phases
from troth_protocol.log.ops import Attest, AttestReveal, Op
from troth_protocol.log.rows import Attestation, Question
from troth_protocol.log.sealed import attest_digest
from troth_protocol.wire.codec import Value
from troth_protocol.wire.crypto import digest

#: A commit needs no second epoch: nobody is away, and an epoch lasts as long as the longest round's entries need.
PHASES: Final = Phases(commit=1, attest=2, reveal=2, attest_reveal=2)
EPOCH_MS: Final = 200
#: Virtual time for one entry: its votes, its certificate and some patience.
ENTRY_MS: Final = 40
#: The smallest entries hold so many ops, when questions have as many outcomes as there can be.
OPS_LEAST: Final = 100
RESEND_MS: Final = 500
#: Every frame takes as long: links are ordered streams, as between processes.
DELAY_MS: Final = 2
#: A run may take so many times its nominal virtual length.
PATIENCE: Final = 20
WRITES_PER_TRANSACTION: Final = 256

#: Told of each sealed epoch.
Watcher = Callable[[int], None]


def pacing(batches: tuple[int, ...]) -> Pacing:
    """Epochs long enough, in virtual time, for the largest round."""
    entries = -(-max(batches) // OPS_LEAST)
    return Pacing(epoch_ms=EPOCH_MS + ENTRY_MS * entries, grace_ms=20, slot_ms=200, slot_max_ms=3_000)


class _Net(World):
    """The world of the cores, with light nodes at the other end of some links."""

    def __init__(self, replay: Replay) -> None:
        seeds = [keys.seed for keys in replay.witnesses]
        super().__init__(replay.genesis, seeds, replay.settings.seed, Faults(delay_ms=(DELAY_MS, DELAY_MS)))
        self.light = {
            keys.public: LightNode(replay, number, self.prove)
            for number, keys in enumerate(replay.forecasters)
        }

    def core_of(self, key: bytes) -> Core:
        """A witness's core; TrothError if it is down."""
        core = self.nodes[key].core
        if core is None:
            raise TrothError("a witness of the simulated network is down")
        return core

    def prove(self, witness: bytes, account: bytes) -> Value:
        """A witness's answer to: prove this account under your newest seal."""
        return self.core_of(witness).chain.state.prove("accounts", account)

    def carry(self, source: bytes, peer: bytes, payload: bytes) -> None:
        """Put a frame on the wire, also to and from light nodes."""
        if peer not in self.light:
            super().carry(source, peer, payload)
            return
        node = self.light[peer]
        self.at(self.rng.randint(*self.faults.delay_ms), lambda: self._arrive(node, source, payload))

    def _arrive(self, node: LightNode, source: bytes, payload: bytes) -> None:
        node.frame(source, payload)
        self.send(node)

    def send(self, node: LightNode) -> None:
        """Carry out what a light node asks for; TrothError if it was refused something."""
        for send in node.drain():
            super().carry(node.keys.public, send.peer, send.payload)
        node.check()

    def open(self) -> None:
        """Everybody is up and linked."""
        for key in self.nodes:
            self.start(key)
        for key, node in self.nodes.items():
            for light in self.light:
                self.core_of(key).link_up(light)
            self.flush(node)
        for light_node in self.light.values():
            light_node.start()
            self.send(light_node)
            self.at(RESEND_MS, lambda node=light_node: self._resend(node))  # type: ignore[misc]

    def _resend(self, node: LightNode) -> None:
        if not node.author.is_idle():
            node.author.resend()
            self.send(node)
        self.at(RESEND_MS, lambda: self._resend(node))


class Simulation:
    """One run."""

    def __init__(self, replay: Replay, watch: Watcher) -> None:
        self.replay = replay
        self.net = _Net(replay)
        self.watch = watch
        self.is_interrupted = False
        self._sealed = 0

    def interrupt(self) -> None:
        """Stop at the next epoch that everybody has sealed."""
        self.is_interrupted = True

    def run(self) -> None:
        """Until the last round is settled, or interrupted; TrothError if the network does not get there."""
        net, last = self.net, self.replay.last_epoch
        net.on_notice = self._notice
        net.open()
        limit_ms = PATIENCE * last * self.replay.genesis.pacing.epoch_ms
        if not net.run(lambda: self._is_over(last), limit_ms):
            raise TrothError(f"the simulated network stands still in epoch {self._sealed + 1} of {last}")

    def _is_over(self, last: int) -> bool:
        """Has every node seen the last epoch sealed, or where a stop was asked for the same one?"""
        if self._sealed < last and not self.is_interrupted:
            return False
        sealed = {self.net.core_of(key).epoch - 1 for key in self.net.nodes}
        sealed |= {node.checkpoint.epoch for node in self.net.light.values()}
        return len(sealed) == 1

    def _notice(self, node: SimNode, event: object) -> None:
        node.notices.clear()  # each holds a whole state
        if not isinstance(event, EpochOpened) or node.core is None:
            return
        ops = self._duties(node.core)
        for at in range(0, len(ops), OPS_PER_ENTRY):
            node.core.submit(tuple(ops[at : at + OPS_PER_ENTRY]))
        if event.epoch - 1 > self._sealed:
            self._sealed = event.epoch - 1
            self.watch(self._sealed)

    def _duties(self, core: Core) -> list[Op]:
        """The votes that an attester owes in the open epoch, from the table."""
        state, me, network = core.chain.state, core.keys.public, core.chain.network
        ops: list[Op] = []
        for key, question in state.items("questions", Question):
            duty = state.find("attestations", key + me, Attestation)
            if duty is None:
                continue
            outcome = self.replay.table.asked(question.index).outcome
            salt = digest(core.keys.seed + key + bytes([question.round]))
            if question.is_attest_open(core.epoch) and duty.digest is None:
                ops.append(Attest(key, attest_digest(network, me, key, salt, outcome)))
            elif question.is_attest_reveal_open(core.epoch) and duty.digest and duty.outcome is None:
                ops.append(AttestReveal(key, outcome, salt))
        return ops

    def check(self, balances: dict[bytes, int]) -> list[str]:
        """Do the accounts that forecasters have proved equal these? What does not, in one line each."""
        return [
            f"forecaster {number + 1} has proved another balance than the audit computes"
            for number, (key, node) in enumerate(self.net.light.items())
            if node.account.balance != balances[key]
        ]

    def save(self, directory: Path) -> list[Path]:
        """Write every witness's disk as a home of its own, witness-1 and so on; raises StorageError."""
        payload = self.replay.genesis.encode()
        homes = []
        for number, keys in enumerate(self.replay.witnesses, 1):
            home = Home.create(directory / f"witness-{number}", keys.seed, payload)
            with Store.open(home.store_path, TABLES) as store:
                self._write(store, keys.public)
            home.close()
            homes.append(home.path)
        return homes

    def _write(self, store: Store, key: bytes) -> None:
        for table, rows in self.net.nodes[key].disk.tables.items():
            writes = [Persist(table, row_key, row) for row_key, row in rows.items()]
            for at in range(0, len(writes), WRITES_PER_TRANSACTION):
                store.apply(writes[at : at + WRITES_PER_TRANSACTION])
