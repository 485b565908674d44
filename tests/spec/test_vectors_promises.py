"""The vectors of promises, read from their JSON alone, each cost found a second way."""

from __future__ import annotations

from vector_kit import cases, judge, unhex, value

from troth_protocol.insight.flow import FlowResult, Payment
from troth_protocol.insight.promises import settle_promises
from troth_protocol.log.agreement import decode_receipt, verify_receipt
from troth_protocol.log.rows import TABLES, Account, Totals
from troth_protocol.log.state import TOTALS_KEY, State
from troth_protocol.market.trades import BODIES

MILLION = 1_000_000


def check_receipt(case):
    data, signature = unhex(case["bytes"]), unhex(case["signature"])
    receipt = decode_receipt(data, unhex(case["agreement"]))
    verify_receipt(unhex(case["buyer"]), unhex(case["network"]), data, signature)
    assert unhex(case["preimage"]) == b"\x0ftroth/receipt/1" + unhex(case["network"]) + data
    assert BODIES.load(value(case["value"])) == receipt


def check_settle(case):
    promises = [(unhex(key), row("promises", item)) for key, item in sorted(case["promises"].items())]
    commits = {unhex(key): row("commits", item) for key, item in case["commits"].items()}
    state = State()
    for key, item in case["accounts"].items():
        state.put("accounts", unhex(key), row("accounts", item))
    held = sum(account.worth() for _, account in state.items("accounts", Account))
    state.put("totals", TOTALS_KEY, Totals(9, held, 0, 0, 0))
    lines = settle_promises(state, promises, commits, flows_of(case))
    after = {unhex(key): row("accounts", item) for key, item in case["after"].items()}
    assert dict(state.items("accounts", Account)) == after
    assert state.totals().burned == int(case["burned"])
    assert state.is_conserved()
    told = [
        ["breach", promise.question, [key, promise.buyer, promise.seller, promise.commit]]
        for key, promise in promises
        if key in {line.promise for line in lines}
    ]
    shown = value(case["lines"])
    assert [[kind, question, line[:4]] for kind, question, line in shown] == told
    assert [line[4:] for _, _, line in shown] == [[str(line.paid), str(line.burned)] for line in lines]
    check_costs(case, dict(promises), commits)


def row(table, item):
    return TABLES[table].load(value(item))


def flows_of(case):
    if "means" not in case:
        return None
    payments = tuple(Payment(unhex(a), unhex(b), int(amount)) for a, b, amount in case["payments"])
    means = {unhex(key): int(amount) for key, amount in case["means"].items()}
    return FlowResult({}, dict.fromkeys(means, 0), means, payments)


def check_costs(case, promises, commits):
    """From the formulas of the text: what is owed, in tokens that are there."""
    owed = {key: cost_of(case, promise, commits) for key, promise in promises.items()}
    lines = {line[0]: (int(line[4]), int(line[5])) for _, _, line in value(case["lines"])}
    assert lines.keys() == {key for key, cost in owed.items() if cost != (0, 0)}
    buyer = value(case["accounts"][next(iter(promises.values())).buyer.hex()])
    there = int(buyer["balance"]) + int(buyer["agent"])
    there += sum(int(amount) for role, amount, _ in buyer["unbonding"] if role == "agent")
    for part in (0, 1):
        for key in sorted(lines):
            assert lines[key][part] == min(owed[key][part], there)
            there -= lines[key][part]


def cost_of(case, promise, commits):
    sold = commits.get(promise.commit)
    is_sold = sold and sold.author == promise.seller and sold.revealed and sold.payload
    own = {key: item for key, item in commits.items() if item.author == promise.buyer and item.revealed}
    weights = [
        dict(item.citations).get(promise.commit, 0)
        for item in own.values()
        if item.wager >= promise.min_wager
    ]
    if not promise.bound or not is_sold or any(weight >= promise.weight_ppm for weight in weights):
        return 0, 0
    imposed = paid = 0
    if "means" in case:
        imposed = max([int(case["means"][key.hex()]) for key in own], default=0) * promise.weight_ppm
        imposed //= 2 * MILLION
        rivals = [
            item
            for key, item in commits.items()
            if (item.payload, item.revealed) == (sold.payload, True) and item.epoch < sold.epoch
            if any(key in dict(other.citations) for other in commits.values() if other.revealed)
        ]
        imposed = 0 if rivals else imposed
        paid = sum(int(amount) for _, to, amount in case["payments"] if unhex(to) == promise.commit)
    damages = max(0, max(promise.floor, imposed) - paid)
    return damages, max(promise.floor, 2 * (imposed - paid))


@cases("promises.json")
def test_promises(name, case):
    judge({"receipt": check_receipt, "settle": check_settle}, case)
