"""What a settled question did, line by line: who wagered, earned, cited and was paid. It is what `emissions` proves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from troth_protocol.wire.codec import Value, encode
from troth_protocol.wire.merkle import leaf_hash


@dataclass(frozen=True, slots=True)
class ForecastLine:
    """One wagering commit: amounts in atomic units, gains in ppm of L = ln(1/epsilon); `net` may be negative."""

    author: bytes
    commit: bytes
    ppm: tuple[int, ...] | None
    wager: int
    back: int
    net: int
    income: int


@dataclass(frozen=True, slots=True)
class PaymentLine:
    """One paid citation."""

    payer: bytes
    payee: bytes
    commit: bytes
    cited: bytes
    amount: int


@dataclass(frozen=True, slots=True)
class AttesterLine:
    """What one attester gained (positive) or lost on a question."""

    attester: bytes
    outcome: int | None
    amount: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """One question settled (`outcome` None: void) or sent back to the attesters (`revote`).

    A sponsored one that is settled has its `asker`, and what `returned` of the bounty.
    """

    question: bytes
    topic: str
    index: int
    round: int
    outcome: int | None
    revote: bool
    prior: tuple[int, ...]
    forecasts: tuple[ForecastLine, ...]
    payments: tuple[PaymentLine, ...]
    attesters: tuple[AttesterLine, ...]
    asker: bytes | None = None
    returned: int = 0


def settlement_rows(item: Settlement) -> Iterator[Value]:
    """A settlement line by line, the question first: any number of forecasters fits, and each can prove its own line.

    Rows are [kind, question id, line]; signed amounts are [gained, lost].
    """
    yield ["settlement", item.question, _head(item)]
    for forecast in item.forecasts:
        yield ["forecast", item.question, _forecast(forecast)]
    for p in item.payments:
        yield ["payment", item.question, [p.payer, p.payee, p.commit, p.cited, str(p.amount)]]
    for attester in item.attesters:
        yield ["attester", item.question, _attester(attester)]


def emission_leaves(items: Iterable[Settlement]) -> list[bytes]:
    """The leaf hashes of the emissions root: the canonical rows of every settlement, in order."""
    return [leaf_hash(encode(row)) for item in items for row in settlement_rows(item)]


def _head(item: Settlement) -> Value:
    out: dict[str, Value] = {
        "topic": item.topic,
        "index": item.index,
        "round": item.round,
        "revote": item.revote,
        "prior": list(item.prior),
    }
    if item.outcome is not None:
        out["outcome"] = item.outcome
    if item.asker is not None:
        out |= {"asker": item.asker, "returned": str(item.returned)}
    return out


def _forecast(line: ForecastLine) -> Value:
    out: dict[str, Value] = {
        "author": line.author,
        "commit": line.commit,
        "wager": str(line.wager),
        "back": str(line.back),
        "net": _signed(line.net),
        "income": str(line.income),
    }
    if line.ppm is not None:
        out["ppm"] = list(line.ppm)
    return out


def _attester(line: AttesterLine) -> Value:
    opened: list[Value] = [] if line.outcome is None else [line.outcome]
    return [line.attester, opened, _signed(line.amount)]


def _signed(amount: int) -> Value:
    return [str(max(amount, 0)), str(max(-amount, 0))]
