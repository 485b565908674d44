"""Live progress of a swarm: one moving line on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from troth_node.agent import Json
from troth_node.swarm.scenario import ATOMS, Plan
from troth_node.swarm.supervisor import Process

PLAIN_EVERY: Final = 5
DRAW_EVERY_S: Final = 0.25
EARNERS: Final = 6


class Progress:
    """Collects what nodes say and shows it."""

    def __init__(self, plan: Plan, *, is_quiet: bool) -> None:
        self.plan = plan
        self.console = Console(stderr=True)
        self.is_quiet = is_quiet
        self.epoch = 0
        self.entries = 0
        self.settled = 0
        self.income: dict[str, int] = defaultdict(int)
        self._names = {node.keys.public.hex(): node.name for node in plan.nodes}
        self._began = time.monotonic()
        self._drawn = 0.0
        self._live: Live | None = None

    def say(self, text: str) -> None:
        """A line of its own."""
        if not self.is_quiet:
            self.console.print(text, highlight=False)

    def heard(self, process: Process, line: dict[str, Json]) -> None:
        """A node said something."""
        match line.get("event"):
            case "epoch":
                self._epoch(line)
            case "ended":
                reason = f": {escape(str(line['reason']))}" if line["reason"] else ""
                how = f"{line['how']}{reason}"
                self.say(f"[yellow]{process.plan.name} ended ({how}); starting it again on its store[/]")
            case "restoring":
                self.say(f"[yellow]{process.plan.name} signs nothing before epoch {line['until']}[/]")
            case _:
                pass

    def _epoch(self, line: dict[str, Json]) -> None:
        epoch = int(str(line["epoch"]))
        if epoch <= self.epoch or "entries" not in line:
            return
        self.epoch = epoch
        self.entries += int(str(line["entries"]))
        self.settled += int(str(line["settled"]))
        income = line["income"]
        if isinstance(income, dict):
            for key, amount in income.items():
                self.income[self._names.get(key, key[:8])] += int(str(amount))
        if not self.console.is_terminal and epoch % PLAIN_EVERY == 0:
            self.say(self._line())

    def _line(self) -> str:
        elapsed = max(time.monotonic() - self._began, 1e-9)
        earners = sorted(self.income.items(), key=lambda item: -item[1])[:3]
        best = ", ".join(f"{name} {amount / ATOMS:+.1f}" for name, amount in earners) or "nobody yet"
        return (
            f"epoch {self.epoch}/{self.plan.epochs}  {self.settled} questions settled  "
            f"{self.entries / elapsed:.0f} certificates/s  earning most: {best}"
        )

    def draw(self) -> None:
        """Redraw, if it is time and there is a terminal."""
        now = time.monotonic()
        if self.is_quiet or not self.console.is_terminal or now - self._drawn < DRAW_EVERY_S:
            return
        self._drawn = now
        if self._live is None:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        width = 40
        filled = width * self.epoch // max(self.plan.epochs, 1)
        table = Table.grid(padding=(0, 1))
        bar = Text("━" * filled, style="green") + Text("━" * (width - filled), style="grey37")
        table.add_row(bar, self._line())
        for name, amount in sorted(self.income.items(), key=lambda item: -item[1])[:EARNERS]:
            table.add_row(Text(name, justify="right"), f"{amount / ATOMS:+10.2f} tokens")
        return table

    def close(self) -> None:
        """The moving part is over."""
        if self._live is not None:
            self._live.stop()
            self._live = None
