"""The tree keeps its own house rules: short files and functions, a docstring on top, no address of any machine."""

from __future__ import annotations

import ast
import re
import statistics
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "protocol", ROOT / "node")
LOCKS = ("requirements-build.lock", "requirements.lock", "requirements-dev.lock")
MADE_HERE = {".git", ".venv", "build", "dist", "htmlcov", "node_modules", "__pycache__"}

MAX_FILE_LINES = 500
MAX_BODY_LINES = 60

#: Written backwards, and looked for in lines read backwards, so that this file names none either.
REGISTRY = re.compile(r"\b(?:moc|oi|gro)\.(?:setarc|naibed|gnalog|sjmpn|ipyp|detsohnohtyp)\b", re.IGNORECASE)
MACHINE_PATH = re.compile(r"(?<![\w.:/\])}-])/(?:home|opt|root|tmp|Users|work)/")


def tree_files() -> Iterator[Path]:
    """Every file that a person wrote: not what builds, checks and set-up leave behind."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden_cache = any(part.endswith("_cache") or part == ".hypothesis" for part in parts)
        if path.is_file() and not hidden_cache and not MADE_HERE.intersection(parts):
            yield path


def text_lines() -> Iterator[tuple[str, str]]:
    """("README.md:12", the line), for every line of every text file."""
    for path in tree_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            yield f"{path.relative_to(ROOT)}:{number}", line


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted(package.rglob("*.py"))]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the last."""
    body = function.body
    if ast.get_docstring(function, clean=False) is not None:
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def bodies() -> dict[str, int]:
    """The length of each function of the two packages, by "file:line name"."""
    found = {}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = body_lines(node)
    return found


def test_no_file_names_a_package_registry() -> None:
    assert not [place for place, line in text_lines() if REGISTRY.search(line[::-1])]
    hosts = ["oi.setarc", "gro.naibed.bed", "gro.gnalog", "moc.sjmpn", "gro.ipyp", "gro.detsohnohtyp.selif"]
    assert all(REGISTRY.search(f"x/{host}//:sptth ees") for host in hosts)


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    assert not [place for place, line in text_lines() if MACHINE_PATH.search(line)]


def line_counts(paths: Iterable[Path]) -> dict[str, int]:
    return {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in paths}


def test_no_python_file_is_too_long() -> None:
    files = {path for path in tree_files() if path.suffix == ".py"}
    assert len(files) > 100
    assert not {name: lines for name, lines in line_counts(files).items() if lines > MAX_FILE_LINES}


def test_every_module_says_its_rule() -> None:
    silent = [path for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not [str(path.relative_to(ROOT)) for path in silent]


def test_no_function_is_too_long() -> None:
    assert not {name: length for name, length in bodies().items() if length > MAX_BODY_LINES}


def test_most_functions_are_short() -> None:
    lengths = list(bodies().values())
    assert statistics.median(lengths) <= 7
    assert statistics.quantiles(lengths, n=10)[-1] <= 30


@pytest.mark.parametrize("name", LOCKS)
def test_lock_has_hashes_and_no_addresses(name: str) -> None:
    text = (ROOT / name).read_text()
    pin = re.compile(r"[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", re.DOTALL)
    assert "://" not in text
    assert not [line for line in re.split(r"\n(?=\S)", text.strip()) if not pin.match(line)]


@pytest.mark.parametrize(("name", "extras"), [("requirements.lock", []), ("requirements-dev.lock", ["dev"])])
def test_lock_pins_every_dependency(name: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [
        line for extra in extras for line in project["optional-dependencies"][extra]
    ]
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / name).read_text(), re.MULTILINE))
    assert {re.match(r"[a-z0-9-]+", line)[0] for line in wanted} <= pinned
