"""What must be changed inside the library before it is used, each with its reason. Everything else is subclassed.

Whatever can be replaced by an object of ours is replaced there: the socket (noise), the muxer (yamux), the swarm
(host). Left over is one thing, which has no seam: the module of the library's connections calls `logging.debug` and
`logging.warning` themselves, and the first such call in a process installs a handler on the root logger.
"""

from __future__ import annotations

import logging
import os

from libp2p.network.connection import swarm_connection

DEBUG_VARIABLE = "LIBP2P_DEBUG"


def quiet() -> None:
    """Keep the library's log off the root logger, and silent unless LIBP2P_DEBUG asks for it. May be called again."""
    setattr(swarm_connection, "logging", logging.getLogger(swarm_connection.__name__))  # noqa: B010 - not its type
    if not os.environ.get(DEBUG_VARIABLE):
        for name in list(logging.root.manager.loggerDict):
            if name.startswith("libp2p."):
                logging.getLogger(name).setLevel(logging.NOTSET)  # one of its modules sets a level of its own
        logging.getLogger("libp2p").setLevel(logging.CRITICAL + 1)
