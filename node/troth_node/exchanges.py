"""Fair exchange at a node: what was sealed is on disk before it leaves, and all else is derived from the logs.

Theory of operation. A sale is what we sealed for a buyer, a purchase what a seller sealed for us. Whatever is due
follows from the row on disk, the sealed state and the own log, and is worked out anew whenever something happened:

    sale       the lock is final or sealed, and open for one epoch more at least  -> unlock
               (and so is the promise that it was agreed on with)
               the unlock was void, and the lock is open still                    -> unlock again
    purchase   the commit is certified, nothing is locked yet, there is time      -> lock
               the lock is claimed                                                -> keep the key: signal, or accuse

So a crash between any two steps loses time, never the price or the key. A lock goes back at its close by itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from troth_node.duties import OwnCommit
from troth_node.locks import FreshLocks, SealedLocks
from troth_node.wares import Purchase, Sale, sealed_body, signed_of, signed_row
from troth_protocol.core import Core, EpochOpened
from troth_protocol.errors import Invalid
from troth_protocol.log.evaluate import LOCK_EPOCHS_MIN
from troth_protocol.log.ops import Accuse, CommitOp, Op, Unlock
from troth_protocol.log.payee import Credited
from troth_protocol.log.rows import Claim, Commit, Lock, Promise, Question
from troth_protocol.log.state import State
from troth_protocol.market.document import Document, parse_document
from troth_protocol.market.exchange import (
    EXCHANGE_TERMS,
    Contents,
    ExchangeTerms,
    Misdelivery,
    encrypt_contents,
    sign_terms,
)
from troth_protocol.market.negotiation import Encrypted, Negotiation
from troth_protocol.market.trades import BODIES
from troth_protocol.wire.codec import Value, decode, encode
from troth_protocol.wire.crypto import CIPHER_KEY_BYTES, digest
from troth_protocol.wire.messages import Trade

TABLE: Final = "exchanges"
#: A buyer locks in the epoch in which the sealed signal came or in the next one: then a lock that it no longer finds
#: in the sealed state was never made.
LOCK_LAG_EPOCHS: Final = 1
#: For so many epochs at most a seller lets a price stay locked: lock, unlock, and once more if that was void.
UNLOCK_EPOCHS: Final = 3
#: What a lock burns.
LOCK_FEES: Final = 3
_SALE, _PUBLISHED, _PURCHASE = b"s", b"u", b"p"
#: The `first` of a purchase whose price is locked already: it is never time to lock it.
_NEVER: Final = -LOCK_LAG_EPOCHS


class Exchanges:
    """The sales and purchases of one node. `random` gives so many random bytes."""

    def __init__(self, core: Core, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self.core = core
        self.sales: dict[bytes, Sale] = {}
        self.purchases: dict[bytes, Purchase] = {}
        self._random = random
        #: What sales have brought, by question and lock: for as long as the agent has not been told.
        self.earned: dict[bytes, dict[bytes, int]] = {}
        self._published: set[bytes] = set()
        self._final: set[bytes] = set()
        self._credits: dict[bytes, list[tuple[bytes, bytes, Lock]]] = {}
        self._submitted: set[Op] = set()
        self._done: set[bytes] = set()
        self._sealed = SealedLocks()
        self._fresh = FreshLocks()
        for key, data in core.chain.archive.scan(TABLE, b""):
            self._restore(key, decode(data))

    def _restore(self, key: bytes, value: Value) -> None:
        match key[:1], value:
            case b"s", [bytes(data), bytes(secret), list(promises)]:
                promise = next((item for item in promises if isinstance(item, bytes)), None)
                self.sales[key[1:]] = Sale(key[1:], EXCHANGE_TERMS.decode(data), secret, promise)
            case b"p", [
                bytes(body),
                str(wanted),
                bytes(text),
                int(weight_ppm),
                int(first),
                list(keys),
                list(signed),
            ]:
                sealed = sealed_body(body)
                terms = EXCHANGE_TERMS.decode(sealed.terms)
                known = next((item for item in keys if isinstance(item, bytes)), None)
                about = (wanted, parse_document(text), weight_ppm, first)
                found = Purchase(key[1:], sealed, terms, *about, known, signed_of(signed))
                self.purchases[found.id] = found
            case b"u", True:
                self._published.add(key[1:])
            case _:
                raise Invalid("bad_row", "exchange")

    # The seller

    def seal(self, negotiation: Negotiation, own: OwnCommit, price: int, key: bytes | None = None) -> Trade:
        """Encrypt a signal and sign the terms: the key is persisted before they leave, and the message with them.

        The key is a fresh one, unless an auction has fixed it: all its winners get the same ciphertext.
        """
        core, network = self.core, self.core.chain.network
        key = self._random(CIPHER_KEY_BYTES) if key is None else key
        ciphertext = encrypt_contents(key, Contents(own.contribution, own.salt, own.payload))
        terms = ExchangeTerms(
            network=network,
            seller=core.keys.public,
            buyer=negotiation.peer,
            question=own.question,
            commit=own.id,
            digest=own.digest(network, core.keys.public),
            hash=digest(key),
            ciphertext=digest(ciphertext),
            price=price,
            until=self._until(negotiation),
        )
        data, signature = sign_terms(core.keys, terms)
        trade = negotiation.sealed(data, signature, ciphertext)
        is_promise = negotiation.terms is not None and negotiation.terms.is_promise
        promise = negotiation.agreement_id if is_promise else None
        row = encode([data, key, [] if promise is None else [promise]])
        core.out.persist(TABLE, _SALE + negotiation.id, row, once=True)
        self.sales[negotiation.id] = Sale(negotiation.id, terms, key, promise)
        return trade

    def _until(self, negotiation: Negotiation) -> int:
        due = negotiation.terms.deliver if negotiation.terms is not None else 0
        return min(due - 1, self.core.epoch + UNLOCK_EPOCHS)

    def is_time(self, negotiation: Negotiation) -> bool:
        """Can a price still be locked and claimed while the signal is of use to the buyer?"""
        return self._until(negotiation) >= self.core.epoch + LOCK_EPOCHS_MIN

    def is_final(self, own: OwnCommit) -> bool:
        """Is our commit final or sealed? Terms are signed for no other."""
        core = self.core
        if core.chain.state.find("commits", own.id, Commit) is not None:
            return True
        op = CommitOp(own.question, own.digest(core.chain.network, core.keys.public), own.wager)
        is_certified = ("commits", own.id) in core.chain.book.view(core.keys.public).rows
        return is_certified and not core.author.holds(op)

    def published(self, negotiation: bytes) -> bytes | None:
        """The key of a sale once its unlock is final: the witnesses have it before the buyer."""
        sale = self.sales.get(negotiation)
        if sale is None:
            return None
        book, state = self.core.chain.book, self.core.chain.state
        claimed = [
            key
            for key in self._all_locks(sale.terms)
            if state.find("claims", key, Claim) is not None
            or ("claims", key) in book.view(sale.terms.seller).rows
        ]
        is_under_way = any(self.core.author.holds(Unlock(key, sale.key)) for key in claimed)
        return sale.key if claimed and not is_under_way else None

    def credited(self, event: Credited) -> None:
        """Locks in our favour are final: those that pay a sale can be opened at once."""
        self._final.add(event.entry)
        self.advance()

    def _advance_sale(self, sale: Sale) -> None:
        core, sealed = self.core, self._locks(sale.terms)
        if core.epoch > sale.terms.until and not sealed:
            for prefix in (_SALE, _PUBLISHED):
                core.out.erase(TABLE, prefix + sale.id)
            self._published.discard(sale.id)
            del self.sales[sale.id]
            return
        for key, lock in sealed.items():
            if core.chain.state.find("claims", key, Claim) is None:
                self._unlock(sale, key, lock, ())
        for entry, key, row in self._credits.get(sale.terms.hash, ()):
            if _pays(row, sale.terms):
                self._unlock(sale, key, row, (entry,))

    def _sort_final(self) -> None:
        """Locks of entries that are final, by their hash: of those that are stored here by now."""
        stored = self.core.chain.book.stored
        for entry in self._final & stored.keys():
            self._final.discard(entry)
            for (_, key), row in stored[entry].delta.rows.items():
                if isinstance(row, Lock):
                    self._credits.setdefault(row.hash, []).append((entry, key, row))

    def _unlock(self, sale: Sale, key: bytes, lock: Lock, deps: tuple[bytes, ...]) -> None:
        """Claim the whole price; in the lock's last epoch only with a key that was published before."""
        core, op = self.core, Unlock(key, sale.key)
        slack = 0 if sale.id in self._published else 1
        if lock.amount < sale.terms.price or core.epoch > lock.until - slack or not self._is_promised(sale):
            return
        is_done = ("claims", key) in core.chain.book.view(core.keys.public).rows
        if not is_done and self._is_new(op):
            core.out.persist(TABLE, _PUBLISHED + sale.id, encode(True))
            self._published.add(sale.id)
            self.earned.setdefault(sale.terms.question, {})[key] = lock.amount
            core.submit((op,), deps)

    def _is_promised(self, sale: Sale) -> bool:
        """Does the buyer's log promise what was agreed on with this sale, if anything, for this key and commit?"""
        if sale.promise is None:
            return True
        chain = self.core.chain
        fresh = chain.book.view(sale.terms.buyer).rows.get(("promises", sale.promise))
        found = chain.state.find("promises", sale.promise, Promise) or fresh
        named = (sale.terms.hash, sale.terms.commit)
        return isinstance(found, Promise) and (found.hash, found.commit) == named

    def _is_new(self, op: Op) -> bool:
        """Was this op neither submitted in this epoch nor, before a restart, signed in it? What is void the author
        submits again by itself.
        """
        is_new = op not in self._submitted and not self.core.author.holds(op)
        self._submitted.add(op)
        return is_new

    # The buyer

    def keep(
        self,
        negotiation: Negotiation,
        event: Encrypted,
        wanted: str,
        document: Document,
        *,
        is_locked: bool = False,
    ) -> None:
        """A sealed signal came: it is persisted before the price is locked, unless an auction has locked it.

        After a restart it may come again: it was bought once, and its epoch is the first one.
        """
        if negotiation.id in self.purchases:
            return
        first = _NEVER if is_locked else self.core.epoch
        weight_ppm = negotiation.terms.min_weight_ppm if negotiation.terms else 0
        is_promise = negotiation.terms is not None and negotiation.terms.is_promise
        signed = negotiation.agreement if is_promise else None
        about = (wanted, document, weight_ppm, first)
        purchase = Purchase(negotiation.id, event.sealed, event.terms, *about, agreement=signed)
        self._write(purchase)
        self.advance()

    def _write(self, purchase: Purchase) -> None:
        row: list[Value] = [
            BODIES.encode(purchase.sealed),
            purchase.wanted,
            purchase.document.data,
            purchase.weight_ppm,
            purchase.first,
            [] if purchase.key is None else [purchase.key],  # a key of no bytes is one, too
            signed_row(purchase.agreement),
        ]
        self.core.out.persist(TABLE, _PURCHASE + purchase.id, encode(row))
        self.purchases[purchase.id] = purchase

    def learn(self, negotiation: bytes, key: bytes) -> None:
        """The key of a purchase came, from whomever: it is the right one, or it is passed over."""
        purchase = self.purchases.get(negotiation)
        if purchase is not None and purchase.key is None and digest(key) == purchase.terms.hash:
            self._write(replace(purchase, key=key))

    def opened(self, question: bytes) -> list[tuple[Purchase, Contents]]:
        """What was bought for a question and has come."""
        out = []
        for purchase in self.purchases.values():
            found = purchase.found()
            if purchase.terms.question == question and isinstance(found, Contents):
                out.append((purchase, found))
        return out

    def has(self, question: bytes, wanted: str) -> bool:
        """Is that bought already? A restarted agent must not ask for it again."""
        return any(
            (purchase.terms.question, purchase.wanted) == (question, wanted)
            for purchase in self.purchases.values()
        )

    def is_waiting(self, question: bytes) -> bool:
        """Is something that is sealed for us on this question still to be opened?"""
        return any(
            purchase.terms.question == question and purchase.key is None and self.is_alive(purchase)
            for purchase in self.purchases.values()
        )

    def reserved(self) -> int:
        """Prices that are to be locked and are not in the log yet, and the fees to come, in atomic units.

        Whoever locks a price keeps a fee back: without it nobody could accuse.
        """
        fee = self.core.genesis.rules.fee
        waiting = [each for each in self.purchases.values() if not self._is_done(each)]
        unlocked = [each for each in waiting if self._can_lock(each) and not self._all_locks(each.terms)]
        fees = sum(LOCK_FEES + len(each.ops()) - 1 for each in unlocked) + len(waiting)
        return sum(each.terms.price for each in unlocked) + fees * fee

    def _is_done(self, purchase: Purchase) -> bool:
        """Has the signal come? Once it has, it need not be opened again to know."""
        if purchase.id not in self._done and isinstance(purchase.found(), Contents):
            self._done.add(purchase.id)
        return purchase.id in self._done

    def is_alive(self, purchase: Purchase) -> bool:
        """Is its price locked, or may it still be?"""
        return self._can_lock(purchase) or bool(self._all_locks(purchase.terms))

    def _can_lock(self, purchase: Purchase) -> bool:
        last = min(purchase.first + LOCK_LAG_EPOCHS, purchase.terms.until - LOCK_EPOCHS_MIN)
        return self.core.epoch <= last

    def _advance_purchase(self, purchase: Purchase) -> None:
        core = self.core
        locks = self._all_locks(purchase.terms)
        if not locks and not self._can_lock(purchase):
            if core.chain.state.find("questions", purchase.terms.question, Question) is None:
                core.out.erase(TABLE, _PURCHASE + purchase.id)
                self._done.discard(purchase.id)
                del self.purchases[purchase.id]
        elif not locks:
            op = purchase.lock()
            if purchase.key is None and self._is_certified(purchase.terms) and self._is_new(op):
                core.submit(purchase.ops())
        elif not self._is_done(purchase) and isinstance(purchase.found(), Misdelivery):
            self._accuse(purchase)

    def _accuse(self, purchase: Purchase) -> None:
        """Once an epoch as long as the claim is in the sealed state: the close that hears it undoes the payment."""
        core, state = self.core, self.core.chain.state
        is_claimed = any(state.find("claims", key, Claim) for key in self._locks(purchase.terms))
        op = Accuse(purchase.evidence())
        if is_claimed and self._is_new(op):
            core.docket.accuse(op.evidence)
            core.submit((op,))

    def _is_certified(self, terms: ExchangeTerms) -> bool:
        chain = self.core.chain
        if chain.state.find("commits", terms.commit, Commit) is not None:
            return True
        return ("commits", terms.commit) in chain.book.view(terms.seller).rows

    # Both

    def notice(self, event: EpochOpened) -> None:
        """An epoch opened: keys that its seal shows are kept, even if later epochs are sealed by now."""
        self._final.clear()
        self._credits.clear()
        self._submitted.clear()
        if event.closed is not None:
            self._learn_from(event.closed.state)
        self.advance()

    def _learn_from(self, state: State) -> None:
        for purchase in self._keyless():
            for key in self._locks(purchase.terms, state):
                claim = state.find("claims", key, Claim)
                if claim is not None:
                    self.learn(purchase.id, claim.preimage)

    def advance(self) -> bool:
        """Do whatever is due; True if a key came. Nothing is, before the node knows what it has signed already."""
        core = self.core
        if not core.author.is_allowed:
            return False
        unknown = len(self._keyless())
        self._learn_from(core.chain.state)
        for purchase in self._keyless():
            for key in self._all_locks(purchase.terms):
                claim = core.chain.book.view(purchase.terms.seller).rows.get(("claims", key))
                if isinstance(claim, Claim):
                    self.learn(purchase.id, claim.preimage)
        has_learned = len(self._keyless()) < unknown
        self._sort_final()
        for sale in list(self.sales.values()):
            self._advance_sale(sale)
        for purchase in list(self.purchases.values()):
            self._advance_purchase(purchase)
        return has_learned

    def _keyless(self) -> list[Purchase]:
        return [purchase for purchase in self.purchases.values() if purchase.key is None]

    def _locks(self, terms: ExchangeTerms, state: State | None = None) -> dict[bytes, Lock]:
        """The locks of the sealed state that pay under these terms."""
        chosen = state or self.core.chain.state
        return dict(self._sealed.find(chosen, terms.buyer, terms.seller, terms.hash))

    def _all_locks(self, terms: ExchangeTerms) -> dict[bytes, Lock]:
        """Those, and what the buyer's log of this epoch holds."""
        view = self.core.chain.book.view(terms.buyer)
        return {**self._locks(terms), **self._fresh.find(view, terms.seller, terms.hash)}


def _pays(lock: Lock, terms: ExchangeTerms) -> bool:
    return (lock.payer, lock.to, lock.hash) == (terms.buyer, terms.seller, terms.hash)
