"""The vectors of genesis, entries, votes and evidence, read from their JSON alone."""

from __future__ import annotations

import hashlib

from vector_kit import cases, judge, unhex, unhexes, value

from troth_protocol.close.light import genesis_committee
from troth_protocol.genesis import GENESIS, load_genesis, network_id
from troth_protocol.insight.lifecycle import open_questions
from troth_protocol.log.committee import load_committee
from troth_protocol.log.rows import Question
from troth_protocol.log.state import genesis_state
from troth_protocol.wire.codec import encode

# Genesis


def check_genesis(case):
    data = unhex(case["bytes"])
    genesis = load_genesis(data)
    assert encode(value(case["value"])) == data
    assert GENESIS.load(value(case["value"])) == genesis
    assert genesis.encode() == data
    network = hashlib.sha256(b"\x0ftroth/genesis/1" + data).digest()
    assert genesis.network() == network_id(data) == network == unhex(case["network"])
    check_witness_set(case, genesis)
    check_questions(case, genesis)


def check_witness_set(case, genesis):
    committee = genesis_committee(genesis)
    assert committee == load_committee(unhex(case["witness_set"]))
    assert committee.digest == unhex(case["witness_set_digest"])
    total = sum(member.weight for member in committee.members)
    assert committee.quorum == int(case["quorum"]) == 2 * total // 3 + 1
    assert committee.third == int(case["third"]) == (total - 1) // 3 + 1


def check_questions(case, genesis):
    state = genesis_state(genesis)
    open_questions(state, genesis, genesis.network(), 1)
    found = dict(state.items("questions", Question))
    assert set(found) == {unhex(shown["id"]) for shown in case["questions"]}
    for shown in case["questions"]:
        question, topic = found[unhex(shown["id"])], genesis.topic(shown["topic"])
        assert (question.topic, question.index, question.category) == (topic.name, shown["index"], shown["category"])
        assert list(question.prior) == shown["prior"]
        assert topic.question_text(question.index) == shown["text"]
    assert state.root() == unhex(case["state"])


@cases("genesis.json")
def test_genesis(name, case):
    judge({"genesis": check_genesis}, case)
