"""One author at work in a small network: what it says, and the votes and acks that answer it."""

from __future__ import annotations

from collections.abc import Iterable

from troth_node.testing.ledger import Ledger, sent
from troth_protocol.effects import Effect, Effects, Notice
from troth_protocol.log.author import Author
from troth_protocol.log.book import LogBook
from troth_protocol.log.entry import Entry, load_entry
from troth_protocol.log.vote import sign_votes
from troth_protocol.wire.messages import Submit

AUTHOR = 4
WITNESSES = range(4)


class Scene:
    """The log of agent 4; the first four witness."""

    def __init__(self) -> None:
        self.net = Ledger()
        self.author = Author(self.net.keys[AUTHOR], Effects())
        self.author.is_allowed = True
        self.author.open(self.net.book)

    def pump(self) -> list[Effect]:
        """What the author does when it is pumped."""
        self.author.pump()
        return self.author.out.drain()

    def submitted(self) -> Entry | None:
        """Pump; the entry that went to the witnesses, if one did."""
        entries = {message.entry for _, message in sent(self.pump()) if isinstance(message, Submit)}
        return load_entry(entries.pop(), self.net.network) if entries else None

    def vote(self, entry: Entry, *agents: int) -> list[Effect]:
        """Votes arrive; what the author does."""
        net = self.net
        for agent in agents:
            [vote] = sign_votes(net.keys[agent], net.network, net.epoch, net.committee, [entry.id])
            self.author.voted(net.key(agent), entry.id, vote)
        return self.author.out.drain()

    def ack(self, entry: Entry, *agents: int) -> list[object]:
        """Acks arrive; what the author has to say."""
        for agent in agents:
            self.author.stored(self.net.key(agent), (entry.id,))
        return notices(self.author.out.drain())

    def finish(self, entry: Entry) -> list[object]:
        """All the way to final."""
        self.vote(entry, *WITNESSES)
        return self.ack(entry, *WITNESSES)

    def next_epoch(self, book: LogBook | None = None) -> None:
        """The epoch closes, with the author's own book as the cut unless another is given."""
        if book is not None:
            self.net.book = book
        self.net.close()
        self.author.open(self.net.book)


def notices(effects: Iterable[Effect]) -> list[object]:
    """What is said to the agent, among effects."""
    return [effect.event for effect in effects if isinstance(effect, Notice)]
