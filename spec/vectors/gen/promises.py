"""promises.json: binding promises when their question ends: who has broken one, what it costs, and who is paid."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from troth_protocol.insight.flow import FlowResult, Payment
from troth_protocol.insight.promises import settle_promises
from troth_protocol.insight.results import Settlement, settlement_rows
from troth_protocol.log.rows import TABLES, Account, Commit, Promise, Totals
from troth_protocol.log.state import TOTALS_KEY, State
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.schema import PPM

from .common import TOKEN, Case, Json, cases, keys, plain, valid

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


def promises() -> Json:
    """The file promises.json."""
    return cases(
        "Promises (05): whether they are kept when their question ends, and what a broken one costs.",
        [*_kept(), *_broken()],
        [],
    )
