"""Fair exchanges, right and wrong: what exchange.json, priced talks and misdeliveries are made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from troth_protocol.evidence import misdelivery
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.sealed import commit_digest, commit_id
from troth_protocol.market.exchange import (
    CONTENTS,
    EXCHANGE_TERMS,
    Contents,
    ExchangeTerms,
    Misdelivery,
    encrypt_contents,
    open_exchange,
    sign_terms,
)
from troth_protocol.market.trades import Key, Sealed
from troth_protocol.wire.codec import Value
from troth_protocol.wire.crypto import KeyPair, digest, encrypt_once, preimage

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
    invalid,
    plain,
    valid,
)
from .talks import BUYER, OTHER_QUESTION, PAYLOAD, QUESTION, SALT, SELLER, STRANGER, Talk

KEY: Final = digest(b"key of the seller")
PRICE: Final = 5 * TOKEN
SIGNAL: Final = CONTRIBUTION.encode(Contribution(QUESTION, "clouds", (), payload=digest(PAYLOAD)))
GOOD: Final = Contents(SIGNAL, SALT, PAYLOAD)


def terms_of(ciphertext: bytes, contribution: bytes = SIGNAL, **other: Json) -> ExchangeTerms:
    """What the seller signs about a ciphertext that should open this contribution."""
    sealed = commit_digest(NETWORK, SELLER.public, QUESTION, SALT, contribution)
    terms = ExchangeTerms(
        NETWORK,
        SELLER.public,
        BUYER.public,
        QUESTION,
        commit_id(NETWORK, SELLER.public, QUESTION, sealed),
        sealed,
        digest(KEY),
        digest(ciphertext),
        PRICE,
        15,
    )
    return replace(terms, **other)


def ciphertext_of(contents: Contents = GOOD) -> bytes:
    """These contents under the key."""
    return encrypt_contents(KEY, contents)


def broken() -> list[tuple[str, bytes, ExchangeTerms, bytes]]:
    """(what is wrong, ciphertext, terms, key): the ways to deliver something else."""
    forecast = CONTRIBUTION.encode(Contribution(QUESTION, "", (), ppm=(600_000, 400_000)))
    nothing = CONTRIBUTION.encode(Contribution(QUESTION, "", ()))
    elsewhere = CONTRIBUTION.encode(Contribution(OTHER_QUESTION, "", (), payload=digest(PAYLOAD)))
    alike = ciphertext_of()
    plain_contents = CONTENTS.encode(GOOD)
    by_content = [
        ("another payload", replace(GOOD, payload=b"sunshine"), SIGNAL),
        ("another salt", replace(GOOD, salt=digest(b"salt")), SIGNAL),
        ("another contribution", replace(GOOD, contribution=forecast), SIGNAL),
        ("a forecast", replace(GOOD, contribution=forecast), forecast),
        ("neither forecast nor signal", replace(GOOD, contribution=nothing), nothing),
        ("a signal of another question", replace(GOOD, contribution=elsewhere), elsewhere),
        ("a contribution that cannot be read", replace(GOOD, contribution=SIGNAL[:-9]), SIGNAL[:-9]),
    ]
    by_bytes = [
        ("noise", b"noise" * 7),
        ("no bytes", b""),
        ("another key's ciphertext", encrypt_once(digest(b"another key"), plain_contents)),
        ("a bit of the tag", flipped(alike)),
        ("no contents", encrypt_once(KEY, b"\x80")),
        ("a byte after the contents", encrypt_once(KEY, plain_contents + b"\x00")),
        ("contents with a field too many", encrypt_once(KEY, changed(plain_contents, zeal=1))),
    ]
    made = [
        (what, ciphertext_of(item), terms_of(ciphertext_of(item), sealed), KEY)
        for what, item, sealed in by_content
    ]
    made += [(what, data, terms_of(data), KEY) for what, data in by_bytes]
    short = KEY[:31]
    return [*made, ("a key of 31 bytes", alike, terms_of(alike, hash=digest(short)), short)]


def accusation(terms: ExchangeTerms, ciphertext: bytes, key: bytes = KEY, signer: KeyPair = SELLER) -> bytes:
    """Evidence, whether it holds or not."""
    return misdelivery(*sign_terms(signer, terms), ciphertext, key)


def sealed_as(talk: Talk, ciphertext: bytes, terms: ExchangeTerms, signer: KeyPair = SELLER) -> Talk:
    """The seller seals a signal."""
    return talk.copy().say(SELLER, Sealed(talk.last, *sign_terms(signer, terms), ciphertext))


def priced() -> Talk:
    """An offer with a price that both accepted."""
    return Talk().offer(price=PRICE, min_weight_ppm=0).accept(BUYER).accept(SELLER)


def _guarded() -> Talk:
    """An offer without a price but with a floor that both accepted."""
    return Talk().offer(floor=PRICE).accept(BUYER).accept(SELLER)


def floored() -> Talk:
    """A signal sealed for nothing but the promise."""
    return sealed_as(_guarded(), ciphertext_of(), terms_of(ciphertext_of(), price=0))


def sold() -> Talk:
    """A signal sealed for its price."""
    return sealed_as(priced(), ciphertext_of(), terms_of(ciphertext_of()))


def handed(talk: Talk, key: bytes = KEY) -> Talk:
    """The seller hands a key over."""
    return talk.copy().say(SELLER, Key(talk.last, key))


def refused_talks() -> list[tuple[str, str, Talk]]:
    """Priced negotiations that nobody should believe."""
    good = ciphertext_of()
    return [
        ("out_of_state", "an open delivery of what has a price", priced().deliver()),
        ("out_of_state", "an open delivery of what has a floor", _guarded().deliver()),
        (
            "out_of_state",
            "a sealed signal without a price",
            sealed_as(Talk().offer().accept(BUYER).accept(SELLER), good, terms_of(good)),
        ),
        ("out_of_state", "a key before the ciphertext", handed(priced())),
        (
            "changed_terms",
            "an exchange at another price",
            sealed_as(priced(), good, terms_of(good, price=PRICE + 1)),
        ),
        (
            "changed_terms",
            "an exchange with another buyer",
            sealed_as(priced(), good, terms_of(good, buyer=STRANGER.public)),
        ),
        (
            "bad_terms",
            "a key that may come in the delivery's last epoch",
            sealed_as(priced(), good, terms_of(good, until=16)),
        ),
        ("bad_signature", "terms that the buyer signed", sealed_as(priced(), good, terms_of(good), BUYER)),
        (
            "bad_digest",
            "another ciphertext than the terms name",
            sealed_as(priced(), good, terms_of(b"other")),
        ),
        ("bad_digest", "another key than the terms name", handed(sold(), digest(b"another key"))),
        ("bad_digest", "a receipt for a misdelivery", misdelivered_talk().receipt()),
    ]


def misdelivered_talk() -> Talk:
    """A key that opens another payload."""
    junk = ciphertext_of(replace(GOOD, payload=b"sunshine"))
    return handed(sealed_as(priced(), junk, terms_of(junk)))


def _opening(name: str, ciphertext: bytes, terms: ExchangeTerms, key: bytes) -> Case:
    found = open_exchange(terms, ciphertext, key)
    data, signature = sign_terms(SELLER, terms)
    case = valid(
        name,
        check="open",
        network=NETWORK.hex(),
        terms=plain(EXCHANGE_TERMS.dump(terms)),
        bytes=data.hex(),
        preimage=preimage("troth/terms/1", NETWORK, data).hex(),
        signature=signature.hex(),
        ciphertext=hexed(ciphertext),
        key=key.hex(),
        is_misdelivery=isinstance(found, Misdelivery),
    )
    if isinstance(found, Contents):
        dumped: Value = CONTENTS.dump(found)
        case |= {"contents": plain(dumped), "plaintext": hexed(CONTENTS.encode(found))}
    return case


def _refusals() -> list[Case]:
    good = ciphertext_of()
    terms = terms_of(good)
    data, signature = sign_terms(SELLER, terms)
    oneself = sign_terms(SELLER, replace(terms, buyer=SELLER.public))
    other_commit = sign_terms(SELLER, replace(terms, commit=digest(b"commit")))
    foreign = sign_terms(SELLER, replace(terms, network=OTHER_NETWORK))

    def case(signed: tuple[bytes, bytes], ciphertext: bytes = good, key: bytes = KEY) -> dict[str, Json]:
        return {
            "check": "open",
            "network": NETWORK.hex(),
            "bytes": signed[0].hex(),
            "signature": signed[1].hex(),
            "ciphertext": hexed(ciphertext),
            "key": key.hex(),
        }

    named = [
        ("bad_digest", "a key of another hash", case((data, signature), key=digest(b"another key"))),
        ("bad_digest", "another ciphertext", case((data, signature), flipped(good))),
        ("bad_terms", "an exchange with oneself", case(oneself)),
        ("bad_terms", "a commit that is not that of the digest", case(other_commit)),
        ("bad_signature", "terms signed by the buyer", case((data, sign_terms(BUYER, terms)[1]))),
        ("bad_signature", "terms with another price", case((changed(data, price="1"), signature))),
        ("bad_signature", "a bit of the signature", case((data, flipped(signature, 0)))),
        ("wrong_network", "terms of another network", case(foreign)),
        ("missing_field", "terms without a hash", case((changed(data, hash=None), signature))),
        ("unknown_field", "terms with a deadline", case((changed(data, deadline=1), signature))),
        ("bad_field", "a hash of 31 bytes", case((changed(data, hash=bytes(31)), signature))),
        ("bad_amount", "a price that is a number", case((changed(data, price=5), signature))),
        ("trailing", "a byte after the terms", case((data + b"\x00", signature))),
        ("empty", "no terms", case((b"", signature))),
        ("truncated", "half the terms", case((data[:-9], signature))),
        ("bad_field", "an epoch below zero", case((changed(data, until=-1), signature))),
    ]
    return [invalid(code, what, **fields) for code, what, fields in named]


def exchange() -> Json:
    """The file exchange.json."""
    good = ciphertext_of()
    wrong = [_opening(f"misdelivery: {what}", *rest) for what, *rest in broken()]
    return cases(
        "Fair exchange (06): signed terms, a ciphertext and its key, and whether the key opens what was promised.",
        [_opening("a key that opens the commit", good, terms_of(good), KEY), *wrong],
        _refusals(),
    )
