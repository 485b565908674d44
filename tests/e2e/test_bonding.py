"""Real nodes bond in and out while the network runs; in another swarm one pays for an answer."""

from __future__ import annotations

import json
import os
import signal
from itertools import pairwise
from pathlib import Path

from troth_node.audit import audit_store
from troth_node.storage.home import STORE_FILE
from troth_node.testing.command import pid_of, troth
from troth_protocol.genesis import load_genesis
from troth_protocol.log.committee import bonded_in

SCENARIOS = Path(__file__).parents[2] / "examples" / "scenarios"
STAYS = "anna"
KILLED = "relief3"


def test_witnesses_take_turns_and_one_is_killed_right_after_it_joined(launch, tmp_path: Path) -> None:
    directory, report = tmp_path / "run", tmp_path / "report.json"
    swarm = launch("swarm", str(SCENARIOS / "rota.toml"), "--keep", str(directory), "--json", str(report))
    swarm.until("epoch 5/19")  # bonded in epoch 3, a witness from epoch 5 on
    os.kill(pid_of(directory / KILLED), signal.SIGKILL)
    said = swarm.finish()
    assert swarm.process.returncode == 0, said
    found = json.loads(report.read_text())
    assert found["audit"]["ok"], found["audit"]
    genesis = load_genesis((directory / STAYS / "genesis.bin").read_bytes())
    sets = audit_store(directory / STAYS / STORE_FILE, genesis, STAYS).committees
    assert sorted(sets) == list(range(1, 21)), "no epoch stalled"
    changed = [epoch for epoch, (old, new) in enumerate(pairwise(sets.values()), 2) if old != new]
    assert len(changed) >= 10, changed
    joined = sum(len(bonded_in(old, new)) for old, new in pairwise(sets.values()))
    assert found["witnesses"]["bonded_in"] == joined >= 10
    assert found["witnesses"]["bonded_out"] >= 8


def test_a_question_for_money_is_answered_and_paid_for(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = troth("swarm", str(SCENARIOS / "asked.toml"), "--json", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["audit"]["ok"]
    assert found["questions"]["sponsored"] == 1
    agents = {line["name"]: line for line in found["agents"]}
    assert 978 < agents["asker"]["balance_end"] < 1_000
    assert all(agents[name]["emission"] > 0 for name in ("anna", "bert", "cora", "dirk"))


def test_what_is_asked_is_shown_while_it_is_under_way(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    done = troth("swarm", str(SCENARIOS / "asked.toml"), "--epochs", "8", "--keep", str(directory))
    assert done.returncode == 0, done.stdout + done.stderr
    shown = troth("questions", str(directory / STAYS), "--sponsored", "--json")
    (asked,) = [json.loads(line) for line in shown.stdout.splitlines()]
    assert (asked["phase"], asked["text"][:11], asked["outcomes"]) == ("reveal", "Has the har", ["no", "yes"])
    assert int(asked["bounty"]) == 20 * 10**9 > int(asked["pot"]) > 0
    assert "bounty 20.000 by" in troth("questions", str(directory / STAYS)).stdout
    assert "1 ask" in troth("log", str(directory / "asker")).stdout
