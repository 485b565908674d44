"""Effects are ordered data: what must be durable stands in front of what must not leave without it."""

import pytest

from troth_protocol.effects import Effects, Erase, Notice, Persist, Send, SetTimer
from troth_protocol.errors import FaultBoundBroken, Invalid, TrothError
from troth_protocol.wire.messages import MESSAGES, Submit, WantSeals


def test_they_come_out_in_order_and_once():
    out = Effects()
    out.persist("votes", b"k", b"v", once=True)
    out.send(b"peer", WantSeals(3))
    out.persist("state", b"k", b"w")
    out.erase("state", b"old")
    out.timer("pace:1", 250)
    out.notice("opened")
    assert out.drain() == [
        Persist("votes", b"k", b"v", once=True),
        Send(b"peer", MESSAGES.encode(WantSeals(3))),
        Persist("state", b"k", b"w", once=False),
        Erase("state", b"old"),
        SetTimer("pace:1", 250),
        Notice("opened"),
    ]
    assert out.drain() == []


def test_what_is_asked_for_later_comes_later():
    out = Effects()
    out.timer("a", 1)
    first = out.drain()
    out.timer("b", 2)
    assert (first, out.drain()) == ([SetTimer("a", 1)], [SetTimer("b", 2)])


def test_a_message_is_encoded_when_it_is_asked_for():
    out = Effects()
    with pytest.raises(Invalid, match="too_large"):
        out.send(b"peer", Submit(bytes(300_000)))
    assert out.drain() == []


def test_errors_have_one_root_and_say_what_it_was():
    assert issubclass(Invalid, TrothError)
    assert issubclass(FaultBoundBroken, TrothError)
    assert not issubclass(FaultBoundBroken, Invalid)
    assert (str(Invalid("bad_key", "why")), str(Invalid("bad_key"))) == ("bad_key: why", "bad_key")
    assert (Invalid("bad_key", "why").code, Invalid("bad_key", "why").detail) == ("bad_key", "why")
