"""`troth replay`: a small table through the command line, and what it says when it cannot."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from troth_node.audit import audit_store, replay
from troth_node.cli import replay as replay_command
from troth_node.cli.failure import Failure
from troth_node.replay import run
from troth_node.replay.forecasts import read_table
from troth_node.replay.network import Settings
from troth_node.replay.processes import make_process_replay
from troth_node.storage.home import STORE_FILE, Home
from troth_protocol.genesis import load_genesis

TABLE = """round,question,forecaster,outcome,p0,p1
1,rain,alma,0,0.8,0.2
1,rain,bruno,0,0.4,0.6
1,snow,alma,1,0.3,0.7
2,rain,alma,1,0.1,0.9
2,rain,carla [bold]C.,1,0.5,0.5
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


def troth_replay(*arguments):
    return CliRunner().invoke(replay_command.command, [str(argument) for argument in arguments])


def test_a_table_is_replayed_and_shown(table):
    done = troth_replay(table)
    assert done.exit_code == 0
    assert (
        "Replaying 5 forecasts in the simulated network: 3 forecasters, 3 questions in 2 rounds"
        in done.stderr
    )
    assert "carla [bold]C." in done.stdout
    assert "The audit holds" in done.stdout


def test_json_for_machines(table):
    done = troth_replay(table, "--json", "-", "--quiet", "--stake", "100", "--rule", "posterior")
    report = json.loads(done.stdout)
    assert [line["name"] for line in report["forecasters"]] == ["alma", "bruno", "carla [bold]C."]
    assert report["audit"]["ok"]
    assert report["settings"]["stake"] == 100
    first = report["forecasters"][0]
    assert first["questions"] == 3
    assert first["stake_end"] == pytest.approx(100 + first["emission"])


def test_kept_stores_can_be_verified(table, tmp_path):
    kept = tmp_path / "run"
    done = troth_replay(table, "--keep", kept, "--quiet")
    assert "troth verify" in done.stdout
    assert sorted(home.name for home in kept.iterdir()) == [f"witness-{n}" for n in range(1, 5)]
    with Home.open(kept / "witness-2") as home:
        genesis = load_genesis(home.genesis)
    assert genesis.topics[0].batches == (2, 1)
    assert audit_store(kept / "witness-2" / STORE_FILE, genesis, "witness-2").is_ok
    assert replay(kept / "witness-2" / STORE_FILE, genesis).state.is_conserved()


def test_too_few_forecasters_are_left_out(table):
    done = troth_replay(table, "--min-forecasters", "2")
    assert "2 questions in 2 rounds (1 more left out: too few answered)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stake", "-1"], "no amount of tokens"),
        (["--stake", "0.0000000001"], "no amount of tokens"),
        (["--stake", "many"], "no amount of tokens"),
        (["--house", "nan"], "no amount of tokens"),
        (["--house", "1e99"], "no amount of tokens"),
        (["--rule", "brier"], "is not one of"),
        (["--emission-ppm", "500001"], "is not in the range"),
        (["--kappa-ppm", "500001"], "is not in the range"),
        (["--epsilon-ppm", "0"], "is not in the range"),
        (["--min-forecasters", "0"], "is not in the range"),
        (["--prior", "own"], "is not one of"),
    ],
)
def test_options_that_make_no_sense(table, arguments, said):
    done = troth_replay(table, *arguments)
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_table_that_is_wrong_is_one_line(table):
    table.write_text(TABLE + "2,rain,dora,0,0.5,0.5\n")
    done = troth_replay(table, "--quiet")
    assert isinstance(done.exception, Failure)
    assert str(done.exception).startswith(f"{table}, line 7, column outcome: 0, but an earlier row")


def test_a_directory_in_use_is_not_kept_in(table, tmp_path):
    done = troth_replay(table, "--keep", tmp_path)
    assert isinstance(done.exception, Failure)
    assert "name a new one" in str(done.exception)


def test_an_audit_that_fails_is_a_failure(table, monkeypatch):
    monkeypatch.setattr(run, "find_problems", lambda *_, is_whole: ["witness-1: entry 00: bad_signature"])
    done = troth_replay(table, "--json", "-")
    assert isinstance(done.exception, Failure)
    found = json.loads(done.stdout)["audit"]
    assert (found["ok"], found["certificates_verified"], found["seals_verified"]) == (False, False, True)


def test_too_many_forecasters_for_processes(table):
    rows = "".join(f"3,q,f{number},0,0.5,0.5\n" for number in range(100))
    table.write_text(TABLE + rows)
    done = troth_replay(table, "--nodes")
    assert str(done.exception).startswith("103 forecasters would be as many processes")


def test_processes_are_given_time_for_every_phase(table):
    replay_ = make_process_replay(read_table(table, 10_000), Settings())
    phases = replay_.topic.phases
    assert min(phases.commit, phases.attest, phases.reveal, phases.attest_reveal) == 2
    assert replay_.opens(1) - replay_.opens(0) == phases.total() == 8
