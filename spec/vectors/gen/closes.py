"""closes.json: closes executed from bytes to bytes, and what a close refuses on the way to its value."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from troth_protocol.close.findings import EVIDENCE_MAX, Findings
from troth_protocol.close.leaders import timeout_ms, turns
from troth_protocol.close.report import (
    REPORT_DOMAIN,
    REPORT_HEADER,
    Report,
    ReportHeader,
    encode_value,
    sign_report,
)
from troth_protocol.insight.results import settlement_rows
from troth_protocol.log.committee import Member
from troth_protocol.log.vote import CERTIFICATE
from troth_protocol.wire.chunks import Chunks, pack_rows
from troth_protocol.wire.codec import encode
from troth_protocol.wire.crypto import digest, preimage

from .common import (
    NETWORK,
    OTHER_NETWORK,
    Case,
    Json,
    cases,
    changed,
    flipped,
    hexed,
    invalid,
    keys,
    plain,
    valid,
)
from .story import GENESIS, Told, story
from .votes import EPOCH, SET, WITNESSES, place, setting

TITLES: Final = (
    "commits, a citation, a payment, a lock, a bond",
    "sealed votes, and a claim",
    "a fork, and a bond that leaves",
    "reveals, a claim paid, a log resumed",
    "a witness without a report",
    "votes opened",
    "the question settles, and a witness that contradicted itself is accused",
)
FINDINGS: Final = Findings(
    heads={
        keys("alma").public: (3, digest(b"head of alma")),
        keys("bruno").public: (1, digest(b"head of bruno")),
    },
    claims={digest(b"lock"): b"preimage"},
    evidence={digest(item): item for item in (b"evidence", b"more of it")},
)


def executed(told: Told, title: str) -> Case:
    """A close with all that goes in and comes out."""
    closed, chunks = told.closed, told.cut.chunks()
    return valid(
        f"epoch {told.epoch}: {title}",
        check="execute",
        epoch=told.epoch,
        witness_set=told.committee.encode().hex(),
        before=hexed(told.before.encode()),
        certified=[[e.data.hex(), CERTIFICATE.encode(c).hex()] for e, c in told.certified],
        cut=hexed(told.cut.encode()),
        cut_root=chunks.root.hex(),
        cut_size=chunks.size,
        after=hexed(closed.state.encode()),
        state=closed.state.root().hex(),
        settlements=[plain(row) for item in closed.settlements for row in settlement_rows(item)],
        emissions=closed.emissions_root.hex(),
        offences=[
            [key.hex(), o.kind, o.offender.hex(), o.epoch, str(o.slashed)] for key, o in closed.offences
        ],
        evidence=closed.evidence_root.hex(),
        next_set=closed.committee.encode().hex(),
    )


def _reported() -> Report:
    return sign_report(keys("dora"), NETWORK, EPOCH, SET, FINDINGS.chunks())


def _report_case() -> Case:
    report = _reported()
    return valid(
        "a report",
        check="report",
        **setting(),
        header=report.payload.hex(),
        preimage=preimage(REPORT_DOMAIN, NETWORK, report.payload).hex(),
        id=report.id.hex(),
        signature=report.signature.hex(),
        body=hexed(FINDINGS.encode()),
        value=plain(REPORT_HEADER.dump(report.header)),
    )


def _findings_case() -> Case:
    heads = [["head", key, *FINDINGS.heads[key]] for key in sorted(FINDINGS.heads)]
    claims = [["claim", key, FINDINGS.claims[key]] for key in sorted(FINDINGS.claims)]
    evidence = [["evidence", FINDINGS.evidence[key]] for key in sorted(FINDINGS.evidence)]
    return valid(
        "a report's body",
        check="findings",
        rows=plain([*heads, *claims, *evidence]),
        bytes=hexed(FINDINGS.encode()),
    )


def _reports(names: Sequence[str]) -> dict[int, bytes]:
    return {place(name): digest(b"report of " + name.encode()) for name in names}


def _value_case() -> Case:
    reports = _reports(["dora", "emil"])
    return valid(
        "a value of two reports",
        check="value",
        **setting(),
        reports=[[member, reports[member].hex()] for member in sorted(reports)],
        bytes=encode_value(reports).hex(),
    )


def _leaders(name: str, weights: Sequence[int], count: int) -> Case:
    members = [Member(pair.public, weight) for pair, weight in zip(WITNESSES, weights, strict=False)]
    return valid(
        name,
        check="leaders",
        members=[[member.key.hex(), str(member.weight)] for member in members],
        turns=list(islice(turns(members), count)),
    )


def _timers() -> Case:
    waits = [[slot, timeout_ms(slot, 200, 3_000)] for slot in (0, 1, 2, 3, 6, 7, 1_000)]
    return valid("timers of slots", check="timers", slot_ms=200, slot_max_ms=3_000, waits=waits)


def _bad_reports() -> list[Case]:
    report, network = _reported(), NETWORK.hex()
    other_epoch = sign_report(keys("dora"), NETWORK, EPOCH + 1, SET, FINDINGS.chunks())
    foreign = sign_report(keys("dora"), OTHER_NETWORK, EPOCH, SET, FINDINGS.chunks())
    stranger = sign_report(keys("alma"), NETWORK, EPOCH, SET, FINDINGS.chunks())
    other_set = changed(report.payload, set=digest(b"set"))
    borrowed = REPORT_HEADER.encode(ReportHeader(EPOCH, keys("emil").public, SET.digest, *_root(FINDINGS)))
    rows: list[tuple[str, str, bytes, bytes]] = [
        ("wrong_epoch", "of the next epoch", other_epoch.payload, other_epoch.signature),
        ("wrong_epoch", "of another witness set", other_set, _signed(other_set)),
        ("bad_member", "of somebody outside the set", stranger.payload, stranger.signature),
        ("bad_signature", "of another network", foreign.payload, foreign.signature),
        ("bad_signature", "in another member's name", borrowed, _signed(borrowed)),
        ("bad_signature", "a bit of it", report.payload, flipped(report.signature, 0)),
        ("missing_field", "without a root", changed(report.payload, root=None), report.signature),
        ("bad_field", "of 20,001 chunks", changed(report.payload, size=20_001), report.signature),
    ]
    out = [
        invalid(
            c, f"a report {what}", check="report", **setting(), header=h.hex(), signature=s.hex(), body=""
        )
        for c, what, h, s in rows
    ]
    fields = setting() | {
        "header": report.payload.hex(),
        "signature": report.signature.hex(),
        "network": network,
    }
    out.append(invalid("bad_digest", "a body of another report", check="report", **fields, body=""))
    return out


def _root(findings: Findings) -> tuple[bytes, int]:
    chunks = findings.chunks()
    return chunks.root, chunks.size


def _signed(header: bytes) -> bytes:
    return keys("dora").sign(preimage(REPORT_DOMAIN, NETWORK, header))


def _bad_findings() -> list[Case]:
    a, b = sorted([keys("alma").public, keys("bruno").public])
    one, two = ["head", a, 3, digest(b"one")], ["head", b, 1, digest(b"two")]
    claim, proof = ["claim", digest(b"lock"), b"preimage"], ["evidence", b"evidence"]
    first, second = sorted((b"evidence", b"more of it"), key=digest)
    rows: list[tuple[str, str, list[Json]]] = [
        ("bad_findings", "heads out of order", [two, one]),
        ("bad_findings", "one log twice", [one, one]),
        ("bad_findings", "one log at two heads", [one, ["head", a, 4, digest(b"four")]]),
        ("bad_findings", "a claim before the heads", [claim, one]),
        (
            "bad_findings",
            "evidence not in the order of its digests",
            [["evidence", second], ["evidence", first]],
        ),
        ("bad_findings", "evidence twice", [proof, proof]),
        ("bad_findings", "257 pieces of evidence", _much_evidence()),
        ("bad_findings", "a head at seq 0", [["head", a, 0, digest(b"none")]]),
        ("bad_findings", "a head whose seq is a bool", [["head", a, True, digest(b"one")]]),
        ("bad_findings", "a head without an entry", [["head", a, 3]]),
        ("bad_findings", "an author of 31 bytes", [["head", a[:31], 3, digest(b"one")]]),
        ("bad_findings", "a preimage of 65 bytes", [["claim", digest(b"lock"), bytes(65)]]),
        ("bad_findings", "evidence of 102,401 bytes", [["evidence", bytes(102_401)]]),
        ("bad_findings", "a row of another kind", [["note", b"x"]]),
        ("bad_findings", "a row that is no list", [{}]),
    ]
    out = [
        invalid(code, f"findings: {what}", check="findings", bytes=hexed(pack_rows(items)))
        for code, what, items in rows
    ]
    return [
        *out,
        invalid("truncated", "findings: a byte short", check="findings", bytes=FINDINGS.encode()[:-1].hex()),
    ]


def _much_evidence() -> list[Json]:
    items = sorted((b"%d" % number for number in range(EVIDENCE_MAX + 1)), key=digest)
    return [["evidence", item] for item in items]


def _bad_values() -> list[Case]:
    dora, emil = ([place(name), digest(b"report of " + name.encode())] for name in ("dora", "emil"))
    ordered = sorted([dora, emil], key=lambda pair: int(pair[0]))
    rows: list[tuple[str, str, Json]] = [
        ("bad_value", "out of order", ordered[::-1]),
        ("bad_value", "an id of 31 bytes", [[dora[0], bytes(31)]]),
        ("bad_value", "a member without a report", [[dora[0]]]),
        ("bad_value", "a bool for a member", [[False, digest(b"x")], *ordered[1:]]),
        ("bad_value", "a map", {}),
        ("bad_member", "a member twice", [dora, dora]),
        ("bad_member", "a place outside the set", [*ordered, [4, digest(b"x")]]),
        ("not_enough_weight", "one report", [dora]),
        ("not_enough_weight", "no reports", []),
    ]
    return [
        invalid(c, f"a value: {w}", check="value", **setting(), bytes=encode(v).hex()) for c, w, v in rows
    ]


def closes() -> Json:
    """The file closes.json."""
    many = [
        _leaders("leaders by weight", [4, 3, 2, 1], 20),
        _leaders("leaders of equal weight", [7, 7, 7], 7),
    ]
    empty = valid("an empty body", check="findings", rows=[], bytes=Chunks(b"").data.hex())
    good = [
        *(executed(told, title) for told, title in zip(story(), TITLES, strict=True)),
        *(_report_case(), _findings_case(), empty, _value_case(), *many, _timers()),
    ]
    return cases(
        "Closes (04): state and cut in, state and roots out; reports, their bodies, values, leaders.",
        good,
        [*_bad_reports(), *_bad_findings(), *_bad_values()],
        genesis=hexed(GENESIS.encode()),
    )
