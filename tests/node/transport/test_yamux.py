"""Yamux sessions without sockets: what an honest peer gets, and what a peer that breaks the format gets."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from libp2p.stream_muxer.exceptions import (
    MuxedConnUnavailable,
    MuxedStreamClosed,
    MuxedStreamEOF,
    MuxedStreamReset,
)

from troth_node.testing.pipe import memory_pipes
from troth_node.transport.noise import SocketEnded
from troth_node.transport.yamux import (
    ACK,
    DATA,
    FIN,
    GO_AWAY,
    HEADER,
    MAX_INBOUND_STREAMS,
    MAX_POSTS,
    PING,
    RST,
    SYN,
    WINDOW,
    WINDOW_BYTES,
    Header,
    Session,
    Violation,
)


class Socket:
    """A sealed socket's surface over a pipe in memory."""

    def __init__(self, pipe):
        self.pipe = pipe
        self.is_initiator = pipe.is_dialled
        self.is_ready = True
        self.rest = b""

    async def read(self):
        if data := await self.pipe.read():
            return data
        raise SocketEnded("end")

    async def write(self, data):
        with trio.CancelScope(shield=True):
            try:
                rest, self.rest = self.rest, b""
                await self.pipe.write(rest + data)
            except trio.BrokenResourceError:
                raise SocketEnded("end") from None

    def write_now(self, data):
        """Half of it now, the rest with the next write, as a socket that is nearly full would."""
        if not self.is_ready:
            return False
        half = len(data) // 2
        self.pipe.say(data[:half])
        self.rest = data[half:]
        return True

    @property
    def is_clogged(self):
        return bool(self.rest)

    def abort(self):
        self.pipe.abort()


@pytest.fixture
def pair(nursery):
    """Two sessions, the dialler's first."""
    sessions = [Session(Socket(pipe), None) for pipe in memory_pipes()]
    for session in sessions:
        nursery.start_soon(session.start)
    return sessions


@pytest.fixture
def accepting(nursery):
    """The session that was dialled, and the dialler's end of the pipe in the hands of the test."""
    left, right = memory_pipes()
    session = Session(Socket(right), None)
    nursery.start_soon(session.start)
    return session, left


def say(pipe, kind, flags, stream, value, body=b""):
    pipe.say(HEADER.pack(0, kind, flags, stream, value) + body)


async def heard(pipe):
    """The headers that the session has sent."""
    await trio.testing.wait_all_tasks_blocked()
    data = bytes(pipe._arrived)
    pipe._arrived.clear()
    return [Header(*HEADER.unpack_from(data, at))[1:] for at in range(0, len(data), HEADER.size)]


async def open_pair(pair):
    ours = await pair[0].open_stream()
    return ours, await pair[1].accept_stream()


async def read_all(stream, size):
    data = b""
    while len(data) < size:
        data += await stream.read()
    return data


async def test_bytes_go_both_ways(pair):
    ours, theirs = await open_pair(pair)
    await ours.write(b"ping")
    assert await theirs.read(2) == b"pi"
    assert await theirs.read() == b"ng"
    await theirs.write(b"pong")
    assert await ours.read() == b"pong"


async def test_more_than_a_window_passes(pair, nursery):
    ours, theirs = await open_pair(pair)
    data = bytes(range(256)) * 4 * 1024 * 2
    nursery.start_soon(ours.write, data)
    assert await read_all(theirs, len(data)) == data


async def test_a_write_waits_for_the_window_as_long_as_it_takes(pair, nursery, autojump_clock):
    ours, theirs = await open_pair(pair)
    data = b"x" * (WINDOW_BYTES + 1)
    nursery.start_soon(ours.write, data)
    await trio.sleep(3600)
    assert len(theirs._buffer) == WINDOW_BYTES
    assert await read_all(theirs, len(data)) == data


async def test_what_arrived_before_the_end_can_be_read(pair):
    ours, theirs = await open_pair(pair)
    await ours.write(b"last")
    await trio.testing.wait_all_tasks_blocked()
    pair[0].abort()
    await trio.testing.wait_all_tasks_blocked()
    assert pair[1].is_closed
    assert await theirs.read() == b"last"
    with pytest.raises(MuxedStreamEOF):
        await theirs.read()


async def test_a_half_closed_stream_still_reads(pair):
    ours, theirs = await open_pair(pair)
    await ours.close()
    with pytest.raises(MuxedStreamEOF):
        await theirs.read()
    await theirs.write(b"answer")
    assert await ours.read() == b"answer"
    with pytest.raises(MuxedStreamClosed):
        await ours.write(b"more")
    await theirs.close()
    await trio.testing.wait_all_tasks_blocked()
    assert pair[0].streams == pair[1].streams == {}


@pytest.mark.parametrize("end", ["reset", "close session", "peer resets"])
async def test_whoever_reads_wakes_up(pair, end):
    ours, theirs = await open_pair(pair)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_expect_end, ours)
        await trio.testing.wait_all_tasks_blocked()
        await {"reset": ours.reset, "close session": pair[0].close, "peer resets": theirs.reset}[end]()
    await trio.testing.wait_all_tasks_blocked()
    assert pair[0].streams.get(ours.number) is None or pair[0].is_closed


async def _expect_end(stream):
    with pytest.raises((MuxedStreamReset, MuxedStreamEOF)):
        await stream.read()


async def test_whoever_writes_or_accepts_wakes_up(pair):
    ours, _theirs = await open_pair(pair)
    async with trio.open_nursery() as nursery:

        async def write():
            with pytest.raises(MuxedStreamClosed):
                await ours.write(bytes(2 * WINDOW_BYTES))

        async def accept():
            with pytest.raises(MuxedConnUnavailable):
                await pair[0].accept_stream()

        nursery.start_soon(write)
        nursery.start_soon(accept)
        await trio.testing.wait_all_tasks_blocked()
        pair[1].abort()


async def test_cancelled_calls_harm_nothing_but_what_they_were_writing(pair, nursery):
    ours, theirs = await open_pair(pair)
    echo, echoed = await open_pair(pair)
    for n in range(500):
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_later, scope, n % 7)
            await (ours.write(b"y" * 1000) if n % 2 else ours.read())
    nursery.start_soon(echo.write, b"still here")
    assert await echoed.read() == b"still here"
    assert not pair[0].is_closed
    assert len(await theirs.read()) % 1000 == 0


async def _cancel_later(scope, checkpoints):
    for _ in range(checkpoints):
        await trio.lowlevel.checkpoint()
    scope.cancel()


async def test_a_cancelled_read_loses_nothing(pair):
    ours, theirs = await open_pair(pair)
    sent = received = 0
    for n in range(300):
        await ours.write(b"z" * 100)
        sent += 100
        with trio.move_on_after(0 if n % 2 else 60):
            received += len(await theirs.read())
    while received < sent:
        received += len(await theirs.read())
    assert received == sent


async def test_two_ends_that_write_at_once_do_not_block_each_other(pair, nursery):
    ours, theirs = await open_pair(pair)
    data = b"w" * (4 * WINDOW_BYTES)
    nursery.start_soon(ours.write, data)
    nursery.start_soon(theirs.write, data)
    async with trio.open_nursery() as readers:
        readers.start_soon(read_all, ours, len(data))
        readers.start_soon(read_all, theirs, len(data))


async def test_pings_are_answered_and_go_away_is_noted(accepting):
    session, pipe = accepting
    say(pipe, PING, SYN, 0, 77)
    say(pipe, GO_AWAY, 0, 0, 0)
    assert await heard(pipe) == [(PING, ACK, 0, 77)]
    assert not session.is_closed


async def test_late_frames_of_an_ended_stream_are_ignored(accepting):
    session, pipe = accepting
    say(pipe, WINDOW, SYN, 1, 0)
    await (await session.accept_stream()).reset()
    say(pipe, DATA, FIN, 1, 3, b"abc")
    assert await heard(pipe) == [(WINDOW, ACK, 1, 0), (WINDOW, RST, 1, 0)]
    assert session.is_established


@pytest.mark.parametrize(
    "frames",
    [
        [(7, 0, 1, 0, b"")],
        [(WINDOW, SYN, 2, 0, b"")],
        [(WINDOW, SYN, 0, 0, b"")],
        [(WINDOW, SYN, 1, 0, b""), (WINDOW, SYN, 1, 0, b"")],
        [(DATA, SYN, 1, WINDOW_BYTES + 1, b"")],
        [(DATA, 0, 9, 2**32 - 1, b"")],
        [(DATA, SYN, 1, WINDOW_BYTES, bytes(WINDOW_BYTES)), (DATA, 0, 1, 1, b"x")],
    ],
    ids=["kind", "our stream", "stream 0", "stream twice", "too long", "absurd", "not granted"],
)
async def test_who_breaks_the_format_is_cut_off(accepting, frames):
    session, pipe = accepting
    for frame in frames:
        assert not session.is_closed
        say(pipe, *frame)
    await trio.testing.wait_all_tasks_blocked()
    assert session.is_closed


async def test_a_wrong_version_is_cut_off(accepting):
    session, pipe = accepting
    pipe.say(HEADER.pack(1, PING, SYN, 0, 1))
    await session.event_closed.wait()


async def test_streams_beyond_the_limit_are_reset(accepting):
    session, pipe = accepting
    for n in range(MAX_INBOUND_STREAMS + 2):
        say(pipe, WINDOW, SYN, 2 * n + 1, 0)
    answers = await heard(pipe)
    assert [flags for _kind, flags, _stream, _value in answers] == [ACK] * MAX_INBOUND_STREAMS + [RST] * 2
    assert len(session.streams) == MAX_INBOUND_STREAMS
    assert session.is_established


async def test_who_floods_and_does_not_read_the_answers_is_cut_off(accepting):
    session, pipe = accepting
    pipe.is_frozen = True
    for n in range(MAX_POSTS + 2):
        say(pipe, PING, SYN, 0, n)
    await session.event_closed.wait()


async def test_a_write_that_hangs_does_not_outlive_the_session(nursery):
    pipe, other = memory_pipes()
    session = Session(Socket(pipe), None)
    other.is_frozen = True
    with trio.CancelScope() as scope:
        nursery.start_soon(_cancel_later, scope, 20)
        say(other, PING, SYN, 0, 1)
        await session.start()
    assert scope.cancelled_caught
    assert session.is_closed


def _frames():
    header = st.tuples(st.sampled_from([DATA, WINDOW, PING]), st.integers(0, 15), st.integers(0, 6))
    return st.lists(st.tuples(header, st.binary(max_size=40)), max_size=12)


@given(_frames(), st.integers(1, 50))
def test_it_does_not_matter_how_the_bytes_were_cut(frames, cut):
    data = b"".join(
        HEADER.pack(0, kind, flags, stream, len(body)) + (body if kind == DATA else b"")
        for (kind, flags, stream), body in frames
    )
    assert _fed([data]) == _fed([data[at : at + cut] for at in range(0, len(data), cut)])


def _fed(pieces):
    session = Session(Socket(memory_pipes()[1]), None)
    error = None
    try:
        for piece in pieces:
            session.feed(piece)
    except Violation as failure:
        error = repr(failure)
    streams = {n: (bytes(s._buffer), s._credit, s._is_reset) for n, s in session.streams.items()}
    return error, streams, session._posts


async def test_what_is_written_at_once_arrives_whole(pair):
    ours, theirs = await open_pair(pair)
    assert ours.write_now(b"now")
    assert await read_all(theirs, 3) == b"now"
    await ours.write(b"later")
    assert await read_all(theirs, 5) == b"later"


async def test_nothing_is_written_at_once_beyond_the_window_or_past_the_end(pair):
    ours, theirs = await open_pair(pair)
    for _ in range(4):
        await ours.write(bytes(WINDOW_BYTES // 4 - 1))
    assert not ours.write_now(bytes(5))
    assert ours.write_now(bytes(4))
    assert await read_all(theirs, WINDOW_BYTES)
    pair[0].secured_conn.is_ready = False
    assert not ours.write_now(b"busy")
    await ours.close()
    assert not ours.write_now(b"over")


async def test_a_sink_takes_what_it_will_and_the_rest_can_be_read(pair):
    ours, theirs = await open_pair(pair)
    taken = []

    def sink(data):
        taken.append(data)
        return data != b"no"

    theirs.divert(sink)
    for data in (b"yes", b"no", b"late"):
        await ours.write(data)
        await trio.testing.wait_all_tasks_blocked()
    assert taken == [b"yes", b"no"], "what waits is before what comes"
    assert await theirs.read() == b"nolate"
    await ours.write(b"yes again")
    await trio.testing.wait_all_tasks_blocked()
    assert taken[-1] == b"yes again"


async def test_what_a_sink_takes_is_granted_again(pair):
    ours, theirs = await open_pair(pair)
    taken = []
    theirs.divert(lambda data: taken.append(len(data)) or True)
    await ours.write(bytes(3 * WINDOW_BYTES))
    await trio.testing.wait_all_tasks_blocked()
    assert sum(taken) == 3 * WINDOW_BYTES
