"""What a value must look like, declared once: a Kind checks one value, a Record a map, a Variant a choice of maps.

Loading hostile values raises `Invalid` and nothing else; dumping what was loaded gives back the same value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Never, TypeVar, cast

from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import Value, decode, decode_amount, encode_amount, pack, peek
from troth_protocol.wire.compiled import Dump, places, reader, writer

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: Control characters, and marks that break lines or turn the direction of writing.
_MARKS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")

MAX_INT = 2**53 - 1
PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value: `name` is how spec/registry.toml writes it; optional ones may be absent (None)."""

    name: str
    load: Callable[[Value], object]
    dump: Callable[[Never], Value]
    optional: bool = False


def _same(value: Value) -> Value:
    return value


def _whole(value: int) -> int:
    if not -MAX_INT <= value <= MAX_INT:
        raise Invalid("int_range")
    return value


def fixed(size: int) -> Kind:
    """A byte string of exactly `size` bytes."""

    def load(value: Value) -> bytes:
        if type(value) is not bytes or len(value) != size:
            raise Invalid("bad_field", f"expected {size} bytes")
        return value

    return Kind(f"bin {size}", load, _same)


def blob(limit: int) -> Kind:
    """A byte string of at most `limit` bytes."""

    def load(value: Value) -> bytes:
        if type(value) is not bytes or len(value) > limit:
            raise Invalid("bad_field", f"expected at most {limit} bytes")
        return value

    return Kind(f"bin ..{limit}", load, _same)


def text(limit: int) -> Kind:
    """A string of at most `limit` UTF-8 bytes."""

    def load(value: Value) -> str:
        if type(value) is not str or len(value.encode()) > limit:
            raise Invalid("bad_field", f"expected text of at most {limit} bytes")
        return value

    return Kind(f"str ..{limit}", load, _same)


def uint(limit: int = MAX_INT) -> Kind:
    """A whole number from 0 to `limit`."""

    def load(value: Value) -> int:
        if type(value) is not int or not 0 <= value <= limit:
            raise Invalid("bad_field", f"expected a whole number up to {limit}")
        return value

    return Kind("uint" if limit == MAX_INT else f"uint ..{limit}", load, _whole)


def choice(*words: str) -> Kind:
    """One of a few words."""

    def load(value: Value) -> str:
        if type(value) is not str or value not in words:
            raise Invalid("bad_field", f"expected one of {', '.join(words)}")
        return value

    return Kind(" | ".join(words), load, _same)


def many(kind: Kind, limit: int, least: int = 0) -> Kind:
    """A list of `least` to `limit` values of one kind; loads to a tuple."""

    def load(value: Value) -> tuple[object, ...]:
        if type(value) is not list or not least <= len(value) <= limit:
            raise Invalid("bad_field", f"expected a list of {least} to {limit}")
        return tuple(map(kind.load, value))

    write = cast("Dump", kind.dump)

    def dump(items: Sequence[object]) -> Value:
        return [write(item) for item in items]

    return Kind(f"list {least}..{limit} of ({kind.name})", load, dump)


def row(*kinds: Kind) -> Kind:
    """A list of fixed length whose places have their own kinds; loads to a tuple."""

    def load(value: Value) -> tuple[object, ...]:
        if type(value) is not list or len(value) != len(kinds):
            raise Invalid("bad_field", f"expected a list of {len(kinds)}")
        return tuple(kind.load(item) for kind, item in zip(kinds, value, strict=True))

    writes = [cast("Dump", kind.dump) for kind in kinds]

    def dump(items: Sequence[object]) -> Value:
        return [write(item) for write, item in zip(writes, items, strict=True)]

    return Kind("[" + ", ".join(kind.name for kind in kinds) + "]", load, dump)


def optional(kind: Kind) -> Kind:
    """A field that may be absent: absent loads to None, None is left out."""
    return Kind(kind.name + " ?", kind.load, kind.dump, optional=True)


def nested(record: Record[T]) -> Kind:
    """A map described by another record."""
    return Kind(record.name, record.load, record.dump)


def _load_flag(value: Value) -> bool:
    if type(value) is not bool:
        raise Invalid("bad_field", "expected true or false")
    return value


def find_mark(text: str) -> str | None:
    """The first character of a text that breaks lines, or fools whoever reads a terminal."""
    found = _MARKS.search(text)
    return None if found is None else found[0]


def is_distribution(ppm: Sequence[int], outcomes: int, epsilon_ppm: int) -> bool:
    """Are these probabilities: one per outcome, each at least epsilon, their sum exactly 1,000,000?"""
    return len(ppm) == outcomes and sum(ppm) == PPM and min(ppm) >= epsilon_ppm


FLAG = Kind("bool", _load_flag, _same)
AMOUNT = Kind("amount", decode_amount, encode_amount)
KEY = fixed(32)
ID = fixed(32)
HASH = fixed(32)
SALT = fixed(32)
SIGNATURE = fixed(64)
EPOCH = uint()
SEQ = uint()


def read(data: bytes, load: Callable[[Value], T]) -> T:
    """Load what canonical bytes say; Invalid as `codec.decode` and `load` raise it.

    Short data takes a short cut: a schema loads only values that have an encoding, and only maps whose keys are in
    order, so what is packed again to the same bytes was canonical. Whatever fails on it, the strict way says why.
    """
    value = peek(data)
    if value is not None:
        try:
            item = load(value)
            if pack(value) == data:
                return item
        except Invalid:
            pass
    return load(decode(data))


class Record(Generic[T_co]):
    """A map with named fields that loads to one class, whose attributes have the same names."""

    def __init__(  # type: ignore[explicit-any] # the class takes the fields by name
        self, name: str, make: Callable[..., T_co], fields: Mapping[str, Kind], tag: str | None = None
    ) -> None:
        self.name = name
        self.fields = dict(fields)
        self._make = make
        self._names = frozenset(fields) | ({tag} if tag is not None else set())
        self._keys = tuple(sorted(self._names))
        self._loads = tuple((key, kind.load, kind.optional) for key, kind in sorted(fields.items()))
        self._readers = self._compile_readers()
        #: The value that loads to an item, its keys in canonical order (absent optional fields left out).
        self.dump: Dump = self._compile_writer(tag)

    def _compile_readers(self) -> dict[tuple[str, ...], Callable[[Value], T_co]]:
        """For maps with all fields, and for those without the optional ones, by their keys in order."""
        order = places(self._make)
        if set(order) != set(self.fields):
            return {}
        readers = {}
        for absent in ({key for key, kind in self.fields.items() if kind.optional}, set[str]()):
            loads = {key: kind.load for key, kind in self.fields.items() if key not in absent}
            keys = tuple(key for key in self._keys if key not in absent)
            readers[keys] = reader(self._make, loads, order)
        return readers

    def _compile_writer(self, tag: str | None) -> Dump:
        dumps: dict[str, Dump | str | None] = {
            key: None if kind.dump is _same else cast("Dump", kind.dump) for key, kind in self.fields.items()
        }
        if tag is not None:
            dumps[tag] = self.name
        optional = [key for key, kind in self.fields.items() if kind.optional]
        return writer({key: dumps[key] for key in self._keys}, optional)

    def tagged(self, tag: str) -> Record[T_co]:
        """The same record with its own name in the field `tag`, which is written and passed over when read."""
        return Record(self.name, self._make, self.fields, tag)

    def load(self, value: Value) -> T_co:
        """Check a decoded value; Invalid("bad_field") names the first field that is wrong."""
        if type(value) is not dict:
            raise Invalid("bad_field", f"{self.name}: expected a map")
        quick = self._readers.get(tuple(value))
        if quick is not None:
            try:
                return quick(value)
            except Invalid:
                pass  # the long way says which field it was
        return self._make(**self._arguments(value))

    def _arguments(self, value: Mapping[str, Value]) -> dict[str, object]:
        if not self._names.issuperset(value):
            unknown = next(key for key in value if key not in self._names)
            raise Invalid("unknown_field", f"{self.name}.{unknown!s:.40}")
        arguments: dict[str, object] = {}
        for key, load, may_miss in self._loads:
            if key in value:
                try:
                    arguments[key] = load(value[key])
                except Invalid as error:
                    raise Invalid(error.code, f"{self.name}.{key}: {error.detail}") from None
            elif may_miss:
                arguments[key] = None
            else:
                raise Invalid("missing_field", f"{self.name}.{key}")
        if list(value) != [key for key in self._keys if key in value]:
            raise Invalid("key_order", self.name)
        return arguments

    def decode(self, data: bytes) -> T_co:
        """Load from canonical bytes."""
        return read(data, self.load)

    def encode(self, item: object) -> bytes:
        """Canonical bytes of `item`."""
        return pack(self.dump(item))


class Variant(Generic[T]):
    """A map whose `tag` field says which record it is; the table is the catalogue."""

    def __init__(self, tag: str, records: Mapping[type[T], Record[T]]) -> None:
        self.tag = tag
        self.records = {record.name: record for record in records.values()}
        self._of_class = {kind: record.tagged(tag) for kind, record in records.items()}
        self._of_name = {record.name: record for record in self._of_class.values()}

    def load(self, value: Value) -> T:
        """Check a decoded value; Invalid("unknown_kind") when the catalogue has no such name."""
        name = value.get(self.tag) if type(value) is dict else None
        record = self._of_name.get(name) if type(name) is str else None
        if record is None:
            raise Invalid("unknown_kind", f"{self.tag} {name!r:.40}")
        return record.load(value)

    def dump(self, item: T) -> Value:
        """The value that loads to `item`, tag included."""
        return self._of_class[type(item)].dump(item)

    def decode(self, data: bytes) -> T:
        """Load from canonical bytes."""
        return read(data, self.load)

    def encode(self, item: T) -> bytes:
        """Canonical bytes of `item`."""
        return pack(self.dump(item))

    def name_of(self, item: T) -> str:
        """The catalogue name of an item."""
        return self._of_class[type(item)].name
