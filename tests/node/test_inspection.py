"""What a store says of questions under way, standing ones and sponsored ones, phase by phase."""

from dataclasses import replace

import pytest

from troth_node.inspection import open_questions
from troth_node.storage.store import Store
from troth_node.testing.patron import BOUNTY, PATRON_RULES, RAIN, Patronage
from troth_node.testing.samples import COIN
from troth_protocol.effects import TABLES, Persist
from troth_protocol.errors import Invalid
from troth_protocol.log.rows import TABLES as ROWS
from troth_protocol.wire.codec import pack


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "store.db"
    Store.open(made, TABLES).close()
    return made


def write(path, net):
    with Store.open(path, TABLES) as store:
        rows = [[name, key, ROWS[name].dump(row)] for name, key, row in net.state.all_rows()]
        store.apply([Persist("state", row[0].encode() + b"/" + row[1], pack(row)) for row in rows])


def test_every_phase_has_its_name(path):
    net = Patronage(rules=PATRON_RULES, topics=(replace(COIN, questions=0),))
    net.ask(asked=replace(RAIN, opens=3, commit=1))
    seen = []
    for _ in range(9):
        net.close()
        write(path, net)
        seen += [item["phase"] for item in open_questions(path, net.genesis.encode())]
    assert seen[:8] == [
        "asked",
        "commit",
        "attest",
        "attest",
        "reveal",
        "reveal",
        "attest-reveal",
        "attest-reveal",
    ]


def test_who_asks_what_and_for_how_much(path):
    net = Patronage(topics=(COIN,))
    net.ask()
    net.close()
    write(path, net)
    standing, sponsored = sorted(
        open_questions(path, net.genesis.encode()), key=lambda item: item["asker"] or ""
    )[-2:]
    assert (standing["asker"], standing["bounty"], standing["outcomes"]) == (None, "0", ["heads", "tails"])
    assert standing["text"].startswith("Does the coin of 2026-01-01T")
    assert (sponsored["asker"], sponsored["bounty"]) == (net.key(4).hex(), str(BOUNTY))
    assert (sponsored["text"], sponsored["topic"]) == (RAIN.text, RAIN.topic)


def test_a_store_that_nothing_was_written_to_has_no_seal(path):
    with pytest.raises(Invalid, match="no_seal"):
        open_questions(path, Patronage().genesis.encode())
