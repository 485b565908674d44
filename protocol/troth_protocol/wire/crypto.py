"""Hashes, domains, signatures, one cipher: the only module that imports a cryptographic library.

Theory of operation. Every verdict on a signature falls here. Ed25519 verifiers in wide use disagree on keys and
points outside the prime-order group, so whoever relies on a library's own verdict can be split from the rest by one
crafted signature. The rule here is ours:

    1. the key is the canonical encoding of a point, not the identity, of the group of prime order L;
    2. S < L;
    3. R is canonical (y < p) and not of small order;
    4. R = S·B - H(R, A, M)·A holds without multiplying by the cofactor.

1 is asked of libsodium once per key and remembered. 2 and 3 are checked here, although the libsodium of today makes
the same checks, so that another build of it cannot change the verdict. 4 is libsodium's equation: it compares the
encoding of the right side with R. libsodium signs too: the bytes are RFC 8032's, in 0.6 of the time that OpenSSL takes.
Sources: RFC 8032 section 5.1.7; "Taming the many EdDSAs" (Chalkias et al., 2020).
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from nacl.bindings import (
    crypto_core_ed25519_is_valid_point,
    crypto_sign,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import BadSignatureError

DIGEST_BYTES: Final = 32
NETWORK_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 32
SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
CIPHER_KEY_BYTES: Final = 32
CACHED_KEYS: Final = 16_384
CACHED_VERDICTS: Final = 16_384

# Everything that is signed or named by a digest, by what it is. Add the name of a new object here and nowhere else.
SIGNED_OBJECTS: Final = (
    # log
    *("genesis", "entry", "vote", "batch", "lock", "ack"),
    # close
    *("report", "candidate", "notarize", "finalize", "skip", "seal"),
    *("cut", "state", "witness_set", "checkpoint"),
    # market
    *("request", "offer", "counter", "accept", "reject", "withdraw", "deliver", "sealed", "key", "receipt"),
    *("agreement", "agreement_id", "terms", "auction", "bid"),
    # insight
    *("question", "contribution", "commit", "commit_id", "attest", "evidence"),
    # peers
    *("hello", "card", "announcement", "newest"),
)
DOMAINS: Final[frozenset[str]] = frozenset(f"troth/{name}/1" for name in SIGNED_OBJECTS)
#: The nonce of a key that is used once.
_NONCE: Final = bytes(12)
_PREFIXES: Final = {domain: bytes([len(domain)]) + domain.encode("ascii") for domain in DOMAINS}

_P: Final = 2**255 - 19
_L: Final = 2**252 + 27742317777372353535851937790883648493
_Y_MASK: Final = 2**255 - 1
# y of the eight points whose order divides 8: the identity, order 2, order 4 (two), order 8 (four).
_ORDER_8_Y: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER_Y: Final = frozenset({0, 1, _P - 1, _ORDER_8_Y, _P - _ORDER_8_Y})


def digest(data: bytes) -> bytes:
    """SHA-256 of `data`: 32 bytes."""
    return sha256(data).digest()


def preimage(domain: str, network: bytes, payload: bytes) -> bytes:
    """What is hashed or signed: one byte length of the domain, the domain, 32 bytes network id, the payload.

    `domain` is written in full ("troth/entry/1"). Raises ValueError for a domain outside `DOMAINS` or a network id
    of another length: both are mistakes of the caller, never of a peer.
    """
    prefix = _PREFIXES.get(domain)
    if prefix is None:
        raise ValueError(f"unknown domain {domain!r}")
    if len(network) != NETWORK_BYTES:
        raise ValueError(f"a network id has {NETWORK_BYTES} bytes, not {len(network)}")
    return prefix + network + payload


def object_id(domain: str, network: bytes, payload: bytes) -> bytes:
    """The id of an object: SHA-256 of its preimage, 32 bytes. Raises ValueError as `preimage` does."""
    return sha256(preimage(domain, network, payload)).digest()


class KeyPair:
    """An Ed25519 identity that can sign. Prints its public half only."""

    __slots__ = ("_private", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        """`seed` is the 32 bytes private key of RFC 8032; ValueError for another length."""
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
        self.seed = seed
        self.public, self._private = crypto_sign_seed_keypair(seed)

    @classmethod
    def from_seed(cls, seed: bytes) -> KeyPair:
        """The identity of a 32 byte seed; ValueError for another length."""
        return cls(seed)

    def sign(self, data: bytes) -> bytes:
        """The 64 byte signature over `data`, which is a preimage; deterministic."""
        return crypto_sign(data, self._private)[:SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public.hex()})"


@lru_cache(maxsize=CACHED_KEYS)
def is_valid_key(public: bytes) -> bool:
    """Rule 1: 32 bytes that are the canonical encoding of a point of prime order."""
    return len(public) == PUBLIC_KEY_BYTES and crypto_core_ed25519_is_valid_point(public)


def verify(public: bytes, data: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) by `public` (32) over `data` passes the four rules. Bytes never make it raise."""
    if len(signature) != SIGNATURE_BYTES or not is_valid_key(public) or not _is_canonical(signature):
        return False
    try:
        crypto_sign_open(signature + data, public)
    except BadSignatureError:
        return False
    return True


@lru_cache(maxsize=CACHED_VERDICTS)
def verify_known(public: bytes, data: bytes, signature: bytes) -> bool:
    """`verify` for what is shown again and again: a batch of votes with each entry, an agreement at every step."""
    return verify(public, data, signature)


def _is_canonical(signature: bytes) -> bool:
    """Rules 2 and 3."""
    y = int.from_bytes(signature[:32], "little") & _Y_MASK
    return y < _P and y not in _SMALL_ORDER_Y and int.from_bytes(signature[32:], "little") < _L


def encrypt_once(key: bytes, plaintext: bytes) -> bytes:
    """ChaCha20-Poly1305 (RFC 8439) with nonce 0 and no associated data: the ciphertext, then a tag of 16 bytes.

    `key` is 32 random bytes that encrypt nothing else, ever; ValueError for another length.
    """
    return ChaCha20Poly1305(key).encrypt(_NONCE, plaintext, None)


def decrypt_once(key: bytes, ciphertext: bytes) -> bytes | None:
    """The plaintext, or None if this key did not make this ciphertext. Bytes never make it raise."""
    if len(key) != CIPHER_KEY_BYTES:
        return None
    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, ciphertext, None)
    except InvalidTag:
        return None
