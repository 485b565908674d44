"""What a stored node knows of others: cards that are verified, and standing that only sealed results give."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from store_kit import store_of

from troth_node.cli import cards as cards_module
from troth_node.cli.failure import Failure
from troth_node.cli.main import group
from troth_node.directory import card_as_json, read_directory
from troth_node.storage.store import Store
from troth_node.testing.samples import TOKEN
from troth_node.testing.stage import Stage
from troth_protocol.effects import TABLES, Erase, Persist
from troth_protocol.errors import Invalid
from troth_protocol.log.keep import epoch_key
from troth_protocol.log.ops import Transfer
from troth_protocol.market.card import Announcement, Card
from troth_protocol.wire.chunks import pack_rows
from troth_protocol.wire.crypto import digest

ALMA, BRUNO, EMIL = 0, 1, 4
CARD = Card(
    "emil [bold]",
    "troth/1",
    topics=("coin",),
    documents=(("coin/tip", digest(b"tip")),),
    prices=((digest(b"tip"), TOKEN, 100_000),),
    endpoints=("/ip4/192.0.2.1/tcp/4001",),
)
OFFER = Announcement("offer", "coin", "coin/tip", weight_ppm=100_000)


@pytest.fixture
def stage():
    """Emil and Alma have cards, Emil an offer; nobody attests, which costs the attesters."""
    made = Stage()
    made.start()
    made.settle()
    made.core(EMIL).board.publish(CARD)
    made.core(EMIL).board.announce(OFFER)
    made.core(ALMA).board.publish(Card("alma", "troth/1"))
    made.flush(EMIL)
    made.flush(ALMA)
    for _ in range(8):
        made.put(EMIL, Transfer(made.key(ALMA), TOKEN, b""))
        made.close()
    return made


def read(stage, path):
    return read_directory(path, stage.genesis.encode(), stage.key(BRUNO))


def test_cards_offers_and_standing(stage, tmp_path):
    found = read(stage, store_of(stage, BRUNO, tmp_path))
    assert {card.name for card in found.ranked()} == {"emil [bold]", "alma"}
    assert [item.document for item in found.announcements] == ["coin/tip"]
    assert (found.since, found.epoch) == (1, 8)
    assert stage.key(ALMA) in found.witnesses
    alma = found.standing(stage.key(ALMA))
    assert alma.votes == 1
    assert alma.penalty == stage.account(ALMA).attester // 99, "1 % of its bond: it has not voted"
    assert found.standing(stage.key(EMIL)).net == 0
    assert found.ranked()[0].name == "emil [bold]"
    assert found.named(stage.key(ALMA).hex()[:8]) == found.named("alma")
    assert found.named("") == []


def test_a_card_cannot_talk_its_standing_up(stage, tmp_path):
    facts = card_as_json(read(stage, store_of(stage, BRUNO, tmp_path)), CARD)
    assert facts["standing"]["net"] == "0"
    with pytest.raises(TypeError):
        replace(CARD, standing=10**9)


def test_results_that_the_seal_does_not_name_are_refused(stage, tmp_path):
    path = store_of(stage, BRUNO, tmp_path)
    row = ["payment", digest(b"q"), [stage.key(ALMA), stage.key(EMIL), digest(b"c"), digest(b"d"), "5"]]
    with Store.open(path, TABLES) as store:
        store.apply([Persist("results", epoch_key(8), pack_rows([row]))])
    with pytest.raises(Invalid, match="bad_digest"):
        read(stage, path)


def test_what_is_over_or_not_there_is_not_shown(stage, tmp_path):
    path = store_of(stage, BRUNO, tmp_path)
    with Store.open(path, TABLES) as store:
        store.apply([Erase("results", epoch_key(epoch)) for epoch in range(1, 9)])
    assert read(stage, path).since == 0
    assert len(read_directory(path, stage.genesis.encode(), stage.key(BRUNO)).witnesses) == 4
    with Store.open(path, TABLES) as store:
        seal = store.get("seals", epoch_key(8))
        store.apply([Persist("seals", epoch_key(99), seal)])
    assert read(stage, path).cards == {}


@pytest.fixture
def run(stage, tmp_path, monkeypatch):
    path = store_of(stage, BRUNO, tmp_path)
    found = read(stage, path)
    for module in ("cards", "offers", "peers"):
        monkeypatch.setattr(f"troth_node.cli.{module}.open_directory", lambda home: found)

    def call(*arguments):
        return CliRunner().invoke(group, arguments, catch_exceptions=False, standalone_mode=False).output

    return call


def test_the_commands_show_them(run, stage):
    assert "emil [bold]" in run("cards", "x")
    full = run("cards", "x", "emil [bold]")
    assert "document coin/tip" in full
    assert "for 1.00 tokens and 100000 ppm of citation" in full
    assert "has earned 0.00 tokens since epoch 1" in full
    assert "offer  coin         coin/tip" in run("offers", "x")
    assert "no announcement" in run("offers", "x", "--wants")
    assert run("peers", "x") == f"{stage.key(EMIL).hex()}@/ip4/192.0.2.1/tcp/4001  # emil [bold], node\n"


def test_the_commands_speak_json(run, stage):
    lines = [json.loads(line) for line in run("cards", "x", "--json").splitlines()]
    assert [line["name"] for line in lines] == ["emil [bold]", "alma"]
    assert json.loads(run("offers", "x", "--json"))["by"] == "emil [bold]"
    assert json.loads(run("peers", "x", "--json"))["endpoints"] == ["/ip4/192.0.2.1/tcp/4001"]


def test_nobody_of_that_name(run):
    with pytest.raises(Failure, match="no card of 'finn'"):
        run("cards", "x", "finn")


def test_a_home_that_is_none_is_one_line(tmp_path):
    with pytest.raises(Failure):
        cards_module.open_directory(tmp_path)
