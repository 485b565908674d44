"""The chain of seals as one node has followed it: the sealed state, the open epoch's book, and what came before.

An epoch advances only by a seal whose state root equals the one computed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from troth_protocol.close.execute import Close, Closed, execute
from troth_protocol.close.findings import Findings
from troth_protocol.close.light import genesis_committee
from troth_protocol.close.report import REPORT_HEADER
from troth_protocol.close.seal import SEAL, SIGNED_SEAL, Seal, SignedSeal, seal_id
from troth_protocol.effects import Effects, Rows
from troth_protocol.errors import FaultBoundBroken, Invalid, TrothError
from troth_protocol.genesis import Genesis
from troth_protocol.insight.lifecycle import open_questions
from troth_protocol.insight.results import settlement_rows
from troth_protocol.log.book import LogBook, Stored
from troth_protocol.log.committee import Committee, load_committee
from troth_protocol.log.keep import epoch_key, unpack_stored
from troth_protocol.log.rows import TABLES
from troth_protocol.log.state import State, genesis_state, load_row
from troth_protocol.market.sale import sale_rows
from troth_protocol.wire.chunks import Chunks, pack_rows
from troth_protocol.wire.codec import Value, decode, encode, pack

PRUNE_LAG_EPOCHS = 2
#: Tables whose keys begin with an epoch, which nothing asks for once no evidence of that epoch counts any more.
PRUNED = ("entries", "votes", "own", "ballots", "close")
OWN_REPORT = b"report"


class Archive(Rows, Protocol):
    """Reading back what earlier effects stored; the shell or the simulator provides it."""

    def find(self, table: str, key: bytes) -> bytes | None:
        """The row, or None."""


class Chain:
    """One node's copy of the sealed chain and of the open epoch."""

    def __init__(self, genesis: Genesis, out: Effects, archive: Archive) -> None:
        self.genesis = genesis
        self.network = genesis.network()
        self.out = out
        self.archive = archive
        self.prev = self.network
        self.committee = genesis_committee(genesis)
        self.state = genesis_state(genesis)
        self.epoch = 1
        self.newest: Closed | None = None
        open_questions(self.state, genesis, self.network, 1)
        self._restore()
        self.book = self._open_book()
        self._restore_book()

    def _open_book(self) -> LogBook:
        return LogBook(self.network, self.genesis.rules, self.epoch, self.state, self.committee)

    def _restore(self) -> None:
        newest = self.archive.find("chain", b"sealed")
        if newest is None:
            self._persist_state(self.state, State())
            return
        signed, committee = self.seal(int.from_bytes(newest, "big")) or _lost("the newest seal")
        seal = SEAL.decode(signed.payload)
        state = State()
        for _, data in self.archive.scan("state", b""):
            match decode(data):
                case [str(table), bytes(key), value]:
                    load_row(state, table, key, value)
                case _:
                    raise Invalid("bad_row", "state row")
        if state.root() != seal.state:
            raise TrothError("the stored state is not the one that its seal names; restore from peers")
        self.state, self.epoch = state, seal.epoch + 1
        self.prev = seal_id(self.network, signed.payload)
        self.committee = load_committee(committee)

    def _restore_book(self) -> None:
        rows = self.archive.scan("entries", epoch_key(self.epoch))
        waiting = [unpack_stored(data, self.network) for _, data in rows]
        while waiting:
            left = []
            for entry, certificate in waiting:
                if self.book.missing(entry):
                    left.append((entry, certificate))
                else:
                    self.book.add(entry, certificate)
            if len(left) == len(waiting):
                raise TrothError("stored entries rely on entries that are not stored; restore from peers")
            waiting = left

    def seal(self, epoch: int) -> tuple[SignedSeal, bytes] | None:
        """A sealed epoch's seal and the witness set that it names, or None if it is not held."""
        data = self.archive.find("seals", epoch_key(epoch))
        if data is None:
            return None
        match decode(data):
            case [bytes(signed), bytes(committee)]:
                return SIGNED_SEAL.decode(signed), committee
            case _:
                raise Invalid("bad_row", "seal row")

    def committee_of(self, epoch: int) -> Committee | None:
        """The witness set of an epoch, the open one at the latest; None if the seal that names it is not held."""
        if epoch == self.epoch:
            return self.committee
        if epoch == 1:
            return genesis_committee(self.genesis)
        held = self.seal(epoch - 1) if epoch > 1 else None
        return None if held is None else load_committee(held[1])

    def leader_offset(self) -> int:
        """The turn that leads slot 0 of the open epoch's agreement."""
        return int.from_bytes(self.prev[:4], "big") % len(self.committee.members)

    def logs(self, cut: Findings) -> dict[bytes, list[Stored]]:
        """The entries of a cut; Invalid("missing") if one is not stored or is another one than the cut names."""
        found = {author: self.book.log(author, seq) for author, (seq, _) in sorted(cut.heads.items())}
        for author, log in found.items():
            if not log or log[-1].entry.id != cut.heads[author][1]:
                raise FaultBoundBroken(
                    f"the cut names another entry of {author.hex()} than the certified one"
                )
        return found

    def close(self, cut: Findings, logs: Mapping[bytes, list[Stored]]) -> Closed:
        """Execute a cut on the sealed state."""
        at = Close(self.genesis, self.network, self.epoch, self.committee)
        return execute(at, self.state, cut, logs)

    def draft(self, closed: Closed, cut: Chunks) -> bytes:
        """The seal payload that this result deserves."""
        return SEAL.encode(
            Seal(
                self.network,
                self.epoch,
                self.prev,
                closed.state.root(),
                closed.emissions_root,
                closed.evidence_root,
                closed.committee.digest,
                cut.root,
                cut.size,
            )
        )

    def advance(self, signed: SignedSeal, closed: Closed, cut: Chunks) -> None:
        """Take a verified seal whose payload equals our draft; the next epoch opens."""
        if self.draft(closed, cut) != signed.payload:
            raise FaultBoundBroken(f"seal of epoch {self.epoch} differs from what its cut gives here")
        self._persist(signed, closed, cut)
        self.prev = seal_id(self.network, signed.payload)
        self.state, self.committee = closed.state, closed.committee
        self.newest = closed
        self.epoch += 1
        self.book = self._open_book()

    def _persist(self, signed: SignedSeal, closed: Closed, cut: Chunks) -> None:
        """All lazy: a sealed epoch that a power cut takes is followed again."""
        key = epoch_key(self.epoch)
        row = encode([SIGNED_SEAL.encode(signed), closed.committee.encode()])
        self.out.persist("seals", key, row, lazy=True)
        self.out.persist("cuts", cut.root, cut.data, lazy=True)
        self.out.persist("results", key, pack_rows(result_rows(closed)), lazy=True)
        self._persist_state(closed.state, self.state)
        self.out.persist("chain", b"sealed", key, lazy=True)
        self._prune(self._horizon(self.epoch))

    def _horizon(self, epoch: int) -> int:
        """The newest epoch that may be forgotten once this one is sealed."""
        return epoch - self.genesis.rules.evidence_epochs - PRUNE_LAG_EPOCHS

    def _persist_state(self, state: State, old: State) -> None:
        for table, key, row in state.changes_since(old):
            place = table.encode() + b"/" + key
            if row is None:
                self.out.erase("state", place)
            else:
                self.out.persist("state", place, pack([table, key, TABLES[table].dump(row)]), lazy=True)

    def _prune(self, epoch: int) -> None:
        if epoch < 1:
            return
        for root in self._roots(epoch):
            self.out.erase("cuts", root)
        for table in PRUNED:
            for key, _ in self.archive.scan(table, epoch_key(epoch)):
                self.out.erase(table, key)

    def _roots(self, epoch: int) -> list[bytes]:
        """The cut of an epoch and the own report's findings; a damaged row names nothing."""
        report = self.archive.find("close", epoch_key(epoch) + OWN_REPORT)
        try:
            held = self.seal(epoch)
            roots = [] if held is None else [SEAL.decode(held[0].payload).cut]
            return roots if report is None else [*roots, _report_root(report)]
        except Invalid:
            return []

    def adopt(self, seal: Seal, signed: SignedSeal, committee: Committee, state: State) -> None:
        """Jump to a later sealed state whose seal was verified; Invalid("bad_snapshot") if it is not that state."""
        if state.root() != seal.state or committee.digest != seal.next_set:
            raise Invalid("bad_snapshot", f"not the state of epoch {seal.epoch}")
        self._persist_state(state, self.state)
        self.out.persist(
            "seals", epoch_key(seal.epoch), encode([SIGNED_SEAL.encode(signed), committee.encode()])
        )
        self.out.persist("chain", b"sealed", epoch_key(seal.epoch))
        for epoch in range(self._horizon(self.epoch), min(self.epoch, self._horizon(seal.epoch)) + 1):
            self._prune(epoch)
        self.state, self.committee, self.newest = state, committee, None
        self.prev = seal_id(self.network, signed.payload)
        self.epoch = seal.epoch + 1
        self.book = self._open_book()


def result_rows(closed: Closed) -> Iterable[Value]:
    """What a close has come to, row by row: settlements, sales, offences."""
    for settlement in closed.settlements:
        yield from settlement_rows(settlement)
    for sale in closed.sales:
        yield from sale_rows(sale)
    for key, offence in closed.offences:
        yield ["offence", key, TABLES["offences"].dump(offence)]


def _report_root(row: bytes) -> bytes:
    match decode(row):
        case [bytes(payload), bytes()]:
            return REPORT_HEADER.decode(payload).root
        case _:
            raise Invalid("bad_row", "own report")


def _lost(what: str) -> tuple[SignedSeal, bytes]:
    raise TrothError(f"{what} is not in the store; restore from peers")
