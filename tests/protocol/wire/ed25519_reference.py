"""Ed25519 by the book in plain Python: a second opinion on every signature, and a maker of malicious ones.

Slow, not constant time, sharing no code with the library. Formulas: RFC 8032, section 5.1.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha512
from typing import NamedTuple

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_MINUS_1 = pow(2, (P - 1) // 4, P)


class Point(NamedTuple):
    """Extended coordinates: x = X/Z, y = Y/Z, x·y = T/Z."""

    x: int
    y: int
    z: int
    t: int


IDENTITY = Point(0, 1, 1, 0)


def affine(x: int, y: int) -> Point:
    return Point(x, y, 1, x * y % P)


def add(p: Point, q: Point) -> Point:
    a, b = (p.y - p.x) * (q.y - q.x), (p.y + p.x) * (q.y + q.x)
    c, d = 2 * D * p.t * q.t, 2 * p.z * q.z
    e, f, g, h = b - a, d - c, d + c, b + a
    return Point(e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar: int, p: Point) -> Point:
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, p)
        p, scalar = add(p, p), scalar >> 1
    return result


def equal(p: Point, q: Point) -> bool:
    return (p.x * q.z - q.x * p.z) % P == 0 and (p.y * q.z - q.y * p.z) % P == 0


def compress(p: Point) -> bytes:
    inverse = pow(p.z, -1, P)
    x, y = p.x * inverse % P, p.y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def root_of_x(y: int) -> int | None:
    """An x with (x, y) on the curve -x² + y² = 1 + d·x²·y²."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    for candidate in (x, x * SQRT_MINUS_1 % P):
        if candidate * candidate % P == square:
            return candidate
    return None


def decompress(data: bytes) -> Point | None:
    """The point that `data` is the canonical encoding of."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if len(data) != 32 or y >= P or (x := root_of_x(y)) is None or (x == 0 and sign):
        return None
    return affine(x if x & 1 == sign else P - x, y)


BASE = affine(
    15112221349535400772501151409588531511454012693041857206046113283949847762202,
    46316835694926478169428394003475163141307993866256225615783033603165251855960,
)


@lru_cache
def key_point(public: bytes) -> Point | None:
    """Rule 1: the key's point if it is canonical and of the order L."""
    point = decompress(public)
    of_order_l = point is not None and not equal(point, IDENTITY) and equal(multiply(L, point), IDENTITY)
    return point if of_order_l else None


def challenge(r: bytes, public: bytes, message: bytes) -> int:
    return int.from_bytes(sha512(r + public + message).digest(), "little") % L


def is_valid(public: bytes, message: bytes, signature: bytes) -> bool:
    """The rule of wire/crypto.py, stated again."""
    key, r = key_point(public), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or key is None or r is None or s >= L or equal(multiply(8, r), IDENTITY):
        return False
    return equal(multiply(s, BASE), add(r, multiply(challenge(signature[:32], public, message), key)))


def torsion() -> list[Point]:
    """The seven points besides the identity whose order divides 8, as multiples of one of order 8."""
    y = 2
    while True:
        x = root_of_x(y)
        if x is not None:
            point = multiply(L, affine(x, y))
            if not equal(multiply(4, point), IDENTITY):
                return [multiply(k, point) for k in range(1, 8)]
        y += 1


class Vector(NamedTuple):
    kind: str
    pk: bytes
    m: bytes
    sig: bytes


SECRET, NONCE = 0x7A11, 0xB0B5  # scalars of the attacker's own choice
KEY = compress(multiply(SECRET, BASE))


def forge(kind: str, r: bytes, nonce: int, *, public: bytes = KEY, message: bytes = b"pay me") -> Vector:
    """A signature that satisfies the equation up to whatever torsion hides in `r` and `public`."""
    s = (nonce + challenge(r, public, message) * SECRET) % L
    return Vector(kind, public, message, r + s.to_bytes(32, "little"))


def torsion_key(twist: Point) -> Vector:
    """A key outside the prime-order group and a message for which even the cofactorless equation holds."""
    public, r = compress(add(multiply(SECRET, BASE), twist)), compress(multiply(NONCE, BASE))
    message = next(m for m in (b"pay me %d" % n for n in range(10_000)) if challenge(r, public, m) % 8 == 0)
    return forge("own-torsionA", r, NONCE, public=public, message=message)


def crafted() -> list[Vector]:
    """Signatures by somebody who knows the secret key and wants verifiers to disagree; only the first is in order."""
    honest = forge("own-honest", compress(multiply(NONCE, BASE)), NONCE)
    s = int.from_bytes(honest.sig[32:], "little")
    twists = torsion()
    return [
        honest,
        *(
            honest._replace(kind=f"own-s+{k}L", sig=honest.sig[:32] + (s + k * L).to_bytes(32, "little"))
            for k in (1, 2, 15)
        ),
        forge("own-identityR", compress(IDENTITY), 0),
        forge("own-identityR-signed", (1 | 1 << 255).to_bytes(32, "little"), 0),
        forge("own-identityR-long", (P + 1).to_bytes(32, "little"), 0),
        forge("own-identityR-long-signed", (P + 1 | 1 << 255).to_bytes(32, "little"), 0),
        *(forge("own-smallR", compress(t), 0) for t in twists),
        *(forge("own-torsionR", compress(add(multiply(NONCE, BASE), t)), NONCE) for t in twists),
        *(torsion_key(t) for t in twists),
    ]
