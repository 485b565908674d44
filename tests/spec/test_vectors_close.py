"""The vectors of closes and seals, read from their JSON alone: whoever follows them arrives at each state root."""

from __future__ import annotations

import hashlib
from itertools import islice

import ed25519_reference
from close_kit import check_execute
from vector_kit import cases, judge, read, unhex, value

from troth_protocol.close.ballots import (
    CERTIFICATE as SLOT_CERTIFICATE,
)
from troth_protocol.close.ballots import (
    CandidateMsg,
    Instance,
    VoteMsg,
    check_signature,
    read_ballot,
    read_candidate,
    verify_certificate,
    verify_decision,
)
from troth_protocol.close.findings import load_findings
from troth_protocol.close.leaders import timeout_ms, turns
from troth_protocol.close.light import Checkpoint, genesis_checkpoint
from troth_protocol.close.report import encode_value, load_report, load_value
from troth_protocol.close.seal import SIGNED_SEAL
from troth_protocol.errors import Invalid
from troth_protocol.genesis import load_genesis
from troth_protocol.insight.lifecycle import open_questions
from troth_protocol.log.committee import Member, load_committee
from troth_protocol.log.rows import TABLES
from troth_protocol.log.state import genesis_state, verify_row
from troth_protocol.wire.chunks import Chunks, unpack_rows
from troth_protocol.wire.codec import encode

CLOSES, SEALS = read("closes.json"), read("seals.json")
GENESIS = load_genesis(unhex(CLOSES["genesis"]))
NETWORK = GENESIS.network()

# Closes


def check_report(case):
    network, committee = unhex(case["network"]), load_committee(unhex(case["witness_set"]))
    header, signature = unhex(case["header"]), unhex(case["signature"])
    report = load_report(header, signature, network, case["epoch"], committee)
    body = Chunks(unhex(case["body"]))
    if (body.root, body.size) != (report.header.root, report.header.size):
        raise Invalid("bad_digest")
    assert load_findings(body.data).encode() == unhex(case["body"])
    assert encode(value(case["value"])) == header
    signed = b"\x0etroth/report/1" + network + header
    assert signed == unhex(case["preimage"])
    assert hashlib.sha256(signed).digest() == report.id == unhex(case["id"])
    assert ed25519_reference.is_valid(report.header.witness, signed, signature)


def check_findings(case):
    data = unhex(case["bytes"])
    assert load_findings(data).encode() == data
    assert list(unpack_rows(data)) == value(case["rows"])


def check_value(case):
    found = load_value(unhex(case["bytes"]), load_committee(unhex(case["witness_set"])))
    assert [[member, report.hex()] for member, report in found.items()] == case["reports"]
    assert encode_value(found) == unhex(case["bytes"])


def check_leaders(case):
    members = [Member(unhex(key), int(weight)) for key, weight in case["members"]]
    assert list(islice(turns(members), len(case["turns"]))) == case["turns"]


def check_timers(case):
    for slot, wait in case["waits"]:
        assert timeout_ms(slot, case["slot_ms"], case["slot_max_ms"]) == wait


CHECKS = {
    "execute": lambda case: check_execute(case, GENESIS),
    "report": check_report,
    "findings": check_findings,
    "value": check_value,
    "leaders": check_leaders,
    "timers": check_timers,
}


@cases("closes.json")
def test_closes(name, case):
    judge(CHECKS, case)


# Seals


def check_advance(case):
    committee = load_committee(unhex(case["witness_set"]))
    at = Checkpoint(unhex(case["network"]), case["epoch"], unhex(case["prev"]), committee)
    seal = SIGNED_SEAL.decode(unhex(case["seal"]))
    found = at.advance(seal, unhex(case["next_set"]))
    assert (found.epoch, found.prev) == (case["epoch"] + 1, unhex(case["id"]))
    assert found.committee == load_committee(unhex(case["next_set"]))
    assert SIGNED_SEAL.encode(seal) == unhex(case["seal"])
    assert encode(value(case["value"])) == seal.payload == unhex(case["payload"])
    check_signatures(case, committee)


def check_signatures(case, committee):
    signed = b"\x0ctroth/seal/1" + unhex(case["network"]) + unhex(case["payload"])
    assert signed == unhex(case["preimage"])
    assert hashlib.sha256(signed).digest() == unhex(case["id"])
    weight = 0
    for member, signature in case["signatures"]:
        assert ed25519_reference.is_valid(committee.members[member].key, signed, unhex(signature))
        weight += committee.members[member].weight
    assert weight == int(case["weight"]) >= int(case["quorum"]) == committee.quorum


def check_row(case):
    proof = value(case["proof"])
    table, key, row = verify_row(unhex(case["state"]), proof)
    assert (table, key, TABLES[table].dump(row)) == (proof["table"], proof["key"], proof["row"])


@cases("seals.json")
def test_seals(name, case):
    judge({"advance": check_advance, "row": check_row}, case)


def test_the_chain_leads_from_its_genesis_to_every_state_root():
    """Each seal's roots are those of the close of its epoch, and each close begins where the one before it ended."""
    state = genesis_state(GENESIS)
    open_questions(state, GENESIS, NETWORK, 1)
    at, sealed = genesis_checkpoint(load_genesis(unhex(SEALS["genesis"]))), state.encode()
    executed = [case for case in CLOSES["valid"] if case["check"] == "execute"]
    followed = [case for case in SEALS["valid"] if case["check"] == "advance"]
    for close, seal in zip(executed, followed, strict=True):
        assert unhex(close["before"]) == sealed
        assert load_committee(unhex(close["witness_set"])) == at.committee
        at = at.advance(SIGNED_SEAL.decode(unhex(seal["seal"])), unhex(close["next_set"]))
        roots = (at.seal.state, at.seal.emissions, at.seal.evidence, at.seal.cut, at.seal.cut_size)
        named = [unhex(close[name]) for name in ("state", "emissions", "evidence", "cut_root")]
        assert roots == (*named, close["cut_size"])
        sealed = unhex(close["after"])
    assert at.epoch == len(executed) == 7


def test_the_chain_tells_what_it_should():
    """A change of the witness set, a settlement with payments, offences of a seller, an author, a witness, claims."""
    executed = [case for case in CLOSES["valid"] if case["check"] == "execute"]
    assert len({case["witness_set"] for case in executed}) == 3
    kinds = [row[0] for case in executed for row in value(case["settlements"])]
    assert {"settlement", "forecast", "payment", "attester"} == set(kinds)
    offences = [row[1] for case in executed for row in case["offences"]]
    assert offences == ["misdelivery", "entry_fork", "notarize_fork"]
    claims = [row for case in executed for row in unpack_rows(unhex(case["cut"])) if row[0] == "claim"]
    assert len(claims) == 2


# Agreement


def instance(case):
    return Instance(unhex(case["network"]), case["epoch"], load_committee(unhex(case["witness_set"])))


def check_candidate(case):
    at, payload = instance(case), unhex(case["payload"])
    found = read_candidate(at, CandidateMsg(payload, unhex(case["signature"])))
    check_signature(at.network, unhex(case["signer"]), found.signed)
    assert encode(value(case["value"])) == payload
    domain = b"\x11troth/candidate/1"
    assert found.id == unhex(case["id"]) == hashlib.sha256(domain + at.network + payload).digest()


def check_vote(case):
    at, payload = instance(case), unhex(case["payload"])
    ballot = read_ballot(at, VoteMsg(case["vote"], payload, case["member"], unhex(case["signature"])))
    check_signature(at.network, at.committee.members[ballot.member].key, ballot.signed)
    assert encode(value(case["value"])) == payload == ballot.statement.payload(at)
    domain = f"troth/{case['vote']}/1".encode()
    assert unhex(case["preimage"]) == bytes([len(domain)]) + domain + at.network + payload


def check_slot_certificate(case):
    certificate = SLOT_CERTIFICATE.decode(unhex(case["bytes"]))
    verify_certificate(instance(case), certificate)
    assert certificate.vote == case["vote"]
    assert SLOT_CERTIFICATE.encode(certificate) == unhex(case["bytes"])


def check_decision(case):
    found = verify_decision(instance(case), unhex(case["candidate"]), unhex(case["certificate"]))
    assert found == unhex(case["decided"])


AGREEMENT = {
    "candidate": check_candidate,
    "vote": check_vote,
    "certificate": check_slot_certificate,
    "decision": check_decision,
}


@cases("agreement.json")
def test_agreement(name, case):
    judge(AGREEMENT, case)
