"""A buyer of a real swarm takes a sealed signal under a binding promise and cites nobody: every close charges it.

It is no offence and nobody proves it; it stands beside the offences for what it costs. The offender runs the project's
own node with an honest agent, whose citations are dropped here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from troth_node.agent import Forecast, Json, Production, QuestionView, Quote, Request, Signal, Want
from troth_node.audit import History, replay
from troth_node.cases import list_cases
from troth_node.testing.offenders import EPOCH_MS, OFFENCES, Observed, Trial
from troth_node.testing.samples import TOKEN
from troth_node.testing.trading import BUYER, DOCUMENT, SELLER, Bystander, HintBuyer, trading_plan
from troth_protocol.close.execute import Closed
from troth_protocol.core import EpochOpened
from troth_protocol.genesis import Phases
from troth_protocol.insight.results import BreachLine, emission_leaves, settlement_rows
from troth_protocol.log.rows import Promise
from troth_protocol.market.sale import sale_leaves
from troth_protocol.wire.codec import Value, encode
from troth_protocol.wire.merkle import branch, leaf_hash, root_from_branch

if TYPE_CHECKING:
    from troth_node.player import Player
    from troth_node.runtime import Runtime
    from troth_node.swarm.scenario import Plan
    from troth_node.swarm.supervisor import Process

BREACH: Final = "breach"
#: Everything that `tools/offences.py` tries.
KINDS: Final = (*OFFENCES, BREACH)
OUTCOMES: Final = 2
WEIGHT_PPM: Final = 300_000
#: More than the promised weight would pay, so that it is what the seller gets.
FLOOR: Final = 5 * TOKEN
#: Just time for an exchange and a forecast after it, then the least there is.
PHASES: Final = Phases(commit=4, attest=2, reveal=2, attest_reveal=2)


class Attester(Bystander):
    """Attests what the coin showed: sides take turns."""

    def attest(self, question: QuestionView) -> int | None:
        """The question's side."""
        return question.index % OUTCOMES


class FloorSeller(Bystander):
    """A hint on every question, for a citation or a floor."""

    documents = (DOCUMENT,)

    def quote(self, request: Request) -> Quote | None:
        """What has a floor goes out sealed."""
        return Quote(WEIGHT_PPM, floor=FLOOR, min_wager=TOKEN)

    def produce(self, question: QuestionView, signals: Sequence[Signal]) -> Production:
        """The side that it will show."""
        return Production(DOCUMENT, {"side": question.index % OUTCOMES}, "I looked")


class CitingBuyer(HintBuyer):
    """Leans on what it is told, and means to cite it."""

    pay_ppm = WEIGHT_PPM
    cite_ppm = WEIGHT_PPM

    def wants(self, question: QuestionView) -> list[Want]:
        """The hint, for a citation."""
        return [replace(want, min_weight_ppm=WEIGHT_PPM) for want in super().wants(question)]

    def forecast(self, question: QuestionView, signals: Sequence[Signal]) -> Forecast | None:
        """Nine in ten for what the hint says; nothing without one."""
        payload = signals[0].payload if signals else None
        if not isinstance(payload, dict):
            return None
        likely = int(str(payload["side"]))
        ppm = tuple(900_000 if side == likely else 100_000 for side in range(OUTCOMES))
        return Forecast(ppm, "I was told", wager_ppm=10_000)


def promising_plan(directory: Path) -> Plan:
    """The traders of `trading`, whose questions are settled, by what the witnesses attest."""
    plan = trading_plan(directory, per_epoch=1, epoch_ms=EPOCH_MS)
    genesis = plan.genesis
    topics = tuple(replace(topic, phases=PHASES, emission=TOKEN) for topic in genesis.topics)
    holders = tuple(replace(holder, attester=holder.witness) for holder in genesis.holders)
    nodes = tuple(
        replace(node, reference=f"{__file__}:{_agent(node.name).__name__}", attester=node.witness)
        for node in plan.nodes
    )
    return replace(plan, nodes=nodes, genesis=replace(genesis, topics=topics, holders=holders))


def _agent(name: str) -> type[Bystander]:
    agents: dict[str, type[Bystander]] = {SELLER: FloorSeller, BUYER: CitingBuyer}
    return agents.get(name, Attester)


class Charging(Observed):
    """An honest node that tells which broken promises its closes charge."""

    def notice(self, event: object) -> None:
        super().notice(event)
        if isinstance(event, EpochOpened) and event.closed is not None:
            for question, _ in breaches_of(event.closed):
                when = {"epoch": event.epoch - 1, "at": time.monotonic()}
                self.tell({"event": "punishes", "question": question.hex(), **when})


class Breaker(Charging):
    """A buyer that cites nobody, whatever its agent says."""

    def make_player(self, runtime: Runtime) -> Player:
        player = super().make_player(runtime)

        def drop(question: QuestionView, *_: object) -> dict[bytes, int]:
            when = {"epoch": runtime.core.epoch, "at": time.monotonic()}
            self.tell({"event": "offends", "question": question.id.hex(), **when})
            return {}

        self.agent.allocate = drop  # type: ignore[method-assign,assignment] # all that it does otherwise
        return player


def breaches_of(closed: Closed) -> list[tuple[bytes, BreachLine]]:
    """The broken promises that a close has settled, with their questions."""
    return [(item.question, line) for item in closed.settlements for line in item.breaches]


def prove_breach(closed: Closed, promise: bytes) -> bytes:
    """Whoever has the seal can check this: [breach line, its place, number of lines, branch].

    AssertionError if it does not lead to the emissions root of the seal.
    """
    rows = [row for item in closed.settlements for row in settlement_rows(item)]
    index = next(number for number, row in enumerate(rows) if _is_breach(row, promise))
    leaves = emission_leaves(closed.settlements) + sale_leaves(closed.sales)
    path = branch(leaves, index)
    found = root_from_branch(leaf_hash(encode(rows[index])), index, len(leaves), path)
    assert found == closed.emissions_root, "the breach is not under the seal"
    return encode([rows[index], index, len(leaves), [*path]])


def _is_breach(row: Value, promise: bytes) -> bool:
    match row:
        case ["breach", _, [bytes(key), *_]]:
            return key == promise
        case _:
            return False


class BreachTrial(Trial):
    """One swarm, one buyer that breaks its promises; judged is the first that a close charges."""

    child = Charging

    def __init__(self, directory: Path) -> None:
        self._began_at: dict[str, float] = {}
        self._charged: BreachLine | None = None
        super().__init__(BREACH, directory, "")

    def find_offender(self) -> tuple[str, type[Observed]]:
        return BUYER, Breaker

    def make_plan(self) -> Plan:
        return promising_plan(self.directory)

    def _heard(self, process: Process, line: dict[str, Json]) -> None:
        super()._heard(process, line)
        name, verdict = process.plan.name, self.verdict
        match line.get("event"):
            case "offends":
                self._began_at.setdefault(str(line["question"]), float(str(line["at"])))
            case "punishes" if name != self.offender and name not in verdict.detected_by:
                if not verdict.detected_by:
                    began = self._began_at.get(str(line["question"]))
                    assert began is not None, "a promise that was not broken is charged"
                    verdict.detected_ms = round(1000 * (float(str(line["at"])) - began), 1)
                verdict.detected_by.append(name)
            case _:
                pass

    def _read_case(self, name: str) -> None:
        """The first breach, as the logs and cuts of this node's store give it."""
        assert not list_cases(self._store(name), self.plan.genesis.encode()), (
            f"{name} takes it for an offence"
        )
        history = replay(self._store(name), self.plan.genesis)
        epoch, question, line = _first_breach(history)
        names = {node.keys.public: node.name for node in self.plan.nodes}
        assert (names[line.buyer], names[line.seller]) == (BUYER, SELLER), (
            f"{name} charges {names[line.buyer]}"
        )
        assert self._charged in (None, line), f"{name} charges it otherwise than the others"
        self._charged = line
        verdict, before = self.verdict, history.closes[epoch - 2].state
        promise = before.find("promises", line.promise, Promise)
        assert promise is not None, "a breach of a promise that nobody made"
        verdict.punished_at += 1
        verdict.epochs = epoch - before.question(question).closes()
        verdict.evidence_bytes = len(prove_breach(history.closes[epoch - 1], line.promise))
        verdict.lost, verdict.burned = line.paid + line.burned, line.burned
        verdict.price, verdict.returned = promise.floor, line.paid


def _first_breach(history: History) -> tuple[int, bytes, BreachLine]:
    """The epoch whose close has charged it, its question and its line; AssertionError if there is none."""
    for number, closed in enumerate(history.closes):
        for question, line in breaches_of(closed):
            return number + 1, question, line
    raise AssertionError("nobody was charged for a promise")


def make_trial(kind: str, directory: Path, observer: str) -> Trial:
    """The trial of one of `KINDS`; a breach needs no observer."""
    return BreachTrial(directory) if kind == BREACH else Trial(kind, directory, observer)
