"""The documents keep their promises: ids, labels, links, names, and numbers that are computed again."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from pathlib import Path

import pytest

from troth_protocol.close.ballots import EXCLUDES

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "spec"
DOCUMENTS = {path.name: path.read_text() for path in sorted(SPEC.glob("*.md"))}
PREFIXES = {
    "ENC": "01-encoding.md",
    "IDN": "02-identity.md",
    "LOG": "03-log.md",
    "CLO": "04-close.md",
    "INS": "05-insight.md",
    "MKT": "06-market.md",
    "MSG": "07-messages.md",
    "ERR": "08-errors.md",
    "PAR": "09-parameters.md",
    "DOC": "10-documents.md",
    "EVI": "11-evidence.md",
    "AUC": "12-auctions.md",
    "CRD": "13-cards.md",
    "ASK": "14-sponsored.md",
}
ID = re.compile(rf"\b(?:{'|'.join(PREFIXES)})-[0-9]+\b")
DEFINED = re.compile(rf"^- \*\*((?:{'|'.join(PREFIXES)})-[0-9]+)\*\* ", re.MULTILINE)
LABEL = re.compile(r"\[REJECT ([^\]]*)\]")
MAX_LINES = 300
MAX_COLUMNS = 120
#: Codes for mistakes of the node itself, of its disk or of its caller: no peer is ever refused with them.
OWN_CODES = {"bad_row", "foreign_ballot", "no_seal", "unknown_topic"}


def load_tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REGISTRY = load_tool("registry").load()
EXAMPLES = load_tool("spec_examples")


def without_blocks(text):
    """A document without fenced code and computed blocks."""
    text = EXAMPLES.BLOCK.sub("", text)
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def defined():
    return [(name, rule) for name, text in DOCUMENTS.items() for rule in DEFINED.findall(text)]


def paragraphs(text):
    """List items, paragraphs and rows of tables, each as one string."""
    return re.split(r"\n(?=- |\||#)|\n\n", without_blocks(text))


def everything():
    return "\n".join(DOCUMENTS.values())


def test_rules_have_their_own_ids():
    assert not [rule for rule, count in Counter(rule for _, rule in defined()).items() if count > 1]


def test_rules_stand_in_their_document_and_are_counted():
    for prefix, name in PREFIXES.items():
        numbers = [
            int(rule.partition("-")[2]) for at, rule in defined() if rule.startswith(prefix) and at == name
        ]
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), name
    assert {rule[:3] for _, rule in defined()} == set(PREFIXES)


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "README.md"])
def test_every_must_has_an_id(name):
    loose = [
        part for part in paragraphs(DOCUMENTS[name]) if "MUST" in part and not DEFINED.match(part.strip())
    ]
    assert not loose


def test_ids_that_are_cited_exist():
    rules = {rule for _, rule in defined()}
    sources = [
        *ROOT.glob("tests/**/*.py"),
        *ROOT.glob("protocol/**/*.py"),
        *ROOT.glob("node/**/*.py"),
        *SPEC.glob("*.md"),
    ]
    cited = {(path.name, rule) for path in sources for rule in ID.findall(path.read_text())}
    assert not [(name, rule) for name, rule in sorted(cited) if rule not in rules]


def test_labels_name_codes_of_the_registry():
    labels = {code for text in DOCUMENTS.values() for code in LABEL.findall(text) if code != "code"}
    assert not labels - set(REGISTRY["errors"])


def test_every_code_is_a_label_of_some_rule():
    labels = {code for text in DOCUMENTS.values() for code in LABEL.findall(text)}
    said = {
        code
        for code in REGISTRY["errors"]
        if re.search(rf"`{code}`|\b{code} for\b|with {code}\)", without_all())
    }
    assert set(REGISTRY["errors"]) - labels - said == OWN_CODES


def without_all():
    return "\n".join(without_blocks(text) for text in DOCUMENTS.values())


@pytest.mark.parametrize("table", ["ops", "messages", "ballots", "trades", "evidence", "tables", "errors"])
def test_names_of_the_registry_are_in_the_text(table):
    text = everything()
    assert not [name for name in REGISTRY[table] if f"`{name}`" not in text]


def test_domains_are_in_the_text():
    names = [name.split("/")[1] for name in REGISTRY["domains"]]
    text = DOCUMENTS["02-identity.md"]
    assert not [name for name in names if f"`{name}`" not in text and f"troth/{name}/1" not in text]


def test_genesis_fields_are_explained():
    text = DOCUMENTS["09-parameters.md"]
    records = ("genesis", "holder", "topic", "phases", "pacing", "rules")
    fields = [field for record in records for field in REGISTRY["objects"][record]["fields"]]
    assert not [field for field in fields if f"`{field}`" not in text]


def test_what_excludes_what_is_as_in_the_code():
    """CLO-6 in words: each pair of kinds that it forbids, and no other."""
    assert EXCLUDES == {
        "candidate": ("candidate",),
        "notarize": ("notarize",),
        "finalize": ("finalize", "skip"),
        "skip": ("finalize",),
    }


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", DOCUMENTS[name])
    assert not [target for target in targets if "://" not in target and not (SPEC / target).exists()]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_computed_blocks_are_what_the_code_computes(name):
    assert EXAMPLES.fill(DOCUMENTS[name]) == DOCUMENTS[name], "python tools/spec_examples.py writes them anew"


def test_every_example_is_shown_once():
    shown = [name for _, name, _, _ in EXAMPLES.BLOCK.findall(everything())]
    assert sorted(shown) == sorted(EXAMPLES.BLOCKS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_are_short(name):
    assert len(DOCUMENTS[name].splitlines()) <= MAX_LINES


@pytest.mark.parametrize("name", DOCUMENTS)
def test_prose_fits_the_page(name):
    lines = without_blocks(DOCUMENTS[name]).splitlines()
    assert not [line for line in lines if len(line) > MAX_COLUMNS and not line.startswith("|")]
