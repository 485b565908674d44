"""One seeded run of a whole simulated network: chaos, then calm, then every promise of the close is checked.

`Options` follow from the seed. `Recorder` hears what honest nodes say as they run; `check_*` compare disks afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from troth_node.testing.actor import Actor
from troth_node.testing.samples import COIN, PACING, RULES, TOKEN, sample_genesis, seed
from troth_node.testing.twists import FILTERS, TWISTS, Forker
from troth_node.testing.world import Disk, Faults, SimNode, World
from troth_protocol.close.ballots import CANDIDATE, DOMAINS, CandidateMsg, VoteMsg, read_slot
from troth_protocol.close.ballots import MESSAGES as BALLOTS
from troth_protocol.close.findings import load_findings
from troth_protocol.close.report import REPORT_HEADER
from troth_protocol.close.seal import SEAL, SIGNED_SEAL
from troth_protocol.core import Core, EpochOpened
from troth_protocol.evidence import verify_evidence
from troth_protocol.genesis import Phases, Rules
from troth_protocol.log.author import Finalized
from troth_protocol.log.entry import Header, load_entry
from troth_protocol.log.keep import epoch_key, place_key
from troth_protocol.log.ops import Bond
from troth_protocol.log.payee import Credited
from troth_protocol.log.rows import Account, Offence
from troth_protocol.wire.codec import decode
from troth_protocol.wire.crypto import preimage, verify_known
from troth_protocol.wire.messages import (
    Ballot,
    Message,
    ReportMsg,
    SealVote,
    StoredAck,
    Submit,
    VoteFor,
    Votes,
)

CHAOS_MS: Final = 2_500
CALM_EPOCHS: Final = 3
CALM_LIMIT_MS: Final = 60_000
PHASES: Final = Phases(commit=1, attest=2, reveal=2, attest_reveal=2)


@dataclass(frozen=True, slots=True)
class Options:
    """Everything about a run but its dice."""

    seed: int
    weights: tuple[int, ...] = (1, 1, 1, 1)
    authors: int = 2
    faults: Faults = field(default_factory=Faults)
    partitions: int = 0
    crashes: int = 0
    fuses: int = 0
    traitors: tuple[tuple[int, str], ...] = ()
    forker: bool = False
    joiner: bool = False
    away: bool = False
    backups: int = 0
    evidence_epochs: int = 64

    @classmethod
    def of(cls, number: int) -> Options:
        """The options that a seed stands for."""
        rng = random.Random(number)
        size = rng.choice((4, 4, 4, 5, 7))
        weights = (1,) * size if rng.random() < 0.5 else tuple(rng.randint(1, 5) for _ in range(size))
        kinds = [*TWISTS, *FILTERS, "twin"]
        return cls(
            number,
            weights,
            authors=rng.randint(2, 3),
            faults=Faults(
                drop=rng.choice((0, 0.02, 0.1, 0.25)),
                duplicate=rng.choice((0, 0.1)),
                delay_ms=rng.choice(((1, 5), (1, 40), (5, 150))),
            ),
            partitions=rng.choice((0, 0, 1, 2)),
            crashes=rng.choice((0, 1, 2)),
            fuses=rng.choice((0, 0, 2, 5)),
            traitors=tuple(
                (place, rng.choice(kinds)) for place in cls._traitors(weights, rng) if rng.random() < 0.8
            ),
            forker=rng.random() < 0.5,
            joiner=rng.random() < 0.3,
            away=rng.random() < 0.2,
            backups=rng.choice((0, 0, 0, 1)),
            evidence_epochs=rng.choice((64, 64, 2)),
        )

    @staticmethod
    def _traitors(weights: tuple[int, ...], rng: random.Random) -> list[int]:
        """Places whose weight together stays below a third."""
        places, chosen, weight = list(range(len(weights))), list[int](), 0
        rng.shuffle(places)
        for place in places:
            if 3 * (weight + weights[place]) < sum(weights):
                chosen.append(place)
                weight += weights[place]
        return chosen


class Recorder:
    """What honest nodes have said; a contradiction fails at once."""

    def __init__(self) -> None:
        self.final: set[bytes] = set()
        self.headers: dict[bytes, Header] = {}
        self._seen: set[bytes] = set()
        self._said: dict[tuple[object, ...], object] = {}
        self._reported: set[tuple[bytes, int]] = set()

    def once(self, what: tuple[object, ...], value: object) -> None:
        """A node says such a thing only once, or always the same."""
        assert self._said.setdefault(what, value) == value, f"said twice, differently: {what[1:]}"

    def say(self, node: SimNode, _peer: bytes, message: Message) -> None:
        """One message leaves a core."""
        core, me = node.core, node.keys.public
        if core is None:
            return
        match message:
            case VoteFor():
                self.once((me, "vote", message.entry), message.vote)
                self._place(me, message.entry)
            case Votes():
                for voted in message.entries:
                    self._place(me, voted)
            case StoredAck():
                assert (me, message.epoch) not in self._reported, "an ack after the own report"
            case ReportMsg():
                self._report(me, message)
            case Submit() if message.entry not in self._seen:
                self._seen.add(message.entry)
                entry = load_entry(message.entry, core.chain.network)
                self.headers[entry.id] = entry.header
                if entry.header.author == me:
                    self.once(
                        (me, "entry", entry.header.incarnation, entry.header.epoch, entry.header.seq),
                        entry.id,
                    )
            case SealVote():
                self.once((me, "seal", SEAL.decode(message.seal).epoch), message.seal)
            case Ballot() if message.epoch == core.epoch:
                self._ballot(me, core, message)
            case _:
                pass

    def _place(self, me: bytes, entry: bytes) -> None:
        header = self.headers.get(entry)
        if header is not None:
            self.once((me, "place", header.epoch, header.author, header.seq), entry)

    def _report(self, me: bytes, message: ReportMsg) -> None:
        header = REPORT_HEADER.decode(message.header)
        if header.witness == me:
            self.once((me, "report", header.epoch), message.header)
            self._reported.add((me, header.epoch))

    def _ballot(self, me: bytes, core: Core, message: Ballot) -> None:
        found = BALLOTS.load(decode(message.ballot))
        if isinstance(found, VoteMsg) and found.member == core.chain.committee.index(me):
            slot = decode(found.payload)
            assert isinstance(slot, dict)
            kind = "end" if found.vote in ("finalize", "skip") else found.vote
            self.once((me, kind, message.epoch, slot["slot"]), (found.vote, found.payload))
        elif isinstance(found, CandidateMsg):
            signed = preimage(DOMAINS[CANDIDATE], core.chain.network, found.payload)
            if verify_known(me, signed, found.signature):  # else it passes another leader's on
                slot_number = read_slot(CANDIDATE, found.payload)[2]
                self.once((me, "candidate", message.epoch, slot_number), found.payload)

    def credited(self, core: Core, entry: bytes) -> None:
        """A payee believes that an entry is final, whoever's it is."""
        shown = core.payee._shown.get(entry)  # noqa: SLF001
        if shown is not None:
            self.headers[entry] = shown.entry.header
            self.final.add(entry)


def check_synced(node: SimNode, message: Message) -> None:
    """What a node acknowledges and reports no power cut can take."""
    waiting = node.disk.waiting("entries")
    if not waiting or node.core is None:
        return
    assert not isinstance(message, ReportMsg), "a report of what is not synced"
    if isinstance(message, StoredAck):
        stored = node.core.chain.book.stored
        headers = [stored[entry].entry.header for entry in message.entries if entry in stored]
        said = {place_key(header.epoch, header.author, header.seq) for header in headers}
        assert not said & waiting, "an ack of what is not synced"


class Trial:
    """One run."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.count = len(options.weights) + options.authors + options.forker
        self.world = self._make_world()
        self.network = self.world.genesis.network()
        self.keys = list(self.world.nodes)
        self.traitors = {self.keys[place]: kind for place, kind in options.traitors}
        self.forker = Forker() if options.forker else None
        self.hostile = set(self.traitors) | ({self.keys[-1]} if options.forker else set())
        self.honest = [key for key in self.keys if key not in self.hostile]
        self.recorder = Recorder()
        self.accused: set[bytes] = set()
        self.convicted: dict[tuple[bytes, str, bytes], int] = {}
        self.actors = {key: Actor(options.seed, self.world.nodes[key].name) for key in self.keys}
        self.chaos_ms = CHAOS_MS
        self._rng = random.Random(f"{options.seed}/trial")

    def _make_world(self) -> World:
        options = self.options
        genesis = sample_genesis(
            self.count,
            len(options.weights),
            weights=[100 * weight for weight in options.weights],
            topics=(replace(COIN, phases=PHASES),),
            rules=self._rules(),
            pacing=replace(PACING, epoch_ms=250),
        )
        holders = tuple(replace(holder, agent=50 * TOKEN) for holder in genesis.holders)
        genesis = replace(genesis, holders=holders)
        return World(genesis, [seed(number) for number in range(self.count)], options.seed, options.faults)

    def _rules(self) -> Rules:
        return replace(RULES, attest_penalty_ppm=100_000, evidence_epochs=self.options.evidence_epochs)

    # The run

    def run(self) -> None:
        """Chaos, calm, checks."""
        self._set_up()
        self.world.run(lambda: False, self.chaos_ms)
        self._calm_down()
        target = max(core.epoch for core in self.cores()) + CALM_EPOCHS
        done = self.world.run(lambda: all(core.epoch >= target for core in self.cores()), CALM_LIMIT_MS)
        assert done, f"epochs {[core.epoch for core in self.cores()]}, wanted {target}: no progress in calm"
        self.check()

    def cores(self) -> list[Core]:
        """The running honest cores."""
        return [node.core for node in map(self.world.nodes.__getitem__, self.honest) if node.core is not None]

    def _set_up(self) -> None:
        world = self.world
        world.on_notice = self._notice
        world.on_say = self._say
        for key in self.keys:
            world.start(key)
        for key, kind in self.traitors.items():
            if kind == "twin":
                world.start_twin(key, self._rng.sample(self.keys, len(self.keys) // 2))
            elif kind in FILTERS:
                world.filters[key] = FILTERS[kind]
            else:
                world.twists[key] = TWISTS[kind]()
        if self.forker is not None:
            world.filters[self.keys[-1]] = self.forker.filter
            self.forker.headers = self.recorder.headers
        for _ in range(self.options.partitions):
            world.at(self._rng.randrange(CHAOS_MS), self._partition)
        for _ in range(self.options.crashes):
            world.at(self._rng.randrange(CHAOS_MS), self._crash)
        for _ in range(self.options.fuses):
            world.at(self._rng.randrange(CHAOS_MS), self._light_fuse)
        for _ in range(self.options.backups):
            world.at(self._rng.randrange(CHAOS_MS), self._back_up)
        if self.options.away:
            world.at(self._rng.randrange(CHAOS_MS // 5), lambda: world.crash(self._guest()))

    def _guest(self) -> bytes:
        """An honest node that is no witness at first: the one that joins, or goes away for long."""
        return self.keys[len(self.options.weights)]

    def _back_up(self) -> None:
        """A backup is taken, and put back later: declared, as the owner must."""
        node = self.world.nodes[self._rng.choice(self._expendable())]
        backup = node.disk.copy()
        self.world.at(self._rng.randint(1, CHAOS_MS), lambda: self._put_back(node, backup))

    def _expendable(self) -> list[bytes]:
        """Who may keep silent for two epochs: a witness that does so counts as faulty like any other."""
        weights = self.options.weights
        lost = sum(weights[place] for place, _ in self.options.traitors)
        witnesses = self.keys[: len(weights)]
        spare = [
            key for key, weight in zip(witnesses, weights, strict=True) if 3 * (lost + weight) < sum(weights)
        ]
        idle = [key for key in self.honest if key not in witnesses and not self._joins(key)]
        return [key for key in spare if key in self.honest] + idle

    def _joins(self, key: bytes) -> bool:
        return self.options.joiner and key == self._guest()

    def _put_back(self, node: SimNode, backup: Disk) -> None:
        if node.core is not None:
            self.world.crash(node.keys.public)
        node.disk = backup
        node.is_restored = True
        self.world.start(node.keys.public)

    def _partition(self) -> None:
        self.world.partition(self._rng.sample(self.keys, self._rng.randint(1, len(self.keys) - 1)))
        self.world.at(self._rng.randint(50, 1_200), self.world.heal)

    def _crash(self) -> None:
        node = self.world.nodes[self._rng.choice(self.honest)]
        if node.core is not None:
            self.world.crash(node.keys.public)
            self.world.at(self._rng.randint(1, 1_500), lambda: self._restart(node))

    def _restart(self, node: SimNode) -> None:
        if node.core is None:
            self.world.start(node.keys.public)

    def _light_fuse(self) -> None:
        self.light_fuse(self.keys.index(self._rng.choice(self.honest)), self._rng.randint(0, 60))

    def light_fuse(self, number: int, effects: int) -> None:
        """The power of a node will fail after so many more effects."""
        self.world.nodes[self.keys[number]].fuse = effects

    def _calm_down(self) -> None:
        world = self.world
        world.heal()
        world.faults = Faults(0.01, 0.01, (1, 10))
        for key in self.keys:
            node = world.nodes[key]
            node.fuse = None
            self._restart(node)
        for core in self.cores():
            for evidence in core.docket.due():
                self.accused.add(verify_evidence(evidence, self.network).offender)

    def _say(self, node: SimNode, peer: bytes, message: Message) -> None:
        if node.keys.public not in self.hostile:
            self.recorder.say(node, peer, message)
            check_synced(node, message)

    def _notice(self, node: SimNode, event: object) -> None:
        key = node.keys.public
        match event:
            case EpochOpened() if node.core is not None and self.forker is not None and key == self.keys[-1]:
                self.forker.act(self.world, node)
            case EpochOpened() if node.core is not None:
                if key not in self.hostile and event.closed is not None:
                    self._check_convictions(node, event.closed.offences)
                if self._joins(key) and event.epoch in (2, 3):
                    node.core.submit((Bond(100 * TOKEN, "witness"),))
                for ops in self.actors[key].act(node.core):
                    node.core.submit(ops)
            case Finalized() if key not in self.hostile:
                self.recorder.final.add(event.entry)
            case Credited() if key not in self.hostile and node.core is not None:
                self.recorder.credited(node.core, event.entry)
            case _:
                pass

    # What must hold

    def check(self) -> None:
        """Every promise, on the disks of the honest."""
        self._check_seals()
        self._check_entries()
        self._check_final()
        self._check_votes()
        self._check_states()
        self._check_offences()

    def _disks(self) -> Iterable[SimNode]:
        return (self.world.nodes[key] for key in self.honest)

    def _check_seals(self) -> None:
        seals: dict[bytes, bytes] = {}
        for node in self._disks():
            for epoch, row in node.disk.scan("seals", b""):
                match decode(row):
                    case [bytes(signed), bytes()]:
                        payload = SIGNED_SEAL.decode(signed).payload
                        assert seals.setdefault(epoch, payload) == payload, f"two seals of {epoch.hex()}"
                    case _:
                        raise AssertionError("a seal row of another shape")

    def _check_entries(self) -> None:
        places: dict[bytes, bytes] = {}
        for node in self._disks():
            for place, row in node.disk.scan("entries", b""):
                entry = _id_of(_first_of(row), self.network)
                assert places.setdefault(place, entry) == entry, "two certified entries at one place"

    def _check_final(self) -> None:
        """An entry that its honest author calls final is in the cut of its epoch."""
        for key in sorted(self.recorder.final):
            header = self.recorder.headers[key]
            for core in [core for core in self.cores() if core.epoch > header.epoch]:
                sealed = core.chain.state.account(header.author).seq
                assert sealed >= header.seq, f"final entry {header.seq} is not in the state"
            heads = [seq for node in self._disks() if (seq := self._head(node, header)) is not None]
            assert all(seq >= header.seq for seq in heads), f"final entry {header.seq} is not in its cut"
            place = place_key(header.epoch, header.author, header.seq)
            rows = [row for node in self._disks() if (row := node.disk.find("entries", place)) is not None]
            is_same = all(_id_of(_first_of(row), self.network) == key for row in rows)
            assert is_same, "another one is stored"

    def _head(self, node: SimNode, header: Header) -> int | None:
        """Up to where a node's cut of that epoch takes that log; None if it has pruned it, or jumped over it."""
        row = node.disk.find("seals", epoch_key(header.epoch))
        match decode(row) if row is not None else None:
            case [bytes(signed), bytes()]:
                data = node.disk.find("cuts", SEAL.decode(SIGNED_SEAL.decode(signed).payload).cut)
                return None if data is None else load_findings(data).heads.get(header.author, (0, b""))[0]
            case _:
                return None

    def _check_votes(self) -> None:
        for node in self._disks():
            for place, row in node.disk.scan("votes", b""):
                self.recorder.once((node.keys.public, "lock", place), row)

    def _check_states(self) -> None:
        roots: dict[int, bytes] = {}
        for core in self.cores():
            state = core.chain.state
            assert state.is_conserved(), "supply is not conserved"
            assert min(row.balance for _, row in _accounts(core)) >= 0, "a negative balance"
            root = state.root()
            assert roots.setdefault(core.epoch, root) == root, f"two states of epoch {core.epoch}"

    def _check_convictions(self, node: SimNode, offences: tuple[tuple[bytes, Offence], ...]) -> None:
        """No offence is punished twice: a second conviction needs evidence younger than the first."""
        for _, offence in offences:
            place = (node.keys.public, offence.kind, offence.offender)
            assert offence.epoch > self.convicted.get(place, 0) or node.crashes, "punished twice"
            self.convicted[place] = offence.closed

    def _check_offences(self) -> None:
        for core in self.cores():
            for _, offence in core.chain.state.items("offences", Offence):
                assert offence.offender not in self.honest, f"{offence.kind}: an honest node was convicted"
            for key, account in _accounts(core):
                assert (account.offences > 0) >= (key in self.accused), "an offence was seen and not punished"


@lru_cache(maxsize=4096)
def _id_of(entry: bytes, network: bytes) -> bytes:
    return load_entry(entry, network).id


def _first_of(row: bytes) -> bytes:
    """The entry of a row [entry, certificate]."""
    value = decode(row)
    assert isinstance(value, list)
    assert isinstance(value[0], bytes)
    return value[0]


def _accounts(core: Core) -> Iterable[tuple[bytes, Account]]:
    return core.chain.state.items("accounts", Account)
