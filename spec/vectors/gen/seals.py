"""seals.json: a chain of seals as a light client follows it, rows proved under it, and what it must not believe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from troth_protocol.close.seal import SEAL, SEAL_DOMAIN, SIGNED_SEAL, SignedSeal, seal_id, sign_seal
from troth_protocol.log.committee import Committee
from troth_protocol.log.rows import TABLES
from troth_protocol.log.state import TOTALS_KEY
from troth_protocol.wire.crypto import digest, preimage

from .common import (
    OTHER_NETWORK,
    Case,
    Json,
    cases,
    changed,
    flipped,
    hexed,
    invalid,
    keys,
    plain,
    raised_s,
    valid,
)
from .story import GENESIS, NAMES, NETWORK, Told, commit_of, quorum, story

#: (epoch, table, key): rows proved under the seal of that epoch.
PROVED: Final = (
    (1, "accounts", keys("ivan").public),
    (3, "commits", commit_of("alma")),
    (7, "standings", b"coin/" + keys("alma").public),
    (7, "totals", TOTALS_KEY),
)


def _checkpoint(told: Told) -> dict[str, Json]:
    """What a light client holds before it sees the seal."""
    return {
        "network": NETWORK.hex(),
        "epoch": told.epoch - 1,
        "prev": told.prev.hex(),
        "witness_set": told.committee.encode().hex(),
    }


def _followed(told: Told) -> Case:
    seal = SEAL.decode(told.payload)
    members = [member for member, _ in told.signed.signatures]
    return valid(
        f"epoch {told.epoch}",
        check="advance",
        **_checkpoint(told),
        seal=SIGNED_SEAL.encode(told.signed).hex(),
        next_set=told.closed.committee.encode().hex(),
        payload=told.payload.hex(),
        value=plain(SEAL.dump(seal)),
        preimage=preimage(SEAL_DOMAIN, NETWORK, told.payload).hex(),
        id=seal_id(NETWORK, told.payload).hex(),
        signatures=[[member, signature.hex()] for member, signature in told.signed.signatures],
        weight=str(told.committee.weigh(members)),
        quorum=str(told.committee.quorum),
        state=seal.state.hex(),
    )


def _proved(epoch: int, table: str, key: bytes) -> Case:
    state = story()[epoch - 1].closed.state
    name = f"a row of {table} under the seal of epoch {epoch}"
    return valid(name, check="row", state=state.root().hex(), proof=plain(state.prove(table, key)))


def _signed(
    payload: bytes, committee: Committee, members: Sequence[bytes], network: bytes = NETWORK
) -> SignedSeal:
    """A payload with signatures of these members, in the order of their places."""
    places = sorted((committee.index(key) or 0, key) for key in members)
    return SignedSeal(
        payload, tuple((at, sign_seal(keys(NAMES[key]), network, payload)) for at, key in places)
    )


def _changed(told: Told, **fields: Json) -> SignedSeal:
    """Another seal of the epoch, signed by a quorum all the same."""
    return _signed(changed(told.payload, **fields), told.committee, quorum(told.committee))


def _bad_payloads(told: Told) -> list[tuple[str, str, SignedSeal]]:
    second = story()[told.epoch]
    good = told.signed
    return [
        ("wrong_network", "of another network", _changed(told, network=OTHER_NETWORK)),
        ("wrong_epoch", "of the epoch before", _changed(told, epoch=told.epoch - 1)),
        ("wrong_epoch", "of the epoch after", _changed(told, epoch=told.epoch + 1)),
        ("wrong_epoch", "the next one before this one", second.signed),
        ("wrong_prev", "that follows another seal", _changed(told, prev=digest(b"another past"))),
        ("wrong_prev", "that follows the network id", _changed(told, prev=NETWORK)),
        ("bad_signature", "with another state root", SignedSeal(_other_state(told), good.signatures)),
        ("missing_field", "without a state root", _changed(told, state=None)),
        ("unknown_field", "with a time", _changed(told, time=7)),
        ("bad_field", "with a cut of 20,001 chunks", _changed(told, cut_size=20_001)),
        (
            "trailing",
            "with a byte after it",
            _signed(told.payload + b"\x00", told.committee, quorum(told.committee)),
        ),
    ]


def _other_state(told: Told) -> bytes:
    return changed(told.payload, state=digest(b"another state"))


def _bad_signatures(told: Told) -> list[tuple[str, str, SignedSeal]]:
    payload, members = told.payload, quorum(told.committee)
    good = _signed(payload, told.committee, members)
    (first, one), *rest = good.signatures
    light = [member.key for member in told.committee.members if member.key not in members]
    exchanged = tuple(
        (place, two) for (place, _), (_, two) in zip(good.signatures, good.signatures[::-1], strict=True)
    )
    return [
        ("not_enough_weight", "by one member", SignedSeal(payload, good.signatures[:1])),
        ("not_enough_weight", "by whoever is not of the quorum", _signed(payload, told.committee, light)),
        ("bad_member", "by a member twice", SignedSeal(payload, (*good.signatures, (first, one)))),
        ("bad_member", "by a place outside the set", SignedSeal(payload, (*good.signatures, (60, one)))),
        ("bad_signature", "by members whose signatures are exchanged", SignedSeal(payload, exchanged)),
        ("bad_signature", "with a bit changed", SignedSeal(payload, ((first, flipped(one, 0)), *rest))),
        ("bad_signature", "with S + L for S", SignedSeal(payload, ((first, raised_s(one)), *rest))),
        (
            "bad_signature",
            "signed for another network",
            _signed(payload, told.committee, members, OTHER_NETWORK),
        ),
        ("bad_signature", "signed under another domain", _under_report(told, members)),
        ("bad_field", "by nobody", SignedSeal(payload, ())),
        ("bad_field", "by place 64", SignedSeal(payload, (*good.signatures, (64, one)))),
    ]


def _under_report(told: Told, members: Sequence[bytes]) -> SignedSeal:
    data = preimage("troth/report/1", NETWORK, told.payload)
    places = sorted((told.committee.index(key) or 0, key) for key in members)
    return SignedSeal(told.payload, tuple((at, keys(NAMES[key]).sign(data)) for at, key in places))


def _refused() -> list[Case]:
    told = story()[2]
    next_set, usual = told.closed.committee.encode(), told.committee.encode()
    rows = [*_bad_payloads(told), *_bad_signatures(told)]
    fields = _checkpoint(told) | {"next_set": next_set.hex()}
    out = [
        invalid(code, f"a seal {what}", check="advance", **fields, seal=hexed(_encoded(seal)))
        for code, what, seal in rows
    ]
    good = SIGNED_SEAL.encode(told.signed).hex()
    sets: list[tuple[str, str, bytes]] = [
        ("wrong_set", "the next set is the old one", usual),
        ("wrong_set", "the next set without its smallest member", _smaller(told.closed.committee)),
        ("bad_member", "the next set out of order", _reversed(told.closed.committee)),
    ]
    out += [
        invalid(code, what, check="advance", **_checkpoint(told), seal=good, next_set=data.hex())
        for code, what, data in sets
    ]
    return out


def _encoded(seal: SignedSeal) -> bytes:
    return SIGNED_SEAL.encode(seal)


def _smaller(committee: Committee) -> bytes:
    least = min(committee.members, key=lambda member: member.weight)
    return Committee(tuple(member for member in committee.members if member != least)).encode()


def _reversed(committee: Committee) -> bytes:
    return Committee(committee.members[::-1]).encode()


def _bad_rows() -> list[Case]:
    before, after = story()[2].closed.state, story()[3].closed.state
    proof = before.prove("accounts", keys("alma").public)
    if not isinstance(proof, dict):
        raise TypeError("no map")
    row = TABLES["accounts"].dump(before.account(keys("carla").public))
    state = before.root().hex()
    swapped = {"state": state, "proof": plain(proof | {"row": row})}
    return [
        invalid(
            "bad_branch",
            "a row under the seal of the next epoch",
            check="row",
            state=after.root().hex(),
            proof=plain(proof),
        ),
        invalid("bad_branch", "the row of somebody else", check="row", **swapped),
    ]


def seals() -> Json:
    """The file seals.json."""
    told = story()
    good = [*map(_followed, told), *(_proved(*row) for row in PROVED)]
    return cases(
        "Seals (04): a light client holds network, epoch, prev and witness set, and follows the chain seal by seal.",
        good,
        [*_refused(), *_bad_rows()],
        genesis=hexed(GENESIS.encode()),
    )
