"""Readers and writers of records as one would write them by hand, made from the record's table when it is declared.

A loop over a table of fields takes twice as long as the lines that it stands for. So the lines are put together here,
from field names alone, and compiled once; they call the same loads and dumps.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import MemberDescriptorType
from typing import TypeAlias, TypeVar, cast

from troth_protocol.wire.codec import Value

T_co = TypeVar("T_co", covariant=True)
Load: TypeAlias = Callable[[Value], object]
Dump: TypeAlias = Callable[[object], Value]


def places(make: object) -> list[str]:
    """The fields of a class in the order in which it takes them by place; none if it does not say so."""
    if not isinstance(make, type) or not is_dataclass(make) or hasattr(make, "__post_init__"):
        return []
    return [field.name for field in fields(make) if field.init and not field.kw_only]


def reader(  # type: ignore[explicit-any] # the class takes the fields by place
    make: Callable[..., T_co], loads: Mapping[str, Load], order: Sequence[str]
) -> Callable[[Value], T_co]:
    """What loads a map with just the keys of `loads` to a class that takes `order`; the rest of it is None.

    Raises whatever the loads raise, at the first value that is wrong.
    """
    values = [f"load_{name}(value[{name!r}])" if name in loads else "None" for name in order]
    slots = {name: vars(make).get(name) for name in order}
    names: dict[str, object] = {f"load_{name}": load for name, load in loads.items()}
    if all(isinstance(slot, MemberDescriptorType) for slot in slots.values()):
        # A frozen class with slots sets them one by one through object: here without the detour.
        names |= {"new": make.__new__, "make": make}
        names |= {f"set_{name}": getattr(slot, "__set__") for name, slot in slots.items()}  # noqa: B009
        lines = ["item = new(make)"]
        lines += [f"set_{name}(item, {value})" for name, value in zip(order, values, strict=True)]
        lines += ["return item"]
    else:
        names["make"] = make
        lines = [f"return make({', '.join(values)})"]
    return cast("Callable[[Value], T_co]", _function("value", lines, names))


def writer(dumps: Mapping[str, Dump | str | None], optional: Collection[str]) -> Dump:
    """What dumps an item to a map, in the order of `dumps`: the attribute of that name dumped, or as it is if there is
    no dump, or in place of an attribute a text. Those that are `optional` are left out if they are None.
    """
    names: dict[str, object] = {f"dump_{name}": dump for name, dump in dumps.items()}
    lines = ["out = {}"]
    for name, dump in dumps.items():
        lines += [f"if item.{name} is not None:"] if name in optional else []
        lines += ["    " * (name in optional) + f"out[{name!r}] = {_written(name, dump)}"]
    if not optional:
        lines = ["out = {" + ", ".join(f"{name!r}: {_written(name, dumps[name])}" for name in dumps) + "}"]
    return cast("Dump", _function("item", [*lines, "return out"], names))


def _written(name: str, dump: Dump | str | None) -> str:
    if isinstance(dump, str):
        return repr(dump)
    return f"item.{name}" if dump is None else f"dump_{name}(item.{name})"


def _function(argument: str, lines: Sequence[str], names: dict[str, object]) -> object:
    source = f"def written({argument}):\n" + "".join(f"    {line}\n" for line in lines)
    exec(source, names)  # noqa: S102 - of names that our own tables hold
    return names["written"]
