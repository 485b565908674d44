"""Canonical msgpack: one value has one encoding, and bytes that are not the encoding of a value are refused.

The rules: bool, int, str, bin, array and map; ints within ±(2**53 - 1); the shortest header always, and the unsigned
family for ints from 0; str is valid UTF-8, as it came; map keys are [a-z][a-z0-9_]{0,30}, unique, sorted by their
bytes; one value and nothing after it; at most MAX_DEPTH containers around each other, MAX_VALUES values (map keys not
counted) and MAX_FRAME_BYTES bytes.

Theory of operation. `encode` brings a value into canonical form and lets msgpack write it. `decode` reads the bytes
once, front to back, one reader per header byte, and refuses at the first byte that `encode` would not have written:
the verdict of "unpack, encode again, compare", and the reason with it. It is not msgpack's unpacker, which allocates
a declared array before it has seen the items, up to 1,024 arrays inside each other (a frame of 5 kB can ask for
gigabytes), and takes several forms for one value. Here a declared length is first held against the bytes and values
that are left, so that time and memory stay in proportion to what was sent.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from msgpack import Packer, unpackb

from troth_protocol.errors import Invalid

Value: TypeAlias = "bool | int | str | bytes | list[Value] | dict[str, Value]"

MAX_FRAME_BYTES: Final = 262_144
MAX_DEPTH: Final = 16
MAX_VALUES: Final = 32_768
MAX_INT: Final = 2**53 - 1
MAX_KEY_BYTES: Final = 31
MAX_AMOUNT: Final = 10**38 - 1
MAX_AMOUNT_DIGITS: Final = 38
CACHED_KEYS: Final = 1_024
PEEK_MAX_BYTES: Final = MAX_VALUES  # so that it cannot hold too many values
PEEK_MAX_ITEMS: Final = 256

_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
_PACKER_BYTES: Final = 1_024  # first allocation only: the packer grows


def encode(value: Value) -> bytes:
    """The canonical encoding of `value`; the order of its map keys does not matter.

    Raises Invalid: nil, float, bad_type, int_range, bad_key, utf8, depth, too_many, too_large.
    """
    return pack(_Canonical().value(value, MAX_DEPTH))


def pack(value: Value) -> bytes:
    """`encode` without its checks, six times as fast: for values that a schema has dumped, canonical already.

    Raises Invalid: utf8, too_large.
    """
    try:
        data: bytes = Packer(strict_types=True, buf_size=_PACKER_BYTES).pack(value)
    except UnicodeEncodeError:
        raise Invalid("utf8", "a lone surrogate") from None
    if len(data) > MAX_FRAME_BYTES:
        raise Invalid("too_large", f"{len(data)} bytes")
    return data


def decode(data: bytes | bytearray | memoryview) -> Value:
    """The value whose canonical encoding `data` is.

    Raises Invalid: empty, too_large, truncated, trailing, not_canonical, nil, float, ext, int_range, utf8, bad_key,
    duplicate_key, key_order, depth, too_many. TypeError if `data` is not bytes-like.
    """
    if not isinstance(data, bytes):
        data = bytes(memoryview(data))
    if not data:
        raise Invalid("empty")
    if len(data) > MAX_FRAME_BYTES:
        raise Invalid("too_large", f"{len(data)} bytes")
    try:
        value, end = _read(data, 0, _Room())
    except (IndexError, struct.error):
        raise Invalid("truncated") from None
    if end < len(data):
        raise Invalid("trailing", f"{len(data) - end} bytes")
    return value


def peek(data: bytes) -> Value | None:
    """What msgpack's own unpacker makes of short data, or None if it makes nothing of it.

    Nothing but a hint: it takes much that `decode` refuses, so whoever uses it packs what came of it and compares.
    Arrays are allocated as declared, so they are limited: what nests them to msgpack's own limit takes 2 MB.
    """
    if len(data) > PEEK_MAX_BYTES:
        return None
    try:
        value: Value = unpackb(data, max_array_len=PEEK_MAX_ITEMS, max_ext_len=0, strict_map_key=True)
    except (ValueError, RecursionError):  # msgpack's errors and a wrong UTF-8 are ValueErrors
        return None
    return value


def encode_amount(amount: int) -> str:
    """Atomic units (0 to 10**38 - 1) as the decimal str in which they travel. Raises Invalid("bad_amount")."""
    if type(amount) is not int or not 0 <= amount <= MAX_AMOUNT:
        raise Invalid("bad_amount")
    return str(amount)


def decode_amount(value: Value) -> int:
    """Atomic units from a decimal str `0|[1-9][0-9]{0,37}`. Raises Invalid("bad_amount")."""
    if (
        type(value) is not str
        or not (value.isascii() and value.isdecimal())
        or len(value) > MAX_AMOUNT_DIGITS
    ):
        raise Invalid("bad_amount")
    if value[0] == "0" and value != "0":
        raise Invalid("bad_amount")
    return int(value)


class _Canonical:
    """Checks one value before it is packed, and sorts the keys of its maps."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_VALUES - 1

    def value(self, value: Value, depth: int) -> Value:
        kind = type(value)
        if kind is bytes or kind is str or kind is bool:
            return value
        if isinstance(value, int) and kind is int:
            return _checked_int(value)
        if isinstance(value, dict) and kind is dict:
            return self.map(value, depth - 1)
        if isinstance(value, list) and kind is list:
            return self.array(value, depth - 1)
        raise _refused_type(value)

    def array(self, items: list[Value], depth: int) -> Value:
        self.take(len(items), depth)
        return [self.value(item, depth) for item in items]

    def map(self, items: dict[str, Value], depth: int) -> Value:
        self.take(len(items), depth)
        for key in items:
            if type(key) is not str or _KEY.fullmatch(key) is None:
                raise Invalid("bad_key", repr(key)[:80])
        return {key: self.value(items[key], depth) for key in sorted(items)}

    def take(self, count: int, depth: int) -> None:
        """Enter a container of `count` values that leaves room for `depth` more inside it."""
        if depth < 0:
            raise Invalid("depth")
        self.left -= count
        if self.left < 0:
            raise Invalid("too_many")


def _checked_int(value: int) -> int:
    if not -MAX_INT <= value <= MAX_INT:
        raise Invalid("int_range")
    return value


def _refused_type(value: object) -> Invalid:
    """Why a value that is none of ours cannot travel."""
    if value is None:
        return Invalid("nil")
    if isinstance(value, float):
        return Invalid("float")
    return Invalid("bad_type", type(value).__name__)


@dataclass(slots=True)
class _Room:
    """What one decoding may still use: values, and containers around the place being read."""

    values: int = MAX_VALUES - 1
    depth: int = MAX_DEPTH

    def enter(self, count: int, least_bytes: int, bytes_left: int) -> None:
        """Open a container of `count` values, or refuse it before anything is allocated for them."""
        self.depth -= 1
        self.values -= count
        if self.depth < 0:
            raise Invalid("depth")
        if self.values < 0:
            raise Invalid("too_many")
        if least_bytes > bytes_left:
            raise Invalid("truncated")


# A reader takes the data, the place of the header that it is for, and the room; it returns the value and where the
# next one starts. Beyond the end of the data, indexing and struct raise what `decode` reports as truncated; slices
# do not, so they are checked.
_Read: TypeAlias = tuple[Value, int]
_Reader: TypeAlias = Callable[[bytes, int, _Room], _Read]


def _read(data: bytes, at: int, room: _Room) -> _Read:
    return _READERS[data[at]](data, at, room)


def _read_fixint(data: bytes, at: int, _room: _Room) -> _Read:
    return data[at], at + 1


def _read_negative_fixint(data: bytes, at: int, _room: _Room) -> _Read:
    return data[at] - 0x100, at + 1


def _read_false(_data: bytes, at: int, _room: _Room) -> _Read:
    return False, at + 1


def _read_true(_data: bytes, at: int, _room: _Room) -> _Read:
    return True, at + 1


def _read_fixstr(data: bytes, at: int, _room: _Room) -> _Read:
    return _text(data, at + 1, at + 1 + data[at] - _FIXSTR)


def _read_fixarray(data: bytes, at: int, room: _Room) -> _Read:
    return _array(data, at + 1, data[at] - _FIXARRAY, room)


def _read_fixmap(data: bytes, at: int, room: _Room) -> _Read:
    return _map(data, at + 1, data[at] - _FIXMAP, room)


def _text(data: bytes, start: int, end: int) -> _Read:
    if end > len(data):
        raise Invalid("truncated")
    try:
        return str(data[start:end], "utf-8"), end
    except UnicodeDecodeError:
        raise Invalid("utf8") from None


def _octets(data: bytes, start: int, end: int) -> _Read:
    if end > len(data):
        raise Invalid("truncated")
    return data[start:end], end


def _array(data: bytes, at: int, count: int, room: _Room) -> _Read:
    room.enter(count, count, len(data) - at)
    readers = _READERS
    items: list[Value] = []
    for _ in range(count):
        item, at = readers[data[at]](data, at, room)
        items.append(item)
    room.depth += 1
    return items, at


def _map(data: bytes, at: int, count: int, room: _Room) -> _Read:
    size = len(data)
    room.enter(count, _LEAST_PAIR_BYTES * count, size - at)
    readers = _READERS
    items: dict[str, Value] = {}
    last = ""
    for _ in range(count):
        start, at = at, at + data[at] - _FIXSTR + 1
        if at > size:
            raise Invalid("truncated" if data[start] < _FIXSTR_END else "bad_key")
        key = _key(data[start:at])
        if key <= last:
            raise Invalid("duplicate_key" if key in items else "key_order", key)
        items[key], at = readers[data[at]](data, at, room)
        last = key
    room.depth += 1
    return items, at


@lru_cache(maxsize=CACHED_KEYS)
def _key(raw: bytes) -> str:
    """The map key whose header and letters are `raw`. The few that a protocol uses are checked once.

    A header that is not a fixstr's gives a `raw` of another length than it says, or one too long for a key.
    """
    key = str(raw[1:], "ascii", "replace")
    if not raw or raw[0] != _FIXSTR + len(key) or _KEY.fullmatch(key) is None:
        raise Invalid("bad_key", repr(raw[: MAX_KEY_BYTES + 1]))
    return key


def _int(form: str, least: int, most: int) -> _Reader:
    """Ints of one width, for which this header is the shortest from `least` to `most`."""
    unpack, width = _struct(form)

    def read(data: bytes, at: int, _room: _Room) -> _Read:
        (number,) = unpack(data, at + 1)
        if least <= number <= most:
            return number, at + width
        _checked_int(number)
        raise _longer(at)

    return read


def _sized(form: str, least: int, body: Callable[[bytes, int, int], _Read]) -> _Reader:
    """A str or bin whose length stands behind the header, for which this one is the shortest from `least` on."""
    unpack, width = _struct(form)

    def read(data: bytes, at: int, _room: _Room) -> _Read:
        (length,) = unpack(data, at + 1)
        if length < least:
            raise _longer(at)
        start = at + width
        return body(data, start, start + length)

    return read


def _counted(form: str, least: int, body: Callable[[bytes, int, int, _Room], _Read]) -> _Reader:
    """An array or map whose count stands behind the header, for which this one is the shortest from `least` on."""
    unpack, width = _struct(form)

    def read(data: bytes, at: int, room: _Room) -> _Read:
        (count,) = unpack(data, at + 1)
        if count < least:
            raise _longer(at)
        return body(data, at + width, count, room)

    return read


def _refused(code: str) -> _Reader:
    def read(data: bytes, at: int, _room: _Room) -> _Read:
        raise Invalid(code, f"header {data[at]:#x} at byte {at}")

    return read


def _struct(form: str) -> tuple[Callable[[bytes, int], tuple[int]], int]:
    """What reads the big-endian number behind a header, and the bytes that the two take."""
    number = struct.Struct(">" + form)
    return number.unpack_from, 1 + number.size


def _longer(at: int) -> Invalid:
    return Invalid("not_canonical", f"a longer header than needed at byte {at}")


_FIXMAP: Final = 0x80
_FIXARRAY: Final = 0x90
_FIXSTR: Final = 0xA0
_FIXSTR_END: Final = 0xC0
_LEAST_PAIR_BYTES: Final = 2  # a key's header and a value's

# How each of the 256 header bytes is read, in order. Source: the table of formats in the msgpack specification.
_READERS: Final[tuple[_Reader, ...]] = (
    *[_read_fixint] * 0x80,  # 0x00
    *[_read_fixmap] * 0x10,  # 0x80
    *[_read_fixarray] * 0x10,  # 0x90
    *[_read_fixstr] * 0x20,  # 0xa0
    *[_refused("nil"), _refused("not_canonical"), _read_false, _read_true],  # 0xc0; 0xc1 is no format
    *[_sized("B", 0, _octets), _sized("H", 2**8, _octets), _sized("I", 2**16, _octets)],  # 0xc4
    *[_refused("ext")] * 3,  # 0xc7
    *[_refused("float")] * 2,  # 0xca
    *[_int("B", 2**7, 2**8 - 1), _int("H", 2**8, 2**16 - 1)],  # 0xcc
    *[_int("I", 2**16, 2**32 - 1), _int("Q", 2**32, MAX_INT)],  # 0xce
    *[_int("b", -(2**7), -(2**5) - 1), _int("h", -(2**15), -(2**7) - 1)],  # 0xd0
    *[_int("i", -(2**31), -(2**15) - 1), _int("q", -MAX_INT, -(2**31) - 1)],  # 0xd2
    *[_refused("ext")] * 5,  # 0xd4
    *[_sized("B", 2**5, _text), _sized("H", 2**8, _text), _sized("I", 2**16, _text)],  # 0xd9
    *[_counted("H", 2**4, _array), _counted("I", 2**16, _array)],  # 0xdc
    *[_counted("H", 2**4, _map), _counted("I", 2**16, _map)],  # 0xde
    *[_read_negative_fixint] * 0x20,  # 0xe0
)
