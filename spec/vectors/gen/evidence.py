"""evidence.json: what convicts an author or a witness, and what looks like it but proves nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from troth_protocol.evidence import EVIDENCE, EntryFork, SeenVote, VoteFork, entry_fork
from troth_protocol.log.entry import ENTRY_DOMAIN, Entry, SignedHeader, make_entry
from troth_protocol.log.ops import Bond
from troth_protocol.log.rows import NO_HEAD
from troth_protocol.log.vote import Vote, sign_votes
from troth_protocol.wire.codec import decode, encode
from troth_protocol.wire.crypto import KeyPair, digest, preimage

from .common import NETWORK, OTHER_NETWORK, Case, Json, cases, changed, flipped, hexed, invalid, keys, valid
from .contradictions import convicting, refusals
from .sales import accusation, broken, ciphertext_of, terms_of
from .talks import BUYER, SELLER
from .votes import EPOCH, SET, committee

ALMA, DORA = keys("alma"), keys("dora")


def _entry(amount: int, signer: KeyPair = ALMA, **other: Json) -> Entry:
    place = {"incarnation": 0, "epoch": EPOCH, "seq": 3, "prev": NO_HEAD, "network": NETWORK} | other
    return make_entry(signer, place.pop("network"), deps=(), ops=[Bond(amount, "agent")], **place)


ONE, TWO = _entry(1), _entry(2)


def _vote(entry: Entry, *, among: Sequence[bytes] = (), signer: KeyPair = DORA, **other: Json) -> Vote:
    what = {"network": NETWORK, "epoch": EPOCH, "committee": SET} | other
    entries = [entry.id, *among]
    return sign_votes(signer, entries=entries, **what)[0]


def _fork(first: Entry, second: Entry) -> bytes:
    return entry_fork(first.signed, second.signed)


def _halves(first: SignedHeader, second: SignedHeader) -> bytes:
    return EVIDENCE.encode(EntryFork(first, second))


def _votes(
    first: SeenVote, second: SeenVote, witness: bytes = DORA.public, digest_of_set: bytes = SET.digest
) -> bytes:
    pair = sorted((first, second), key=lambda seen: seen.header.header)
    return EVIDENCE.encode(VoteFork(witness, digest_of_set, *pair))


def _seen(entry: Entry, vote: Vote | None = None) -> SeenVote:
    return SeenVote(entry.signed, vote or _vote(entry))


def _good(
    name: str, data: bytes, kind: str, offender: bytes, place: Mapping[str, Json], epoch: int = EPOCH
) -> Case:
    proves = {"kind": kind, "offender": offender.hex(), "epoch": epoch, "place": place}
    return valid(name, check="evidence", network=NETWORK.hex(), bytes=hexed(data), proves=proves)


def _convicting() -> list[Case]:
    batched = _vote(TWO, among=[digest(b"a"), digest(b"b")])
    restored = _entry(1, incarnation=1)
    entry, vote = {"incarnation": 0, "seq": 3}, {"author": ALMA.public.hex(), "seq": 3}
    dora = ("vote_fork", DORA.public, vote)
    return [
        _good("two entries at one place", _fork(ONE, TWO), "entry_fork", ALMA.public, entry),
        _good("two votes at one place", _votes(_seen(ONE), _seen(TWO)), *dora),
        _good("a vote of a batch", _votes(_seen(ONE), _seen(TWO, batched)), *dora),
        _good("votes across an incarnation", _votes(_seen(ONE), _seen(restored)), *dora),
        *(_good(name, data, kind, DORA.public, place) for name, data, kind, place in convicting()),
        *_misdelivered(),
    ]


def _misdelivered() -> list[Case]:
    return [
        _good(
            f"misdelivery: {what}",
            accusation(terms, data, key),
            "misdelivery",
            SELLER.public,
            {"buyer": terms.buyer.hex(), "hash": terms.hash.hex()},
            terms.until,
        )
        for what, data, terms, key in broken()
    ]


def _delivered() -> list[tuple[str, str, bytes]]:
    """Accusations of a seller that did what it promised, or promised nothing."""
    good, junk = ciphertext_of(), b"junk"
    value = accusation(terms_of(junk), junk)
    foreign = accusation(terms_of(junk, network=OTHER_NETWORK), junk)
    return [
        ("not_evidence", "a key that opens the commit", accusation(terms_of(good), good)),
        ("bad_digest", "a ciphertext that the terms do not name", accusation(terms_of(good), junk)),
        ("bad_digest", "a key that the terms do not name", accusation(terms_of(good), good, digest(b"key"))),
        ("bad_signature", "terms that the buyer signed", accusation(terms_of(junk), junk, signer=BUYER)),
        ("bad_terms", "an exchange with oneself", accusation(terms_of(junk, buyer=SELLER.public), junk)),
        ("bad_terms", "a commit of another digest", accusation(terms_of(junk, commit=digest(b"c")), junk)),
        ("wrong_network", "terms of another network", foreign),
        ("bad_field", "a ciphertext of 86,017 bytes", changed(value, ciphertext=bytes(86_017))),
        ("bad_field", "a key of 65 bytes", changed(value, key=bytes(65))),
        ("bad_field", "terms of 1,025 bytes", changed(value, terms=bytes(1_025))),
        ("missing_field", "no key", changed(value, key=None)),
        ("empty", "no terms", changed(value, terms=b"")),
        ("unknown_field", "a second ciphertext", changed(value, second=b"")),
        ("unknown_kind", "a misdelivery of another kind", changed(value, kind="late_delivery")),
        ("trailing", "a byte after a misdelivery", value + b"\x00"),
    ]


def _unordered() -> tuple[SignedHeader, SignedHeader]:
    halves = sorted((ONE.signed, TWO.signed), key=lambda half: half.header)
    return halves[1], halves[0]


def _resigned(entry: Entry, signer: KeyPair) -> SignedHeader:
    data = preimage(ENTRY_DOMAIN, NETWORK, entry.signed.header)
    return SignedHeader(entry.signed.header, signer.sign(data))


def _fork_refusals() -> list[tuple[str, str, bytes]]:
    """Pairs of headers that convict nobody."""
    bad_half = replace(TWO.signed, signature=flipped(TWO.signed.signature, 0))
    return [
        ("not_evidence", "one entry twice", _halves(ONE.signed, ONE.signed)),
        ("bad_order", "the halves in the other order", _halves(*_unordered())),
        ("not_evidence", "two places of one log", _fork(ONE, _entry(2, seq=4))),
        ("not_evidence", "two epochs", _fork(ONE, _entry(2, epoch=EPOCH + 1))),
        ("not_evidence", "two incarnations", _fork(ONE, _entry(2, incarnation=1))),
        ("not_evidence", "two authors", _fork(ONE, _entry(2, signer=keys("bruno")))),
        ("bad_signature", "a half that was changed", _halves(ONE.signed, bad_half)),
        (
            "bad_signature",
            "a half signed by somebody else",
            _halves(ONE.signed, _resigned(TWO, keys("bruno"))),
        ),
        (
            "wrong_network",
            "halves of another network",
            _fork(*(_entry(n, network=OTHER_NETWORK) for n in (1, 2))),
        ),
        ("wrong_network", "one half of another network", _fork(ONE, _entry(2, network=OTHER_NETWORK))),
    ]


def _vote_refusals() -> list[tuple[str, str, bytes]]:
    """Pairs of votes that convict nobody."""
    good, other = _seen(ONE), _seen(TWO)
    low, high = sorted((good, other), key=lambda seen: seen.header.header)
    another_set = committee([1, 1, 1, 1])
    bad_vote = replace(_vote(TWO), signature=flipped(_vote(TWO).signature, 0))
    bad_author = SeenVote(_resigned(TWO, keys("bruno")), _vote(TWO))
    return [
        ("not_evidence", "one vote twice", _votes(good, good)),
        (
            "bad_order",
            "votes in the other order",
            EVIDENCE.encode(VoteFork(DORA.public, SET.digest, high, low)),
        ),
        ("not_evidence", "votes at two places", _votes(good, _seen(_entry(2, seq=4)))),
        ("not_evidence", "votes for two logs", _votes(good, _seen(_entry(2, signer=keys("bruno"))))),
        (
            "bad_signature",
            "votes of two witnesses",
            _votes(good, _seen(TWO, _vote(TWO, signer=keys("emil")))),
        ),
        ("bad_signature", "somebody else accused", _votes(good, other, keys("emil").public)),
        ("bad_signature", "a vote that was changed", _votes(good, _seen(TWO, bad_vote))),
        ("bad_signature", "a vote for another entry", _votes(good, _seen(TWO, _vote(ONE)))),
        ("bad_signature", "a branch of another batch", _votes(good, _seen(TWO, _twisted()))),
        ("bad_signature", "another witness set named", _votes(good, other, digest_of_set=another_set.digest)),
        (
            "bad_signature",
            "one vote under another set",
            _votes(good, _seen(TWO, _vote(TWO, committee=another_set))),
        ),
        ("bad_signature", "a vote of another epoch", _votes(good, _seen(TWO, _vote(TWO, epoch=EPOCH + 1)))),
        ("bad_signature", "a header that its author did not sign", _votes(good, bad_author)),
    ]


def _twisted() -> Vote:
    vote = _vote(TWO, among=[digest(b"a"), digest(b"b")])
    return replace(vote, branch=vote.branch[::-1])


def _form_refusals() -> list[tuple[str, str, bytes]]:
    """Bytes that are no evidence at all."""
    fork = _fork(ONE, TWO)
    value = decode(fork)
    if not isinstance(value, dict) or not isinstance(value["first"], dict):
        raise TypeError("no map")
    return [
        ("too_large", "beyond 102,400 bytes", bytes(102_401)),
        ("unknown_kind", "an offence that does not exist", changed(fork, kind="silence")),
        ("unknown_kind", "no kind", changed(fork, kind=None)),
        ("missing_field", "one half", changed(fork, second=None)),
        ("unknown_field", "a third half", changed(fork, third=b"")),
        ("bad_field", "a header of 513 bytes", changed(fork, first=value["first"] | {"header": bytes(513)})),
        (
            "bad_field",
            "a signature of 63 bytes",
            changed(fork, first=value["first"] | {"signature": bytes(63)}),
        ),
        ("empty", "no bytes", b""),
        ("unknown_kind", "a list", encode([])),
        ("trailing", "a byte after it", fork + b"\x00"),
    ]


def evidence() -> Json:
    """The file evidence.json."""
    bad = [*_fork_refusals(), *_vote_refusals(), *refusals(), *_delivered(), *_form_refusals()]
    return cases(
        "Evidence (11): signed statements that one key must never make, proved from bytes alone.",
        _convicting(),
        [
            invalid(code, what, check="evidence", network=NETWORK.hex(), bytes=hexed(data))
            for code, what, data in bad
        ],
    )
