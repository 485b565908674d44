"""What the pure protocol costs beside the signatures it cannot do without: one process, no disk, no sockets."""

from __future__ import annotations

import time
from collections.abc import Callable

from troth_node.testing.ledger import Ledger
from troth_node.testing.samples import COIN, TOKEN, sample_genesis, seed
from troth_node.testing.world import World
from troth_protocol.log.author import Finalized
from troth_protocol.log.ops import Transfer
from troth_protocol.wire.crypto import KeyPair, verify

WITNESSES = 4
ROUNDS = 200
SIGNATURES = 1_000
SIGNED_BYTES = 200
CLOSES_LOGS = (10, 100, 300)


def seconds(work: Callable[[], object]) -> float:
    """CPU time that `work` takes: other programs may slow it down, but not count."""
    began = time.process_time()
    work()
    return time.process_time() - began


def signature_s() -> tuple[float, float]:
    """Seconds of one core for one signature, and for one verification."""
    keys, data = KeyPair.from_seed(seed(0)), b"x" * SIGNED_BYTES
    signature = keys.sign(data)
    sign_s = seconds(lambda: [keys.sign(data) for _ in range(SIGNATURES)])
    verify_s = seconds(lambda: [verify(keys.public, data, signature) for _ in range(SIGNATURES)])
    return sign_s / SIGNATURES, verify_s / SIGNATURES


def settle_s(ops_per_entry: int) -> float:
    """Seconds of one core per settled entry, four witnesses and a payer in one process."""
    world = World(sample_genesis(6, WITNESSES, topics=()), [seed(i) for i in range(6)], 1)
    keys = list(world.nodes)
    for key in keys:
        world.start(key)
    payer, payee = world.nodes[keys[5]], keys[4]
    world.run(lambda: payer.core.check.is_cleared, 60_000)
    entries = ROUNDS // ops_per_entry if ops_per_entry > 1 else ROUNDS

    def work() -> None:
        for number in range(entries):
            payer.core.submit(tuple(Transfer(payee, TOKEN // 1000, b"") for _ in range(ops_per_entry)))
            world.flush(payer)
            done = number + 1
            world.run(lambda: sum(isinstance(n, Finalized) for n in payer.notices) >= done, 60_000)  # noqa: B023

    return seconds(work) / entries


def close_s(logs: int) -> float:
    """Seconds of one core to execute the close of an epoch in which so many logs moved by one entry."""
    ledger = Ledger(logs + 4, WITNESSES, topics=(COIN,))
    for agent in range(4, logs + 4):
        ledger.put(agent, Transfer(ledger.key(0), 1, b""))
    return seconds(ledger.close)


def measure() -> dict[str, object]:
    """The pure core's figures, in microseconds and milliseconds of one core."""
    return {
        "settle_one_op_us": round(settle_s(1) * 1e6, 1),
        "settle_20_ops_us": round(settle_s(20) * 1e6, 1),
        "close_ms_by_logs": {str(logs): round(close_s(logs) * 1e3, 2) for logs in CLOSES_LOGS},
    }
