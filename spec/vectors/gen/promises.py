"""promises.json: binding promises when their question ends: who has broken one, what it costs, and who is paid."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from troth_protocol.insight.flow import FlowResult, Payment
from troth_protocol.insight.promises import settle_promises
from troth_protocol.insight.results import Settlement, settlement_rows
from troth_protocol.log.agreement import AGREEMENT_DOMAIN, RECEIPT_DOMAIN, Receipt
from troth_protocol.log.rows import TABLES, Account, Commit, Promise, Totals
from troth_protocol.log.state import TOTALS_KEY, State
from troth_protocol.market.trades import BODIES
from troth_protocol.wire.crypto import digest, preimage
from troth_protocol.wire.schema import PPM

from .common import (
    NETWORK,
    OTHER_NETWORK,
    TOKEN,
    Case,
    Json,
    cases,
    changed,
    flipped,
    invalid,
    keys,
    plain,
    valid,
)

QUESTION: Final = digest(b"question")
BUYER, SELLER, OTHER = (keys(name).public for name in ("alma", "bruno", "carla"))
TOP, NOTE, SOLD, COPY = (digest(name) for name in (b"top", b"note", b"sold", b"copy"))
FIRST, SECOND = sorted((digest(b"one agreement"), digest(b"another agreement")))
INCOME: Final = 10 * TOKEN
WEIGHT: Final = 200_000
WAGER: Final = 50 * TOKEN
SURE: Final = (900_000, 100_000)

PROMISE: Final = Promise(QUESTION, BUYER, SELLER, WEIGHT, WAGER, 0, 9, commit=SOLD, bound=True)
FLOORED: Final = replace(PROMISE, floor=3 * TOKEN)
SIGNAL: Final = Commit(SELLER, QUESTION, digest(b"s"), 0, 2, revealed=True, payload=digest(b"hint"))
FORECAST: Final = Commit(BUYER, QUESTION, digest(b"t"), WAGER, 3, revealed=True, ppm=SURE)
SHUT: Final = replace(FORECAST, revealed=False, ppm=None)
EARLIER: Final = replace(SIGNAL, author=OTHER, epoch=1)
RICH: Final = Account(100 * TOKEN, agent=20 * TOKEN)


GIVEN: Final = Receipt(digest(b"deliver"), FIRST, SOLD, digest(b"hint"))
RECEIPT: Final = BODIES.encode(GIVEN)
FIELDS: Final = ("prev", "agreement", "commit", "delivered")


def _cited(weight_ppm: int, commit: bytes = SOLD, **other: int) -> Commit:
    """The buyer's forecast, which cites one commit."""
    return replace(FORECAST, citations=((commit, weight_ppm),), **other)


def _row(table: str, row: Promise | Commit | Account) -> Json:
    return plain(TABLES[table].dump(row))


def _settled(
    name: str,
    promises: list[Promise],
    commits: dict[bytes, Commit],
    buyer: Account = RICH,
    *,
    income: int | None = INCOME,
) -> Case:
    """A question's end; without an income it is void. A signal is paid half of its weight."""
    flows = None if income is None else _flows(commits, income)
    state, named = State(), dict(zip((FIRST, SECOND), promises, strict=False))
    for key, account in ((BUYER, buyer), (SELLER, Account(TOKEN)), (OTHER, Account(TOKEN))):
        state.put("accounts", key, account)
    state.put("totals", TOTALS_KEY, Totals(9, state.account(BUYER).worth() + 2 * TOKEN, 0, 0, 0))
    before = {key.hex(): _row("accounts", row) for key, row in state.items("accounts", Account)}
    lines = settle_promises(state, sorted(named.items()), commits, flows)
    told = Settlement(QUESTION, "coin", 0, 0, None, False, (), (), (), (), lines)
    return valid(
        name,
        check="settle",
        promises={key.hex(): _row("promises", row) for key, row in named.items()},
        commits={key.hex(): _row("commits", row) for key, row in commits.items()},
        **({} if flows is None else _told(commits, flows)),
        accounts=before,
        lines=[plain(row) for row in settlement_rows(told)][1:],
        after={key.hex(): _row("accounts", row) for key, row in state.items("accounts", Account)},
        burned=str(state.totals().burned),
    )


def _flows(commits: dict[bytes, Commit], income: int) -> FlowResult:
    """What the top forecast pays for what it cites."""
    paid = [
        Payment(TOP, cited, income * weight // (2 * PPM))
        for cited, weight in (commits[TOP].citations if TOP in commits and commits[TOP].revealed else ())
        if cited in commits
    ]
    out = {key: sum(p.amount for p in paid if p.frm_commit == key) for key in commits}
    got = {key: sum(p.amount for p in paid if p.to_commit == key) for key in commits}
    own = {key: income if key == TOP else 0 for key in commits}
    return FlowResult(got, out, {key: own[key] + got[key] - out[key] for key in commits}, tuple(paid))


def _told(commits: dict[bytes, Commit], flows: FlowResult) -> dict[str, Json]:
    return {
        "means": {key.hex(): str(flows.paid_out[key] + flows.retained[key]) for key in commits},
        "payments": [[p.frm_commit.hex(), p.to_commit.hex(), str(p.amount)] for p in flows.payments],
    }


def _kept() -> list[Case]:
    note = replace(SIGNAL, author=BUYER, payload=digest(b"note"), citations=((SOLD, WEIGHT),))
    return [
        _settled("kept to the ppm", [FLOORED], {TOP: _cited(WEIGHT), SOLD: SIGNAL}),
        _settled("kept by more", [FLOORED], {TOP: _cited(PPM), SOLD: SIGNAL}),
        _settled(
            "kept by a signal, where no wager is promised",
            [replace(FLOORED, min_wager=0)],
            {TOP: FORECAST, NOTE: note, SOLD: SIGNAL},
        ),
        _settled("kept in a void", [FLOORED], {TOP: _cited(WEIGHT), SOLD: SIGNAL}, income=None),
        _settled("not bound", [replace(FLOORED, bound=False)], {TOP: FORECAST, SOLD: SIGNAL}),
        _settled("the delivered commit unknown", [FLOORED], {TOP: FORECAST}),
        _settled(
            "the delivered commit unrevealed",
            [FLOORED],
            {TOP: FORECAST, SOLD: replace(SIGNAL, revealed=False, payload=None)},
        ),
        _settled("the commit of another author", [FLOORED], {TOP: FORECAST, SOLD: EARLIER}),
        _settled(
            "the commit a forecast", [FLOORED], {TOP: FORECAST, SOLD: replace(SIGNAL, payload=None, ppm=SURE)}
        ),
        _settled("nothing earned, and no floor", [PROMISE], {TOP: FORECAST, SOLD: SIGNAL}, income=0),
    ]


def _broken() -> list[Case]:
    copied = {TOP: _cited(1, COPY), SOLD: SIGNAL, COPY: EARLIER}
    second = replace(FLOORED, seller=OTHER, commit=COPY)
    leaving = (("agent", TOKEN, 70), ("witness", TOKEN, 70), ("agent", TOKEN, 71))
    return [
        _settled("no citation", [PROMISE], {TOP: FORECAST, SOLD: SIGNAL}),
        _settled("a ppm too little", [PROMISE], {TOP: _cited(WEIGHT - 1), SOLD: SIGNAL}),
        _settled("a citation of another commit", [PROMISE], {TOP: _cited(PPM, NOTE), SOLD: SIGNAL}),
        _settled("no citation, with a floor", [FLOORED], {TOP: FORECAST, SOLD: SIGNAL}),
        _settled("under too small a wager", [FLOORED], {TOP: _cited(WEIGHT, wager=WAGER - 1), SOLD: SIGNAL}),
        _settled("opened too late", [FLOORED], {TOP: SHUT, SOLD: SIGNAL}, income=0),
        _settled("no commit at all", [FLOORED], {SOLD: SIGNAL}),
        _settled("a promise to take part alone", [replace(FLOORED, weight_ppm=0)], {SOLD: SIGNAL}),
        _settled("in a void", [FLOORED], {TOP: FORECAST, SOLD: SIGNAL}, income=None),
        _settled("of what an earlier signal is a copy of", [FLOORED], copied),
        _settled("the copy not cited", [FLOORED], copied | {TOP: FORECAST}),
        _settled(
            "two, damages before penalties",
            [FLOORED, second],
            {SOLD: SIGNAL, COPY: EARLIER},
            Account(5 * TOKEN),
        ),
        _settled(
            "balance, bond, and what is leaving",
            [FLOORED],
            {SOLD: SIGNAL},
            Account(2 * TOKEN, agent=2 * TOKEN, witness=TOKEN, unbonding=leaving),
        ),
        _settled("more than there is", [FLOORED], {SOLD: SIGNAL}, Account(TOKEN, agent=TOKEN)),
    ]


def _receipt(data: bytes, signature: bytes | None = None, **other: str) -> dict[str, Json]:
    """A receipt of the buyer's for the first agreement; what is named differs."""
    usual = {"network": NETWORK.hex(), "buyer": BUYER.hex(), "agreement": FIRST.hex()} | other
    signed = keys("alma").sign(preimage(RECEIPT_DOMAIN, NETWORK, data)) if signature is None else signature
    return {"check": "receipt", **usual, "bytes": data.hex(), "signature": signed.hex()}


def _receipts() -> list[Case]:
    signed = preimage(RECEIPT_DOMAIN, NETWORK, RECEIPT)
    return [valid("a receipt", **_receipt(RECEIPT), value=plain(BODIES.dump(GIVEN)), preimage=signed.hex())]


def _refused() -> list[Case]:
    by = keys("alma").sign
    other = changed(RECEIPT, agreement=SECOND)
    signatures = [
        ("signed by the seller", keys("bruno").sign(preimage(RECEIPT_DOMAIN, NETWORK, RECEIPT))),
        ("signed for another network", by(preimage(RECEIPT_DOMAIN, OTHER_NETWORK, RECEIPT))),
        ("signed under the domain of agreements", by(preimage(AGREEMENT_DOMAIN, NETWORK, RECEIPT))),
        ("a signature of other bytes", by(preimage(RECEIPT_DOMAIN, NETWORK, other))),
        ("a bit of the signature", flipped(by(preimage(RECEIPT_DOMAIN, NETWORK, RECEIPT)), 0)),
        ("no signature", bytes(64)),
    ]
    spoiled = [("missing_field", f"without {name}", changed(RECEIPT, **{name: None})) for name in FIELDS]
    for name in FIELDS:
        spoiled += [
            ("bad_field", f"a {name} of 31 bytes", changed(RECEIPT, **{name: bytes(31)})),
            ("bad_field", f"a {name} of 33 bytes", changed(RECEIPT, **{name: bytes(33)})),
            ("bad_field", f"a {name} that is text", changed(RECEIPT, **{name: "x" * 32})),
        ]
    spoiled += [
        ("unknown_field", "a receipt with a price", changed(RECEIPT, price="5")),
        ("unknown_kind", "a key for a receipt", changed(RECEIPT, type="key")),
        ("unknown_kind", "a receipt without a type", changed(RECEIPT, type=None)),
        ("truncated", "a byte short", RECEIPT[:-1]),
        ("trailing", "a byte too many", RECEIPT + b"\x00"),
        ("empty", "no bytes", b""),
        ("wrong_agreement", "a receipt for another agreement", other),
    ]
    return [
        *(invalid("bad_signature", what, **_receipt(RECEIPT, made)) for what, made in signatures),
        invalid("bad_signature", "another buyer", **_receipt(RECEIPT, buyer=OTHER.hex())),
        *(invalid(code, what, **_receipt(data)) for code, what, data in spoiled),
    ]


def promises() -> Json:
    """The file promises.json."""
    return cases(
        "Promises (05): receipts that bind them, whether they are kept, and what a broken one costs.",
        [*_receipts(), *_kept(), *_broken()],
        _refused(),
    )
