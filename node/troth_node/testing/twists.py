"""Hostile nodes for the simulated world: each twist is one thing that a Byzantine witness or author does.

A hostile node runs the honest core and lies about it: what it would send is dropped, altered, signed anew or made up.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial as bind

from troth_node.testing.contradictions import CONTRADICTIONS, make_contradicts
from troth_node.testing.world import Filter, SimNode, Twist, World
from troth_protocol.close.findings import Findings
from troth_protocol.close.report import sign_report
from troth_protocol.close.seal import SEAL, Seal, sign_seal
from troth_protocol.core import Core
from troth_protocol.errors import Invalid
from troth_protocol.log.entry import Entry, Header, load_entry, make_entry
from troth_protocol.log.ops import Transfer
from troth_protocol.log.vote import BATCH_MAX, CERTIFICATE, VOTE, Certificate, Vote, sign_votes
from troth_protocol.wire.codec import encode
from troth_protocol.wire.messages import (
    MESSAGES,
    Certified,
    Chunk,
    Entries,
    Gone,
    Head,
    Hello,
    Message,
    ReportMsg,
    SealMsg,
    SealVote,
    Snapshot,
    StoredAck,
    Submit,
    VoteFor,
    Votes,
    WantLog,
)

Frames = Sequence[tuple[bytes, bytes]]
HUGE = 2**50
_MEMORY = 256


def silent(_world: World, _node: SimNode, _peer: bytes, _payload: bytes) -> Frames:
    """Says nothing at all."""
    return ()


def partial(_world: World, _node: SimNode, peer: bytes, payload: bytes) -> Frames:
    """Speaks to every other peer only."""
    return ((peer, payload),) if peer[0] % 2 else ()


def denies(_world: World, _node: SimNode, peer: bytes, payload: bytes) -> Frames:
    """Reports and votes, but serves nothing that it has reported."""
    message = MESSAGES.decode(payload)
    return () if isinstance(message, Chunk | Entries | SealMsg | Snapshot) else ((peer, payload),)


def garbles(world: World, _node: SimNode, peer: bytes, payload: bytes) -> Frames:
    """Sends noise and spoilt copies beside what it would say."""
    frames = [(peer, payload)]
    if world.rng.random() < 0.3:
        spoilt = bytearray(payload)
        spoilt[world.rng.randrange(len(spoilt))] ^= 1 << world.rng.randrange(8)
        frames.append((peer, bytes(spoilt)))
    if world.rng.random() < 0.1:
        frames.append((peer, world.rng.randbytes(world.rng.randint(0, 200))))
    return frames


def make_replays() -> Twist:
    """Sends again whatever it has said, to anybody, at any time."""
    memory: list[bytes] = []

    def replays(world: World, _node: SimNode, peer: bytes, payload: bytes) -> Frames:
        memory.append(payload)
        if len(memory) > _MEMORY:
            memory.pop(world.rng.randrange(_MEMORY))
        old = [(world.rng.choice(list(world.nodes)), world.rng.choice(memory))]
        return ((peer, payload), *(old if world.rng.random() < 0.3 else []))

    return replays


def boasts(world: World, node: SimNode, peer: bytes, payload: bytes) -> Frames:
    """Claims epochs that do not exist, offers snapshots of nothing, answers starts with the future."""
    message = MESSAGES.decode(payload)
    frames = [(peer, payload)]
    if isinstance(message, Hello):
        claim = Hello(message.software, message.network, message.name, message.documents, HUGE)
        return ((peer, MESSAGES.encode(claim)),)
    if isinstance(message, Head):
        return ((peer, MESSAGES.encode(Head(message.nonce, HUGE, None))),)
    if world.rng.random() < 0.1:
        lies: list[Message] = [
            Gone("entries", 1),
            Gone("chunk", 1),
            Snapshot(_epoch(node), world.rng.randbytes(32), 3),
            StoredAck(_epoch(node), (world.rng.randbytes(32),)),
            WantLog(node.keys.public, _epoch(node), 1, HUGE),
            _made_up_seal(world, node),
        ]
        frames.append((peer, MESSAGES.encode(world.rng.choice(lies))))
    return frames


def _epoch(node: SimNode) -> int:
    return node.core.epoch if node.core is not None else 1


def _made_up_seal(world: World, node: SimNode) -> SealMsg:
    epoch = _epoch(node) + world.rng.choice((0, 1, 2, 40, HUGE))
    network = world.genesis.network()
    noise = world.rng.randbytes(32)
    payload = SEAL.encode(Seal(network, epoch, noise, noise, noise, noise, noise, noise, 1))
    signature = sign_seal(node.keys, network, payload)
    return SealMsg(encode({"payload": payload, "signatures": [[0, signature]]}), encode([]))


def seals_otherwise(world: World, node: SimNode, peer: bytes, payload: bytes) -> Frames:
    """Signs another seal than the agreed one, and never the same twice."""
    message = MESSAGES.decode(payload)
    if not isinstance(message, SealVote) or node.core is None:
        return ((peer, payload),)
    true = SEAL.decode(message.seal)
    wrong = SEAL.encode(replace(true, state=world.rng.randbytes(32)))
    return ((peer, MESSAGES.encode(SealVote(wrong, sign_seal(node.keys, true.network, wrong)))),)


def votes_together(world: World, node: SimNode, peer: bytes, payload: bytes) -> Frames:
    """Sends whole batches in place of single votes: true ones, and ones in which something is wrong."""
    message = MESSAGES.decode(payload)
    votes = node.core.witness.votes if node.core is not None and node.core.witness is not None else {}
    if not isinstance(message, VoteFor) or message.entry not in votes:
        return ((peer, payload),)
    vote, rng = votes[message.entry], world.rng
    ids = sorted(
        (entry for entry, other in votes.items() if other.root == vote.root), key=lambda e: votes[e].index
    )
    batches = (
        ids,
        [*ids, ids[0]],
        [rng.randbytes(32), *ids],
        [*ids, *(rng.randbytes(32) for _ in range(BATCH_MAX - len(ids)))],
        [rng.randbytes(32)],
    )
    signature = vote.signature if rng.random() < 0.8 else rng.randbytes(64)
    return ((peer, MESSAGES.encode(Votes(tuple(rng.choice(batches)), signature))),)


def make_lies(style: str) -> Twist:
    """Signs a false close report: see LIES."""

    def lies(world: World, node: SimNode, peer: bytes, payload: bytes) -> Frames:
        message = MESSAGES.decode(payload)
        core = node.core
        if (
            not isinstance(message, ReportMsg)
            or core is None
            or core.closer is None
            or core.closer.own is None
        ):
            return ((peer, payload),)
        own = core.closer.gatherer.held[core.closer.own.id].findings or Findings()
        findings = Findings(dict(own.heads), dict(own.claims), dict(own.evidence))
        LIES[style](findings, random.Random(peer) if style == "equivocate" else world.rng, core)
        chunks = findings.chunks()
        report = sign_report(node.keys, core.chain.network, core.epoch, core.chain.committee, chunks)
        body = chunks.data if chunks.size == 1 else None
        return ((peer, MESSAGES.encode(ReportMsg(report.payload, report.signature, body))),)

    return lies


def _forge_head(findings: Findings, rng: random.Random, _core: Core) -> None:
    for author, (seq, _) in list(findings.heads.items()):
        findings.heads[author] = (seq, rng.randbytes(32))


def _inflate(findings: Findings, rng: random.Random, _core: Core) -> None:
    for author, (seq, _) in list(findings.heads.items()):
        findings.heads[author] = (seq + rng.randint(1, HUGE), rng.randbytes(32))


def _go_back(findings: Findings, _rng: random.Random, core: Core) -> None:
    for author, _ in core.chain.state.items("accounts", object):
        account = core.chain.state.account(author)
        findings.heads[author] = (max(1, account.seq), account.head)


def _withhold(findings: Findings, rng: random.Random, _core: Core) -> None:
    for author in list(findings.heads):
        if rng.random() < 0.7:
            del findings.heads[author]


def _claim(findings: Findings, rng: random.Random, core: Core) -> None:
    for lock, _ in core.chain.state.items("locks", object):
        findings.claims[lock] = rng.randbytes(32)
    findings.claims[rng.randbytes(32)] = rng.randbytes(8)


def _slander(findings: Findings, rng: random.Random, _core: Core) -> None:
    findings.add_evidence(rng.randbytes(100))


def _confuse(findings: Findings, rng: random.Random, _core: Core) -> None:
    findings.reporters = {rng.randbytes(32)}


#: What a false report says.
LIES: Mapping[str, Callable[[Findings, random.Random, Core], None]] = {
    "forge": _forge_head,
    "inflate": _inflate,
    "go_back": _go_back,
    "withhold": _withhold,
    "equivocate": _withhold,
    "claim": _claim,
    "slander": _slander,
    "confuse": _confuse,
}


def votes_for_all(world: World, node: SimNode, source: bytes, payload: bytes) -> bool:
    """A filter: signs whatever is submitted, at whatever place."""
    core = node.core
    if core is None:
        return True
    try:
        message = MESSAGES.decode(payload)
        if not isinstance(message, Submit) or core.chain.committee.index(node.keys.public) is None:
            return True
        entry = load_entry(message.entry, core.chain.network)
    except Invalid:
        return True
    vote = sign_votes(node.keys, core.chain.network, core.epoch, core.chain.committee, [entry.id])[0]
    world.carry(node.keys.public, source, MESSAGES.encode(VoteFor(entry.id, VOTE.encode(vote))))
    return False


class Forker:
    """A hostile author: two entries at one place, shown to different witnesses; a certificate shown to one, or late.

    Its core follows the chain and submits nothing. `filter` collects the votes.
    """

    def __init__(self, chance: float = 0.5, last_epoch: int = HUGE) -> None:
        self.chance = chance
        self.last_epoch = last_epoch
        self.headers: dict[bytes, Header] = {}
        self._entries: dict[bytes, Entry] = {}
        self._votes: dict[bytes, dict[int, Vote]] = {}

    def act(self, world: World, node: SimNode) -> None:
        """Called when an epoch opens."""
        core = node.core
        if core is None or core.epoch > self.last_epoch or world.rng.random() >= self.chance:
            return
        first, second = (self._entry(world, core) for _ in range(2))
        self._entries |= {first.id: first, second.id: second}
        self.headers |= {first.id: first.header, second.id: second.header}
        witnesses = [member.key for member in core.chain.committee.members]
        world.rng.shuffle(witnesses)
        middle = world.rng.randint(1, len(witnesses))
        self._submit(world, node, first, witnesses[:middle])
        self._submit(world, node, second, witnesses[middle:])
        if world.rng.random() < 0.5:
            world.at(world.rng.randint(5, 200), lambda: self._submit(world, node, second, witnesses))

    def _entry(self, world: World, core: Core) -> Entry:
        seq, head = core.chain.book.head(core.keys.public)
        account = core.chain.state.account(core.keys.public)
        others = [key for key in world.nodes if key != core.keys.public]
        op = Transfer(world.rng.choice(others), world.rng.randint(1, 10**9), world.rng.randbytes(4))
        return make_entry(
            core.keys,
            core.chain.network,
            incarnation=account.incarnation,
            epoch=core.epoch,
            seq=seq + 1,
            prev=head,
            deps=[],
            ops=[op],
        )

    def _submit(self, world: World, node: SimNode, entry: Entry, witnesses: Sequence[bytes]) -> None:
        for witness in witnesses:
            world.carry(node.keys.public, witness, MESSAGES.encode(Submit(entry.data)))

    def filter(self, world: World, node: SimNode, _source: bytes, payload: bytes) -> bool:
        """Collect votes; a certificate is shown to one witness, or to all but later."""
        try:
            message = MESSAGES.decode(payload)
            if not isinstance(message, VoteFor) or node.core is None or message.entry not in self._entries:
                return True
            vote = VOTE.decode(message.vote)
        except Invalid:
            return True
        votes = self._votes.setdefault(message.entry, {})
        votes[vote.member] = vote
        committee = node.core.chain.committee
        places = [place for place in votes if place < len(committee.members)]
        if committee.weigh(places) >= committee.quorum:
            self._show(world, node, self._entries.pop(message.entry), votes)
        return False

    def _show(self, world: World, node: SimNode, entry: Entry, votes: Mapping[int, Vote]) -> None:
        certificate = Certificate(
            entry.id, entry.header.epoch, tuple(votes[place] for place in sorted(votes))
        )
        frame = MESSAGES.encode(Certified(CERTIFICATE.encode(certificate), entry.data))
        witnesses = [member.key for member in node.core.chain.committee.members] if node.core else []
        shown = witnesses if world.rng.random() < 0.5 else [world.rng.choice(witnesses)]
        for witness in shown:
            delay_ms = world.rng.randint(0, 300)
            world.at(delay_ms, bind(world.carry, node.keys.public, witness, frame))


#: Byzantine witnesses by name: how they send.
TWISTS: Mapping[str, Callable[[], Twist]] = {
    "silent": lambda: silent,
    "partial": lambda: partial,
    "denies": lambda: denies,
    "garbles": lambda: garbles,
    "replays": make_replays,
    "boasts": lambda: boasts,
    "seals_otherwise": lambda: seals_otherwise,
    "votes_together": lambda: votes_together,
    **{f"lies_{style}": bind(make_lies, style) for style in LIES},
    **{f"commits_{kind}": bind(make_contradicts, kind) for kind in CONTRADICTIONS},
}
#: …and what they do with what they receive.
FILTERS: Mapping[str, Filter] = {"votes_for_all": votes_for_all}
