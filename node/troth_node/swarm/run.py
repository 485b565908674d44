"""Running a swarm from start to audit: plan, homes, processes, progress, report."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from troth_node.agent import Agent, Json
from troth_node.audit import History, StoreAudit, audit_store, replay
from troth_node.cli.failure import write_json
from troth_node.documents import own_documents
from troth_node.loader import load_agent
from troth_node.storage.errors import StorageError
from troth_node.storage.home import STORE_FILE, Home
from troth_node.storage.store import Store
from troth_node.swarm.progress import Progress
from troth_node.swarm.report import Report, make_report
from troth_node.swarm.scenario import Guest, Plan, ScenarioError, load_scenario, make_plan
from troth_node.swarm.supervisor import Supervisor, SwarmError
from troth_node.swarm.tables import print_report
from troth_protocol.effects import TABLES
from troth_protocol.errors import TrothError

POLL_S: Final = 0.1
#: A run may take this many times its nominal length before it is given up.
PATIENCE: Final = 6
START_LIMIT_S: Final = 120.0


def run_swarm(
    path: Path,
    *,
    nodes: int | None,
    epochs: int | None,
    seed: int | None,
    keep: Path | None,
    json_file: str | None,
    quiet: bool,
    added: Sequence[str] = (),
) -> bool:
    """Run a scenario and print what came of it. True if the audit passed.

    Raises ScenarioError, StorageError or TrothError, one line each, before or instead of a report.
    """
    began = time.monotonic()
    guests = [make_guest(reference) for reference in added]
    plan = make_plan(load_scenario(path), find_root(path), nodes, epochs, seed, guests)
    directory = make_directory(keep)
    try:
        report = _run(plan, directory, began, is_quiet=quiet)
        if json_file is not None:
            write_json(json_file, report.as_json())
        if json_file != "-":
            print_report(report, is_quiet=quiet, kept=directory if keep else None)
        return report.is_ok
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)


def find_root(path: Path) -> Path:
    """The folder that the scenario's class paths count from: the nearest one above it that has `examples`."""
    for folder in path.resolve().parents:
        if (folder / "examples").is_dir():
            return folder
    return path.resolve().parent


def make_guest(reference: str) -> Guest:
    """An agent to add, named after its class; its role is what its class overrides. AgentError, DocumentError."""
    found = load_agent(reference, Path.cwd())
    _check_documents(found)
    file_name, _, class_name = reference.partition(":")
    if found.forecast is not Agent.forecast:
        role = "forecaster"
    else:
        role = "seller" if found.wants is Agent.wants else "processor"
    return Guest(class_name.lower(), f"{Path(file_name).resolve()}:{class_name}", role)


def _check_documents(found: type[Agent]) -> None:
    """Refuse a bad signal document before anything starts, if it is found by the class alone. Raises DocumentError."""
    if found.describe is Agent.describe and found.__init__ is Agent.__init__:
        own_documents(found())


def make_directory(keep: Path | None) -> Path:
    """Where the homes go; ScenarioError if it is in use already."""
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="troth-"))
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise ScenarioError(f"--keep {keep}: it exists and is not an empty directory; name a new one")
    keep.mkdir(parents=True, exist_ok=True)
    return keep


def make_homes(plan: Plan, directory: Path) -> None:
    """A home with key, genesis and empty store for every node."""
    payload = plan.genesis.encode()
    for node in plan.nodes:
        home = Home.create(directory / node.name, node.keys.seed, payload)
        Store.open(home.store_path, TABLES).close()
        home.close()


def preload(plan: Plan) -> None:
    """Import once, in the parent, what every child needs; agents that cannot be loaded fail here."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    for node in plan.nodes:
        load_agent(node.reference, plan.root).prepare()
    for module in ("troth_node.transport.network", "troth_node.swarm.child"):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is shared stays shared: no child's collector writes to it


@dataclass(frozen=True)
class Drive:
    """A run that is over: when it was up and when it ended (monotonic, s), what went wrong, the agents' own reports,
    and what their nodes count together.
    """

    started: float
    ended: float
    problems: list[str]
    reports: Mapping[str, Mapping[str, Json]]
    told: Mapping[str, int]


def drive(plan: Plan, directory: Path, began: float, *, is_quiet: bool) -> Drive:
    """Run all nodes of a plan until its last epoch is sealed, showing how they fare.

    Raises StorageError, AgentError; SwarmError if not all nodes come up.
    """
    progress = Progress(plan, is_quiet=is_quiet)
    progress.say(f"Starting {len(plan.nodes)} nodes of '{plan.scenario}' …")
    make_homes(plan, directory)
    preload(plan)
    supervisor = Supervisor(plan, directory, progress.heard)
    problems: list[str] = []
    started = ended = began
    try:
        started = _start(supervisor, progress, began)
        ended = _watch(supervisor, progress, plan)
    except (SwarmError, KeyboardInterrupt) as error:
        if started == began and not supervisor.is_up():
            raise  # a store that no node has opened yet has nothing to audit
        problems.append(str(error) or "interrupted before the last epoch was sealed")
        ended = time.monotonic()
    finally:
        progress.close()
        supervisor.stop()
    progress.say("Auditing every store …")
    reports = {process.plan.name: process.report for process in supervisor.processes}
    told = sum((Counter(process.market) for process in supervisor.processes), Counter[str]())
    return Drive(started, ended, problems, reports, told)


def _run(plan: Plan, directory: Path, began: float, *, is_quiet: bool) -> Report:
    done = drive(plan, directory, began, is_quiet=is_quiet)
    audits, history = audit_all(plan, directory, done.problems)
    run_s = max(done.ended - done.started, 1e-9)
    return make_report(
        plan,
        history,
        audits,
        replayed=plan.nodes[0].name,
        problems=done.problems,
        timing={
            "start_s": round(done.started - began, 2),
            "run_s": round(run_s, 2),
            "audit_s": round(time.monotonic() - done.ended, 2),
            "entries_per_s": round(history.entries / run_s, 2),
        },
        reports=done.reports,
        told=done.told,
    )


def _start(supervisor: Supervisor, progress: Progress, began: float) -> float:
    supervisor.start()
    while not supervisor.is_up():
        supervisor.poll(POLL_S)
        if time.monotonic() - began > START_LIMIT_S:
            raise SwarmError(f"not all nodes were up after {START_LIMIT_S:.0f} s; see the node.log files")
    started = time.monotonic()
    progress.say(f"All {len(supervisor.processes)} nodes are up after {started - began:.1f} s.")
    return started


def _watch(supervisor: Supervisor, progress: Progress, plan: Plan) -> float:
    pacing = plan.genesis.pacing
    limit_s = PATIENCE * plan.epochs * (pacing.epoch_ms + 2 * pacing.grace_ms) / 1000 + START_LIMIT_S
    deadline = time.monotonic() + limit_s
    while not supervisor.is_done():
        supervisor.poll(POLL_S)
        progress.draw()
        if time.monotonic() > deadline:
            raise SwarmError(f"the last epoch was not sealed within {limit_s:.0f} s")
    return time.monotonic()


def audit_all(plan: Plan, directory: Path, problems: list[str]) -> tuple[list[StoreAudit], History]:
    """Audit every node's store, and execute the first one's whole history again."""
    audits: list[StoreAudit] = []
    for node in plan.nodes:
        try:
            audits.append(audit_store(directory / node.name / STORE_FILE, plan.genesis, node.name))
        except StorageError as error:
            problems.append(f"{node.name}: {error}")
    history = History()
    try:
        history = replay(directory / plan.nodes[0].name / STORE_FILE, plan.genesis)
    except (StorageError, TrothError) as error:
        problems.append(f"executing every close again: {error}")
    return audits, history
