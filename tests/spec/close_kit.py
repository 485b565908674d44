"""Executing a close of the vectors: from bytes to bytes, and every root on the way."""

from __future__ import annotations

from vector_kit import unhex, value

from troth_protocol.close.execute import Close, execute
from troth_protocol.close.findings import load_findings
from troth_protocol.insight.results import settlement_rows
from troth_protocol.log.book import LogBook
from troth_protocol.log.committee import load_committee
from troth_protocol.log.entry import load_entry
from troth_protocol.log.state import decode_state
from troth_protocol.log.vote import CERTIFICATE
from troth_protocol.wire.chunks import Chunks
from troth_protocol.wire.codec import encode
from troth_protocol.wire.merkle import leaf_hash, root


def check_execute(case, genesis):
    network = genesis.network()
    before, committee = decode_state(unhex(case["before"])), load_committee(unhex(case["witness_set"]))
    book = LogBook(network, genesis.rules, case["epoch"], before, committee)
    for entry, certificate in case["certified"]:
        book.add(load_entry(unhex(entry), network), CERTIFICATE.decode(unhex(certificate)))
    cut = load_findings(unhex(case["cut"]))
    logs = {author: book.log(author, seq) for author, (seq, _) in cut.heads.items()}
    assert {author: log[-1].entry.id for author, log in logs.items()} == {
        a: head for a, (_, head) in cut.heads.items()
    }
    closed = execute(Close(genesis, network, case["epoch"], committee), before, cut, logs)
    check_state(case, closed.state)
    check_roots(case, closed)
    assert closed.committee.encode() == unhex(case["next_set"])


def check_state(case, state):
    assert state.root() == unhex(case["state"]) == decode_state(unhex(case["after"])).root()
    assert state.encode() == unhex(case["after"])
    books = state.totals()
    assert state.supply() == books.genesis + books.minted - books.burned


def check_roots(case, closed):
    chunks = Chunks(unhex(case["cut"]))
    assert (chunks.root, chunks.size) == (unhex(case["cut_root"]), case["cut_size"])
    rows = [row for item in closed.settlements for row in settlement_rows(item)]
    assert rows == value(case["settlements"])
    assert closed.emissions_root == unhex(case["emissions"]) == root([leaf_hash(encode(row)) for row in rows])
    offences = [[key.hex(), o.kind, o.offender.hex(), o.epoch, str(o.slashed)] for key, o in closed.offences]
    assert offences == case["offences"]
    leaves = [
        unhex(key) + encode([kind, unhex(offender), epoch])
        for key, kind, offender, epoch, _ in case["offences"]
    ]
    assert closed.evidence_root == unhex(case["evidence"]) == root(list(map(leaf_hash, leaves)))
