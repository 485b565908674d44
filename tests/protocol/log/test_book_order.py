"""Applying the same certificates in any causal order gives the same book, and the same sealed state after it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth_node.testing.ledger import Ledger
from troth_node.testing.samples import RULES, TOKEN
from troth_protocol.close.execute import Close, execute
from troth_protocol.close.findings import Findings
from troth_protocol.errors import Invalid
from troth_protocol.log.book import Missing
from troth_protocol.log.ops import Bond, CommitOp, LockOp, Transfer, Unbond, Unlock
from troth_protocol.log.sealed import lock_id
from troth_protocol.wire.crypto import digest

AGENTS = 5
PREIMAGE = b"key"
AMOUNTS = st.sampled_from([1, RULES.min_wager, 300 * TOKEN, 700 * TOKEN, 999 * TOKEN])
agents = st.integers(0, AGENTS - 1)
steps = st.lists(
    st.tuples(
        agents,
        st.sampled_from(["pay", "pay", "bond", "unbond", "lock", "unlock", "commit", "pay_and_bond"]),
        agents,
        AMOUNTS,
        st.booleans(),
    ),
    min_size=4,
    max_size=14,
)


def ops_of(net, entries, agent, action, other, amount):
    """The ops of one step; some of them the rules refuse."""
    to = net.key(other)
    locks = [
        lock_id(entry.id, index)
        for entry in entries
        for index, op in enumerate(entry.ops)
        if isinstance(op, LockOp) and op.to == net.key(agent)
    ]
    return {
        "pay": [Transfer(to, amount, b"")],
        "bond": [Bond(amount, "agent")],
        "unbond": [Unbond(amount, "witness")],
        "lock": [LockOp(to, amount, digest(PREIMAGE), net.epoch + 3)],
        "unlock": [Unlock(key, PREIMAGE) for key in locks[-1:]] or [Bond(1, "agent")],
        "commit": [CommitOp(net.question(), digest(bytes([agent, len(entries)])), amount)],
        "pay_and_bond": [Transfer(to, amount, b""), Bond(1, "agent")],
    }[action]


def history(net, script):
    """The certified entries that a script of steps gives, in the order in which they were made."""
    entries = []
    for agent, action, other, amount, with_deps in script:
        others = [entry.id for entry in entries if entry.header.author != net.key(agent)]
        ops = ops_of(net, entries, agent, action, other, amount)
        try:
            entries.append(net.put(agent, *ops, deps=others if with_deps else ()))
        except Invalid:
            continue
    return [(entry, net.certify(entry)) for entry in entries]


def fill(book, items, rng):
    """Store certified entries in a random order; what comes too early is tried again later."""
    waiting = list(items)
    while waiting:
        rng.shuffle(waiting)
        later = [item for item in waiting if not is_taken(book, *item)]
        assert len(later) < len(waiting)
        waiting = later


def is_taken(book, entry, certificate):
    missing = book.missing(entry)
    if missing:
        with pytest.raises(Missing) as refusal:
            book.add(entry, certificate)
        assert refusal.value.ids == missing
        return False
    return book.add(entry, certificate)


def content(net, book):
    """Everything that a book has made of its entries."""
    views = {agent: book.view(net.key(agent)) for agent in range(AGENTS)}
    return (
        {agent: (v.balance, v.rows, v.unbonded, v.deps, v.is_resumed) for agent, v in views.items()},
        book.moved(),
        book.places,
        {key: stored.delta for key, stored in book.stored.items()},
    )


def closed(net, book):
    cut = Findings(heads=book.moved(), reporters={member.key for member in net.committee.members})
    logs = {author: book.log(author, seq) for author, (seq, _) in cut.heads.items()}
    return execute(Close(net.genesis, net.network, net.epoch, net.committee), net.state, cut, logs)


@settings(max_examples=60)
@given(steps, st.randoms(use_true_random=False))
def test_any_causal_order_gives_the_same_book_and_the_same_close(script, rng):
    net = Ledger(AGENTS)
    items = history(net, script)
    twin = net.new_book()
    fill(twin, items, rng)
    assert content(net, twin) == content(net, net.book)
    assert closed(net, twin).state.root() == closed(net, net.book).state.root()


@settings(max_examples=40)
@given(steps, st.data())
def test_any_causal_prefix_is_a_book_without_debts(script, data):
    """A cut may fall anywhere: what is stored with all it relies on never spends more than there is."""
    net = Ledger(AGENTS)
    items = history(net, script)
    size = data.draw(st.integers(0, len(items)), "size")
    book = net.new_book()
    for entry, certificate in items[:size]:
        book.add(entry, certificate)
    assert all(book.view(net.key(agent)).balance >= 0 for agent in range(AGENTS))
    state = closed(net, book).state
    assert state.is_conserved()
    assert all(row.balance >= 0 for row in state.tables["accounts"].rows.values())
