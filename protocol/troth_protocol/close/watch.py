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
from troth_protocol.log.committee import Committee
from troth_protocol.log.entry import Entry, SignedHeader
from troth_protocol.log.keep import place_key, unpack_stored
from troth_protocol.log.rows import Account
from troth_protocol.log.vote import Vote, verify_vote
from troth_protocol.wire.codec import decode
from troth_protocol.wire.messages import Ballot, SealMsg, SealVote

#: Places of entries that are remembered in one epoch; the oldest are forgotten.
PLACES_MAX: Final = 1024
#: In so many epochs, the open one included, the first seal vote of each member is remembered.
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
        known = self._entries.get((header.author, header.seq))
        if known is None:
            if self._is_stored(entry, votes):
                return
            known = self._new(entry)
        if known.entry.id == entry.id:
            self._remember(known, votes)
        else:
            self._contradict(known, entry, votes, chain.committee)

    def _is_stored(self, entry: Entry, votes: Sequence[Vote]) -> bool:
        """The usual case: a certificate that is stored here, with no vote that the stored one lacks."""
        stored = self.chain.book.stored.get(entry.id)
        return stored is not None and {vote.member for vote in votes}.issubset(
            vote.member for vote in stored.certificate.votes
        )

    def _new(self, entry: Entry) -> _Seen:
        """What is stored at this place was there first; its votes were verified."""
        if len(self._entries) >= PLACES_MAX:
            del self._entries[next(iter(self._entries))]
        book, place = self.chain.book, (entry.header.author, entry.header.seq)
        key = book.places.get(place)
        seen = _Seen(entry)
        if key is not None:
            stored = book.stored[key]
            seen = _Seen(stored.entry, {vote.member: vote for vote in stored.certificate.votes})
        self._entries[place] = seen
        return seen

    def _remember(self, seen: _Seen, votes: Sequence[Vote]) -> None:
        chain = self.chain
        for vote in votes:
            try:
                verify_vote(vote, seen.entry.id, chain.network, chain.epoch, chain.committee)
            except Invalid:
                continue  # what it came with is judged elsewhere
            seen.votes.setdefault(vote.member, vote)

    def late(self, entry: Entry, votes: Sequence[Vote]) -> None:
        """Somebody shows an entry of a sealed epoch: is it another one than what is stored of that epoch?"""
        header, chain = entry.header, self.chain
        if header.epoch >= chain.epoch:
            return
        row = chain.archive.find("entries", place_key(header.epoch, header.author, header.seq))
        committee = chain.committee_of(header.epoch)
        if row is None or committee is None:
            return
        stored, certificate = unpack_stored(row, chain.network)
        if stored.id != entry.id:
            seen = _Seen(stored, {vote.member: vote for vote in certificate.votes})
            self._contradict(seen, entry, votes, committee)

    def _contradict(self, known: _Seen, entry: Entry, votes: Sequence[Vote], committee: Committee) -> None:
        if known.entry.header.incarnation == entry.header.incarnation:
            self.fork(known.entry.signed, entry.signed)
        seen = (known.entry, list(known.votes.values()))
        for data in vote_forks(committee, seen, (entry, votes)):
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
        self._saw_seal(peer, epoch, SignedPayload(message.seal, message.signature))

    def seal(self, message: SealMsg) -> None:
        """Somebody shows a seal: another one than that of an epoch sealed here convicts whoever signed both.

        Raises Invalid: wrong_network, bad_signature.
        """
        signed = SIGNED_SEAL.decode(message.seal)
        epoch = self._epoch_of(signed.payload)
        held = self.chain.seal(epoch) if epoch < self.chain.epoch else None
        committee = self.chain.committee_of(epoch) if held is not None else None
        if held is None or committee is None or held[0].payload == signed.payload:
            return
        for member, signature in signed.signatures:
            if member < len(committee.members):
                part = SignedPayload(signed.payload, signature)
                self._saw_seal(committee.members[member].key, epoch, part)

    def _epoch_of(self, payload: bytes) -> int:
        seal = SEAL.decode(payload)
        if seal.network != self.chain.network:
            raise Invalid("wrong_network", seal.network.hex())
        return seal.epoch

    def _saw_seal(self, key: bytes, epoch: int, part: SignedPayload) -> None:
        """Its first seal of an epoch is remembered for a while; what differs from it, or from ours, is evidence."""
        committee = self.chain.committee_of(epoch) if epoch <= self.chain.epoch else None
        place = committee.index(key) if committee is not None else None
        known = self._seals.get((epoch, key)) or self._sealed(epoch, place)
        is_near = epoch > self.chain.epoch - SEAL_EPOCHS
        if place is None or not (known or is_near) or (known and known.payload == part.payload):
            return
        verify_seal_vote(key, self.chain.network, part.payload, part.signature)
        if known is None:
            self._seals[epoch, key] = part
        else:
            self._accuse(seal_fork(key, known, part))

    def _sealed(self, epoch: int, place: int | None) -> SignedPayload | None:
        """A member's signature under the seal of an epoch that is sealed here."""
        held = self.chain.seal(epoch) if epoch < self.chain.epoch else None
        signature = None if held is None else dict(held[0].signatures).get(-1 if place is None else place)
        return None if held is None or signature is None else SignedPayload(held[0].payload, signature)
