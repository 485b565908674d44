"""What came of many exchanges between two nodes, from sources that know nothing of each other.

What was *paid* is in the sealed logs, all of which are executed again; what was *delivered* is in the buyer's store,
where every ciphertext is opened again; what was *said* are the frames that both let go; what the seller *claimed* is in
its own store. A negotiation may end with signal and payment, or with neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from troth_node.audit import History, replay
from troth_node.exchanges import TABLE as EXCHANGES
from troth_node.storage.home import STORE_FILE
from troth_node.storage.store import Store
from troth_node.swarm.scenario import Plan
from troth_node.testing.busy import read_wire, sealed_heads
from troth_protocol.effects import TABLES
from troth_protocol.log.entry import Entry, load_entry
from troth_protocol.log.keep import epoch_key, unpack_stored
from troth_protocol.log.ops import CommitOp, LockOp, Unlock
from troth_protocol.log.rows import Lock
from troth_protocol.log.sealed import lock_id
from troth_protocol.market.exchange import EXCHANGE_TERMS, Contents, ExchangeTerms, open_exchange
from troth_protocol.market.trades import BODIES, Accept, Request, Sealed, Signed, read
from troth_protocol.wire.codec import decode
from troth_protocol.wire.messages import Trade

#: Fees that are burned by a commit, which prepays its opening, and by a lock, which prepays unlock and accusation.
COMMIT_FEES: Final = 2
LOCK_FEES: Final = 3


@dataclass(frozen=True, slots=True)
class Traders:
    """Whose books: all nodes of the plan have ended, their homes are in `directory`. `price` is that of each signal."""

    plan: Plan
    directory: Path
    seller: str
    buyer: str
    price: int

    def key(self, name: str) -> bytes:
        """A node's public key."""
        return next(node.keys.public for node in self.plan.nodes if node.name == name)

    def store(self, name: str) -> Path:
        """A node's store."""
        return self.directory / name / STORE_FILE


@dataclass
class Books:
    """How many negotiations came how far, and how they ended; `problems` says what must never be."""

    negotiations: int = 0
    agreed: int = 0
    sealed: int = 0
    locked: int = 0
    paid_and_delivered: int = 0
    neither: int = 0
    lost: int = 0
    unpaid: int = 0
    paid_twice: int = 0
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return asdict(self)


@dataclass
class _Deal:
    """One negotiation as it was said on the wire: the accepts, and the terms under which it was sealed."""

    accepts: set[bytes] = field(default_factory=set)
    terms: dict[bytes, ExchangeTerms] = field(default_factory=dict)


def keep_books(traders: Traders) -> Books:
    """Count everything, and hold the sources against each other."""
    network = traders.plan.genesis.network()
    deals = _said(traders, network)
    delivered = _delivered(traders)
    history = replay(traders.store(traders.plan.nodes[0].name), traders.plan.genesis)
    locks, paid = _sealed(traders, history)
    books = Books(negotiations=len(deals))
    for deal in deals.values():
        _enter(books, deal, locks, paid, delivered)
    _check_hashes(books, deals, locks, paid, delivered)
    _check_balances(books, traders, history, len(locks), sum(paid.values()))
    _check_seller(books, traders, paid)
    return books


def _enter(
    books: Books, deal: _Deal, locks: Counter[bytes], paid: Counter[bytes], delivered: set[bytes]
) -> None:
    """One negotiation, by the hashes of its keys: one at most."""
    hashes = {terms.hash for terms in deal.terms.values()}
    got, cost = len(hashes & delivered), sum(paid[each] for each in hashes)
    books.agreed += len(deal.accepts) == 2
    books.sealed += bool(hashes)
    books.locked += any(locks[each] for each in hashes)
    books.paid_and_delivered += got == cost == 1
    books.neither += got == cost == 0
    books.lost += cost > got
    books.unpaid += got > cost
    books.paid_twice += cost > 1
    if len(hashes) > 1:
        books.problems.append("a negotiation was sealed twice")


def _check_hashes(
    books: Books,
    deals: dict[bytes, _Deal],
    locks: Counter[bytes],
    paid: Counter[bytes],
    delivered: set[bytes],
) -> None:
    """Nothing moved that nobody negotiated, no hash was locked twice, no commit was bought twice."""
    terms = {each.hash: each for deal in deals.values() for each in deal.terms.values()}
    strange = (set(locks) | delivered) - set(terms)
    if strange:
        books.problems.append(f"{len(strange)} keys belong to no negotiation")
    if locks and max(locks.values()) > 1:
        books.problems.append("a buyer locked twice under one hash")
    bought = Counter(terms[each].commit for each in paid.elements() if each in terms)
    twice = sum(count > 1 for count in bought.values())
    if twice:
        books.problems.append(f"{twice} signals were paid twice")
        books.paid_twice += twice


def _check_balances(books: Books, traders: Traders, history: History, locks: int, paid: int) -> None:
    """Every unit of both accounts is explained, and nothing is locked any more."""
    genesis, state = traders.plan.genesis, history.state
    start = {holder.key: holder.balance for holder in genesis.holders}
    seller, buyer = traders.key(traders.seller), traders.key(traders.buyer)
    commits = sum(
        1 for entry in _log(traders, traders.seller) for op in entry.ops if isinstance(op, CommitOp)
    )
    expected = {
        seller: start[seller] + paid * traders.price - commits * COMMIT_FEES * genesis.rules.fee,
        buyer: start[buyer] - paid * traders.price - locks * LOCK_FEES * genesis.rules.fee,
    }
    for key, amount in expected.items():
        if state.account(key).balance != amount:
            books.problems.append(
                f"{key.hex()[:8]} has {state.account(key).balance}, and should have {amount}"
            )
    if state.rows("locks", Lock):
        books.problems.append("prices are still locked")


def _check_seller(books: Books, traders: Traders, paid: Counter[bytes]) -> None:
    """Whatever the seller was paid it has claimed by an entry of its own, which is in its own store."""
    with Store.open(traders.store(traders.seller), TABLES) as store:
        own = [load_entry(row, traders.plan.genesis.network()) for _, row in store.scan("own")]
    claimed = {op.lock for entry in own for op in entry.ops if isinstance(op, Unlock)}
    if len(claimed) != sum(paid.values()):
        books.problems.append(
            f"{len(claimed)} locks are opened in the seller's store, {sum(paid.values())} are paid"
        )


# The sources


def _said(traders: Traders, network: bytes) -> dict[bytes, _Deal]:
    """Negotiations by id, as both parties said them; a message names the one before it."""
    deals: dict[bytes, _Deal] = {}
    of: dict[bytes, bytes] = {}
    waiting = [
        signed for name in (traders.buyer, traders.seller) for signed in _trades(traders, name, network)
    ]
    while waiting:
        left = []
        for signed in waiting:
            root = signed.id if isinstance(signed.body, Request) else of.get(signed.body.prev)
            if root is None:
                left.append(signed)
                continue
            of[signed.id] = root
            _note(deals.setdefault(root, _Deal()), signed)
        if len(left) == len(waiting):
            raise AssertionError(f"{len(left)} messages answer nothing that was said")
        waiting = left
    return deals


def _trades(traders: Traders, name: str, network: bytes) -> Iterator[Signed]:
    seen = set()
    for message in read_wire(traders.directory / name):
        if isinstance(message, Trade) and message not in seen:
            seen.add(message)
            yield read(network, message)


def _note(deal: _Deal, signed: Signed) -> None:
    if isinstance(signed.body, Accept):
        deal.accepts.add(signed.id)
    elif isinstance(signed.body, Sealed):
        deal.terms[signed.id] = EXCHANGE_TERMS.decode(signed.body.terms)


def _delivered(traders: Traders) -> set[bytes]:
    """Hashes of the keys whose ciphertexts in the buyer's store open what was committed."""
    found = set()
    with Store.open(traders.store(traders.buyer), TABLES) as store:
        for _, row in store.scan(EXCHANGES):
            match decode(row):
                case [bytes(body), *_, [bytes(key)], list()]:
                    sealed = BODIES.decode(body)
                    assert isinstance(sealed, Sealed), "a purchase is something sealed"
                    terms = EXCHANGE_TERMS.decode(sealed.terms)
                    if isinstance(open_exchange(terms, sealed.ciphertext, key), Contents):
                        found.add(terms.hash)
                case _:
                    pass
    return found


def _sealed(traders: Traders, history: History) -> tuple[Counter[bytes], Counter[bytes]]:
    """By hash: how many locks are sealed, and how many of these are claimed in some sealed state."""
    claimed = {key for closed in history.closes for key in closed.state.tables["claims"].rows}
    locks: Counter[bytes] = Counter()
    paid: Counter[bytes] = Counter()
    for entry in _log(traders, traders.buyer):
        for index, op in enumerate(entry.ops):
            if isinstance(op, LockOp):
                locks[op.hash] += 1
                paid[op.hash] += lock_id(entry.id, index) in claimed
    return locks, paid


def _log(traders: Traders, author: str) -> Iterator[Entry]:
    """An author's sealed log, from a witness's store."""
    key, network = traders.key(author), traders.plan.genesis.network()
    with Store.open(traders.store(traders.plan.nodes[0].name), TABLES) as store:
        for epoch, heads in sealed_heads(store).items():
            for _, row in store.scan("entries", epoch_key(epoch) + key):
                entry, _ = unpack_stored(row, network)
                if entry.header.seq <= heads.get(key, 0):
                    yield entry
