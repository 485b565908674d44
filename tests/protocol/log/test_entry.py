"""Entries: what an author signed is what everybody reads, or the bytes are refused."""

import random
from hashlib import sha512

import pytest
from nacl.bindings import crypto_scalarmult_ed25519_base_noclamp

from troth_node.testing.ledger import Ledger
from troth_protocol.errors import Invalid
from troth_protocol.log.entry import (
    DEPS_MAX,
    ENTRY_DOMAIN,
    ENTRY_MAX_BYTES,
    HEADER,
    OPS_MAX,
    SIGNED_HEADER,
    SignedHeader,
    load_entry,
    load_header,
    make_entry,
)
from troth_protocol.log.ops import OPS, Accuse, Bond, Transfer
from troth_protocol.wire.codec import decode, encode
from troth_protocol.wire.crypto import digest, object_id, preimage

ORDER = 2**252 + 27742317777372353535851937790883648493

ledger = Ledger(3, 1)
NETWORK = ledger.network
ALICE, BOB = ledger.keys[:2]
PAY = Transfer(BOB.public, 5, b"")
DEPS = [digest(bytes([n])) for n in range(3)]


def code(action, *args, **kwargs):
    with pytest.raises(Invalid) as refusal:
        action(*args, **kwargs)
    return refusal.value.code


def entry(*ops, deps=(), keys=ALICE, network=NETWORK, **place):
    place = {"incarnation": 0, "epoch": 1, "seq": 1, "prev": bytes(32)} | place
    return make_entry(keys, network, deps=deps, ops=ops or (PAY,), **place)


def forged(good, *, keys=ALICE, **fields):
    """The bytes of an entry with other fields in its header or body, digests and signature made to fit."""
    value = decode(good.data)
    header = decode(value["header"])
    body = {name: fields.pop(name) for name in ("deps", "ops") if name in fields}
    value |= body
    header |= {name: digest(data) for name, data in body.items()} | fields
    value["header"] = encode(header)
    value["signature"] = keys.sign(preimage(ENTRY_DOMAIN, NETWORK, value["header"]))
    return encode(value)


def test_there_and_back():
    made = entry(PAY, Bond(7, "agent"), deps=DEPS, incarnation=2, epoch=5, seq=9, prev=DEPS[0])
    assert load_entry(made.data, NETWORK) == made
    assert made.header.place() == (ALICE.public, 5, 9)


def test_the_id_is_the_headers_and_leaves_the_signature_out():
    made = entry()
    assert made.id == object_id(ENTRY_DOMAIN, NETWORK, made.signed.header)
    assert made.id != entry(Bond(1, "agent")).id


def test_deps_are_sorted_and_single():
    made = entry(deps=[DEPS[2], DEPS[0], DEPS[2]])
    assert made.deps == tuple(sorted([DEPS[0], DEPS[2]]))
    assert load_entry(made.data, NETWORK).deps == made.deps


def test_a_changed_op_dep_or_header_breaks_the_signature_or_the_digest():
    value = decode(entry(deps=DEPS).data)
    ops = encode([OPS.dump(Transfer(BOB.public, 6, b""))])
    assert code(load_entry, encode(value | {"ops": ops}), NETWORK) == "bad_digest"
    assert code(load_entry, encode(value | {"deps": encode([])}), NETWORK) == "bad_digest"
    header = encode(decode(value["header"]) | {"seq": 2})
    assert code(load_entry, encode(value | {"header": header}), NETWORK) == "bad_signature"


def test_a_signature_by_somebody_else_is_refused():
    assert code(load_entry, forged(entry(), keys=BOB), NETWORK) == "bad_signature"
    assert code(load_entry, forged(entry(), author=BOB.public), NETWORK) == "bad_signature"


def test_an_author_that_is_no_key_is_refused():
    small_order = bytes([1]) + bytes(31)
    assert code(load_entry, forged(entry(), author=small_order), NETWORK) == "bad_signature"


def test_an_entry_of_another_network_is_refused():
    elsewhere = entry(network=bytes(32))
    assert code(load_entry, elsewhere.data, NETWORK) == "wrong_network"
    assert code(load_header, elsewhere.signed, NETWORK) == "wrong_network"
    renamed = forged(elsewhere, network=NETWORK, keys=ALICE)
    assert load_entry(renamed, NETWORK).id != elsewhere.id


def test_a_signature_for_another_network_does_not_fit_a_renamed_header():
    value = decode(entry(network=bytes(32)).data)
    header = encode(decode(value["header"]) | {"network": NETWORK})
    assert code(load_entry, encode(value | {"header": header}), NETWORK) == "bad_signature"


@pytest.mark.parametrize(
    ("deps", "expected"),
    [
        ([DEPS[0]] * 2, "bad_deps"),
        (sorted(DEPS, reverse=True), "bad_deps"),
        ([DEPS[0][:31]], "bad_deps"),
        (["x" * 32], "bad_deps"),
        ([1], "bad_deps"),
        ({}, "bad_deps"),
        (sorted(digest(bytes([n % 256, n >> 8])) for n in range(DEPS_MAX + 1)), "bad_deps"),
    ],
)
def test_deps_are_distinct_ids_in_order(deps, expected):
    assert code(load_entry, forged(entry(), deps=encode(deps)), NETWORK) == expected


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ([], "no_ops"),
        ({}, "no_ops"),
        ([OPS.dump(PAY)] * (OPS_MAX + 1), "no_ops"),
        ([1], "unknown_kind"),
        ([{"op": "mint"}], "unknown_kind"),
        ([OPS.dump(PAY) | {"amount": "-1"}], "bad_amount"),
    ],
)
def test_ops_are_one_to_256_of_the_catalogue(ops, expected):
    assert code(load_entry, forged(entry(), ops=encode(ops)), NETWORK) == expected


@pytest.mark.parametrize(
    "field", [{"seq": -1}, {"seq": True}, {"epoch": "1"}, {"prev": b""}, {"incarnation": -1}]
)
def test_header_fields_have_their_types(field):
    assert code(load_entry, forged(entry(), **field), NETWORK) == "bad_field"


def test_bytes_of_ops_that_are_not_canonical_are_refused():
    padded = encode([OPS.dump(PAY)]) + b"\0"
    assert code(load_entry, forged(entry(), ops=padded), NETWORK) == "trailing"


def test_the_largest_entry_and_one_byte_more():
    room = ENTRY_MAX_BYTES - len(entry(Accuse(bytes(100_000)), Accuse(bytes(70_000 - 50_000))).data)
    largest = entry(Accuse(bytes(100_000)), Accuse(bytes(20_000 + room)))
    assert len(largest.data) == ENTRY_MAX_BYTES
    assert load_entry(largest.data, NETWORK) == largest
    assert code(load_entry, largest.data + b"\0", NETWORK) == "entry_too_large"
    assert code(entry, Accuse(bytes(100_000)), Accuse(bytes(20_001 + room))) == "entry_too_large"


def test_an_author_is_held_to_the_same_limits():
    assert (
        code(make_entry, ALICE, NETWORK, incarnation=0, epoch=1, seq=1, prev=bytes(32), deps=(), ops=())
        == "no_ops"
    )
    assert code(entry, *[PAY] * (OPS_MAX + 1)) == "no_ops"
    assert code(entry, deps=[digest(bytes([n % 256, n >> 8])) for n in range(DEPS_MAX + 1)]) == "bad_deps"


def test_a_signed_header_proves_its_place():
    made = entry(seq=4)
    assert load_header(made.signed, NETWORK) == made.header
    assert SIGNED_HEADER.decode(SIGNED_HEADER.encode(made.signed)) == made.signed
    other = SignedHeader(
        HEADER.encode(made.header).replace(b"\xa3seq\x04", b"\xa3seq\x05"), made.signed.signature
    )
    assert code(load_header, other, NETWORK) == "bad_signature"


def sign_with_another_nonce(seed, public, message):
    """A second valid signature of the same key over the same message."""
    secret = int.from_bytes(sha512(seed).digest()[:32], "little") & (2**254 - 8) | 2**254
    nonce = 12345
    point = crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
    challenge = int.from_bytes(sha512(point + public + message).digest(), "little")
    return point + ((nonce + challenge * secret) % ORDER).to_bytes(32, "little")


def test_two_signatures_over_one_header_are_one_entry():
    made = entry()
    message = preimage(ENTRY_DOMAIN, NETWORK, made.signed.header)
    signature = sign_with_another_nonce(ALICE.seed, ALICE.public, message)
    twin = load_entry(encode(decode(made.data) | {"signature": signature}), NETWORK)
    assert twin.signed.signature != made.signed.signature
    assert (twin.id, twin.header, twin.ops) == (made.id, made.header, made.ops)


def test_spoilt_bytes_are_invalid():
    rng = random.Random(7)
    data = entry(PAY, deps=DEPS).data
    for _ in range(400):
        at = rng.randrange(len(data))
        flipped = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        cut = data[:at] + data[rng.randrange(at, len(data)) :]
        for spoilt in (flipped, cut[: rng.randrange(len(cut) + 1)], data + rng.randbytes(2)):
            if spoilt != data:
                with pytest.raises(Invalid):
                    load_entry(spoilt, NETWORK)
