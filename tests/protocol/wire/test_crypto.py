"""Keys, domains and the one verdict on a signature: ours equals a plain reference's on every vector."""

import json
from itertools import permutations
from pathlib import Path

import ed25519_reference as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_aead_chacha20poly1305_ietf_encrypt

from troth_protocol.wire import crypto
from troth_protocol.wire.crypto import (
    DOMAINS,
    KeyPair,
    decrypt_once,
    digest,
    encrypt_once,
    is_valid_key,
    object_id,
    preimage,
    verify,
)

HERE = Path(__file__).parent
VECTORS = json.loads((HERE.parents[2] / "spec/vectors/ed25519_edge.json").read_text())

NETWORK = bytes(range(32))
ALICE = KeyPair.from_seed(b"alice" + bytes(27))
BOB = KeyPair.from_seed(b"bob" + bytes(29))


def unhex(row):
    return bytes.fromhex(row["pk"]), bytes.fromhex(row["m"]), bytes.fromhex(row["sig"])


# The rule, against the reference


def test_the_vectors_are_all_there():
    assert len(VECTORS) == 315
    assert sum(row["valid"] for row in VECTORS) == 21
    assert {row["kind"] for row in VECTORS if row["valid"]} == {"honest", "own-honest"}


def test_reference_computes_the_verdicts_that_the_vectors_state():
    assert [reference.is_valid(*unhex(row)) for row in VECTORS] == [row["valid"] for row in VECTORS]


def test_our_verdict_is_the_reference_s_on_every_vector():
    differing = [row for row in VECTORS if verify(*unhex(row)) != row["valid"]]
    assert differing == []


def test_key_rule_is_the_reference_s_on_every_key():
    keys = {bytes.fromhex(row["pk"]) for row in VECTORS} | {
        reference.compress(t) for t in reference.torsion()
    }
    assert [is_valid_key(key) for key in keys] == [reference.key_point(key) is not None for key in keys]


def test_our_own_vectors_are_the_ones_that_the_reference_crafts():
    stated = [(row["kind"], *unhex(row)) for row in VECTORS if row["kind"].startswith("own-")]
    assert stated == [tuple(vector) for vector in reference.crafted()]


def test_explicit_checks_name_exactly_the_small_order_points():
    points = [reference.IDENTITY, *reference.torsion()]
    ys = {int.from_bytes(reference.compress(point), "little") % 2**255 for point in points}
    assert ys == crypto._SMALL_ORDER_Y
    assert (crypto._P, crypto._L) == (reference.P, reference.L)


@pytest.mark.parametrize("kind", ["own-s+1L", "own-identityR", "own-identityR-long", "own-smallR"])
def test_rules_2_and_3_hold_whatever_the_library_says(kind, monkeypatch):
    monkeypatch.setattr(
        crypto, "crypto_sign_open", lambda signed, _key: signed
    )  # a verifier that says yes to all
    rows = [row for row in VECTORS if row["kind"] == kind]
    assert rows
    assert not any(verify(*unhex(row)) for row in rows)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.binary(min_size=64, max_size=64))
def test_any_bytes_get_a_verdict(key, data, signature):
    assert verify(key, data, signature) is reference.is_valid(key, data, signature) is False
    assert verify(ALICE.public, data, signature) is False


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64])
def test_key_of_another_length_is_no_key(length):
    assert not is_valid_key(ALICE.public[:1] * length)
    assert not verify(ALICE.public[:1] * length, b"", ALICE.sign(b""))


@pytest.mark.parametrize("length", [0, 63, 65, 128])
def test_signature_of_another_length_is_none(length):
    assert not verify(ALICE.public, b"x", (ALICE.sign(b"x") * 2)[:length])


# Signing


def test_signs_as_rfc_8032_test_1():
    pair = KeyPair.from_seed(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    assert pair.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert pair.sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b"
    )


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
def test_what_is_signed_verifies_for_its_key_and_data_only(seed, data):
    pair = KeyPair.from_seed(seed)
    signature = pair.sign(data)
    assert pair.seed == seed
    assert verify(pair.public, data, signature)
    assert not verify(pair.public, data + b"\0", signature)
    assert not verify(BOB.public, data, signature)


@given(st.integers(0, 511), st.binary(max_size=40))
def test_one_flipped_bit_of_a_signature_breaks_it(bit, data):
    signature = bytearray(ALICE.sign(data))
    signature[bit // 8] ^= 1 << bit % 8
    assert not verify(ALICE.public, data, bytes(signature))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_seed_has_32_bytes(length):
    with pytest.raises(ValueError, match="32 bytes"):
        KeyPair.from_seed(bytes(length))


def test_key_pair_prints_no_secret():
    assert ALICE.seed.hex() not in repr(ALICE)
    assert repr(ALICE) == f"KeyPair(public={ALICE.public.hex()})"


# Domains and preimages


def test_preimage_is_spelled_out():
    assert preimage("troth/entry/1", NETWORK, b"payload") == b"\x0dtroth/entry/1" + NETWORK + b"payload"
    assert object_id("troth/entry/1", NETWORK, b"payload") == digest(
        preimage("troth/entry/1", NETWORK, b"payload")
    )


def test_digest_is_sha_256():
    assert digest(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_no_object_is_registered_twice():
    assert len(DOMAINS) == len(crypto.SIGNED_OBJECTS)


def test_no_domain_on_the_wire_begins_another():
    prefixes = [preimage(domain, NETWORK, b"")[: -len(NETWORK)] for domain in DOMAINS]
    assert not any(longer.startswith(shorter) for shorter, longer in permutations(prefixes, 2))


@pytest.mark.parametrize("domain", ["", "entry", "troth/entry/2", "troth/entry/1 ", "troth/nothing/1"])
def test_unknown_domain_is_the_caller_s_mistake(domain):
    with pytest.raises(ValueError, match="unknown domain"):
        preimage(domain, NETWORK, b"")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_network_id_has_32_bytes(length):
    with pytest.raises(ValueError, match="network id"):
        object_id("troth/entry/1", bytes(length), b"")


domains = st.sampled_from(sorted(DOMAINS))
networks = st.binary(min_size=32, max_size=32)


@given(
    st.tuples(domains, networks, st.binary(max_size=8)), st.tuples(domains, networks, st.binary(max_size=8))
)
def test_two_objects_never_share_a_preimage(one, other):
    assert (preimage(*one) == preimage(*other)) == (one == other)


# The cipher


def test_a_key_opens_what_it_closed_and_nothing_else():
    key, other = bytes(32), b"k" * 32
    closed = encrypt_once(key, b"signal")
    assert decrypt_once(key, closed) == b"signal"
    for attempt in (closed[:-1], closed + b"\0", b"", bytes(16), bytes([closed[0] ^ 1]) + closed[1:]):
        assert decrypt_once(key, attempt) is None
    assert [decrypt_once(wrong, closed) for wrong in (other, b"", key[:31], key + b"\0")] == [None] * 4


def test_the_cipher_is_that_of_rfc_8439_with_nonce_0():
    """Appendix A.5's key; the ciphertext by another implementation of the same standard, in PyNaCl."""
    key = bytes.fromhex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0")
    plain = b"Internet-Drafts are draft documents"
    assert encrypt_once(key, plain) == crypto_aead_chacha20poly1305_ietf_encrypt(plain, None, bytes(12), key)
