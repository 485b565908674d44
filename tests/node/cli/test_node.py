"""`troth node`: what is said wrongly is refused in one line, before anything starts."""

import pytest
from click.testing import CliRunner

from troth_node import single
from troth_node.cli.failure import Failure
from troth_node.cli.node import command


@pytest.mark.parametrize("text", ["", "two", "-1", "NaN", "Infinity", "0.0000000001"])
def test_a_budget_is_an_amount_of_tokens(text):
    done = CliRunner().invoke(command, ["home", "--budget", text])
    assert isinstance(done.exception, Failure)
    assert "--budget takes tokens, such as 2.5" in str(done.exception)


@pytest.mark.parametrize(("arguments", "budget"), [([], None), (["--budget", "2.5"], 2_500_000_000)])
def test_the_agent_is_told_its_budget_in_atomic_units(monkeypatch, arguments, budget):
    seen = []
    monkeypatch.setattr(single, "run_single", seen.append)
    assert CliRunner().invoke(command, ["home", *arguments]).exit_code == 0
    assert [settings.budget for settings in seen] == [budget]
