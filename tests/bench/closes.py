"""What closing an epoch costs against how many logs moved in it: one process, in memory, the books of 10,000 accounts.

A figure is `execute` (copy the sealed state, apply every log, pay, choose the next committee, check the supply) and
then the state root. Not in it: signatures (each entry was certified and judged as it came, before the close), ballots,
disk.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from core import WITNESSES, seconds

from troth_node.testing.ledger import Ledger
from troth_node.testing.samples import TOKEN, seed
from troth_protocol.close.execute import Close, Closed, execute
from troth_protocol.close.findings import Findings
from troth_protocol.log.book import Stored
from troth_protocol.log.evaluate import LogView, evaluate
from troth_protocol.log.ops import Transfer
from troth_protocol.log.rows import Account
from troth_protocol.log.state import TOTALS_KEY
from troth_protocol.log.vote import Certificate
from troth_protocol.wire.crypto import KeyPair

ACCOUNTS: Final = 10_000
MOVED: Final = (100, 1_000, 10_000)
QUICK_MOVED: Final = (100, 1_000)
ROUNDS: Final = 3


def measure_closes(*, is_quick: bool) -> dict[str, object]:
    """CPU milliseconds by logs that moved, the best of some rounds; quick: fewer accounts too."""
    moved = QUICK_MOVED if is_quick else MOVED
    accounts = QUICK_MOVED[-1] if is_quick else ACCOUNTS
    ledger = _make_ledger(accounts)
    logs = {ledger.key(agent): [_stored(ledger, agent)] for agent in range(max(moved))}
    return {"accounts": accounts, "by_logs": [_figures(ledger, logs, count) for count in moved]}


def _make_ledger(accounts: int) -> Ledger:
    """A network that has grown: a genesis does not hold so many accounts."""
    ledger = Ledger(WITNESSES, WITNESSES, topics=())
    for number in range(WITNESSES, accounts):
        ledger.keys.append(KeyPair.from_seed(seed(number)))
        ledger.state.put("accounts", ledger.key(number), Account(TOKEN))
    books = ledger.state.totals()
    grown = replace(books, genesis=books.genesis + (accounts - WITNESSES) * TOKEN)
    ledger.state.put("totals", TOTALS_KEY, grown)
    ledger.state.root()  # a node that runs knows the hashes of what it has sealed
    return ledger


def _stored(ledger: Ledger, agent: int) -> Stored:
    """One signed transfer, judged; nobody has voted for it, which a close does not look at."""
    entry = ledger.entry(agent, Transfer(ledger.key(0 if agent else 1), 1, b""))
    view = LogView.open(ledger.network, ledger.genesis.rules, ledger.epoch, ledger.state, entry.header.author)
    return Stored(
        entry, Certificate(entry.id, ledger.epoch, ()), evaluate(view, entry, {}, is_certified=True)
    )


def _figures(ledger: Ledger, logs: dict[bytes, list[Stored]], count: int) -> dict[str, object]:
    chosen = dict(list(logs.items())[:count])
    execute_s, root_s = min((_close_s(ledger, chosen) for _ in range(ROUNDS)), key=sum)
    total_s = execute_s + root_s
    return {
        "logs": count,
        "close_ms": round(total_s * 1e3, 2),
        "execute_ms": round(execute_s * 1e3, 2),
        "root_ms": round(root_s * 1e3, 2),
        "us_per_log": round(total_s * 1e6 / count, 1),
        "root_share": round(root_s / total_s, 3),
    }


def _close_s(ledger: Ledger, logs: dict[bytes, list[Stored]]) -> tuple[float, float]:
    """CPU seconds of executing the close, and of its state root."""
    heads = {author: (log[-1].entry.header.seq, log[-1].entry.id) for author, log in logs.items()}
    cut = Findings(heads=heads, reporters={member.key for member in ledger.committee.members})
    close = Close(ledger.genesis, ledger.network, ledger.epoch, ledger.committee)
    closed: list[Closed] = []
    execute_s = seconds(lambda: closed.append(execute(close, ledger.state, cut, logs)))
    root_s = seconds(closed[0].state.root)
    return execute_s, root_s
