"""`troth document`: what it prints, and what it refuses in one line that names the file."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from troth_node.cli.document import command
from troth_node.cli.failure import Failure

WEATHER = Path(__file__).parents[3] / "examples" / "documents" / "flights" / "weather.md"
AGORA = "---\nname: Sky\ndescription: Ask for the sky.\nmultiround: false\n---\nThe answer is one word.\n"


def run(*arguments, text=None):
    return CliRunner().invoke(command, [str(item) for item in arguments], input=text)


def facts(output):
    return dict(line.split(maxsplit=1) for line in output.splitlines())


def names(data):
    sha1 = hashlib.sha1(data, usedforsecurity=False).digest()
    return {
        "id": hashlib.sha256(data).hexdigest(),
        "agora_sha1_hex": sha1.hex(),
        "agora_sha1_base64": base64.b64encode(sha1).decode(),
    }


def test_a_document_is_shown_with_all_its_names():
    found = facts(run("show", WEATHER).output)
    assert names(WEATHER.read_bytes()).items() <= found.items()
    assert (found["name"], found["version"]) == ("flights/weather", "1")
    read = json.loads(run("show", "--json", WEATHER).output)
    assert read["schema"]["properties"]["temp"]["type"] == "integer"
    assert read["fields"]["name"] == "flights/weather"


def test_both_forms_of_any_texts_hash_are_labelled():
    assert facts(run("hash", "-", text=AGORA).output) == {"file": "<stdin>", **names(AGORA.encode())}
    lines = run("hash", "--json", WEATHER, WEATHER).output.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [names(WEATHER.read_bytes())["id"]] * 2


def test_an_agora_document_goes_in_and_comes_out(tmp_path):
    made = tmp_path / "made.md"
    went = run("import", "-", "-o", made, text=AGORA)
    assert "its schema fits every payload" in went.stderr
    assert names(made.read_bytes()).items() <= facts(went.stderr.partition("\n")[2]).items()
    came = run("export", made)
    assert came.stdout == AGORA
    assert facts(came.stderr) == names(AGORA.encode())
    shown = facts(run("show", made).output)
    assert shown["agora_sha1_hex"] == names(AGORA.encode())["agora_sha1_hex"], (
        "Agora knows it by the original"
    )


def test_an_import_may_bring_a_schema(tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text('{"enum": ["clear", "cloudy"]}')
    made = run("import", "-", "--schema", schema, text=AGORA)
    document = tmp_path / "sky.md"
    document.write_text(made.stdout)
    assert run("check", document, "-", text='"clear"').output == "<stdin> fits Sky, version 1\n"
    refused = run("check", document, "-", text='"green"').exception
    assert isinstance(refused, Failure)
    assert str(refused) == "<stdin>: bad_payload: $: 'green' is not one of ['clear', 'cloudy']"


@pytest.mark.parametrize(
    ("arguments", "text", "what"),
    [
        (["show", "-"], "Just text.", "<stdin>: bad_document: the first line is not ---"),
        (["export", "-"], AGORA, "<stdin>: missing_field: front matter: version"),
        (["import", "-"], "Just text.", "<stdin>: bad_document: no metadata"),
        (["check", WEATHER, "-"], "{", "the payload is no JSON"),
        (
            ["import", "-", "-o", "no/such/folder/x.md"],
            AGORA,
            "no/such/folder/x.md: No such file or directory",
        ),
    ],
)
def test_what_is_refused_is_refused_in_one_line(arguments, text, what):
    refused = run(*arguments, text=text).exception
    assert isinstance(refused, Failure)
    assert what in str(refused)
    assert "\n" not in str(refused)


def test_every_command_shows_an_example():
    for name in command.commands:
        assert f"\n    troth document {name} " in run(name, "--help").output
