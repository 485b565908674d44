"""One node's protocol, without any I/O: frames, links and timers in, ordered effects out.

Theory of operation. A node follows the chain of seals (Chain, Follower), writes its own log (Author) and, in epochs
whose witness set names it, votes (Witness) and closes (Closer). Messages of an older epoch are answered with its seal;
those of the next one wait until it opens. `drain` lets the batching machines speak, delivers what the node says to
itself, and hands the rest out: all Persist effects of a batch come to disk before any Send of it leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, cast

from troth_protocol.close.chain import Archive, Chain
from troth_protocol.close.closer import Closer
from troth_protocol.close.docket import Docket
from troth_protocol.close.early import Early
from troth_protocol.close.execute import Closed
from troth_protocol.close.feed import Feed
from troth_protocol.close.follower import Follower
from troth_protocol.close.pace import Pace
from troth_protocol.close.report import REPORT_HEADER
from troth_protocol.close.seal import SEAL, SIGNED_SEAL
from troth_protocol.close.serve import Server
from troth_protocol.close.watch import Watch
from troth_protocol.effects import Effect, Effects, Send
from troth_protocol.errors import Invalid, TrothError
from troth_protocol.genesis import Genesis
from troth_protocol.log.author import Author
from troth_protocol.log.entry import Entry, load_entry
from troth_protocol.log.ops import Accuse, Op
from troth_protocol.log.payee import Payee
from troth_protocol.log.vote import VOTE, Certificate, load_certificate
from troth_protocol.log.witness import Witness
from troth_protocol.market.board import Board
from troth_protocol.market.library import Library
from troth_protocol.notices import EpochOpened, PeerFault, PeerHello, Profile, Restoring, Ticked, Traded
from troth_protocol.startup import StartCheck
from troth_protocol.wire.crypto import KeyPair
from troth_protocol.wire.messages import (
    MESSAGES,
    AnnounceMsg,
    Ballot,
    CardMsg,
    Certified,
    Chunk,
    DocumentMsg,
    Entries,
    EvidenceMsg,
    Gone,
    Head,
    Hello,
    Message,
    Refuse,
    ReportMsg,
    SealMsg,
    SealVote,
    Snapshot,
    StoredAck,
    Submit,
    Trade,
    VoteFor,
    Votes,
    WantCards,
    WantChunk,
    WantDocument,
    WantEntries,
    WantFeed,
    WantHead,
    WantLog,
    WantReport,
    WantSeals,
    WantSnapshot,
)

__all__ = [
    "Core",
    "EpochOpened",
    "PeerFault",
    "PeerHello",
    "Profile",
    "Restoring",
    "Ticked",
    "Traded",
]

TICK_MS: Final = 250
#: Entries sent in answer to one refusal; the next one names what is missing then.
SUPPLY_MAX: Final = 16


class Core:
    """A whole node as a pure object."""

    def __init__(self, genesis: Genesis, keys: KeyPair, archive: Archive, profile: Profile) -> None:
        self.genesis = genesis
        self.keys = keys
        self.profile = profile
        self.out = Effects()
        self.chain = Chain(genesis, self.out, archive)
        self.server = Server(self.chain, self.out)
        self.follower = Follower(self.chain, self.out, self._followed)
        self.author = Author(keys, self.out)
        self.payee = Payee(keys.public, self.chain.book, self.out)
        self.library = Library(profile.documents, archive, self.out)
        self.witness: Witness | None = None
        self.closer: Closer | None = None
        self.feed = Feed(self.chain.book, self.out)
        self.peers: dict[bytes, Hello] = {}
        self._links: set[bytes] = set()
        self.docket = Docket(self.chain, self.out, self._links)
        self.watch = Watch(self.chain, self.accuse)
        self.board = Board(keys, self.chain, archive, self.out, self._links)
        self.check = StartCheck(self.chain, self.author, profile, self.out, self._links, self._cleared)
        self._early = Early()
        self._ticks = 0
        self._is_lingering = False
        self.pace = Pace(genesis.pacing.epoch_ms, is_patient=profile.is_patient)
        self._handlers = cast("Mapping[type[Message], Callable[[bytes, Message], None]]", self._table())

    def _table(self) -> Mapping[type[Message], object]:
        return {
            Hello: self._on_hello,
            Submit: self._on_submit,
            VoteFor: self._on_vote,
            Votes: self._on_votes,
            Refuse: self._on_refuse,
            Certified: self._on_certified,
            StoredAck: self._on_stored,
            WantLog: self.server.log,
            WantEntries: self.server.entries,
            Entries: self._on_entries,
            WantFeed: self._on_want_feed,
            ReportMsg: self._on_report,
            WantReport: self._on_want_report,
            Ballot: self._on_ballot,
            SealVote: self._on_seal_vote,
            SealMsg: self._on_seal,
            WantSeals: self.server.seals,
            WantChunk: self.server.chunk,
            Chunk: self._on_chunk,
            WantSnapshot: self.server.snapshot,
            Snapshot: self.follower.snapshot,
            WantHead: self._on_want_head,
            Head: self._on_head,
            Gone: self.follower.gone,
            WantDocument: self.library.wanted,
            DocumentMsg: self.library.received,
            EvidenceMsg: self._on_evidence,
            CardMsg: self.board.received,
            AnnounceMsg: self.board.received,
            WantCards: self.board.wanted,
            Trade: self._on_trade,
        }

    @property
    def epoch(self) -> int:
        """The open epoch."""
        return self.chain.epoch

    def is_witness(self) -> bool:
        """Is this node a witness of the open epoch?"""
        return self.chain.committee.index(self.keys.public) is not None

    # Inputs

    def start(self) -> None:
        """Begin: before anything is signed, witnesses of more than two thirds say what they hold of ours."""
        self.out.timer("tick", TICK_MS)
        self.check.begin()

    def link_up(self, peer: bytes) -> None:
        """A link to a peer is there."""
        self._links.add(peer)
        hello = Hello(
            self.profile.software,
            self.chain.network,
            self.profile.name,
            self.library.announced(),
            self.chain.epoch - 1,
        )
        self.out.send(peer, hello)
        self.check.linked(peer)
        self.author.resend(peer)
        self.docket.show(peer)
        self.board.linked(peer)

    def link_down(self, peer: bytes) -> None:
        """The link to a peer is gone."""
        self._links.discard(peer)
        self.peers.pop(peer, None)
        self.follower.lost(peer)
        self.feed.leave(peer)
        self.library.lost(peer)
        self.board.lost(peer)

    def frame(self, peer: bytes, payload: bytes) -> None:
        """One frame from a peer. What is refused costs the peer a PeerFault notice and changes nothing."""
        try:
            message = MESSAGES.decode(payload)
            self._dispatch(peer, message)
        except Invalid as error:
            self.out.notice(PeerFault(peer, error.code, error.detail))

    def _dispatch(self, peer: bytes, message: Message) -> None:
        self._handlers[type(message)](peer, message)
        self._check_sealed()

    def timer(self, name: str) -> None:
        """A timer fired; those of past epochs say nothing any more."""
        kind, _, rest = name.partition(":")
        if kind == "tick":
            self._tick()
            return
        if kind == "pump":
            self._is_lingering = False
            return
        epoch, _, slot = rest.partition(":")
        if self.closer is None or int(epoch) != self.epoch:
            return
        if kind == "pace":
            self._pace(self.closer)
        elif kind == "grace":
            self.closer.report()
        elif kind == "propose":
            self.closer.propose_late()
        else:
            self.closer.on_slot_timer(int(slot))
        self._check_sealed()

    def _pace(self, closer: Closer) -> None:
        hold_ms = self.pace.hold_ms()
        if hold_ms is None:
            closer.freeze()
        else:
            self.out.timer(f"pace:{self.epoch}", hold_ms)

    def submit(self, ops: tuple[Op, ...], deps: tuple[bytes, ...] = ()) -> int:
        """Queue ops for this node's own log; later notices name them by the number returned."""
        if self.profile.linger_ms and not self._is_lingering and self.author.is_idle():
            self._is_lingering = True
            self.out.timer("pump", self.profile.linger_ms)
        return self.author.submit(ops, deps)

    def drain(self) -> list[Effect]:
        """Everything to do now, in order."""
        effects: list[Effect] = []
        while True:
            if not self._is_lingering:
                self.author.pump()
            if self.witness is not None and self.check.is_cleared:
                self.witness.flush()
            batch = self.out.drain()
            if not batch:
                return effects
            effects += [e for e in batch if not (isinstance(e, Send) and e.peer == self.keys.public)]
            for effect in batch:
                if isinstance(effect, Send) and effect.peer == self.keys.public:
                    self.frame(self.keys.public, effect.payload)

    def _cleared(self) -> None:
        self._open(None)

    # Epochs

    def _open(self, closed: Closed | None) -> None:
        """An epoch is open: take up the roles that its witness set gives."""
        self.watch.opened()
        self.docket.opened()
        self.board.opened()
        self.witness = self.closer = None
        self.check.opened()
        self.pace.opened()
        self.feed = Feed(self.chain.book, self.out)
        self.author.is_allowed = self.check.may_sign()
        self.author.open(self.chain.book)
        self.payee = Payee(self.keys.public, self.chain.book, self.out)
        try:
            if self.author.is_allowed and self.is_witness():
                self._witness()
            if closed is None:
                self.author.restore_from(self.chain.archive, self.chain.book)
        except Invalid as error:  # our own rows: no peer is to blame, and nothing is signed on top of them
            raise TrothError(
                f"rows of epoch {self.epoch} are damaged ({error}); restore from peers"
            ) from error
        self._want_feed()
        self.out.notice(EpochOpened(self.epoch, closed))
        if not self.check.is_cleared:
            self.check.begin()
        for peer, message in self._early.take():
            try:
                self._dispatch(peer, message)
            except Invalid as error:
                self.out.notice(PeerFault(peer, error.code, error.detail))

    def _witness(self) -> None:
        """Vote and close in the open epoch, going on from what is on disk."""
        self.witness = Witness(self.keys, self.chain.book, self.out, self.watch.fork)
        self.witness.forks.update(self.docket.forked())
        self.witness.restore_from(self.chain.archive)
        parts = (self.keys, self.chain, self.witness, self.server, self.out)
        self.closer = Closer(*parts, docket=self.docket, watch=self.watch)
        if self.profile.last_epoch is None or self.epoch <= self.profile.last_epoch:
            self.closer.start()

    def _want_feed(self) -> None:
        """Whoever does not vote has one witness pass entries on to it, each epoch another one."""
        able = sorted(peer for peer in self._links if self.chain.committee.index(peer) is not None)
        if able and not self.is_witness():
            self.out.send(able[self.epoch % len(able)], WantFeed(self.epoch))

    def _followed(self) -> None:
        self._open(self.chain.newest)

    def _check_sealed(self) -> None:
        """Our own close is done: advance, and show the seal to everybody on our links."""
        result = self.closer.result if self.closer is not None else None
        if result is None:
            return
        signed, closed, _ = result
        message = SealMsg(SIGNED_SEAL.encode(signed), closed.committee.encode())
        self.chain.advance(*result)
        for peer in sorted(self._links):
            self.out.send(peer, message)
        self.follower.sealed()
        self._open(self.chain.newest)

    def _is_now(self, peer: bytes, message: Message, epoch: int) -> bool:
        """Is this message of the open epoch? Later ones wait, to older ones the answer is that epoch's seal."""
        if epoch == self.epoch and (self.check.is_cleared or not self.is_witness()):
            return True
        if epoch >= self.epoch:
            if epoch <= self.epoch + 1:
                self._early.keep(peer, message)
            if epoch > self.epoch:
                self.follower.heard(peer, epoch - 1)
        else:
            held = self.chain.seal(epoch)
            if held is not None:
                self.out.send(peer, SealMsg(SIGNED_SEAL.encode(held[0]), held[1]))
        return False

    def _tick(self) -> None:
        self._ticks += 1
        self.out.timer("tick", TICK_MS)
        self.check.ask()
        self.pace.tick()
        self.feed.flush()
        if self._ticks % 2 == 0:
            self.author.resend_late()
            self.payee.resend_late()
            if self.closer is not None:
                self.closer.tick()
        self.follower.tick()
        self.library.tick()
        self._check_sealed()
        self.out.notice(Ticked())

    # Messages

    def _on_want_head(self, peer: bytes, message: WantHead) -> None:
        self.check.wanted(peer, message, self.witness)

    def _on_head(self, peer: bytes, message: Head) -> None:
        if message.epoch > self.epoch and not self.check.is_cleared and message.nonce == self.profile.nonce:
            self.follower.heard(peer, message.epoch - 1)
        self.check.answered(peer, message)

    def _on_hello(self, peer: bytes, message: Hello) -> None:
        if message.network != self.chain.network:
            raise Invalid("wrong_network", message.network.hex())
        self.peers[peer] = message
        self.follower.heard(peer, message.epoch)
        self.out.notice(PeerHello(peer, message))

    def _on_submit(self, peer: bytes, message: Submit) -> None:
        if self.witness is not None and self.witness.is_voted(peer, message.entry):
            return
        entry = load_entry(message.entry, self.chain.network)
        if not self._is_now(peer, message, entry.header.epoch):
            self.watch.late(entry, ())
        elif self.witness is None:
            self.watch.entry(entry, ())
        else:
            self.pace.heard()
            self.witness.submit(peer, entry)

    def _on_vote(self, peer: bytes, message: VoteFor) -> None:
        if self.author.awaits(message.entry):
            self.author.voted(peer, message.entry, VOTE.decode(message.vote))

    def _on_votes(self, peer: bytes, message: Votes) -> None:
        self.author.voted_together(peer, message)

    def _on_refuse(self, peer: bytes, message: Refuse) -> None:
        if message.missing and self.chain.committee.index(peer) is not None:
            self.author.supply(peer, message.missing[:SUPPLY_MAX])
        if message.code == "conflict" and message.conflict is not None:
            entry = load_entry(message.conflict, self.chain.network)
            if self.check.is_news(entry):
                self.check.restore()

    def _on_certified(self, peer: bytes, message: Certified) -> None:
        if self.witness is not None and self.witness.is_known(peer, message.certificate):
            return
        certificate = load_certificate(message.certificate)
        entry = self._entry_of(certificate, message)
        if not self._is_now(peer, message, certificate.epoch):
            if entry is not None:
                self.watch.late(entry, certificate.votes)
            return
        try:
            if self.witness is not None:
                if self.witness.certified(peer, certificate, entry):
                    self.witness.remember(message.certificate, certificate.entry)
            elif entry is not None:
                self.payee.certified(certificate, entry)
        finally:  # what is refused may still convict
            if entry is not None:
                self.watch.entry(entry, certificate.votes)

    def _entry_of(self, certificate: Certificate, message: Certified) -> Entry | None:
        """The entry that came along; bytes that were voted for need no second look."""
        if message.entry is None:
            return None
        known = self.witness.find(certificate.entry) if self.witness is not None else None
        if known is not None and known.data == message.entry:
            return known
        return load_entry(message.entry, self.chain.network)

    def _on_stored(self, peer: bytes, message: StoredAck) -> None:
        if message.epoch == self.epoch:
            self.author.stored(peer, message.entries)
            self.payee.stored(peer, message.entries)

    def _on_entries(self, peer: bytes, message: Entries) -> None:
        if self.closer is not None:
            self.closer.gatherer.entries(message)
            self.closer.gathered()
        if self.closer is None or self.follower.is_behind():
            self.follower.entries(peer, message)

    def _on_want_feed(self, peer: bytes, message: WantFeed) -> None:
        if self._is_now(peer, message, message.epoch) and self.is_witness():
            self.feed.join(peer)

    def _on_report(self, peer: bytes, message: ReportMsg) -> None:
        epoch = REPORT_HEADER.decode(message.header).epoch
        if self._is_now(peer, message, epoch) and self.closer is not None:
            self.closer.on_report(message)

    def _on_want_report(self, peer: bytes, message: WantReport) -> None:
        if self._is_now(peer, message, message.epoch) and self.closer is not None:
            self.closer.want_report(peer, message)

    def _on_ballot(self, peer: bytes, message: Ballot) -> None:
        if not self._is_now(peer, message, message.epoch):
            return
        if self.closer is not None:
            self.closer.on_ballot(peer, message)
        elif not self.is_witness():
            self.watch.ballot(peer, message)

    def _on_seal_vote(self, peer: bytes, message: SealVote) -> None:
        if self._is_now(peer, message, SEAL.decode(message.seal).epoch) and self.closer is not None:
            self.closer.on_seal_vote(peer, message)
        self.watch.seal_vote(peer, message)

    def _on_seal(self, peer: bytes, message: SealMsg) -> None:
        self.watch.seal(message)
        self.follower.seal(peer, message)

    def _on_evidence(self, peer: bytes, message: EvidenceMsg) -> None:
        if self.docket.accuse(message.evidence, peer) and self.witness is not None:
            self.witness.forks.update(self.docket.forked())

    def accuse(self, evidence: bytes) -> None:
        """Keep and show evidence that this node made; whoever has no report to put it in accuses in its own log.

        Raises Invalid if it proves nothing.
        """
        if self.docket.accuse(evidence) and not self.is_witness() and self.author.is_allowed:
            self.submit((Accuse(evidence),))

    def _on_chunk(self, peer: bytes, message: Chunk) -> None:
        if self.closer is not None:
            self.closer.gatherer.chunk(message)
            self.closer.gathered()
        self.follower.chunk(peer, message)

    def _on_trade(self, peer: bytes, message: Trade) -> None:
        self.out.notice(Traded(peer, message))
