"""Who is out there, as a stored node knows it: cards, announcements, endpoints, and what each key has earned.

A card is what its agent says; it is verified again before it is shown. What was earned is computed from the sealed
results, each epoch's compared with the roots in its seal, so that nobody's word is among it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from troth_node.agent import Json
from troth_node.inspection import read_seal
from troth_node.storage.store import Store
from troth_protocol.close.light import genesis_committee
from troth_protocol.close.seal import SEAL
from troth_protocol.effects import TABLES
from troth_protocol.errors import Invalid
from troth_protocol.genesis import load_genesis
from troth_protocol.insight.standing import Earned, tally
from troth_protocol.log.committee import load_committee
from troth_protocol.market.board import BOARD_TABLE, read_posting
from troth_protocol.market.card import Announcement, Card
from troth_protocol.wire.chunks import unpack_rows
from troth_protocol.wire.codec import Value, encode
from troth_protocol.wire.merkle import leaf_hash, root


@dataclass
class Directory:
    """What a store knows of agents. Standing covers the results of the epochs from `since` (0: none yet) to `epoch`."""

    own: bytes
    epoch: int = 0
    since: int = 0
    cards: dict[bytes, Card] = field(default_factory=dict)
    announcements: list[Announcement] = field(default_factory=list)
    earned: dict[bytes, Earned] = field(default_factory=dict)
    witnesses: frozenset[bytes] = frozenset()

    def standing(self, key: bytes) -> Earned:
        """What a key has earned; nothing, if no result names it."""
        return self.earned.get(key) or Earned()

    def ranked(self) -> list[Card]:
        """All cards, those who earned most first."""
        return sorted(
            self.cards.values(), key=lambda card: (-self.standing(card.key).net, card.name, card.key)
        )

    def named(self, name: str) -> list[Card]:
        """The cards of this name, or of keys that begin so: names are not unique."""
        cards = self.ranked()
        return [card for card in cards if card.name == name or (name and card.key.hex().startswith(name))]


def read_directory(path: Path, genesis: bytes, own: bytes) -> Directory:
    """Read a stored node's board and results. Raises StoreError, or Invalid on damage."""
    opened = load_genesis(genesis)
    found = Directory(own, witnesses=frozenset(member.key for member in genesis_committee(opened).members))
    with Store.open(path, TABLES) as store:
        for key, data in store.scan("seals"):
            found.epoch = int.from_bytes(key, "big")
            seal, committee = read_seal(data)
            found.witnesses = frozenset(member.key for member in load_committee(committee).members)
            results = store.get("results", key)
            if results is not None:
                found.since = found.since or found.epoch
                _add_results(found, list(unpack_rows(results)), seal.payload)
        _read_board(found, store.scan(BOARD_TABLE), opened.network())
    return found


def _add_results(found: Directory, rows: list[Value], seal: bytes) -> None:
    """Results count only if they are those that the epoch's seal names. Raises Invalid("bad_digest")."""
    offences = [row for row in rows if isinstance(row, list) and row[:1] == ["offence"]]
    lines = [row for row in rows if row not in offences]
    sealed = SEAL.decode(seal)
    roots = (root([leaf_hash(encode(row)) for row in lines]), root(list(map(_offence_leaf, offences))))
    if roots != (sealed.emissions, sealed.evidence):
        raise Invalid("bad_digest", f"the results of epoch {sealed.epoch} are not those of its seal")
    tally(rows, found.earned)


def _offence_leaf(row: Value) -> bytes:
    match row:
        case [_, bytes(key), {"kind": kind, "offender": offender, "epoch": epoch}]:
            return leaf_hash(key + encode([kind, offender, epoch]))
        case _:
            raise Invalid("bad_row", "an offence")


def _read_board(found: Directory, rows: Iterable[tuple[bytes, bytes]], network: bytes) -> None:
    """What is over is not shown, though it may still be stored."""
    for _, data in rows:
        item, _ = read_posting(data, network)
        if item.expires < found.epoch + 1:
            continue
        if isinstance(item, Card):
            found.cards[item.key] = item
        elif item.key in found.cards:
            found.announcements.append(item)


def card_as_json(found: Directory, card: Card) -> dict[str, Json]:
    """A card with its standing, for machines: amounts as decimal strings of atomic units, bytes as hex."""
    return {
        "key": card.key.hex(),
        "name": card.name,
        "software": card.software,
        "topics": list(card.topics),
        "documents": [{"name": name, "id": key.hex()} for name, key in card.documents],
        "prices": [
            {"id": key.hex(), "price": str(price), "weight_ppm": weight} for key, price, weight in card.prices
        ],
        "endpoints": list(card.endpoints),
        "epoch": card.epoch,
        "seq": card.seq,
        "expires": card.expires,
        "is_own": card.key == found.own,
        "is_witness": card.key in found.witnesses,
        "standing": standing_as_json(found.standing(card.key)),
        "standing_since": found.since,
    }


def standing_as_json(earned: Earned) -> dict[str, Json]:
    """What a key has earned, for machines."""
    return {
        "net": str(earned.net),
        "forecasts": earned.forecasts,
        "emission_won": str(earned.won),
        "emission_lost": str(earned.lost),
        "citation_income": str(earned.income),
        "deliveries": earned.deliveries,
        "payers": len(earned.payers),
        "paid_on": str(earned.paid),
        "votes": earned.votes,
        "attested": str(earned.attested),
        "attest_penalty": str(earned.penalty),
        "offences": dict(sorted(earned.offences.items())),
        "slashed": str(earned.slashed),
        "breaches": earned.breaches,
        "forfeited": str(earned.forfeited),
        "auctioned": str(earned.auctioned),
    }


def announcement_as_json(found: Directory, item: Announcement) -> dict[str, Json]:
    """An announcement, for machines."""
    return {
        "kind": item.kind,
        "topic": item.topic,
        "document": item.document,
        "id": None if item.id is None else item.id.hex(),
        "question": None if item.question is None else item.question.hex(),
        "price": str(item.price),
        "weight_ppm": item.weight_ppm,
        "by": found.cards[item.key].name,
        "key": item.key.hex(),
        "epoch": item.epoch,
        "expires": item.expires,
        "by_net": str(found.standing(item.key).net),
    }
