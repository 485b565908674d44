"""`troth score`: every line is answered or refused by its number, and no digit of any amount is lost on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from troth_node.cli.score import command
from troth_node.scoring import DIGITS_MAX, ScoringError, dump, score_line
from troth_protocol.insight.prior import clamp_ppm
from troth_protocol.insight.rules import RULES, Participant, share_pot
from troth_protocol.insight.score import Wager, score_question
from troth_protocol.wire.codec import MAX_AMOUNT
from troth_protocol.wire.schema import PPM

ROOT = Path(__file__).parents[3]
PUBLISHED = json.loads((ROOT / "spec/vectors/reference_values.json").read_text())
TOKEN = 10**9

ALMA = {"id": "alma", "wager": str(40 * TOKEN), "ppm": [600_000, 400_000]}
BRUNO = {"id": "bruno", "wager": str(25 * TOKEN), "ppm": [200_000, 800_000]}
DORA = {"id": "dora", "wager": str(5 * TOKEN), "ppm": None}
KELLY = {
    "rule": "kelly",
    "prior_ppm": [300_000, 700_000],
    "emission": str(100 * TOKEN),
    "house": str(1_000 * TOKEN),
    "kappa_ppm": 500_000,
    "epsilon_ppm": 10_000,
    "participants": [ALMA, BRUNO, DORA],
    "outcome": 0,
}
SHARE = {
    "rule": "wswm",
    "pot": "100",
    "epsilon_ppm": 10_000,
    "participants": [{"id": "alma", "weight": "1", "ppm": [600_000, 400_000]}],
    "outcome": 0,
}


def run(*lines):
    """What the command makes of these lines: objects are written as JSON, texts and bytes stand as they are."""
    text = b"\n".join(line if isinstance(line, bytes) else _text(line).encode() for line in lines)
    return CliRunner().invoke(command, input=text)


def _text(line):
    return line if isinstance(line, str) else json.dumps(line)


def answers(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def answer(line):
    done = run(line)
    assert (done.exit_code, done.stderr) == (0, "")
    (only,) = answers(done)
    return only


def two_outcomes(probabilities, weights):
    """Participants of a rule for comparison that give outcome 0 these probabilities."""
    rows = zip(probabilities, weights, strict=True)
    ppm = [(str(round(w * TOKEN)), round(p * PPM)) for p, w in rows]
    return [{"id": str(i), "weight": w, "ppm": [p, PPM - p]} for i, (w, p) in enumerate(ppm)]


# What it answers


def test_kelly_answers_by_id():
    found = answer(KELLY)
    assert set(found) == {"back", "net", "g_ppm", "G_ppm", "to_reserve"}
    assert [list(found[name]) for name in ("back", "net", "g_ppm", "G_ppm")] == [
        ["alma", "bruno", "dora"]
    ] * 4
    assert int(found["net"]["alma"]) > 0 > int(found["net"]["bruno"])
    assert (found["back"]["dora"], found["g_ppm"]["dora"]) == ("0", -PPM)


def test_what_was_wagered_comes_back_or_goes_to_the_reserve():
    found = answer(KELLY)
    assert sum(map(int, found["back"].values())) + int(found["to_reserve"]) == 70 * TOKEN


def test_the_emission_is_capped_inside():
    """E = min(emission, (M + H) / 2): beyond that a larger one changes nothing."""
    half = (70 + 1_000) * TOKEN // 2
    nets = [answer(KELLY | {"emission": str(e)})["net"] for e in (half - TOKEN, half, 10 * half)]
    assert nets[0] != nets[1] == nets[2]


def test_one_revealed_wager_gets_itself_back():
    found = answer(KELLY | {"participants": [ALMA, DORA]})
    assert found["back"] == {"alma": ALMA["wager"], "dora": "0"}


@pytest.mark.parametrize("rule", RULES)
def test_one_participant_gets_the_whole_pot(rule):
    assert answer(SHARE | {"rule": rule}) == {"shares": {"alma": "100"}, "remainder": "0"}


@pytest.mark.parametrize("rule", RULES)
def test_nobody_gets_nothing(rule):
    assert answer(SHARE | {"rule": rule, "participants": []}) == {"shares": {}, "remainder": "100"}


def test_an_id_may_be_any_text():
    people = [ALMA | {"id": "Ünal 🌧"}, BRUNO | {"id": ""}]
    assert list(answer(KELLY | {"participants": people})["back"]) == ["Ünal 🌧", ""]


# Published values


def test_wswm_gives_the_published_payoffs():
    published = PUBLISHED["wswm_brier"]
    people = two_outcomes(published["p"], published["wagers"])
    found = answer(SHARE | {"pot": str(4 * TOKEN), "participants": people})
    assert list(found["shares"].values()) == [str(round(payoff * TOKEN)) for payoff in published["payoffs"]]
    assert found["remainder"] == "0"


def test_posterior_gives_the_published_shares():
    published = PUBLISHED["posterior_share"]
    people = two_outcomes(published["p_outcome"], published["w"])
    found = answer(SHARE | {"rule": "posterior", "pot": str(10**18), "participants": people})
    shares = [int(share) / 10**18 for share in found["shares"].values()]
    assert shares == pytest.approx(published["w_next"], rel=1e-12)


def test_the_growth_of_a_kelly_bettor_is_the_published_one():
    """Even money: who bets p on what happens with frequency p grows by 1 + p log2 p + q log2 q bits a race."""
    for case in PUBLISHED["kelly"]["even_money_growth_bits"]:
        p = round(case["p"] * PPM)
        asked = KELLY | {
            "prior_ppm": [PPM // 2] * 2,
            "epsilon_ppm": PPM // 2**4,
            "participants": [ALMA | {"ppm": [p, PPM - p]}] if PPM - p >= PPM // 2**4 else [],
        }
        gains = [answer(asked | {"outcome": outcome})["G_ppm"].get("alma", 0) for outcome in (0, 1)]
        growth = (p * gains[0] + (PPM - p) * gains[1]) / PPM
        assert 4 * growth / PPM == pytest.approx(case["G"], abs=1e-5)


# Lines that cannot be scored


def changed(**fields):
    return KELLY | fields


def without(name):
    return {key: value for key, value in KELLY.items() if key != name}


BAD = [
    ("{", "not JSON"),
    ("null", "Expected `object`"),
    ("[" * 10_000, "Expected `object`"),
    (b'{"rule": "\xff"}', "not UTF-8"),
    ({}, "missing required field `rule`"),
    ({"rule": "brier"}, "Invalid value 'brier'"),
    (without("house"), "missing required field `house`"),
    (changed(hose="1"), "unknown field `hose`"),
    (changed(emission=100), "Expected `str`, got `int` - at `$.emission`"),
    (changed(emission="1e9"), "bad_amount: emission"),
    (changed(emission="-1"), "bad_amount: emission"),
    (changed(emission="007"), "bad_amount: emission"),
    (changed(emission=""), "bad_amount: emission"),
    (changed(emission="1\n"), "bad_amount: emission"),
    (changed(emission="٣"), "bad_amount: emission"),
    (changed(emission="9" * (DIGITS_MAX + 1)), "bad_amount: emission"),
    (changed(house=str(MAX_AMOUNT + 1)), "bad_amount"),
    (changed(kappa_ppm=500_001), "bad_parameter"),
    (changed(kappa_ppm=0.5), "Expected `int`, got `float`"),
    (changed(epsilon_ppm=0), "bad_parameter"),
    (changed(outcome=2), "bad_outcome"),
    (changed(outcome=-1), "bad_outcome"),
    (changed(outcome=True), "Expected `int`, got `bool`"),
    (changed(prior_ppm=[500_000, 500_001]), "bad_probabilities"),
    (changed(prior_ppm=[]), "bad_probabilities"),
    (changed(participants=[ALMA | {"ppm": [1_000_000, 0]}]), "bad_probabilities"),
    (changed(participants=[ALMA, ALMA]), "duplicate"),
    (changed(participants=[ALMA | {"wager": "x"}]), "bad_amount: wager"),
    (changed(participants=[{"id": "alma", "wager": "1"}]), "missing required field `ppm`"),
    (SHARE | {"pot": "x"}, "bad_amount: pot"),
    (SHARE | {"outcome": 2}, "bad_outcome"),
    (SHARE | {"participants": [{"id": "a", "weight": "x", "ppm": [500_000] * 2}]}, "bad_amount: weight"),
    (SHARE | {"participants": [{"id": "a", "weight": "1", "ppm": None}]}, "Expected `array`, got `null`"),
]


@pytest.mark.parametrize(("line", "expected"), BAD)
def test_a_bad_line_is_one_error_that_names_it(line, expected):
    done = run(KELLY, line, SHARE)
    assert done.exit_code == 1
    (error,) = done.stderr.splitlines()
    assert error.startswith("troth: line 2: ")
    assert expected in error
    assert answers(done) == [answer(KELLY), answer(SHARE)]


def test_every_bad_line_is_named():
    done = run("x", KELLY, "", "y")
    assert [line.split(":")[1] for line in done.stderr.splitlines()] == [" line 1", " line 4"]


def test_blank_lines_are_no_lines():
    done = run("", SHARE, "  ", "")
    assert (done.exit_code, len(answers(done))) == (0, 1)


def test_the_command_reads_a_file_and_its_status_tells(tmp_path):
    """The whole way, once: troth, a file, the status of the process."""
    file = tmp_path / "questions.jsonl"
    file.write_text(json.dumps(SHARE) + "\nx\n")
    troth = Path(sys.executable).with_name("troth")
    done = subprocess.run([troth, "score", file], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, json.loads(done.stdout)) == (1, answer(SHARE))
    assert done.stderr.splitlines() == [
        "troth: line 2: not JSON: JSON is malformed: invalid character (byte 0)"
    ]


def test_help_has_an_example():
    assert "Example" in CliRunner().invoke(command, ["--help"]).stdout


# There and back, at any size

IDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=5, unique=True)
HUGE = st.integers(0, 9) | st.integers(0, MAX_AMOUNT) | st.integers(MAX_AMOUNT - 9, MAX_AMOUNT)


@st.composite
def forecasts(draw):
    """(epsilon, outcome, a strategy of valid probabilities)."""
    outcomes = draw(st.sampled_from([2, 3, 64]))
    epsilon = draw(st.sampled_from([1, 10_000, 15_625]))
    raw = st.lists(st.integers(0, 10**6), min_size=outcomes, max_size=outcomes).map(
        lambda v: [v[0] + 1, *v[1:]]
    )
    return epsilon, draw(st.integers(0, outcomes - 1)), raw.map(lambda v: list(clamp_ppm(v, epsilon)))


@given(st.data(), forecasts(), IDS)
def test_kelly_keeps_every_digit(data, forecast, ids):
    epsilon, outcome, ppm = forecast
    prior, emission, house = data.draw(ppm), data.draw(HUGE), data.draw(HUGE)
    people = [(one, data.draw(HUGE), data.draw(st.none() | ppm)) for one in ids]
    asked = KELLY | {
        "prior_ppm": prior,
        "emission": str(emission),
        "house": str(house),
        "epsilon_ppm": epsilon,
        "participants": [{"id": one, "wager": str(wager), "ppm": p} for one, wager, p in people],
        "outcome": outcome,
    }
    wagers = [Wager(one.encode(), wager, None if p is None else tuple(p)) for one, wager, p in people]
    scores = score_question(prior, emission, house, 500_000, epsilon, wagers, outcome)
    found = json.loads(dump(score_line(json.dumps(asked).encode())))
    assert found["back"] == {row.author.decode(): str(row.back) for row in scores.rows}
    assert found["net"] == {row.author.decode(): str(row.net) for row in scores.rows}
    assert found["to_reserve"] == str(scores.to_reserve)
    assert found["G_ppm"] == {row.author.decode(): row.G_ppm for row in scores.rows}


@pytest.mark.parametrize("rule", RULES)
@given(st.data(), forecasts(), IDS, st.integers(0, 10**400))
def test_shares_of_any_pot_keep_every_digit(rule, data, forecast, ids, pot):
    epsilon, outcome, ppm = forecast
    people = [(one, data.draw(st.integers(0, 10**100)), data.draw(ppm)) for one in ids]
    asked = {
        "rule": rule,
        "pot": str(pot),
        "epsilon_ppm": epsilon,
        "participants": [{"id": one, "weight": str(weight), "ppm": p} for one, weight, p in people],
        "outcome": outcome,
    }
    participants = [Participant(one.encode(), weight, tuple(p)) for one, weight, p in people]
    shares, remainder = share_pot(rule, pot, participants, outcome, epsilon)
    found = json.loads(dump(score_line(json.dumps(asked).encode())))
    assert found["shares"] == {key.decode(): str(share) for key, share in shares.items()}
    assert found["remainder"] == str(remainder)
    assert sum(map(int, found["shares"].values())) + int(found["remainder"]) == pot


@given(st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
def test_no_line_breaks_it(line):
    with suppress(ScoringError):
        score_line(line)
