"""Witnesses that contradict themselves: beside one thing that each says, it signs another that excludes it.

Each attacks one rule (R2 to R5 of the close's agreement, CLO-20 of the seal, LOG-21 of votes), and should end
convicted at every honest node once a single one of them has seen both halves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from troth_node.testing.world import SimNode, Twist, World
from troth_protocol.close.ballots import (
    CANDIDATE,
    DOMAINS,
    FINALIZE,
    MESSAGES,
    NOTARIZE,
    SKIP,
    CandidateMsg,
    Instance,
    Statement,
    VoteMsg,
    propose,
    read_statement,
)
from troth_protocol.close.seal import SEAL, sign_seal
from troth_protocol.core import Core
from troth_protocol.log.entry import Entry, load_entry, make_entry
from troth_protocol.log.ops import Bond
from troth_protocol.log.vote import CERTIFICATE, VOTE, Certificate, sign_votes
from troth_protocol.wire import messages
from troth_protocol.wire.codec import decode, encode
from troth_protocol.wire.crypto import preimage
from troth_protocol.wire.messages import Ballot, Certified, Message, SealVote, Submit, VoteFor

Contradict = Callable[[World, SimNode, Core, Message], tuple[Message, ...]]


def make_contradicts(kind: str, seen_by: bytes | None = None, first: int | None = None) -> Twist:
    """Commits one kind of offence: in every epoch before whoever hears it, or before `seen_by` alone.

    With `first` in one epoch only: the first from that one on in which it can.
    """
    epochs: set[int] = set()

    def contradicts(world: World, node: SimNode, peer: bytes, payload: bytes) -> list[tuple[bytes, bytes]]:
        core, frames = node.core, [(peer, payload)]
        if core is None or (first is not None and (core.epoch < first or epochs - {core.epoch})):
            return frames
        halves = CONTRADICTIONS[kind](world, node, core, messages.MESSAGES.decode(payload))
        if halves:
            epochs.add(core.epoch)
        return frames + [(seen_by or peer, messages.MESSAGES.encode(half)) for half in halves]

    return contradicts


def _instance(core: Core) -> Instance:
    return Instance(core.chain.network, core.epoch, core.chain.committee)


def _vote(core: Core, statement: Statement) -> Ballot:
    payload = statement.payload(_instance(core))
    signature = core.keys.sign(preimage(DOMAINS[statement.kind], core.chain.network, payload))
    place = core.chain.committee.index(core.keys.public) or 0
    message = VoteMsg(statement.kind, payload, place, signature)
    return Ballot(core.epoch, encode(MESSAGES.dump(message)))


def _votes_again(
    kind: str, other: str, world: World, _n: SimNode, core: Core, said: Message
) -> tuple[Message, ...]:
    """Beside its vote of one kind it says another thing of the same slot."""
    ballot = MESSAGES.load(decode(said.ballot)) if isinstance(said, Ballot) else None
    place = core.chain.committee.index(core.keys.public)
    if not isinstance(ballot, VoteMsg) or ballot.vote != kind or ballot.member != place:
        return ()
    slot = read_statement(_instance(core), kind, ballot.payload).slot
    return said, _vote(core, Statement(other, slot, b"" if other == SKIP else world.rng.randbytes(32)))


def _proposes_again(_w: World, _n: SimNode, core: Core, said: Message) -> tuple[Message, ...]:
    """Beside its candidate it puts forward another value; it may also have passed on another's candidate."""
    ballot = MESSAGES.load(decode(said.ballot)) if isinstance(said, Ballot) else None
    fields = decode(ballot.payload) if isinstance(ballot, CandidateMsg) else None
    if not isinstance(ballot, CandidateMsg) or ballot.signature != _signed(core, ballot.payload):
        return ()
    if not isinstance(fields, dict) or not isinstance(fields["slot"], int):
        return ()
    payload = propose(_instance(core), fields["slot"], b"another value", None)
    other = Ballot(core.epoch, encode(MESSAGES.dump(CandidateMsg(payload, _signed(core, payload)))))
    return said, other


def _signed(core: Core, candidate: bytes) -> bytes:
    return core.keys.sign(preimage(DOMAINS[CANDIDATE], core.chain.network, candidate))


def _seals_again(world: World, node: SimNode, _c: Core, said: Message) -> tuple[Message, ...]:
    """Beside the agreed seal it signs another one."""
    if not isinstance(said, SealVote):
        return ()
    true = SEAL.decode(said.seal)
    other = SEAL.encode(replace(true, state=world.rng.randbytes(32)))
    return said, SealVote(other, sign_seal(node.keys, true.network, other))


def _certifies_again(world: World, node: SimNode, core: Core, said: Message) -> tuple[Message, ...]:
    """Beside its vote for an entry it votes for another one, of a later incarnation: so the author forks nothing."""
    witness = core.witness
    if (
        not isinstance(said, VoteFor)
        or witness is None
        or VOTE.decode(said.vote) != witness.votes.get(said.entry)
    ):
        return ()
    first = next(entry for entry in witness.locks.values() if entry.id == said.entry)
    header = first.header
    if header.author not in world.nodes:
        return ()  # it takes an author that helps
    second = _another(first, world.nodes[header.author], header.incarnation + 1)
    vote = sign_votes(node.keys, header.network, core.epoch, core.chain.committee, [second.id])[0]
    seen = ((first, VOTE.decode(said.vote)), (second, vote))
    return tuple(
        Certified(CERTIFICATE.encode(Certificate(entry.id, core.epoch, (one,))), entry.data)
        for entry, one in seen
    )


def _enters_again(_w: World, node: SimNode, core: Core, said: Message) -> tuple[Message, ...]:
    """Beside its entry it signs another one for that place."""
    entry = load_entry(said.entry, core.chain.network) if isinstance(said, Submit) else None
    if entry is None or entry.header.author != node.keys.public:
        return ()
    return said, Submit(_another(entry, node, entry.header.incarnation).data)


def _another(entry: Entry, author: SimNode, incarnation: int) -> Entry:
    header = entry.header
    return make_entry(
        author.keys,
        header.network,
        incarnation=incarnation,
        epoch=header.epoch,
        seq=header.seq,
        prev=header.prev,
        deps=[],
        ops=[Bond(1, "agent")],
    )


#: kind of evidence -> how a witness earns it.
CONTRADICTIONS: Mapping[str, Contradict] = {
    "entry_fork": _enters_again,
    "vote_fork": _certifies_again,
    "proposal_fork": _proposes_again,
    "notarize_fork": partial(_votes_again, NOTARIZE, NOTARIZE),
    "finalize_fork": partial(_votes_again, FINALIZE, FINALIZE),
    "finalize_skip": partial(_votes_again, FINALIZE, SKIP),
    "seal_fork": _seals_again,
}
