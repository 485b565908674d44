"""One node of a swarm, in a process of its own: it tells its supervisor in JSON lines how it fares."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import structlog
import trio

from troth_node.agent import Agent, Json
from troth_node.documents import own_documents
from troth_node.loader import load_agent
from troth_node.player import Player
from troth_node.presence import Presence
from troth_node.runtime import Disk, Runtime
from troth_node.storage.errors import StorageError
from troth_node.storage.home import Home
from troth_node.swarm.scenario import NodePlan, Plan
from troth_protocol.core import EpochOpened, PeerFault, Restoring

if TYPE_CHECKING:
    from trio_typing import TaskStatus  # libp2p brings stubs that hide trio's own types

    from troth_node.transport.network import Network

_PR_SET_PDEATHSIG: Final = 1
#: Many small ops of one agent share an entry: twelve nodes on two cores have better things to do than to sign each.
LINGER_MS: Final = 200


@dataclass(frozen=True)
class Pipes:
    """File descriptors to and from the supervisor."""

    control: int
    status: int


def main(
    plan: Plan, node: NodePlan, home: Path, pipes: Pipes, make: Callable[..., Child] | None = None
) -> NoReturn:
    """Run a node until told to stop; never returns to the caller's stack, which belongs to the supervisor."""
    code = 1
    try:
        _detach(home)
        trio.run(partial((make or Child)(plan, node, home, pipes).run), strict_exception_groups=True)
        code = 0
    except BaseException as error:  # noqa: BLE001 - the supervisor must hear of it, whatever it is
        reason = _first_line(error)
        with suppress(OSError):
            os.write(pipes.status, json.dumps({"event": "fault", "reason": reason}).encode() + b"\n")
        with suppress(OSError):  # the log may be on the very disk that is full
            structlog.get_logger().error("node stopped", reason=reason, exc_info=True)
    finally:
        with suppress(Exception):
            sys.stdout.flush()
        os._exit(code)


def _first_line(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    text = str(error).splitlines()
    if text and isinstance(error, StorageError):
        return text[0]  # written for the operator
    return f"{type(error).__name__}: {text[0] if text else ''}"


def _detach(home: Path) -> None:
    """Ctrl-C is the supervisor's to handle; if the supervisor dies, so do we."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    log_file = (home / "node.log").open("a", buffering=1, encoding="utf-8")
    os.dup2(log_file.fileno(), 1)
    os.dup2(log_file.fileno(), 2)
    configure_log(log_file)


def configure_log(stream: object) -> None:
    """Structured logs, one JSON object a line."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=stream),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )


class Child:
    """The node's nursery tree: network, core, player, and the conversation with the supervisor."""

    def __init__(self, plan: Plan, node: NodePlan, home: Path, pipes: Pipes) -> None:
        self.plan = plan
        self.node = node
        self.home = home
        self.pipes = pipes
        self.agent: Agent = load_agent(node.reference, plan.root)()
        self.player: Player | None = None
        self._network: Network | None = None
        self._addresses: dict[bytes, str] = {}

    async def run(self) -> None:
        disk = Disk.open(Home.open(self.home))
        network = self.make_network()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._stop_on_signal, nursery.cancel_scope)
                await nursery.start(network.serve)
                await trio.to_thread.run_sync(self.agent.open, dict(self.node.options))
                if self.node.budget is not None:
                    self.agent.budget = self.node.budget
                runtime = Runtime(
                    disk,
                    network,
                    self.node.name,
                    own_documents(self.agent),
                    last_epoch=self.plan.epochs,
                    linger_ms=LINGER_MS,
                )
                self.player = self.make_player(runtime)
                presence = Presence(
                    runtime.core, self.agent, self.node.name, own_documents(self.agent), network.addresses
                )
                runtime.listeners += [self.player, presence, self]
                structlog.get_logger().info(
                    "listening", address=network.addresses[0], key=network.public.hex(), name=self.node.name
                )
                self.tell({"event": "up", "address": network.addresses[0]})
                await nursery.start(self._listen, network)
                nursery.start_soon(runtime.run)
                nursery.start_soon(self.player.run)
        finally:
            disk.close()

    def make_network(self) -> Network:
        """The node's links."""
        from troth_node.transport.network import Network  # noqa: PLC0415 - imported before the fork

        return Network(self.node.keys.seed)

    def make_player(self, runtime: Runtime) -> Player:
        """Who plays the agent."""
        return Player(runtime, self.agent)

    async def _stop_on_signal(self, scope: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                scope.cancel()

    async def _listen(
        self, network: Network, *, task_status: TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Control lines from the supervisor; the first one is the roster. Its end is our end."""
        buffer = b""
        started = False
        async with trio.lowlevel.FdStream(os.dup(self.pipes.control)) as stream:
            async for data in stream:
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    self._connect(network, json.loads(line)["roster"])
                    self._meet_witnesses()
                    if not started:
                        started = True
                        task_status.started()
        os.kill(os.getpid(), signal.SIGTERM)

    def _connect(self, network: Network, roster: Mapping[str, Mapping[str, str]]) -> None:
        """Link to the witnesses and to those whom we may buy from or sell to."""
        self._network = network
        self._addresses = {bytes.fromhex(peer["key"]): peer["address"] for peer in roster.values()}
        for name, peer in roster.items():
            if name != self.node.name and (self._needs(peer) or self._is_hub()):
                network.connect(bytes.fromhex(peer["key"]), peer["address"])

    def _meet_witnesses(self) -> None:
        """Link to whoever is a witness of the open epoch: nodes bond in while the swarm runs."""
        if self.player is None or self._network is None:
            return
        for member in self.player.core.chain.committee.members:
            address = self._addresses.get(member.key)
            if address is not None and member.key != self.node.keys.public:
                self._network.connect(member.key, address)

    def _is_hub(self) -> bool:
        return self.node.witness

    def _needs(self, peer: Mapping[str, str]) -> bool:
        buys = self.node.role != "seller"
        return peer["witness"] == "yes" or (buys and peer["role"] != "forecaster")

    def notice(self, event: object) -> None:
        """Tell the supervisor what it shows."""
        match event:
            case EpochOpened():
                self._meet_witnesses()
                self._tell_epoch(event)
            case Restoring():
                self.tell({"event": "restoring", "until": event.until})
            case PeerFault():
                structlog.get_logger().info(
                    "peer fault", peer=event.peer.hex()[:12], code=event.code, detail=event.detail
                )
            case _:
                pass

    def _tell_epoch(self, event: EpochOpened) -> None:
        line: dict[str, Json] = {"event": "epoch", "epoch": event.epoch - 1}
        closed = event.closed
        if closed is not None:
            income: dict[str, int] = {}
            for settlement in closed.settlements:
                for row in settlement.forecasts:
                    income[row.author.hex()] = income.get(row.author.hex(), 0) + row.net
                for paid in settlement.payments:
                    income[paid.payee.hex()] = income.get(paid.payee.hex(), 0) + paid.amount
                    income[paid.payer.hex()] = income.get(paid.payer.hex(), 0) - paid.amount
            settled = sum(settlement.outcome is not None for settlement in closed.settlements)
            line |= {"entries": closed.entries, "settled": settled, "income": dict(income)}
        self.tell(line)
        if event.epoch > self.plan.epochs and self.player is not None:
            report = self.player.report()
            market: dict[str, Json] = dict(self.player.dealings.trader.counts)
            self.tell({"event": "done", "report": report, "market": market})

    def tell(self, line: Mapping[str, Json]) -> None:
        """One line to the supervisor."""
        with suppress(OSError):
            os.write(self.pipes.status, json.dumps(line).encode() + b"\n")
