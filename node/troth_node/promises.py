"""Promised citations at a node: what is owed is on disk before a receipt leaves, and cited after any restart.

Theory of operation. A buyer's promise binds when its delivery is proved: by its own receipt, which the seller puts
into its log, or by the key of what was sealed for it. From then on the buyer pays for not citing, so whatever it has
taken is cited, even if it has died in between and knows nothing of the payload any more: commit and weight suffice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from troth_node.exchanges import Exchanges
from troth_node.wares import Purchase
from troth_protocol.core import Core
from troth_protocol.errors import Invalid
from troth_protocol.log.ops import Agree
from troth_protocol.log.promising import FLOOR_TIMES, backed_claims, sealed_floors
from troth_protocol.log.rows import Promise, Question
from troth_protocol.market.desk import Desk
from troth_protocol.market.exchange import Contents
from troth_protocol.market.negotiation import Negotiation, Received
from troth_protocol.market.transcript import AGREED, BUYER, BUYER_ACCEPTED, OPENED, SEALED
from troth_protocol.wire.codec import Value, decode, encode
from troth_protocol.wire.messages import Trade
from troth_protocol.wire.schema import PPM

TABLE: Final = "promises"
#: States in which a buyer has agreed to a floor that its log may not show yet.
_AGREED: Final = frozenset({BUYER_ACCEPTED, AGREED, SEALED, OPENED})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Owed:
    """A citation that this agent owes on a question: of which commit, and how much in which wager at least."""

    question: bytes
    commit: bytes
    weight_ppm: int
    min_wager: int


class Promises:
    """What one node owes by promises, and what it is owed."""

    def __init__(self, core: Core, desk: Desk, exchanges: Exchanges) -> None:
        self.core = core
        self._desk = desk
        self._exchanges = exchanges
        self._receipted: dict[bytes, Owed] = {}
        for key, data in core.chain.archive.scan(TABLE, b""):
            self._receipted[key] = _owed(decode(data))

    # The buyer

    def can_back(self, floor: int) -> bool:
        """Does the bond as agent cover another floor, beside all that it answers for and is agreed on?"""
        if floor == 0:
            return True
        state, me = self.core.chain.state, self.core.keys.public
        waiting = sum(self._floors_agreed())
        owed = sealed_floors(state, me) + backed_claims(state, me) + FLOOR_TIMES * (waiting + floor)
        return owed <= state.account(me).agent

    def _floors_agreed(self) -> Iterator[int]:
        for each in self._desk:
            if each.role == BUYER and each.terms is not None and each.state in _AGREED:
                is_sealed = self.core.chain.state.find("promises", each.agreement_id, Promise) is not None
                yield 0 if is_sealed else each.terms.floor

    def receipt(self, negotiation: Negotiation, commit: bytes) -> Trade:
        """The receipt for an open delivery; what is owed for it is persisted first."""
        trade, terms = negotiation.receipt(), negotiation.terms
        if terms is not None and terms.is_promise:
            owed = Owed(negotiation.request.question, commit, terms.min_weight_ppm, terms.min_wager)
            row: list[Value] = [owed.question, owed.commit, owed.weight_ppm, str(owed.min_wager)]
            self.core.out.persist(TABLE, negotiation.agreement_id, encode(row))
            self._receipted[negotiation.agreement_id] = owed
        return trade

    def owed(self, question: bytes) -> list[Owed]:
        """The citations that are owed on a question: of what came openly, and of what a key has opened."""
        sold = [_purchased(*each) for each in self._exchanges.opened(question)]
        return [each for each in (*self._receipted.values(), *sold) if each.question == question]

    def advance(self) -> None:
        """An epoch opened: forget what was owed on questions that are settled."""
        for key, owed in list(self._receipted.items()):
            if self.core.chain.state.find("questions", owed.question, Question) is None:
                self.core.out.erase(TABLE, key)
                del self._receipted[key]

    # The seller

    def record(self, negotiation: Negotiation, event: Received) -> None:
        """Bind a promised citation by its receipt. What was sealed needs none: its key has bound it."""
        signed, terms = negotiation.agreement, negotiation.terms
        if signed is None or terms is None or terms.is_sealed or not terms.is_promise:
            return
        known = self.core.chain.state.find("promises", negotiation.agreement_id, Promise)
        if known is not None and not known.bound:
            data, signature = event.signed.body, event.signed.signature
            parties = (signed.agreement, signed.buyer_signature, signed.seller_signature)
            self.core.submit((Agree(*parties, receipt=data, receipt_signature=signature),))


def _owed(value: Value) -> Owed:
    match value:
        case [bytes(question), bytes(commit), int(weight_ppm), str(min_wager)]:
            return Owed(question, commit, weight_ppm, int(min_wager))
        case _:
            raise Invalid("bad_row", "promise")


def _purchased(purchase: Purchase, _: Contents) -> Owed:
    return Owed(purchase.terms.question, purchase.terms.commit, purchase.weight_ppm, purchase.min_wager)


def with_owed(weights: Mapping[bytes, int], owed: Iterable[Owed], shown: Iterable[bytes]) -> dict[bytes, int]:
    """The agent's weights, and what is owed for deliveries that it was not shown: its own shrink to make room."""
    missing = {each.commit: each.weight_ppm for each in owed if each.weight_ppm}
    for commit in shown:
        wanted = missing.pop(commit, 0)
        if weights.get(commit, 0) < wanted:
            log.warning("cites less than it promised", commit=commit.hex(), promised_ppm=wanted)
    room, whole = PPM - sum(missing.values()), sum(weights.values())
    scale = min(PPM, room * PPM // whole) if missing and whole else PPM
    return {commit: ppm * scale // PPM for commit, ppm in weights.items()} | missing
