"""The bookkeeper of many exchanges sees what must never be: it is shown books in which it has happened."""

from collections import Counter
from dataclasses import replace

import pytest

from troth_node.testing.bookkeeping import Books, _check_hashes, _Deal, _enter
from troth_protocol.market.exchange import ExchangeTerms

A, B = b"a" * 32, b"b" * 32
TERMS = ExchangeTerms(bytes(32), b"s" * 32, b"y" * 32, b"q" * 32, b"c" * 32, bytes(32), A, bytes(32), 5, 9)


def deal(*terms):
    return _Deal({b"1", b"2"}, {bytes([number]): each for number, each in enumerate(terms)})


def books(deals, locked=(), paid=(), delivered=()):
    """Of these deals, with these hashes locked, paid and delivered."""
    found = Books(negotiations=len(deals))
    locks, costs, got = Counter(locked), Counter(paid), set(delivered)
    for each in deals:
        _enter(found, each, locks, costs, got)
    _check_hashes(found, dict(enumerate(deals)), locks, costs, got)
    return found


def test_a_signal_is_paid_once_and_delivered_or_neither():
    found = books([deal(TERMS), deal()], [A], [A], [A])
    assert (found.negotiations, found.paid_and_delivered, found.neither) == (2, 1, 1)
    assert (found.agreed, found.sealed, found.locked) == (2, 1, 1)
    assert (found.lost, found.unpaid, found.paid_twice, found.problems) == (0, 0, 0, [])


def test_a_lock_that_went_back_is_neither():
    assert books([deal(TERMS)], [A]).neither == 1


def test_what_is_paid_and_not_delivered_is_lost():
    assert books([deal(TERMS)], [A], [A]).lost == 1


def test_what_is_delivered_and_not_paid_is_told():
    assert books([deal(TERMS)], delivered=[A]).unpaid == 1


def test_a_hash_that_is_paid_twice_is_told():
    found = books([deal(TERMS)], [A, A], [A, A], [A])
    assert found.paid_twice > 0
    assert "a buyer locked twice under one hash" in found.problems


def test_a_signal_that_is_bought_twice_under_two_keys_is_told():
    found = books([deal(TERMS), deal(replace(TERMS, hash=B))], [A, B], [A, B], [A, B])
    assert found.paid_twice == 1
    assert found.problems == ["1 signals were paid twice"]


@pytest.mark.parametrize(("locked", "delivered"), [([B], []), ([], [B])])
def test_a_key_that_nobody_negotiated_is_told(locked, delivered):
    assert books([deal(TERMS)], locked, (), delivered).problems == ["1 keys belong to no negotiation"]


def test_a_negotiation_that_is_sealed_twice_is_told():
    assert books([deal(TERMS, replace(TERMS, hash=B))]).problems == ["a negotiation was sealed twice"]
