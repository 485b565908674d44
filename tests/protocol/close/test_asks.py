"""What is open is asked for once, and never too much of it at a time."""

from troth_node.testing.ledger import Ledger
from troth_protocol.close.asks import ASKS_MAX, Asks
from troth_protocol.log.ops import Bond
from troth_protocol.wire.chunks import Assembly, Chunks
from troth_protocol.wire.messages import WantChunk, WantLog


def test_a_thing_is_asked_for_once_until_the_tick():
    asks = Asks()
    assert asks.open(b"log", 1)
    assert not asks.open(b"log", 1)
    asks.tick()
    assert asks.open(b"log", 1)
    assert asks.turn == 1


def test_its_next_part_is_asked_for_at_once():
    asks = Asks()
    assert asks.open(b"log", 1)
    assert asks.open(b"log", 7)


def test_there_are_never_too_many():
    asks = Asks()
    opened = [asks.open(b"%d" % number) for number in range(ASKS_MAX + 2)]
    assert opened == [True] * ASKS_MAX + [False] * 2
    assert asks.is_full()
    assert asks.open(b"0", 2), "a later part takes no more room"
    asks.close(b"0")
    assert not asks.is_full()
    assert asks.open(b"another")


def test_chunks_are_asked_for_one_after_the_other():
    asks, whole = Asks(), Chunks(bytes(100_000))
    assembly = Assembly(whole.root, whole.size)
    assert asks.chunk(assembly) == WantChunk(whole.root, 0)
    assert asks.chunk(assembly) is None, "under way"
    assembly.add(0, *whole.part(0))
    assert asks.chunk(assembly) == WantChunk(whole.root, 1)


def test_a_log_is_asked_for_from_where_it_ends_here():
    asks, ledger = Asks(), Ledger()
    first = ledger.put(4, Bond(1, "agent"))
    missing = {ledger.key(4): (1, first.id), ledger.key(5): (3, b"some head")}
    assert asks.logs(ledger.book, missing) == [WantLog(ledger.key(5), 1, 1, 3)]
    assert list(missing) == [ledger.key(5)], "the other one is here, whole"
    assert asks.logs(ledger.book, missing) == []
