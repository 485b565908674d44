"""Messages of an epoch that is not open here yet: they wait until it is, a bounded share of each peer."""

from __future__ import annotations

from typing import Final

from troth_protocol.wire.messages import MESSAGES, Message

EARLY_MAX_BYTES: Final = 16 * 1024 * 1024
EARLY_PEER_MAX: Final = 256
EARLY_PEER_MAX_BYTES: Final = 512 * 1024


class Early:
    """What came too early, in the order it came; what finds no room is dropped, for everything is sent again."""

    def __init__(self) -> None:
        self._held: list[tuple[bytes, Message]] = []
        self._of_peer: dict[bytes, tuple[int, int]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def keep(self, peer: bytes, message: Message) -> None:
        """Let a message wait, if there is room."""
        size = len(MESSAGES.encode(message))
        count, used = self._of_peer.get(peer, (0, 0))
        has_share = count < EARLY_PEER_MAX and used + size <= EARLY_PEER_MAX_BYTES
        if has_share and self._bytes + size <= EARLY_MAX_BYTES:
            self._held.append((peer, message))
            self._of_peer[peer] = (count + 1, used + size)
            self._bytes += size

    def take(self) -> list[tuple[bytes, Message]]:
        """All that waited; nothing waits any more."""
        held, self._held = self._held, []
        self._of_peer, self._bytes = {}, 0
        return held
