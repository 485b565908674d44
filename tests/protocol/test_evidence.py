"""Evidence: it proves an offence from its bytes alone, or it proves nothing; an honest key is never convicted."""

import random
from dataclasses import replace

import pytest

from troth_node.testing.ledger import Ledger
from troth_protocol.errors import Invalid
from troth_protocol.evidence import (
    ENTRY_FORK,
    EVIDENCE,
    VOTE_FORK,
    EntryFork,
    Proof,
    SeenVote,
    VoteFork,
    entry_fork,
    verify_evidence,
)
from troth_protocol.log.entry import SignedHeader
from troth_protocol.log.ops import EVIDENCE_MAX_BYTES, Bond, Transfer
from troth_protocol.log.vote import sign_votes
from troth_protocol.wire.crypto import digest

ALICE, BOB, CAROL, DAVE, ERIN = range(5)
net = Ledger()
NETWORK = net.network
FIRST = net.entry(ERIN, Bond(1, "agent"))
SECOND = net.entry(ERIN, Bond(2, "agent"))
VOTED_TWICE = Proof(VOTE_FORK, net.key(ALICE), 1, (("author", net.key(ERIN)), ("seq", 1)))


def code(data, network=NETWORK):
    with pytest.raises(Invalid) as refusal:
        verify_evidence(data, network)
    return refusal.value.code


def vote(agent, entry, *, epoch=1, ids=None, committee=net.committee, network=NETWORK):
    ids = ids or [entry.id]
    return sign_votes(net.keys[agent], network, epoch, committee, ids)[ids.index(entry.id)]


def fork(agent=ALICE, first=FIRST, second=SECOND, votes=None, committee=net.committee):
    votes = votes or (vote(agent, first, committee=committee), vote(agent, second, committee=committee))
    seen = [SeenVote(entry.signed, seen) for entry, seen in zip((first, second), votes, strict=True)]
    seen.sort(key=lambda half: half.header.header)
    return VoteFork(net.key(agent), committee.digest, *seen)


# Forks of a log


def test_two_entries_at_one_place_convict_their_author():
    data = entry_fork(FIRST.signed, SECOND.signed)
    place = (("incarnation", 0), ("seq", 1))
    assert verify_evidence(data, NETWORK) == Proof(ENTRY_FORK, net.key(ERIN), 1, place)


def test_everybody_writes_the_same_evidence():
    assert entry_fork(FIRST.signed, SECOND.signed) == entry_fork(SECOND.signed, FIRST.signed)


def test_the_other_order_is_no_evidence():
    halves = sorted((FIRST.signed, SECOND.signed), key=lambda half: half.header, reverse=True)
    assert code(EVIDENCE.encode(EntryFork(*halves))) == "bad_order"
    votes = fork()
    assert code(EVIDENCE.encode(replace(votes, first=votes.second, second=votes.first))) == "bad_order"


@pytest.mark.parametrize(
    "place",
    [{"incarnation": 1}, {"epoch": 2}, {"seq": 2, "prev": FIRST.id}, {"seq": 0}],
    ids=lambda place: next(iter(place)),
)
def test_entries_at_two_places_prove_nothing(place):
    other = net.entry(ERIN, Bond(1, "agent"), **place)
    assert code(entry_fork(FIRST.signed, other.signed)) == "not_evidence"


def test_entries_of_two_authors_prove_nothing():
    assert code(entry_fork(FIRST.signed, net.entry(DAVE, Bond(1, "agent")).signed)) == "not_evidence"


def test_an_entry_twice_proves_nothing():
    assert code(entry_fork(FIRST.signed, FIRST.signed)) == "not_evidence"


def test_nobody_is_framed_with_a_header_it_did_not_sign():
    for signature in (FIRST.signed.signature, bytes(64), net.entry(DAVE, Bond(2, "agent")).signed.signature):
        assert (
            code(entry_fork(FIRST.signed, SignedHeader(SECOND.signed.header, signature))) == "bad_signature"
        )


def test_a_fork_in_another_network_proves_nothing_here():
    there = [net.entry(ERIN, Bond(n, "agent"), network=bytes(32)) for n in (1, 2)]
    evidence = entry_fork(there[0].signed, there[1].signed)
    assert code(evidence) == "wrong_network"
    assert verify_evidence(evidence, bytes(32)).kind == ENTRY_FORK
    assert code(entry_fork(FIRST.signed, SECOND.signed), bytes(32)) == "wrong_network"


# Forks of votes


def test_two_votes_at_one_place_convict_their_witness():
    assert verify_evidence(EVIDENCE.encode(fork()), NETWORK) == VOTED_TWICE


def test_votes_out_of_batches_prove_as_much():
    filler = [digest(bytes([n])) for n in range(5)]
    votes = [vote(ALICE, entry, ids=[*filler, entry.id, digest(entry.id)]) for entry in (FIRST, SECOND)]
    assert verify_evidence(EVIDENCE.encode(fork(votes=votes)), NETWORK).offender == net.key(ALICE)


def test_the_place_of_a_witness_has_no_incarnation():
    other = net.entry(ERIN, Bond(1, "agent"), incarnation=1)
    assert verify_evidence(EVIDENCE.encode(fork(second=other)), NETWORK).kind == VOTE_FORK


def test_votes_at_two_places_prove_nothing():
    for other in (
        net.entry(ERIN, Bond(1, "agent"), seq=2, prev=FIRST.id),
        net.entry(DAVE, Bond(1, "agent")),
    ):
        assert code(EVIDENCE.encode(fork(second=other))) == "not_evidence"


def test_votes_for_one_place_in_two_epochs_prove_nothing():
    # An honest witness votes again at the place of a void entry, in the next epoch.
    again = net.entry(ERIN, Bond(2, "agent"), epoch=2)
    votes = vote(ALICE, FIRST), vote(ALICE, again, epoch=2)
    assert code(EVIDENCE.encode(fork(second=again, votes=votes))) == "not_evidence"


def test_one_vote_twice_proves_nothing():
    assert code(EVIDENCE.encode(fork(second=FIRST))) == "not_evidence"
    twice = vote(ALICE, FIRST), vote(ALICE, FIRST, ids=[FIRST.id, digest(b"x")])
    assert code(EVIDENCE.encode(fork(second=FIRST, votes=twice))) == "not_evidence"


def test_nobody_is_framed_with_votes_of_another():
    assert code(EVIDENCE.encode(replace(fork(), witness=net.key(BOB)))) == "bad_signature"
    mixed = vote(ALICE, FIRST), vote(BOB, SECOND)
    assert code(EVIDENCE.encode(fork(votes=mixed))) == "bad_signature"


def test_nobody_is_framed_with_a_vote_moved_to_another_entry():
    assert code(EVIDENCE.encode(fork(votes=(vote(ALICE, FIRST), vote(ALICE, FIRST))))) == "bad_signature"
    both = [FIRST.id, digest(b"other")]
    votes = vote(ALICE, FIRST), replace(vote(ALICE, FIRST, ids=both), index=1)
    assert code(EVIDENCE.encode(fork(votes=votes))) == "bad_signature"


def test_votes_of_another_set_network_or_epoch_prove_nothing():
    assert code(EVIDENCE.encode(replace(fork(), set=bytes(32)))) == "bad_signature"
    elsewhere = [vote(ALICE, entry, network=bytes(32)) for entry in (FIRST, SECOND)]
    assert code(EVIDENCE.encode(fork(votes=elsewhere))) == "bad_signature"
    late = [vote(ALICE, entry, epoch=2) for entry in (FIRST, SECOND)]
    assert code(EVIDENCE.encode(fork(votes=late))) == "bad_signature"


def test_an_entry_that_nobody_signed_proves_nothing():
    forged = replace(
        fork(), second=replace(fork().second, header=SignedHeader(SECOND.signed.header, bytes(64)))
    )
    assert code(EVIDENCE.encode(forged)) == "bad_signature"


# Bytes


def test_evidence_has_a_size():
    assert code(bytes(EVIDENCE_MAX_BYTES + 1)) == "too_large"
    assert code(bytes(EVIDENCE_MAX_BYTES)) == "trailing"


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x81\xa4kind\xa5other", b"\xc0", b"\x01"])
def test_what_is_no_evidence_is_refused(data):
    code(data)


@pytest.mark.parametrize("evidence", [EntryFork(FIRST.signed, SECOND.signed), fork()], ids=EVIDENCE.name_of)
def test_spoilt_evidence_proves_nothing(evidence):
    data = EVIDENCE.encode(evidence)
    assert EVIDENCE.decode(data) == evidence
    rng = random.Random(5)
    for _ in range(300):
        at = rng.randrange(len(data))
        for spoilt in (
            data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
            data[:at] + data[rng.randrange(at + 1, len(data) + 1) :],
            data + rng.randbytes(1),
        ):
            code(spoilt)


def test_a_transfer_to_the_accuser_is_no_defence():
    bribe = net.entry(ERIN, Transfer(net.key(ALICE), 5, b""))
    assert verify_evidence(entry_fork(FIRST.signed, bribe.signed), NETWORK).offender == net.key(ERIN)
