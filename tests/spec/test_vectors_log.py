"""The vectors of genesis, entries, votes and evidence, read from their JSON alone."""

from __future__ import annotations

import hashlib

import ed25519_reference
from vector_kit import cases, judge, read, unhex, unhexes, value

from troth_protocol.close.light import genesis_committee
from troth_protocol.evidence import verify_evidence
from troth_protocol.genesis import GENESIS, load_genesis, network_id
from troth_protocol.insight.lifecycle import open_questions
from troth_protocol.log.committee import load_committee
from troth_protocol.log.entry import HEADER, load_entry, make_entry
from troth_protocol.log.ops import OPS
from troth_protocol.log.rows import Question
from troth_protocol.log.state import genesis_state
from troth_protocol.log.vote import CERTIFICATE, VOTE, open_batch, sign_votes, verify_certificate, verify_vote
from troth_protocol.wire.codec import decode, encode
from troth_protocol.wire.crypto import KeyPair
from troth_protocol.wire.merkle import leaf_hash, root
from troth_protocol.wire.messages import MESSAGES, Votes

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
        assert (question.topic, question.index, question.category) == (
            topic.name,
            shown["index"],
            shown["category"],
        )
        assert list(question.prior) == shown["prior"]
        assert topic.question_text(question.index) == shown["text"]
    assert state.root() == unhex(case["state"])


@cases("genesis.json")
def test_genesis(name, case):
    judge({"genesis": check_genesis}, case)


# Entries


def check_entry(case):
    network, data = unhex(case["network"]), unhex(case["bytes"])
    entry = load_entry(data, network)
    assert entry.data == data
    assert entry.id == unhex(case["id"])
    check_header(case, entry)
    check_body(case, entry)
    made = make_entry(
        KeyPair.from_seed(unhex(case["seed"])),
        network,
        incarnation=case["incarnation"],
        epoch=case["epoch"],
        seq=case["seq"],
        prev=unhex(case["prev"]),
        deps=unhexes(case["deps"]),
        ops=[OPS.load(op) for op in value(case["ops"])],
    )
    assert made == entry


def check_header(case, entry):
    header, domain = unhex(case["header"]), b"\x0dtroth/entry/1"
    assert entry.signed.header == header == HEADER.encode(entry.header)
    assert decode(header) == {
        "network": unhex(case["network"]),
        "author": unhex(case["author"]),
        "incarnation": case["incarnation"],
        "epoch": case["epoch"],
        "seq": case["seq"],
        "prev": unhex(case["prev"]),
        "deps": unhex(case["deps_digest"]),
        "ops": unhex(case["ops_digest"]),
    }
    signed = domain + unhex(case["network"]) + header
    assert signed == unhex(case["preimage"])
    assert hashlib.sha256(signed).digest() == entry.id
    assert ed25519_reference.is_valid(unhex(case["author"]), signed, unhex(case["signature"]))


def check_body(case, entry):
    deps, ops = unhex(case["deps_bytes"]), unhex(case["ops_bytes"])
    assert (encode(unhexes(case["deps"])), encode(value(case["ops"]))) == (deps, ops)
    assert hashlib.sha256(deps).digest() == unhex(case["deps_digest"])
    assert hashlib.sha256(ops).digest() == unhex(case["ops_digest"])
    whole = {"header": unhex(case["header"]), "deps": deps, "ops": ops, "signature": unhex(case["signature"])}
    assert encode(whole) == entry.data


@cases("entries.json")
def test_entries(name, case):
    judge({"entry": check_entry}, case)


def test_every_op_is_among_the_entries():
    ops = {op["op"] for case in read("entries.json")["valid"] for op in value(case["ops"])}
    assert ops == set(OPS.records)


# Votes and certificates


def check_batch(case):
    network, committee = unhex(case["network"]), load_committee(unhex(case["witness_set"]))
    entries = unhexes(case["entries"])
    made = sign_votes(KeyPair.from_seed(unhex(case["seed"])), network, case["epoch"], committee, entries)
    payload = encode({"epoch": case["epoch"], "root": unhex(case["root"]), "set": unhex(case["set_digest"])})
    assert committee.digest == unhex(case["set_digest"])
    assert payload == unhex(case["payload"])
    signed = b"\x0ctroth/vote/1" + network + payload
    assert signed == unhex(case["preimage"])
    assert made[0].signature == unhex(case["signature"])
    assert ed25519_reference.is_valid(committee.members[made[0].member].key, signed, unhex(case["signature"]))
    for shown in case["votes"]:
        assert check_shown(case, shown) == made[entries.index(unhex(shown["entry"]))]


def check_shown(case, shown):
    """A vote's bytes are what its fields say, and it is valid."""
    fields = {key: shown[key] for key in ("member", "index", "size")}
    blobs = {
        "root": unhex(shown["root"]),
        "branch": unhexes(shown["branch"]),
        "signature": unhex(shown["signature"]),
    }
    assert decode(unhex(shown["bytes"])) == fields | blobs
    return check_vote(case | shown)


def check_vote(case):
    committee = load_committee(unhex(case["witness_set"]))
    vote = VOTE.decode(unhex(case["bytes"]))
    verify_vote(vote, unhex(case["entry"]), unhex(case["network"]), case["epoch"], committee)
    return vote


def check_votes(case):
    network, committee = unhex(case["network"]), load_committee(unhex(case["witness_set"]))
    batch, awaited = MESSAGES.decode(unhex(case["bytes"])), set(unhexes(case["awaited"]))
    found = open_batch(batch, unhex(case["peer"]), awaited.__contains__, network, case["epoch"], committee)
    assert batch == Votes(tuple(unhexes(case["entries"])), batch.signature)
    leaves = [leaf_hash(entry) for entry in batch.entries]
    assert (leaves, root(leaves)) == (unhexes(case["leaves"]), unhex(case["root"]))
    shown = [(unhex(shown["entry"]), check_shown(case, shown)) for shown in case["votes"]]
    assert found == shown
    assert all(vote.root == root(leaves) for _, vote in found)


@cases("votes.json")
def test_votes(name, case):
    judge({"batch": check_batch, "vote": check_vote, "votes": check_votes}, case)


def check_certificate(case):
    committee = load_committee(unhex(case["witness_set"]))
    data = unhex(case["bytes"])
    certificate = CERTIFICATE.decode(data)
    assert certificate.epoch == case["epoch"]
    verify_certificate(certificate, unhex(case["network"]), committee)
    assert CERTIFICATE.encode(certificate) == data
    assert certificate.entry == unhex(case["entry"])
    members = [vote.member for vote in certificate.votes]
    assert members == case["members"]
    assert sum(committee.members[member].weight for member in members) == int(case["weight"])
    assert committee.quorum == int(case["quorum"])


def check_set(case):
    committee = load_committee(unhex(case["bytes"]))
    assert [[member.key.hex(), str(member.weight)] for member in committee.members] == case["members"]
    assert committee.encode() == unhex(case["bytes"])
    assert committee.digest == unhex(case["digest"]) == hashlib.sha256(unhex(case["bytes"])).digest()
    sums = (committee.total, committee.quorum, committee.third)
    assert sums == (int(case["total"]), int(case["quorum"]), int(case["third"]))


@cases("certificates.json")
def test_certificates(name, case):
    judge({"certificate": check_certificate, "witness_set": check_set}, case)


# Evidence


def check_evidence(case):
    proof = verify_evidence(unhex(case["bytes"]), unhex(case["network"]))
    place = {name: part.hex() if isinstance(part, bytes) else part for name, part in proof.place}
    found = {"kind": proof.kind, "offender": proof.offender.hex(), "epoch": proof.epoch, "place": place}
    assert found == case["proves"]


@cases("evidence.json")
def test_evidence(name, case):
    judge({"evidence": check_evidence}, case)
