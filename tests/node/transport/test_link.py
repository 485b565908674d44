"""Links on a pipe in memory and virtual time: heartbeats, goodbyes, budgets, bounds."""

import pytest
import trio

from troth_node.testing.pipe import LEFT, MemoryPipe, memory_pipes
from troth_node.transport.events import Goodbye, PeerStats
from troth_node.transport.link import Link, refuse
from troth_node.transport.settings import Settings
from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import MAX_FRAME_BYTES
from troth_protocol.wire.framing import frame

SETTINGS = Settings(heartbeat_s=5, outbox_bytes=200_000, stall_s=10, linger_s=0.5)
PERIOD_S = SETTINGS.heartbeat_s


class End:
    """One end of a link: what it got, and why it ended."""

    def __init__(self, pipe, settings=SETTINGS, deliver=None, deliver_now=None):
        self.got = []
        self.pipe = pipe
        self.stats = PeerStats()
        self.link = Link(pipe, settings, self.stats, deliver or self._keep, deliver_now or self._keep_now)
        self.reason = None
        self.ended = trio.Event()

    async def run(self):
        self.reason = await self.link.run()
        self.ended.set()

    async def _keep(self, payload):
        self.got.append(payload)

    def _keep_now(self, payloads):
        self.got += payloads
        return True


@pytest.fixture
def pair(nursery):
    left, right = (End(pipe) for pipe in memory_pipes())
    for end in (left, right):
        nursery.start_soon(end.run)
    return left, right


@pytest.fixture
def alone(nursery):
    """The left end, and the pipe's other end in the hands of the test."""
    pipe, other = memory_pipes()
    end = End(pipe)
    nursery.start_soon(end.run)
    return end, other


async def test_frames_arrive_in_order(pair, autojump_clock):
    left, right = pair
    payloads = [bytes([n, n]) * (n + 1) for n in range(100)]
    assert all(left.link.send(payload) for payload in payloads)
    await trio.testing.wait_all_tasks_blocked()
    assert right.got == payloads
    assert (left.stats.frames_out, right.stats.frames_in) == (100, 100)
    assert left.stats.bytes_out == right.stats.bytes_in == sum(4 + len(payload) for payload in payloads)


async def test_what_waits_leaves_in_few_writes_of_bounded_size(pair, autojump_clock):
    left, _right = pair
    for _ in range(1000):
        assert left.link.send(b"x" * 146)
    await trio.testing.wait_all_tasks_blocked()
    assert left.pipe.writes == [60_000, 60_000, 30_000]


async def test_an_idle_link_stays_up_by_heartbeats_alone(pair, autojump_clock):
    left, right = pair
    await trio.sleep(100 * PERIOD_S)
    assert left.reason is right.reason is None
    assert left.got == right.got == []
    assert 95 <= len(left.pipe.writes) <= 100
    assert set(left.pipe.writes) == {5}


async def test_a_busy_link_needs_no_heartbeats(alone, autojump_clock):
    end, other = alone
    for _ in range(10):
        await trio.sleep(PERIOD_S)
        other.say(frame(b"alive"))
    await trio.testing.wait_all_tasks_blocked()
    assert end.reason is None


async def test_silence_for_two_heartbeats_ends_the_link(alone, autojump_clock):
    end, other = alone
    other.say(frame(b"last words"))
    began = trio.current_time()
    await end.ended.wait()
    assert end.reason == "silent"
    assert trio.current_time() - began == 2 * PERIOD_S


async def test_silence_ends_a_link_whose_write_hangs(alone, autojump_clock):
    end, other = alone
    other.is_frozen = True
    assert end.link.send(b"into the void")
    await end.ended.wait()
    assert end.reason == "silent"


async def test_an_owner_that_does_not_take_frames_is_no_silent_peer(nursery, autojump_clock):
    release = trio.Event()
    pipe, other = memory_pipes()
    end = End(pipe, deliver=lambda _payload: release.wait())
    nursery.start_soon(end.run)
    other.say(frame(b"unread"))
    await trio.sleep(50 * PERIOD_S)
    assert end.reason is None
    release.set()
    await end.ended.wait()
    assert end.reason == "silent"


async def test_a_process_that_slept_itself_does_not_blame_the_peer(alone, autojump_clock):
    end, other = alone
    await trio.testing.wait_all_tasks_blocked()
    autojump_clock.jump(100 * PERIOD_S)
    await trio.testing.wait_all_tasks_blocked()
    other.say(frame(b"I was here all the time"))
    await trio.sleep(PERIOD_S)
    assert end.reason is None


async def test_a_goodbye_is_told_from_a_crash(pair, autojump_clock):
    left, right = pair
    left.link.send(b"the last frame")
    left.link.close(Goodbye.LEAVING, "leaving")
    await left.ended.wait()
    await right.ended.wait()
    assert (left.reason, right.reason) == ("leaving", "peer said leaving")
    assert right.got == [b"the last frame"]


async def test_an_end_without_a_goodbye_is_a_crash(alone, autojump_clock):
    end, other = alone
    other.abort()
    await end.ended.wait()
    assert end.reason == "vanished"


async def test_what_arrived_before_the_end_is_delivered(alone, autojump_clock):
    end, other = alone
    other.say(frame(b"one") + frame(b"two"))
    other.abort()
    await end.ended.wait()
    assert end.got == [b"one", b"two"]


async def test_goodbyes_that_cross_end_at_once(pair, autojump_clock):
    left, right = pair
    began = trio.current_time()
    left.link.close(Goodbye.LEAVING, "leaving")
    right.link.close(Goodbye.FORGOTTEN, "forgotten")
    await left.ended.wait()
    await right.ended.wait()
    assert (left.reason, right.reason) == ("leaving", "forgotten")
    assert trio.current_time() == began


async def test_a_goodbye_waits_half_a_second_for_a_peer_that_does_not_hang_up(alone, autojump_clock):
    end, other = alone
    other.is_frozen = True
    began = trio.current_time()
    end.link.close(Goodbye.LEAVING, "leaving")
    assert not end.link.send(b"too late")
    await end.ended.wait()
    assert trio.current_time() - began == SETTINGS.linger_s


async def test_nothing_is_delivered_after_our_goodbye(alone, autojump_clock):
    end, other = alone
    end.link.close(Goodbye.LEAVING, "leaving")
    other.say(frame(b"ignored"))
    await end.ended.wait()
    assert end.got == []


async def test_a_write_that_cannot_be_cancelled_does_not_outlive_the_link(nursery, autojump_clock):
    class Shielded(MemoryPipe):
        async def write(self, data):
            with trio.CancelScope(shield=True):
                await super().write(data)

    pipe = Shielded(LEFT, is_dialled=True)
    pipe.other = MemoryPipe(LEFT, is_dialled=False)
    pipe.other.is_frozen = True
    end = End(pipe)
    end.link.send(b"into the void")
    with trio.move_on_after(1):
        await end.run()
    assert pipe.is_ended


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ((MAX_FRAME_BYTES + 1).to_bytes(4, "big"), "refused: frame_too_large"),
        (b"\xff\xff\xff\xff", "refused: frame_too_large"),
        (bytes(4), "refused: empty"),
        (frame(b"\x06"), "refused: unknown control frame"),
        (frame(b"\xff"), "refused: unknown control frame"),
    ],
)
async def test_who_breaks_the_framing_is_told_so_and_cut_off(alone, data, reason, autojump_clock):
    end, other = alone
    other.say(frame(b"fine") + data)
    assert await other.read() == frame(bytes([Goodbye.REFUSED]))
    await end.ended.wait()
    assert end.reason == reason
    assert end.got == [b"fine"]


async def test_frames_may_come_byte_by_byte(alone, autojump_clock):
    end, other = alone
    for byte in frame(b"slow") + frame(b"\x00") + frame(b"slower"):
        other.say(bytes([byte]))
        await trio.testing.wait_all_tasks_blocked()
    assert end.got == [b"slow", b"slower"]


async def test_a_payload_has_two_bytes_to_256_kib(alone, autojump_clock):
    end, _other = alone
    for payload in (b"", b"x"):
        with pytest.raises(ValueError, match="two bytes"):
            end.link.send(payload)
    with pytest.raises(Invalid, match="frame_too_large"):
        end.link.send(bytes(MAX_FRAME_BYTES + 1))
    assert end.link.send(b"xx")


async def test_the_outbox_is_bounded_in_bytes(alone, autojump_clock):
    end, other = alone
    other.is_frozen = True
    accepted = 0
    while end.link.send(b"x" * 996):
        accepted += 1
    assert accepted == 200
    assert end.stats.dropped == 1


async def test_a_peer_whose_outbox_stays_full_is_cut_off(alone, nursery, autojump_clock):
    end, other = alone
    nursery.start_soon(_show_life, other)
    other.is_frozen = True
    while end.link.send(b"x" * 996):
        pass
    began = trio.current_time()
    await end.ended.wait()
    assert end.reason == "outbox_full"
    assert trio.current_time() - began == SETTINGS.stall_s


async def test_a_peer_that_catches_up_is_kept(alone, nursery, autojump_clock):
    end, other = alone
    nursery.start_soon(_show_life, other)
    for _ in range(5):
        other.is_frozen = True
        while end.link.send(b"x" * 996):
            pass
        await trio.sleep(SETTINGS.stall_s * 0.9)
        other.is_frozen = False
        end.pipe.wake()
        await trio.testing.wait_all_tasks_blocked()
    assert end.reason is None


async def test_a_peer_that_takes_all_it_can_is_kept_however_much_it_is_given(nursery, autojump_clock):
    class Slow(MemoryPipe):
        async def write(self, data):
            await trio.sleep(2)  # 30 kB a second: a whole outbox in less than ten seconds
            await super().write(data)

    pipe = Slow(LEFT, is_dialled=True)  # its own other end
    end = End(pipe)
    nursery.start_soon(end.run)
    nursery.start_soon(_show_life, pipe)
    for _ in range(1000):
        while end.link.send(b"x" * 996):
            pass
        await trio.sleep(0.1)
    assert end.reason is None
    assert end.stats.dropped == 1000


async def _show_life(pipe):
    while not pipe.is_ended:
        await trio.sleep(1)
        pipe.say(frame(b"\x00"))


@pytest.mark.parametrize("limit", [{"inbound_frames_per_s": 100}, {"inbound_bytes_per_s": 600}])
async def test_a_peer_that_sends_too_much_is_slowed_down(nursery, autojump_clock, eventually, limit):
    pipe, other = memory_pipes()
    end = End(pipe, Settings(**limit))
    nursery.start_soon(end.run)
    for _ in range(10):
        other.say(frame(b"hi") * 100)
        await eventually(lambda: not pipe._arrived)
    await trio.testing.wait_all_tasks_blocked()
    assert len(end.got) == 900
    assert trio.current_time() == pytest.approx(8, abs=0.1)


async def test_a_refused_pipe_gets_a_goodbye_and_delivers_nothing(nursery, autojump_clock):
    pipe, other = memory_pipes()
    other.say(frame(b"hello"))
    nursery.start_soon(refuse, pipe, Goodbye.FULL, SETTINGS)
    assert await other.read() == frame(bytes([Goodbye.FULL]))
    other.abort()
    assert other.peer == LEFT


# Without waiting: what is said together leaves in one step, and what comes in small pieces is taken at once


@pytest.fixture
async def quick(nursery):
    """Both ends of a link on a quick pipe, the readers waiting."""
    ends = [End(pipe) for pipe in memory_pipes()]
    for end in ends:
        end.pipe.is_quick = True
        nursery.start_soon(end.run)
    await trio.testing.wait_all_tasks_blocked()
    return ends


async def test_corked_frames_leave_in_one_write_and_arrive_before_anybody_is_scheduled(quick):
    left, right = quick
    for payload in (b"one", b"two", b"three"):
        left.link.send(payload, is_corked=True)
    assert right.got == []
    left.link.flush()
    assert right.got == [b"one", b"two", b"three"]
    assert len(left.pipe.writes) == 1
    assert left.stats.bytes_out == right.stats.bytes_in == len(b"onetwothree") + 3 * 4
    left.link.flush()
    assert len(left.pipe.writes) == 1, "nothing is left to say"


async def test_what_cannot_leave_at_once_leaves_later_and_in_order(quick):
    left, right = quick
    right.pipe.is_frozen = True
    left.link.send(b"one", is_corked=True)
    left.link.flush()
    await trio.testing.wait_all_tasks_blocked()
    left.link.send(b"two", is_corked=True)
    left.link.flush()
    assert right.got == []
    right.pipe.is_frozen = False
    left.pipe.wake()
    await trio.testing.wait_all_tasks_blocked()
    assert right.got == [b"one", b"two"]


async def test_a_large_outbox_is_the_writers(quick):
    left, right = quick
    payloads = [bytes([n, n]) * 10_000 for n in range(5)]
    for payload in payloads:
        left.link.send(payload, is_corked=True)
    left.link.flush()
    assert right.got == []
    await trio.testing.wait_all_tasks_blocked()
    assert right.got == payloads


async def test_half_a_frame_waits_for_the_reader(alone):
    end, other = alone
    end.pipe.is_quick = True
    await trio.testing.wait_all_tasks_blocked()
    data = frame(b"whole") + frame(b"half")
    other.say(data[:-2])
    assert end.got == []
    await trio.testing.wait_all_tasks_blocked()
    assert end.got == [b"whole"]
    other.say(data[-2:] + frame(b"more"))
    await trio.testing.wait_all_tasks_blocked()
    other.say(frame(b"at once"))
    assert end.got == [b"whole", b"half", b"more", b"at once"]


async def test_a_goodbye_is_the_readers_business(quick):
    left, right = quick
    left.link.close(Goodbye.LEAVING, "leaving")
    await right.ended.wait()
    assert right.reason == "peer said leaving"


async def test_without_room_the_reader_waits_for_it(nursery):
    pipe, other = memory_pipes()
    end = End(pipe, deliver_now=lambda _payloads: False)
    pipe.is_quick = True
    nursery.start_soon(end.run)
    await trio.testing.wait_all_tasks_blocked()
    other.say(frame(b"patience"))
    assert end.got == []
    await trio.testing.wait_all_tasks_blocked()
    assert end.got == [b"patience"]


async def test_a_peer_is_slowed_down_although_its_frames_could_be_taken_at_once(nursery, autojump_clock):
    pipe, other = memory_pipes()
    end = End(pipe, Settings(inbound_frames_per_s=10))
    pipe.is_quick = True
    nursery.start_soon(end.run)
    await trio.testing.wait_all_tasks_blocked()
    began = trio.current_time()
    for _ in range(40):
        other.say(frame(b"again"))
        await trio.testing.wait_all_tasks_blocked()
    await trio.sleep(2.5)
    assert trio.current_time() - began < 3
    assert 10 <= len(end.got) <= 40
    await trio.sleep(5)
    assert len(end.got) == 40
