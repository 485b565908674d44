"""The vectors of priors, scores, flows, outcomes and contributions, read from their JSON alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction

from vector_kit import cases, judge, unhex, value

from troth_node.testing.samples import COIN
from troth_protocol.errors import Invalid
from troth_protocol.insight.contribution import CONTRIBUTION, content_key, load_contribution
from troth_protocol.insight.fixed import ceil_log2, floor_log2
from troth_protocol.insight.flow import FlowNode, Record, flow, rise
from troth_protocol.insight.oracle import scale_amount, scale_wagers, settle_attesters, tally, value_limit
from troth_protocol.insight.prior import clamp_ppm, compute_prior, validate_epsilon, validate_ppm
from troth_protocol.insight.rules import score_shares
from troth_protocol.insight.score import Wager, score_question
from troth_protocol.log.sealed import attest_digest, commit_digest, commit_id
from troth_protocol.wire.codec import encode

PPM = 1_000_000

# Priors


def check_prior(case):
    counts, epsilon = [int(count) for count in case["counts"]], case["epsilon_ppm"]
    found = compute_prior(counts, case["pseudo_counts"], epsilon)
    assert list(found) == case["prior"]
    assert sum(found) == PPM
    assert min(found) >= epsilon
    raw = [count + pseudo for count, pseudo in zip(counts, case["pseudo_counts"], strict=True)]
    assert list(found) == hamilton(raw, epsilon)


def hamilton(raw, epsilon):
    """The rule in fractions: raise what is below epsilon, share the rest in proportion, units by largest remainder."""
    raised = set()
    while True:
        left = PPM - epsilon * len(raised)
        total = sum(value for k, value in enumerate(raw) if k not in raised)
        share = {k: Fraction(value * left, total) for k, value in enumerate(raw) if k not in raised}
        low = {k for k, exact in share.items() if exact < epsilon}
        if not low:
            break
        raised |= low
    out = [epsilon if k in raised else int(share[k]) for k in range(len(raw))]
    order = sorted(share, key=lambda k: (int(share[k]) - share[k], k))
    for k in order[: PPM - sum(out)]:
        out[k] += 1
    return out


def check_forecast(case):
    validate_epsilon(case["outcomes"], case["epsilon_ppm"])
    validate_ppm(case["ppm"], case["outcomes"], case["epsilon_ppm"])
    assert list(clamp_ppm(case["ppm"], case["epsilon_ppm"])) == case["ppm"]


@cases("prior.json")
def test_prior(name, case):
    judge({"prior": check_prior, "forecast": check_forecast}, case)


# Flow


def load_node(row):
    return FlowNode(
        commit=unhex(row["commit"]),
        author=unhex(row["author"]),
        epoch=row["epoch"],
        revealed=row["revealed"],
        content_key=None if row["content_key"] is None else unhex(row["content_key"]),
        G_ppm=row["gain_ppm"],
        income=int(row["income"]),
        citations=tuple((unhex(commit), weight) for commit, weight in row["citations"]),
    )


def check_flow(case):
    nodes = [load_node(row) for row in case["nodes"]]
    result = flow(nodes)
    payments = [[p.frm_commit.hex(), p.to_commit.hex(), str(p.amount)] for p in result.payments]
    assert payments == case["payments"]
    assert {key.hex(): str(amount) for key, amount in result.received.items()} == case["received"]
    assert {key.hex(): str(amount) for key, amount in result.retained.items()} == case["kept"]
    check_payments(case)


def check_payments(case):
    """From the JSON alone: each payment is the formula's, made with what its payer had, and nothing is lost."""
    nodes = {row["commit"]: row for row in case["nodes"]}
    means = {commit: int(row["income"]) for commit, row in nodes.items()}
    paid = dict.fromkeys(nodes, 0)
    for _, payee, amount in case["payments"]:
        means[payee] += int(amount)
    for payer, payee, amount in case["payments"]:
        gain = max(-PPM, min(PPM, nodes[payee]["gain_ppm"]))
        weight = dict(nodes[payer]["citations"])[payee]
        assert int(amount) == means[payer] * weight * (PPM + gain) // (2 * PPM * PPM) > 0
        paid[payer] += int(amount)
    assert {commit: str(means[commit] - paid[commit]) for commit in nodes} == case["kept"]
    assert {commit: str(means[commit] - int(row["income"])) for commit, row in nodes.items()} == case[
        "received"
    ]


def check_record(case):
    record = Record()
    for row in case["entered_sum_high_income"]:
        entered, cumulative, high, income = map(int, row)
        record, found = rise(record, entered)
        assert (record, found) == (Record(cumulative, high), income)


@cases("flow.json")
def test_flow(name, case):
    judge({"flow": check_flow, "record": check_record}, case)


# Scores


def log2_scaled(n, d):
    """2^32 * log2(n / d) to sixty digits and more, by decimal arithmetic: an algorithm of its own."""
    with localcontext() as context:
        context.prec = 400
        exact = (Decimal(n).ln() - Decimal(d).ln()) / Decimal(2).ln() * 2**32
        nearest = exact.to_integral_value()
        return nearest if abs(exact - nearest) < Decimal("1e-100") else exact


def lower(n, d):
    return int(log2_scaled(n, d).to_integral_value(ROUND_FLOOR))


def upper(n, d):
    return -lower(d, n)


def check_log2(case):
    n, d = int(case["n"]), int(case["d"])
    assert (floor_log2(n, d), ceil_log2(n, d)) == (case["floor"], case["ceil"])
    assert (lower(n, d), upper(n, d)) == (case["floor"], case["ceil"])


def check_score(case):
    wagers = [
        Wager(row["author"].encode(), int(row["wager"]), None if row["ppm"] is None else tuple(row["ppm"]))
        for row in case["wagers"]
    ]
    amounts = int(case["emission"]), int(case["house"])
    scores = score_question(
        case["prior_ppm"], *amounts, case["kappa_ppm"], case["epsilon_ppm"], wagers, case["outcome"]
    )
    for row, shown in zip(scores.rows, case["rows"], strict=True):
        assert row.author.decode() == shown["author"]
        assert (row.g_ppm, row.G_ppm) == (shown["g_ppm"], shown["prior_g_ppm"])
        for name in ("back", "net", "net_for_record"):
            assert str(getattr(row, name)) == shown[name]
    assert (str(scores.to_reserve), str(scores.emission)) == (case["to_reserve"], case["steps"]["e"])
    check_formulas(case)


def check_formulas(case):
    """The numbers again from the formulas of the text, with another logarithm, and what they promise."""
    outcome, steps = case["outcome"], case["steps"]
    revealed = [(int(row["wager"]), row["ppm"][outcome]) for row in case["wagers"] if row["ppm"] is not None]
    staked = sum(int(row["wager"]) for row in case["wagers"])
    weight = staked + int(case["house"])
    w, s = sum(m for m, _ in revealed), sum(m * p for m, p in revealed)
    e, span = min(int(case["emission"]), weight // 2), upper(PPM, case["epsilon_ppm"])
    assert steps == {"l": span, "w": str(w), "s": str(s), "e": str(e)}
    for row, shown in zip(case["wagers"], case["rows"], strict=True):
        m = int(row["wager"])
        if row["ppm"] is None:
            record = e * m * -span // (max(weight, 1) * span)
            assert (shown["back"], shown["net"], shown["net_for_record"]) == ("0", "0", str(record))
            continue
        p = row["ppm"][outcome]
        gain = 0 if w == m else lower(p, PPM) - upper(s - m * p, (w - m) * PPM)
        prior_gain = lower(p, case["prior_ppm"][outcome])
        back = m + case["kappa_ppm"] * m * (w - m) * gain // (PPM * max(w, 1) * span)
        net = max(e * m * prior_gain // (max(weight, 1) * span), -back)
        assert (shown["gain"], shown["prior_gain"]) == (gain, prior_gain)
        assert (shown["back"], shown["net"], shown["net_for_record"]) == (str(back), str(net), str(net))
    check_promises(case, staked, e)


def check_promises(case, staked, emission):
    backs, nets = ([int(row[name]) for row in case["rows"]] for name in ("back", "net"))
    assert sum(backs) + int(case["to_reserve"]) == staked
    assert sum(backs) <= staked
    assert sum(nets) <= emission
    assert min((back + min(net, 0) for back, net in zip(backs, nets, strict=True)), default=0) >= 0


@cases("score.json")
def test_score(name, case):
    judge({"log2": check_log2, "score": check_score}, case)


# Topics with settings of their own


def check_share(case):
    wagers = [
        Wager(row["author"].encode(), int(row["wager"]), None if row["ppm"] is None else tuple(row["ppm"]))
        for row in case["wagers"]
    ]
    amounts = int(case["emission"]), int(case["house"])
    scores = score_shares(case["rule"], *amounts, case["epsilon_ppm"], wagers, case["outcome"])
    assert (str(scores.emission), str(scores.to_reserve)) == (case["e"], case["to_reserve"])
    for row, shown in zip(scores.rows, case["rows"], strict=True):
        assert (row.author.decode(), str(row.back), str(row.net)) == tuple(shown.values())
        assert row.net_for_record == row.net
    check_shares(case)


def check_shares(case):
    """The shares again from the formulas of the text, in fractions and with another logarithm."""
    outcome, epsilon = case["outcome"], case["epsilon_ppm"]
    rows = [(int(row["wager"]), row["ppm"]) for row in case["wagers"]]
    pot = min(int(case["emission"]), (sum(m for m, _ in rows) + int(case["house"])) // 2)
    shown = [(int(row["back"]), int(row["net"])) for row in case["rows"]]
    revealed = [(m, p) for m, p in rows if p is not None]
    total, pooled = sum(m for m, _ in revealed), sum(m * p[outcome] for m, p in revealed)
    brier = [sum((Fraction(x, PPM) - (k == outcome)) ** 2 for k, x in enumerate(p)) for _, p in revealed]
    mean = sum((m * (1 - b / 2) for (m, _), b in zip(revealed, brier, strict=True)), Fraction(0))
    for (m, p), (back, net) in zip(rows, shown, strict=True):
        if p is None:
            assert (back, net) == (0, 0)
            continue
        span = upper(PPM, epsilon)
        gain = 0 if total == m else lower(p[outcome], PPM) - upper(pooled - m * p[outcome], (total - m) * PPM)
        score = 1 - sum((Fraction(x, PPM) - (k == outcome)) ** 2 for k, x in enumerate(p)) / 2
        exact = {
            "nawm": Fraction(m, total) * (1 + Fraction(total - m, total) * Fraction(gain, span)),
            "posterior": Fraction(m * p[outcome], pooled),
            "wswm": Fraction(m, total) * (1 + score - mean / total),
        }[case["rule"]]
        assert (back, net) == (m, pot * exact // 1)
    assert sum(net for _, net in shown) <= pot


def check_pot(case):
    emission, wagered, house = (int(case[name]) for name in ("emission", "wagered", "house"))
    share = Fraction(case.get("emission_ppm", 500_000), PPM)
    assert int(case["pot"]) == min(emission, (wagered + house) * share // 1)
    assert topic_pot(emission, case.get("emission_ppm"), wagered, house) == int(case["pot"])


def topic_pot(emission, share, wagered, house):
    return replace(COIN, emission=emission, emission_ppm=share).pot(wagered, house)


@cases("shares.json")
def test_shares(name, case):
    judge({"share": check_share, "pot": check_pot}, case)


# Outcomes


def keyed(row):
    """Amounts (or votes) by a key of bytes."""
    return {
        key.encode(): item if item is None or isinstance(item, int) else int(item)
        for key, item in row.items()
    }


def named(row):
    return {key.decode(): str(amount) for key, amount in row.items()}


def check_round(case):
    bonds, fee = keyed(case["bonds"]), int(case["fee"])
    verdict = tally(bonds, keyed(case["votes"]), case["round"], case["rounds"], case["outcomes"])
    done = settle_attesters(verdict, bonds, case["round"], case["penalty_ppm"], fee)
    assert verdict.decision.value == case["decision"]
    assert verdict.outcome == case.get("result")
    assert [key.decode() for key in verdict.coherent] == case["coherent"]
    assert (named(done.penalties), named(done.rewards)) == (case["penalties"], case["rewards"])
    assert str(done.fee_left) == case["fee_left"]
    check_duty(case)


def check_duty(case):
    """From the JSON alone: whoever has a bond is coherent or charged, and the fee is shared or left."""
    assert set(case["coherent"]) | set(case["penalties"]) == set(case["bonds"])
    assert not set(case["coherent"]) & set(case["penalties"])
    share = min(PPM, case["penalty_ppm"] * 2 ** case["round"])
    for key, penalty in case["penalties"].items():
        exact = Fraction(int(case["bonds"][key]) * share, PPM)
        assert exact <= int(penalty) < exact + 1
    assert sum(map(int, case["rewards"].values())) + int(case["fee_left"]) == int(case["fee"])
    assert set(case["rewards"]) == (set(case["coherent"]) if case["decision"] == "decided" else set())


def check_cap(case):
    wagers, emission = keyed(case["wagers"]), int(case["emission"])
    limit = value_limit(int(case["bond"]), case["penalty_ppm"], case["value_ppm"])
    total = sum(wagers.values()) + emission
    scaled, returned = scale_wagers(total, limit, wagers)
    assert str(limit) == case["limit"]
    assert (named(scaled), named(returned)) == (case["scaled"], case["returned"])
    assert str(scale_amount(emission, total, limit)) == case["scaled_emission"]
    assert sum(scaled.values()) + int(case["scaled_emission"]) <= max(limit, 0)


def check_scale(case):
    scale_wagers(int(case["total"]), int(case["limit"]), keyed(case["wagers"]))


@cases("oracle.json")
def test_oracle(name, case):
    judge({"round": check_round, "cap": check_cap, "scale": check_scale}, case)


# Contributions


def check_contribution(case):
    data, question = unhex(case["bytes"]), unhex(case["question"])
    item = load_contribution(data, question, case["outcomes"], case["epsilon_ppm"])
    assert encode(value(case["value"])) == data
    assert CONTRIBUTION.encode(item) == data
    shown = value(case["value"])
    key = shown["payload"] if "payload" in shown else hashlib.sha256(encode(shown["ppm"])).digest()
    assert content_key(item.ppm, item.payload) == key == unhex(case["content_key"])
    check_open(case)
    sealed = b"\x0etroth/commit/1" + b"".join(
        unhex(case[name]) for name in ("network", "author", "question", "salt")
    )
    assert sealed + data == unhex(case["preimage"])
    assert hashlib.sha256(sealed + data).digest() == unhex(case["digest"])
    named_by = commit_id(unhex(case["network"]), unhex(case["author"]), question, unhex(case["digest"]))
    assert named_by == unhex(case["commit"])


def check_open(case):
    fields = [unhex(case[name]) for name in ("network", "author", "question", "salt", "bytes")]
    if commit_digest(*fields) != unhex(case["digest"]):
        raise Invalid("bad_digest")


def check_attest(case):
    fields = [unhex(case[name]) for name in ("network", "author", "question", "salt")]
    if attest_digest(*fields, case["outcome"]) != unhex(case["digest"]):
        raise Invalid("bad_digest")
    sealed = b"\x0etroth/attest/1" + b"".join(fields) + bytes([case["outcome"]])
    assert sealed == unhex(case["preimage"])
    assert hashlib.sha256(sealed).digest() == unhex(case["digest"])


@cases("contributions.json")
def test_contributions(name, case):
    judge({"contribution": check_contribution, "open": check_open, "attest": check_attest}, case)
