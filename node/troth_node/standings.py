"""What every key has earned by sealed results, kept up with each close: what an agent may go by when it chooses."""

from __future__ import annotations

from copy import deepcopy

from troth_protocol.close.chain import result_rows
from troth_protocol.core import Core, EpochOpened
from troth_protocol.insight.standing import Earned, tally
from troth_protocol.wire.chunks import unpack_rows

_TABLE = "results"


class Standings:
    """Standing of all keys, since the oldest result that this node holds."""

    def __init__(self, core: Core) -> None:
        self._earned: dict[bytes, Earned] = {}
        for _, data in core.chain.archive.scan(_TABLE, b""):
            tally(unpack_rows(data), self._earned)

    def notice(self, event: EpochOpened) -> None:
        """One more close."""
        if event.closed is not None:
            tally(result_rows(event.closed), self._earned)

    def of(self, key: bytes) -> Earned:
        """A copy of what a key has earned; nothing, if no result names it."""
        return deepcopy(self._earned[key]) if key in self._earned else Earned()
