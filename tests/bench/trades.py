"""One fair exchange between two node processes, from the request to the verified signal, beside the echo.

Four witnesses, a seller and a buyer, each a process of its own with a real disk and real sockets. A run counts only if
afterwards every signal is paid exactly once in the sealed state, and the audit of all witnesses passes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from cluster import PACING, Cluster, Load, running
from echo import start_echo
from figures import Figures, percentile
from measures import submit_bytes, wait_for_quiet
from processes import Child, Line, ask_all
from traders import PRICE, serve_buyer, serve_seller

from troth_node.audit import replay
from troth_node.testing.samples import COIN, RULES, TOKEN
from troth_protocol.errors import TrothError
from troth_protocol.genesis import Genesis, Holder, Phases, load_genesis
from troth_protocol.log.rows import Lock

PART: Final = "trade: one fair exchange"
LOAD: Final = Load("trade", payers=1, logs=0, depth=1, ops=1, payees=1)
#: A trade takes place in epoch 2, long before commits close: its lock is good until epoch 5.
PHASES: Final = Phases(commit=8, attest=2, reveal=2, attest_reveal=2)
#: What a trader starts with.
STOCK: Final = 10_000 * TOKEN
#: A claim is paid by the second close after the one that seals it.
CLOSES: Final = 3
WARM: Final = 5
#: What each reading is taken at, in the order in which a trade passes them: (who, station, what is done by then).
STATIONS: Final = (
    ("buyer", "hears accept", "negotiated: both have signed"),
    ("buyer", "hears sealed", "sealed signal delivered"),
    ("seller", "credited", "checked, kept, price locked: final at the seller"),
    ("seller", "final unlock", "unlocked: final, the witnesses have the key"),
    ("buyer", "hears key", "key delivered"),
    ("buyer", "says receipt", "opened, verified, kept"),
)
ROLES: Final = ("buyer", "seller", "witnesses")
METERS: Final = ("cpu_s", "signed", "verified", "commits", "frame_bytes_sent", "socket_bytes_sent")

#: Milliseconds from the beginning of a trade to each of its stations.
Journey = dict[str, float]
#: What each role has used, by meter.
Spent = dict[str, dict[str, float]]


class TradePace:
    """How many trades of each sort; two nodes keep 256 of one epoch at most."""

    def __init__(self, *, is_quick: bool) -> None:
        self.blocks = 2 if is_quick else 8
        self.block = 10
        self.echoes = 25
        self.many = 40 if is_quick else 160
        self.depth = 16 if is_quick else 32

    @property
    def total(self) -> int:
        """All of them, the first few included, which nobody counts."""
        return WARM + self.blocks * self.block + self.many


class TradeCluster(Cluster):
    """The payee sells, the payer buys."""

    def __init__(self, pace: TradePace, directory: Path) -> None:
        self.pace = pace
        super().__init__(LOAD, directory)

    def _make_genesis(self) -> Genesis:
        count = self.pace.total
        topic = replace(COIN, questions=count, per_epoch=count, phases=PHASES)
        holders = [Holder(pair.public, TOKEN, 1_000 * TOKEN, 0, 0) for pair in self._witness_keys]
        traders = self._payee_keys + self._payer_keys
        holders += [Holder(pair.public, STOCK, 0, 0, STOCK) for pair in traders]
        holders.sort(key=lambda holder: holder.key)
        draft = Genesis(1, "bench trades", PACING, RULES, tuple(holders), (topic,), 1_000_000 * TOKEN)
        return load_genesis(draft.encode())

    def start(self) -> None:
        """Everybody is linked, the seller's commits are sealed, epoch 2 is open."""
        for number, pair in enumerate(self._witness_keys):
            self.witnesses.append(self._fork(f"witness-{number}", pair))
        for name, pair, into, main in (
            ("seller", self._payee_keys[0], self.payees, serve_seller),
            ("buyer", self._payer_keys[0], self.payers, serve_buyer),
        ):
            into.append(Child(name, partial(main, self._make_home(name, pair))))
        self._join()
        self.seller.ask("made", count=self.pace.total)
        self.close()
        ask_all([self.seller, self.buyer], "stocked", count=self.pace.total)

    @property
    def seller(self) -> Child:
        """Who sells."""
        return self.payees[0]

    @property
    def buyer(self) -> Child:
        """Who buys."""
        return self.payers[0]

    def trade(self, first: int, count: int) -> tuple[Spent, list[Journey]]:
        """So many trades one after the other: what they cost, and when each passed its stations."""
        ask_all(self._traders(), "stations")
        before = self._read()
        for number in range(first, first + count):
            self.buyer.ask("trade", number=number)
        spent = self._spent(before)
        told = ask_all(self._traders(), "stations")
        return spent, journeys({"seller": told[0]["stations"], "buyer": told[1]["stations"]})

    def many(self, first: int, count: int, depth: int) -> tuple[Spent, list[tuple[float, float]]]:
        """So many trades, `depth` of them at once: when each was done, and how long it took (s)."""
        before = self._read()
        took = self.buyer.ask("trades", first=first, count=count, depth=depth)["took"]
        return self._spent(before), took

    def _traders(self) -> list[Child]:
        return [self.seller, self.buyer]

    def _spent(self, before: tuple[list[Line], float]) -> Spent:
        """What each role has used since a reading."""
        (first, busy), (last, busy_now) = before, self._read()
        found = {
            role: {name: sum(last[i][name] - first[i][name] for i in which) for name in METERS}
            for role, which in zip(("witnesses", "seller", "buyer"), self._roles().values(), strict=True)
        }
        cpu_s = sum(spent["cpu_s"] for spent in found.values())
        seconds = last[-1]["at_s"] - first[-1]["at_s"]
        others = max(0.0, busy_now - busy - cpu_s) / ((os.cpu_count() or 1) * seconds)
        return found | {"machine": {"seconds": seconds, "others": others}}

    def seal(self) -> float:
        """The traders go; then enough closes to pay every claim."""
        for child in self._traders():
            child.stop()
        took = [self.close() for _ in range(CLOSES)]
        for child in self.witnesses:
            child.stop()
        return took[0]

    def _audit_logs(self, path: Path) -> list[str]:
        """Every signal is paid, once."""
        try:
            state = replay(path, self.genesis).state
        except TrothError as error:
            return [f"executing every close again: {error}"]
        seller = self._payee_keys[0].public
        fees = 2 * RULES.fee * self.pace.total  # a commit prepays its reveal
        paid = state.account(seller).balance - STOCK + fees
        locked = len(state.rows("locks", Lock))
        if paid != self.pace.total * PRICE or locked:
            return [
                f"{self.pace.total} signals for {PRICE} each: {paid} was paid, {locked} prices are locked"
            ]
        return []


def journeys(passed: Mapping[str, Sequence[tuple[str, float]]]) -> list[Journey]:
    """For each trade the milliseconds from its beginning to each station; trades follow each other."""
    starts = [at for name, at in passed["buyer"] if name == "asked"]
    found = []
    for began, end in zip(starts, [*starts[1:], float("inf")], strict=True):
        journey = {}
        for who, station, _ in STATIONS:
            at = next(at for name, at in passed[who] if name == station and began <= at < end)
            journey[f"{who} {station}"] = (at - began) * 1e3
        found.append(journey)
    return found


def measure_trades(directory: Path, *, is_quick: bool) -> Figures:
    """One trade alone in turns with the echo, then many at once. BenchError if the audit finds anything."""
    pace, size = TradePace(is_quick=is_quick), submit_bytes()
    server, caller = start_echo()
    trips: list[float] = []
    alone: list[Journey] = []
    spent: list[Spent] = []
    wait_for_quiet()
    with running(TradeCluster(pace, directory)) as cluster:
        cluster.trade(0, WARM)
        for block in range(pace.blocks):
            cost, journey = cluster.trade(WARM + block * pace.block, pace.block)
            spent.append(cost)
            alone += journey
            trips.extend(caller.ask("single", count=pace.echoes, size=size)["latencies_ms"])
        many, took = cluster.many(pace.total - pace.many, pace.many, pace.depth)
    caller.stop()
    server.stop()
    echo = {"frame_bytes": size + 4, "p50_ms": percentile(trips, 50), "p99_ms": percentile(trips, 99)}
    return {
        "echo": echo,
        "alone": _alone_figures(alone, spent, echo["p50_ms"]),
        "many": _many_figures(pace, many, took),
        "paid": pace.total,
        "audit": "ok",
    }


def _alone_figures(alone: Sequence[Journey], spent: Sequence[Spent], echo_ms: float) -> Figures:
    stages, before = [], [0.0] * len(alone)
    for who, station, done in STATIONS:
        reached = [journey[f"{who} {station}"] for journey in alone]
        took = [at - since for at, since in zip(reached, before, strict=True)]
        before = reached
        stages.append(
            {
                "done": done,
                "where": who,
                "p50_ms": round(percentile(took, 50), 3),
                "p99_ms": round(percentile(took, 99), 3),
                "reached_p50_ms": round(percentile(reached, 50), 3),
                "reached_p99_ms": round(percentile(reached, 99), 3),
                "over_echo": round(percentile(reached, 50) / echo_ms, 2),
            }
        )
    return {"trades": len(alone), "stages": stages, **_cost(spent, len(alone))}


def _cost(spent: Sequence[Spent], trades: int) -> Figures:
    """By role and trade: bytes sent (so that every byte counts once), CPU time, signatures."""

    def total(role: str, name: str) -> float:
        return sum(each[role][name] for each in spent)

    return {
        name: {role: round(total(role, meter) * scale / trades, 2) for role in ROLES}
        for name, meter, scale in (
            ("frame_bytes_per_trade", "frame_bytes_sent", 1),
            ("socket_bytes_per_trade", "socket_bytes_sent", 1),
            ("cpu_ms_per_trade", "cpu_s", 1e3),
            ("signed_per_trade", "signed", 1),
            ("verified_per_trade", "verified", 1),
            ("commits_per_trade", "commits", 1),
        )
    } | {"others_share_of_machine": round(sum(e["machine"]["others"] for e in spent) / len(spent), 3)}


def _many_figures(pace: TradePace, spent: Spent, took: Sequence[tuple[float, float]]) -> Figures:
    """The rate from the moment when the first ones are done: before that the line fills up."""
    ended = sorted(at for at, _ in took)
    seconds = ended[-1] - ended[pace.depth - 1]
    latencies_ms = [lasted * 1e3 for _, lasted in took]
    cpu_s = sum(spent[role]["cpu_s"] for role in ROLES) / len(took)
    return {
        "trades": len(took),
        "in_flight": pace.depth,
        "per_s": round((len(took) - pace.depth) / seconds, 1),
        "per_s_at_this_cpu_cost": round((os.cpu_count() or 1) / cpu_s, 1),
        "p50_ms": round(percentile(latencies_ms, 50), 1),
        "p99_ms": round(percentile(latencies_ms, 99), 1),
        **_cost([spent], len(took)),
    }
