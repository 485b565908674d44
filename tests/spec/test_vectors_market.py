"""The vectors of negotiations, read from their JSON alone: any reader comes to the same state and agreement."""

from __future__ import annotations

import hashlib

import ed25519_reference
from nacl.bindings import crypto_aead_chacha20poly1305_ietf_encrypt
from vector_kit import cases, judge, read, unhex, value

from troth_protocol.log.agreement import AGREEMENT, agreement_id, load_agreement
from troth_protocol.market.exchange import (
    CONTENTS,
    EXCHANGE_TERMS,
    Misdelivery,
    load_terms,
    open_exchange,
)
from troth_protocol.market.transcript import TABLE, verify_transcript
from troth_protocol.market.transcript_file import load_transcript, pack_transcript
from troth_protocol.wire.codec import encode


def check_transcript(case):
    network = unhex(case["network"])
    items = [(unhex(message["body"]), unhex(message["signature"])) for message in case["messages"]]
    found = verify_transcript(network, items)
    assert found.id == unhex(case["negotiation"])
    assert found.state == case["state"]
    assert found.items == items
    check_messages(case, found)
    assert (found.agreement is not None) == ("agreement" in case)
    if found.agreement is not None:
        check_agreed(case, found.agreement)


def check_messages(case, found):
    """Each message from its value on: bytes, preimage, id, and whose signature it is."""
    for message, said in zip(case["messages"], found.said, strict=True):
        body = encode(value(message["value"]))
        domain = f"troth/{message['type']}/1".encode()
        assert body == unhex(message["body"])
        assert value(message["value"])["type"] == message["type"]
        signed = bytes([len(domain)]) + domain + unhex(case["network"]) + body
        assert signed == unhex(message["preimage"])
        assert hashlib.sha256(signed).digest() == unhex(message["id"]) == said.signed.id
        party = unhex(case[said.who])
        assert ed25519_reference.is_valid(party, signed, unhex(message["signature"]))


def check_agreed(case, agreement):
    shown = case["agreement"]
    assert encode(value(shown["value"])) == unhex(shown["bytes"]) == agreement.agreement
    assert agreement_id(unhex(case["network"]), agreement.agreement) == unhex(shown["id"])
    assert agreement.buyer_signature == unhex(shown["buyer_signature"])
    assert agreement.seller_signature == unhex(shown["seller_signature"])


def check_agreement(case):
    network, data = unhex(case["network"]), unhex(case["bytes"])
    found = load_agreement(data, network, unhex(case["buyer_signature"]), unhex(case["seller_signature"]))
    assert AGREEMENT.encode(found) == data
    assert agreement_id(network, data) == unhex(case["id"])


def check_open(case):
    """An exchange from its values on: terms, preimage, signature; then what the key opens, if it opens anything."""
    network, data, signature = unhex(case["network"]), unhex(case["bytes"]), unhex(case["signature"])
    terms = load_terms(data, signature, network)
    found = open_exchange(terms, unhex(case["ciphertext"]), unhex(case["key"]))
    assert encode(value(case["terms"])) == data == EXCHANGE_TERMS.encode(terms)
    domain = b"troth/terms/1"
    signed = bytes([len(domain)]) + domain + network + data
    assert signed == unhex(case["preimage"])
    assert ed25519_reference.is_valid(terms.seller, signed, signature)
    assert isinstance(found, Misdelivery) == case["is_misdelivery"]
    if "contents" in case:
        plaintext = encode(value(case["contents"]))
        assert plaintext == unhex(case["plaintext"]) == CONTENTS.encode(found)
        key, tagged = unhex(case["key"]), unhex(case["ciphertext"])
        assert crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, None, bytes(12), key) == tagged


def check_file(case):
    """A file from its messages on: `{items, network}`, and nothing else."""
    data = unhex(case["bytes"])
    found = load_transcript(data)
    network = unhex(case["network"])
    items = [[unhex(item["body"]), unhex(item["signature"])] for item in case["items"]]
    assert encode({"items": items, "network": network}) == data == pack_transcript(found)
    assert (found.network, list(map(list, found.items))) == (network, items)


@cases("exchange.json")
def test_exchange(name, case):
    judge({"open": check_open}, case)


@cases("trades.json")
def test_trades(name, case):
    judge({"transcript": check_transcript, "agreement": check_agreement, "file": check_file}, case)


def test_every_message_and_every_end_that_a_word_makes_is_told():
    told = [case for case in read("trades.json")["valid"] if case["check"] == "transcript"]
    spoken = {
        row for rows in TABLE.values() for who, row in rows.items() if who != "clock" for row in row.items()
    }
    assert {message["type"] for case in told for message in case["messages"]} == {
        "request",
        *(word for word, _ in spoken),
    }
    ends = {end for _, end in spoken if not TABLE[end]}
    assert ends <= {case["state"] for case in told}
