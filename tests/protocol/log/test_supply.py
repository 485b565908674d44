"""Through any history of closes: no unit appears or vanishes, nobody owes, every state comes back from its bytes."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from troth_node.testing.ledger import Ledger
from troth_node.testing.patron import RAIN
from troth_node.testing.samples import RULES, TOKEN
from troth_protocol.close.findings import Findings
from troth_protocol.errors import Invalid
from troth_protocol.evidence import entry_fork
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.ops import (
    Accuse,
    AskOp,
    Attest,
    AttestReveal,
    AuctionOp,
    BidOp,
    BidReveal,
    Bond,
    CommitOp,
    LockOp,
    Resume,
    Reveal,
    Transfer,
    Unbond,
    Unlock,
)
from troth_protocol.log.rows import TABLES, Commit, Lock, Question
from troth_protocol.log.sealed import attest_digest, auction_id, bid_digest, commit_digest
from troth_protocol.log.state import decode_state, verify_row
from troth_protocol.wire.crypto import digest

AGENTS = 5
SALT, PREIMAGE = digest(b"salt"), b"key"
SHORT = replace(
    RULES, evidence_epochs=6, mint_per_epoch=7, mint_epochs=3, asks_max=2, min_bounty=RULES.attest_fee
)
ROLES = ("witness", "attester", "agent")
agents = st.integers(0, AGENTS - 1)
steps = st.tuples(
    agents,
    st.sampled_from(
        [
            *(
                "pay",
                "strange",
                "bond",
                "unbond",
                "lock",
                "unlock",
                "wager",
                "reveal",
                "attest",
                "open",
                "fork",
            ),
            *("auction", "bid", "open_bid", "ask", "answer"),
        ]
    ),
    agents,
    st.integers(0, 3),
)
history = st.lists(st.lists(steps, max_size=6), min_size=4, max_size=11)


def contribution(net, question, agent):
    ppm = 200_000 + 100_000 * agent
    return CONTRIBUTION.encode(Contribution(question, "", (), ppm=(ppm, 1_000_000 - ppm)))


def commits(net, agent):
    rows = net.state.items("commits", Commit)
    return [(key, row) for key, row in rows if row.author == net.key(agent) and not row.revealed]


def op_of(net, agent, action, other, number):
    """The op of one step in this epoch, or None if there is nothing to do."""
    me, to = net.key(agent), net.key(other)
    question = net.question(max(0, net.epoch - 1 - 2 * number))
    locks = [key for key, row in net.state.items("locks", Lock) if row.to == me]
    make = {
        "pay": lambda: Transfer(to, [1, TOKEN, 300 * TOKEN, 10**6][number], b""),
        "strange": lambda: Transfer(Ledger(9, 1).key(8), 5, b""),
        "bond": lambda: Bond(10 ** (9 + number), ROLES[other % 3]),
        "unbond": lambda: Unbond(10 ** (9 + number), ROLES[other % 3]),
        "lock": lambda: LockOp(to, 5 + number, digest(PREIMAGE), net.epoch + 2 + number),
        "unlock": lambda: Unlock(locks[0], PREIMAGE) if locks else None,
        "wager": lambda: CommitOp(
            question,
            commit_digest(net.network, me, question, SALT, contribution(net, question, agent)),
            number * SHORT.min_wager,
        ),
        "reveal": lambda: reveal(net, agent),
        "attest": lambda: Attest(question, attest_digest(net.network, me, question, SALT, number % 2)),
        "open": lambda: AttestReveal(question, number % 2, SALT),
        "auction": lambda: sell(net, agent, number),
        "bid": lambda: BidOp(
            sale(net, other), bid_digest(net.network, me, sale(net, other), SALT, 45 - agent)
        ),
        "open_bid": lambda: BidReveal(sale(net, other), 45 - agent, SALT),
        "ask": lambda: AskOp(replace(RAIN, opens=net.epoch + 1 + number), (1 + other) * TOKEN),
        "answer": lambda: answer(net, agent, number),
    }
    return make[action]()


def sale(net, seller):
    """The auction of a seller's first commit; nobody's, if it has none."""
    mine = [key for key, row in net.state.items("commits", Commit) if row.author == net.key(seller)]
    return auction_id(net.network, net.key(seller), mine[0] if mine else SALT, digest(PREIMAGE))


def sell(net, agent, number):
    mine = commits(net, agent)
    if not mine:
        return None
    sealed = bid_digest(net.network, net.key(agent), sale(net, agent), SALT, 45 - agent)
    return AuctionOp(mine[0][0], number, sealed, 50, digest(PREIMAGE))


def answer(net, agent, number):
    """A wager on the first sponsored question, whatever its phase."""
    asked = [key for key, row in net.state.items("questions", Question) if row.asker is not None]
    if not asked:
        return None
    sealed = commit_digest(net.network, net.key(agent), asked[0], SALT, contribution(net, asked[0], agent))
    return CommitOp(asked[0], sealed, number * TOKEN)


def reveal(net, agent):
    mine = commits(net, agent)
    if not mine:
        return None
    key, row = mine[0]
    return Reveal(key, SALT, contribution(net, row.question, agent))


def fork(net, agent, reporter, findings):
    """An agent signs two entries at its place; a witness reports it, or another agent accuses it."""
    pair = [net.entry(agent, Bond(amount, "agent")).signed for amount in (1, 2)]
    evidence = entry_fork(*pair)
    if reporter == agent:
        findings.add_evidence(evidence)
    else:
        put(net, reporter, Accuse(evidence))


def put(net, agent, op):
    account = net.account(agent)
    is_frozen = account.frozen and not net.book.view(net.key(agent)).is_resumed
    ops = ([Resume(account.seq, account.head)] if is_frozen else []) + [op]
    try:
        net.put(agent, *ops)
    except Invalid:
        return


def play(net, epoch):
    findings = Findings()
    for agent, action, other, number in epoch:
        if action == "fork":
            fork(net, agent, other, findings)
        else:
            op = op_of(net, agent, action, other, number)
            if op is not None:
                put(net, agent, op)
    return net.close(findings)


def check(net):
    """Everything that must hold of any sealed state."""
    state, books = net.state, net.state.totals()
    assert state.is_conserved()
    assert books.genesis == net.genesis.supply()
    assert min(books.minted, books.burned, books.reserve) >= 0
    back = decode_state(state.encode())
    assert back.root() == state.root()
    for table, key, row in state.all_rows():
        assert TABLES[table].load(TABLES[table].dump(row)) == row
        if table in {"accounts", "totals"}:
            assert verify_row(state.root(), state.prove(table, key)) == (table, key, row)


@settings(max_examples=40)
@given(history)
def test_no_history_makes_or_loses_a_unit(epochs):
    net = Ledger(AGENTS, 3, rules=SHORT)
    for epoch in epochs:
        play(net, epoch)
        check(net)


def test_a_history_with_everything_in_it():
    """The same steps by hand, so that it is certain that each of them does something."""
    net = Ledger(AGENTS, 3, rules=SHORT)
    first = [
        (4, "pay", 3, 2),
        (4, "wager", 0, 1),
        (3, "wager", 0, 2),
        (0, "lock", 4, 1),
        (3, "strange", 0, 0),
    ]
    epochs = [
        [*first, (1, "bond", 2, 1), (2, "unbond", 0, 2), (4, "ask", 1, 0)],
        [
            (3, "answer", 0, 2),
            (4, "unlock", 0, 0),
            (3, "fork", 1, 0),
            (2, "fork", 2, 0),
            (4, "auction", 0, 1),
        ],
        [*((agent, "attest", 0, 1) for agent in range(3)), (0, "bid", 4, 0), (1, "bid", 4, 0)],
        [(3, "pay", 4, 0)],
        [(4, "reveal", 0, 0), (3, "reveal", 0, 0), (4, "open_bid", 4, 0), (0, "open_bid", 4, 0)],
        [],
        [(agent, "open", 0, 3) for agent in range(3)],
        *[[]] * 12,
    ]
    seen = set()
    for epoch in epochs:
        closed = play(net, epoch)
        seen |= {name for name in TABLES if net.state.tables[name].rows}
        seen |= {"sponsored"} if any(item.asker for item in closed.settlements) else set()
        seen |= {"settled"} if closed.settlements else set()
        seen |= {"punished"} if closed.offences else set()
        seen |= {"sold"} if any(sale.price for sale in closed.sales) else set()
        check(net)
    assert {
        "locks",
        "claims",
        "commits",
        "entrants",
        "offences",
        "attestations",
        "auctions",
        "bids",
        "settled",
        "punished",
        "sold",
        "sponsored",
    } <= seen
    assert net.state.totals().minted == 21
    assert net.state.totals().burned > 0
