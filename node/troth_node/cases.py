"""Evidence as people look at it: what a stored node holds, what closes punished, and what is in one piece.

Nothing here is believed: what is shown as an offence was verified from its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from troth_node.agent import Json
from troth_node.inspection import read_seal
from troth_node.storage.store import Store
from troth_protocol.close.docket import EVIDENCE_TABLE
from troth_protocol.close.findings import Findings, load_findings
from troth_protocol.close.punish import offence_of
from troth_protocol.close.seal import SEAL
from troth_protocol.effects import TABLES
from troth_protocol.errors import Invalid, TrothError
from troth_protocol.evidence import EVIDENCE, Proof, verify_evidence
from troth_protocol.genesis import Rules, load_genesis
from troth_protocol.log.keep import unpack_stored
from troth_protocol.log.ops import EVIDENCE_MAX_BYTES, Accuse
from troth_protocol.log.rows import TABLES as ROWS
from troth_protocol.log.rows import Offence
from troth_protocol.wire.chunks import unpack_rows
from troth_protocol.wire.codec import Value, decode
from troth_protocol.wire.schema import PPM

_SIGNED_FIELDS: Final = ("header", "payload", "terms")


@dataclass(frozen=True, slots=True)
class Case:
    """One offence: its id, what is proved, the evidence if it is still stored, and the sentence if there was one.

    `reporter` is the account that was paid `part` of what was slashed; amounts in atomic units.
    """

    id: bytes
    proof: Proof
    evidence: bytes | None
    sentence: Offence | None = None
    reporter: bytes | None = None
    part: int = 0

    def as_json(self) -> dict[str, Json]:
        """For machines: amounts as decimal strings, bytes as hex."""
        sentence = self.sentence
        found: dict[str, Json] = {
            "id": self.id.hex(),
            "state": "waiting" if sentence is None else "punished",
            **proof_as_json(self.proof),
            "evidence_bytes": None if self.evidence is None else len(self.evidence),
        }
        if sentence is not None:
            found["closed"] = sentence.closed
            found["slashed"] = str(sentence.slashed)
            found["reporter"] = None if self.reporter is None else self.reporter.hex()
            found["reporter_part"] = str(self.part)
        return found


def proof_as_json(proof: Proof) -> dict[str, Json]:
    """What evidence proves."""
    place: dict[str, Json] = {n: part.hex() if isinstance(part, bytes) else part for n, part in proof.place}
    return {"kind": proof.kind, "offender": proof.offender.hex(), "epoch": proof.epoch, "place": place}


def read_evidence(path: Path) -> bytes:
    """The bytes of a file, no more of them than evidence may have and one; raises OSError."""
    with path.open("rb") as file:
        return file.read(EVIDENCE_MAX_BYTES + 1)


def explain(data: bytes) -> Json:
    """What is written in a piece of evidence, whether it proves anything or not; raises Invalid if it is none."""
    return _plain(EVIDENCE.dump(EVIDENCE.decode(data)))


def _plain(value: Value) -> Json:
    match value:
        case dict():
            return {
                key: _signed(item) if key in _SIGNED_FIELDS else _plain(item) for key, item in value.items()
            }
        case list():
            return [_plain(item) for item in value]
        case bytes():
            return value.hex()
        case _:
            return value


def _signed(value: Value) -> Json:
    """What was signed is canonical too, and can be read."""
    try:
        return _plain(decode(value)) if isinstance(value, bytes) else _plain(value)
    except Invalid:
        return _plain(value)


def list_cases(path: Path, genesis: bytes) -> list[Case]:
    """What closes punished, in order, then what waits; raises StoreError, or Invalid on damage."""
    found = load_genesis(genesis)
    network = found.network()
    with Store.open(path, TABLES) as store:
        punished = [
            case
            for key, data in store.scan("results")
            for case in _punished(store, network, found.rules, key, data)
        ]
        waiting = [_waiting(data, network) for _, data in store.scan(EVIDENCE_TABLE)]
    return [*punished, *waiting]


def _waiting(data: bytes, network: bytes) -> Case:
    proof = verify_evidence(data, network)
    return Case(offence_of(proof), proof, data)


def _punished(store: Store, network: bytes, rules: Rules, epoch: bytes, results: bytes) -> Iterator[Case]:
    told: list[tuple[bytes | None, bytes]] | None = None
    for item in unpack_rows(results):
        match item:
            case ["offence", bytes(key), row]:
                told = _accusations(store, network, epoch) if told is None else told
                sentence = ROWS["offences"].load(row)
                if isinstance(sentence, Offence):
                    yield _case(key, sentence, told, network, rules)
            case _:
                pass


def _case(
    key: bytes, sentence: Offence, told: list[tuple[bytes | None, bytes]], network: bytes, rules: Rules
) -> Case:
    """The first piece of that epoch about this offence is the one that the close executed."""
    for accuser, data in told:
        try:
            proof = verify_evidence(data, network)
        except Invalid:
            continue
        is_it = offence_of(proof) == key and proof.epoch == sentence.epoch
        if is_it:
            reporter = None if accuser == proof.offender else accuser
            part = min(sentence.slashed * rules.reporter_ppm // PPM, rules.reporter_max)
            return Case(key, proof, data, sentence, reporter, part if reporter is not None else 0)
    return Case(key, Proof(sentence.kind, sentence.offender, sentence.epoch), None, sentence)


def _accusations(store: Store, network: bytes, epoch: bytes) -> list[tuple[bytes | None, bytes]]:
    """What a close had before it, in the order of execution: accusations in logs, then the cut's evidence."""
    seal = store.get("seals", epoch)
    cut = None if seal is None else store.get("cuts", SEAL.decode(read_seal(seal)[0].payload).cut)
    findings = Findings() if cut is None else load_findings(cut)
    found: list[tuple[bytes | None, bytes]] = []
    for _, row in store.scan("entries", epoch):
        entry, _ = unpack_stored(row, network)
        author = entry.header.author
        if entry.header.seq <= findings.heads.get(author, (0, b""))[0]:
            found += [(author, op.evidence) for op in entry.ops if isinstance(op, Accuse)]
    return found + [(None, findings.evidence[key]) for key in sorted(findings.evidence)]


def find_case(cases: list[Case], prefix: str) -> Case:
    """The newest case whose id begins with these hex digits; TrothError says if there is none, or several."""
    found = {case.id: case for case in cases if prefix and case.id.hex().startswith(prefix.lower())}
    if not found:
        raise TrothError(f"no offence {prefix!r} here; `troth evidence list` shows all")
    if len(found) > 1:
        raise TrothError(f"{len(found)} offences begin with {prefix!r}; give more digits")
    return next(iter(found.values()))
