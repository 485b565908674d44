"""One swarm of node processes, started as a command of its own: seconds until it is up, memory, bytes on the wire.

    python tests/bench/swarms.py NODES EPOCHS DIRECTORY BEGAN

Prints one JSON object. EPOCHS 0: end at the first seal; else live until that epoch is sealed, and audit every store.
The nodes and agents are those that `troth swarm --nodes NODES` starts. BEGAN is the monotonic time of the command.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from meters import tcp_bytes

from troth_node.agent import Json
from troth_node.swarm.child import Child, main
from troth_node.swarm.report import make_report
from troth_node.swarm.run import audit_all, make_homes, preload
from troth_node.swarm.scenario import Plan, load_scenario, make_plan
from troth_node.swarm.supervisor import Process, Supervisor, SwarmError
from troth_node.transport.network import Network
from troth_protocol.wire.messages import MESSAGES

ROOT: Final = Path(__file__).resolve().parents[2]
SCENARIO: Final = ROOT / "examples" / "scenarios" / "flights.toml"
#: From the command: later than this nothing is waited for.
LIMIT_S: Final = 45.0
#: A swarm of which only the start is measured need not come to its first seal, if that takes longer than this.
SEAL_LIMIT_S: Final = 10.0
POLL_S: Final = 0.05
_PR_SET_PDEATHSIG: Final = 1
KIB: Final = 1024


class CountedNetwork(Network):
    """Counts the payload bytes that it queues by the message's kind."""

    def __init__(self, seed: bytes) -> None:
        super().__init__(seed)
        self.by_kind: Counter[str] = Counter()

    def send(self, peer: bytes, payload: bytes, *, is_corked: bool = False) -> bool:
        is_queued = super().send(peer, payload, is_corked=is_corked)
        if is_queued:
            self.by_kind[type(MESSAGES.decode(payload)).__name__] += len(payload)
        return is_queued


class CountedChild(Child):
    """A node that says with its last line what it has sent and received."""

    def make_network(self) -> Network:
        self.network = CountedNetwork(self.node.keys.seed)
        return self.network

    def tell(self, line: Mapping[str, Json]) -> None:
        super().tell({**line, **self._wire()} if line.get("event") == "done" else line)

    def _wire(self) -> dict[str, Json]:
        """Payload bytes in frames by the transport's counters, and TCP's own of the connections that are open."""
        every = [*self.network.stats.values(), self.network.departed]
        sent, received = tcp_bytes()
        return {
            "frames": sum(peer.frames_out for peer in every),
            "frame_bytes": sum(peer.bytes_out for peer in every),
            "socket_bytes": sent,
            "socket_bytes_in": received,
            "by_kind": dict(self.network.by_kind),
        }


class Swarm:
    """The processes of one plan, and what they have said."""

    def __init__(self, plan: Plan, directory: Path, began: float) -> None:
        self.plan = plan
        self.began = began
        self.wires: list[dict[str, Any]] = []
        self.supervisor = Supervisor(
            plan, directory, self._hear, main=partial(main, make=CountedChild), restarts_max=0
        )

    def _hear(self, _: Process, line: dict[str, Json]) -> None:
        if line.get("event") == "done":
            self.wires.append(line)

    def wait(self, what: str, is_so: Callable[[], bool]) -> float:
        """Seconds from the command until something is so; SwarmError if that takes too long."""
        took_s = self._wait(is_so, LIMIT_S)
        if took_s is None:
            up = sum(bool(process.address) for process in self.supervisor.processes)
            raise SwarmError(f"{what} took over {LIMIT_S:.0f} s ({up} nodes were up): is the machine busy?")
        return took_s

    def _wait(self, is_so: Callable[[], bool], limit_s: float) -> float | None:
        while not is_so():
            self.supervisor.poll(POLL_S)
            if time.monotonic() - self.began > limit_s:
                return None
        return round(time.monotonic() - self.began, 2)

    def is_sealed(self) -> bool:
        """Has every node seen the first epoch sealed?"""
        return all(process.epoch >= 1 for process in self.supervisor.processes)

    def sealed_s(self, up_s: float) -> float | None:
        """Seconds from the command to the first seal everywhere; None if a slow machine does not come so far."""
        return self._wait(self.is_sealed, min(LIMIT_S, up_s + SEAL_LIMIT_S))

    def kill(self) -> None:
        """End all nodes at once: nobody will read these homes again."""
        self.supervisor.is_stopping = True
        for process in self.supervisor.processes:
            if process.pid:
                os.kill(process.pid, signal.SIGKILL)

    def memory(self) -> dict[str, float]:
        """MiB: pages that one node alone has, and with its proportional share of what several have (PSS)."""
        nodes = [memory_of(process.pid) for process in self.supervisor.processes]
        parent = memory_of(os.getpid())
        pss = [node["Pss"] for node in nodes]
        return {
            "node_pss_mib": sum(pss) / len(pss),
            "node_pss_max_mib": max(pss),
            "node_own_mib": sum(node["own"] for node in nodes) / len(nodes),
            "node_rss_mib": sum(node["Rss"] for node in nodes) / len(nodes),
            "parent_pss_mib": parent["Pss"],
            "parent_rss_mib": parent["Rss"],
            "swarm_pss_mib": sum(pss) + parent["Pss"],
        }

    def cpu_s(self) -> float:
        """CPU seconds of the parent and all nodes so far: what a busy machine does not change much."""
        return sum(cpu_s_of(pid) for pid in [os.getpid(), *(node.pid for node in self.supervisor.processes)])

    def kinds(self) -> dict[str, int]:
        """Payload bytes sent by all nodes by the message's kind, most first."""
        found: Counter[str] = Counter()
        for wire in self.wires:
            found.update(wire["by_kind"])
        return dict(found.most_common())

    def wire(self) -> dict[str, int]:
        """The sums over all nodes of what each has sent: every byte once."""
        names = ("frames", "frame_bytes", "socket_bytes", "socket_bytes_in")
        return {name: sum(int(str(wire[name])) for wire in self.wires) for name in names}


def memory_of(pid: int) -> dict[str, float]:
    """MiB of a process by the names of /proc/PID/smaps_rollup; `own` are the pages that it alone has (USS)."""
    rows = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]]
    found = {row[0].rstrip(":"): int(row[1]) / KIB for row in rows}
    return found | {"own": found["Private_Clean"] + found["Private_Dirty"]}


def cpu_s_of(pid: int) -> float:
    """CPU seconds of a process, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(nodes: int, epochs: int, directory: Path, began: float) -> dict[str, object]:
    """Start, wait, read, end; all figures. SwarmError if it takes too long or a node ends by itself."""
    plan = make_plan(load_scenario(SCENARIO), ROOT, nodes, epochs or None, None)
    make_homes(plan, directory)
    preload(plan)
    swarm = Swarm(plan, directory, began)
    figures: dict[str, object] = {"nodes": nodes}
    try:
        swarm.supervisor.start()
        figures["up_s"] = up_s = swarm.wait("to be up", swarm.supervisor.is_up)
        figures["up_cpu_s"] = round(swarm.cpu_s(), 2)
        figures["sealed_s"] = swarm.sealed_s(up_s)
        figures |= {name: round(value, 1) for name, value in swarm.memory().items()}
        if epochs:
            figures["done_s"] = swarm.wait(f"{epochs} epochs", swarm.supervisor.is_done)
        else:
            swarm.kill()
    except BaseException:
        swarm.kill()
        raise
    finally:
        swarm.supervisor.stop()
    if epochs:
        figures["wire"] = _audited(plan, directory, swarm.wire()) | {"bytes_by_kind": swarm.kinds()}
    return figures


def _audited(plan: Plan, directory: Path, wire: dict[str, int]) -> dict[str, object]:
    """What went over the wire beside what came of it; SwarmError if the audit finds anything."""
    problems: list[str] = []
    audits, history = audit_all(plan, directory, problems)
    report = make_report(
        plan, history, audits, replayed=plan.nodes[0].name, problems=problems, timing={}, reports={}, told={}
    )
    wrong = [*report.problems, *(problem for audit in audits for problem in audit.problems)]
    if wrong:
        raise SwarmError(f"the audit failed: {wrong[0]}")
    questions = max(report.questions + report.voids, 1)
    each = {f"{name}_per_question": round(wire[name] / questions) for name in ("frame_bytes", "socket_bytes")}
    return {
        **wire,
        "epochs": report.epochs,
        "questions": report.questions,
        "voids": report.voids,
        "entries": report.entries,
        **each,
        "socket_bytes_per_question_and_node": round(wire["socket_bytes"] / questions / len(plan.nodes)),
        "socket_bytes_per_entry": round(wire["socket_bytes"] / max(report.entries, 1)),
        "audit": "ok",
    }


def _stop(*_: object) -> NoReturn:
    sys.exit(1)


def _main() -> int:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # whoever asked is gone: nobody wants to know
    signal.signal(signal.SIGTERM, _stop)
    nodes, epochs, directory, began = sys.argv[1:]
    try:
        print(json.dumps(measure(int(nodes), int(epochs), Path(directory), float(began))), flush=True)
    except (SwarmError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
