"""Gathering: close reports, their findings and every entry they name, until a value can be judged."""

from __future__ import annotations

from dataclasses import dataclass, field

from troth_protocol.close.chain import Chain
from troth_protocol.close.findings import Findings, load_findings
from troth_protocol.close.follower import absorb
from troth_protocol.close.report import Report, load_report
from troth_protocol.effects import Effects
from troth_protocol.errors import Invalid
from troth_protocol.wire.chunks import Assembly, Chunks
from troth_protocol.wire.messages import Chunk, Entries, ReportMsg, WantChunk, WantLog, WantReport

REPORTS_PER_MEMBER = 2


@dataclass(slots=True)
class _Held:
    report: Report
    assembly: Assembly
    findings: Findings | None = None
    chunks: Chunks | None = None
    is_complete: bool = False


@dataclass(slots=True)
class Gatherer:
    """What one witness has gathered of an epoch's close."""

    chain: Chain
    out: Effects
    held: dict[bytes, _Held] = field(default_factory=dict)
    first_of: dict[int, bytes] = field(default_factory=dict)
    _asked: set[tuple[bytes, int]] = field(default_factory=set)
    _turn: int = 0

    def add_own(self, report: Report, chunks: Chunks, findings: Findings) -> None:
        """One's own report is complete by nature: everything in it is stored here."""
        held = _Held(report, Assembly(chunks.root, chunks.size), findings, chunks, is_complete=True)
        self.held[report.id] = held
        self.first_of[self._place(report)] = report.id

    def _place(self, report: Report) -> int:
        place = self.chain.committee.index(report.header.witness)
        return -1 if place is None else place

    def report(self, message: ReportMsg) -> None:
        """A report arrived; Invalid if it is not one of this close."""
        chain = self.chain
        report = load_report(message.header, message.signature, chain.network, chain.epoch, chain.committee)
        mine = [held for held in self.held.values() if held.report.header.witness == report.header.witness]
        if report.id not in self.held and len(mine) < REPORTS_PER_MEMBER:
            header = report.header
            self.held[report.id] = _Held(report, Assembly(header.root, header.size))
            self.first_of.setdefault(self._place(report), report.id)
        held = self.held.get(report.id)
        if held is not None and held.findings is None and message.body is not None:
            self._take(held, Chunks(message.body))
        self.progress()

    def _take(self, held: _Held, chunks: Chunks) -> None:
        if chunks.root == held.report.header.root:
            held.findings = load_findings(chunks.data)
            held.chunks = chunks

    def chunk(self, message: Chunk) -> None:
        """A chunk of somebody's findings arrived."""
        for held in self.held.values():
            if held.assembly.root == message.root and held.findings is None:
                if held.assembly.add(message.index, message.data, message.branch):
                    self._take(held, Chunks(held.assembly.data()))
        self.progress()

    def entries(self, message: Entries) -> None:
        """Entries that reports name arrived."""
        if message.epoch == self.chain.epoch:
            absorb(self.chain, self.out, message.items)
            self._asked.clear()
            self.progress()

    def progress(self) -> None:
        """Ask for what is missing, and mark what has become whole."""
        for held in list(self.held.values()):
            if held.findings is None:
                index = held.assembly.wanted()
                if index is not None:
                    want = WantChunk(held.assembly.root, index)
                    self._ask(held.report.header.witness, (held.assembly.root, index), want)
            elif not held.is_complete:
                held.is_complete = self._has_all(held, held.findings)

    def _has_all(self, held: _Held, findings: Findings) -> bool:
        book, has_all = self.chain.book, True
        for author, (last, _) in sorted(findings.heads.items()):
            first = book.head(author)[0] + 1
            if first <= last:
                has_all = False
                want = WantLog(author, book.epoch, first, last)
                self._ask(held.report.header.witness, (author, first), want)
        return has_all

    def _ask(self, witness: bytes, key: tuple[bytes, int], want: WantChunk | WantLog | WantReport) -> None:
        if key in self._asked:
            return
        self._asked.add(key)
        members = self.chain.committee.members
        # Ask the reporter first; if it does not answer, everybody in turn: a leader serves what it proposes.
        chosen = witness if self._turn == 0 else members[self._turn % len(members)].key
        self.out.send(chosen, want)

    def complete(self) -> dict[int, bytes]:
        """Members whose first report is complete here, with its id."""
        return {place: key for place, key in self.first_of.items() if self.held[key].is_complete}

    def weight(self) -> int:
        """Weight of the members that have reported."""
        return self.chain.committee.weigh(self.first_of)

    def judge(self, value: dict[int, bytes]) -> bool:
        """Is everything that this value names held here? Asks for what is not. Invalid if it misnames a report."""
        is_whole = True
        for place, key in sorted(value.items()):
            held = self.held.get(key)
            witness = self.chain.committee.members[place].key
            if held is None:
                self._ask(witness, (key, -1), WantReport(self.chain.epoch, key))
                is_whole = False
            elif held.report.header.witness != witness:
                raise Invalid("bad_value", "a report of another witness")
            else:
                is_whole = is_whole and held.is_complete
        return is_whole

    def findings(self, value: dict[int, bytes]) -> dict[bytes, Findings]:
        """The findings of a judged value, by witness."""
        out: dict[bytes, Findings] = {}
        for place, key in value.items():
            findings = self.held[key].findings
            if findings is not None:
                out[self.chain.committee.members[place].key] = findings
        return out

    def tick(self) -> None:
        """Ask again, and ask somebody else."""
        self._turn += 1
        self._asked.clear()
        self.progress()
