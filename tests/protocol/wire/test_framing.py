"""Frames: however a stream is cut into reads, the same payloads come out, and then the same error."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import MAX_FRAME_BYTES
from troth_protocol.wire.framing import LENGTH_BYTES, FrameReader, frame


def header(length):
    return length.to_bytes(LENGTH_BYTES, "big")


def outcome(stream, cuts):
    """All payloads and the code of the final error, reading `stream` in pieces that end at `cuts`."""
    reader, payloads, start = FrameReader(), [], 0
    try:
        for end in [*sorted(cut for cut in cuts if cut < len(stream)), len(stream)]:
            payloads += reader.feed(stream[start:end])
            start = end
        payloads += reader.feed(b"")
    except Invalid as error:
        return payloads, error.code
    return payloads, None


def test_one_frame_there_and_back():
    assert frame(b"hello") == b"\0\0\0\5hello"
    assert FrameReader().feed(frame(b"hello")) == [b"hello"]


def test_frame_that_comes_in_two_reads():
    reader = FrameReader()
    assert reader.feed(b"\0\0\0\5he") == []
    assert reader.held_bytes == 6
    assert reader.feed(b"llo\0") == [b"hello"]
    assert reader.held_bytes == 1


payloads = st.lists(st.binary(min_size=1, max_size=9), max_size=5)
endings = st.sampled_from(
    [b"", b"\0", header(0), header(MAX_FRAME_BYTES + 1), header(2**32 - 1) + b"x", header(3) + b"x"]
)


@given(payloads, endings, st.lists(st.integers(0, 80)))
def test_cuts_make_no_difference(sent, ending, cuts):
    stream = b"".join(map(frame, sent)) + ending
    whole = outcome(stream, [])
    assert whole[0] == sent
    assert outcome(stream, cuts) == whole
    assert outcome(stream, range(len(stream))) == whole


@given(st.binary(max_size=60), st.lists(st.integers(0, 60)))
def test_cuts_make_no_difference_to_noise(stream, cuts):
    assert outcome(stream, cuts) == outcome(stream, [])


def test_largest_frame():
    payload = bytes(MAX_FRAME_BYTES)
    assert FrameReader().feed(frame(payload)) == [payload]


@pytest.mark.parametrize(("length", "code"), [(0, "empty"), (MAX_FRAME_BYTES + 1, "frame_too_large")])
def test_sender_is_held_to_the_same_lengths(length, code):
    with pytest.raises(Invalid) as refusal:
        frame(bytes(length))
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("length", "code"),
    [(0, "empty"), (MAX_FRAME_BYTES + 1, "frame_too_large"), (2**32 - 1, "frame_too_large")],
)
def test_bad_length_ends_the_stream_for_good(length, code):
    reader = FrameReader()
    for data in (header(length), b"", frame(b"too late")):
        with pytest.raises(Invalid) as refusal:
            reader.feed(data)
        assert refusal.value.code == code
    assert reader.held_bytes == 0


def test_frames_before_a_bad_length_are_not_lost():
    reader = FrameReader()
    assert reader.feed(frame(b"one") + frame(b"two") + header(0)) == [b"one", b"two"]
    assert reader.broken is not None
    with pytest.raises(Invalid):
        reader.feed(b"")


def test_declared_length_reserves_nothing():
    readers = [FrameReader() for _ in range(100)]
    tracemalloc.start()
    for reader in readers:
        reader.feed(header(MAX_FRAME_BYTES) + b"x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 1024


@pytest.mark.parametrize(
    ("data", "payloads"),
    [
        (frame(b"one") + frame(b"two"), [b"one", b"two"]),
        (frame(b"one")[:-1], None),
        (frame(b"one") + b"\0\0", None),
        (header(0), None),
        (header(MAX_FRAME_BYTES + 1), None),
    ],
)
def test_whole_frames_can_be_seen_without_taking_them(data, payloads):
    reader = FrameReader()
    assert reader.peek(data) == payloads
    assert reader.held_bytes == 0


def test_nothing_is_seen_behind_half_a_frame_or_an_error():
    reader = FrameReader()
    reader.feed(frame(b"one")[:-1])
    assert reader.peek(frame(b"two")) is None
    reader = FrameReader()
    assert outcome(header(0), []) == ([], "empty")
    with pytest.raises(Invalid):
        reader.feed(header(0))
    assert reader.peek(frame(b"two")) is None
