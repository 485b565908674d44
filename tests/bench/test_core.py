"""What the pure protocol costs beside the signatures it cannot do without. Prints figures and ratios, asserts none."""

from __future__ import annotations

import time

from troth_node.testing.samples import COIN, TOKEN, sample_genesis, seed
from troth_node.testing.world import World
from troth_protocol.log.author import Finalized
from troth_protocol.log.ops import Transfer
from troth_protocol.wire.crypto import KeyPair

WITNESSES = 4
ROUNDS = 200
#: Signatures behind one entry: its author's, one vote of each witness, verified by each witness and by the author.
SIGNED = 1 + WITNESSES
VERIFIED = WITNESSES + WITNESSES * (WITNESSES - 1) + WITNESSES


def seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def settle(ops_per_entry: int) -> float:
    """Seconds of one core per settled entry, four witnesses and a payer in one process."""
    world = World(sample_genesis(6, WITNESSES, topics=()), [seed(i) for i in range(6)], 1)
    keys = list(world.nodes)
    for key in keys:
        world.start(key)
    payer, payee = world.nodes[keys[5]], keys[4]
    world.run(lambda: payer.core.is_cleared, 60_000)
    entries = ROUNDS // ops_per_entry if ops_per_entry > 1 else ROUNDS

    def work() -> None:
        for number in range(entries):
            ops = tuple(Transfer(payee, TOKEN // 1000, b"") for _ in range(ops_per_entry))
            payer.core.submit(ops)
            world.flush(payer)
            done = number + 1
            world.run(lambda: sum(isinstance(n, Finalized) for n in payer.notices) >= done, 60_000)  # noqa: B023

    return seconds(work) / entries


def signatures() -> float:
    """Seconds of one core for the signatures and verifications behind one entry, and nothing else."""
    keys, data = KeyPair.from_seed(seed(0)), b"x" * 200
    from troth_protocol.wire.crypto import verify  # noqa: PLC0415

    signature = keys.sign(data)
    sign = seconds(lambda: [keys.sign(data) for _ in range(ROUNDS)]) / ROUNDS
    check = seconds(lambda: [verify(keys.public, data, signature) for _ in range(ROUNDS)]) / ROUNDS
    return SIGNED * sign + VERIFIED * check


def test_what_settling_costs_beside_its_signatures() -> None:
    floor, single, many = signatures(), settle(1), settle(20)
    print(f"\n{'':34}{'entries/s':>12}{'× signatures':>14}")
    print(f"{'signatures alone':34}{1 / floor:>12.0f}{1.0:>14.2f}")
    print(f"{'one transfer in an entry':34}{1 / single:>12.0f}{single / floor:>14.2f}")
    print(f"{'20 transfers in an entry':34}{1 / many:>12.0f}{many / floor:>14.2f}")
    print(
        f"transfers/s: {1 / single:.0f} one by one, {20 / many:.0f} by twenty, all witnesses in one process"
    )


def test_what_a_close_costs_beside_the_number_of_logs() -> None:
    from troth_node.testing.ledger import Ledger  # noqa: PLC0415

    print(f"\n{'logs that moved':>16}{'execute, ms':>14}{'per log, µs':>14}")
    for logs in (10, 100, 300):
        ledger = Ledger(logs + 4, 4, topics=(COIN,))
        for agent in range(4, logs + 4):
            ledger.put(agent, Transfer(ledger.key(0), 1, b""))
        took = seconds(ledger.close)
        print(f"{logs:>16}{took * 1e3:>14.1f}{took * 1e6 / logs:>14.0f}")
