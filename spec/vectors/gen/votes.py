"""votes.json and certificates.json: witness sets, batches of votes with their branches, and what a quorum makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from troth_protocol.log.committee import Committee, Member
from troth_protocol.log.vote import (
    CERTIFICATE,
    VOTE,
    VOTE_DOMAIN,
    Certificate,
    Vote,
    open_batch,
    sign_votes,
)
from troth_protocol.wire.codec import encode
from troth_protocol.wire.crypto import KeyPair, digest, preimage
from troth_protocol.wire.merkle import leaf_hash, root
from troth_protocol.wire.messages import MESSAGES, Votes

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
    raised_s,
    valid,
)

EPOCH: Final = 7
#: name -> weight in tokens; a quorum is more than two thirds of 100.
WEIGHTS: Final = {"dora": 40, "emil": 30, "fay": 20, "gil": 10}
WITNESSES: Final = sorted((keys(name) for name in WEIGHTS), key=lambda pair: pair.public)
NAMES: Final = {keys(name).public: name for name in WEIGHTS}
ENTRY: Final = digest(b"entry 0")


def committee(weights: Sequence[int] = ()) -> Committee:
    """The witness set of the vectors, with these weights or its usual ones in tokens."""
    usual = [WEIGHTS[NAMES[pair.public]] * TOKEN for pair in WITNESSES]
    pairs = zip(WITNESSES, weights or usual, strict=True)
    return Committee(tuple(Member(pair.public, weight) for pair, weight in pairs))


SET: Final = committee()


def place(name: str) -> int:
    """The place of a witness in the set."""
    found = SET.index(keys(name).public)
    if found is None:
        raise ValueError(name)
    return found


def _entries(count: int) -> list[bytes]:
    return [digest(b"entry %d" % number) for number in range(count)]


def vote_of(name: str, entries: Sequence[bytes] = (ENTRY,), index: int = 0, **other: Json) -> Vote:
    """One witness's vote for one entry of a batch; `other` are a network, an epoch or a set that it should not name."""
    what = {"network": NETWORK, "epoch": EPOCH, "committee": SET} | other
    return sign_votes(keys(name), entries=list(entries), **what)[index]


def setting(witness_set: Committee = SET, epoch: int = EPOCH) -> dict[str, Json]:
    """What a receiver of votes knows."""
    return {"network": NETWORK.hex(), "epoch": epoch, "witness_set": witness_set.encode().hex()}


def _shown(vote: Vote) -> dict[str, Json]:
    return {
        "member": vote.member,
        "root": vote.root.hex(),
        "index": vote.index,
        "size": vote.size,
        "branch": hexes(vote.branch),
        "signature": vote.signature.hex(),
    }


def _batch(name: str, voter: str, count: int, shown: Sequence[int]) -> Case:
    entries = _entries(count)
    votes = sign_votes(keys(voter), NETWORK, EPOCH, SET, entries)
    payload = encode({"epoch": EPOCH, "root": votes[0].root, "set": SET.digest})
    return valid(
        name,
        check="batch",
        **setting(),
        set_digest=SET.digest.hex(),
        seed=keys(voter).seed.hex(),
        entries=hexes(entries),
        leaves=hexes(map(leaf_hash, entries)),
        root=votes[0].root.hex(),
        payload=payload.hex(),
        preimage=preimage(VOTE_DOMAIN, NETWORK, payload).hex(),
        signature=votes[0].signature.hex(),
        votes=[
            {"entry": entries[i].hex(), "bytes": VOTE.encode(votes[i]).hex(), **_shown(votes[i])}
            for i in shown
        ],
    )


def _forged(signer: KeyPair, member: int, domain: str, payload: bytes) -> Vote:
    """A vote with a signature of this key over this payload, under this domain."""
    root = leaf_hash(ENTRY)
    return Vote(member, root, 0, 1, (), signer.sign(preimage(domain, NETWORK, payload)))


def _bad_votes() -> list[tuple[str, str, bytes]]:
    entries = _entries(5)
    good, pair = vote_of("dora"), vote_of("dora", entries[:2])
    third = vote_of("dora", entries, 2)
    top = encode({"epoch": EPOCH, "root": good.root, "set": SET.digest})
    without_epoch = encode({"root": good.root, "set": SET.digest})
    dora = good.member
    votes: list[tuple[str, str, Vote]] = [
        ("bad_member", "a place outside the set", replace(good, member=4)),
        ("bad_branch", "for another entry", vote_of("dora", [digest(b"another")])),
        ("bad_branch", "of another place in the batch", replace(pair, index=1)),
        ("bad_branch", "an index outside the batch", replace(pair, index=2)),
        ("bad_branch", "a batch of none", replace(good, size=0)),
        ("bad_branch", "a batch of one with a branch", replace(good, branch=(ENTRY,))),
        ("bad_branch", "a batch of two without a branch", replace(pair, branch=())),
        ("bad_branch", "another sibling", replace(pair, branch=(ENTRY,))),
        ("bad_branch", "the votes of another entry of the batch", replace(third, index=0)),
        ("bad_branch", "another root", replace(good, root=digest(b"root"))),
        ("bad_signature", "of another member", replace(good, member=place("emil"))),
        ("bad_signature", "of somebody outside the set", _forged(keys("alma"), dora, VOTE_DOMAIN, top)),
        ("bad_signature", "of another epoch", vote_of("dora", epoch=EPOCH + 1)),
        ("bad_signature", "of another network", vote_of("dora", network=OTHER_NETWORK)),
        ("bad_signature", "of another witness set", vote_of("dora", committee=committee([1, 1, 1, 1]))),
        ("bad_signature", "under another domain", _forged(keys("dora"), dora, "troth/batch/1", top)),
        ("bad_signature", "over the root alone", _forged(keys("dora"), dora, VOTE_DOMAIN, good.root)),
        ("bad_signature", "over root and set", _forged(keys("dora"), dora, VOTE_DOMAIN, without_epoch)),
        ("bad_signature", "over the entry", _forged(keys("dora"), dora, VOTE_DOMAIN, ENTRY)),
        ("bad_signature", "a bit of it", replace(good, signature=flipped(good.signature, 0))),
        ("bad_signature", "S + L for S", replace(good, signature=raised_s(good.signature))),
    ]
    data = VOTE.encode(good)
    fields: list[tuple[str, str, bytes]] = [
        ("bad_field", "place 64", changed(data, member=64)),
        ("bad_field", "a batch of 257", changed(data, size=257)),
        ("bad_field", "a branch of nine", changed(data, branch=[ENTRY] * 9)),
        ("bad_field", "a signature of 65 bytes", changed(data, signature=good.signature + b"\x00")),
        ("missing_field", "no size", changed(data, size=None)),
        ("unknown_field", "a weight", changed(data, weight="40")),
    ]
    return [(code, what, VOTE.encode(vote)) for code, what, vote in votes] + fields


def _together(name: str, entries: Sequence[bytes], **other: Json) -> Votes:
    """The votes of one witness for a batch in one message; `other` as in `vote_of`."""
    return Votes(tuple(entries), vote_of(name, entries, **other).signature)


def _opened(name: str, voter: str, batch: Votes, awaited: Sequence[bytes]) -> Case:
    """What a receiver makes of a batch, with the leaves and the root in between."""
    peer = keys(voter).public
    found = open_batch(batch, peer, set(awaited).__contains__, NETWORK, EPOCH, SET)
    leaves = [leaf_hash(entry) for entry in batch.entries]
    return valid(
        name,
        check="votes",
        **setting(),
        peer=peer.hex(),
        awaited=hexes(awaited),
        bytes=hexed(MESSAGES.encode(batch)),
        entries=hexes(batch.entries),
        leaves=hexes(leaves),
        root=root(leaves).hex(),
        votes=[
            {"entry": entry.hex(), "bytes": VOTE.encode(vote).hex(), **_shown(vote)} for entry, vote in found
        ],
    )


def _good_batches() -> list[Case]:
    two, five, most = _entries(2), _entries(5), _entries(256)
    spoilt = replace(_together("dora", two), signature=bytes(64))
    return [
        _opened(
            "one entry in one message: its vote has no branch", "dora", _together("dora", two[:1]), two[:1]
        ),
        _opened("two entries in one message", "emil", _together("emil", two), two),
        _opened(
            "five entries, three of them awaited", "fay", _together("fay", five), [*five[2:], ENTRY[::-1]]
        ),
        _opened("256 entries, the last awaited", "gil", _together("gil", most), most[-1:]),
        _opened("two entries, none awaited: nothing is counted", "dora", _together("dora", two), five[2:]),
        _opened("two entries from no member: nothing is counted", "alma", spoilt, two),
    ]


def _bad_batches() -> list[Case]:
    entries = _entries(3)
    good = _together("dora", entries)
    batches: list[tuple[str, str, Votes]] = [
        ("duplicate", "an entry twice", _together("dora", [*entries, ENTRY])),
        ("duplicate", "a batch of one entry, twice", _together("dora", [ENTRY, ENTRY])),
        ("bad_signature", "the entries in another order", replace(good, entries=good.entries[::-1])),
        ("bad_signature", "an entry left out", replace(good, entries=good.entries[:2])),
        ("bad_signature", "an entry added", replace(good, entries=(*good.entries, digest(b"another")))),
        ("bad_signature", "of another member", _together("emil", entries)),
        ("bad_signature", "of another epoch", _together("dora", entries, epoch=EPOCH + 1)),
        ("bad_signature", "of another network", _together("dora", entries, network=OTHER_NETWORK)),
        ("bad_signature", "of another witness set", _together("dora", entries, committee=committee([1] * 4))),
        ("bad_signature", "of one entry alone", replace(good, signature=vote_of("dora").signature)),
        ("bad_signature", "a bit of it", replace(good, signature=flipped(good.signature, 0))),
        ("bad_signature", "S + L for S", replace(good, signature=raised_s(good.signature))),
    ]
    data = MESSAGES.encode(good)
    fields: list[tuple[str, str, bytes]] = [
        ("bad_field", "no entry", changed(data, entries=[])),
        ("bad_field", "257 entries", changed(data, entries=_entries(257))),
        ("bad_field", "an id of 33 bytes", changed(data, entries=[ENTRY + b"\x00"])),
        ("bad_field", "a signature of 63 bytes", changed(data, signature=good.signature[1:])),
        ("missing_field", "no signature", changed(data, signature=None)),
        ("unknown_field", "a member", changed(data, member=place("dora"))),
    ]
    made = [(code, what, MESSAGES.encode(batch)) for code, what, batch in batches]
    what_is_known = {**setting(), "peer": keys("dora").public.hex(), "awaited": hexes([ENTRY])}
    return [
        invalid(code, f"votes in one message: {what}", check="votes", **what_is_known, bytes=hexed(bad))
        for code, what, bad in made + fields
    ]


def votes() -> Json:
    """The file votes.json."""
    good = [
        _batch("one entry: the root is its leaf, no branch", "dora", 1, [0]),
        _batch("two entries", "emil", 2, [0, 1]),
        _batch("five entries", "fay", 5, [0, 3, 4]),
        _batch("256 entries", "gil", 256, [0, 255]),
        *_good_batches(),
    ]
    bad = [
        invalid(code, what, check="vote", **setting(), entry=ENTRY.hex(), bytes=hexed(data))
        for code, what, data in _bad_votes()
    ]
    about = "Votes (03): one signature over the root of a batch, a branch for each entry."
    return cases(about, good, [*bad, *_bad_batches()])


def certificate(names: Sequence[str], *, index: int = 0, entries: Sequence[bytes] = (ENTRY,)) -> Certificate:
    """A certificate of these witnesses, in the order of their places."""
    found = [vote_of(name, entries, index) for name in names]
    return Certificate(entries[index], EPOCH, tuple(sorted(found, key=lambda vote: vote.member)))


def _certified(name: str, made: Certificate, witness_set: Committee = SET) -> Case:
    weight = witness_set.weigh(vote.member for vote in made.votes)
    return valid(
        name,
        check="certificate",
        **setting(witness_set),
        entry=made.entry.hex(),
        members=[vote.member for vote in made.votes],
        weight=str(weight),
        quorum=str(witness_set.quorum),
        bytes=CERTIFICATE.encode(made).hex(),
    )


def _equal(names: Sequence[str], weights: Sequence[int]) -> tuple[Certificate, Committee]:
    """A certificate of these witnesses under other weights."""
    witness_set = committee(weights)
    found = [vote_of(name, committee=witness_set) for name in names]
    return Certificate(ENTRY, EPOCH, tuple(sorted(found, key=lambda vote: vote.member))), witness_set


def _bad_certificates() -> list[Case]:
    good = certificate(["dora", "emil"])
    dora, emil = sorted(good.votes, key=lambda vote: NAMES[WITNESSES[vote.member].public])
    twice = replace(good, votes=(dora, dora))
    members: list[tuple[str, str, Certificate]] = [
        ("not_enough_weight", "half", certificate(["emil", "fay"])),
        ("not_enough_weight", "one member", certificate(["dora"])),
        ("bad_member", "a member twice", twice),
        ("bad_member", "a place outside the set", replace(good, votes=(dora, replace(emil, member=5)))),
        (
            "bad_branch",
            "a vote for another entry",
            replace(good, votes=(dora, vote_of("emil", [digest(b"x")]))),
        ),
        ("bad_branch", "for another entry than its votes", replace(good, entry=digest(b"another"))),
        ("bad_signature", "one vote of another epoch", replace(good, votes=(dora, vote_of("emil", epoch=8)))),
        ("bad_signature", "two votes with their places exchanged", _exchanged(good)),
        ("bad_signature", "of another epoch than its votes", replace(good, epoch=EPOCH + 1)),
        ("bad_signature", "one bad vote beyond the quorum", _with_bad_third()),
    ]
    out = [
        invalid(
            code, what, check="certificate", **setting(epoch=made.epoch), bytes=CERTIFICATE.encode(made).hex()
        )
        for code, what, made in members
    ]
    for weights, what in (([4, 4, 4, 1], "one unit short"), ([2, 1, 2, 1], "exactly two thirds")):
        made, witness_set = _two_thirds(weights)
        data = CERTIFICATE.encode(made).hex()
        out.append(
            invalid("not_enough_weight", what, check="certificate", **setting(witness_set), bytes=data)
        )
    data = CERTIFICATE.encode(good)
    fields = [
        ("bad_field", "no votes", changed(data, votes=[])),
        ("bad_field", "65 votes", changed(data, votes=[VOTE.dump(dora)] * 65)),
        ("missing_field", "no epoch", changed(data, epoch=None)),
        ("unknown_field", "a field too many", changed(data, weight="70")),
        ("trailing", "a byte after it", data + b"\x00"),
    ]
    return out + [
        invalid(code, what, check="certificate", **setting(), bytes=hexed(bad)) for code, what, bad in fields
    ]


def _exchanged(good: Certificate) -> Certificate:
    first, second = good.votes
    return replace(good, votes=(replace(first, member=second.member), replace(second, member=first.member)))


def _with_bad_third() -> Certificate:
    made = certificate(["dora", "emil", "fay"])
    bad = replace(made.votes[-1], signature=flipped(made.votes[-1].signature, 0))
    return replace(made, votes=(*made.votes[:-1], bad))


def _two_thirds(weights: Sequence[int]) -> tuple[Certificate, Committee]:
    """Votes of members who weigh two thirds of these weights, or as near below as they can."""
    witness_set = committee(weights)
    chosen: list[str] = []
    for member in witness_set.members:
        names = [*chosen, NAMES[member.key]]
        weight = sum(weights[place(name)] for name in names)
        if 3 * weight <= 2 * sum(weights):
            chosen = names
    return _equal(chosen, weights)


def _sets() -> tuple[list[Case], list[Case]]:
    rows: list[list[Json]] = [[member.key, str(member.weight)] for member in SET.members]
    good = valid(
        "four witnesses",
        check="witness_set",
        members=[[member.key.hex(), str(member.weight)] for member in SET.members],
        bytes=SET.encode().hex(),
        digest=SET.digest.hex(),
        total=str(SET.total),
        quorum=str(SET.quorum),
        third=str(SET.third),
    )
    bad: list[tuple[str, str, Json]] = [
        ("bad_member", "nobody", []),
        ("bad_member", "65 witnesses", sorted([digest(b"%d" % i), "1"] for i in range(65))),
        ("bad_member", "out of order", rows[::-1]),
        ("bad_member", "one twice", [rows[0], rows[0]]),
        ("bad_member", "a weight of 0", [[rows[0][0], "0"]]),
        ("bad_member", "a key of 31 bytes", [[rows[0][0][:31], "1"]]),
        ("bad_member", "a key alone", [[rows[0][0]]]),
        ("bad_member", "a map", {}),
        ("bad_amount", "a weight that is a number", [[rows[0][0], 1]]),
        ("bad_amount", "a weight with a leading zero", [[rows[0][0], "01"]]),
    ]
    return [good], [
        invalid(code, f"a witness set: {what}", check="witness_set", bytes=hexed(encode(data)))
        for code, what, data in bad
    ]


def certificates() -> Json:
    """The file certificates.json."""
    good_sets, bad_sets = _sets()
    thirds, third_set = _equal(["dora", "emil", "fay"], [1, 1, 1, 1])
    units, unit_set = _equal(list(WEIGHTS), [10**37, 1, 1, 10**37])
    good = [
        _certified("70 of 100", certificate(["dora", "emil"])),
        _certified("everybody", certificate(list(WEIGHTS))),
        _certified("votes of batches", certificate(["dora", "emil"], index=3, entries=_entries(5))),
        _certified("three of four equal weights", thirds, third_set),
        _certified("weights beyond 64 bits", units, unit_set),
    ]
    return cases(
        "Witness sets and certificates (03): distinct members, more than two thirds of the weight, every vote good.",
        [*good_sets, *good],
        [*_bad_certificates(), *bad_sets],
    )
