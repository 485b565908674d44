"""When the process looks for garbage: seldom, and not among what lives long.

Reference counts free nearly everything here. The collector of cycles would start after every 700 objects, some ten
entries, and go again and again over an epoch's log book, which is all alive: a tenth to a sixth of a witness's time.
So it looks at new objects after every 100,000, once, and at everything when an epoch has opened, for then the book of
the one before is gone.
"""

from __future__ import annotations

import gc
from typing import Final

from troth_protocol.notices import EpochOpened

NEW_OBJECTS: Final = 100_000
#: After so many looks at the new objects, one at the young ones; after so many of those, one at everything.
YOUNG_EVERY: Final = 1_000
ALL_EVERY: Final = 1_000


class Collector:
    """Listens for epochs to open."""

    def start(self) -> None:
        """From here on collect so; what the process has loaded stays as it is."""
        gc.freeze()
        gc.set_threshold(NEW_OBJECTS, YOUNG_EVERY, ALL_EVERY)

    def notice(self, event: object) -> None:
        """An epoch opened: look at everything."""
        if isinstance(event, EpochOpened):
            gc.collect()
