"""Seven epochs of a small network: questions, a new witness, claims, a misdelivery, two forks, an unbonding.

closes.json and seals.json tell it from two sides. Every verdict is the protocol's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from troth_protocol.close.ballots import NOTARIZE, Instance
from troth_protocol.close.execute import Close, Closed, execute
from troth_protocol.close.findings import Findings
from troth_protocol.close.light import genesis_committee
from troth_protocol.close.seal import SEAL, Seal, SignedSeal, collect, seal_id, sign_seal
from troth_protocol.evidence import ballot_fork, entry_fork, misdelivery
from troth_protocol.genesis import Genesis
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.insight.lifecycle import open_questions
from troth_protocol.log.book import LogBook
from troth_protocol.log.committee import Committee
from troth_protocol.log.entry import Entry, make_entry
from troth_protocol.log.ops import (
    Accuse,
    Attest,
    AttestReveal,
    Bond,
    CommitOp,
    LockOp,
    Op,
    Resume,
    Reveal,
    Transfer,
    Unbond,
    Unlock,
)
from troth_protocol.log.sealed import attest_digest, commit_digest, commit_id, lock_id, question_id
from troth_protocol.log.state import State, genesis_state
from troth_protocol.log.vote import Certificate, Vote, sign_votes
from troth_protocol.market.exchange import ExchangeTerms, sign_terms
from troth_protocol.wire.crypto import digest

from .common import TOKEN, keys
from .contradictions import said
from .network import document, holder

GENESIS: Final = document(
    [
        holder("alma", 1_000),
        holder("bruno", 100, agent=10),
        holder("carla", 500),
        holder("hugo", 900),
        holder("dora", 100, witness=40_000, attester=60_000),
        holder("emil", 100, witness=30_000, attester=50_000),
        holder("fay", 100, witness=20_000, attester=30_000),
        holder("gil", 100, witness=10_000, attester=20_000, agent=1_000),
    ]
)
NETWORK: Final = GENESIS.network()
PEOPLE: Final = ("alma", "bruno", "carla", "hugo", "dora", "emil", "fay", "gil", "ivan")
NAMES: Final = {keys(name).public: name for name in PEOPLE}
QUESTION: Final = question_id(NETWORK, "coin", 0)
KEY: Final = b"the key of the lock"
JUNK_KEY: Final = digest(b"the key of the junk")
CONTRIBUTIONS: Final = {
    "bruno": Contribution(QUESTION, "the coin is bent", (), payload=digest(b"bent")),
    "carla": Contribution(QUESTION, "coins are fair", (), ppm=(500_000, 500_000)),
}


def salt(name: str) -> bytes:
    """A person's salt."""
    return digest(b"salt of " + name.encode())


def contribution(name: str) -> bytes:
    """What a person commits to, as bytes; alma cites bruno."""
    if name == "alma":
        cited = ((commit_of("bruno"), 300_000),)
        return CONTRIBUTION.encode(Contribution(QUESTION, "bruno saw it", cited, ppm=(800_000, 200_000)))
    return CONTRIBUTION.encode(CONTRIBUTIONS.get(name, CONTRIBUTIONS["carla"]))


def sealed(name: str) -> bytes:
    """The digest that a person commits."""
    return commit_digest(NETWORK, keys(name).public, QUESTION, salt(name), contribution(name))


def commit_of(name: str) -> bytes:
    """The id of a person's commit."""
    return commit_id(NETWORK, keys(name).public, QUESTION, sealed(name))


def commit(name: str, wager: int) -> CommitOp:
    """A person's commit, with a wager in tokens."""
    return CommitOp(QUESTION, sealed(name), wager * TOKEN)


def junk_sold() -> bytes:
    """The proof that bruno sold junk to carla."""
    seller, junk = keys("bruno"), b"junk"
    terms = ExchangeTerms(
        NETWORK,
        seller.public,
        keys("carla").public,
        QUESTION,
        commit_of("bruno"),
        sealed("bruno"),
        digest(JUNK_KEY),
        digest(junk),
        3 * TOKEN,
        5,
    )
    return misdelivery(*sign_terms(seller, terms), junk, JUNK_KEY)


def reveal(name: str) -> Reveal:
    """The opening of a person's commit."""
    return Reveal(commit_of(name), salt(name), contribution(name))


def attest(name: str, outcome: int) -> Attest:
    """A person's sealed vote."""
    return Attest(QUESTION, attest_digest(NETWORK, keys(name).public, QUESTION, salt(name), outcome))


@dataclass(frozen=True)
class Told:
    """One epoch: what was sealed before, what was certified, what the close made of it, and the seal."""

    epoch: int
    before: State
    committee: Committee
    certified: tuple[tuple[Entry, Certificate], ...]
    cut: Findings
    closed: Closed
    prev: bytes
    payload: bytes
    signed: SignedSeal


class Story:
    """The network under way."""

    def __init__(self, genesis: Genesis = GENESIS) -> None:
        self.genesis = genesis
        self.network = genesis.network()
        self.state = genesis_state(genesis)
        open_questions(self.state, genesis, self.network, 1)
        self.committee = genesis_committee(genesis)
        self.epoch = 1
        self.prev = self.network
        self.told: list[Told] = []
        self._open()

    def _open(self) -> None:
        self.book = LogBook(self.network, self.genesis.rules, self.epoch, self.state, self.committee)
        self.certified: list[tuple[Entry, Certificate]] = []

    def entry(self, name: str, ops: Sequence[Op], deps: Sequence[Entry] = ()) -> Entry:
        """The next entry of a log."""
        pair = keys(name)
        seq, head = self.book.head(pair.public)
        ids = [dep.id for dep in deps]
        return make_entry(
            pair, self.network, incarnation=0, epoch=self.epoch, seq=seq + 1, prev=head, deps=ids, ops=ops
        )

    def certify(self, name: str, *ops: Op, deps: Sequence[Entry] = ()) -> Entry:
        """One more certified entry."""
        entry = self.entry(name, ops, deps)
        certificate = Certificate(entry.id, self.epoch, tuple(self._votes(entry)))
        self.book.add(entry, certificate)
        self.certified.append((entry, certificate))
        return entry

    def _votes(self, entry: Entry) -> list[Vote]:
        return [
            vote
            for key in quorum(self.committee)
            for vote in sign_votes(keys(NAMES[key]), self.network, self.epoch, self.committee, [entry.id])
        ]

    def close(
        self, *evidence: bytes, claims: Sequence[tuple[bytes, bytes]] = (), absent: Sequence[str] = ()
    ) -> None:
        """The close of all that was certified, and its seal; whoever is absent has no report in it."""
        cut = Findings(heads=self.book.moved(), claims=dict(claims))
        cut.reporters = {m.key for m in self.committee.members if NAMES[m.key] not in absent}
        for item in evidence:
            cut.add_evidence(item)
        logs = {author: self.book.log(author, seq) for author, (seq, _) in cut.heads.items()}
        closed = execute(Close(self.genesis, self.network, self.epoch, self.committee), self.state, cut, logs)
        payload = self._seal(closed, cut)
        signatures = {
            place: sign_seal(keys(NAMES[member.key]), self.network, payload)
            for place, member in enumerate(self.committee.members)
            if member.key in quorum(self.committee) or self.epoch == 1
        }
        signed = collect(payload, signatures)
        before = (self.epoch, self.state, self.committee, tuple(self.certified))
        self.told.append(Told(*before, cut, closed, self.prev, payload, signed))
        self.state, self.committee = closed.state, closed.committee
        self.prev, self.epoch = seal_id(self.network, payload), self.epoch + 1
        self._open()

    def _seal(self, closed: Closed, cut: Findings) -> bytes:
        chunks = cut.chunks()
        seal = Seal(
            self.network,
            self.epoch,
            self.prev,
            closed.state.root(),
            closed.emissions_root,
            closed.evidence_root,
            closed.committee.digest,
            chunks.root,
            chunks.size,
        )
        return SEAL.encode(seal)


def quorum(committee: Committee) -> list[bytes]:
    """The heaviest members who together weigh a quorum, in the order of their places."""
    chosen: list[bytes] = []
    weight = 0
    for member in sorted(committee.members, key=lambda member: (-member.weight, member.key)):
        if weight < committee.quorum:
            chosen.append(member.key)
            weight += member.weight
    return sorted(chosen)


@lru_cache(maxsize=1)
def story() -> tuple[Told, ...]:
    """The seven epochs."""
    at = Story()
    _asked(at)
    _attested(at)
    _forked(at)
    _revealed(at)
    at.certify("ivan", Transfer(keys("bruno").public, TOKEN, b"thanks"))
    at.close(absent=["fay"])
    for name, outcome in (("dora", 0), ("emil", 0), ("fay", 1)):
        at.certify(name, AttestReveal(QUESTION, outcome, salt(name)))
    at.close()
    _contradicted(at)
    return tuple(at.told)


def _contradicted(at: Story) -> None:
    """Epoch 7: a witness votes for two candidates in one slot. An agent accuses it, and a report holds the same."""
    here = Instance(NETWORK, at.epoch, at.committee)
    votes = (said(NOTARIZE, digest(name), signer="hugo", at=here) for name in (b"one", b"two"))
    evidence = ballot_fork(keys("hugo").public, *votes)
    at.certify("ivan", Accuse(evidence))
    at.close(evidence)


def _asked(at: Story) -> None:
    """Epoch 1: commits, a citation that relies on another log, a payment to a new account, a lock, a bond."""
    signal = at.certify("bruno", commit("bruno", 0))
    at.certify("alma", commit("alma", 40), deps=[signal])
    at.certify("carla", commit("carla", 25))
    at.certify("carla", LockOp(keys("bruno").public, 3 * TOKEN, digest(JUNK_KEY), 5))
    at.certify("hugo", Bond(500 * TOKEN, "witness"), commit("hugo", 5))
    lock = LockOp(keys("bruno").public, 2 * TOKEN, digest(KEY), 5)
    at.certify("alma", Transfer(keys("ivan").public, 3 * TOKEN, b"welcome"), lock)
    at.close()


def _attested(at: Story) -> None:
    """Epoch 2: sealed votes; the lock is opened, and a report knows the key too. The next set has a new member."""
    lock = lock_id(at.told[0].closed.state.account(keys("alma").public).head, 1)
    for name, outcome in (("dora", 0), ("emil", 0), ("fay", 1)):
        at.certify(name, attest(name, outcome))
    at.certify("bruno", Unlock(lock, KEY))
    junk = lock_id(at.told[0].closed.state.account(keys("carla").public).head, 0)
    at.close(claims=[(lock, KEY), (junk, JUNK_KEY)])


def _forked(at: Story) -> None:
    """Epoch 3: a witness signs two entries at one place, a buyer accuses, and a bond starts to leave."""
    at.certify("carla", Accuse(junk_sold()))
    other = at.entry("gil", [Bond(TOKEN, "agent")])
    one = at.certify("gil", Transfer(keys("alma").public, TOKEN, b"one"))
    at.certify("dora", Unbond(1_000 * TOKEN, "attester"))
    at.close(entry_fork(one.signed, other.signed))


def _revealed(at: Story) -> None:
    """Epoch 4: contributions open; hugo's stays sealed. The frozen log goes on, the claim is paid."""
    for name in ("alma", "bruno", "carla"):
        at.certify(name, reveal(name))
    account = at.state.account(keys("gil").public)
    at.certify("gil", Resume(account.seq, account.head), Transfer(keys("hugo").public, 1, b""))
    at.close()
