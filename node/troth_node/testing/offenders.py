"""One node of a real swarm commits one offence before one observer; what comes of it is read from the honest ones.

The offender runs the project's own node. What makes it one is loaded here, over its network or its exchanges:
`OFFENCES` has a row for each kind.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from troth_node.agent import Json
from troth_node.audit import audit_store, replay
from troth_node.cases import list_cases
from troth_node.duties import OwnCommit
from troth_node.exchanges import Exchanges
from troth_node.player import Player
from troth_node.runtime import Runtime
from troth_node.storage.home import STORE_FILE
from troth_node.swarm.scenario import Plan
from troth_node.swarm.supervisor import Process
from troth_node.testing.bazaar import Cheat
from troth_node.testing.busy import START_LIMIT_S, BusyChild, KillLoop, check_roots, tap
from troth_node.testing.contradictions import make_contradicts
from troth_node.testing.trading import BUYER, ENOUGH_FILE, PRICE, SELLER, trading_plan
from troth_node.testing.world import SimNode, World
from troth_protocol.close.docket import Accusation
from troth_protocol.core import Core, EpochOpened
from troth_protocol.evidence import (
    ENTRY_FORK,
    FINALIZE_FORK,
    FINALIZE_SKIP,
    MISDELIVERY,
    NOTARIZE_FORK,
    PROPOSAL_FORK,
    SEAL_FORK,
    VOTE_FORK,
)
from troth_protocol.log.rows import Lock
from troth_protocol.market.negotiation import Negotiation
from troth_protocol.wire.crypto import KeyPair
from troth_protocol.wire.messages import MESSAGES, EvidenceMsg, Trade

if TYPE_CHECKING:
    from troth_node.transport.network import Network

WITNESS: Final = "w1"
#: Before whom a contradiction is shown: an agent that is no witness, or a witness. A misdelivery is the buyer's to see.
OBSERVERS: Final = (BUYER, "w2")
EPOCH_MS: Final = 500
#: Everybody is at work by then.
FIRST_EPOCH: Final = 3
LIMIT_S: Final = 40.0
#: After the punishment: what is locked goes back, what is claimed is paid.
REST_EPOCHS: Final = 6


class Observed(BusyChild):
    """An honest node that tells what it notices, what it shows, and what its closes punish."""

    def pay(self) -> None:
        """Signals are traded here; nothing else is paid."""

    def make_network(self) -> Network:
        network = super().make_network()

        def told(payload: bytes) -> None:
            if isinstance(MESSAGES.decode(payload), EvidenceMsg):
                self.tell({"event": "shows"})

        tap(network, told)
        return network

    def notice(self, event: object) -> None:
        super().notice(event)
        match event:
            case Accusation():
                about: dict[str, Json] = {"kind": event.proof.kind, "bytes": len(event.evidence)}
                self.tell({"event": "accuses", "own": event.peer is None, "at": time.monotonic(), **about})
            case EpochOpened() if event.closed is not None and event.closed.offences:
                self.tell({"event": "punishes", "epoch": event.epoch - 1})
            case _:
                pass


class Contradictor(Observed):
    """A node that signs two things that exclude each other, and shows both to the observer.

    It does so in every epoch until it hears that it is known: an observer that has sealed an epoch looks at no ballots
    of it any more.
    """

    kind: str = ""
    observer: str = BUYER
    is_known: bool = False

    def make_network(self) -> Network:
        network = super().make_network()
        send = network.send
        keys = {node.name: node.keys for node in self.plan.nodes}
        twist = make_contradicts(self.kind, keys[self.observer].public)
        # A vote can be forked only for an author that helps: the seller does.
        nodes = {pair.public: _Self(pair) for pair in (self.node.keys, keys[SELLER])}
        world, me = _Stage(nodes, random.Random(self.kind)), nodes[self.node.keys.public]

        def twisted(peer: bytes, payload: bytes, *, is_corked: bool = False) -> bool:
            me.core = self.player.core if self.player is not None else None
            if me.core is None or me.core.epoch < FIRST_EPOCH or self.is_known:
                return send(peer, payload, is_corked=is_corked)
            frames = twist(cast(World, world), cast(SimNode, me), peer, payload)
            if len(frames) > 1:
                self.tell({"event": "offends", "epoch": me.core.epoch, "at": time.monotonic()})
            sent = [send(*frame, is_corked=is_corked) for frame in frames]
            return all(sent)

        network.send = twisted  # type: ignore[method-assign] # as in `tap`
        return network

    def notice(self, event: object) -> None:
        super().notice(event)
        self.is_known |= isinstance(event, Accusation) and event.proof.offender == self.node.keys.public


@dataclass
class _Self:
    """What a twist asks a node for."""

    keys: KeyPair
    core: Core | None = None


@dataclass(frozen=True)
class _Stage:
    """What a twist asks a world for."""

    nodes: Mapping[bytes, _Self]
    rng: random.Random


class Misdeliverer(Observed):
    """A seller that once seals another payload than the one it committed."""

    def make_player(self, runtime: Runtime) -> Player:
        player = super().make_player(runtime)
        player.dealings.trader.exchanges = _ToldCheat(runtime.core, self.tell)
        return player


class _ToldCheat(Cheat):
    """Says when it cheats."""

    def __init__(self, core: Core, tell: Callable[[Mapping[str, Json]], None]) -> None:
        super().__init__(core)
        self._tell = tell
        self._has_cheated = False

    def seal(self, negotiation: Negotiation, own: OwnCommit, price: int, key: bytes | None = None) -> Trade:
        if self._has_cheated:
            return Exchanges.seal(self, negotiation, own, price, key)
        self._has_cheated = True
        self._tell({"event": "offends", "epoch": self.core.epoch, "at": time.monotonic()})
        return super().seal(negotiation, own, price, key)


def _contradicts(kind: str) -> type[Contradictor]:
    return type(f"Commits_{kind}", (Contradictor,), {"kind": kind})


#: kind -> who commits it, and what that node runs.
OFFENCES: Final[Mapping[str, tuple[str, type[Observed]]]] = {
    ENTRY_FORK: (SELLER, _contradicts(ENTRY_FORK)),
    **{
        kind: (WITNESS, _contradicts(kind))
        for kind in (VOTE_FORK, PROPOSAL_FORK, NOTARIZE_FORK, FINALIZE_FORK, FINALIZE_SKIP, SEAL_FORK)
    },
    MISDELIVERY: (SELLER, Misdeliverer),
}


@dataclass
class Verdict:
    """What came of one offence before one observer; amounts in atomic units, times in milliseconds.

    `detected_by` noticed it themselves, the first `detected_ms` after it was committed; `told` learnt of it from peers,
    by `messages` with evidence of `evidence_bytes`, counted where they were sent until all had punished it. `epochs`
    is from the offence's to the close that punished it, at `punished_at` of `honest` nodes. Of what was `lost` of the
    `bonds` the reporter got `reporter_part` and so much was `burned`; of the victim's `price` so much was `returned`.
    """

    kind: str
    offender: str
    observer: str
    detected_by: list[str] = field(default_factory=list)
    detected_ms: float = 0.0
    told: list[str] = field(default_factory=list)
    messages: int = 0
    evidence_bytes: int = 0
    epochs: int = 0
    punished_at: int = 0
    honest: int = 0
    bonds: int = 0
    lost: int = 0
    price: int = 0
    returned: int = 0
    reporter: str = ""
    reporter_part: int = 0
    burned: int = 0
    seconds: float = 0.0


class Trial(KillLoop):
    """One swarm, one offender."""

    child = Observed

    def __init__(self, kind: str, directory: Path, observer: str = BUYER) -> None:
        self.kind = kind
        self.offender, offending = self.find_offender()
        self._offending: type[Observed] = type("Offender", (offending,), {"observer": observer})
        self.verdict = Verdict(kind, self.offender, BUYER if kind == MISDELIVERY else observer)
        self._began: tuple[float, int] | None = None
        self._punished: dict[str, int] = {}
        super().__init__(directory, 1)

    def find_offender(self) -> tuple[str, type[Observed]]:
        """Who commits it, and what that node runs."""
        return OFFENCES[self.kind]

    def make_plan(self) -> Plan:
        return trading_plan(self.directory, per_epoch=1, epoch_ms=EPOCH_MS)

    def child_of(self, name: str) -> Callable[..., BusyChild]:
        return self._offending if name == self.offender else self.child

    def honest(self) -> list[str]:
        """Everybody else."""
        return [node.name for node in self.plan.nodes if node.name != self.offender]

    def _heard(self, process: Process, line: dict[str, Json]) -> None:
        super()._heard(process, line)
        name, is_honest = process.plan.name, process.plan.name != self.offender
        match line.get("event"):
            case "offends" if self._began is None:
                self._began = float(str(line["at"])), int(str(line["epoch"]))
            case "accuses" if is_honest and line["kind"] == self.kind:
                self._note(name, line)
            case "shows" if is_honest and not self._is_punished():
                self.verdict.messages += 1
            case "punishes" if is_honest:
                self._punished.setdefault(name, int(str(line["epoch"])))
            case "ended":
                raise AssertionError(f"{name} ended: {line}")
            case _:
                pass

    def _note(self, name: str, line: Mapping[str, Json]) -> None:
        verdict = self.verdict
        verdict.evidence_bytes = int(str(line["bytes"]))
        if name in verdict.detected_by or name in verdict.told:
            return
        if not line["own"]:
            verdict.told.append(name)
        else:
            if not verdict.detected_by and self._began is not None:
                verdict.detected_ms = round(1000 * (float(str(line["at"])) - self._began[0]), 1)
            verdict.detected_by.append(name)

    def _is_punished(self) -> bool:
        return set(self.honest()) <= self._punished.keys()

    def play(self) -> Verdict:
        """From the start to the verdict; AssertionError says what does not hold."""
        began = time.monotonic()
        try:
            self.supervisor.start()
            self._until(self.supervisor.is_up, START_LIMIT_S, "not all nodes are up")
            self._until(self._is_punished, LIMIT_S, f"nobody punishes the {self.kind}")
            (self.directory / ENOUGH_FILE).touch()
            target = self._most() + (REST_EPOCHS if self.kind == MISDELIVERY else 1)
            self._until(partial(self._is_past, target), LIMIT_S, f"not all nodes reach epoch {target}")
        finally:
            self.supervisor.stop()
        self._judge()
        self.verdict.seconds = round(time.monotonic() - began, 1)
        return self.verdict

    def _is_past(self, epoch: int) -> bool:
        return all(p.epoch >= epoch for p in self.supervisor.processes if p.plan.name != self.offender)

    # What is in the stores

    def _store(self, name: str) -> Path:
        return self.directory / name / STORE_FILE

    def _judge(self) -> None:
        """The sealed states of all honest nodes agree, balance, and say what the offence has cost."""
        audits = [audit_store(self._store(name), self.plan.genesis, name) for name in self.honest()]
        for audit in audits:
            assert audit.is_ok, f"{audit.name}: {audit.problems[0]}"
        check_roots(audits)
        self.verdict.honest = len(audits)
        keys = next(node.keys.public for node in self.plan.nodes if node.name == self.offender)
        holder = next(holder for holder in self.plan.genesis.holders if holder.key == keys)
        self.verdict.bonds = holder.witness + holder.attester + holder.agent
        for name in self.honest():
            self._read_case(name)
        self._read_returned()

    def _read_case(self, name: str) -> None:
        """The first sentence, as this node has it."""
        names = {node.keys.public: node.name for node in self.plan.nodes}
        cases = list_cases(self._store(name), self.plan.genesis.encode())
        case = next((each for each in cases if each.sentence is not None), None)
        assert case is not None, f"{name} has punished nothing"
        assert case.sentence is not None
        convicted = case.sentence.kind, names[case.sentence.offender]
        assert convicted == (self.kind, self.offender), f"{name} has punished {convicted}"
        verdict = self.verdict
        verdict.punished_at += 1
        verdict.epochs = case.sentence.closed - (self._began[1] if self._began else 0)
        verdict.lost, verdict.reporter_part = case.sentence.slashed, case.part
        verdict.burned = verdict.lost - verdict.reporter_part
        verdict.reporter = names[case.reporter] if case.reporter is not None else ""

    def _read_returned(self) -> None:
        """What the victim had locked for what was not delivered is its own again, at the close that punishes."""
        if self.kind != MISDELIVERY:
            return
        buyer = next(node.keys.public for node in self.plan.nodes if node.name == BUYER)
        states = [closed.state for closed in replay(self._store(self.honest()[0]), self.plan.genesis).closes]
        closed = next(iter(self._punished.values()))
        before, after = (state.tables["claims"].rows for state in (states[closed - 2], states[closed - 1]))
        gone = [states[closed - 2].find("locks", key, Lock) for key in before if key not in after]
        self.verdict.price = PRICE
        self.verdict.returned = sum(lock.amount for lock in gone if lock is not None)
        claimed = {key for state in states for key in state.tables["claims"].rows}
        start = next(holder for holder in self.plan.genesis.holders if holder.key == buyer)
        cost = (len(claimed) - len(gone)) * PRICE  # the honest ones
        fees = start.balance - states[-1].account(buyer).balance - cost + self.verdict.reporter_part
        assert len(gone) == 1, f"{len(gone)} claims fell away"
        assert 0 <= fees < PRICE // 10, f"the buyer is short of {fees}"
