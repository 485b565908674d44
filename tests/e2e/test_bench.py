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


@pytest.mark.e2e
@pytest.mark.slow
def test_a_whole_trade_is_timed_by_its_stages_beside_the_echo(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    arguments = ["--quick", "--only", "trade", "--json", file, "--directory", tmp_path]
    done = subprocess.run(
        [sys.executable, BENCH, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    trade = json.loads(file.read_text())["trade"]
    assert trade["audit"] == "ok"
    reached = [stage["reached_p50_ms"] for stage in trade["alone"]["stages"]]
    assert trade["echo"]["p50_ms"] < reached[0]
    assert reached == sorted(reached)
    assert all(sent > 0 for sent in trade["alone"]["socket_bytes_per_trade"].values())
    assert trade["many"]["per_s"] > 0
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.e2e
def test_what_size_costs_is_measured_by_the_same_command(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    arguments = ["--quick", "--only", "scale in memory", "--json", file, "--directory", tmp_path]
    done = subprocess.run(
        [sys.executable, BENCH, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    closes, simulated = json.loads(file.read_text())["scale"].values()
    assert [row["logs"] for row in closes["by_logs"]] == [100, 1_000]
    assert all(row["execute_ms"] > 0 and 0 < row["root_share"] < 1 for row in closes["by_logs"])
    assert simulated["final_entries"] > 0
    assert simulated["epochs_per_cpu_s"] > 0
    assert list(tmp_path.iterdir()) == [file]
