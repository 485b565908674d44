"""`troth evidence`: what a home holds is listed and shown, and a file is judged by its bytes and the genesis alone."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from store_kit import fill

from troth_node.cli.evidence import command
from troth_node.storage.home import Home
from troth_node.storage.store import Store
from troth_node.testing.bazaar import PRICE, Bazaar
from troth_node.testing.samples import RULES, TOKEN, sample_fork, seed
from troth_node.testing.stage import Stage
from troth_protocol.effects import TABLES

ALMA, DAVE, EMIL, FINN = 0, 3, 4, 5
PPM = 1_000_000


def fork(stage, agent, epoch=1):
    return sample_fork(stage.seats[agent].keys, stage.network, epoch=epoch, seq=9)


@pytest.fixture(scope="module")
def stage():
    """Finn, who has no bond, and Dave forked their logs: Emil accused Dave, a report Finn. Alma waits to be judged."""
    stage = Stage(agents=6)
    stage.start()
    stage.settle()
    stage.core(EMIL).accuse(fork(stage, DAVE))
    stage.flush(EMIL)
    stage.settle()
    stage.core(ALMA).accuse(fork(stage, FINN))
    stage.close()
    stage.core(EMIL).docket.accuse(fork(stage, ALMA, 2))
    stage.flush(EMIL)
    return stage


@pytest.fixture(scope="module")
def home(stage, tmp_path_factory):
    """Emil's disk as a node's home."""
    return make_home(stage, tmp_path_factory.mktemp("homes") / "emil", stage.seats[EMIL].disk.tables)


def make_home(stage, path, rows):
    made = Home.create(path, seed(EMIL), stage.genesis.encode())
    fill(made.store_path, rows)
    made.close()
    return path


def run(*arguments):
    """What the command prints; a failure is raised."""
    done = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=True)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def said(*arguments):
    """The one line of a failure."""
    done = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert done.exit_code != 0
    assert "\n" not in str(done.exception)
    return str(done.exception)


def listed(home):
    return [json.loads(line) for line in run("list", home, "--json").splitlines()]


# list


def test_what_closes_punished_and_what_waits(stage, home):
    found = {case["offender"]: case for case in listed(home)}
    assert {stage.number(bytes.fromhex(key)): case["state"] for key, case in found.items()} == {
        DAVE: "punished",
        FINN: "punished",
        ALMA: "waiting",
    }
    dave, alma = found[stage.key(DAVE).hex()], found[stage.key(ALMA).hex()]
    assert (dave["kind"], dave["epoch"], dave["closed"]) == ("entry_fork", 1, 1)
    assert dave["place"] == {"incarnation": 0, "seq": 9}
    assert alma["epoch"] == 2
    assert "closed" not in alma


def test_who_was_paid_how_much(stage, home):
    found = {case["offender"]: case for case in listed(home)}
    dave, finn = found[stage.key(DAVE).hex()], found[stage.key(FINN).hex()]
    assert dave["slashed"] == str(2 * 100_000 * TOKEN * RULES.slash_author_ppm // PPM)
    assert (dave["reporter"], dave["reporter_part"]) == (stage.key(EMIL).hex(), str(RULES.reporter_max))
    assert stage.account(EMIL).balance == 1_000 * TOKEN - RULES.fee + RULES.reporter_max
    assert (finn["slashed"], finn["reporter"], finn["reporter_part"]) == ("0", None, "0")


def test_the_list_for_people_has_a_line_for_each(home):
    lines = run("list", home).splitlines()
    assert len(lines) == 3
    assert [line for line in lines if "waits for a close" in line] == [lines[-1]]
    assert sum("20,000 tokens taken, 100 of it to" in line for line in lines) == 1


def test_a_home_without_offences_says_so(stage, tmp_path):
    made = Home.create(tmp_path / "new", None, stage.genesis.encode())
    Store.open(made.store_path, TABLES).close()
    made.close()
    assert run("list", tmp_path / "new") == "no offence is known here\n"
    assert run("list", tmp_path / "new", "--json") == ""


# show and verify


def test_what_was_shown_out_of_a_home_is_judged_as_a_file(stage, home, tmp_path):
    for case in listed(home):
        file = tmp_path / f"{case['id']}.evidence"
        shown = json.loads(run("show", home, case["id"][:12], "--out", file, "--json"))
        assert shown["statements"]["kind"] == "entry_fork"
        assert shown["statements"]["first"]["header"]["author"] == case["offender"]
        verdict = json.loads(run("verify", file, "--genesis", home / "genesis.bin", "--json"))
        assert verdict.pop("ok")
        assert verdict == {name: case[name] for name in ("kind", "offender", "epoch", "place")}


def test_a_verdict_for_people(stage, home, tmp_path):
    file = tmp_path / "fork"
    file.write_bytes(fork(stage, DAVE))
    line = run("verify", file, "--genesis", home / "genesis.bin")
    assert line == f"proves entry_fork by {stage.key(DAVE).hex()} in epoch 1, incarnation 0, seq 9\n"
    text = run("show", file)
    assert "kind: entry_fork" in text
    assert f"author: {stage.key(DAVE).hex()}" in text
    assert "state: waiting" in run("show", home, listed(home)[-1]["id"])


def test_what_proves_nothing_is_said_in_one_line(stage, home, tmp_path):
    genesis = home / "genesis.bin"
    file = tmp_path / "spoilt"
    file.write_bytes(fork(stage, DAVE)[:-1] + b"\x00")
    assert "proves nothing in this network: bad_signature" in said("verify", file, "--genesis", genesis)
    done = CliRunner().invoke(command, ["verify", str(file), "--genesis", str(genesis), "--json"])
    assert (done.exit_code, json.loads(done.stdout)["code"]) == (1, "bad_signature")
    file.write_bytes(bytes(200_000))
    assert "too_large" in said("verify", file, "--genesis", genesis)
    file.write_bytes(b"noise")
    assert "this is no evidence" in said("show", file)
    assert "this is no genesis document" in said("verify", file, "--genesis", file)


def test_a_sentence_outlives_its_evidence(stage, tmp_path):
    """Entries and cuts are pruned in time; that somebody was punished is not."""
    tables = stage.seats[EMIL].disk.tables
    kept = {name: tables[name] for name in tables if name not in ("cuts", "entries", "evidence")}
    old = make_home(stage, tmp_path / "old", kept)
    cases = listed(old)
    assert [(case["state"], case["evidence_bytes"], case["reporter"]) for case in cases] == [
        ("punished", None, None)
    ] * 2
    assert "kind: entry_fork" in run("show", old, cases[0]["id"])
    assert "pruned" in said("show", old, cases[0]["id"], "--out", tmp_path / "new")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["list", "nowhere"], "no such directory"),
        (["show", "nowhere"], "No such file"),
        (["show", "nowhere", "00"], "name a file, or a home"),
        (["verify", "nowhere", "--genesis", "nowhere"], "No such file"),
    ],
)
def test_a_mistake_is_one_line(arguments, expected):
    assert expected in said(*arguments)


def test_an_offence_is_named_by_enough_of_its_id(home, tmp_path):
    assert "no offence 'zz' here" in said("show", home, "zz")
    assert "no offence '' here" in said("show", home, "")
    assert "name a file, or a home" in said("show", home)
    taken = tmp_path / "taken"
    taken.write_bytes(b"mine")
    assert "File exists" in said("show", home, listed(home)[0]["id"], "--out", taken)
    assert taken.read_bytes() == b"mine"


def test_every_part_of_the_command_has_help_with_an_example():
    for arguments in ([], ["list"], ["show"], ["verify"]):
        assert "Example:\n" in run(*arguments, "--help")


# A misdelivery


def test_a_misdelivery_is_listed_with_what_it_cost_and_its_terms_can_be_read(tmp_path):
    bazaar = Bazaar(is_cheating=True)
    bazaar.run()
    home = make_home(bazaar, tmp_path / "witness", bazaar.seats[0].disk.tables)
    [case] = listed(home)
    assert (case["kind"], case["state"], case["slashed"]) == ("misdelivery", "punished", str(PRICE))
    assert case["reporter"] == case["place"]["buyer"] == bazaar.key(bazaar.buyer).hex()
    shown = run("show", home, case["id"][:8])
    assert bazaar.key(bazaar.seller).hex() in shown
    assert str(PRICE) in shown
