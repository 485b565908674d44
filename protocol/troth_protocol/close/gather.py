"""Gathering: close reports, their findings and every entry they name, until a value can be judged.

Whether a report is honest work is decided by its bytes and by certified entries alone, so all honest witnesses agree
on it: its heads are certified and move their logs, its claims open locks that it holds, its evidence proves offences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from troth_protocol.close.asks import Asks
from troth_protocol.close.chain import Chain
from troth_protocol.close.findings import Findings, load_findings
from troth_protocol.close.follower import absorb
from troth_protocol.close.report import Report, load_report
from troth_protocol.effects import Effects
from troth_protocol.errors import Invalid
from troth_protocol.evidence import verify_evidence
from troth_protocol.log.rows import Lock
from troth_protocol.wire.chunks import Assembly, Chunks
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import Chunk, Entries, ReportMsg, WantChunk, WantLog, WantReport

#: Reports of one witness that are kept unasked; those that a proposal names come on top.
REPORTS_PER_MEMBER: Final = 2
#: 30 MB: more than HEADS_MAX heads and EVIDENCE_MAX pieces of evidence take.
REPORT_CHUNKS_MAX: Final = 500


@dataclass(slots=True)
class _Held:
    """One report; `missing` are its heads whose entries are not all here yet, `fault` why it gets no vote."""

    report: Report
    assembly: Assembly
    findings: Findings | None = None
    chunks: Chunks | None = None
    missing: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    is_complete: bool = False
    fault: str = ""


@dataclass(slots=True)
class Gatherer:
    """What one witness has gathered of an epoch's close."""

    chain: Chain
    out: Effects
    held: dict[bytes, _Held] = field(default_factory=dict)
    first_of: dict[int, bytes] = field(default_factory=dict)
    _named: set[bytes] = field(default_factory=set)
    _asks: Asks = field(default_factory=Asks)

    def add_own(self, report: Report, chunks: Chunks, findings: Findings) -> None:
        """One's own report is complete by nature: everything in it is stored here."""
        held = _Held(report, Assembly(chunks.root, chunks.size), findings, chunks, is_complete=True)
        self._keep(held)

    def _keep(self, held: _Held) -> None:
        self.held[held.report.id] = held
        place = self.chain.committee.index(held.report.header.witness)
        self.first_of.setdefault(-1 if place is None else place, held.report.id)

    def report(self, message: ReportMsg) -> None:
        """A report arrived; Invalid if it is not one of this close."""
        chain = self.chain
        report = load_report(message.header, message.signature, chain.network, chain.epoch, chain.committee)
        if report.id not in self.held and self._has_room(report):
            self._keep(_Held(report, _assembly(report)))
            self._asks.close(report.id)
        held = self.held.get(report.id)
        if held is not None and held.findings is None and not held.fault and message.body is not None:
            self._take(held, Chunks(message.body))
        self.progress()

    def _has_room(self, report: Report) -> bool:
        alike = [held for held in self.held.values() if held.report.header.witness == report.header.witness]
        return len(alike) < REPORTS_PER_MEMBER or report.id in self._named

    def _take(self, held: _Held, chunks: Chunks) -> None:
        if chunks.root != held.report.header.root:
            raise Invalid("bad_digest", "the body is not this report's")
        self._asks.close(chunks.root)
        try:
            findings = load_findings(chunks.data)
            self._validate(findings)
        except Invalid as error:
            held.fault = str(error)
            return
        held.findings, held.chunks, held.missing = findings, chunks, dict(findings.heads)

    def find(self, root: bytes) -> Chunks | None:
        """Somebody's whole findings by their root, for whoever misses them."""
        alike = (held.chunks for held in self.held.values() if held.report.header.root == root)
        return next((chunks for chunks in alike if chunks is not None), None)

    def _validate(self, findings: Findings) -> None:
        """What the findings' own bytes show."""
        if findings.reporters:
            raise Invalid("bad_findings", "only a cut names reporters")
        for evidence in findings.evidence.values():
            verify_evidence(evidence, self.chain.network)

    def chunk(self, message: Chunk) -> None:
        """A chunk of somebody's findings arrived."""
        for held in list(self.held.values()):
            if held.assembly.root == message.root and held.findings is None and not held.fault:
                self._asks.close(message.root)
                if held.assembly.add(message.index, message.data, message.branch):
                    self._take(held, Chunks(held.assembly.data()))
        self.progress()

    def entries(self, message: Entries) -> None:
        """Entries that reports name arrived."""
        if message.epoch == self.chain.epoch:
            absorb(self.chain, self.out, message.items)
            self.progress()

    def progress(self) -> None:
        """Ask for what is missing, and mark what has become whole."""
        for held in self.held.values():
            if held.fault or held.is_complete:
                continue
            if held.findings is None:
                self._want_body(held)
            if held.findings is not None and self._has_all(held):
                self._conclude(held, held.findings)

    def _want_body(self, held: _Held) -> None:
        known = self.find(held.report.header.root)  # witnesses that saw the same report the same
        if known is not None:
            self._take(held, known)
            return
        want = self._asks.chunk(held.assembly)
        if want is not None:
            self._send(held.report.header.witness, want)

    def _has_all(self, held: _Held) -> bool:
        for want in self._asks.logs(self.chain.book, held.missing):
            self._send(held.report.header.witness, want)
        return not held.missing

    def _conclude(self, held: _Held, findings: Findings) -> None:
        """All entries are here: is it what was certified, and do the claims open what it holds?"""
        places = self.chain.book.places
        if any(places.get((author, last)) != key for author, (last, key) in findings.heads.items()):
            held.fault = "a head that was never certified"
        elif not all(self._is_claim(findings, lock, preimage) for lock, preimage in findings.claims.items()):
            held.fault = "a claim that opens no lock"
        else:
            held.is_complete = True

    def _is_claim(self, findings: Findings, key: bytes, preimage: bytes) -> bool:
        lock = self.chain.state.find("locks", key, Lock) or self._new_lock(findings, key)
        return lock is not None and lock.hash == digest(preimage)

    def _new_lock(self, findings: Findings, key: bytes) -> Lock | None:
        """A lock of this epoch, from an entry that these findings cover: then everybody who judges them knows it."""
        for stored in self.chain.book.stored.values():
            header, row = stored.entry.header, stored.delta.rows.get(("locks", key))
            if isinstance(row, Lock) and header.seq <= findings.heads.get(header.author, (0, b""))[0]:
                return row
        return None

    def _send(self, witness: bytes, want: WantChunk | WantLog | WantReport) -> None:
        """Ask the reporter first; if it does not answer, everybody in turn: a leader serves what it proposes."""
        members = self.chain.committee.members
        chosen = witness if self._asks.turn == 0 else members[self._asks.turn % len(members)].key
        self.out.send(chosen, want)

    def complete(self) -> dict[int, bytes]:
        """Members whose first report is complete here, with its id."""
        return {place: key for place, key in self.first_of.items() if self.held[key].is_complete}

    def weight(self) -> int:
        """Weight of the members that have reported."""
        return self.chain.committee.weigh(self.first_of)

    def judge(self, value: Mapping[int, bytes]) -> bool:
        """Is everything that this value names held here? Asks for what is not.

        Raises Invalid("bad_value") if it misnames a report, or names one that is no honest work.
        """
        is_whole = True
        for place, key in sorted(value.items()):
            held = self.held.get(key)
            witness = self.chain.committee.members[place].key
            if held is None:
                self._want_report(witness, key)
                is_whole = False
            elif held.report.header.witness != witness or held.fault:
                raise Invalid("bad_value", held.fault or "a report of another witness")
            else:
                is_whole = is_whole and held.is_complete
        return is_whole

    def _want_report(self, witness: bytes, key: bytes) -> None:
        self._named.add(key)
        if self._asks.open(key):
            self._send(witness, WantReport(self.chain.epoch, key))

    def findings(self, value: Mapping[int, bytes]) -> dict[bytes, Findings]:
        """The findings of a judged value, by witness."""
        members = self.chain.committee.members
        return {members[place].key: self.held[key].findings or Findings() for place, key in value.items()}

    def tick(self) -> None:
        """Ask again, and ask somebody else."""
        self._asks.tick()
        self.progress()


def _assembly(report: Report) -> Assembly:
    if report.header.size > REPORT_CHUNKS_MAX:
        raise Invalid("too_large", f"a report of {report.header.size} chunks")
    return Assembly(report.header.root, report.header.size)
