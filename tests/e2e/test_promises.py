"""Real processes: an agent takes what is sold for a citation and cites nobody. The close alone makes it pay."""

from __future__ import annotations

import json
from pathlib import Path

from troth_node.testing.command import troth

SCENARIO = "examples/scenarios/promises.toml"


def test_whoever_breaks_its_promises_pays_the_seller_and_more(tmp_path: Path) -> None:
    directory, report = tmp_path / "run", tmp_path / "report.json"
    done = troth("swarm", SCENARIO, "--keep", str(directory), "--json", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["audit"]["ok"], found["audit"]
    gained = {line["name"]: line["balance_end"] - line["balance_start"] for line in found["agents"]}
    assert found["breaches"] > 0
    assert gained["breaker"] < 0 < gained["keeper"]
    assert gained["teller"] > 2 * found["breaches"], "a floor of two tokens for each"
    verified = json.loads(troth("verify", str(directory / "carla"), "--json").stdout)
    assert len(verified["breaches"]) == found["breaches"]
    assert {line["buyer"] for line in verified["breaches"]} == {key_of(directory / "breaker")}
    assert all(int(line["burned"]) >= int(line["paid"]) > 0 for line in verified["breaches"])


def key_of(home: Path) -> str:
    return str(json.loads(troth("balance", str(home), "--json").stdout)["key"])
