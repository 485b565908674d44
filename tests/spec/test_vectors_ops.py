"""The vectors of a witness's judgement, read from their JSON alone: the sealed state, the epoch's entries, one more."""

from __future__ import annotations

from vector_kit import cases, judge, read, unhex, unhexes, value

from troth_protocol.genesis import load_genesis
from troth_protocol.log.book import LogBook
from troth_protocol.log.committee import load_committee
from troth_protocol.log.entry import load_entry
from troth_protocol.log.ops import OPS
from troth_protocol.log.rows import TABLES
from troth_protocol.log.state import decode_state
from troth_protocol.log.vote import CERTIFICATE

FILE = read("ops.json")
SETTING = FILE["setting"]
NETWORK = unhex(SETTING["network"])
GENESIS = load_genesis(unhex(SETTING["genesis"]))
STATE = decode_state(unhex(SETTING["snapshot"]))


def check_entry(case):
    committee = load_committee(unhex(SETTING["witness_set"]))
    book = LogBook(NETWORK, GENESIS.rules, SETTING["epoch"], STATE, committee)
    for entry, certificate in case["certified"]:
        book.add(load_entry(unhex(entry), NETWORK), CERTIFICATE.decode(unhex(certificate)))
    delta = book.evaluate(load_entry(unhex(case["entry"]), NETWORK))
    assert (delta.spent, delta.burned, delta.resumed) == (
        int(case["spent"]),
        int(case["burned"]),
        case["resumed"],
    )
    assert delta.credits == [(unhex(to), int(amount)) for to, amount in case.get("credits", [])]
    assert delta.bonded == [(role, int(amount)) for role, amount in case.get("bonded", [])]
    assert delta.unbonded == [(role, int(amount)) for role, amount in case.get("unbonded", [])]
    assert delta.reveals == [(unhex(key), unhex(content)) for key, content in case.get("reveals", [])]
    assert delta.accusations == unhexes(case.get("accusations", []))
    rows = {(table, unhex(key)): TABLES[table].load(value(row)) for table, key, row in case.get("rows", [])}
    assert delta.rows == rows


@cases("ops.json")
def test_ops(name, case):
    judge({"judge": check_entry}, case)


def test_the_setting_is_what_it_says():
    assert GENESIS.network() == NETWORK
    assert STATE.root() == unhex(SETTING["state"])


def test_every_op_is_taken_and_refused():
    for kind in ("valid", "invalid"):
        entries = [load_entry(unhex(case["entry"]), NETWORK) for case in FILE[kind]]
        found = {OPS.name_of(op) for entry in entries for op in entry.ops}
        assert found | {"accuse"} == set(OPS.records), kind
