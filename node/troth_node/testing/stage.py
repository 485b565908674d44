"""A few whole cores on a stage: a test decides which frame arrives when, which timer fires, and who crashes.

Agents are named by their number; the first ones are witnesses. Nothing moves by itself: `settle` delivers what may be
delivered until nothing is left, timers fire only when they are told to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from troth_node.testing.samples import COIN, PACING, RULES, sample_genesis, seed
from troth_node.testing.world import Disk
from troth_protocol.close.closer import Closer
from troth_protocol.core import Core, PeerFault, Profile
from troth_protocol.effects import Effect, Erase, Notice, Persist, Send, SetTimer
from troth_protocol.genesis import Genesis, Pacing, Rules, Topic
from troth_protocol.log.entry import Entry, make_entry
from troth_protocol.log.ops import Op
from troth_protocol.log.rows import NO_HEAD, Account
from troth_protocol.market.document import Document
from troth_protocol.wire.crypto import KeyPair, digest
from troth_protocol.wire.messages import MESSAGES, Message

ROUNDS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Mail:
    """One frame under way between two agents."""

    source: int
    target: int
    message: Message
    payload: bytes


class Seat:
    """What a stage holds of one agent."""

    def __init__(self, keys: KeyPair) -> None:
        self.keys = keys
        self.disk = Disk()
        self.core: Core | None = None
        self.timers: dict[str, int] = {}
        self.notices: list[object] = []
        self.starts = 0


class Stage:
    """A network of `agents` cores, all linked; the first `witnesses` of them witness and attest.

    `documents` may say, before they start, by which documents agents sell.
    """

    def __init__(
        self,
        agents: int = 5,
        witnesses: int = 4,
        *,
        weights: Sequence[int] = (),
        rules: Rules = RULES,
        topics: tuple[Topic, ...] = (COIN,),
        pacing: Pacing = PACING,
        genesis: Genesis | None = None,
    ) -> None:
        self.genesis = genesis or sample_genesis(
            agents, witnesses, weights=weights, rules=rules, topics=topics, pacing=pacing
        )
        self.network = self.genesis.network()
        self.seats = [Seat(KeyPair.from_seed(seed(number))) for number in range(agents)]
        self.documents: dict[int, tuple[Document, ...]] = {}
        self.post: list[Mail] = []
        self.sent: list[Mail] = []

    # Who

    def key(self, agent: int) -> bytes:
        """An agent's public key."""
        return self.seats[agent].keys.public

    def number(self, key: bytes) -> int:
        """The agent of a key; -1 for a stranger."""
        return next((n for n, seat in enumerate(self.seats) if seat.keys.public == key), -1)

    def core(self, agent: int) -> Core:
        """An agent's running core."""
        core = self.seats[agent].core
        assert core is not None, f"agent {agent} is down"
        return core

    def closer(self, agent: int) -> Closer:
        """A witness's part in the close."""
        closer = self.core(agent).closer
        assert closer is not None, f"agent {agent} is no witness"
        return closer

    def account(self, agent: int, at: int = 0) -> Account:
        """An agent's sealed account, as agent `at` has it."""
        return self.core(at).chain.state.account(self.key(agent))

    def up(self) -> list[int]:
        """The agents that run."""
        return [number for number, seat in enumerate(self.seats) if seat.core is not None]

    def place(self, agent: int, at: int = 0) -> int:
        """An agent's place in the committee."""
        place = self.core(at).chain.committee.index(self.key(agent))
        assert place is not None
        return place

    def epochs(self) -> list[int]:
        """The open epoch of each agent that runs."""
        return [self.core(agent).epoch for agent in self.up()]

    # Behind an agent's back

    def entry(
        self,
        agent: int,
        *ops: Op,
        deps: Iterable[bytes] = (),
        incarnation: int = 0,
        epoch: int | None = None,
        seq: int | None = None,
    ) -> Entry:
        """An entry signed with an agent's key, the next of its log as agent 0 has it; what is named differs."""
        core = self.core(0)
        head_seq, head = core.chain.book.head(self.key(agent))
        return make_entry(
            self.seats[agent].keys,
            self.network,
            incarnation=incarnation,
            epoch=core.epoch if epoch is None else epoch,
            seq=head_seq + 1 if seq is None else seq,
            prev=NO_HEAD if seq == 1 else head,
            deps=list(deps),
            ops=ops,
        )

    # Coming and going

    def start(self, *agents: int, is_restored: bool = False) -> None:
        """Start these agents, or all, on their disks, and link them to all that run."""
        for agent in agents or range(len(self.seats)):
            seat = self.seats[agent]
            seat.starts += 1
            seat.timers = {}
            nonce = digest(seat.keys.public + bytes([seat.starts]))
            documents = self.documents.get(agent, ())
            profile = Profile(f"agent {agent}", documents, "stage", nonce, is_restored)
            seat.core = Core(self.genesis, seat.keys, seat.disk, profile)
            self.seated(agent, seat.core)
            seat.core.start()
            for other in self.up():
                if other != agent:
                    self.core(other).link_up(self.key(agent))
                    seat.core.link_up(self.key(other))
                    self.flush(other)
            self.flush(agent)

    def seated(self, agent: int, core: Core) -> None:
        """A core is made and about to start."""

    def crash(self, *agents: int) -> None:
        """Kill these agents; what is under way to or from them is lost with them."""
        for agent in agents:
            self.seats[agent].core = None
        self.lose(lambda mail: mail.source in agents or mail.target in agents)
        for agent in agents:
            for other in self.up():
                self.core(other).link_down(self.key(agent))
                self.flush(other)

    # What happens

    def flush(self, agent: int) -> None:
        """Carry out what an agent's core asks for; what it sends goes to the post."""
        seat = self.seats[agent]
        while seat.core is not None and (effects := seat.core.drain()):
            for effect in effects:
                self.carry_out(agent, effect)

    def carry_out(self, agent: int, effect: Effect) -> None:
        """Do one thing that a core asks for."""
        seat = self.seats[agent]
        match effect:
            case Persist() | Erase():
                seat.disk.write(effect)
            case Send():
                self._post(agent, effect)
            case SetTimer():
                seat.timers[effect.name] = effect.delay_ms
            case Notice():
                seat.notices.append(effect.event)

    def _post(self, agent: int, send: Send) -> None:
        target = self.number(send.peer)
        mail = Mail(agent, target, MESSAGES.decode(send.payload), send.payload)
        self.sent.append(mail)
        if target >= 0 and self.seats[target].core is not None:
            self.post.append(mail)

    def deliver(self, mail: Mail) -> None:
        """One frame arrives."""
        core = self.seats[mail.target].core
        if core is not None:
            core.frame(self.key(mail.source), mail.payload)
            self.flush(mail.target)

    def say(self, source: int, target: int, message: Message) -> None:
        """A frame that the test made up arrives."""
        self.deliver(Mail(source, target, message, MESSAGES.encode(message)))

    def settle(self, but: Callable[[Mail], bool] | None = None) -> None:
        """Deliver until nothing is left; frames for which `but` holds wait in the post."""
        for _ in range(ROUNDS_MAX):
            ready = [mail for mail in self.post if but is None or not but(mail)]
            if not ready:
                return
            self.post = [mail for mail in self.post if but is not None and but(mail)]
            for mail in ready:
                self.deliver(mail)
        raise AssertionError("the stage does not come to rest")

    def lose(self, which: Callable[[Mail], bool] | None = None) -> None:
        """Frames under way are lost: those for which `which` holds, or all."""
        self.post = [mail for mail in self.post if which is not None and not which(mail)]

    def fire(self, name: str, *agents: int) -> None:
        """Let a timer of these agents, or of all that run, fire if it is set; "pace" means this epoch's."""
        for agent in agents or self.up():
            seat = self.seats[agent]
            full = name if name == "tick" else f"{name}:{self.core(agent).epoch}"
            if name == "slot":
                full = next((armed for armed in reversed(seat.timers) if armed.startswith(full + ":")), full)
            if seat.timers.pop(full, None) is not None:
                self.core(agent).timer(full)
                self.flush(agent)

    def tick(self, times: int = 2) -> None:
        """Let everybody's tick fire, and settle."""
        for _ in range(times):
            self.fire("tick")
            self.settle()

    def submit(self, agent: int, *ops: Op, deps: tuple[bytes, ...] = ()) -> int:
        """An agent submits ops as one entry; nothing is delivered yet."""
        number = self.core(agent).submit(ops, deps)
        self.flush(agent)
        return number

    def put(self, agent: int, *ops: Op, deps: tuple[bytes, ...] = ()) -> None:
        """Submit and settle."""
        self.submit(agent, *ops, deps=deps)
        self.settle()

    def freeze(self, but: Callable[[Mail], bool] | None = None) -> None:
        """All witnesses stop voting."""
        self.fire("pace")
        self.settle(but)

    def close(self, but: Callable[[Mail], bool] | None = None) -> None:
        """A whole close in good weather: freeze, report, agree, seal."""
        self.freeze(but)
        for name in ("grace", "propose"):
            self.fire(name)
            self.settle(but)

    def notices(self, agent: int, kind: type) -> list[object]:
        """What an agent was told of one kind."""
        return [event for event in self.seats[agent].notices if isinstance(event, kind)]

    def faults(self, agent: int) -> list[str]:
        """The codes of the faults that an agent found in what it was sent."""
        return [event.code for event in self.seats[agent].notices if isinstance(event, PeerFault)]

    def mails(self, kind: type[Message] | tuple[type[Message], ...], source: int | None = None) -> list[Mail]:
        """What was sent of one kind so far, by anybody or by one agent."""
        sent = [mail for mail in self.sent if isinstance(mail.message, kind)]
        return [mail for mail in sent if source is None or mail.source == source]
