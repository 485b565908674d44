"""Before anything is signed, witnesses of more than two thirds of the weight say what they hold of this node's log.

What they hold and the disk does not know means that the disk is old: restore mode, no signature in the open epoch and
the next, then on under the next incarnation. An honest restore is thus never an offence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from troth_protocol.close.chain import Chain
from troth_protocol.effects import Effects
from troth_protocol.log.author import Author
from troth_protocol.log.entry import Entry, load_entry
from troth_protocol.log.keep import place_key, unpack_vote
from troth_protocol.log.witness import Witness
from troth_protocol.notices import Profile, Restoring
from troth_protocol.wire.messages import Gone, Head, WantHead

__all__ = ["StartCheck"]


class StartCheck:
    """The question at every start, its answers, and restore mode; `cleared` is called when the node may sign."""

    def __init__(
        self,
        chain: Chain,
        author: Author,
        profile: Profile,
        out: Effects,
        links: Collection[bytes],
        cleared: Callable[[], None],
    ) -> None:
        self.chain = chain
        self.out = out
        self.is_cleared = False
        self.silent_until = 0
        self.answers: dict[int, bool] = {}
        self._author = author
        self._profile = profile
        self._links = links
        self._cleared = cleared

    def may_sign(self) -> bool:
        """Is the check over, and restore mode with it?"""
        return self.is_cleared and self.chain.epoch >= self.silent_until

    def opened(self) -> None:
        """An epoch opened: what was answered in the one before says nothing about this one."""
        self.answers = {}

    def begin(self) -> None:
        """Ask everybody; a witness answers for itself."""
        self.ask()
        own = self._author.keys.public
        if self.chain.committee.index(own) is not None:
            self._count(own, is_known=True)

    def ask(self) -> None:
        """Ask everybody on our links, until it is settled."""
        if not self.is_cleared:
            for peer in sorted(self._links):
                self.linked(peer)

    def linked(self, peer: bytes) -> None:
        """Ask one peer."""
        if not self.is_cleared:
            self.out.send(peer, WantHead(self._profile.nonce))

    def wanted(self, peer: bytes, message: WantHead, witness: Witness | None) -> None:
        """A peer asks us about its own log."""
        if self.chain.committee.index(self._author.keys.public) is None:
            self.out.send(peer, Gone("head", self.chain.epoch))
            return
        newest = self._newest_of(peer, witness)
        self.out.send(peer, Head(message.nonce, self.chain.epoch, newest.data if newest else None))

    def _newest_of(self, author: bytes, witness: Witness | None) -> Entry | None:
        """An author's newest entry of the open epoch: the one voted for after its head, or else the head."""
        book = self.chain.book
        seq, head = book.head(author)
        if witness is not None:
            voted = witness.locks.get((author, seq + 1))
        else:
            row = self.chain.archive.find("votes", place_key(self.chain.epoch, author, seq + 1))
            voted = unpack_vote(row, self.chain.network)[0] if row is not None else None
        stored = book.stored.get(head)
        return voted or (stored.entry if stored is not None else None)

    def answered(self, peer: bytes, message: Head) -> None:
        """Only what is held in the open epoch counts: whoever has sealed it already makes us catch up first."""
        is_due = not self.is_cleared and message.nonce == self._profile.nonce
        if is_due and message.epoch == self.chain.epoch:
            entry = load_entry(message.entry, self.chain.network) if message.entry is not None else None
            self._count(peer, is_known=entry is None or not self.is_news(entry))

    def is_news(self, entry: Entry) -> bool:
        """Did we sign this in the open epoch, although our disk does not know it?"""
        header = entry.header
        if header.author != self._author.keys.public or header.epoch != self.chain.epoch:
            return False
        place = place_key(header.epoch, header.author, header.seq)
        return self.chain.archive.find("own", place) != entry.data

    def _count(self, peer: bytes, *, is_known: bool) -> None:
        member = self.chain.committee.index(peer)
        if member is None:
            return
        self.answers[member] = is_known
        if not is_known:
            self.restore()
        if self.chain.committee.weigh(self.answers) >= self.chain.committee.quorum:
            self.clear()

    def clear(self) -> None:
        """Settled: go on, unless the node was told that its disk is a backup's."""
        self.is_cleared = True
        if self._profile.is_restored:  # the disk may have been far behind: the epoch that is open counts
            self.restore()
        self._cleared()

    def restore(self) -> None:
        """Sign nothing in the open epoch and the next, then go on under the next incarnation."""
        self.silent_until = max(self.silent_until, self.chain.epoch + 2)
        self._author.is_allowed = False
        self._author.incarnation = self.chain.state.account(self._author.keys.public).incarnation + 1
        self.out.notice(Restoring(self.silent_until))
