"""What is open is asked for once, and never too much of it at a time."""

from troth_protocol.close.asks import ASKS_MAX, Asks


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
