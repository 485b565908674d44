"""A whole node as a pure object: links, starts, restores, epochs, and whatever a hostile peer can put into a frame."""

import random
from dataclasses import replace

import pytest

from troth_node.testing.actor import Actor
from troth_node.testing.samples import RULES, TOKEN
from troth_node.testing.stage import Mail, Stage
from troth_protocol.close.early import EARLY_PEER_MAX
from troth_protocol.core import (
    HOLD_MS,
    HOLDS_MAX,
    SUPPLY_MAX,
    Core,
    EpochOpened,
    PeerFault,
    PeerHello,
    Profile,
    Restoring,
    Traded,
)
from troth_protocol.errors import TrothError
from troth_protocol.log.author import Finalized
from troth_protocol.log.entry import make_entry
from troth_protocol.log.keep import epoch_key, place_key
from troth_protocol.log.ops import Bond, Transfer
from troth_protocol.log.payee import Credited
from troth_protocol.log.vote import CERTIFICATE
from troth_protocol.wire.codec import Value, decode, encode
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import (
    MESSAGES,
    Ballot,
    Certified,
    Chunk,
    Gone,
    Head,
    Hello,
    Refuse,
    SealMsg,
    SealVote,
    StoredAck,
    Submit,
    Trade,
    VoteFor,
    WantCards,
    WantHead,
)

ALMA, BRUNO, CARLA, DAVE, EMIL, FINN = range(6)
HUGE = 2**53 - 1


def pay(stage, agent=EMIL, to=ALMA):
    return stage.submit(agent, Transfer(stage.key(to), TOKEN, b""))


def sent(stage, source, kind):
    return [mail for mail in stage.sent if mail.source == source and isinstance(mail.message, kind)]


def codes(stage, agent):
    return [fault.code for fault in stage.notices(agent, PeerFault)]


def made(stage, agent, *, epoch=None, seq=1, incarnation=0, amount=1):
    """An entry signed with an agent's key behind its back."""
    return make_entry(
        stage.seats[agent].keys,
        stage.network,
        incarnation=incarnation,
        epoch=stage.core(ALMA).epoch if epoch is None else epoch,
        seq=seq,
        prev=bytes(32) if seq == 1 else stage.core(ALMA).chain.book.head(stage.key(agent))[1],
        deps=[],
        ops=[Transfer(stage.key(BRUNO), amount, b"")],
    )


# Links


def test_peers_introduce_themselves(stage):
    hellos = {notice.hello.name for notice in stage.notices(EMIL, PeerHello)}
    assert hellos == {f"agent {agent}" for agent in range(4)}
    assert set(stage.core(EMIL).peers) == {stage.key(agent) for agent in range(4)}
    stage.core(EMIL).link_down(stage.key(ALMA))
    assert stage.key(ALMA) not in stage.core(EMIL).peers


def test_a_peer_of_another_network_is_at_fault(stage):
    stage.say(ALMA, EMIL, Hello("x", digest(b"other"), "x", (), 0))
    assert codes(stage, EMIL) == ["wrong_network"]


def test_a_peer_that_comes_back_is_sent_what_is_under_way(stage):
    pay(stage)
    stage.lose()
    stage.core(EMIL).link_down(stage.key(ALMA))
    stage.core(EMIL).link_up(stage.key(ALMA))
    stage.flush(EMIL)
    assert [type(mail.message) for mail in stage.post if mail.target == ALMA] == [Hello, Submit, WantCards]


def test_a_negotiation_message_goes_to_the_agent_layer(stage):
    stage.say(ALMA, EMIL, Trade(b"body", bytes(64)))
    (traded,) = stage.notices(EMIL, Traded)
    assert (traded.peer, traded.trade.body) == (stage.key(ALMA), b"body")


def test_a_payment_becomes_final_and_the_payee_is_told(stage):
    number = pay(stage, to=ALMA)
    stage.settle()
    assert [event.number for event in stage.notices(EMIL, Finalized)] == [number]
    second = pay(stage, agent=ALMA, to=EMIL)
    stage.settle()
    entry = next(item.entry for item in stage.core(BRUNO).chain.book.stored.values()
                 if item.entry.header.author == stage.key(ALMA))  # fmt: skip
    certificate = stage.core(BRUNO).chain.book.stored[entry.id].certificate
    stage.say(ALMA, EMIL, Certified(CERTIFICATE.encode(certificate), None))
    stage.say(ALMA, EMIL, Certified(CERTIFICATE.encode(certificate), entry.data))
    stage.settle()
    assert {event.payer for event in stage.notices(EMIL, Credited)} == {stage.key(ALMA)}
    assert second


# Starting


def test_nothing_is_signed_before_two_thirds_have_answered():
    stage = Stage()
    stage.start()
    hold = lambda mail: isinstance(mail.message, Head) and mail.source in (ALMA, BRUNO, CARLA)  # noqa: E731
    pay(stage)
    stage.settle(but=hold)
    assert not stage.core(EMIL).check.is_cleared
    assert not sent(stage, EMIL, Submit)
    stage.fire("tick", EMIL)
    stage.settle()
    assert stage.core(EMIL).check.is_cleared
    assert stage.notices(EMIL, Finalized)


def test_answers_to_another_start_count_for_nothing():
    stage = Stage()
    stage.start()
    for witness in range(4):
        stage.say(witness, EMIL, Head(digest(b"another nonce"), 1, None))
    assert not stage.core(EMIL).check.is_cleared


def test_whoever_is_no_witness_has_no_say():
    stage = Stage(6)
    stage.start()
    stage.say(EMIL, FINN, WantHead(digest(b"n")))
    assert [mail.message for mail in stage.post if mail.source == FINN and isinstance(mail.message, Gone)]
    for _ in range(4):
        stage.say(EMIL, FINN, Head(digest(stage.key(FINN) + bytes([1])), 1, None))
    assert not stage.core(FINN).check.is_cleared


def test_a_witness_alone_needs_nobody():
    stage = Stage(2, 1)
    stage.start()
    stage.settle()
    pay(stage, agent=1)
    stage.settle()
    for _ in range(3):
        stage.close()
    assert stage.epochs() == [4, 4]
    assert stage.account(1).balance == 999 * TOKEN - RULES.fee


def test_whoever_is_behind_catches_up_before_it_signs_anything(stage):
    stage.crash(DAVE)
    stage.close()
    stage.start(DAVE)
    signed = len(sent(stage, DAVE, VoteFor))
    stage.settle(but=lambda mail: isinstance(mail.message, Chunk))
    assert not stage.core(DAVE).check.is_cleared, "answers from a later epoch do not clear an old one"
    stage.say(EMIL, DAVE, Submit(made(stage, EMIL, epoch=1).data))
    assert len(sent(stage, DAVE, VoteFor)) == signed
    stage.settle()
    assert stage.core(DAVE).check.is_cleared
    assert stage.core(DAVE).closer is not None


def test_a_claim_of_a_later_epoch_keeps_nobody_from_starting(stage):
    stage.crash(EMIL)
    stage.start(EMIL)
    nonce = stage.core(EMIL).profile.nonce
    stage.say(DAVE, EMIL, Head(nonce, HUGE, None))
    stage.settle(but=lambda mail: mail.source == DAVE)
    assert stage.core(EMIL).check.is_cleared


def test_rows_that_are_damaged_stop_the_start(stage):
    stage.submit(EMIL, Transfer(stage.key(ALMA), TOKEN, b""))
    stage.settle()
    for agent, table in ((ALMA, "votes"), (EMIL, "own")):
        stage.crash(agent)
        rows = stage.seats[agent].disk.tables[table]
        (key,) = rows
        good, rows[key] = rows[key], b"\x90"
        with pytest.raises(TrothError, match="damaged"):
            stage.start(agent)
            stage.settle()
        rows[key] = good
        stage.crash(agent)
        stage.start(agent)
        stage.settle()


def test_an_entry_under_way_goes_on_after_a_crash(stage):
    pay(stage)
    stage.lose()
    stage.crash(EMIL)
    stage.start(EMIL)
    stage.settle()
    assert len({mail.payload for mail in sent(stage, EMIL, Submit)}) == 1, "the same bytes again"
    assert len(stage.core(ALMA).chain.book.stored) == 1


def test_a_certified_entry_is_made_final_after_a_crash(stage):
    pay(stage)
    stage.settle(but=lambda mail: isinstance(mail.message, Certified))
    stage.lose()
    stage.crash(EMIL)
    stage.start(EMIL)
    stage.settle()
    assert len(stage.core(ALMA).chain.book.stored) == 1
    assert stage.notices(EMIL, Finalized)


def test_a_sealed_entry_is_not_taken_up_again(stage):
    pay(stage)
    stage.settle()
    stage.close()
    stage.crash(EMIL)
    stage.start(EMIL)
    stage.settle()
    assert stage.core(EMIL).author.is_idle()


def test_an_own_row_that_another_entry_has_overtaken_is_not_sent_again(stage):
    pay(stage)
    stage.settle()
    other = made(stage, EMIL, seq=1, amount=9)
    stage.crash(EMIL)
    stage.seats[EMIL].disk.tables["own"][place_key(1, stage.key(EMIL), 1)] = other.data
    stage.start(EMIL)
    stage.settle()
    assert not [mail for mail in sent(stage, EMIL, Submit) if mail.message.entry == other.data]
    assert stage.notices(EMIL, Restoring), "and the witnesses know one that the disk does not"


# Restoring


def restored(stage, agent, backup):
    """The agent's disk is replaced by a backup, which nobody tells it."""
    stage.crash(agent)
    stage.seats[agent].disk = backup
    stage.start(agent)
    stage.settle()


def test_an_author_that_lost_an_entry_keeps_silent_and_goes_on_as_another_incarnation(stage):
    backup = stage.seats[EMIL].disk.copy()
    pay(stage)
    stage.settle()
    restored(stage, EMIL, backup)
    core = stage.core(EMIL)
    assert [event.until for event in stage.notices(EMIL, Restoring)][-1] == 3
    pay(stage, to=BRUNO)
    stage.settle()
    assert not core.author.is_allowed
    stage.close()
    assert not core.author.is_allowed, "the open epoch and the next"
    stage.close()
    stage.settle()
    assert core.author.is_allowed
    stage.close()
    account = stage.account(EMIL)
    assert (account.incarnation, account.seq, account.offences) == (1, 2, 0)
    assert stage.account(BRUNO).balance == 1_001 * TOKEN


@pytest.mark.parametrize("is_running", [True, False])
def test_a_vote_alone_is_enough_to_know_better(stage, is_running):
    backup = stage.seats[EMIL].disk.copy()
    pay(stage)
    stage.settle(but=lambda mail: isinstance(mail.message, VoteFor))
    stage.lose()
    if not is_running:
        stage.crash(ALMA, BRUNO, CARLA, DAVE)
        stage.start(ALMA, BRUNO, CARLA, DAVE)
    restored(stage, EMIL, backup)
    assert stage.notices(EMIL, Restoring)


def test_a_conflict_that_shows_a_lost_entry_is_believed(stage):
    lost = made(stage, EMIL)
    stage.say(ALMA, EMIL, Refuse(lost.id, "conflict", "", (), lost.data))
    assert [event.until for event in stage.notices(EMIL, Restoring)] == [3]
    assert not stage.core(EMIL).author.is_allowed


def test_a_conflict_that_shows_what_is_known_or_old_or_foreign_is_not(stage):
    pay(stage)
    own = stage.seats[EMIL].disk.find("own", place_key(1, stage.key(EMIL), 1))
    stage.settle()
    for data in (own, made(stage, BRUNO).data):
        stage.say(ALMA, EMIL, Refuse(bytes(32), "conflict", "", (), data))
    stage.close()
    stage.say(ALMA, EMIL, Refuse(bytes(32), "conflict", "", (), made(stage, EMIL, epoch=1, amount=7).data))
    stage.say(ALMA, EMIL, Refuse(bytes(32), "frozen", "", (), None))
    assert not stage.notices(EMIL, Restoring)


def test_an_old_entry_shown_at_the_start_silences_nobody(stage):
    """Rows of long ago are pruned: whoever shows an entry from then must not stop its author for ever."""
    stage.close()
    stage.crash(EMIL)
    stage.start(EMIL)
    old = made(stage, EMIL, epoch=1)
    stage.say(DAVE, EMIL, Head(stage.core(EMIL).profile.nonce, 2, old.data))
    stage.say(CARLA, EMIL, Head(stage.core(EMIL).profile.nonce, 2, made(stage, BRUNO).data))
    stage.settle()
    assert stage.core(EMIL).check.is_cleared
    assert not stage.notices(EMIL, Restoring)


def test_a_declared_restore_of_a_witness_signs_nothing_for_two_epochs(stage):
    backup = stage.seats[DAVE].disk.copy()
    pay(stage)
    stage.settle()
    stage.crash(DAVE)
    stage.seats[DAVE].disk = backup
    stage.start(DAVE, is_restored=True)
    stage.settle()
    before = len(sent(stage, DAVE, VoteFor))
    assert stage.core(DAVE).witness is None
    for epoch in (2, 3):
        stage.say(EMIL, DAVE, Submit(made(stage, EMIL, seq=2).data))
        stage.close()
        assert stage.core(DAVE).epoch == epoch
    assert len(sent(stage, DAVE, VoteFor)) == before
    assert stage.core(DAVE).witness is not None, "the restore is over"
    pay(stage)
    stage.settle()
    assert len(sent(stage, DAVE, VoteFor)) > before


def test_the_silence_of_a_restore_begins_where_the_network_is(stage):
    """The backup is epochs old: two epochs from *its* epoch would be over before they began."""
    backup = stage.seats[EMIL].disk.copy()
    for _ in range(4):
        stage.close()
    pay(stage)
    stage.settle()
    stage.crash(EMIL)
    stage.seats[EMIL].disk = backup
    stage.start(EMIL, is_restored=True)
    stage.settle()
    core = stage.core(EMIL)
    assert (core.epoch, core.check.silent_until) == (5, 7)
    assert not core.author.is_allowed
    for _ in range(2):
        stage.close()
    assert core.author.is_allowed
    pay(stage)
    stage.settle()
    stage.close()
    assert stage.account(EMIL).incarnation == 1
    assert stage.account(EMIL).offences == 0


# Epochs


def test_a_message_of_the_next_epoch_waits_until_it_opens(stage):
    late = DAVE
    stage.close(but=lambda mail: mail.target == late and isinstance(mail.message, SealVote | SealMsg))
    assert stage.epochs() == [2, 2, 2, 1, 2]
    held, stage.post = stage.post, []
    pay(stage)
    stage.settle(but=lambda mail: mail.target == late and isinstance(mail.message, SealMsg))
    assert stage.core(late).epoch == 1
    assert len(stage.core(late)._early) == 2, "the entry and its certificate"
    stage.post = held
    stage.settle()
    assert stage.epochs() == [2] * 5
    assert len(stage.core(late).chain.book.stored) == 1


def test_early_messages_are_bounded_and_a_bad_one_is_its_senders_fault(stage):
    entry = made(stage, EMIL, epoch=2)
    for _ in range(EARLY_PEER_MAX + 10):
        stage.say(FINN - 1, ALMA, Submit(entry.data))
    stage.say(BRUNO, ALMA, Ballot(2, b"\xc0"))
    assert len(stage.core(ALMA)._early) == EARLY_PEER_MAX + 1
    stage.close()
    assert codes(stage, ALMA)[-1] == "nil"
    assert stage.epochs() == [2] * 5


def test_a_message_from_further_ahead_is_only_a_hint(stage):
    stage.say(BRUNO, ALMA, Ballot(HUGE, b"\xc0"))
    assert len(stage.core(ALMA)._early) == 0
    assert codes(stage, ALMA) == []


def test_a_message_of_an_old_epoch_is_answered_with_its_seal(stage):
    stage.close()
    stage.say(EMIL, ALMA, Ballot(1, b"\xc0"))
    (answer,) = [
        mail.message for mail in stage.post if mail.target == EMIL and isinstance(mail.message, SealMsg)
    ]
    stage.post.clear()
    stage.say(EMIL, ALMA, Ballot(0, b"\xc0"))
    assert not stage.post, "of which there is none to show"
    assert answer


def test_a_timer_of_a_closed_epoch_says_nothing(stage):
    core = stage.core(ALMA)
    stage.close()
    for name in ("pace:1", "grace:1", "propose:1", "slot:1:0"):
        core.timer(name)
    stage.core(EMIL).timer("pace:2")
    assert not list(core.drain())


def test_a_busy_agent_holds_the_epoch_open_for_a_while(stage):
    stage.core(ALMA).is_busy = lambda: True
    for _ in range(HOLDS_MAX):
        stage.fire("pace", ALMA)
        assert not stage.core(ALMA).witness.is_stopped
    stage.fire("pace", ALMA)
    assert stage.core(ALMA).witness.is_stopped


def test_a_patient_witness_holds_the_epoch_open_while_entries_keep_coming():
    stage = Stage(1, 1)
    seat = stage.seats[0]
    seat.core = Core(stage.genesis, seat.keys, seat.disk, Profile("x", (), "x", bytes(32), is_patient=True))
    seat.core.start()
    stage.flush(0)
    stage.put(0, Bond(1, "agent"))
    stage.fire("tick")
    stage.fire("pace")
    assert not seat.core.witness.is_stopped
    assert seat.timers["pace:1"] == min(stage.genesis.pacing.epoch_ms // 4, HOLD_MS)
    stage.fire("tick")
    stage.fire("pace")
    assert seat.core.witness.is_stopped


def test_a_network_started_for_a_while_comes_to_rest():
    stage = Stage(1, 1)
    seat = stage.seats[0]
    seat.core = Core(stage.genesis, seat.keys, seat.disk, Profile("x", (), "x", bytes(32), last_epoch=1))
    seat.core.start()
    stage.flush(0)
    stage.close()
    assert stage.epochs() == [2]
    stage.close()
    assert stage.epochs() == [2]
    assert not [name for name in seat.timers if name.startswith("pace:2")]


def test_ops_that_are_submitted_together_may_share_an_entry():
    stage = Stage(1, 1)
    seat = stage.seats[0]
    seat.core = Core(stage.genesis, seat.keys, seat.disk, Profile("x", (), "x", bytes(32), linger_ms=5))
    seat.core.start()
    stage.flush(0)
    for amount in (1, 2):
        stage.submit(0, Bond(amount, "agent"))
    assert not seat.disk.scan("own", b"")
    seat.core.timer("pump")
    stage.flush(0)
    assert len(seat.disk.scan("own", b"")) == 1


def test_a_set_that_changes_takes_the_newcomer_in_and_lets_the_leaver_go():
    stage = Stage(5, 4, weights=[100] * 4)
    stage.start()
    stage.settle()
    stage.submit(EMIL, Bond(200 * TOKEN, "witness"))
    stage.settle()
    stage.close()
    stage.close()
    assert stage.core(EMIL).witness is not None
    stage.close()
    assert stage.epochs() == [4] * 5
    assert stage.core(ALMA).chain.state.tables["attendance"].rows[stage.key(EMIL)].missed == 0


# Catching up with a set that changes while one starts


def test_answers_of_an_older_set_do_not_count_in_the_new_one():
    stage = Stage(5, 4, weights=[100] * 4)
    stage.start(ALMA, BRUNO, CARLA, EMIL)
    stage.settle()
    stage.submit(EMIL, Bond(200 * TOKEN, "witness"))
    stage.settle()
    stage.start(DAVE)
    stage.settle(
        but=lambda mail: isinstance(mail.message, Head) and mail.target == DAVE and mail.source != ALMA
    )
    assert len(stage.core(DAVE).check.answers) == 2
    stage.lose()
    for _ in range(2):
        stage.freeze(but=lambda mail: isinstance(mail.message, Head))
        for name in ("grace", "propose", "slot", "slot"):
            stage.fire(name)
            stage.settle(but=lambda mail: isinstance(mail.message, Head))
    assert stage.core(DAVE).epoch == 3
    assert not stage.core(DAVE).check.is_cleared
    assert list(stage.core(DAVE).check.answers) == [stage.place(DAVE)]
    stage.settle()
    assert stage.core(DAVE).check.is_cleared


# What a hostile peer can do


def test_missing_entries_are_supplied_to_witnesses_and_a_few_at_a_time(stage):
    for _ in range(SUPPLY_MAX + 4):
        pay(stage)
        stage.settle()
    ids = tuple(stage.core(EMIL).chain.book.stored)
    assert len(ids) > SUPPLY_MAX
    stage.say(ALMA, EMIL, Refuse(bytes(32), "missing", "", ids))
    assert len([mail for mail in stage.post if isinstance(mail.message, Certified)]) == SUPPLY_MAX
    stage.lose()
    other = Stage(6)
    other.start()
    other.settle()
    other.say(FINN, EMIL, Refuse(bytes(32), "missing", "", ids))
    assert not other.post


def test_store_acks_of_another_epoch_are_passed_over(stage):
    pay(stage)
    stage.settle(but=lambda mail: isinstance(mail.message, StoredAck))
    (key,) = stage.core(EMIL).chain.book.stored
    for witness in range(4):
        stage.say(witness, EMIL, StoredAck(2, (key,)))
    assert not stage.notices(EMIL, Finalized)


def _record():
    """Frames of every kind, from a few busy epochs of a small network."""
    stage = Stage(6, rules=replace(RULES, evidence_epochs=2))
    stage.start()
    stage.settle()
    actors = [Actor(1, f"n{agent}") for agent in range(6)]
    for _ in range(5):
        for agent, actor in enumerate(actors):
            for ops in actor.act(stage.core(agent)):
                stage.submit(agent, *ops)
        stage.settle()
        stage.close()
    stage.crash(FINN)
    stage.start(FINN)
    stage.settle()
    return stage


def _spoil(value: Value, rng: random.Random) -> Value:
    """One small lie somewhere inside a value."""
    if isinstance(value, dict) and value:
        key = rng.choice(sorted(value))
        return {**value, key: _spoil(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], _spoil(value[place], rng), *value[place + 1 :]]
    if isinstance(value, bytes) and len(value) > 70:
        try:
            return encode(_spoil(decode(value), rng))
        except Exception:  # noqa: BLE001 - no value inside: spoil the bytes
            pass
    if isinstance(value, bytes):
        return rng.choice([value[:-1], value + b"\0", bytes(len(value)), rng.randbytes(len(value))])
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice([0, 1, value + 1, HUGE, -1])
    return rng.choice([[], {}, "", "9" * 38, value])


@pytest.mark.parametrize("batch", range(4))
def test_whatever_arrives_nothing_but_a_fault_notice_comes_of_it(batch):
    """Spoilt copies of true frames, from strangers and witnesses alike: no exception, and the network goes on."""
    rng = random.Random(batch)
    stage = _record()
    kinds = {type(mail.message): mail for mail in stage.sent}
    assert len(kinds) >= 15
    pool = [*kinds.values(), *rng.sample(stage.sent, 60)]
    for mail in pool:
        for _ in range(6):
            try:
                payload = encode(_spoil(decode(mail.payload), rng))
            except Exception:  # noqa: BLE001 - what cannot be encoded cannot be sent
                continue
            source, target = rng.randrange(6), rng.randrange(6)
            if source != target:
                stage.deliver(Mail(source, target, mail.message, payload))
    stage.settle()
    before = max(stage.epochs())
    for _ in range(3):
        stage.close()
        stage.tick()
    assert min(stage.epochs()) >= before + 1
    assert (
        len(
            {
                core.chain.state.root()
                for core in map(stage.core, range(6))
                if core.epoch == min(stage.epochs())
            }
        )
        == 1
    )


def test_noise_is_the_peers_fault(stage):
    for payload in (b"", b"\xc0", bytes(300), MESSAGES.encode(Gone("x", 1))[:-1]):
        stage.deliver(Mail(EMIL, ALMA, Gone("x", 1), payload))
    assert len(codes(stage, ALMA)) == 4
    assert len(stage.notices(ALMA, EpochOpened)) == 1
    assert stage.seats[ALMA].disk.scan("chain", epoch_key(1)) == []
