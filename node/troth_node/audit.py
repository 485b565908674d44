"""The audit: everything that a store claims, computed again from its bytes. It trusts the genesis and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from troth_node.inspection import read_seal, read_state
from troth_node.storage.store import Store
from troth_node.turnover import Turnover
from troth_protocol.close.chain import Chain
from troth_protocol.close.execute import Closed
from troth_protocol.close.findings import Findings, load_findings
from troth_protocol.close.follower import absorb
from troth_protocol.close.light import genesis_committee
from troth_protocol.close.seal import SEAL, SignedSeal, seal_id, verify_seal
from troth_protocol.effects import TABLES, Effects
from troth_protocol.errors import Invalid, TrothError
from troth_protocol.genesis import Genesis
from troth_protocol.insight.results import BreachLine
from troth_protocol.log.committee import Committee, load_committee
from troth_protocol.log.entry import load_entry
from troth_protocol.log.keep import epoch_key
from troth_protocol.log.rows import Offence
from troth_protocol.log.state import State
from troth_protocol.log.vote import CERTIFICATE, verify_certificate
from troth_protocol.wire.chunks import Chunks
from troth_protocol.wire.codec import decode


class Pruned(TrothError):
    """A store that is older than what a node keeps: its first closes cannot be executed again."""


class _Nothing:
    """An archive that holds nothing: a replay starts from the genesis."""

    def find(self, _table: str, _key: bytes) -> bytes | None:
        """Never there."""
        return None

    def scan(self, _table: str, _prefix: bytes) -> Iterable[tuple[bytes, bytes]]:
        """Never any."""
        return ()


@dataclass
class StoreAudit:
    """What one store showed; `problems` says in one line each what does not hold."""

    name: str
    epoch: int = 0
    state_root: bytes = b""
    seals: int = 0
    entries: int = 0
    votes: int = 0
    is_conserved: bool = False
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    roots: dict[int, bytes] = field(default_factory=dict)
    committees: dict[int, Committee] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        """Nothing is wrong with it."""
        return not self.problems


def audit_store(path: Path, genesis: Genesis, name: str) -> StoreAudit:
    """Verify every seal, certificate and state row of a store; raises StoreError if it cannot be opened."""
    found = StoreAudit(name)
    with Store.open(path, TABLES) as store:
        checkpoint = _Seals(genesis, found)
        for key, data in store.scan("seals"):
            _guarded(found, f"seal {int.from_bytes(key, 'big')}", partial(checkpoint.take, data))
        _guarded(found, "state", partial(_audit_state, store, found))
        for key, data in store.scan("entries"):
            _guarded(found, f"entry {key.hex()[:16]}", partial(_audit_entry, genesis, found, data))
    return found


def _guarded(found: StoreAudit, what: str, check: Callable[[], None]) -> None:
    try:
        check()
    except TrothError as error:
        found.problems.append(f"{what}: {error}")


class _Seals:
    """Follows a store's seals from the genesis (or, after a jump, from the first seal held)."""

    def __init__(self, genesis: Genesis, found: StoreAudit) -> None:
        self.network = genesis.network()
        self.found = found
        self.prev = self.network
        self.committee = genesis_committee(genesis)
        found.committees[1] = self.committee

    def take(self, data: bytes) -> None:
        """One more seal, in order."""
        signed, committee = read_seal(data)
        if not self.found.seals and SEAL.decode(signed.payload).epoch > 1:
            seal = SEAL.decode(signed.payload)
            self.found.notes.append(
                f"joined by a snapshot: the seal of epoch {seal.epoch} is taken as it is, those after it are verified"
            )
        else:
            seal = verify_seal(signed, self.network, self.prev, self.found.epoch + 1, self.committee)
        self.committee = load_committee(committee)
        if self.committee.digest != seal.next_set:
            raise Invalid("wrong_set", "the witness set is not the one that the seal names")
        self.prev = seal_id(self.network, signed.payload)
        self.found.epoch = seal.epoch
        self.found.seals += 1
        self.found.roots[seal.epoch] = seal.state
        self.found.committees[seal.epoch + 1] = self.committee


def _audit_nothing(found: StoreAudit) -> None:
    """There is no state: right before the first seal, if the node ended at once, and damage after it."""
    found.is_conserved = not found.seals
    if found.seals:
        found.problems.append(f"the state is not the one sealed in epoch {found.epoch}")
    else:
        found.notes.append("nothing was written here before the node ended")


def _audit_state(store: Store, found: StoreAudit) -> None:
    state = read_state(store)
    if not state.tables["totals"].rows:
        _audit_nothing(found)
        return
    found.state_root = state.root()
    if found.state_root != found.roots.get(found.epoch):
        found.problems.append(f"the state is not the one sealed in epoch {found.epoch}")
    found.is_conserved = state.is_conserved()
    if not found.is_conserved:
        found.problems.append("supply is not conserved")


def _audit_entry(genesis: Genesis, found: StoreAudit, data: bytes) -> None:
    network = genesis.network()
    match decode(data):
        case [bytes(entry_bytes), bytes(certificate_bytes)]:
            entry, certificate = load_entry(entry_bytes, network), CERTIFICATE.decode(certificate_bytes)
        case _:
            raise Invalid("bad_row", "entry row")
    committee = found.committees.get(certificate.epoch)
    if committee is None or certificate.entry != entry.id or entry.header.epoch != certificate.epoch:
        raise Invalid("wrong_epoch", "no witness set known for this certificate")
    verify_certificate(certificate, network, committee)
    found.entries += 1
    found.votes += len(certificate.votes)


@dataclass
class History:
    """A whole chain executed again from stored entries and cuts, every seal compared with its result."""

    closes: list[Closed] = field(default_factory=list)
    state: State = field(default_factory=State)
    entries: int = 0
    evidence: int = 0
    turnover: Turnover = field(default_factory=Turnover)

    def offences(self) -> list[Offence]:
        """Everything that was punished."""
        return [offence for closed in self.closes for _, offence in closed.offences]

    def breaches(self) -> list[tuple[bytes, BreachLine]]:
        """Every broken promise that a close has settled, with its question."""
        settled = (item for closed in self.closes for item in closed.settlements)
        return [(item.question, line) for item in settled for line in item.breaches]


def replay(path: Path, genesis: Genesis) -> History:
    """Execute every close again from a store's bytes; TrothError at the first that gives another seal.

    Raises Pruned if the store has forgotten its first epochs, as stores do.
    """
    with Store.open(path, TABLES) as store:
        _check_whole(store)
        chain = Chain(genesis, Effects(), _Nothing())
        history = History()
        for _, data in store.scan("seals"):
            signed, _ = read_seal(data)
            _replay_epoch(store, chain, signed, history)
        history.state = chain.state
    return history


def _check_whole(store: Store) -> None:
    for key, data in store.scan("seals"):
        epoch, cut = int.from_bytes(key, "big"), SEAL.decode(read_seal(data)[0].payload).cut
        if epoch > 1 or store.get("cuts", cut) is None:
            raise Pruned("the first epochs' entries are not kept here: closes were not executed again")
        return


def _replay_epoch(store: Store, chain: Chain, signed: SignedSeal, history: History) -> None:
    seal = SEAL.decode(signed.payload)
    verify_seal(signed, chain.network, chain.prev, chain.epoch, chain.committee)
    data = store.get("cuts", seal.cut)
    if data is None:
        raise Invalid("missing", f"the cut of epoch {seal.epoch} is not in the store")
    cut: Findings = load_findings(data)
    items = []
    for _, row in store.scan("entries", epoch_key(seal.epoch)):
        match decode(row):
            case [bytes(entry), bytes(certificate)]:
                items.append((entry, certificate))
            case _:
                raise Invalid("bad_row", "entry row")
    absorb(chain, chain.out, items)
    logs, before = chain.logs(cut), chain.state
    closed = chain.close(cut, logs)
    history.entries += sum(map(len, logs.values()))
    history.evidence += len(cut.evidence)
    history.turnover.evidence += len(cut.evidence)
    history.turnover.add(before, closed, logs, chain.committee)
    chain.advance(signed, closed, Chunks(data))
    chain.out.drain()
    history.closes.append(closed)
