"""encoding.json and framing.json: values and their only bytes, bytes that are no value, frames on a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from troth_protocol.wire.codec import MAX_FRAME_BYTES, MAX_INT, encode
from troth_protocol.wire.framing import frame

from .common import Case, Json, cases, hexed, hexes, invalid, plain, valid

INTS: Final = (
    *(0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, MAX_INT),
    *(-1, -32, -33, -128, -129, -32_768, -32_769, -(2**31), -(2**31) - 1, -MAX_INT),
)
TEXTS: Final = (
    ("empty", ""),
    ("ASCII", "troth"),
    ("two bytes a letter", "é"),
    ("the same letter, decomposed: never normalised", "e\u0301"),
    ("beyond the basic plane", "🌧"),
    ("a zero byte", "a\x00b"),
    ("the highest code point", "\U0010ffff"),
    ("a byte order mark is text", "\ufeff"),
    ("31 bytes", "x" * 31),
)
LONG: Final[tuple[tuple[str, Json, Json], ...]] = (
    ("32 bytes of text", "x" * 32, {"$repeat": ["x", 32]}),
    ("255 bytes of text", "x" * 255, {"$repeat": ["x", 255]}),
    ("256 bytes of text", "x" * 256, {"$repeat": ["x", 256]}),
    ("65,536 bytes of text", "x" * 65_536, {"$repeat": ["x", 65_536]}),
    ("255 bytes", bytes(255), {"$hex": [["00", 255]]}),
    ("256 bytes", bytes(256), {"$hex": [["00", 256]]}),
    ("65,536 bytes", bytes(65_536), {"$hex": [["00", 65_536]]}),
    ("15 items", [0] * 15, {"$repeat": [[0], 15]}),
    ("16 items", [0] * 16, {"$repeat": [[0], 16]}),
    ("as many values as there may be", [0] * 32_767, {"$repeat": [[0], 32_767]}),
    ("as many bytes as there may be", bytes(MAX_FRAME_BYTES - 5), {"$hex": [["00", MAX_FRAME_BYTES - 5]]}),
)
MAPS: Final[tuple[tuple[str, dict[str, Json]], ...]] = (
    ("no fields", {}),
    ("one field", {"a": True}),
    ("keys in the order of their bytes", {"a": 1, "a0": 2, "a_": 3, "aa": 4, "b": 5}),
    ("a shorter key first only if it begins the longer", {"aa": 1, "b": 2}),
    ("the longest key", {"k" * 31: 0}),
    ("16 fields", {f"k{i:02}": i for i in range(16)}),
)
OTHERS: Final[tuple[tuple[str, Json], ...]] = (
    ("false", False),
    ("true", True),
    ("no bytes", b""),
    ("bytes that look like text", b"troth"),
    ("no items", []),
    ("a list of everything", [True, 7, "seven", b"\x07", [], {}]),
    ("an amount", "99999999999999999999999999999999999999"),
)


def _nested(depth: int) -> Json:
    value: Json = []
    for _ in range(depth - 1):
        value = [value]
    return value


def _good() -> list[Case]:
    rows: list[tuple[str, Json, Json]] = [(f"integer {number}", number, number) for number in INTS]
    rows += [(name, item, plain(item)) for name, item in (*TEXTS, *OTHERS, *MAPS)]
    rows += [("16 containers around each other", _nested(16), _nested(16)), *LONG]
    return [valid(name, check="value", value=shown, bytes=hexed(encode(item))) for name, item, shown in rows]


#: (code, what, hex): one rule broken each.
BAD_HEX: Final = (
    ("empty", "no bytes", ""),
    ("truncated", "an integer without its bytes", "cd01"),
    ("truncated", "an 8-byte integer with 7", "cf00000100000000"),
    ("truncated", "text that ends early", "a36162"),
    ("truncated", "a length without its text", "d9"),
    ("truncated", "bytes that end early", "c403ffff"),
    ("truncated", "a list without its last item", "930102"),
    ("truncated", "a map without its value", "81a161"),
    ("truncated", "a map that ends inside a key", "81a261"),
    ("truncated", "a list that announces more than there is", "dc7000"),
    ("truncated", "a map that announces more than there is", "de7fff"),
    ("truncated", "bytes that announce four gigabytes", "c6ffffffff"),
    ("truncated", "text that announces four gigabytes", "dbffffffff"),
    ("trailing", "two values", "0000"),
    ("trailing", "a byte after a map", "80c0"),
    ("trailing", "a byte after the last text", "a16100"),
    ("not_canonical", "7 in two bytes", "cc07"),
    ("not_canonical", "127 in two bytes", "cc7f"),
    ("not_canonical", "255 in three bytes", "cd00ff"),
    ("not_canonical", "65,535 in five bytes", "ce0000ffff"),
    ("not_canonical", "2^32 - 1 in nine bytes", "cf00000000ffffffff"),
    ("not_canonical", "a positive integer of the signed family", "d007"),
    ("not_canonical", "128 of the signed family", "d10080"),
    ("not_canonical", "2^31 of the signed family", "d30000000080000000"),
    ("not_canonical", "-1 in two bytes", "d0ff"),
    ("not_canonical", "-32 in two bytes", "d0e0"),
    ("not_canonical", "-128 in three bytes", "d1ff80"),
    ("not_canonical", "-32,768 in five bytes", "d2ffff8000"),
    ("not_canonical", "-2^31 in nine bytes", "d3ffffffff80000000"),
    ("not_canonical", "short text with a length byte", "d90161"),
    ("not_canonical", "text of 32 bytes with two length bytes", "da0020" + "78" * 32),
    ("not_canonical", "empty text with four length bytes", "db00000000"),
    ("not_canonical", "no bytes with two length bytes", "c50000"),
    ("not_canonical", "one byte with four length bytes", "c600000001ff"),
    ("not_canonical", "a short list with two count bytes", "dc000101"),
    ("not_canonical", "a short list with four count bytes", "dd0000000101"),
    ("not_canonical", "an empty map with two count bytes", "de0000"),
    ("not_canonical", "a short map with four count bytes", "df00000001a16101"),
    ("not_canonical", "the byte that is no format", "c1"),
    ("nil", "nil", "c0"),
    ("nil", "nil in a map", "81a161c0"),
    ("nil", "nil in a list", "91c0"),
    ("float", "a float of four bytes", "ca3f800000"),
    ("float", "a float of eight bytes", "cb3ff0000000000000"),
    ("float", "NaN", "cb7ff8000000000000"),
    ("ext", "an extension of one byte", "d4012a"),
    ("ext", "an extension of 16 bytes", "d801" + "00" * 16),
    ("ext", "an extension with a length byte", "c7012a00"),
    ("ext", "a timestamp", "d6ff00000000"),
    ("int_range", "2^53", "cf0020000000000000"),
    ("int_range", "2^64 - 1", "cfffffffffffffffff"),
    ("int_range", "-2^53", "d3ffe0000000000000"),
    ("int_range", "-2^63", "d38000000000000000"),
    ("utf8", "a byte that begins nothing", "a1ff"),
    ("utf8", "a continuation byte alone", "a180"),
    ("utf8", "an overlong slash", "a2c0af"),
    ("utf8", "a surrogate", "a3eda080"),
    ("utf8", "beyond the last code point", "a4f4908080"),
    ("utf8", "a letter cut short", "a1c3"),
    ("bad_key", "an empty key", "81a001"),
    ("bad_key", "a capital letter", "81a14101"),
    ("bad_key", "a digit first", "81a13001"),
    ("bad_key", "an underscore first", "81a15f01"),
    ("bad_key", "a hyphen", "81a3612d6201"),
    ("bad_key", "a letter beyond ASCII", "81a2c3a901"),
    ("bad_key", "an integer", "810101"),
    ("bad_key", "bytes", "81c4016101"),
    ("bad_key", "32 letters", "81d920" + "6b" * 32 + "01"),
    ("bad_key", "a list", "819001"),
    ("duplicate_key", "the same key twice", "82a16101a16102"),
    ("duplicate_key", "the same key and value twice", "82a16101a16101"),
    ("key_order", "b before a", "82a16201a16101"),
    ("key_order", "the longer key first", "82a2616101a16101"),
    ("key_order", "an underscore before a digit", "82a2615f01a2613001"),
    ("depth", "17 lists around each other", "91" * 16 + "90"),
    ("depth", "17 maps around each other", "81a161" * 16 + "80"),
    ("depth", "a thousand lists around each other", "91" * 1_000 + "90"),
)
#: Values that an encoder must refuse.
BAD_VALUES: Final[tuple[tuple[str, str, Json], ...]] = (
    ("nil", "nothing", None),
    ("nil", "nothing in a map", {"a": None}),
    ("float", "a half", 0.5),
    ("int_range", "2^53", {"$int": str(2**53)}),
    ("int_range", "-2^53", {"$int": str(-(2**53))}),
    ("bad_key", "a capital letter", {"A": 1}),
    ("bad_key", "an empty key", {"": 1}),
    ("bad_key", "32 letters", {"k" * 32: 1}),
    ("bad_key", "a line break at the end", {"a\n": 1}),
    ("utf8", "a lone surrogate", "\ud800"),
    ("depth", "17 lists around each other", _nested(17)),
    ("too_many", "a list of 32,768", {"$repeat": [[0], 32_768]}),
    ("too_large", "262,144 bytes and a header", {"$hex": [["00", MAX_FRAME_BYTES]]}),
)


def _bad() -> list[Case]:
    out = [
        invalid(code, what, check="decode", bytes=hexed(bytes.fromhex(data))) for code, what, data in BAD_HEX
    ]
    huge = b"\xc6" + (MAX_FRAME_BYTES - 4).to_bytes(4, "big") + bytes(MAX_FRAME_BYTES - 4)
    many = b"\xdc\x80\x00" + bytes(32_768)
    spread = b"\x92" + (b"\xdc\x3f\xff" + bytes(16_383)) * 2
    out += [
        invalid("too_large", "one byte too many", check="decode", bytes=hexed(huge)),
        invalid("too_many", "32,769 values", check="decode", bytes=hexed(many)),
        invalid("too_many", "as many in two lists", check="decode", bytes=hexed(spread)),
    ]
    return out + [
        invalid(code, f"{what} (an encoder)", check="encode", value=value) for code, what, value in BAD_VALUES
    ]


def encoding() -> Json:
    """The file encoding.json."""
    return cases(
        "Canonical values (01): `value` encodes to exactly `bytes`, and they decode to it; or they are refused.",
        _good(),
        _bad(),
    )


def _stream(name: str, payloads: Sequence[bytes], cuts: Sequence[int]) -> Case:
    """A stream of good frames, cut into reads of these lengths and the rest."""
    data = b"".join(map(frame, payloads))
    reads = _cut(data, cuts)
    return valid(name, check="stream", payloads=hexes(payloads), stream=hexed(data), reads=hexes(reads))


def _cut(data: bytes, lengths: Sequence[int]) -> list[bytes]:
    reads, at = [], 0
    for length in lengths:
        reads.append(data[at : at + length])
        at += length
    return [read for read in (*reads, data[at:]) if read]


def _broken(code: str, what: str, before: Sequence[bytes], header: bytes, cuts: Sequence[int] = ()) -> Case:
    data = b"".join(map(frame, before)) + header
    return invalid(
        code, what, check="stream", payloads=hexes(before), stream=hexed(data), reads=hexes(_cut(data, cuts))
    )


def framing() -> Json:
    """The file framing.json."""
    large = bytes(MAX_FRAME_BYTES)
    good = [
        _stream("one byte", [b"\x00"], []),
        _stream("a message", [encode({"type": "gone"})], []),
        _stream("two frames in one read", [b"ab", b"cd"], []),
        _stream("cut inside the length", [b"ab", b"cd"], [2]),
        _stream("cut inside the payload", [b"ab", b"cd"], [5, 3]),
        _stream("byte by byte", [b"ab", b"c"], [1] * 10),
        _stream("the longest frame", [large], [4, 1]),
    ]
    over = (MAX_FRAME_BYTES + 1).to_bytes(4, "big")
    bad = [
        _broken("empty", "a frame of no bytes", [], bytes(4)),
        _broken("empty", "after a good frame", [b"ab"], bytes(4)),
        _broken("empty", "a good frame after it counts for nothing", [b"ab"], bytes(4) + frame(b"cd")),
        _broken("empty", "byte by byte", [b"ab"], bytes(4), [1] * 10),
        _broken("frame_too_large", "one byte too long", [], over),
        _broken("frame_too_large", "four gigabytes", [], b"\xff" * 4),
        _broken("frame_too_large", "after good frames", [b"ab", b"c"], over + b"d", [3, 3, 3]),
        _broken("frame_too_large", "judged before its payload comes", [b"ab"], over, [6, 2, 2]),
    ]
    return cases(
        "Frames on a stream (01): whatever the reads, the same payloads come out, and then the same error.",
        good,
        bad,
    )
