"""A whole swarm of real processes: it settles questions, pays down citations, and its stores hold under audit."""

from __future__ import annotations

import json
from pathlib import Path

from troth_node.testing.command import troth

#: What the scenario allows each buyer for prices, in tokens.
BUDGET = 20
Kept = tuple[Path, dict[str, object], str]


def test_the_audit_of_a_swarm_holds(kept: Kept) -> None:
    _, report, printed = kept
    assert report["audit"] == {
        "ok": True,
        "supply_conserved": True,
        "state_roots_equal": True,
        "certificates_verified": True,
        "seals_verified": True,
        "problems": [],
    }
    assert "The audit holds" in printed


def test_questions_settle_and_emissions_flow(kept: Kept) -> None:
    _, report, _ = kept
    assert report["questions"]["settled"] > 0
    assert report["payments"], "nobody was paid"
    assert {line["level"] for line in report["agents"]} >= {0, 1}
    assert all(line["questions"] > 0 for line in report["forecasters"])


def test_signals_are_sold_by_citation_for_a_price_and_at_auction(kept: Kept) -> None:
    _, report, printed = kept
    market = report["market"]
    assert list(market) == [
        "negotiations",
        "agreements",
        "deliveries",
        "locks",
        "claims",
        "refunds",
        "auctions",
        "breaches",
        "evidence",
        "bonded_in",
        "bonded_out",
    ]
    for name in ("negotiations", "agreements", "deliveries", "locks", "claims", "auctions"):
        assert market[name] > 0, name
    assert market["claims"] + market["refunds"] <= market["locks"]
    assert {line["to"] for line in report["sales"]} <= {"other-delays", "spotter-1"}
    assert (
        sum(line["sold"] for line in report["agents"]) == sum(line["amount"] for line in report["sales"]) > 0
    )
    assert all(line["bought"] <= BUDGET for line in report["agents"])
    assert "The market: " in printed


def test_the_report_says_what_it_promises(kept: Kept) -> None:
    _, report, _ = kept
    agent, forecaster = report["agents"][0], report["forecasters"][0]
    wanted = {"name", "role", "level", "emission", "income", "paid_out", "balance_start", "balance_end"}
    assert wanted <= agent.keys()
    assert {"name", "log_loss", "prior_log_loss", "questions"} <= forecaster.keys()
    assert {"log_loss", "prior_log_loss"} <= report["pool"].keys()
    assert {"start_s", "run_s", "entries_per_s"} <= report["timing"].keys()


def test_anybody_verifies_a_store_offline(kept: Kept) -> None:
    directory, report, _ = kept
    done = troth("verify", str(directory / "alma"), "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert found["ok"]
    assert found["seals"] == found["epoch"] == report["epochs"]
    assert found["votes"] >= 4 * found["entries"]


def test_a_balance_comes_with_its_proof(kept: Kept) -> None:
    directory, report, _ = kept
    done = troth("balance", str(directory / "alma"), "--json")
    found = json.loads(done.stdout)
    line = next(line for line in report["agents"] if line["name"] == "alma")
    assert found["seals_verified"] == report["epochs"]
    held = int(found["balance"]) + sum(map(int, found["bonds"].values()))
    assert held == round(line["balance_end"] * 10**9)


def test_a_log_lists_what_was_signed(kept: Kept) -> None:
    directory, _, _ = kept
    done = troth("log", str(directory / "alma"), "--json")
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert any("commit" in entry["ops"] for entry in entries)
    assert any("reveal" in entry["ops"] for entry in entries)
