"""`troth node`: what is said wrongly is refused in one line, before anything starts."""

import pytest
from click.testing import CliRunner

from troth_node import single
from troth_node.cli.failure import Failure
from troth_node.cli.node import command

HOME = "no-such-home"


def bond(*arguments):
    options = [part for argument in arguments for part in ("--bond", argument)]
    return CliRunner().invoke(command, [HOME, *options])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("watcher=5", "a role of witness, attester, agent"),
        ("witness", "--bond takes KEY=VALUE"),
        ("witness=lots", "such as witness=5000"),
        ("witness=-1", "such as witness=5000"),
        ("witness=0.0000000001", "such as witness=5000"),
        ("witness=NaN", "such as witness=5000"),
        ("witness=Infinity", "such as witness=5000"),
    ],
)
def test_what_is_no_bond_is_refused(text, said):
    done = bond(text)
    assert isinstance(done.exception, Failure)
    assert said in str(done.exception)


def test_bonds_are_read_before_the_home_is():
    done = bond("witness=5000", "agent=0.5")
    assert isinstance(done.exception, Failure)
    assert HOME in str(done.exception)


def test_the_help_has_an_example():
    assert "--bond witness=5000" in CliRunner().invoke(command, ["--help"]).stdout


@pytest.mark.parametrize("text", ["", "two", "-1", "NaN", "Infinity", "0.0000000001"])
def test_a_budget_is_an_amount_of_tokens(text):
    done = CliRunner().invoke(command, [HOME, "--budget", text])
    assert isinstance(done.exception, Failure)
    assert "--budget takes tokens, such as 2.5" in str(done.exception)


@pytest.mark.parametrize(("arguments", "budget"), [([], None), (["--budget", "2.5"], 2_500_000_000)])
def test_the_agent_is_told_its_budget_in_atomic_units(monkeypatch, arguments, budget):
    seen = []
    monkeypatch.setattr(single, "run_single", seen.append)
    assert CliRunner().invoke(command, [HOME, *arguments]).exit_code == 0
    assert [settings.budget for settings in seen] == [budget]
