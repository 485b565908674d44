"""Peer ids and addresses as text. A peer id is the public key in libp2p's spelling: this needs no library."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

PUBLIC_KEY_BYTES: Final = 32
PORT_MAX: Final = 65_535
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# Identity multihash (00) of 36 bytes (24) of the protobuf {type: Ed25519 (08 01), data: 32 bytes (12 20)}.
_ED25519_PREFIX: Final = bytes.fromhex("002408011220")
_HOST_KINDS: Final = ("ip4", "ip6", "dns", "dns4", "dns6")


class Target(NamedTuple):
    """Where to dial or listen: a host, a TCP port and, if the address names one, the public key expected there."""

    kind: str
    host: str
    port: int
    public: bytes | None


def peer_id_bytes(public: bytes) -> bytes:
    """The 38 bytes of the peer id of an Ed25519 public key (32 bytes). ValueError for another length."""
    if len(public) != PUBLIC_KEY_BYTES:
        raise ValueError(f"a public key has {PUBLIC_KEY_BYTES} bytes, not {len(public)}")
    return _ED25519_PREFIX + public


def peer_id_text(public: bytes) -> str:
    """The peer id of a public key as libp2p writes it: base58, 12D3KooW... ValueError for another length."""
    number = int.from_bytes(peer_id_bytes(public), "big")
    digits = []
    while number:
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "1" + "".join(reversed(digits))  # the leading zero byte is written as a 1


def public_from_peer_id(text: str) -> bytes:
    """The public key (32 bytes) in a base58 peer id. ValueError for anything but an Ed25519 peer id."""
    number = 0
    for letter in text[: len(_ALPHABET)]:  # a peer id has 52 letters: never work on more
        digit = _ALPHABET.find(letter)
        if digit < 0:
            raise ValueError(f"not base58: {text[:64]!r}")
        number = number * len(_ALPHABET) + digit
    public = (number % (1 << 8 * PUBLIC_KEY_BYTES)).to_bytes(PUBLIC_KEY_BYTES, "big")
    if peer_id_text(public) != text:
        raise ValueError(f"not the peer id of an Ed25519 key: {text[:64]!r}")
    return public


def parse_address(address: str) -> Target:
    """`/ip4|ip6|dns|dns4|dns6/<host>/tcp/<port>[/p2p/<peer id>]`. ValueError for anything else."""
    parts = address.split("/")
    if len(parts) not in (5, 7) or parts[0] or parts[1] not in _HOST_KINDS or parts[3] != "tcp":
        raise ValueError(f"not a TCP multiaddr: {address[:128]!r}")
    if len(parts) == 7 and parts[5] != "p2p":
        raise ValueError(f"not a TCP multiaddr: {address[:128]!r}")
    host = _checked_host(parts[1], parts[2])
    return Target(parts[1], host, _port(parts[4]), public_from_peer_id(parts[6]) if len(parts) == 7 else None)


def _checked_host(kind: str, host: str) -> str:
    if kind == "ip4":
        return str(IPv4Address(host))
    if kind == "ip6":
        return str(IPv6Address(host))
    if not host or len(host) > 253 or not host.isascii():
        raise ValueError(f"not a host name: {host[:64]!r}")
    return host


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= PORT_MAX):
        raise ValueError(f"not a port: {text[:16]!r}")
    return int(text)
