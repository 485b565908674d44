"""A small real swarm under load whose nodes are killed at random: real processes, real sockets, real disks.

Four witnesses and two more agents forecast every question and pay each other all the time. Each node writes down every
frame before it leaves, and tells what became final; afterwards all of it is held against all stores.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, cast

from troth_node.agent import Agent, Forecast, Json, QuestionView, Signal
from troth_node.audit import StoreAudit, audit_store, replay
from troth_node.storage.home import STORE_FILE
from troth_node.storage.store import Store
from troth_node.swarm.child import Child, Pipes, main
from troth_node.swarm.run import make_homes, preload
from troth_node.swarm.scenario import NodePlan, Plan
from troth_node.swarm.supervisor import Process, Supervisor
from troth_node.testing.faults import Fault, Points, install
from troth_node.testing.samples import COIN, PACING, RULES, TOKEN, sample_genesis, seed
from troth_node.testing.trial import Recorder
from troth_node.testing.world import SimNode
from troth_protocol.close.findings import load_findings
from troth_protocol.close.light import genesis_committee
from troth_protocol.close.seal import SEAL
from troth_protocol.core import EpochOpened
from troth_protocol.effects import TABLES
from troth_protocol.genesis import Phases
from troth_protocol.log.author import Finalized
from troth_protocol.log.committee import Committee
from troth_protocol.log.keep import epoch_key, unpack_stored
from troth_protocol.log.ops import Transfer
from troth_protocol.wire.crypto import KeyPair, digest
from troth_protocol.wire.messages import MESSAGES, Ballot, Message, Submit

if TYPE_CHECKING:
    from troth_node.transport.network import Network

NODES: Final = 6
WITNESSES: Final = 4
EPOCH_MS: Final = 600
WIRE_FILE: Final = "wire"
#: Payments that an agent keeps under way.
PAYMENTS: Final = 2
GAP_S: Final = (0.2, 2.0)
POLL_S: Final = 0.02
START_LIMIT_S: Final = 60.0
CALM_LIMIT_S: Final = 60.0
CALM_EPOCHS: Final = 3
FOREVER: Final = 1_000_000


class Busy(Agent):
    """Forecasts the prior on every question."""

    def forecast(self, question: QuestionView, signals: Sequence[Signal]) -> Forecast | None:
        return Forecast(question.prior_ppm, "as ever", wager_ppm=1_000)


def busy_plan() -> Plan:
    """Six nodes, short epochs, a question an epoch."""
    topic = replace(COIN, per_epoch=1, questions=FOREVER, phases=Phases(1, 1, 2, 2), emission=TOKEN)
    genesis = sample_genesis(
        NODES,
        WITNESSES,
        topics=(replace(topic, phases=Phases(2, 2, 2, 2)),),
        rules=replace(RULES, silent_epochs=FOREVER, evidence_epochs=FOREVER),
        pacing=replace(PACING, epoch_ms=EPOCH_MS, grace_ms=100, slot_ms=400),
    )
    keys = [KeyPair.from_seed(seed(number)) for number in range(NODES)]
    nodes = tuple(
        NodePlan(f"n{n}", f"{__file__}:Busy", "forecaster", n < WITNESSES, n < WITNESSES, {}, keys[n])
        for n in range(NODES)
    )
    return Plan("busy", Path(__file__).parent, nodes, genesis, FOREVER)


def tap(network: Network, tell: Callable[[bytes], None]) -> None:
    """Tell of every frame before it leaves."""
    send = network.send

    def tapped(peer: bytes, payload: bytes, *, is_corked: bool = False) -> bool:
        tell(payload)
        return send(peer, payload, is_corked=is_corked)

    network.send = tapped  # type: ignore[method-assign] # the one place that all frames pass


class BusyChild(Child):
    """A node that pays all the time, writes down what it sends, and tells what is final."""

    def make_network(self) -> Network:
        network = super().make_network()
        descriptor = os.open(self.home / WIRE_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        seen = set[bytes]()

        def write(payload: bytes) -> None:
            mark = digest(payload)
            if mark not in seen:
                seen.add(mark)
                os.write(descriptor, len(payload).to_bytes(4, "big") + payload)

        tap(network, write)
        return network

    def notice(self, event: object) -> None:
        super().notice(event)
        if isinstance(event, EpochOpened | Finalized) and self.player is not None:
            self.pay()
        if isinstance(event, Finalized):
            self.tell({"event": "final", "entry": event.entry.hex()})

    def pay(self) -> None:
        """Keep so many payments under way."""
        assert self.player is not None
        core = self.player.core
        if len(core.author._queue) < PAYMENTS:  # noqa: SLF001 - as much as goes through
            others = [holder.key for holder in core.genesis.holders if holder.key != core.keys.public]
            core.submit((Transfer(random.choice(others), 1, os.urandom(4)),))


def _faulty(fault: Fault, plan: Plan, node: NodePlan, home: Path, pipes: Pipes) -> NoReturn:
    """Like `main`, with a disk that refuses one call in the first life."""
    mark = home / "was-refused"
    if not mark.exists():
        mark.touch()
        install(Points(fault))
    main(plan, node, home, pipes, BusyChild)


@dataclass
class Outcome:
    """What came of a run of kills."""

    kills: int = 0
    epochs: int = 0
    entries: int = 0
    finals: int = 0
    frames: int = 0
    seconds: float = 0.0
    ended: Counter[str] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)
    restarts_ms: list[int] = field(default_factory=list)


class KillLoop:
    """A running swarm and who kills it: `child` is what its nodes run."""

    child: type[BusyChild] = BusyChild

    def __init__(self, directory: Path, seed_: int, faults: dict[int, Fault] | None = None) -> None:
        self.directory = directory
        self.plan = self.make_plan()
        self.finals: set[bytes] = set()
        self.outcome = Outcome()
        self._rng = random.Random(seed_)
        self._faults = {f"n{number}": fault for number, fault in (faults or {}).items()}
        self._killed: dict[str, float] = {}
        make_homes(self.plan, directory)
        preload(self.plan)
        self.supervisor = Supervisor(self.plan, directory, self._heard, main=self._main, restarts_max=FOREVER)

    def make_plan(self) -> Plan:
        """Who takes part."""
        return busy_plan()

    def _main(self, plan: Plan, node: NodePlan, home: Path, pipes: Pipes) -> NoReturn:
        fault = self._faults.get(node.name)
        if fault is not None:
            _faulty(fault, plan, node, home, pipes)
        main(plan, node, home, pipes, self.child_of(node.name))

    def child_of(self, name: str) -> Callable[..., BusyChild]:
        """What the node of this name runs."""
        return self.child

    def _heard(self, process: Process, line: dict[str, Json]) -> None:
        match line.get("event"):
            case "final":
                self.finals.add(bytes.fromhex(str(line["entry"])))
            case "ended":
                self.outcome.ended[str(line["how"])] += 1
                if line["reason"]:
                    self.outcome.reasons.append(str(line["reason"]))
            case "epoch" if process.plan.name in self._killed:
                since = time.monotonic() - self._killed.pop(process.plan.name)
                self.outcome.restarts_ms.append(round(1000 * since))
            case _:
                pass

    def run(self, kills: int, say: Callable[[str], None] = lambda _: None) -> Outcome:
        """Kill that often, calm down, compare everything; AssertionError says what does not hold."""
        began = time.monotonic()
        try:
            self.supervisor.start()
            self._until(self.supervisor.is_up, START_LIMIT_S, "not all nodes are up")
            self._until(lambda: self._least() >= 2, START_LIMIT_S, "no epoch is sealed")
            for number in range(kills):
                self._wait(self._rng.uniform(*GAP_S))
                self._kill()
                if (number + 1) % 20 == 0:
                    say(f"{number + 1} kills, epoch {self._most()}, {len(self.finals)} final entries")
            self._until(self._has_failed, CALM_LIMIT_S, "no disk has failed")
            target = self._most() + CALM_EPOCHS
            self._until(lambda: self._least() >= target, CALM_LIMIT_S, f"not all nodes reach epoch {target}")
        finally:
            self.supervisor.stop()
        self.outcome.seconds = time.monotonic() - began
        check_swarm(self.plan, self.directory, self.finals, self.outcome)
        return self.outcome

    def _has_failed(self) -> bool:
        return len(self.outcome.reasons) >= len(self._faults)

    def _least(self) -> int:
        return min(process.epoch for process in self.supervisor.processes)

    def _most(self) -> int:
        return max(process.epoch for process in self.supervisor.processes)

    def _kill(self) -> None:
        waiting = () if self._has_failed() else self._faults  # whose disk is still to refuse a call
        self._kill_one(self._rng.choice([p for p in self.supervisor.processes if p.plan.name not in waiting]))

    def _kill_one(self, process: Process) -> None:
        if process.pid:
            os.kill(process.pid, signal.SIGKILL)
            self._killed[process.plan.name] = time.monotonic()
            self.outcome.kills += 1

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.supervisor.poll(min(POLL_S, left))

    def _until(self, condition: Callable[[], bool], limit_s: float, what: str) -> None:
        end = time.monotonic() + limit_s
        while not condition():
            self.supervisor.poll(POLL_S)
            epochs = [process.epoch for process in self.supervisor.processes]
            assert time.monotonic() < end, f"{what} after {limit_s:.0f} s; epochs {epochs}"


# What must hold


@dataclass
class _View:
    network: bytes
    committee: Committee


@dataclass
class _Mouth:
    """What `Recorder` asks a core for."""

    chain: _View
    epoch: int


@dataclass
class _Speaker:
    """What `Recorder` asks a node for."""

    keys: KeyPair
    core: _Mouth


def read_wire(home: Path) -> Iterator[Message]:
    """Every frame that a node let go, in order; the last one may be torn by a kill."""
    data = (home / WIRE_FILE).read_bytes()
    at = 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if at + 4 + size > len(data):
            return
        yield MESSAGES.decode(data[at + 4 : at + 4 + size])
        at += 4 + size


def check_wire(plan: Plan, directory: Path) -> int:
    """No node contradicts itself in anything it has let go; the number of frames."""
    view = _View(plan.genesis.network(), genesis_committee(plan.genesis))
    recorder = Recorder()
    frames = 0
    for only_entries in (True, False):  # votes are held against the places of the entries that they name
        for node in plan.nodes:
            speaker = _Speaker(node.keys, _Mouth(view, 0))
            for message in read_wire(directory / node.name):
                frames += not only_entries
                if isinstance(message, Ballot):
                    speaker.core.epoch = message.epoch
                if isinstance(message, Submit) == only_entries:
                    recorder.say(cast(SimNode, speaker), b"", message)
    return frames


def check_swarm(plan: Plan, directory: Path, finals: set[bytes], outcome: Outcome) -> None:
    """The wire, the audits, what is final."""
    outcome.frames = check_wire(plan, directory)
    outcome.finals = len(finals)
    audits: list[StoreAudit] = []
    for node in plan.nodes:
        audit = audit_store(directory / node.name / STORE_FILE, plan.genesis, node.name)
        assert audit.is_ok, audit.problems
        audits.append(audit)
    check_roots(audits)
    newest = max(audits, key=lambda audit: audit.epoch)
    path = directory / newest.name / STORE_FILE
    history = replay(path, plan.genesis)
    assert not history.offences(), "an honest node was convicted"
    outcome.epochs, outcome.entries = newest.epoch, history.entries
    lost = finals - sealed_entries(plan, path)
    assert not lost, f"{len(lost)} final entries are in no cut"


def check_roots(audits: Sequence[StoreAudit]) -> None:
    """One state in each epoch."""
    roots: dict[int, bytes] = {}
    for audit in audits:
        for epoch, root in audit.roots.items():
            assert roots.setdefault(epoch, root) == root, f"{audit.name} has another state of epoch {epoch}"


def sealed_entries(plan: Plan, path: Path) -> set[bytes]:
    """The ids of all entries inside the cuts of a store, and of those in its open epoch."""
    found: set[bytes] = set()
    with Store.open(path, TABLES) as store:
        heads = sealed_heads(store)
        for epoch in [*heads, max(heads) + 1]:
            for _, row in store.scan("entries", epoch_key(epoch)):
                entry, _ = unpack_stored(row, plan.genesis.network())
                last = heads[epoch].get(entry.header.author, 0) if epoch in heads else entry.header.seq
                if entry.header.seq <= last:
                    found.add(entry.id)
    return found


def sealed_heads(store: Store) -> dict[int, dict[bytes, int]]:
    """By epoch and author, the last entry that is inside the cut."""
    heads: dict[int, dict[bytes, int]] = {}
    for _, row in store.scan("seals"):
        seal = SEAL.decode(_signed_payload(row))
        cut = load_findings(store.get("cuts", seal.cut) or b"")
        heads[seal.epoch] = {author: seq for author, (seq, _) in cut.heads.items()}
    return heads


def _signed_payload(row: bytes) -> bytes:
    from troth_node.inspection import read_seal  # noqa: PLC0415

    return read_seal(row)[0].payload
