"""Who is linked with whom: one link per peer, kept up for those we asked for, and one bounded queue of events.

Two nodes that dial each other at once keep the stream that the smaller public key opened; of two streams that the same
node opened the newer is kept, for nobody opens a second one while it believes in the first.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import trio

from troth_node.transport.address import PUBLIC_KEY_BYTES, parse_address, peer_id_text, public_from_peer_id
from troth_node.transport.events import Event, Frame, Goodbye, LinkDown, LinkUp, PeerStats
from troth_node.transport.host import Channel, DialError, Host, ListenError
from troth_node.transport.link import Link, refuse
from troth_node.transport.settings import Settings

if TYPE_CHECKING:
    from trio_typing import TaskStatus  # libp2p brings stubs that hide trio's own types

DEFAULT_LISTEN: Final = "/ip4/127.0.0.1/tcp/0"
DEFAULTS: Final = Settings()
GOODBYES_S: Final = 1.0

__all__ = [
    "Frame",
    "LinkDown",
    "LinkUp",
    "ListenError",
    "Network",
    "PeerStats",
    "Settings",
    "peer_id_text",
    "public_from_peer_id",
]


class _Peer:
    """What is known about one peer: its link, and where to dial it if we keep connected."""

    def __init__(self, public: bytes) -> None:
        self.public = public
        self.stats = PeerStats()
        self.link: Link | None = None
        self.channels = 0  # linked or about to be
        self.was_refused = False
        self.address: str | None = None
        self.dialer: trio.CancelScope | None = None
        self.nudged = trio.Event()

    def nudge(self) -> None:
        """Let the dialer look again now."""
        self.nudged.set()
        self.nudged = trio.Event()

    async def wait_down(self) -> None:
        """Return once there is no link."""
        while self.link is not None:
            await self.link.ended.wait()


class Network:
    """The links of one node. `serve` (or `run`) must be running for anything to happen.

    `seed` is the 32-byte Ed25519 seed of the identity, `listen` a TCP multiaddr (port 0: any free port). `events`
    must be drained: while it is full nothing is read from any peer, and TCP slows them down.
    """

    def __init__(
        self,
        seed: bytes,
        listen: str = DEFAULT_LISTEN,
        settings: Settings = DEFAULTS,
        rng: random.Random | None = None,
    ) -> None:
        self._settings = settings
        self._listen = listen
        self._rng = rng or random.Random()  # noqa: S311 - spreads redials, decides nothing
        self._host = Host(seed, self._on_channel, settings)
        self._peers: dict[bytes, _Peer] = {}
        self._nursery: trio.Nursery | None = None
        self._departed = PeerStats()
        self._corked: dict[Link, None] = {}
        self._sink: Callable[[Sequence[Event]], bool] | None = None
        self._events: trio.MemoryReceiveChannel[Event]
        self._emit, self._events = trio.open_memory_channel[Event](settings.events)
        self.public: Final = self._host.public

    @property
    def events(self) -> trio.MemoryReceiveChannel[Event]:
        """LinkUp, LinkDown and Frame in order; trio.EndOfChannel after the network has stopped."""
        return self._events

    @property
    def addresses(self) -> list[str]:
        """The multiaddrs listened on, with the ports that were really bound. Empty unless serving."""
        return self._host.addresses

    @property
    def linked(self) -> list[bytes]:
        """Public keys of the peers with a link, in no particular order."""
        return [peer.public for peer in self._peers.values() if peer.link is not None]

    @property
    def stats(self) -> dict[bytes, PeerStats]:
        """Live counters per peer, of those that are linked or kept connected."""
        return {peer.public: peer.stats for peer in self._peers.values()}

    @property
    def departed(self) -> PeerStats:
        """The sum of the counters of all other peers."""
        return self._departed

    def connect(self, peer: bytes, address: str) -> None:
        """Keep connected with the node that has the public key `peer`, dialling `address`, until `forget`.

        Again with another address: dial that one from now on, at once if there is no link. Raises ValueError if the
        address is no TCP multiaddr or names another peer, or if the peer is this node.
        """
        expected = parse_address(address).public
        if len(peer) != PUBLIC_KEY_BYTES or peer == self.public or expected not in (None, peer):
            raise ValueError(f"cannot connect to {peer.hex()} at {address}")
        entry = self._entry(peer)
        entry.address = address
        entry.nudge()
        self._start_dialer(entry)

    def forget(self, peer: bytes) -> None:
        """Stop keeping connected with `peer` and close its link. It may still dial us."""
        entry = self._peers.get(peer)
        if entry is None:
            return
        entry.address = None
        if entry.dialer is not None:
            entry.dialer.cancel()
            entry.dialer = None
        if entry.link is not None:
            entry.link.close(Goodbye.FORGOTTEN, "forgotten")
        else:
            self._retire(entry)

    def send(self, peer: bytes, payload: bytes, *, is_corked: bool = False) -> bool:
        """Queue a payload (2 to MAX_FRAME_BYTES bytes) for `peer`. Never waits; False if it was not queued.

        Whoever sends many that are `is_corked` calls `flush` after them: they leave in fewer steps.

        True is no promise of arrival. Raises ValueError or Invalid("frame_too_large") for a payload of another size.
        """
        entry = self._peers.get(peer)
        if entry is None:
            return False
        if entry.link is None:
            entry.stats.dropped += 1
            return False
        if is_corked:
            self._corked[entry.link] = None
        return entry.link.send(payload, is_corked=is_corked)

    def flush(self) -> None:
        """Send what was sent corked."""
        for link in self._corked:
            link.flush()
        self._corked.clear()

    async def next_events(self) -> list[Event]:
        """All events that wait, in order; waits for the first. trio.EndOfChannel after the network has stopped.

        Answering a whole batch before waiting again lets the answers leave in few writes: this is the fast way.
        """
        events = [await self._events.receive()]
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while True:
                events.append(self._events.receive_nowait())
        return events

    def divert(self, sink: Callable[[Sequence[Event]], bool]) -> None:
        """While somebody waits for the next events, offer frames to `sink`, which must neither wait nor raise; what it
        does not take is among the events.
        """
        self._sink = sink

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Network]:
        """Serve while the block runs. ListenError if the address cannot be listened on."""
        failure: ListenError | None = None
        async with trio.open_nursery() as nursery:
            try:
                await nursery.start(self.serve)
            except ListenError as error:  # raised outside the nursery, which would wrap it in a group
                failure = error
            else:
                try:
                    yield self
                finally:
                    nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def serve(self, *, task_status: TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled, then say goodbye to everybody, within three seconds. Serves once.

        `await nursery.start(network.serve)` returns when the address is bound, and raises ListenError if it is not.
        """
        failure: ListenError | None = None
        async with trio.open_nursery() as nursery:
            stop = trio.Event()
            try:
                await nursery.start(self._serve_sheltered, stop)
            except ListenError as error:
                failure = error
            else:
                task_status.started()
                try:
                    await trio.sleep_forever()
                finally:
                    stop.set()
        if failure is not None:
            raise failure

    async def _serve_sheltered(self, stop: trio.Event, *, task_status: TaskStatus[None]) -> None:
        """Everything runs in here, out of reach of the cancellation: goodbyes need a library that still works."""
        with trio.CancelScope(shield=True), self._emit:
            async with self._host.run([self._listen]), trio.open_nursery() as nursery:
                self._nursery = nursery
                for entry in self._peers.values():
                    self._start_dialer(entry)
                task_status.started()
                await stop.wait()
                with trio.move_on_after(GOODBYES_S):
                    await self._leave()
                self._nursery = None
                nursery.cancel_scope.cancel()

    async def _leave(self) -> None:
        links = [entry.link for entry in self._peers.values() if entry.link is not None]
        for entry in self._peers.values():
            if entry.dialer is not None:
                entry.dialer.cancel()
        for link in links:
            link.close(Goodbye.LEAVING, "leaving")
        for link in links:
            await link.ended.wait()

    def _on_channel(self, channel: Channel) -> None:
        if self._nursery is None or channel.peer == self.public:
            channel.abort()
        else:
            self._nursery.start_soon(self._serve_channel, channel)

    async def _serve_channel(
        self, channel: Channel, task_status: TaskStatus[bool] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Make a link of a channel if it may be one, and serve it to its end. Starts with whether it may."""
        entry = self._entry(channel.peer)
        entry.channels += 1
        try:
            refusal = await self._admit(entry, channel)
            task_status.started(refusal is None)
            if refusal is None:
                await self._serve_link(entry, channel)
            else:
                await refuse(channel, refusal, self._settings)
        finally:
            channel.abort()
            entry.channels -= 1
            self._retire(entry)

    async def _serve_link(self, entry: _Peer, channel: Channel) -> None:
        public = entry.public
        link = Link(
            channel,
            self._settings,
            entry.stats,
            lambda payload: self._tell(Frame(public, payload)),
            lambda payloads: self._tell_now([Frame(public, payload) for payload in payloads]),
        )
        entry.link = link
        entry.stats.links += 1
        entry.nudge()
        try:
            await self._tell(LinkUp(entry.public))
            down = LinkDown(entry.public, await link.run())
            entry.was_refused = down.is_refusal
            await self._tell(down)
        finally:
            entry.link = None
            link.ended.set()

    async def _admit(self, entry: _Peer, channel: Channel) -> Goodbye | None:
        """Why the channel cannot be the peer's link, or None after every link that it goes before has ended."""
        while entry.link is not None:
            old = entry.link
            if not self._goes_before(channel, old):
                return Goodbye.DUPLICATE
            old.close(Goodbye.DUPLICATE, "replaced")
            await old.ended.wait()
        uninvited = sum(1 for peer in self._peers.values() if peer.link is not None and peer.address is None)
        if entry.address is None and uninvited >= self._settings.max_links:
            return Goodbye.FULL
        return None

    def _goes_before(self, channel: Channel, link: Link) -> bool:
        if channel.is_dialled == link.is_dialled:
            return True
        return channel.is_dialled == (self.public < channel.peer)

    def _tell_now(self, events: Sequence[Event]) -> bool:
        """All of them, or none if there is no room."""
        queue = self._emit.statistics()
        # The owner waits, so it has had all that came before.
        if self._sink is not None and queue.tasks_waiting_receive and self._sink(events):
            return True
        if not queue.open_receive_channels or queue.current_buffer_used + len(events) > queue.max_buffer_size:
            return False
        for event in events:
            self._emit.send_nowait(event)
        return True

    async def _tell(self, event: Event) -> None:
        try:
            self._emit.send_nowait(event)
        except trio.WouldBlock:
            await self._emit.send(event)
        except trio.BrokenResourceError:
            pass  # the owner has stopped listening

    def _entry(self, public: bytes) -> _Peer:
        return self._peers.setdefault(public, _Peer(public))

    def _retire(self, entry: _Peer) -> None:
        """Drop a peer that is neither linked nor wanted: strangers must not fill the memory."""
        if not entry.channels and entry.address is None and self._peers.pop(entry.public, None) is not None:
            self._departed.add(entry.stats)

    def _start_dialer(self, entry: _Peer) -> None:
        if self._nursery is not None and entry.dialer is None and entry.address is not None:
            entry.dialer = trio.CancelScope()
            self._nursery.start_soon(self._keep, entry, entry.dialer)

    async def _keep(self, entry: _Peer, scope: trio.CancelScope) -> None:
        """Dial whenever there is no link, with pauses that double until a link comes up."""
        with scope:
            if self.public > entry.public:
                await self._pause(entry, self._settings.head_start_s)
            pause = self._settings.redial_min_s
            while True:
                await entry.wait_down()
                is_linked = await self._dial(entry)
                await entry.wait_down()
                if is_linked and not entry.was_refused:
                    pause = self._settings.redial_min_s
                if await self._pause(entry, pause * (1 - self._rng.random() / 2)):
                    pause = self._settings.redial_min_s
                else:
                    pause = min(2 * pause, self._settings.redial_max_s)

    async def _dial(self, entry: _Peer) -> bool:
        """Try once; True if it led to a link."""
        if self._nursery is None or entry.address is None:
            return False
        entry.stats.dials += 1
        try:
            channel = await self._host.dial(entry.public, entry.address)
        except DialError as error:
            entry.stats.dial_failures += 1
            entry.stats.last_failure = str(error)
            return False
        return await self._nursery.start(self._serve_channel, channel)

    @staticmethod
    async def _pause(entry: _Peer, seconds: float) -> bool:
        """Wait; True if somebody nudged before the time was over."""
        with trio.move_on_after(seconds) as scope:
            await entry.nudged.wait()
        return not scope.cancelled_caught
