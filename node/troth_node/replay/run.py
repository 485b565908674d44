"""A replay from its table to its report: simulated, or by real processes; audited from stored bytes either way."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from troth_node.audit import History, StoreAudit, audit_store
from troth_node.audit import replay as execute_again
from troth_node.cli.failure import write_json
from troth_node.replay.forecasts import Table, shared_table
from troth_node.replay.network import Replay, Settings, make_replay
from troth_node.replay.results import Outcome, collect, find_problems
from troth_node.replay.tables import print_outcome
from troth_node.storage.home import STORE_FILE
from troth_node.swarm.run import make_directory
from troth_protocol.errors import TrothError

SHOW_EVERY_S: Final = 1.0
SHOW_PLAIN_EVERY_S: Final = 10.0


class Progress:
    """How far a replay has come: a moving line on a terminal, a line now and then anywhere else."""

    def __init__(self, *, is_quiet: bool) -> None:
        self.is_quiet = is_quiet
        self.began = time.monotonic()
        self._shown = 0.0
        self._is_terminal = sys.stderr.isatty()

    def say(self, text: str) -> None:
        """A line of its own."""
        if not self.is_quiet:
            click.echo(("\r\x1b[K" if self._is_terminal else "") + text, err=True)

    def show(self, text: str, *, is_last: bool = False) -> None:
        """The moving line, if it is time."""
        now = time.monotonic()
        wait_s = SHOW_EVERY_S if self._is_terminal else SHOW_PLAIN_EVERY_S
        if self.is_quiet or (now - self._shown < wait_s and not is_last):
            return
        self._shown = now
        if self._is_terminal:
            click.echo(f"\r\x1b[K{text}", err=True, nl=is_last)
        else:
            click.echo(text, err=True)


def run_replay(
    path: Path,
    settings: Settings,
    *,
    nodes: bool,
    keep: Path | None,
    json_file: str | None,
    quiet: bool,
) -> bool:
    """Replay a table and print what came of it. True if the audit holds.

    Raises TableError, ScenarioError, StorageError or TrothError, one line each, before or instead of a report.
    """
    progress = Progress(is_quiet=quiet)
    progress.say(f"Reading {path} …")
    table = shared_table(path.resolve(), settings.epsilon_ppm, settings.min_forecasters)
    read_s = time.monotonic() - progress.began
    directory = make_directory(keep)
    try:
        run = _by_processes if nodes else _simulated
        outcome = run(path, table, settings, directory, progress)
        outcome.timing = {"read_s": round(read_s, 2), **outcome.timing}
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    if json_file is not None:
        write_json(json_file, outcome.as_json())
    if json_file != "-":
        print_outcome(outcome, is_quiet=quiet, kept=keep)
    return outcome.is_ok


def _simulated(_: Path, table: Table, settings: Settings, directory: Path, progress: Progress) -> Outcome:
    from troth_node.replay.simulation import PHASES, Simulation, pacing  # noqa: PLC0415 - only when needed

    replay = make_replay(table, settings, PHASES, pacing(table.batches()))
    progress.say(_beginning(replay, "in the simulated network"))
    began = time.monotonic()
    simulation = Simulation(replay, lambda epoch: progress.show(_line(replay, epoch, began)))
    with _stopping(simulation.interrupt):
        simulation.run()
    ended = time.monotonic()
    progress.say(f"Ran for {ended - began:.1f} s; auditing every witness's store …")
    homes = simulation.save(directory)
    audits, history, problems = _audit(replay, homes, is_whole=not simulation.is_interrupted)
    if simulation.is_interrupted:
        problems.insert(0, "interrupted before the last round was settled")
    balances = {keys.public: history.state.account(keys.public).balance for keys in replay.forecasters}
    problems += simulation.check(balances)
    return _outcome(replay, "sim", audits, history, problems, began, ended)


@contextmanager
def _stopping(stop: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C asks for a stop, so that what is settled is still reported; the second one ends at once."""

    def on_signal(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        stop()

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _by_processes(
    path: Path, table: Table, settings: Settings, directory: Path, progress: Progress
) -> Outcome:
    from troth_node.replay.processes import make_process_replay, run_processes  # noqa: PLC0415 - libp2p

    replay = make_process_replay(table, settings)
    progress.say(_beginning(replay, "by real processes"))
    began = time.monotonic()
    problems = run_processes(path, replay, directory, is_quiet=progress.is_quiet)
    ended = time.monotonic()
    progress.say(f"Ran for {ended - began:.1f} s; auditing every store …")
    homes = sorted(home for home in directory.iterdir() if home.is_dir())
    audits, history, found = _audit(replay, homes, is_whole=not problems)
    return _outcome(replay, "nodes", audits, history, problems + found, began, ended)


def _outcome(
    replay: Replay,
    mode: str,
    audits: list[StoreAudit],
    history: History,
    problems: list[str],
    began: float,
    ended: float,
) -> Outcome:
    forecasters, settled = collect(replay, history)
    run_s = max(ended - began, 1e-9)
    timing = {
        "run_s": round(run_s, 2),
        "audit_s": round(time.monotonic() - ended, 2),
        "forecasts_per_s": round(sum(line.questions for line in forecasters) / run_s, 1),
    }
    return Outcome(replay, mode, forecasters, audits, problems, timing, history.entries, settled)


def _audit(
    replay: Replay, homes: list[Path], *, is_whole: bool
) -> tuple[list[StoreAudit], History, list[str]]:
    """Verify every store, and execute the first witness's whole history again."""
    audits, problems = [], []
    for home in homes:
        try:
            audits.append(audit_store(home / STORE_FILE, replay.genesis, home.name))
        except TrothError as error:
            problems.append(f"{home.name}: {error}")
    history = History()
    first = next(home for home in homes if home.name.startswith("witness"))
    try:
        history = execute_again(first / STORE_FILE, replay.genesis)
    except TrothError as error:
        problems.append(f"executing every close again: {error}")
    return audits, history, problems + find_problems(replay, history, audits, is_whole=is_whole)


def _beginning(replay: Replay, where: str) -> str:
    table = replay.table
    left_out = f" ({table.left_out} more left out: too few answered)" if table.left_out else ""
    return (
        f"Replaying {table.answers():,} forecasts {where}: {len(table.forecasters)} forecasters, "
        f"{sum(table.batches()):,} questions in {len(table.rounds)} rounds{left_out} …"
    )


def _line(replay: Replay, epoch: int, began: float) -> str:
    """How far, and how long it will take at this pace."""
    every, rounds = replay.topic.every or 1, len(replay.table.rounds)
    done = min(max(epoch - replay.topic.first + 1, 0) // every, rounds)
    elapsed = time.monotonic() - began
    left = elapsed * (replay.last_epoch - epoch) / max(epoch, 1)
    return (
        f"epoch {epoch}/{replay.last_epoch}  {done} of {rounds} rounds settled  "
        f"{elapsed:.0f} s, about {left:.0f} s to go"
    )
