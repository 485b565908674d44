"""What the READMEs tell a newcomer to run runs, in their order; a line that no rule here knows fails."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Final

import pytest

from troth_node.testing.command import troth

ROOT: Final = Path(__file__).parents[2]
GUIDE: Final = "examples/README.md"
TEXTS: Final = ("README.md", GUIDE)
TROTH: Final = ".venv/bin/troth"

#: Commands that end by themselves, as they stand.
SHORT: Final = {
    "verify",
    "balance",
    "questions",
    "log",
    "cards",
    "offers",
    "peers",
    "evidence",
    "transcript",
    "score",
    "document",
}
#: Enough to settle the first questions; a line that says less keeps what it says.
EPOCHS: Final = "12"

#: An agent whose document is none.
WRONG: Final = """from troth_node.agent import Agent

class Wrong(Agent):
    documents = ("wrong",)
"""

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)


def blocks(text: str, language: str) -> list[str]:
    """The blocks of one language, in their order."""
    return [body for found, body in _BLOCK.findall((ROOT / text).read_text()) if found == language]


def shown(text: str) -> list[list[str]]:
    """Every command that a text shows, as words; comments are left out."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def as_run(words: list[str]) -> list[str]:
    """The arguments with which a test runs a shown `troth` command; fails if no rule knows it."""
    assert words[0] == TROTH, f"no rule knows how to try: {shlex.join(words)}"
    command, *rest = words[1:]
    if command in SHORT:
        return words[1:]
    if command == "swarm":
        return words[1:] if {"--epochs", "--help"} & set(rest) else [*words[1:], "--epochs", EPOCHS]
    assert command == "replay", f"no rule knows how to try: {shlex.join(words)}"
    return ["one_round.csv" if "--nodes" in rest and word == "forecasts.csv" else word for word in words[1:]]


def try_out(words: list[str]) -> None:
    """Run one shown command in the present folder, or see that its target exists."""
    if words[0] == "make":
        assert words[1] in _TARGET.findall((ROOT / "Makefile").read_text())
        return
    done = troth(*as_run(words))
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{shlex.join(words)}\n{said}"
    assert "Traceback" not in said


def write_table() -> None:
    """The guide's table, and its first round alone: real processes take their time for every round."""
    (table,) = blocks(GUIDE, "csv")
    Path("forecasts.csv").write_text(table)
    header, *rows = table.splitlines(keepends=True)
    Path("one_round.csv").write_text(header + "".join(row for row in rows if row.startswith("1,")))


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what a newcomer uses, as the present folder, with the guide's table saved in it."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    write_table()
    return tmp_path


@pytest.mark.slow
def test_every_command_of_the_readme_runs(newcomer: Path) -> None:
    for words in shown("README.md"):
        try_out(words)
    assert (newcomer / "run" / "first").is_dir()
    assert json.loads((newcomer / "report.json").read_text())["audit"]["ok"]


@pytest.mark.slow
def test_every_command_of_the_guide_runs_and_its_seller_is_paid(newcomer: Path) -> None:
    for words in shown(GUIDE):
        try_out(words)
    report = json.loads((newcomer / "report.json").read_text())
    assert {("firstbuyer", "firstseller")} <= {(line["from"], line["to"]) for line in report["payments"]}
    ada, ben = json.loads((newcomer / "replay.json").read_text())["forecasters"]
    assert ada["stake_end"] > 1000 > ben["stake_end"]


@pytest.mark.parametrize("text", TEXTS)
def test_code_that_is_shown_is_the_file_that_it_is_said_to_be(text: str) -> None:
    codes = blocks(text, "python")
    links = re.findall(
        r"\]\(([\w/]+\.py)\)[^\n]*(?:\n(?!```)[^\n]*)*\n```python\n", (ROOT / text).read_text()
    )
    assert len(links) == len(codes) > 0
    for link, code in zip(links, codes, strict=True):
        assert code == ((ROOT / text).parent / link).read_text()


def test_a_command_that_no_rule_knows_fails() -> None:
    for line in ("rm -r run", "troth verify run/alma", f"{TROTH} frobnicate", f"{TROTH} node home"):
        with pytest.raises(AssertionError, match="no rule knows"):
            as_run(shlex.split(line))


@pytest.mark.parametrize(
    ("arguments", "row"),
    [
        (["swarm", "--add", "examples/agents/first.py"], "write it as path/to/file.py:ClassName"),
        (["swarm", "--add", "nowhere.py:X"], "there is no file"),
        (["swarm", "--add", "examples/agents/first.py:Nobody"], "that is a troth_node.agent.Agent"),
        (["swarm", *2 * ["--add", "examples/agents/first.py:First"]], "agent names must be distinct"),
        (["swarm", "--add", "wrong.py:Wrong"], "correct it (troth document show)"),
        (["swarm", "--keep", "examples"], "it exists and is not an empty directory"),
        (["swarm", "--epochs", "2"], "needs at least 11 epochs to settle a question"),
        (["verify", "examples"], "no key file; initialise a node there first"),
        (["verify", "mine/nobody"], "no such directory; initialise a node there first"),
        (["replay", "short.csv"], "the probabilities add up to 0.9, not to 1"),
        (["replay", "torn.csv"], "but an earlier row of this question says 1"),
    ],
)
def test_a_usual_mistake_gives_the_message_in_the_guide(
    newcomer: Path, arguments: list[str], row: str
) -> None:
    table = (newcomer / "forecasts.csv").read_text()
    (newcomer / "short.csv").write_text(table.replace("0.2,0.8", "0.2,0.7"))
    (newcomer / "torn.csv").write_text(table.replace("Monday,ben,1", "Monday,ben,0"))
    (newcomer / "wrong.py").write_text(WRONG)
    (newcomer / "documents").mkdir()
    (newcomer / "documents" / "wrong.md").write_text("Without front matter.\n")
    assert row in troth(*arguments).stderr
    assert all(part in (ROOT / GUIDE).read_text() for part in row.split("…"))
