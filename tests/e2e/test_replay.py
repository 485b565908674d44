"""A replay by real processes comes to the same amounts as in the simulated network."""

from __future__ import annotations

import json
from pathlib import Path

from troth_node.testing.command import troth

TABLE = """round,question,forecaster,outcome,p0,p1,p2
1,a,alma,0,0.8,0.1,0.1
1,a,bruno,0,0.4,0.3,0.3
1,b,alma,2,0.2,0.2,0.6
2,c,alma,1,0.1,0.8,0.1
2,c,bruno,1,0.3,0.3,0.4
2,d,bruno,0,0.5,0.25,0.25
"""


def test_processes_and_simulation_settle_alike(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(TABLE)
    reports = []
    for mode in ("--sim", "--nodes"):
        report = tmp_path / f"report{mode}.json"
        done = troth("replay", str(table), mode, "--json", str(report))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "The audit holds" in done.stdout
        reports.append(json.loads(report.read_text()))
    simulated, real = reports
    assert simulated["forecasters"] == real["forecasters"]
    assert (simulated["audit"]["stores"], real["audit"]["stores"]) == (4, 6)
    assert real["table"]["settled"] == 4
