"""The watch: what others sign is held against what they signed before; whoever contradicts itself is accused.

A witness meets contradictions in its own work (its locks, the agreement) and hands them in. For everything else, and
for whoever is no witness, a bounded memory of what passed by is enough: it notices what it is shown, and asks for
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from troth_protocol.close.ballots import Instance
from troth_protocol.close.chain import Chain
from troth_protocol.close.consensus import Consensus
from troth_protocol.close.outputs import Accused
from troth_protocol.close.seal import SEAL, SIGNED_SEAL, verify_seal_vote
from troth_protocol.errors import Invalid
from troth_protocol.evidence import SignedPayload, ballot_fork, entry_fork, seal_fork, vote_forks
from troth_protocol.log.book import LogBook
from troth_protocol.log.committee import Committee
from troth_protocol.log.entry import Entry, SignedHeader
from troth_protocol.log.rows import Account
from troth_protocol.log.vote import Vote, verify_vote
from troth_protocol.wire.codec import decode
from troth_protocol.wire.messages import Ballot, SealMsg, SealVote

#: Places of entries that are remembered in one epoch; the oldest are forgotten.
PLACES_MAX: Final = 1024
#: How long the first seal vote of each member is remembered.
SEAL_EPOCHS: Final = 2


@dataclass(slots=True)
class _Seen:
    """The first entry seen at a place, with the verified votes for it by member."""

    entry: Entry
    votes: dict[int, Vote] = field(default_factory=dict)


class Watch:
    """What one node remembers of others' signatures; `accuse` takes the evidence that follows."""

    def __init__(self, chain: Chain, accuse: Callable[[bytes], object]) -> None:
        self.chain = chain
        self._accuse = accuse
        self._entries: dict[tuple[bytes, int], _Seen] = {}
        self._seals: dict[tuple[int, bytes], SignedPayload] = {}
        self._observer: Consensus | None = None

    def opened(self) -> None:
        """An epoch is open: entries and ballots of the one before say nothing any more."""
        self._entries.clear()
        self._observer = None
        first = self.chain.epoch - SEAL_EPOCHS
        self._seals = {key: seal for key, seal in self._seals.items() if key[0] > first}

    # Entries and their votes

    def fork(self, first: SignedHeader, second: SignedHeader) -> None:
        """Two headers at one place of a log, their signatures checked."""
        self._accuse(entry_fork(first, second))

    def entry(self, entry: Entry, votes: Sequence[Vote]) -> None:
        """Somebody shows an entry, with votes or without; its author's signature was checked."""
        chain, header = self.chain, entry.header
        is_known = chain.state.find("accounts", header.author, Account) is not None
        if header.epoch != chain.epoch or not is_known:
            return
        place = (header.author, header.seq)
        known = self._entries.get(place)
        if known is not None and known.entry.id != entry.id:
            if known.entry.header.incarnation == header.incarnation:
                self.fork(known.entry.signed, entry.signed)
            seen = (known.entry.signed, list(known.votes.values()))
            for data in vote_forks(chain.network, chain.committee, seen, (entry.signed, votes)):
                self._accuse(data)
        else:
            self._remember(known or self._new(place, entry), votes)

    def _new(self, place: tuple[bytes, int], entry: Entry) -> _Seen:
        if len(self._entries) >= PLACES_MAX:
            del self._entries[next(iter(self._entries))]
        return self._entries.setdefault(place, _Seen(entry))

    def _remember(self, seen: _Seen, votes: Sequence[Vote]) -> None:
        chain = self.chain
        for vote in votes:
            try:
                verify_vote(vote, seen.entry.id, chain.network, chain.epoch, chain.committee)
            except Invalid:
                continue  # what it came with is judged elsewhere
            seen.votes.setdefault(vote.member, vote)

    def stored(self, entry: Entry, votes: Sequence[Vote]) -> None:
        """A witness is shown votes: do they contradict those for the entry that it has stored at that place?"""
        for data in contradictions(self.chain.book, entry, votes):
            self._accuse(data)

    # Ballots

    def ballot(self, peer: bytes, message: Ballot) -> None:
        """A ballot of the open epoch reached a node that is no witness: a silent observer judges it.

        Raises Invalid as `Consensus.on_message`.
        """
        if self._observer is None:
            self._observer = self._observe()
        for output in self._observer.on_message(peer, decode(message.ballot)):
            if isinstance(output, Accused):
                self.accused(output)

    def _observe(self) -> Consensus:
        chain, pacing = self.chain, self.chain.genesis.pacing
        instance = Instance(chain.network, chain.epoch, chain.committee, chain.leader_offset())
        return Consensus(instance, None, pacing.slot_ms, pacing.slot_max_ms, {})

    def accused(self, accused: Accused) -> None:
        """The agreement noticed two ballots that exclude each other."""
        self._accuse(ballot_fork(accused.member, accused.first, accused.second))

    # Seals

    def seal_vote(self, peer: bytes, message: SealVote) -> None:
        """A peer's own signature over a seal, of any epoch. Raises Invalid: wrong_network, bad_signature."""
        epoch = self._epoch_of(message.seal)
        known = self._seals.get((epoch, peer)) or self._sealed(epoch).get(peer)
        is_news = known is None and epoch == self.chain.epoch and self.chain.committee.index(peer) is not None
        if is_news or known is not None:
            self._saw_seal(peer, epoch, known, SignedPayload(message.seal, message.signature))

    def seal(self, message: SealMsg) -> None:
        """Somebody shows a seal: another one than that of an epoch sealed here convicts whoever signed both.

        Raises Invalid: wrong_network, bad_signature.
        """
        signed = SIGNED_SEAL.decode(message.seal)
        epoch = self._epoch_of(signed.payload)
        held = self.chain.seal(epoch) if epoch < self.chain.epoch else None
        if held is None or held[0].payload == signed.payload:
            return
        known, committee = self._sealed(epoch), self.chain.committee_of(epoch)
        for member, signature in signed.signatures:
            key = _key_of(committee, member)
            if key in known:
                self._saw_seal(key, epoch, known[key], SignedPayload(signed.payload, signature))

    def _epoch_of(self, payload: bytes) -> int:
        seal = SEAL.decode(payload)
        if seal.network != self.chain.network:
            raise Invalid("wrong_network", seal.network.hex())
        return seal.epoch

    def _saw_seal(self, key: bytes, epoch: int, known: SignedPayload | None, part: SignedPayload) -> None:
        if known is not None and known.payload == part.payload:
            return
        verify_seal_vote(key, self.chain.network, part.payload, part.signature)
        if known is None:
            self._seals[epoch, key] = part
        else:
            self._accuse(seal_fork(key, known, part))

    def _sealed(self, epoch: int) -> dict[bytes, SignedPayload]:
        """Who signed the seal of an epoch that is sealed here."""
        held = self.chain.seal(epoch) if epoch < self.chain.epoch else None
        committee = None if held is None else self.chain.committee_of(epoch)
        if held is None or committee is None:
            return {}
        payload = held[0].payload
        return {committee.members[m].key: SignedPayload(payload, s) for m, s in held[0].signatures}


def contradictions(book: LogBook, entry: Entry, votes: Sequence[Vote]) -> list[bytes]:
    """Evidence against whoever voted for this entry, and for the one that a book has stored at its place."""
    key = book.places.get((entry.header.author, entry.header.seq))
    if key is None or key == entry.id or entry.header.epoch != book.epoch:
        return []
    known = book.stored[key]
    pairs = (known.entry.signed, known.certificate.votes), (entry.signed, votes)
    return vote_forks(book.network, book.committee, *pairs)


def _key_of(committee: Committee | None, member: int) -> bytes:
    return committee.members[member].key if committee and member < len(committee.members) else b""
