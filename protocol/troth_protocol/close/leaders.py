"""Who leads a slot of the agreement, and for how long: pure functions of numbers that everybody knows.

Smooth weighted round robin: every turn each member gains its weight in credit, the richest leads (ties go to the
smaller key) and pays the total. After any number of turns a member has led its share of them, less than one turn off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from troth_protocol.log.committee import Member

# 1.5**64 ms is more than five thousand years: beyond this slot every timer is at its maximum.
_GROWTH_SLOTS: Final = 64


def turns(members: Sequence[Member]) -> Iterator[int]:
    """The places in `members` whose turn it is, without end; weights are positive."""
    total = sum(member.weight for member in members)
    credit = [0] * len(members)
    while True:
        for place, member in enumerate(members):
            credit[place] += member.weight
        richest = min(range(len(members)), key=lambda place: (-credit[place], members[place].key))
        credit[richest] -= total
        yield richest


def leader(members: Sequence[Member], offset: int, slot: int) -> int:
    """The place in `members` of the leader of `slot` when turn `offset` leads slot 0.

    Takes `offset + slot` steps of len(members) each: whoever chooses an offset keeps it small.
    """
    return next(islice(turns(members), offset + slot, None))


def timeout_ms(slot: int, slot_ms: int, slot_max_ms: int) -> int:
    """How long a slot may last: min(floor(slot_ms * 1.5**slot), slot_max_ms), in whole milliseconds."""
    power = min(slot, _GROWTH_SLOTS)
    grown: int = slot_ms * 3**power >> power
    return min(grown, slot_max_ms)
