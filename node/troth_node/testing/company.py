"""Whole players on a stage: some of its agents are played by classes, as on a node; nothing moves by itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Final, cast

from troth_node.agent import Agent
from troth_node.documents import own_documents
from troth_node.player import Player
from troth_node.runtime import Runtime
from troth_node.testing.stage import Stage
from troth_protocol.core import Core
from troth_protocol.effects import Effect, Notice
from troth_protocol.genesis import Genesis

#: So many slots may time out before an epoch counts as stalled.
SLOTS_MAX: Final = 8


@dataclass
class _Shell:
    """What a player needs of a runtime."""

    core: Core

    def kick(self) -> None:
        """Everything is carried out anyway."""


class Company(Stage):
    """`cast` makes the agents that are played, by number; they must be quick. `bonds` are those of the command line."""

    def __init__(
        self,
        genesis: Genesis,
        cast: Mapping[int, Callable[[], Agent]],
        bonds: Mapping[int, Mapping[str, int]] | None = None,
    ) -> None:
        super().__init__(len(genesis.holders), genesis=genesis)
        self.cast = cast
        self.bonds = bonds or {}
        self.players: dict[int, Player] = {}
        self._running: set[int] = set()
        for agent, make in cast.items():
            self.documents[agent] = own_documents(make())

    def seated(self, agent: int, core: Core) -> None:
        """A played agent gets a player, anew at every start."""
        if agent in self.cast:
            made = self.cast[agent]()
            self.players[agent] = Player(cast("Runtime", _Shell(core)), made, self.bonds.get(agent))

    def flush(self, agent: int) -> None:
        """As on any stage; then the player's jobs, until it has nothing more to do."""
        super().flush(agent)
        player = self.players.get(agent)
        if player is None or agent in self._running:
            return
        self._running.add(agent)
        while player._jobs:  # noqa: SLF001 - instead of its run()
            _run(player._guarded(player._jobs.popleft()))  # noqa: SLF001
            super().flush(agent)
        self._running.discard(agent)

    def carry_out(self, agent: int, effect: Effect) -> None:
        """Notices reach the player."""
        super().carry_out(agent, effect)
        player = self.players.get(agent)
        if isinstance(effect, Notice) and player is not None:
            player.notice(effect.event)

    def live(self, epochs: int = 1) -> None:
        """So many epochs in good weather; where the leader is away, slots time out."""
        for _ in range(epochs):
            self.settle()
            self.tick(3)
            before = min(self.epochs())
            self.close()
            for _ in range(SLOTS_MAX):
                if min(self.epochs()) > before:
                    break
                for name in ("slot", "propose", "tick"):
                    self.fire(name)
                    self.settle()
        self.settle()

    def balance(self, agent: int) -> int:
        """An agent's sealed balance, in atomic units."""
        return self.account(agent).balance


def _run(job: Coroutine[object, object, None]) -> None:
    """A job of a quick agent never waits."""
    try:
        job.send(None)
    except StopIteration:
        return
    raise AssertionError("a job waits for something")
