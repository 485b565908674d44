"""signatures.json: keys, preimages, ids and signatures; ed25519_edge.json beside it has the hostile signatures."""

from __future__ import annotations

from typing import Final

from troth_node.transport.address import peer_id_text
from troth_protocol.close.punish import offence_key
from troth_protocol.log.sealed import attest_digest, commit_digest, commit_id, lock_id, question_id
from troth_protocol.wire.codec import encode
from troth_protocol.wire.crypto import KeyPair, object_id, preimage

from .common import NETWORK, OTHER_NETWORK, Case, Json, cases, invalid, keys, plain, raised_s, tried, valid

SEEDS: Final = (bytes(32), bytes(range(32)), b"\xff" * 32)
PAYLOAD: Final = encode({"seq": 1})
SALT: Final = b"\x22" * 32
#: Keys that are no canonical point of the group of prime order.
BAD_KEYS: Final = (
    ("the identity", "01" + "00" * 31),
    ("of order 2", "ec" + "ff" * 30 + "7f"),
    ("of order 4", "00" * 32),
    ("of order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    ("no point", "02" + "00" * 31),
    ("not canonical: p + 1", "ee" + "ff" * 30 + "7f"),
    ("not canonical: a sign without an x", "01" + "00" * 30 + "80"),
    ("31 bytes", "00" * 31),
    ("33 bytes", "00" * 33),
)


def _key(seed: bytes) -> Case:
    public = KeyPair.from_seed(seed).public
    name = f"seed {seed[:2].hex()}…"
    return valid(name, check="key", seed=seed.hex(), public=public.hex(), peer_id=peer_id_text(public))


def _signed(name: str, domain: str, network: bytes, payload: bytes) -> Case:
    signer = keys("alma")
    data = preimage(domain, network, payload)
    return valid(
        name,
        check="signature",
        public=signer.public.hex(),
        domain=domain,
        network=network.hex(),
        payload=payload.hex(),
        preimage=data.hex(),
        id=object_id(domain, network, payload).hex(),
        seed=signer.seed.hex(),
        signature=signer.sign(data).hex(),
    )


def _bad_signatures() -> list[Case]:
    good = _signed("", "troth/entry/1", NETWORK, PAYLOAD)
    for name in ("preimage", "id", "seed"):
        del good[name]
    signature = bytes.fromhex(good["signature"])
    bare = keys("alma").sign(PAYLOAD)
    unprefixed = keys("alma").sign(b"troth/entry/1" + NETWORK + PAYLOAD)
    return tried(
        good,
        [
            ("bad_signature", "another payload", {"payload": encode({"seq": 2}).hex()}),
            ("bad_signature", "another domain", {"domain": "troth/vote/1"}),
            ("bad_signature", "another network", {"network": OTHER_NETWORK.hex()}),
            ("bad_signature", "another key", {"public": keys("bruno").public.hex()}),
            ("bad_signature", "over the payload alone", {"signature": bare.hex()}),
            ("bad_signature", "over a preimage without the domain's length", {"signature": unprefixed.hex()}),
            ("bad_signature", "S + L for S", {"signature": raised_s(signature).hex()}),
            ("bad_signature", "a zero R", {"signature": bytes(32).hex() + signature[32:].hex()}),
            ("bad_signature", "63 bytes", {"signature": signature[:63].hex()}),
            ("bad_signature", "65 bytes", {"signature": signature.hex() + "00"}),
            ("bad_signature", "no bytes", {"signature": ""}),
        ],
    )


def _names() -> list[Case]:
    author, question = keys("alma").public, question_id(NETWORK, "coin", 7)
    content = b"contribution"
    sealed = commit_digest(NETWORK, author, question, SALT, content)
    made: list[tuple[str, bytes, dict[str, Json]]] = [
        ("question", question, {"topic": "coin", "index": 7}),
        ("question", question_id(NETWORK, "départs", 2**40), {"topic": "départs", "index": 2**40}),
        ("commit", sealed, {"author": author, "question": question, "salt": SALT, "contribution": content}),
        (
            "commit_id",
            commit_id(NETWORK, author, question, sealed),
            {"author": author, "question": question, "digest": sealed},
        ),
        (
            "attest",
            attest_digest(NETWORK, author, question, SALT, 1),
            {"author": author, "question": question, "salt": SALT, "outcome": 1},
        ),
        ("lock", lock_id(b"\x33" * 32, 258), {"entry": b"\x33" * 32, "op": 258}),
        ("offence", offence_key("entry_fork", author), {"kind": "entry_fork", "offender": author}),
    ]
    return [
        valid(
            f"{what} {number}", check="name", what=what, network=NETWORK.hex(), of=plain(of), id=found.hex()
        )
        for number, (what, found, of) in enumerate(made)
    ]


def signatures() -> Json:
    """The file signatures.json."""
    good = [
        *map(_key, SEEDS),
        _signed("an entry's header", "troth/entry/1", NETWORK, PAYLOAD),
        _signed("the same payload of another network", "troth/entry/1", OTHER_NETWORK, PAYLOAD),
        _signed("the same payload under another domain", "troth/receipt/1", NETWORK, PAYLOAD),
        _signed("an empty payload", "troth/seal/1", NETWORK, b""),
        *_names(),
    ]
    bad_keys = [invalid("bad_key", what, check="public", public=key) for what, key in BAD_KEYS]
    return cases("Keys, preimages, ids and signatures (02).", good, [*bad_keys, *_bad_signatures()])
