"""Early messages wait in order, and nobody can fill the room of others."""

from troth_protocol.close import early
from troth_protocol.close.early import EARLY_PEER_MAX, EARLY_PEER_MAX_BYTES, Early
from troth_protocol.wire.messages import Gone, Submit

ALMA, BRUNO = b"a" * 32, b"b" * 32


def test_what_came_too_early_comes_back_once_and_in_order():
    held = Early()
    for number, peer in enumerate([ALMA, BRUNO, ALMA]):
        held.keep(peer, Gone("chunk", number))
    assert len(held) == 3
    assert held.take() == [(ALMA, Gone("chunk", 0)), (BRUNO, Gone("chunk", 1)), (ALMA, Gone("chunk", 2))]
    assert held.take() == []


def test_a_peer_has_a_share_in_number():
    held = Early()
    for number in range(EARLY_PEER_MAX + 5):
        held.keep(ALMA, Gone("chunk", number))
    held.keep(BRUNO, Gone("chunk", 0))
    assert len(held) == EARLY_PEER_MAX + 1


def test_a_peer_has_a_share_in_bytes():
    held = Early()
    big = Submit(bytes(100_000))
    for _ in range(10):
        held.keep(ALMA, big)
    assert len(held) == EARLY_PEER_MAX_BYTES // 100_000
    held.keep(BRUNO, big)
    assert len(held) == EARLY_PEER_MAX_BYTES // 100_000 + 1


def test_all_peers_together_have_a_bound(monkeypatch):
    monkeypatch.setattr(early, "EARLY_MAX_BYTES", 250_000)
    held = Early()
    for number in range(5):
        held.keep(bytes([number]) * 32, Submit(bytes(100_000)))
    assert len(held) == 2
    held.take()
    held.keep(ALMA, Submit(bytes(100_000)))
    assert len(held) == 1, "what was taken leaves room"
