"""The vectors of sponsored questions, read from their JSON alone: each close arrives at its state root."""

from __future__ import annotations

from close_kit import check_execute
from vector_kit import cases, judge, read, unhex, value

from troth_protocol.genesis import load_genesis
from troth_protocol.log.book import LogBook
from troth_protocol.log.committee import load_committee
from troth_protocol.log.entry import load_entry
from troth_protocol.log.rows import Question
from troth_protocol.log.state import decode_state

FILE = read("sponsored.json")
GENESIS = load_genesis(unhex(FILE["genesis"]))


def check_ask(case):
    before, committee = decode_state(unhex(case["before"])), load_committee(unhex(case["witness_set"]))
    book = LogBook(GENESIS.network(), GENESIS.rules, case["epoch"], before, committee)
    book.evaluate(load_entry(unhex(case["entry"]), GENESIS.network()))


@cases("sponsored.json")
def test_sponsored(name, case):
    judge({"execute": lambda case: check_execute(case, GENESIS), "ask": check_ask}, case)


def test_they_show_what_the_document_says():
    states = [decode_state(unhex(case["after"])) for case in FILE["valid"]]
    texts = [sorted(row.text for _, row in state.items("questions", Question)) for state in states]
    assert texts[0] == ["Does it rain?", "Does it snow?"], "two found room"
    assert texts[-1] == ["Does it snow?"], "one is settled, one is voted on again"
    lines = [row for case in FILE["valid"] for row in value(case["settlements"])]
    (head,) = [line for kind, _, line in lines if kind == "settlement" and not line["revote"]]
    assert {"asker", "returned", "outcome"} <= head.keys()
    assert {kind for kind, *_ in lines} == {"settlement", "forecast", "attester"}
    assert len({state.totals().reserve for state in states}) == 1
