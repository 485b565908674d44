"""Fair exchange: what the seller has signed about a ciphertext, and whether its key opens what was promised.

Theory of operation. The seller's terms name the hash of a key, the digest of a ciphertext and the commit that is in
it. The buyer locks the price under that hash in its own log; whoever claims the lock publishes the key by that very
act. So either nothing has moved, or the seller has a claim and the buyer the key; and if the key does not open the
commit, terms, ciphertext and key together are a proof that anybody can check from its bytes alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from troth_protocol.errors import Invalid
from troth_protocol.insight.contribution import load_contribution
from troth_protocol.log.ops import CONTRIBUTION_MAX_BYTES
from troth_protocol.log.rows import PREIMAGE_MAX_BYTES
from troth_protocol.log.sealed import commit_digest, commit_id
from troth_protocol.market.trades import CIPHERTEXT_MAX_BYTES, PAYLOAD_MAX_BYTES, TERMS_MAX_BYTES
from troth_protocol.wire.crypto import KeyPair, decrypt_once, digest, encrypt_once, preimage, verify
from troth_protocol.wire.schema import AMOUNT, EPOCH, HASH, ID, KEY, SALT, SIGNATURE, Record, blob

TERMS_DOMAIN = "troth/terms/1"
_NO_FORECAST = 0  # outcomes: what is sold is a signal, which has a payload and no probabilities


@dataclass(frozen=True, slots=True)
class ExchangeTerms:
    """What a seller signs before it is paid.

    `commit` and `digest` name the commit in its log that the plaintext opens; `hash` is that of the key, `ciphertext`
    that of the ciphertext; `price` in atomic units; `until` is the last epoch in which the lock can be claimed.
    """

    network: bytes
    seller: bytes
    buyer: bytes
    question: bytes
    commit: bytes
    digest: bytes
    hash: bytes
    ciphertext: bytes
    price: int
    until: int


EXCHANGE_TERMS = Record(
    "exchange_terms",
    ExchangeTerms,
    {
        "network": ID,
        "seller": KEY,
        "buyer": KEY,
        "question": ID,
        "commit": ID,
        "digest": HASH,
        "hash": HASH,
        "ciphertext": HASH,
        "price": AMOUNT,
        "until": EPOCH,
    },
)


@dataclass(frozen=True, slots=True)
class Contents:
    """The plaintext: what opens the commit, and the payload that its contribution names."""

    contribution: bytes
    salt: bytes
    payload: bytes


CONTENTS = Record(
    "contents",
    Contents,
    {
        "contribution": blob(CONTRIBUTION_MAX_BYTES),
        "salt": SALT,
        "payload": blob(PAYLOAD_MAX_BYTES),
    },
)


@dataclass(frozen=True, slots=True)
class Misdelivery:
    """The key is the one that was promised, and what it opens is not."""

    reason: str


@dataclass(frozen=True, slots=True)
class Misdelivered:
    """Evidence of a misdelivery: the signed terms, and the ciphertext and key that they name."""

    terms: bytes
    signature: bytes
    ciphertext: bytes
    key: bytes


MISDELIVERED_FIELDS = {
    "terms": blob(TERMS_MAX_BYTES),
    "signature": SIGNATURE,
    "ciphertext": blob(CIPHERTEXT_MAX_BYTES),
    "key": blob(PREIMAGE_MAX_BYTES),
}


def encrypt_contents(key: bytes, contents: Contents) -> bytes:
    """The ciphertext of a signal under a key of 32 random bytes that is used for nothing else."""
    return encrypt_once(key, CONTENTS.encode(contents))


def sign_terms(keys: KeyPair, terms: ExchangeTerms) -> tuple[bytes, bytes]:
    """The seller's terms as bytes, and its signature over them."""
    data = EXCHANGE_TERMS.encode(terms)
    return data, keys.sign(preimage(TERMS_DOMAIN, terms.network, data))


def load_terms(data: bytes, signature: bytes, network: bytes) -> ExchangeTerms:
    """Decode terms and check their signature.

    Raises Invalid: wrong_network, bad_terms (with oneself, or a commit id that is not that of the digest),
    bad_signature, and what the schema says.
    """
    terms = EXCHANGE_TERMS.decode(data)
    if terms.network != network:
        raise Invalid("wrong_network", terms.network.hex())
    if terms.buyer == terms.seller:
        raise Invalid("bad_terms", "buyer and seller are the same")
    if terms.commit != commit_id(network, terms.seller, terms.question, terms.digest):
        raise Invalid("bad_terms", "the commit is not that of the digest")
    if not verify(terms.seller, preimage(TERMS_DOMAIN, network, data), signature):
        raise Invalid("bad_signature", "the terms are not signed by their seller")
    return terms


def until_of(terms: bytes) -> int:
    """The last epoch in which a lock under these terms can be claimed; Invalid as the schema says."""
    return EXCHANGE_TERMS.decode(terms).until


def validate_ciphertext(terms: ExchangeTerms, ciphertext: bytes) -> None:
    """Invalid("bad_digest") unless it is the ciphertext that the terms name."""
    if digest(ciphertext) != terms.ciphertext:
        raise Invalid("bad_digest", "the ciphertext is not the one that the terms name")


def open_exchange(terms: ExchangeTerms, ciphertext: bytes, key: bytes) -> Contents | Misdelivery:
    """Open what was bought: the contents, or what is wrong with them. Every node comes to the same verdict.

    Raises Invalid("bad_digest") if key or ciphertext are not those of the terms: then nobody is to blame.
    """
    validate_ciphertext(terms, ciphertext)
    if digest(key) != terms.hash:
        raise Invalid("bad_digest", "the key is not the one that the terms name")
    plaintext = decrypt_once(key, ciphertext)
    if plaintext is None:
        return Misdelivery("the key does not decrypt the ciphertext")
    try:
        return _validated(terms, CONTENTS.decode(plaintext))
    except Invalid as error:
        return Misdelivery(str(error))


def _validated(terms: ExchangeTerms, contents: Contents) -> Contents:
    sealed = commit_digest(terms.network, terms.seller, terms.question, contents.salt, contents.contribution)
    if sealed != terms.digest:
        raise Invalid("bad_digest", "the contribution does not open the commit")
    contribution = load_contribution(contents.contribution, terms.question, _NO_FORECAST, epsilon_ppm=0)
    if contribution.payload != digest(contents.payload):
        raise Invalid("bad_digest", "the payload is not what the contribution names")
    return contents


def verify_misdelivery(evidence: Misdelivered, network: bytes) -> ExchangeTerms:
    """The terms that this evidence proves broken.

    Raises Invalid: not_evidence if the key opens what was promised, and as `load_terms` and `open_exchange`.
    """
    terms = load_terms(evidence.terms, evidence.signature, network)
    found = open_exchange(terms, evidence.ciphertext, evidence.key)
    if isinstance(found, Contents):
        raise Invalid("not_evidence", "the key opens the commit, and the payload is the one it names")
    return terms
