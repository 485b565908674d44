"""How cost grows with size: closes by logs that moved, simulated epochs, swarms of 12, 25 and 50 node processes.

Each part stands alone, can be chosen by its name and ends within a minute; quickly all of them do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from closes import measure_closes
from processes import BenchError
from simulated import measure_simulated

PROGRAM: Final = Path(__file__).with_name("swarms.py")
SWARM_LIMIT_S: Final = 60.0
#: The swarm whose bytes are counted lives until some questions are settled: a question takes ten epochs.
WIRE_NODES: Final = 12
LARGER: Final = (25, 50)
WIRE_EPOCHS: Final = 14
QUICK_WIRE_EPOCHS: Final = 11

Part = Callable[[Path, bool], dict[str, object]]


def parts(*, is_quick: bool) -> dict[str, Part]:
    """What there is to measure, by name: each takes a directory for disks, and whether to be quick."""
    sizes = (WIRE_NODES,) if is_quick else (WIRE_NODES, *LARGER)
    found: dict[str, Part] = {
        "scale in memory: closes": lambda _, quick: measure_closes(is_quick=quick),
        "scale in memory: simulated epochs": lambda _, quick: measure_simulated(is_quick=quick),
    }
    return found | {f"scale in processes: {nodes} nodes": _swarm_part(nodes) for nodes in sizes}


def _swarm_part(nodes: int) -> Part:
    def measure(directory: Path, is_quick: bool) -> dict[str, object]:
        epochs = QUICK_WIRE_EPOCHS if is_quick else WIRE_EPOCHS
        return measure_swarm(nodes, epochs if nodes == WIRE_NODES else 0, directory)

    return measure


def measure_part(measure: Part, directory: Path, *, is_quick: bool) -> dict[str, object]:
    """A part's figures, with the load of the machine before it; `failed` says why there are none."""
    load = round(os.getloadavg()[0], 2)
    try:
        figures = measure(directory, is_quick)
    except BenchError as error:
        figures = {"failed": str(error)}
    return figures | {"load_1m_before": load}


def measure_swarm(nodes: int, epochs: int, directory: Path) -> dict[str, object]:
    """One swarm, run by a command of its own (see `swarms`); BenchError if it fails. It leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="swarm-", dir=directory, ignore_cleanup_errors=True) as homes:
        return _run([str(nodes), str(epochs), homes, str(time.monotonic())])


def _run(arguments: list[str]) -> dict[str, Any]:
    with subprocess.Popen(
        [sys.executable, PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is ours to handle: it ends its nodes when we end it
    ) as program:
        try:
            out, said = program.communicate(timeout=SWARM_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise BenchError(f"a swarm of {arguments[0]} nodes took over {SWARM_LIMIT_S:.0f} s") from None
        finally:
            program.terminate()
    if program.returncode:
        raise BenchError(f"a swarm of {arguments[0]} nodes: {(said.splitlines() or ['it failed'])[-1]}")
    figures: dict[str, Any] = json.loads(out)
    return figures
