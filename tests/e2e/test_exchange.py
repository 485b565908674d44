"""Real processes trade for a fixed price: locks in the buyer's log, unlocks in the seller's, and the books hold."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from troth_node.testing.command import Command, pid_of, troth

SCENARIO = "examples/scenarios/hints.toml"
QUESTIONS = 4
PRICE = 2.0


@pytest.fixture(scope="module")
def sold(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """A finished run of the scenario: its stores and its report."""
    directory = tmp_path_factory.mktemp("hints") / "run"
    report = directory.parent / "report.json"
    done = troth("swarm", SCENARIO, "--keep", str(directory), "--json", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    return directory, json.loads(report.read_text())


def test_killed_traders_come_back_and_nobody_is_cheated(
    launch: Callable[..., Command], tmp_path: Path
) -> None:
    directory, report = tmp_path / "run", tmp_path / "report.json"
    swarm = launch("swarm", SCENARIO, "--keep", str(directory), "--json", str(report))
    swarm.until("epoch 5/15")
    for name in ("seller", "buyer"):
        os.kill(pid_of(directory / name), signal.SIGKILL)
        swarm.until(f"{name} ended (signal 9)")
    printed = swarm.finish()
    assert swarm.process.returncode == 0, printed
    found = json.loads(report.read_text())
    assert found["audit"]["ok"], found["audit"]
    assert found["evidence"] == 0, "a kill must never look like an offence"
    assert 0 < ops_of(directory, "seller")["unlock"] <= ops_of(directory, "buyer")["lock"] <= QUESTIONS


def ops_of(directory: Path, name: str) -> Counter[str]:
    done = troth("log", str(directory / name), "--json")
    found: Counter[str] = Counter()
    for line in done.stdout.splitlines():
        found.update(json.loads(line)["ops"])  # an entry may hold several of a kind
    return found


def test_hints_are_paid_and_the_audit_holds(sold: tuple[Path, dict[str, object]]) -> None:
    directory, report = sold
    assert report["audit"]["ok"]
    bought, market = ops_of(directory, "buyer"), report["market"]
    assert bought["lock"] >= market["locks"], "nobody else locks"
    assert 0 < ops_of(directory, "seller")["unlock"] <= bought["lock"], "each opens a lock"
    assert 0 < market["claims"] <= market["locks"] <= QUESTIONS
    assert market["refunds"] == market["locks"] - market["claims"], "what was not opened in time went back"
    [sales] = report["sales"]
    assert sales == {"from": "buyer", "to": "seller", "amount": PRICE * market["claims"]}
    assert bought["accuse"] == bought["agree"] == 0


def test_the_buyer_forecasts_with_what_it_bought(sold: tuple[Path, dict[str, object]]) -> None:
    directory, report = sold
    assert ops_of(directory, "buyer")["commit"] > 0
    [line] = [line for line in report["forecasters"] if line["name"] == "buyer"]
    assert line["log_loss"] < line["prior_log_loss"]


def test_a_store_with_exchanges_verifies_offline(sold: tuple[Path, dict[str, object]]) -> None:
    directory, _ = sold
    done = troth("verify", str(directory / "seller"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"]
