"""What a settled question did, line by line: who wagered, earned, cited and was paid. It is what `emissions` proves."""

from __future__ import annotations

from dataclasses import dataclass

from troth_protocol.wire.codec import Value, encode


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
    """One question settled (`outcome` None: void) or sent back to the attesters (`revote`)."""

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


def settlement_value(item: Settlement) -> Value:
    """The canonical value of a settlement; signed amounts as [gained, lost]."""
    out: dict[str, Value] = {
        "question": item.question,
        "topic": item.topic,
        "index": item.index,
        "round": item.round,
        "revote": item.revote,
        "prior": list(item.prior),
        "forecasts": [_forecast(line) for line in item.forecasts],
        "payments": [[p.payer, p.payee, p.commit, p.cited, str(p.amount)] for p in item.payments],
        "attesters": [_attester(line) for line in item.attesters],
    }
    if item.outcome is not None:
        out["outcome"] = item.outcome
    return out


def encode_settlement(item: Settlement) -> bytes:
    """Canonical bytes: a leaf of the emissions root."""
    return encode(settlement_value(item))


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
