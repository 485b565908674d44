"""Peer ids are the public keys themselves, in libp2p's spelling."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.crypto.ed25519 import Ed25519PublicKey, create_new_key_pair
from libp2p.peer.id import ID

from troth_node.transport.address import Target, parse_address, peer_id_text, public_from_peer_id

KEY = create_new_key_pair(bytes([7]) * 32).public_key.to_bytes()


@given(st.binary(min_size=32, max_size=32))
def test_a_key_and_its_peer_id_are_the_same_thing(public):
    assert public_from_peer_id(peer_id_text(public)) == public


def test_the_library_spells_the_peer_id_the_same():
    text = peer_id_text(KEY)
    assert text.startswith("12D3KooWRawP")
    assert text == ID.from_pubkey(Ed25519PublicKey.from_bytes(KEY)).to_base58()


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_has_32_bytes(length):
    with pytest.raises(ValueError, match="32 bytes"):
        peer_id_text(bytes(length))


@pytest.mark.parametrize(
    "text",
    ["", "0OIl", "12D3KooW", peer_id_text(KEY)[:-1], peer_id_text(KEY) + "1", "1" + peer_id_text(KEY), "z" * 5000,
     "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"],
)  # fmt: skip
def test_other_texts_are_no_peer_ids(text):
    with pytest.raises(ValueError, match=r"base58|peer id"):
        public_from_peer_id(text)


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("/ip4/127.0.0.1/tcp/0", Target("ip4", "127.0.0.1", 0, None)),
        ("/ip6/::1/tcp/65535", Target("ip6", "::1", 65_535, None)),
        ("/dns4/node.example/tcp/4001", Target("dns4", "node.example", 4001, None)),
        (f"/ip4/10.0.0.1/tcp/1/p2p/{peer_id_text(KEY)}", Target("ip4", "10.0.0.1", 1, KEY)),
    ],
)
def test_addresses_name_a_host_a_port_and_perhaps_a_peer(address, target):
    assert parse_address(address) == target


@pytest.mark.parametrize(
    "address",
    ["", "127.0.0.1:80", "/ip4/127.0.0.1/udp/1", "/ip4/256.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/65536",
     "/ip4/127.0.0.1/tcp/-1", "/ip4/127.0.0.1/tcp/1/ws", "/ip4/127.0.0.1/tcp/1/p2p/x", "/ip6/127.0.0.1/tcp/1",
     "/unix/a/tcp/1", "/dns4//tcp/1", "/ip4/127.0.0.1/tcp/1/ws/x", "/ip4/127.0.0.1/tcp/²"],
)  # fmt: skip
def test_other_addresses_are_refused(address):
    with pytest.raises(ValueError, match=r".+"):
        parse_address(address)


def test_quick_commands_do_not_pay_for_the_library():
    program = (
        "import sys, troth_node, troth_node.transport.address, troth_node.transport.events,"
        " troth_node.transport.link, troth_node.transport.settings\n"
        "sys.exit('libp2p' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
