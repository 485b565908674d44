"""Four witnesses and some payers, each a process of its own with a real disk and real sockets; the audit at the end.

What a scenario reaches counts only if every entry that a payer was told is final stands under a seal afterwards.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from meters import machine_busy_s
from nodes import serve_node, serve_payer
from processes import BenchError, Child, Line, ask_all, reply

from troth_node.audit import audit_store, replay
from troth_node.storage.home import STORE_FILE, Home
from troth_node.storage.store import Store
from troth_node.testing.samples import RULES, TOKEN
from troth_protocol.effects import TABLES
from troth_protocol.errors import TrothError
from troth_protocol.genesis import Genesis, Holder, Pacing, load_genesis
from troth_protocol.wire.crypto import KeyPair, digest

WITNESSES: Final = 4
#: No epoch ends by itself while something is measured: a close is ordered.
PACING: Final = Pacing(epoch_ms=3_600_000, grace_ms=100, slot_ms=500, slot_max_ms=3_000)


@dataclass(frozen=True)
class Load:
    """Payers (processes with links and a disk of their own), logs of each, entries under way in each, ops in each."""

    name: str
    payers: int
    logs: int
    depth: int
    ops: int
    payees: int = 0
    """Payees with a node of their own, who push what they are shown to the witnesses; else witnesses are paid."""
    close_every_s: float | None = None
    is_profiled: bool = False

    @property
    def in_flight(self) -> int:
        """Entries under way at once."""
        return self.payers * self.logs * self.depth


@dataclass
class Window:
    """What was counted between two readings of all meters."""

    seconds: float
    finals: int
    machine_cpu_s: float
    cpu_s: dict[str, float]
    signed: int
    verified: int
    frame_bytes: int
    socket_bytes: int
    credits: int
    commits: dict[str, int]
    commit_s: dict[str, float]
    faults: list[str]
    latencies_ms: list[float] = field(default_factory=list)
    closes_s: list[float] = field(default_factory=list)
    profile: dict[str, dict[str, Counter[str]]] = field(default_factory=dict)

    def add(self, other: Window) -> None:
        """Count another window with this one."""
        for name in (
            "seconds",
            "finals",
            "machine_cpu_s",
            "signed",
            "verified",
            "frame_bytes",
            "socket_bytes",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, others in (
            (self.cpu_s, other.cpu_s),
            (self.commits, other.commits),
            (self.commit_s, other.commit_s),
        ):
            for role in mine:
                mine[role] += others[role]
        self.latencies_ms += other.latencies_ms


def keys_of(kind: str, count: int) -> list[KeyPair]:
    """Keys made from names: they guard play money only."""
    return [KeyPair.from_seed(digest(f"troth bench {kind} {number}".encode())) for number in range(count)]


def _sum(profiles: list[Line]) -> dict[str, Counter[str]]:
    """The profiles of several processes as one."""
    return {
        kind: sum((Counter(profile[kind]) for profile in profiles), Counter()) for kind in ("own", "total")
    }


class Cluster:
    """A network that lives for one scenario."""

    def __init__(self, load: Load, directory: Path) -> None:
        self.load = load
        self.directory = Path(tempfile.mkdtemp(prefix="bench-", dir=directory))
        self._witness_keys = keys_of("witness", WITNESSES)
        self._payee_keys = keys_of("payee", load.payees)
        self._payer_keys = keys_of("payer", load.payers)
        self._log_keys = [keys_of(f"log {payer}", load.logs) for payer in range(load.payers)]
        self.genesis = self._make_genesis()
        self.settled: list[list[int]] = []
        self.close_s = 0.0
        self.witnesses: list[Child] = []
        self.payees: list[Child] = []
        self.payers: list[Child] = []

    def _make_genesis(self) -> Genesis:
        others = self._payee_keys + self._payer_keys + [key for keys in self._log_keys for key in keys]
        holders = [Holder(pair.public, TOKEN, 1_000 * TOKEN, 0, 0) for pair in self._witness_keys]
        holders += [Holder(pair.public, 1_000 * TOKEN, 0, 0, 0) for pair in others]
        holders.sort(key=lambda holder: holder.key)
        draft = Genesis(1, "bench", PACING, RULES, tuple(holders), (), TOKEN)
        return load_genesis(draft.encode())

    def start(self) -> None:
        """Fork everybody, link everybody with the witnesses, and wait until the first epoch is open everywhere."""
        paid = [pair.public for pair in self._payee_keys or self._witness_keys]
        for number, pair in enumerate(self._witness_keys):
            self.witnesses.append(self._fork(f"witness-{number}", pair))
        for number, pair in enumerate(self._payee_keys):
            self.payees.append(self._fork(f"payee-{number}", pair))
        for number, pair in enumerate(self._payer_keys):
            home = self._make_home(f"payer-{number}", pair)
            self.payers.append(Child(home.name, partial(serve_payer, home, self._log_keys[number], paid)))
        self._join()

    def _fork(self, name: str, pair: KeyPair) -> Child:
        return Child(name, partial(serve_node, self._make_home(name, pair)))

    def _make_home(self, name: str, pair: KeyPair) -> Path:
        with Home.create(self.directory / name, pair.seed, self.genesis.encode()) as home:
            Store.open(home.store_path, TABLES).close()
        return self.directory / name

    def _join(self) -> None:
        addresses = [child.hear()["address"] for child in self._children()]
        keys = [pair.public.hex() for pair in self._witness_keys + self._payee_keys + self._payer_keys]
        where = dict(zip(keys, addresses, strict=True))
        witnesses = dict(list(where.items())[:WITNESSES])
        linked = dict(list(where.items())[: WITNESSES + len(self.payees)])
        for child in self._children():
            child.tell("join", roster=linked if child in self.payers else witnesses)
        for child in self._children():
            child.hear()

    def _children(self) -> list[Child]:
        return [*self.witnesses, *self.payees, *self.payers]

    def measure(self, warm_s: float, measure_s: float) -> Window:
        """Put the load on, wait until it flows, and count for a while."""
        load = self.load
        ask_all(self.payers, "load", logs=load.logs, ops=load.ops, depth=load.depth)
        time.sleep(warm_s)
        if load.is_profiled:
            ask_all([*self.witnesses, *self.payers], "sample")
        first, busy_first = self._read()
        closes_s = self._pass(measure_s)
        last, busy_last = self._read()
        window = self._difference(first, last, busy_last - busy_first)
        window.closes_s = closes_s
        if load.is_profiled:
            window.profile["witness"] = _sum(ask_all(self.witnesses, "profile"))
            window.profile["payer"] = _sum(ask_all(self.payers, "profile"))
        self._halt(window, first[-1]["at_s"], last[-1]["at_s"])
        return window

    def _read(self) -> tuple[list[Line], float]:
        return ask_all(self._children(), "meter"), machine_busy_s()

    def _pass(self, seconds: float) -> list[float]:
        """Let the time pass, closing epochs if the scenario has it so; how long each close took."""
        end = time.monotonic() + seconds
        closes_s: list[float] = []
        while self.load.close_every_s is not None and time.monotonic() + self.load.close_every_s < end:
            time.sleep(self.load.close_every_s)
            closes_s.append(self.close())
        time.sleep(max(0.0, end - time.monotonic()))
        return closes_s

    def close(self) -> float:
        """Order a close, and return how long it took until every witness had the next epoch open."""
        return max(float(answer["close_s"]) for answer in ask_all(self.witnesses, "close"))

    def _difference(self, first: list[Line], last: list[Line], machine_cpu_s: float) -> Window:
        roles = self._roles()
        payers = roles["payers"]

        def total(name: str, which: range = range(len(first))) -> Any:
            return sum(last[i][name] - first[i][name] for i in which)

        return Window(
            seconds=total("at_s", payers) / len(payers),
            finals=total("finals"),
            machine_cpu_s=machine_cpu_s,
            cpu_s={role: total("cpu_s", which) for role, which in roles.items()},
            signed=total("signed"),
            verified=total("verified"),
            frame_bytes=total("frame_bytes", payers),
            socket_bytes=total("socket_bytes", payers),
            credits=total("credits"),
            commits={role: total("commits", which) for role, which in roles.items()},
            commit_s={role: total("commit_s", which) for role, which in roles.items()},
            faults=[fault for reading in last for fault in reading["faults"]],
        )

    def _roles(self) -> dict[str, range]:
        """Where in the list of all children each role stands."""
        payees = WITNESSES + len(self.payees)
        return {
            "witnesses": range(WITNESSES),
            "payees": range(WITNESSES, payees),
            "payers": range(payees, payees + len(self.payers)),
        }

    def _halt(self, window: Window, since_s: float, until_s: float) -> None:
        for answer in ask_all(self.payers, "halt", since_s=since_s, until_s=until_s):
            window.latencies_ms += answer["latencies_ms"]
            self.settled.append(answer["settled"])

    def single(self, blocks: int, count: int, beside: Callable[[], None]) -> Window:
        """Settle one entry at a time in blocks, doing something else between them; times and bytes of the blocks."""
        windows = [self._block(count, beside) for _ in range(blocks)]
        whole = windows[0]
        for window in windows[1:]:
            whole.add(window)
        answer = self.payers[0].ask("halt", since_s=0.0, until_s=0.0)
        self.settled = [answer["settled"]]
        return whole

    def _block(self, count: int, beside: Callable[[], None]) -> Window:
        first, busy_first = self._read()
        latencies_ms = self.payers[0].ask("single", count=count)["latencies_ms"]
        last, busy_last = self._read()
        window = self._difference(first, last, busy_last - busy_first)
        window.latencies_ms = latencies_ms
        beside()
        return window

    def seal(self) -> float:
        """Let the payers go, and close the epoch; how long the close took."""
        for child in [*self.payers, *self.payees]:
            child.stop()
        close_s = self.close()
        for child in self.witnesses:
            child.stop()
        return close_s

    def audit(self) -> list[str]:
        """What does not hold: each store on its own, then every close again, then each log's sealed length."""
        auditors = [
            Child(f"audit of {path.name}", partial(self._serve_audit, path))
            for path in sorted(self.directory.glob("witness-*"))
        ]
        answers = [child.hear() for child in auditors]
        for child in auditors:
            child.stop()
        problems = [problem for answer in answers for problem in answer["problems"]]
        if len({answer["root"] for answer in answers}) != 1:
            problems.append("the witnesses sealed different states")
        return problems

    def _serve_audit(self, home: Path, control: socket.socket) -> None:
        found = audit_store(home / STORE_FILE, self.genesis, home.name)
        problems = found.problems[:3]
        if home.name == "witness-0":
            problems += self._audit_logs(home / STORE_FILE)
        reply(control, {"root": found.state_root.hex(), "problems": problems})
        control.recv(1)

    def _audit_logs(self, path: Path) -> list[str]:
        try:
            state = replay(path, self.genesis).state
        except TrothError as error:
            return [f"executing every close again: {error}"]
        return [
            f"{pair.public.hex()[:16]}: {settled} entries were final, {state.account(pair.public).seq} are sealed"
            for pairs, counts in zip(self._log_keys, self.settled, strict=True)
            for pair, settled in zip(pairs, counts, strict=True)
            if state.account(pair.public).seq < settled
        ]

    def remove(self) -> None:
        """End what is left, and delete the homes."""
        for child in self._children():
            child.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


C = TypeVar("C", bound=Cluster)


@contextmanager
def running(cluster: C) -> Iterator[C]:
    """Start a cluster; afterwards its epoch is closed and audited.

    Raises BenchError if the audit finds anything: a figure without it counts nothing.
    """
    try:
        cluster.start()
        yield cluster
        cluster.close_s = cluster.seal()
        problems = cluster.audit()
        if problems:
            raise BenchError(f"{cluster.load.name}: the audit failed: {problems[0]}")
    finally:
        cluster.remove()
