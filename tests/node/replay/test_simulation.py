"""A replay in memory: whole cores and light nodes settle a table to the unit that the score alone gives."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from replay_books import exact_log_score, recompute

from troth_node.audit import audit_store
from troth_node.replay.forecasts import TableError, read_table
from troth_node.replay.network import Settings, make_replay
from troth_node.replay.run import run_replay
from troth_node.replay.simulation import PHASES, Simulation, pacing
from troth_node.storage.home import STORE_FILE
from troth_node.testing.world import Faults
from troth_protocol.errors import TrothError
from troth_protocol.log.ops import Bond
from troth_protocol.log.vote import sign_votes
from troth_protocol.wire.messages import MESSAGES, SealMsg, Votes

TOKEN = 10**9


def play(path, tmp_path, settings, name="report"):
    """Replay a table; returns the report, which must say that everything holds."""
    report = tmp_path / f"{name}.json"
    assert run_replay(path, settings, nodes=False, keep=None, json_file=str(report), quiet=True)
    return json.loads(report.read_text())


def make(path, settings=Settings()):  # noqa: B008 - frozen
    table = read_table(path, settings.epsilon_ppm)
    return make_replay(table, settings, PHASES, pacing(table.batches()))


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(prior="uniform", emission_ppm=500_000, kappa_ppm=123_457, stake=7 * TOKEN + 3),
        Settings(house=0, epsilon_ppm=1, min_forecasters=2),
        Settings(rule="nawm"),
        Settings(rule="posterior", house=10),
        Settings(rule="wswm", prior="uniform"),
    ],
    ids=lambda settings: settings.rule or f"kelly {settings.emission_ppm}",
)
def test_every_amount_is_what_the_score_alone_gives(write_table, tmp_path, settings):
    path = write_table(seed=2)
    report = play(path, tmp_path, settings)
    wanted = recompute(path, settings)
    assert {line["name"] for line in report["forecasters"]} == set(wanted)
    for line in report["forecasters"]:
        books = wanted[line["name"]]
        assert line["atoms"] == {
            "emission": str(books.emission),
            "income": str(books.income),
            "stake_end": str(books.stake),
        }
        assert line["questions"] == books.questions
        assert line["emission_per_question"] == pytest.approx(books.emission / books.questions / TOKEN)
        product = exact_log_score(path, settings, line["name"])
        assert line["log_score"] == pytest.approx(math.log(product) / books.questions)


def test_two_outcomes_and_sixty_four(write_table, tmp_path):
    for outcomes in (2, 64):
        path = write_table(seed=outcomes, outcomes=outcomes, rounds=1, people=2)
        report = play(path, tmp_path, Settings())
        wanted = recompute(path, Settings())
        for line in report["forecasters"]:
            assert line["atoms"]["stake_end"] == str(wanted[line["name"]].stake)


def test_the_report_says_what_was_replayed_and_audited(write_table, tmp_path):
    path = write_table()
    report = play(path, tmp_path, Settings())
    rows = len(path.read_text().splitlines()) - 1
    assert (
        report["audit"].items()
        >= {
            "ok": True,
            "supply_conserved": True,
            "state_roots_equal": True,
            "certificates_verified": True,
            "seals_verified": True,
            "stores": 4,
            "problems": [],
        }.items()
    )
    assert report["table"].items() >= {"rows": rows, "replayed": rows, "questions": 12, "settled": 12}.items()
    assert {"read_s", "run_s", "audit_s", "forecasts_per_s"} <= report["timing"].keys()
    assert (report["mode"], report["rule"]) == ("sim", "kelly")


def test_the_same_seed_is_the_same_run_and_another_one_the_same_amounts(write_table, tmp_path):
    path = write_table(seed=3, rounds=1, people=2)
    first, again, other = (
        play(path, tmp_path, replace(Settings(), seed=seed), name=str(number))
        for number, seed in enumerate((1, 1, 2))
    )
    assert first["forecasters"] == again["forecasters"] == other["forecasters"]
    assert first["audit"] == again["audit"]


def test_a_round_of_several_entries(write_table, tmp_path):
    path = write_table(seed=4, rounds=1, questions=800, people=2, outcomes=2)
    report = play(path, tmp_path, Settings())
    wanted = recompute(path, Settings())
    for line in report["forecasters"]:
        assert line["atoms"]["stake_end"] == str(wanted[line["name"]].stake)


def test_whoever_is_ruined_wagers_no_more_and_the_others_go_on(write_table, tmp_path):
    path = write_table(seed=6, rounds=3, people=3)
    settings = Settings(stake=4, house=0)
    report = play(path, tmp_path, settings)
    wanted = recompute(path, settings)
    for line in report["forecasters"]:
        books = wanted[line["name"]]
        assert (line["questions"], line["unfunded"]) == (books.questions, books.unfunded)
        assert line["atoms"]["stake_end"] == str(books.stake)
    assert any(books.unfunded for books in wanted.values())
    assert any(books.questions for books in wanted.values())


def test_nothing_to_wager_at_all(write_table, tmp_path):
    report = play(write_table(seed=6, rounds=1, people=2), tmp_path, Settings(stake=0))
    assert {line["questions"] for line in report["forecasters"]} == {0}


def test_settings_that_no_network_allows(write_table):
    with pytest.raises(TableError, match="no network can replay this"):
        make(write_table(), Settings(stake=3 * 10**37))


def test_every_witness_store_passes_an_audit_of_its_own(write_table, tmp_path):
    replay = make(write_table(rounds=1))
    simulation = Simulation(replay, lambda _: None)
    simulation.run()
    found = [audit_store(home / STORE_FILE, replay.genesis, home.name) for home in simulation.save(tmp_path)]
    assert [audit.problems for audit in found] == [[]] * 4
    assert len({audit.state_root for audit in found}) == 1
    assert found[0].epoch == replay.last_epoch


def test_forecasters_believe_seals_and_not_witnesses(write_table):
    """A witness that proves a balance of its own invention is found out by every light node."""
    simulation = Simulation(make(write_table()), lambda _: None)
    liar = next(iter(simulation.net.nodes))
    honest = simulation.net.prove

    def lie(witness, account):
        proof = honest(witness, account)
        if witness == liar and simulation.net.now_ms > 1_000:
            proof = proof | {"row": proof["row"] | {"balance": "1"}}
        return proof

    for node in simulation.net.light.values():
        node._prove = lie
    with pytest.raises(TrothError, match="bad_branch"):
        simulation.run()
    assert all(node.account.balance != 1 for node in simulation.net.light.values())


def test_another_account_proves_nothing(write_table):
    simulation = Simulation(make(write_table()), lambda _: None)
    honest, other = simulation.net.prove, simulation.replay.witnesses[0].public
    for node in simulation.net.light.values():
        node._prove = lambda witness, account: honest(witness, other)
    with pytest.raises(TrothError, match="another row than the own account"):
        simulation.run()


def test_a_forged_seal_moves_nobody(write_table):
    simulation = Simulation(make(write_table()), lambda _: None)
    simulation.net.open()
    node = next(iter(simulation.net.light.values()))
    node.frame(simulation.replay.witnesses[0].public, MESSAGES.encode(SealMsg(b"\x80", b"\x80")))
    assert node.checkpoint.epoch == 0
    assert "missing_field" in node.problems[0]


def test_votes_for_a_whole_batch_count_as_well(write_table):
    simulation = Simulation(make(write_table()), lambda _: None)
    simulation.net.open()
    node = next(iter(simulation.net.light.values()))
    node.author.submit((Bond(1, "agent"),))
    node.drain()
    book, entry = node.author.book, node.author._flight.entry.id
    for pair in simulation.replay.witnesses:
        ids = [entry, bytes(32)]
        vote, _ = sign_votes(pair, book.network, book.epoch, book.committee, ids)
        node.frame(pair.public, MESSAGES.encode(Votes(tuple(ids), vote.signature)))
    assert entry in book.stored
    assert node.problems == []


def test_lost_votes_are_asked_for_again(write_table):
    path = write_table(seed=5, rounds=1)
    simulation = Simulation(make(path), lambda _: None)
    simulation.net.faults = Faults(0.05, 0.05, (1, 10))
    simulation.run()
    balances = {keys.public: 0 for keys in simulation.replay.forecasters}
    assert len(simulation.check(balances)) == len(balances)
    wanted = recompute(path, Settings())
    names = simulation.replay.table.forecasters
    found = {names[node.number]: node.account.balance for node in simulation.net.light.values()}
    assert found == {name: books.stake for name, books in wanted.items()}


def test_an_interrupted_replay_is_audited_as_far_as_it_came(write_table, tmp_path):
    simulation = Simulation(make(write_table()), lambda epoch: simulation.interrupt() if epoch == 9 else None)
    simulation.run()
    epochs = {core.epoch for node in simulation.net.nodes.values() if (core := node.core)}
    assert epochs == {10}
    replay = simulation.replay
    for home in simulation.save(tmp_path):
        assert audit_store(home / STORE_FILE, replay.genesis, home.name).problems == []


def test_a_network_that_stands_still_says_so(write_table):
    simulation = Simulation(make(write_table(rounds=1)), lambda _: None)
    simulation.net.faults = Faults(drop=1.0)
    with pytest.raises(TrothError, match="stands still in epoch 1 of 8"):
        simulation.run()
