"""The bench runs, and counts nothing that an audit has not confirmed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench" / "run.py"
LIMIT_S = 120


@pytest.mark.e2e
@pytest.mark.slow
def test_a_quick_bench_measures_settlement_beside_the_echo_and_the_signatures(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    arguments = ["--quick", "--only", "1 payer, 1 op", "--json", file, "--directory", tmp_path]
    done = subprocess.run(
        [sys.executable, BENCH, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    [load] = report["loads"]
    assert (load["audit"], load["faults"]) == ("ok", [])
    assert load["settled"] > 0
    assert load["verified_per_settlement"] > load["signed_per_settlement"] > 0
    assert report["alone"]["p50_ms"] > report["echo"]["p50_ms"] > 0
    assert report["alone"]["socket_bytes_per_settlement"] > report["alone"]["frame_bytes_per_settlement"] > 0
    assert list(tmp_path.iterdir()) == [file]
