"""One node by itself, as `troth node` runs it: network, core and agent until a signal says stop."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
import trio

from troth_node.agent import Agent
from troth_node.documents import own_documents
from troth_node.introductions import PeerExchange
from troth_node.loader import load_agent
from troth_node.player import Player
from troth_node.presence import Presence
from troth_node.runtime import Disk, Listener, Runtime
from troth_node.storage.home import Home
from troth_node.transport.host import ListenError
from troth_node.transport.mdns import Found, serve_mdns
from troth_node.transport.network import Network
from troth_node.transport.settings import OTHERS
from troth_protocol.close.docket import Accusation
from troth_protocol.core import EpochOpened, PeerFault, PeerHello, Restoring
from troth_protocol.errors import TrothError
from troth_protocol.insight.results import Settlement

log = structlog.get_logger()

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class NodeSettings:
    """What a single node is started with; `budget` in atomic units (None: as the agent's class says)."""

    home: Path
    reference: str | None
    options: Mapping[str, str]
    name: str
    listen: str
    peers: tuple[tuple[bytes, str], ...]
    is_restored: bool
    is_json: bool
    endpoints: tuple[str, ...] = ()
    is_exchanging: bool = True
    others: int = OTHERS
    is_on_lan: bool = False
    budget: int | None = None
    bonds: Mapping[str, int] = field(default_factory=dict)


class NodeError(TrothError):
    """A node that cannot start or go on; one line that says why."""


#: What ends a node with one line; anything else is a mistake of ours, and shows where it happened.
EXPECTED: Final = (ListenError, ValueError, TrothError)


def run_single(settings: NodeSettings) -> None:
    """Run until a stop signal. Raises StorageError, AgentError, NodeError or TrothError, one line each."""
    configure_log(is_json=settings.is_json)
    agent = Agent() if settings.reference is None else load_agent(settings.reference, Path.cwd())()
    agent.open({**settings.options, "name": settings.name})
    if settings.budget is not None:
        agent.budget = settings.budget
    disk = Disk.open(Home.open(settings.home), is_restored=settings.is_restored)
    try:
        network = Network(disk.home.key.seed, settings.listen)
        documents = own_documents(agent)
        runtime = Runtime(disk, network, settings.name, documents, is_restored=settings.is_restored)
        trio.run(_run, settings, network, runtime, agent)
    except EXPECTED as error:
        raise NodeError(str(error)) from None
    except BaseExceptionGroup as group:
        if group.split(EXPECTED)[1] is not None:
            raise
        raise NodeError(str(_first(group))) from None
    finally:
        disk.close()


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _run(settings: NodeSettings, network: Network, runtime: Runtime, agent: Agent) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, nursery.cancel_scope)
        await nursery.start(network.serve)
        log.info("listening", address=network.addresses[0], key=network.public.hex())
        for key, address in settings.peers:
            if key != network.public:  # a bootstrap list may name every node
                network.connect(key, address)
        player = Player(runtime, agent, settings.bonds)
        runtime.listeners += [player, _Teller(), *_discovery(settings, network, runtime, player)]
        if settings.is_on_lan:
            nursery.start_soon(_find_on_lan, settings, network, runtime)
        nursery.start_soon(runtime.run)
        nursery.start_soon(player.run)


def _discovery(
    settings: NodeSettings, network: Network, runtime: Runtime, player: Player
) -> Iterator[Listener]:
    """Who makes this node known, and who finds others."""
    agent, is_sought = player.agent, player.dealings.trader.is_sought
    endpoints = settings.endpoints or tuple(network.addresses)
    presence = Presence(runtime.core, agent, settings.name, own_documents(agent), endpoints)
    card = runtime.core.board.card(network.public)
    if card is None or not card.endpoints:
        log.warning("no address of this node can be dialled by others; --endpoint says one")
    yield presence
    if settings.is_exchanging:
        fixed = frozenset(key for key, _ in settings.peers)
        yield PeerExchange(runtime.core, network, network.addresses[0], fixed, settings.others, is_sought)


async def _find_on_lan(settings: NodeSettings, network: Network, runtime: Runtime) -> None:
    """Link to whatever nodes of this network the LAN tells of."""
    fixed = {key for key, _ in settings.peers}

    def found(node: Found) -> None:
        if node.key not in fixed:
            log.info("peer on the LAN", key=node.key.hex()[:16], address=node.address)
            network.connect(node.key, node.address)

    try:
        await serve_mdns(runtime.core.chain.network, network.public, network.addresses[0], found)
    except OSError as error:
        raise NodeError(f"--mdns: {error.strerror or error}; start without it") from None


async def _stop_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(*STOP_SIGNALS) as signals:
        async for number in signals:
            log.info("stopping", signal=signal.Signals(number).name)
            scope.cancel()
            return


class _Teller:
    """Logs what a person running one node wants to see."""

    def notice(self, event: object) -> None:
        """One line for each event that matters."""
        match event:
            case EpochOpened():
                closed = event.closed
                log.info(
                    "epoch sealed",
                    epoch=event.epoch - 1,
                    entries=closed.entries if closed else None,
                    settled=len(closed.settlements) if closed else None,
                    punished=len(closed.offences) if closed else None,
                )
                self._tell_sponsored(closed.settlements if closed else ())
            case PeerHello():
                log.info("peer", name=event.hello.name, key=event.peer.hex()[:16], epoch=event.hello.epoch)
            case PeerFault():
                log.warning("peer fault", peer=event.peer.hex()[:16], code=event.code, detail=event.detail)
            case Accusation():
                log.warning(
                    "evidence of an offence",
                    kind=event.proof.kind,
                    offender=event.proof.offender.hex()[:16],
                    epoch=event.proof.epoch,
                    told_by="this node" if event.peer is None else event.peer.hex()[:16],
                )
            case Restoring():
                log.warning("restored: signing nothing for now", until_epoch=event.until)
            case _:
                pass

    def _tell_sponsored(self, settlements: Sequence[Settlement]) -> None:
        for item in settlements:
            if item.asker is not None and not item.revote:
                log.info(
                    "sponsored question settled",
                    question=item.question.hex()[:16],
                    asker=item.asker.hex()[:16],
                    outcome=item.outcome,
                    returned=item.returned,
                )


def configure_log(*, is_json: bool) -> None:
    """Structured logs on standard error: for people, or as JSON lines."""
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if is_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
