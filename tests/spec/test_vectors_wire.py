"""The vectors of values, frames, trees, keys and messages, read from their JSON alone."""

from __future__ import annotations

import hashlib

import ed25519_reference
import umsgpack
from vector_kit import cases, judge, read, unhex, unhexes, value

from troth_node.transport.address import peer_id_text, public_from_peer_id
from troth_protocol.close import ballots
from troth_protocol.errors import Invalid
from troth_protocol.log.rows import TABLES
from troth_protocol.log.sealed import attest_digest, commit_digest, commit_id, lock_id, question_id
from troth_protocol.log.state import State, decode_state, load_row, verify_row
from troth_protocol.wire.chunks import Assembly, Chunks, pack_rows, unpack_rows
from troth_protocol.wire.codec import decode, encode
from troth_protocol.wire.crypto import KeyPair, is_valid_key, object_id, preimage, verify
from troth_protocol.wire.framing import FrameReader, frame
from troth_protocol.wire.merkle import branch, leaf_hash, root, root_from_branch
from troth_protocol.wire.messages import MESSAGES

# Values


def check_value(case):
    item, data = value(case["value"]), unhex(case["bytes"])
    assert encode(item) == data
    assert decode(data) == item
    assert encode(decode(data)) == data
    assert repr(independent(data)) == repr(decode(data))


def check_decode(case):
    decode(unhex(case["bytes"]))


def check_encode(case):
    encode(value(case["value"]))


def independent(data):
    """What an independent msgpack library makes of the bytes; the forms of ours are among those that it knows."""
    return umsgpack.unpackb(data)


ENCODING = {"value": check_value, "decode": check_decode, "encode": check_encode}


@cases("encoding.json")
def test_encoding(name, case):
    judge(ENCODING, case)


def test_refused_bytes_are_no_encoding_of_what_another_library_reads():
    """Whatever a lenient decoder takes, encoding it again gives other bytes or is refused: all of it had to be."""
    for case in read("encoding.json")["invalid"]:
        if case["check"] == "decode":
            data = unhex(case["bytes"])
            try:
                again = encode(independent(data))
            except (umsgpack.UnpackException, Invalid, TypeError, RecursionError):
                continue
            assert again != data, case["name"]


# Frames


def check_stream(case):
    reader, payloads = FrameReader(), []
    reads = unhexes(case["reads"])
    assert b"".join(reads) == unhex(case["stream"])
    try:
        for data in reads:
            payloads += reader.feed(data)
    finally:
        assert payloads == unhexes(case["payloads"])
    if reader.broken is not None:
        raise reader.broken
    assert b"".join(map(frame, payloads)) == unhex(case["stream"])


@cases("framing.json")
def test_framing(name, case):
    judge({"stream": check_stream}, case)


# Trees


def check_root(case):
    leaves = [leaf_hash(data) for data in unhexes(case["data"])]
    assert leaves == unhexes(case["leaves"])
    assert root(leaves) == unhex(case["root"]) == by_the_book(unhexes(case["data"]))


def by_the_book(data):
    """RFC 6962, section 2.1, word for word."""
    if not data:
        return hashlib.sha256(b"").digest()
    if len(data) == 1:
        return hashlib.sha256(b"\x00" + data[0]).digest()
    k = 1
    while 2 * k < len(data):
        k *= 2
    return hashlib.sha256(b"\x01" + by_the_book(data[:k]) + by_the_book(data[k:])).digest()


def check_branch(case):
    found = root_from_branch(unhex(case["leaf"]), case["index"], case["size"], unhexes(case["branch"]))
    if found != unhex(case["root"]):
        raise Invalid("bad_branch")


def check_state(case):
    state = State()
    for table, key, row in case["rows"]:
        load_row(state, table, unhex(key), value(row))
    assert {name: table.root().hex() for name, table in state.tables.items()} == {
        name: table["root"] for name, table in case["tables"].items()
    }
    assert state.root() == unhex(case["root"])
    assert state.encode() == unhex(case["snapshot"])
    assert decode_state(state.encode()).root() == state.root()
    rows = sorted(case["tables"].items())
    heads = [leaf_hash(encode([name, unhex(table["root"]), table["rows"]])) for name, table in rows]
    assert root(heads) == unhex(case["root"])


def check_row(case):
    proof = value(case["proof"])
    table, key, row = verify_row(unhex(case["state"]), proof)
    assert (table, key, TABLES[table].dump(row)) == (proof["table"], proof["key"], proof["row"])


def check_snapshot(case):
    decode_state(unhex(case["bytes"]))


def check_prove(case):
    decode_state(unhex(case["snapshot"])).prove(case["table"], unhex(case["key"]))


def check_cut(case):
    Chunks(unhex(case["data"])).part(case["index"])


def check_chunk(case):
    Assembly(unhex(case["root"]), case["size"]).add(
        case["index"], unhex(case["data"]), unhexes(case["branch"])
    )


def check_rows(case):
    rows = list(unpack_rows(unhex(case["bytes"])))
    assert rows == value(case["rows"])
    assert pack_rows(rows) == unhex(case["bytes"])


MERKLE = {
    "root": check_root,
    "branch": check_branch,
    "state": check_state,
    "row": check_row,
    "snapshot": check_snapshot,
    "prove": check_prove,
    "cut": check_cut,
    "chunk": check_chunk,
    "rows": check_rows,
}


@cases("merkle.json")
def test_merkle(name, case):
    judge(MERKLE, case)


def test_shown_branches_are_the_ones_of_the_shown_trees():
    trees = {
        len(case["leaves"]): unhexes(case["leaves"])
        for case in read("merkle.json")["valid"]
        if "leaves" in case
    }
    for case in read("merkle.json")["valid"]:
        if case["check"] == "branch":
            leaves = next(leaves for leaves in trees.values() if root(leaves) == unhex(case["root"]))
            assert branch(leaves, case["index"]) == unhexes(case["branch"])


# Keys, ids, signatures


def check_key(case):
    pair = KeyPair.from_seed(unhex(case["seed"]))
    assert pair.public == unhex(case["public"])
    assert is_valid_key(pair.public)
    assert peer_id_text(pair.public) == case["peer_id"]
    assert public_from_peer_id(case["peer_id"]) == pair.public


def check_public(case):
    """A key by itself: who pays to one asks for this."""
    key = unhex(case["public"])
    assert is_valid_key(key) == (len(key) == 32 and ed25519_reference.key_point(key) is not None)
    if not is_valid_key(key):
        raise Invalid("bad_key")


def check_signature(case):
    public, network, payload = unhex(case["public"]), unhex(case["network"]), unhex(case["payload"])
    signature, data = unhex(case["signature"]), preimage(case["domain"], network, payload)
    is_good = verify(public, data, signature)
    assert is_good == ed25519_reference.is_valid(public, data, signature)
    if not is_good:
        raise Invalid("bad_signature")
    domain = case["domain"].encode()
    assert data == unhex(case["preimage"]) == bytes([len(domain)]) + domain + network + payload
    assert object_id(case["domain"], network, payload) == unhex(case["id"]) == hashlib.sha256(data).digest()
    assert KeyPair.from_seed(unhex(case["seed"])).sign(data) == signature


NAMES = {
    "question": lambda network, of: question_id(network, of["topic"], of["index"]),
    "commit": lambda network, of: commit_digest(
        network, of["author"], of["question"], of["salt"], of["contribution"]
    ),
    "commit_id": lambda network, of: commit_id(network, of["author"], of["question"], of["digest"]),
    "attest": lambda network, of: attest_digest(
        network, of["author"], of["question"], of["salt"], of["outcome"]
    ),
    "lock": lambda _, of: lock_id(of["entry"], of["op"]),
    "offence": lambda _, of: hashlib.sha256(of["kind"].encode() + b"/" + of["offender"]).digest(),
}


def check_name(case):
    assert NAMES[case["what"]](unhex(case["network"]), value(case["of"])) == unhex(case["id"])


SIGNATURES = {"key": check_key, "public": check_public, "signature": check_signature, "name": check_name}


@cases("signatures.json")
def test_signatures(name, case):
    judge(SIGNATURES, case)


# Messages


def check_message(case):
    check_record(case, MESSAGES)


def check_ballot(case):
    check_record(case, ballots.MESSAGES)


def check_record(case, catalogue):
    data = unhex(case["bytes"])
    message = catalogue.decode(data)
    assert encode(value(case["value"])) == data
    assert catalogue.encode(message) == data
    assert catalogue.dump(message) == value(case["value"])


@cases("messages.json")
def test_messages(name, case):
    judge({"message": check_message, "ballot": check_ballot}, case)


def test_every_message_is_among_them():
    shown = [value(case["value"]) for case in read("messages.json")["valid"]]
    assert {item["type"] for item in shown if "type" in item} == set(MESSAGES.records)
    assert {item["kind"] for item in shown if "kind" in item} == set(ballots.MESSAGES.records)
