"""Votes and certificates verify from their bytes alone, for their epoch, set, network and entry, and for no other."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_node.testing.ledger import Ledger
from troth_protocol.errors import Invalid
from troth_protocol.log.committee import Committee, Member
from troth_protocol.log.ops import Bond
from troth_protocol.log.vote import (
    BATCH_MAX,
    CERTIFICATE,
    VOTE,
    Certificate,
    is_vote_of,
    sign_votes,
    verify_certificate,
    verify_vote,
)
from troth_protocol.wire.codec import decode
from troth_protocol.wire.crypto import digest

ledger = Ledger(8, 7)
NETWORK, SET = ledger.network, ledger.committee
IDS = [digest(bytes([number])) for number in range(9)]


def votes_of(agent, ids=IDS[:1], epoch=1, committee=SET, network=NETWORK):
    return sign_votes(ledger.keys[agent], network, epoch, committee, ids)


def code(action, *args):
    with pytest.raises(Invalid) as refusal:
        action(*args)
    return refusal.value.code


def certificate(*agents, entry=IDS[0], **changes):
    votes = tuple(votes_of(agent, [entry], **changes)[0] for agent in agents)
    return Certificate(entry, 1, votes)


def bond_in(bench):
    return bench.entry(0, Bond(1, "agent"))


# Votes


@pytest.mark.parametrize("size", [1, 2, 3, 9, BATCH_MAX])
def test_one_signature_covers_a_batch(size):
    ids = [digest(number.to_bytes(2, "big")) for number in range(size)]
    votes = votes_of(0, ids)
    assert len({vote.signature for vote in votes}) == 1
    for vote, entry in zip(votes, ids, strict=True):
        verify_vote(vote, entry, NETWORK, 1, SET)
        assert VOTE.decode(VOTE.encode(vote)) == vote


def test_a_batch_of_one_has_no_branch():
    assert votes_of(0)[0].branch == ()


def test_only_a_member_votes_and_no_more_than_a_batch():
    with pytest.raises(ValueError, match="only a member"):
        votes_of(7)
    with pytest.raises(ValueError, match="at most 256"):
        votes_of(0, [bytes(32)] * (BATCH_MAX + 1))


def test_a_vote_is_for_its_entry_only():
    first, second = votes_of(0, IDS[:2])
    assert code(verify_vote, first, IDS[1], NETWORK, 1, SET) == "bad_branch"
    assert code(verify_vote, second, IDS[0], NETWORK, 1, SET) == "bad_branch"
    assert code(verify_vote, first, IDS[2], NETWORK, 1, SET) == "bad_branch"


def test_a_vote_is_for_its_network_epoch_and_set_only():
    vote = votes_of(0)[0]
    assert code(verify_vote, vote, IDS[0], bytes(32), 1, SET) == "bad_signature"
    assert code(verify_vote, vote, IDS[0], NETWORK, 2, SET) == "bad_signature"
    heavier = Committee(tuple(replace(member, weight=member.weight + 1) for member in SET.members))
    assert code(verify_vote, vote, IDS[0], NETWORK, 1, heavier) == "bad_signature"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"member": 7}, "bad_member"),
        ({"member": -1}, "bad_member"),
        ({"root": bytes(32)}, "bad_branch"),
        ({"index": 2}, "bad_branch"),
        ({"index": 99}, "bad_branch"),
        ({"size": 0}, "bad_branch"),
        ({"size": 5}, "bad_branch"),
        ({"branch": ()}, "bad_branch"),
        ({"branch": (b"",)}, "bad_branch"),
        ({"signature": bytes(64)}, "bad_signature"),
    ],
)
def test_a_changed_vote_is_refused(change, expected):
    vote = votes_of(0, IDS[:2])[0]
    assert code(verify_vote, replace(vote, **change), IDS[0], NETWORK, 1, SET) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"member": 64},
        {"index": BATCH_MAX},
        {"size": BATCH_MAX + 1},
        {"branch": [IDS[0]] * 9},
        {"signature": bytes(63)},
    ],
    ids=str,
)
def test_a_vote_has_its_bounds(change):
    value = decode(VOTE.encode(votes_of(0)[0]))
    widest = {"member": 63, "index": BATCH_MAX - 1, "size": BATCH_MAX, "branch": [IDS[0]] * 8}
    VOTE.load(value | widest)
    assert code(VOTE.load, value | change) == "bad_field"


def test_a_certificate_has_one_to_64_votes():
    value = decode(CERTIFICATE.encode(certificate(0)))
    CERTIFICATE.load(value | {"votes": value["votes"] * 64})
    for count in (0, 65):
        assert code(CERTIFICATE.load, value | {"votes": value["votes"] * count}) == "bad_field"


def test_a_vote_of_one_member_is_not_anothers():
    vote = votes_of(0)[0]
    other = (vote.member + 1) % 7
    assert code(verify_vote, replace(vote, member=other), IDS[0], NETWORK, 1, SET) == "bad_signature"


def test_whose_vote_it_was():
    vote = votes_of(0, IDS[:2])[0]
    arguments = (vote, IDS[0], NETWORK, 1, SET.digest)
    assert is_vote_of(ledger.key(0), *arguments)
    assert not is_vote_of(ledger.key(1), *arguments)
    assert not is_vote_of(ledger.key(0), vote, IDS[1], NETWORK, 1, SET.digest)
    assert not is_vote_of(ledger.key(0), vote, IDS[0], NETWORK, 2, SET.digest)
    assert not is_vote_of(ledger.key(0), vote, IDS[0], NETWORK, 1, bytes(32))
    assert not is_vote_of(ledger.key(0), replace(vote, size=0), IDS[0], NETWORK, 1, SET.digest)


# Certificates


def test_five_of_seven_certify():
    made = certificate(0, 1, 2, 3, 4)
    verify_certificate(CERTIFICATE.decode(CERTIFICATE.encode(made)), NETWORK, SET)


def test_the_order_of_votes_makes_no_difference():
    verify_certificate(certificate(4, 2, 0, 1, 3), NETWORK, SET)


def test_four_of_seven_do_not():
    assert code(verify_certificate, certificate(0, 1, 2, 3), NETWORK, SET) == "not_enough_weight"


def test_one_member_counts_once():
    assert code(verify_certificate, certificate(0, 1, 2, 3, 3), NETWORK, SET) == "bad_member"


def test_weight_decides_not_numbers():
    uneven = Ledger(4, 4, weights=[70, 10, 10, 10])
    heavy = uneven.certify(bond_in(uneven), [0])
    verify_certificate(heavy, uneven.network, uneven.committee)
    light = uneven.certify(bond_in(uneven), [1, 2, 3])
    assert code(verify_certificate, light, uneven.network, uneven.committee) == "not_enough_weight"


def test_exactly_the_quorum_is_enough():
    bench = Ledger(4, 4)
    bench.committee = Committee(tuple(replace(member, weight=1) for member in bench.committee.members))
    assert bench.committee.quorum == 3
    entry = bond_in(bench)
    verify_certificate(bench.certify(entry, [0, 1, 2]), bench.network, bench.committee)
    few = bench.certify(entry, [0, 1])
    assert code(verify_certificate, few, bench.network, bench.committee) == "not_enough_weight"


def test_exactly_two_thirds_are_not_enough():
    thirds = Ledger(3, 3)
    entry = bond_in(thirds)
    assert (
        code(verify_certificate, thirds.certify(entry, [0, 1]), thirds.network, thirds.committee)
        == "not_enough_weight"
    )
    verify_certificate(thirds.certify(entry, [0, 1, 2]), thirds.network, thirds.committee)


@pytest.mark.parametrize("network", [bytes(32), bytes([1]) * 32])
def test_votes_of_another_network_certify_nothing(network):
    assert code(verify_certificate, certificate(0, 1, 2, 3, 4), network, SET) == "bad_signature"


def test_votes_of_another_epoch_certify_nothing():
    made = certificate(0, 1, 2, 3, 4, epoch=2)
    assert code(verify_certificate, made, NETWORK, SET) == "bad_signature"
    verify_certificate(replace(made, epoch=2), NETWORK, SET)
    assert (
        code(verify_certificate, replace(certificate(0, 1, 2, 3, 4), epoch=2), NETWORK, SET)
        == "bad_signature"
    )


def test_one_foreign_vote_among_enough_others_spoils_a_certificate():
    good = certificate(0, 1, 2, 3, 4, 5).votes
    for spoilt in (
        votes_of(6, IDS[1:2])[0],
        votes_of(6, epoch=0)[0],
        replace(good[0], member=SET.index(ledger.key(6))),
    ):
        with pytest.raises(Invalid):
            verify_certificate(Certificate(IDS[0], 1, (*good, spoilt)), NETWORK, SET)


def test_old_members_certify_nothing_in_a_new_set():
    keys = sorted(ledger.key(n) for n in range(1, 8))
    new = Committee(tuple(Member(key, 1) for key in keys))
    made = certificate(1, 2, 3, 4, 5)
    renumbered = tuple(replace(vote, member=new.index(SET.members[vote.member].key)) for vote in made.votes)
    assert code(verify_certificate, replace(made, votes=renumbered), NETWORK, new) == "bad_signature"


def test_a_place_outside_the_set_is_refused():
    made = certificate(0, 1, 2, 3, 4)
    outside = replace(made.votes[0], member=63)
    assert code(verify_certificate, replace(made, votes=(*made.votes, outside)), NETWORK, SET) == "bad_member"


@given(st.lists(st.integers(0, 6), max_size=9), st.integers(0, 3))
def test_a_certificate_holds_exactly_if_distinct_members_outweigh_two_thirds(agents, other):
    """Any list of signers; the first `other` of them sign another entry."""
    votes = [
        votes_of(agent, [IDS[1] if number < other else IDS[0]])[0] for number, agent in enumerate(agents)
    ]
    good = len(set(agents)) == len(agents) >= 5 and other == 0
    try:
        verify_certificate(Certificate(IDS[0], 1, tuple(votes)), NETWORK, SET)
    except Invalid:
        assert not good
    else:
        assert good


def test_a_spoilt_certificate_certifies_nothing():
    batch = [IDS[3], IDS[0], IDS[4]]
    votes = tuple(votes_of(agent, batch)[1] for agent in range(5))
    data = CERTIFICATE.encode(Certificate(IDS[0], 1, votes))
    verify_certificate(CERTIFICATE.decode(data), NETWORK, SET)
    rng = random.Random(8)
    for _ in range(400):
        at = rng.randrange(len(data))
        spoilt = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        with pytest.raises(Invalid):
            verify_certificate(CERTIFICATE.decode(spoilt), NETWORK, SET)
