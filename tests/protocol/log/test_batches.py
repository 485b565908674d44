"""Votes for a whole batch in one message: who gets it, what an author makes of it, and how it is spoilt in vain."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_node.testing.ledger import Ledger, persisted, sent
from troth_node.testing.writing import Scene
from troth_protocol.effects import Effects, Persist, Send
from troth_protocol.errors import Invalid
from troth_protocol.log import vote as votes
from troth_protocol.log.author import Author
from troth_protocol.log.committee import Committee
from troth_protocol.log.keep import unpack_stored, unpack_vote
from troth_protocol.log.ops import Bond
from troth_protocol.log.vote import (
    BATCH_MAX,
    VOTE,
    Certificate,
    open_batch,
    sign_votes,
    verify_certificate,
    verify_vote,
)
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import MESSAGES, VoteFor, Votes

ALICE, BOB, CAROL, DAVE, ERIN = range(5)  # the first four are witnesses
PEER, OTHER, THIRD, FOURTH = (digest(name) for name in (b"peer", b"other", b"third", b"fourth"))
ONE, TWO = (Bond(amount, "agent") for amount in (1, 2))
IDS = [digest(number.to_bytes(2, "big")) for number in range(BATCH_MAX + 1)]

ledger = Ledger()
NETWORK, SET = ledger.network, ledger.committee


def votes_of(agent, ids, epoch=1, committee=SET):
    return sign_votes(ledger.keys[agent], NETWORK, epoch, committee, ids)


def batch_of(agent, ids, **changes):
    """A witness's votes for these entries in one message."""
    return Votes(tuple(ids), votes_of(agent, ids, **changes)[0].signature)


def opened(batch, agent, awaited, network=NETWORK, epoch=1, committee=SET):
    """What whoever awaits these entries makes of a batch that came over an agent's link."""
    return open_batch(batch, ledger.key(agent), set(awaited).__contains__, network, epoch, committee)


def code(action, *args, **kwargs):
    with pytest.raises(Invalid) as refusal:
        action(*args, **kwargs)
    return refusal.value.code


# From the message to the votes


@given(st.integers(1, 40), st.data())
def test_the_votes_of_a_message_are_those_that_were_signed(size, data):
    ids = IDS[:size]
    batch = MESSAGES.decode(MESSAGES.encode(batch_of(ALICE, ids)))
    awaited = data.draw(st.sets(st.sampled_from(ids)))
    signed = [
        (entry, vote) for entry, vote in zip(ids, votes_of(ALICE, ids), strict=True) if entry in awaited
    ]
    assert opened(batch, ALICE, awaited) == signed
    for entry, vote in signed:
        verify_vote(vote, entry, NETWORK, 1, SET)


def test_the_largest_batch_fits_one_message():
    batch = batch_of(ALICE, IDS[:BATCH_MAX])
    assert MESSAGES.decode(MESSAGES.encode(batch)) == batch
    assert len(opened(batch, ALICE, IDS)) == BATCH_MAX
    for entries in (tuple(IDS), ()):
        assert code(MESSAGES.decode, MESSAGES.encode(replace(batch, entries=entries))) == "bad_field"


def test_what_is_not_awaited_is_passed_over():
    batch = batch_of(ALICE, IDS[:9])
    assert [entry for entry, _ in opened(batch, ALICE, [IDS[4], IDS[9]])] == [IDS[4]]


def test_a_batch_of_which_nothing_is_awaited_is_not_even_hashed(monkeypatch):
    batch = batch_of(ALICE, IDS[:9])
    monkeypatch.setattr(votes, "leaf_hash", lambda _: pytest.fail("hashed"))
    assert opened(batch, ALICE, [IDS[9]]) == []
    assert opened(batch, ERIN, IDS) == [], "or which no witness sent"


def test_the_sender_is_the_member():
    batch = batch_of(ALICE, IDS[:2])
    for _, vote in opened(batch, ALICE, IDS):
        assert SET.members[vote.member].key == ledger.key(ALICE)
    assert code(opened, batch, BOB, IDS) == "bad_signature"


def test_a_batch_is_for_its_network_epoch_and_set_only():
    batch = batch_of(ALICE, IDS[:3])
    heavier = Committee(tuple(replace(member, weight=member.weight + 1) for member in SET.members))
    for change in ({"network": bytes(32)}, {"epoch": 2}, {"committee": heavier}):
        assert code(opened, batch, ALICE, IDS, **change) == "bad_signature"


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((*IDS[:3], IDS[0]), "duplicate"),
        ((IDS[1], IDS[1], IDS[0]), "duplicate"),
        (IDS[:2], "bad_signature"),
        (IDS[:4], "bad_signature"),
        (IDS[2::-1], "bad_signature"),
        ((*IDS[:2], IDS[3]), "bad_signature"),
    ],
)
def test_a_changed_batch_is_refused(entries, expected):
    batch = replace(batch_of(ALICE, IDS[:3]), entries=tuple(entries))
    assert code(opened, batch, ALICE, IDS[:1]) == expected


def test_a_batch_with_an_entry_twice_is_refused_though_it_is_signed():
    batch = batch_of(ALICE, [IDS[0], IDS[1], IDS[1]])
    assert code(opened, batch, ALICE, IDS[:1]) == "duplicate"


def test_one_signature_is_verified_for_a_batch_and_none_again_for_its_certificates(monkeypatch):
    ids = [digest(b"never signed before %d" % number) for number in range(5)]
    batches = [batch_of(agent, ids) for agent in (ALICE, BOB, CAROL)]
    verified, really = [], votes.verify

    def counting(*args):
        verified.append(args)
        return really(*args)

    monkeypatch.setattr(votes, "verify", counting)
    found = [opened(batch, agent, ids) for agent, batch in enumerate(batches)]
    for of_entry in zip(*found, strict=True):
        made = Certificate(of_entry[0][0], 1, tuple(vote for _, vote in of_entry))
        verify_certificate(made, NETWORK, SET)
    assert len(verified) == 3


# From the witness


def told(witness, net, *peers):
    """These peers hand in an entry each, which are signed in one batch: what each is told, and the ids."""
    entries = [net.entry(agent, ONE) for agent in range(len(peers))]
    for peer, entry in zip(peers, entries, strict=True):
        witness.submit(peer, entry)
    witness.flush()
    answers = sent(witness.out.drain())
    said = {peer: [message for to, message in answers if to == peer] for peer in peers}
    return said, [entry.id for entry in entries]


def test_whoever_asked_for_half_of_a_batch_gets_it_whole_and_the_others_what_they_asked_for():
    net = Ledger()
    witness = net.witness(ALICE)
    said, ids = told(witness, net, PEER, OTHER, PEER, PEER, OTHER, THIRD)
    assert said[PEER] == [Votes(tuple(ids), witness.votes[ids[0]].signature)]
    for peer, asked in ((OTHER, [ids[1], ids[4]]), (THIRD, [ids[5]])):
        assert said[peer] == [VoteFor(entry, VOTE.encode(witness.votes[entry])) for entry in asked]


def test_two_peers_may_get_one_batch_whole():
    net = Ledger()
    said, ids = told(net.witness(ALICE), net, PEER, OTHER, PEER, OTHER)
    assert said[PEER] == said[OTHER]
    assert [message.entries for message in said[PEER]] == [tuple(ids)]


@pytest.mark.parametrize("peers", [(PEER,), (PEER, OTHER), (PEER, PEER, OTHER, THIRD, FOURTH)])
def test_with_one_entry_or_less_than_half_of_a_batch_nobody_gets_it_whole(peers):
    net = Ledger()
    said, _ = told(net.witness(ALICE), net, *peers)
    assert {type(message) for messages in said.values() for message in messages} == {VoteFor}


def test_votes_that_left_together_are_on_disk_first_and_each_can_be_asked_for_again():
    net = Ledger()
    witness = net.witness(ALICE)
    for agent in range(3):
        witness.submit(PEER, net.entry(agent, ONE))
    witness.flush()
    effects = witness.out.drain()
    assert [type(effect) for effect in effects] == [Persist] * 3 + [Send]
    [(_, batch)] = sent(effects)
    kept = [unpack_vote(row.value, net.network) for row in persisted(effects, "votes")]
    assert opened(batch, ALICE, batch.entries) == [(entry.id, vote) for entry, vote in kept]
    for entry, vote in kept:
        witness.submit(PEER, entry)
        assert witness.is_voted(OTHER, entry.data)
        again = VoteFor(entry.id, VOTE.encode(vote))
        assert sent(witness.out.drain()) == [(PEER, again), (OTHER, again)]


# To the author


@pytest.fixture
def scene():
    return Scene()


def vote_together(scene, *agents, entries):
    """Votes for these entries arrive from each of these witnesses in one message; what the author does."""
    for agent in agents:
        batch = batch_of(agent, [entry.id for entry in entries])
        scene.author.voted_together(scene.net.key(agent), batch)
    return scene.author.out.drain()


def test_votes_of_whole_batches_make_a_certificate(scene):
    scene.author.submit((ONE,))
    entry, other = scene.submitted(), scene.net.entry(BOB, TWO)
    assert vote_together(scene, ALICE, BOB, entries=[other, entry]) == []
    made, *_ = vote_together(scene, CAROL, entries=[other, entry])
    found = [votes_of(agent, [other.id, entry.id])[1] for agent in (ALICE, BOB, CAROL)]
    expected = Certificate(entry.id, 1, tuple(sorted(found, key=lambda vote: vote.member)))
    assert unpack_stored(made.value, NETWORK) == (entry, expected)
    assert vote_together(scene, DAVE, entries=[other, entry]) == []


def test_both_forms_count_and_each_witness_once(scene):
    scene.author.submit((ONE,))
    entry = scene.submitted()
    assert vote_together(scene, ALICE, ALICE, entries=[entry]) == []
    assert scene.vote(entry, ALICE, BOB) == []
    assert vote_together(scene, BOB, entries=[entry, scene.net.entry(CAROL, TWO)]) == []
    assert scene.vote(entry, CAROL) != []


def test_votes_for_other_entries_or_of_somebody_else_count_for_nothing(scene):
    scene.author.submit((ONE,))
    entry, other = scene.submitted(), scene.net.entry(ALICE, TWO)
    assert vote_together(scene, ALICE, BOB, CAROL, entries=[other, scene.net.entry(BOB, TWO)]) == []
    for stranger in (scene.net.key(ERIN), digest(b"nobody")):
        scene.author.voted_together(stranger, batch_of(ALICE, [entry.id, other.id]))
    assert scene.vote(entry, BOB, CAROL) == []


def test_bad_votes_raise_and_count_for_nothing(scene):
    scene.author.submit((ONE,))
    entry, other = scene.submitted(), scene.net.entry(BOB, TWO)
    ids = [entry.id, other.id]
    for bad, expected in (
        (replace(batch_of(ALICE, ids), signature=bytes(64)), "bad_signature"),
        (replace(batch_of(ALICE, ids), entries=tuple(ids[::-1])), "bad_signature"),
        (batch_of(BOB, ids), "bad_signature"),
        (batch_of(ALICE, ids, epoch=2), "bad_signature"),
        (batch_of(ALICE, [*ids, other.id]), "duplicate"),
    ):
        assert code(scene.author.voted_together, scene.net.key(ALICE), bad) == expected
    assert vote_together(scene, BOB, CAROL, entries=[entry, other]) == []
    assert vote_together(scene, ALICE, entries=[entry, other]) != []


def test_an_author_without_an_epoch_awaits_nothing():
    early = Author(ledger.keys[ERIN], Effects())
    early.voted_together(ledger.key(ALICE), batch_of(ALICE, IDS[:2]))
    assert early.out.drain() == []
