"""Frames on a stream: four bytes of length, big-endian, then the payload. No length is awaited unjudged."""

from __future__ import annotations

from typing import Final

from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import MAX_FRAME_BYTES

LENGTH_BYTES: Final = 4


def frame(payload: bytes) -> bytes:
    """`payload` (1 to MAX_FRAME_BYTES bytes) as a frame. Invalid("empty") or Invalid("frame_too_large") otherwise."""
    _check_length(len(payload))
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


class FrameReader:
    """Cuts a stream into the payloads of its frames.

    However the stream is cut into reads, the same payloads come out, and then the same error: a read that completes
    frames before a bad length returns them, and the error is raised by the next call. `broken` shows it at once.
    """

    __slots__ = ("_buffer", "broken")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.broken: Invalid | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that `data` completes, in order.

        Raises Invalid("empty") or Invalid("frame_too_large") on a bad length, and again ever after: such a stream
        cannot be read any further. At most one read and one frame are held.
        """
        if self.broken is None:
            self._buffer += data
            payloads = self._cut()
            if payloads or self.broken is None:
                return payloads
        raise self.broken

    def peek(self, data: bytes) -> list[bytes] | None:
        """The payloads in `data` if it is whole frames and nothing is held; else None. Nothing changes."""
        if self._buffer or self.broken is not None:
            return None
        payloads, start = [], 0
        while start < len(data):
            body = start + LENGTH_BYTES
            end = body + int.from_bytes(data[start:body], "big")
            if not body < end <= len(data):
                return None
            payloads.append(data[body:end])
            start = end
        return payloads

    @property
    def held_bytes(self) -> int:
        """How many bytes wait for the rest of their frame."""
        return len(self._buffer)

    def _cut(self) -> list[bytes]:
        """Take whole frames off the buffer; on a bad length drop the rest and remember why."""
        payloads = []
        start = 0
        try:
            while (end := self._end_of_frame(start)) is not None:
                payloads.append(bytes(self._buffer[start + LENGTH_BYTES : end]))
                start = end
        except Invalid as error:
            self.broken = error
            start = len(self._buffer)
        del self._buffer[:start]
        return payloads

    def _end_of_frame(self, start: int) -> int | None:
        """Where the frame at `start` ends; None while it is not all there."""
        body = start + LENGTH_BYTES
        if len(self._buffer) < body:
            return None
        length = int.from_bytes(self._buffer[start:body], "big")
        _check_length(length)
        return body + length if len(self._buffer) >= body + length else None


def _check_length(length: int) -> None:
    if not length:
        raise Invalid("empty", "a frame holds one value")
    if length > MAX_FRAME_BYTES:
        raise Invalid("frame_too_large", f"{length} bytes")
