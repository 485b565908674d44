"""The board: what agents say of themselves as one node knows it, verified, bounded, flooded once, dropped when over.

Theory of operation. A card is new if its (epoch, seq) is larger than that of the card held of its key; what is new is
verified, kept, and shown on every link but the one that brought it, so that it crosses each link about once and ends
where everybody has it. Whoever gets a new link asks for the board that is held at its other end.

Keys cost nothing, so room goes by what an account holds in the sealed state, which cannot be in two accounts at once:
where the board is full, a card gives way to that of a richer key, and keys that own nothing have a few places of their
own. The same rule bounds what a peer may have verified, passed on and stored in one epoch. Honest nodes pass on nothing
that is refused here: whoever sends such a thing is not listened to until the next epoch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol

from troth_protocol.effects import Effects, Rows
from troth_protocol.errors import Invalid
from troth_protocol.log.state import State
from troth_protocol.market.card import (
    RENEWALS_MAX,
    SLOTS_MAX,
    Announcement,
    Card,
    Posting,
    PostingMsg,
    check_signature,
    is_newer,
    load_posting,
    place,
    sign_posting,
)
from troth_protocol.wire.codec import decode, encode
from troth_protocol.wire.crypto import PUBLIC_KEY_BYTES, KeyPair
from troth_protocol.wire.messages import AnnounceMsg, CardMsg, WantCards

BOARD_TABLE: Final = "cards"
#: Cards that are held, and those of them whose keys own nothing in the sealed state.
CARDS_MAX: Final = 256
STRANGERS_MAX: Final = 64
#: How long this node's own postings hold, and after how long it renews them.
LIFE_EPOCHS: Final = 64
RENEW_EPOCHS: Final = 32
#: What is looked at, of one peer in one epoch, and of that from keys that own nothing; what one is shown of news.
TAKEN_MAX: Final = 4_096
STRANGERS_TAKEN_MAX: Final = 256
SHOWN_MAX: Final = 1_024
#: Answers to one peer's asking in one epoch, and the bytes of one.
BOARDS_MAX: Final = 4
BOARD_BYTES: Final = 1_048_576


class Ledger(Protocol):
    """What the board asks of the chain."""

    network: bytes
    epoch: int
    state: State


@dataclass(frozen=True, slots=True)
class Posted:
    """Notice: a card or an announcement is new here."""

    item: Posting


@dataclass(frozen=True, slots=True)
class _Held:
    item: Posting
    message: PostingMsg


class Board:
    """Postings by place; `links` are the peers that it can reach now."""

    def __init__(
        self, keys: KeyPair, ledger: Ledger, rows: Rows, out: Effects, links: Collection[bytes]
    ) -> None:
        self._keys = keys
        self._ledger = ledger
        self._out = out
        self._links = links
        self._draft: Card | None = None
        self._held: dict[bytes, _Held] = {}
        self._messages: set[PostingMsg] = set()
        self._ahead: dict[bytes, int] = {}
        self._muted: set[bytes] = set()
        self._taken: Counter[bytes] = Counter()
        self._strangers: Counter[bytes] = Counter()
        self._shown: Counter[bytes] = Counter()
        self._answered: Counter[bytes] = Counter()
        for key, data in rows.scan(BOARD_TABLE, b""):
            self._restore(key, data)

    def _restore(self, key: bytes, data: bytes) -> None:
        """A row that is damaged is forgotten: others hold it too."""
        try:
            item, message = read_posting(data, self._ledger.network)
        except Invalid:
            self._out.erase(BOARD_TABLE, key)
            return
        if (
            isinstance(item, Card) or item.key in self._held
        ):  # a card's row comes before those of its announcements
            self._hold(item, message)
        else:
            self._out.erase(BOARD_TABLE, key)

    # What is known

    def card(self, key: bytes) -> Card | None:
        """The card of a key, if it is here."""
        held = self._held.get(key)
        return held.item if held is not None and isinstance(held.item, Card) else None

    def cards(self) -> list[Card]:
        """All cards that are held, by key."""
        return [item for item in self._items() if isinstance(item, Card)]

    def announcements(self, key: bytes | None = None) -> list[Announcement]:
        """All announcements that are held, or one key's, by key and slot."""
        found = [item for item in self._items() if isinstance(item, Announcement)]
        return [item for item in found if key in (None, item.key)]

    def _items(self) -> Iterator[Posting]:
        for where in sorted(self._held):
            yield self._held[where].item

    # What this node says of itself

    def publish(self, draft: Card) -> None:
        """Keep a card of this node posted; who, when and how long is filled in here. Raises Invalid("bad_card")."""
        sign_posting(self._keys, self._ledger.network, replace(draft, key=self._keys.public))
        self._draft = draft
        self._renew()

    def announce(self, draft: Announcement) -> bool:
        """Post an announcement, or renew it if that is due; False if nothing is to be said. Raises Invalid.

        Who, slot and dates are filled in here. Nothing is announced without a card or a free slot: a slot is free
        when what was announced there is over, because nobody renewed it.
        """
        own = self.announcements(self._keys.public)
        held = next((item for item in own if item.subject() == draft.subject()), None)
        taken = {item.slot for item in own}
        free = next((slot for slot in range(SLOTS_MAX) if slot not in taken), None)
        slot = held.slot if held is not None else free
        if slot is None or self.card(self._keys.public) is None:
            return False
        return self._issue(replace(draft, slot=slot), held)

    def _renew(self) -> None:
        if self._draft is not None:
            self._issue(self._draft, self.card(self._keys.public))

    def _issue(self, draft: Posting, held: Posting | None) -> bool:
        """Sign and post it, unless what is posted says the same and is not half over."""
        epoch, seq = self._ledger.epoch, 0
        if held is not None:
            is_same = _plain(held) == _plain(replace(draft, key=self._keys.public))
            if is_same and epoch < held.epoch + RENEW_EPOCHS:
                return False
            if held.epoch >= epoch:
                epoch, seq = held.epoch, held.seq + 1
        if seq > RENEWALS_MAX:
            return False  # the next epoch has new numbers
        item = replace(draft, key=self._keys.public, epoch=epoch, seq=seq, expires=epoch + LIFE_EPOCHS)
        self._keep(item, sign_posting(self._keys, self._ledger.network, item), None)
        return True

    # What others say

    def received(self, peer: bytes, message: PostingMsg) -> None:
        """A card or an announcement arrives. Raises Invalid as `load_posting` and `check_signature`."""
        if message in self._messages or peer in self._muted or self._taken[peer] >= TAKEN_MAX:
            return
        self._taken[peer] += 1
        try:
            self._receive(peer, message)
        except Invalid:
            self._muted.add(peer)
            raise

    def _receive(self, peer: bytes, message: PostingMsg) -> None:
        item = load_posting(message)
        if not (self._is_timely(peer, item) and self._may_take(peer, item) and self._is_new(item)):
            return
        check_signature(message, item, self._ledger.network)
        if self._has_room(item):
            self._keep(item, message, peer)
            if item.key == self._keys.public:  # it is newer than our disk
                self._renew()

    def _is_timely(self, peer: bytes, item: Posting) -> bool:
        """Not over; and what is ahead of us is asked for when we are there."""
        if item.epoch > self._ledger.epoch + 1:
            self._ahead[peer] = max(item.epoch, self._ahead.get(peer, 0))
            return False
        return item.expires >= self._ledger.epoch

    def _may_take(self, peer: bytes, item: Posting) -> bool:
        if self._worth(item.key):
            return True
        self._strangers[peer] += 1
        return self._strangers[peer] <= STRANGERS_TAKEN_MAX

    def _is_new(self, item: Posting) -> bool:
        held = self._held.get(place(item))
        return is_newer(item, held.item if held is not None else None)

    def _worth(self, key: bytes) -> int:
        """What a key has to lose: all that its account holds in the sealed state."""
        return self._ledger.state.account(key).worth()

    def _has_room(self, item: Posting) -> bool:
        if place(item) in self._held:
            return True
        if isinstance(item, Announcement):
            return item.key in self._held
        others = [key for key in self._held if len(key) == PUBLIC_KEY_BYTES and key != self._keys.public]
        worth = self._worth(item.key)
        if worth and len(others) < CARDS_MAX:
            return True
        worths = {key: self._worth(key) for key in others}
        if not worth and sum(not other for other in worths.values()) >= STRANGERS_MAX:
            return False
        if len(others) < CARDS_MAX:
            return True
        poorest = min(worths, key=lambda key: (worths[key], key))
        if worths[poorest] >= worth:
            return False
        self._drop(poorest)
        return True

    def _keep(self, item: Posting, message: PostingMsg, peer: bytes | None) -> None:
        self._hold(item, message)
        self._out.persist(BOARD_TABLE, place(item), posting_row(message), lazy=True)
        self._out.notice(Posted(item))
        for link in sorted(self._links):
            if link not in (peer, self._keys.public) and self._shown[link] < SHOWN_MAX:
                self._shown[link] += 1
                self._out.send(link, message)

    def _hold(self, item: Posting, message: PostingMsg) -> None:
        old = self._held.get(place(item))
        if old is not None:
            self._messages.discard(old.message)
        self._held[place(item)] = _Held(item, message)
        self._messages.add(message)

    def _drop(self, where: bytes) -> None:
        """Take a posting down, and with a card the announcements of its key."""
        hanging = (
            [where + bytes([slot]) for slot in range(SLOTS_MAX)] if len(where) == PUBLIC_KEY_BYTES else []
        )
        for key in (where, *hanging):
            held = self._held.pop(key, None)
            if held is not None:
                self._messages.discard(held.message)
                self._out.erase(BOARD_TABLE, key)

    # Links and epochs

    def linked(self, peer: bytes) -> None:
        """A link is new: what does the other end hold?"""
        self._out.send(peer, WantCards(self._ledger.epoch))

    def lost(self, peer: bytes) -> None:
        """The link is gone."""
        self._ahead.pop(peer, None)

    def wanted(self, peer: bytes, message: WantCards) -> None:
        """A peer asks for the board: all of it, within bounds, first what is said by those who have most to lose."""
        self._answered[peer] += 1
        if self._answered[peer] > BOARDS_MAX:
            return
        left = BOARD_BYTES
        for held in self._ranked():
            left -= len(posting_row(held.message))
            if left < 0:
                return
            self._out.send(peer, held.message)

    def _ranked(self) -> list[_Held]:
        """Own postings first, then the richest; each card before its announcements."""
        worths = {card.key: self._worth(card.key) for card in self.cards()}
        own = self._keys.public
        ranks = {key: (key != own, -worth, key) for key, worth in worths.items()}
        places = sorted(self._held, key=lambda where: (ranks[where[:PUBLIC_KEY_BYTES]], where))
        return [self._held[where] for where in places]

    def opened(self) -> None:
        """An epoch is open: what is over goes, own postings are renewed, and what was ahead is asked for."""
        for counter in (self._taken, self._strangers, self._shown, self._answered):
            counter.clear()
        self._muted.clear()
        epoch = self._ledger.epoch
        for where in [where for where, held in self._held.items() if held.item.expires < epoch]:
            self._drop(where)
        self._renew()
        for peer in sorted(peer for peer, ahead in self._ahead.items() if ahead <= epoch + 1):
            del self._ahead[peer]
            self._out.send(peer, WantCards(epoch))


def posting_row(message: PostingMsg) -> bytes:
    """A posting as it is stored."""
    if isinstance(message, CardMsg):
        return encode([message.card, message.signature])
    return encode([message.announcement, message.signature, "announcement"])


def read_posting(data: bytes, network: bytes) -> tuple[Posting, PostingMsg]:
    """A stored posting, verified. Raises Invalid: bad_row, and as `load_posting` and `check_signature`."""
    match decode(data):
        case [bytes(card), bytes(signature)]:
            message: PostingMsg = CardMsg(card, signature)
        case [bytes(announcement), bytes(signature), "announcement"]:
            message = AnnounceMsg(announcement, signature)
        case _:
            raise Invalid("bad_row", "card row")
    item = load_posting(message)
    check_signature(message, item, network)
    return item, message


def _plain(item: Posting) -> Posting:
    """What it says, whenever it says it."""
    return replace(item, epoch=0, seq=0, expires=0)
