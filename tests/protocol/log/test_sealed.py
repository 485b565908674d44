"""Sealed digests open for one author, subject, salt and content, and names do not collide."""

import itertools

from troth_protocol.log.sealed import (
    attest_digest,
    auction_id,
    bid_digest,
    commit_digest,
    commit_id,
    lock_id,
    question_id,
    won_lock_id,
)
from troth_protocol.wire.crypto import digest

A, B = digest(b"a"), digest(b"b")


def test_a_commit_is_bound_to_everything_in_it():
    whole = (A, A, A, A, b"content")
    others = [(*whole[:at], B, *whole[at + 1 :]) for at in range(5)]
    assert len({commit_digest(*item) for item in [whole, *others]}) == 6


def test_an_attestation_is_bound_to_everything_in_it():
    whole = (A, A, A, A, 0)
    others = [(*whole[:at], B, *whole[at + 1 :]) for at in range(4)] + [(A, A, A, A, 1)]
    assert len({attest_digest(*item) for item in [whole, *others]}) == 6


def test_a_commits_name_is_its_authors_and_its_questions():
    whole = (A, A, A, A)
    others = [(*whole[:at], B, *whole[at + 1 :]) for at in range(4)]
    assert len({commit_id(*item) for item in [whole, *others]}) == 5


def test_questions_of_topics_whose_names_look_alike_differ():
    names = ["", "a", "a/", "a/a", "/a", "a" + "/" + "\0" * 8]
    ids = {question_id(A, name, index) for name, index in itertools.product(names, (0, 1, 2**40))}
    assert len(ids) == len(names) * 3


def test_the_locks_of_an_entry_differ():
    assert len({lock_id(A, index) for index in range(256)}) == 256
    assert len(lock_id(A, 0)) == 32
    assert lock_id(A, 0) != lock_id(B, 0)


def test_a_bid_is_bound_to_everything_in_it():
    whole = (A, A, A, A, 1)
    others = [(*whole[:at], B, *whole[at + 1 :]) for at in range(4)] + [(A, A, A, A, 11)]
    assert len({bid_digest(*item) for item in [whole, *others]}) == 6


def test_an_auction_is_named_by_network_seller_commit_and_hash():
    whole = (A, A, A, A)
    others = [(*whole[:at], B, *whole[at + 1 :]) for at in range(4)]
    assert len({auction_id(*item) for item in [whole, *others]}) == 5


def test_every_winner_has_a_lock_of_its_own():
    whole = [(A, A, A, 1), (B, A, A, 1), (A, B, A, 1), (A, A, B, 1), (A, A, A, 2)]
    assert len({won_lock_id(*item) for item in whole}) == 5
