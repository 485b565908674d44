"""entries.json: entries from their ops to their bytes, and bytes that are no entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from troth_protocol.log.entry import DEPS_MAX, ENTRY_DOMAIN, ENTRY_MAX_BYTES, OPS_MAX, Entry, make_entry
from troth_protocol.log.ops import (
    OPS,
    Accuse,
    Agree,
    AskOp,
    Attest,
    AttestReveal,
    AuctionOp,
    BidOp,
    BidReveal,
    Bond,
    CommitOp,
    LockOp,
    Op,
    Resume,
    Reveal,
    Sponsored,
    Transfer,
    Unbond,
    Unlock,
)
from troth_protocol.log.rows import NO_HEAD
from troth_protocol.wire.codec import decode, encode
from troth_protocol.wire.crypto import KeyPair, digest, preimage

from .common import (
    NETWORK,
    OTHER_NETWORK,
    TOKEN,
    Case,
    Json,
    cases,
    changed,
    flipped,
    hexed,
    hexes,
    invalid,
    keys,
    plain,
    raised_s,
    valid,
)

ALMA, BRUNO = keys("alma"), keys("bruno")
PAY: Final = Transfer(BRUNO.public, 5 * TOKEN, b"hi")
ONE, TWO, THREE = (digest(bytes([number])) for number in (1, 2, 3))
#: At least one of each op; what they name need not exist for their bytes to be in order.
EVERY_OP: Final[tuple[Op, ...]] = (
    PAY,
    Bond(3 * TOKEN, "witness"),
    Unbond(1, "attester"),
    Resume(7, ONE),
    LockOp(BRUNO.public, 10**38 - 1, TWO, 9),
    Unlock(ONE[:30] + b"\x00\x04", b"preimage"),
    CommitOp(ONE, TWO, 0),
    Reveal(ONE, TWO, b"contribution"),
    Agree(b"agreement", ONE + TWO, TWO + ONE),
    Attest(ONE, TWO),
    AttestReveal(ONE, 63, TWO),
    Accuse(b""),
    AuctionOp(ONE, 64, TWO, 10**38 - 1, THREE),
    BidOp(ONE, TWO),
    BidReveal(ONE, 1, TWO),
    AskOp(Sponsored("weather", "Rain?", ("yes", "no"), (500_000, 500_000), 9, 1, 2, 2, 2), 10**38 - 1),
)


def _made(
    ops: Sequence[Op],
    *,
    deps: Sequence[bytes] = (),
    incarnation: int = 0,
    epoch: int = 1,
    seq: int = 1,
    prev: bytes = NO_HEAD,
    network: bytes = NETWORK,
) -> Entry:
    place = {"incarnation": incarnation, "epoch": epoch, "seq": seq}
    return make_entry(ALMA, network, **place, prev=prev, deps=deps, ops=ops)


def _fields(entry: Entry) -> dict[str, bytes]:
    value = decode(entry.data)
    if not isinstance(value, dict):
        raise TypeError("no map")
    return {name: item for name, item in value.items() if isinstance(item, bytes)}


def _good(name: str, entry: Entry) -> Case:
    header, wire = entry.header, _fields(entry)
    return valid(
        name,
        check="entry",
        network=header.network.hex(),
        seed=ALMA.seed.hex(),
        author=header.author.hex(),
        incarnation=header.incarnation,
        epoch=header.epoch,
        seq=header.seq,
        prev=header.prev.hex(),
        deps=hexes(entry.deps),
        ops=plain([OPS.dump(op) for op in entry.ops]),
        deps_bytes=hexed(wire["deps"]),
        deps_digest=header.deps.hex(),
        ops_bytes=hexed(wire["ops"]),
        ops_digest=header.ops.hex(),
        header=wire["header"].hex(),
        preimage=preimage(ENTRY_DOMAIN, header.network, wire["header"]).hex(),
        id=entry.id.hex(),
        signature=wire["signature"].hex(),
        bytes=hexed(entry.data),
    )


def _entries() -> list[Case]:
    first = _made([PAY])
    later = _made(
        [Bond(1, "agent")], incarnation=2, epoch=5, seq=2**53 - 1, prev=first.id, deps=[TWO, ONE, THREE]
    )
    return [
        _good("the first of a log", first),
        _good("the next one, with deps", later),
        *(_good(f"a {OPS.name_of(op)}", _made([op])) for op in EVERY_OP[1:]),
        _good("every op in one entry", _made(EVERY_OP)),
        _good("256 ops", _made([Accuse(b"")] * OPS_MAX)),
        _good("of another network", _made([PAY], network=OTHER_NETWORK)),
    ]


def _forged(
    good: Entry, *, signer: KeyPair = ALMA, body: dict[str, bytes] | None = None, **header: Json
) -> bytes:
    """A good entry with other deps, ops or header fields; digests and signature are made to fit."""
    wire = _fields(good) | (body or {})
    digests = {name: digest(wire[name]) for name in body or {}}
    wire["header"] = changed(wire["header"], **digests, **header)
    wire["signature"] = signer.sign(preimage(ENTRY_DOMAIN, NETWORK, wire["header"]))
    return encode({**wire})


def _with_ops(good: Entry, ops: Json) -> bytes:
    return _forged(good, body={"ops": encode(ops)})


def _with_deps(good: Entry, deps: Json) -> bytes:
    return _forged(good, body={"deps": encode(deps)})


def _bad_ops(good: Entry) -> list[tuple[str, str, bytes]]:
    pay = OPS.dump(PAY)
    if not isinstance(pay, dict):
        raise TypeError("no map")
    ops: list[tuple[str, str, Json]] = [
        ("no_ops", "an empty list", []),
        ("no_ops", "257 ops", [{"op": "accuse", "evidence": b""}] * (OPS_MAX + 1)),
        ("no_ops", "a map", {}),
        ("unknown_kind", "an op that does not exist", [{"op": "steal"}]),
        ("unknown_kind", "an op without a name", [{"amount": "5"}]),
        ("unknown_kind", "an op whose name is a number", [pay | {"op": 7}]),
        ("unknown_kind", "an op that is a list", [[]]),
        ("unknown_field", "a transfer with a field too many", [pay | {"memo": b""}]),
        ("missing_field", "a transfer to nobody", [{key: item for key, item in pay.items() if key != "to"}]),
        ("bad_field", "a key of 31 bytes", [pay | {"to": bytes(31)}]),
        ("bad_field", "a reference of 65 bytes", [pay | {"ref": bytes(65)}]),
        ("bad_field", "text for bytes", [pay | {"ref": "hi"}]),
        ("bad_field", "a role that does not exist", [{"op": "bond", "amount": "5", "role": "judge"}]),
        (
            "bad_field",
            "an outcome of 64",
            [{"op": "attest_reveal", "question": ONE, "outcome": 64, "salt": TWO}],
        ),
        (
            "bad_field",
            "a bool for an outcome",
            [{"op": "attest_reveal", "question": ONE, "outcome": True, "salt": TWO}],
        ),
        ("bad_field", "an auction of 65 units", [OPS.dump(EVERY_OP[12]) | {"units": 65}]),
        ("bad_field", "a negative epoch", [OPS.dump(EVERY_OP[4]) | {"until": -1}]),
        ("bad_field", "an agreement of 2,049 bytes", [OPS.dump(EVERY_OP[8]) | {"agreement": bytes(2_049)}]),
        (
            "bad_field",
            "a contribution of 16,385 bytes",
            [OPS.dump(EVERY_OP[7]) | {"contribution": bytes(16_385)}],
        ),
        ("bad_field", "evidence of 102,401 bytes", [{"op": "accuse", "evidence": bytes(102_401)}]),
        ("bad_amount", "a number for an amount", [pay | {"amount": 5}]),
        ("bad_amount", "a leading zero", [pay | {"amount": "05"}]),
        ("bad_amount", "a sign", [pay | {"amount": "-5"}]),
        ("bad_amount", "no digits", [pay | {"amount": ""}]),
        ("bad_amount", "10^38", [pay | {"amount": "1" + "0" * 38}]),
        ("bad_amount", "digits of another script", [pay | {"amount": "٣"}]),
        ("bad_amount", "a line break", [pay | {"amount": "5\n"}]),
    ]
    return [(code, what, _with_ops(good, value)) for code, what, value in ops]


def _bad_deps(good: Entry) -> list[tuple[str, str, bytes]]:
    ordered = sorted([ONE, TWO])
    deps: list[tuple[str, Json]] = [
        ("out of order", ordered[::-1]),
        ("one twice", [ONE, ONE]),
        ("an id of 31 bytes", [ONE[:31]]),
        ("text", ["x"]),
        ("a map", {}),
        ("257 of them", sorted(digest(b"dep %d" % i) for i in range(DEPS_MAX + 1))),
    ]
    return [("bad_deps", what, _with_deps(good, value)) for what, value in deps]


def _bad_headers(good: Entry) -> list[tuple[str, str, bytes]]:
    wire, signature = _fields(good), good.signed.signature
    other = _fields(_made([Bond(1, "agent")]))
    weak = bytes(32)
    return [
        ("entry_too_large", "one byte too many", _padded(good)),
        ("wrong_network", "of another network", _made([PAY], network=OTHER_NETWORK).data),
        ("bad_digest", "the ops of another entry", encode({**wire, "ops": other["ops"]})),
        ("bad_digest", "other deps", encode({**wire, "deps": encode([ONE])})),
        ("bad_signature", "a bit of it", encode({**wire, "signature": flipped(signature, 0)})),
        ("bad_signature", "S + L for S", encode({**wire, "signature": raised_s(signature)})),
        ("bad_signature", "of somebody else", _forged(good, signer=BRUNO)),
        ("bad_signature", "an author of small order", _forged(good, author=weak)),
        (
            "bad_signature",
            "a header with another seq",
            encode({**wire, "header": changed(wire["header"], seq=2)}),
        ),
        ("bad_field", "a signature of 63 bytes", encode({**wire, "signature": signature[:63]})),
        ("bad_field", "a seq that is text", _forged(good, seq="1")),
        ("bad_field", "a bool for a seq", _forged(good, seq=True)),
        ("bad_field", "a prev of 31 bytes", _forged(good, prev=bytes(31))),
        ("unknown_field", "a header with a time", _forged(good, time=7)),
        ("missing_field", "a header without an incarnation", _forged(good, incarnation=None)),
        ("missing_field", "no signature", changed(good.data, signature=None)),
        ("unknown_field", "a field too many", changed(good.data, note=b"")),
        ("not_canonical", "a header in a longer form", _longer_header(good)),
        ("key_order", "a header whose keys are not in order", _unordered_header(good)),
        ("trailing", "a byte after it", good.data + b"\x00"),
        ("truncated", "a byte short", good.data[:-1]),
    ]


def _padded(good: Entry) -> bytes:
    """An entry of one byte more than may be: a list of accusations of nobody, one of them as long as it takes."""
    room = [bytes(100_000), bytes(30_000)]
    data = _with_ops(good, [{"op": "accuse", "evidence": item} for item in room])
    room[1] += bytes(ENTRY_MAX_BYTES + 1 - len(data))
    return _with_ops(good, [{"op": "accuse", "evidence": item} for item in room])


def _resigned(good: Entry, header: bytes) -> bytes:
    wire = _fields(good) | {"header": header, "signature": ALMA.sign(preimage(ENTRY_DOMAIN, NETWORK, header))}
    return encode({**wire})


def _longer_header(good: Entry) -> bytes:
    header = good.signed.header
    return _resigned(good, header.replace(b"\xa3seq\x01", b"\xa3seq\xcc\x01"))


def _unordered_header(good: Entry) -> bytes:
    header = good.signed.header
    field = b"\xa3seq\x01"
    return _resigned(good, header[:1] + field + header[1:].replace(field, b""))


def entries() -> Json:
    """The file entries.json."""
    good = _made([PAY])
    bad = [*_bad_headers(good), *_bad_deps(good), *_bad_ops(good)]
    return cases(
        "Entries (03): header, digests, id and signature; judged from their bytes alone.",
        _entries(),
        [
            invalid(code, what, check="entry", network=NETWORK.hex(), bytes=hexed(data))
            for code, what, data in bad
        ],
    )
