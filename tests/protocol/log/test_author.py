"""The author: one entry under way, on disk before it leaves, the same bytes until it is final or a new epoch opens."""

from dataclasses import replace

import pytest

from troth_node.testing.ledger import Ledger, persisted, sent
from troth_node.testing.writing import Scene, notices
from troth_protocol.effects import Effects, Persist, Send
from troth_protocol.errors import Invalid
from troth_protocol.log.author import BODY_MAX_BYTES, Author, Finalized, Refused
from troth_protocol.log.committee import Committee
from troth_protocol.log.entry import DEPS_MAX, ENTRY_MAX_BYTES, OPS_MAX, load_entry
from troth_protocol.log.keep import place_key, unpack_stored
from troth_protocol.log.ops import EVIDENCE_MAX_BYTES, OPS, Accuse, Bond, Transfer
from troth_protocol.log.vote import CERTIFICATE, sign_votes, verify_certificate
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import Certified

ALICE, BOB, CAROL, DAVE, ERIN = range(5)  # the first four are witnesses
ONE, TWO, THREE = (Bond(amount, "agent") for amount in (1, 2, 3))


@pytest.fixture
def scene():
    return Scene()


def code(action, *args):
    with pytest.raises(Invalid) as refusal:
        action(*args)
    return refusal.value.code


# From submission to final


def test_an_entry_is_on_disk_before_any_witness_sees_it(scene):
    scene.author.submit((ONE,))
    effects = scene.pump()
    assert [type(effect) for effect in effects] == [Persist] + [Send] * 4
    [data] = {message.entry for _, message in sent(effects)}
    entry = load_entry(data, scene.net.network)
    assert (effects[0].table, effects[0].key) == ("own", place_key(1, scene.net.key(ERIN), 1))
    assert (effects[0].value, effects[0].once) == (entry.data, True)
    assert {peer for peer, _ in sent(effects)} == {member.key for member in scene.net.committee.members}


def test_three_of_four_votes_make_a_certificate_on_disk_before_anybody_is_told(scene):
    scene.author.submit((ONE,))
    entry = scene.submitted()
    assert scene.vote(entry, ALICE, BOB) == []
    effects = scene.vote(entry, CAROL)
    assert [type(effect) for effect in effects] == [Persist] + [Send] * 4
    stored, certificate = unpack_stored(effects[0].value, scene.net.network)
    verify_certificate(certificate, scene.net.network, scene.net.committee)
    assert stored == entry
    told = dict(sent(effects))
    assert told[scene.net.key(ALICE)] == Certified(CERTIFICATE.encode(certificate), None)
    assert told[scene.net.key(DAVE)] == Certified(CERTIFICATE.encode(certificate), entry.data)


def test_three_of_four_acks_make_it_final(scene):
    number = scene.author.submit((ONE,))
    entry = scene.submitted()
    scene.vote(entry, ALICE, BOB, CAROL)
    assert scene.ack(entry, ALICE, BOB) == []
    assert scene.ack(entry, CAROL) == [Finalized(number, entry.id)]
    assert scene.ack(entry, DAVE) == []
    assert scene.author.is_idle()


def test_exactly_the_quorum_is_enough():
    """Four witnesses of weight one: three is the quorum to the unit."""
    scene = Scene()
    net = scene.net
    net.committee = Committee(tuple(replace(member, weight=1) for member in net.committee.members))
    net.book = net.new_book()
    scene.author.open(net.book)
    assert net.committee.quorum == 3
    number = scene.author.submit((ONE,))
    entry = scene.submitted()
    assert scene.vote(entry, ALICE, BOB) == []
    assert scene.vote(entry, CAROL) != []
    assert scene.ack(entry, ALICE, BOB) == []
    assert scene.ack(entry, CAROL) == [Finalized(number, entry.id)]


def test_an_author_is_idle_when_nothing_is_queued_or_on_its_way(scene):
    assert scene.author.is_idle()
    scene.author.submit((ONE,))
    assert not scene.author.is_idle()
    entry = scene.submitted()
    assert not scene.author.is_idle()
    scene.vote(entry, ALICE, BOB, CAROL)
    assert not scene.author.is_idle()
    scene.ack(entry, ALICE, BOB, CAROL)
    assert scene.author.is_idle()


def test_an_ack_counts_once_and_from_witnesses_only(scene):
    scene.author.submit((ONE,))
    entry = scene.submitted()
    scene.vote(entry, ALICE, BOB, CAROL)
    assert scene.ack(entry, ALICE, ALICE, ALICE, ERIN, ERIN) == []


def test_an_ack_before_the_certificate_counts_for_nothing(scene):
    scene.author.submit((ONE,))
    entry = scene.submitted()
    assert scene.ack(entry, ALICE, BOB, CAROL) == []
    scene.vote(entry, ALICE, BOB, CAROL)
    assert not scene.author.is_idle()


def test_one_entry_at_a_time_the_next_when_the_certificate_exists(scene):
    scene.author.submit((ONE,))
    first = scene.submitted()
    scene.author.submit((TWO,))
    assert scene.submitted() is None
    scene.vote(first, ALICE, BOB, CAROL)
    second = scene.submitted()
    assert (second.header.seq, second.header.prev) == (2, first.id)


def test_what_is_queued_together_goes_into_one_entry(scene):
    numbers = [scene.author.submit((op,)) for op in (ONE, TWO, THREE)]
    entry = scene.submitted()
    assert entry.ops == (ONE, TWO, THREE)
    assert [notice.number for notice in scene.finish(entry)] == numbers


def test_nothing_is_signed_before_it_is_allowed_or_an_epoch_is_open():
    early = Author(Ledger().keys[ERIN], Effects())
    assert not early.is_allowed
    early.submit((ONE,))
    early.is_allowed = True
    early.pump()
    early.stored(bytes(32), (bytes(32),))
    early.resend()
    early.supply(bytes(32), (bytes(32),))
    assert early.out.drain() == []
    scene = Scene()
    scene.author.is_allowed = False
    scene.author.submit((ONE,))
    assert scene.pump() == []


# Votes


def test_a_vote_counts_once(scene):
    scene.author.submit((ONE,))
    entry = scene.submitted()
    assert scene.vote(entry, ALICE, ALICE, ALICE, BOB, BOB) == []


def test_a_vote_is_taken_from_its_witness_only(scene):
    net = scene.net
    scene.author.submit((ONE,))
    entry = scene.submitted()
    [vote] = sign_votes(net.keys[ALICE], net.network, 1, net.committee, [entry.id])
    for peer in (net.key(BOB), net.key(ERIN), digest(b"nobody")):
        scene.author.voted(peer, entry.id, vote)
    assert scene.vote(entry, BOB, CAROL) == []


def test_a_bad_vote_raises_and_counts_for_nothing(scene):
    net = scene.net
    scene.author.submit((ONE,))
    entry = scene.submitted()
    [vote] = sign_votes(net.keys[ALICE], net.network, 1, net.committee, [entry.id])
    [other] = sign_votes(net.keys[ALICE], net.network, 1, net.committee, [digest(b"x")])
    [late] = sign_votes(net.keys[ALICE], net.network, 2, net.committee, [entry.id])
    assert (
        code(scene.author.voted, net.key(ALICE), entry.id, replace(vote, signature=bytes(64)))
        == "bad_signature"
    )
    assert code(scene.author.voted, net.key(ALICE), entry.id, other) == "bad_branch"
    assert code(scene.author.voted, net.key(ALICE), entry.id, late) == "bad_signature"
    assert scene.vote(entry, BOB, CAROL) == []
    assert scene.vote(entry, ALICE) != []


def test_a_vote_for_another_entry_or_too_late_is_ignored(scene):
    scene.author.submit((ONE,))
    entry = scene.submitted()
    other = scene.net.entry(ERIN, TWO)
    assert scene.vote(other, ALICE, BOB, CAROL) == []
    scene.vote(entry, ALICE, BOB, CAROL)
    assert scene.vote(entry, DAVE) == []


# Refusals


def test_what_the_rules_refuse_is_said_and_does_not_block_the_log(scene):
    bad = scene.author.submit((Bond(10**30, "agent"),))
    scene.author.submit((ONE,))
    effects = scene.pump()
    assert [(notice.number, notice.code) for notice in notices(effects)] == [(bad, "insufficient_balance")]
    [entry] = {message.entry for _, message in sent(effects)}
    assert load_entry(entry, scene.net.network).ops == (ONE,)


def test_of_submissions_that_do_not_go_together_the_later_is_refused(scene):
    half = scene.net.account(ERIN).balance * 2 // 3
    first = scene.author.submit((Bond(half, "agent"),))
    second = scene.author.submit((Bond(half, "agent"),))
    third = scene.author.submit((ONE,))
    effects = scene.pump()
    assert [type(notice) for notice in notices(effects)] == [Refused]
    assert notices(effects)[0].number == second
    [data] = {message.entry for _, message in sent(effects)}
    assert [notice.number for notice in scene.finish(load_entry(data, scene.net.network))] == [first, third]


def test_a_submission_is_all_or_nothing(scene):
    scene.author.submit((ONE, Bond(10**30, "agent")))
    effects = scene.pump()
    assert [notice.code for notice in notices(effects)] == ["insufficient_balance"]
    assert sent(effects) == []
    assert scene.author.is_idle()


def test_only_refusals_leave_no_entry(scene):
    scene.author.submit((Bond(10**30, "agent"),))
    assert persisted(scene.pump(), "own") == []


def test_a_submission_waits_for_its_deps(scene):
    net = scene.net
    paid = net.entry(ALICE, Transfer(net.key(ERIN), 5, b""))
    scene.author.submit((ONE,))
    scene.author.submit((TWO,), (paid.id,))
    scene.author.submit((THREE,))
    first = scene.submitted()
    assert first.ops == (ONE,)
    scene.finish(first)
    assert scene.submitted() is None
    net.book.add(paid, net.certify(paid))
    second = scene.submitted()
    assert (second.ops, second.deps) == ((TWO, THREE), (paid.id,))


def test_deps_that_never_came_block_no_later_epoch(scene):
    number = scene.author.submit((ONE,), (digest(b"never"),))
    scene.author.submit((TWO,))
    assert scene.submitted() is None
    scene.next_epoch()
    entry = scene.submitted()
    assert (entry.ops, entry.deps) == ((ONE, TWO), ())
    assert Finalized(number, entry.id) in scene.finish(entry)


def test_the_same_epoch_opened_again_keeps_deps(scene):
    net = scene.net
    paid = net.put(ALICE, Transfer(net.key(ERIN), 5, b""))
    scene.author.submit((ONE,), (paid.id,))
    scene.author.open(net.book)
    assert scene.submitted().deps == (paid.id,)


def test_a_dep_that_was_sealed_meanwhile_is_left_out(scene):
    net = scene.net
    paid = net.put(ALICE, Transfer(net.key(ERIN), 5, b""))
    everything = Bond(net.account(ERIN).balance + 5 - net.genesis.rules.fee, "agent")
    scene.author.submit((everything,), (paid.id,))
    void = scene.submitted()
    assert void.deps == (paid.id,)
    scene.next_epoch()
    entry = scene.submitted()
    assert (entry.ops, entry.deps) == ((everything,), ())


# Sizes


@pytest.mark.parametrize(
    ("ops", "deps", "expected"),
    [
        ((), (), "no_ops"),
        ((ONE,) * (OPS_MAX + 1), (), "entry_too_large"),
        ((Accuse(bytes(60_000)), Accuse(bytes(60_000))), (), "entry_too_large"),
        ((ONE,), tuple(digest(bytes([n % 256, n >> 8])) for n in range(DEPS_MAX + 1)), "entry_too_large"),
        ((Bond(-1, "agent"),), (), "bad_amount"),
        ((Bond(1, "king"),), (), "bad_field"),
        ((Transfer(bytes(32), 1, bytes(65)),), (), "bad_field"),
        ((Accuse(bytes(EVIDENCE_MAX_BYTES + 1)),), (), "bad_field"),
    ],
)
def test_what_no_entry_could_hold_is_refused_at_once_and_blocks_nothing(scene, ops, deps, expected):
    assert code(scene.author.submit, ops, deps) == expected
    assert scene.author.is_idle()
    assert scene.author.submit((ONE,)) == 1
    assert scene.submitted().ops == (ONE,)


def test_the_largest_ops_fit_an_entry():
    scene = Scene()
    scene.author.submit((Accuse(bytes(EVIDENCE_MAX_BYTES)),))
    assert len(scene.submitted().data) <= ENTRY_MAX_BYTES


def test_the_fullest_entry_with_the_most_deps_is_one_that_others_take(scene):
    net = scene.net
    deps = [digest(bytes([n])) for n in range(DEPS_MAX)]
    room = BODY_MAX_BYTES - len(OPS.encode(Accuse(bytes(70_000)))) - len(OPS.encode(Accuse(bytes(300)))) - 50
    ops = (Accuse(bytes(70_000)), Accuse(bytes(room)))
    scene.author.submit(ops, tuple(deps))
    made = scene.author._make(net.book, list(scene.author._queue))
    assert len(made.data) > ENTRY_MAX_BYTES - 5_000
    load_entry(made.data, net.network)


def test_bytes_that_do_not_fit_one_entry_go_into_the_next(scene):
    frame = len(OPS.encode(Accuse(bytes(60_000)))) - 60_000
    half, rest = BODY_MAX_BYTES // 2, BODY_MAX_BYTES - BODY_MAX_BYTES // 2
    exact = [Accuse(bytes(size - frame - 1)) for size in (half, rest)]
    for op in (*exact, Accuse(b"")):
        scene.author.submit((op,))
    first = scene.submitted()
    assert first.ops == tuple(exact)
    scene.vote(first, ALICE, BOB, CAROL)
    assert scene.submitted().ops == (Accuse(b""),)


def test_ops_that_do_not_fit_one_entry_go_into_the_next(scene):
    for _ in range(OPS_MAX + 5):
        scene.author.submit((ONE,))
    first = scene.submitted()
    assert len(first.ops) == OPS_MAX
    scene.vote(first, ALICE, BOB, CAROL)
    assert len(scene.submitted().ops) == 5


def test_deps_that_do_not_fit_one_entry_go_into_the_next(scene):
    net = scene.net
    paid = [net.put(ALICE, Transfer(net.key(ERIN), 1, b"")).id for _ in range(DEPS_MAX + 1)]
    for dep in paid:
        scene.author.submit((Bond(1, "agent"),), (dep, paid[0]))
    first = scene.submitted()
    assert (len(first.ops), len(first.deps)) == (DEPS_MAX, DEPS_MAX)
    scene.vote(first, ALICE, BOB, CAROL)
    assert scene.submitted().deps == tuple(sorted({paid[0], paid[-1]}))


def test_a_bad_submission_among_many_that_do_not_fit_together(scene):
    """The bad one is refused, what fits is sent, the rest waits."""
    large = Accuse(bytes(BODY_MAX_BYTES // 2))
    bad = scene.author.submit((Bond(10**30, "agent"),))
    scene.author.submit((large,))
    scene.author.submit((large,))
    effects = scene.pump()
    assert [notice.number for notice in notices(effects)] == [bad]
    [data] = {message.entry for _, message in sent(effects)}
    entry = load_entry(data, scene.net.network)
    assert entry.ops == (large,)
    scene.vote(entry, ALICE, BOB, CAROL)
    assert scene.submitted().ops == (large,)


# Saying it again


def test_what_waits_is_sent_again_after_a_whole_interval_and_then_more_rarely(scene):
    scene.author.submit((ONE,))
    scene.submitted()
    counts = []
    for _ in range(9):
        scene.author.resend_late()
        counts.append(len(sent(scene.author.out.drain())))
    assert [interval for interval, count in enumerate(counts, 1) if count] == [2, 4, 8]


def test_only_who_has_not_answered_is_asked_again(scene):
    scene.author.submit((ONE,))
    entry = scene.submitted()
    scene.vote(entry, ALICE)
    scene.author.resend()
    assert {peer for peer, _ in sent(scene.author.out.drain())} == {
        scene.net.key(n) for n in (BOB, CAROL, DAVE)
    }
    scene.vote(entry, BOB, CAROL)
    scene.ack(entry, DAVE)
    scene.author.resend()
    again = sent(scene.author.out.drain())
    assert {peer for peer, _ in again} == {scene.net.key(n) for n in (ALICE, BOB, CAROL)}
    assert all(message.entry == entry.data for _, message in again)


def test_a_peer_that_came_back_is_asked_alone(scene):
    scene.author.submit((ONE,))
    scene.submitted()
    scene.author.resend(scene.net.key(BOB))
    assert [peer for peer, _ in sent(scene.author.out.drain())] == [scene.net.key(BOB)]
    scene.author.resend(scene.net.key(ERIN))
    assert scene.author.out.drain() == []


def test_a_witness_is_supplied_with_what_it_misses(scene):
    net = scene.net
    paid = net.put(ALICE, Transfer(net.key(ERIN), 5, b""))
    scene.author.supply(net.key(BOB), (paid.id, digest(b"unknown")))
    [(peer, message)] = sent(scene.author.out.drain())
    assert (peer, message.entry) == (net.key(BOB), paid.data)


def test_nobody_else_is(scene):
    net = scene.net
    paid = net.put(ALICE, Transfer(net.key(ERIN), 5, b""))
    for peer in (net.key(ERIN), digest(b"stranger")):
        scene.author.supply(peer, (paid.id,) * 512)
    assert scene.author.out.drain() == []


def test_what_is_queued_or_under_way_is_held_until_it_is_final(scene):
    scene.author.submit((ONE, TWO))
    assert [scene.author.holds(op) for op in (ONE, TWO, THREE)] == [True, True, False]
    entry = scene.submitted()
    assert scene.author.holds(ONE)
    scene.vote(entry, ALICE, BOB, CAROL)
    assert scene.author.holds(TWO)
    scene.ack(entry, ALICE, BOB, CAROL)
    assert not scene.author.holds(ONE)
