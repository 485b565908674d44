"""Earned standing: what the sealed results say of each key. No word of anybody's own is among what is read here.

A key is judged by what closes paid it, took from it and convicted it of; a key that no result names has earned nothing.
Sponsored questions do not count: whoever asks and answers itself could earn any standing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from troth_protocol.errors import Invalid
from troth_protocol.wire.codec import Value, decode_amount


@dataclass(slots=True)
class Earned:
    """What one key has earned and lost; amounts in atomic units.

    `won` and `lost` are net emissions of its forecasts; `income` is what `payers` paid for citing its contributions in
    `deliveries` citations; `paid` what it passed on to those it cited; `attested` and `penalty` what votes on
    outcomes brought and cost; `offences` counts convictions by kind; `breaches` its broken promises, for which it
    `forfeited` damages and penalties (what the seller got of them is no earning). Citing oneself counts for nothing.
    `auctioned` is what winners of its auctions had locked for it; what it has claimed of that no result tells, so it
    is not in `net`.
    """

    forecasts: int = 0
    won: int = 0
    lost: int = 0
    income: int = 0
    deliveries: int = 0
    payers: set[bytes] = field(default_factory=set)
    paid: int = 0
    votes: int = 0
    attested: int = 0
    penalty: int = 0
    offences: Counter[str] = field(default_factory=Counter)
    slashed: int = 0
    breaches: int = 0
    forfeited: int = 0
    auctioned: int = 0

    @property
    def net(self) -> int:
        """All that it gained less all that it lost."""
        gained = self.won + self.income + self.attested
        return gained - self.lost - self.paid - self.penalty - self.slashed - self.forfeited


def tally(rows: Iterable[Value], found: dict[bytes, Earned]) -> None:
    """Add the rows of a close's results to what is `found` of each key. Raises Invalid("bad_row") for anything else.

    Rows are those of `settlement_rows` and `sale_rows`, and ["offence", id, offence].
    """
    seller = Earned()
    sponsored: set[bytes] = set()
    for row in rows:
        match row:
            case ["settlement", bytes(question), dict(head)]:
                if "asker" in head:
                    sponsored.add(question)
            case ["forecast" | "payment" | "attester", bytes(question), _] if question in sponsored:
                pass
            case ["auction", bytes(), {"seller": bytes(key)}]:
                seller = _of(found, key)
            case ["bid", bytes(), [bytes(), list(), str(paid), str(), str()]]:
                seller.auctioned += decode_amount(paid)
            case ["forecast", bytes(), {"author": bytes(author), "net": list(net)}]:
                _forecast(_of(found, author), *_signed(net))
            case ["breach", bytes(), [bytes(), bytes(buyer), bytes(), bytes(), str(paid), str(burned)]]:
                _breach(_of(found, buyer), decode_amount(paid) + decode_amount(burned))
            case ["payment", bytes(), [bytes(payer), bytes(payee), bytes(), bytes(), str(amount)]]:
                _payment(found, payer, payee, decode_amount(amount))
            case ["attester", bytes(), [bytes(attester), list(), list(amount)]]:
                _attester(_of(found, attester), *_signed(amount))
            case [
                "offence",
                bytes(),
                {"kind": str(kind), "offender": bytes(offender), "slashed": str(amount)},
            ]:
                earned = _of(found, offender)
                earned.offences[kind] += 1
                earned.slashed += decode_amount(amount)
            case _:
                raise Invalid("bad_row", "a row of results")


def _of(found: dict[bytes, Earned], key: bytes) -> Earned:
    return found.setdefault(key, Earned())


def _signed(amount: list[Value]) -> tuple[int, int]:
    """Gained and lost."""
    match amount:
        case [str(gained), str(lost)]:
            return decode_amount(gained), decode_amount(lost)
        case _:
            raise Invalid("bad_row", "an amount with a sign")


def _forecast(earned: Earned, won: int, lost: int) -> None:
    earned.forecasts += 1
    earned.won += won
    earned.lost += lost


def _payment(found: dict[bytes, Earned], payer: bytes, payee: bytes, amount: int) -> None:
    if payer == payee:
        return
    _of(found, payer).paid += amount
    earned = _of(found, payee)
    earned.income += amount
    earned.deliveries += 1
    earned.payers.add(payer)


def _breach(earned: Earned, forfeited: int) -> None:
    earned.breaches += 1
    earned.forfeited += forfeited


def _attester(earned: Earned, gained: int, lost: int) -> None:
    earned.votes += 1
    earned.attested += gained
    earned.penalty += lost
