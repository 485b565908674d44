"""A whole node as a pure object: links, epochs, and whatever a hostile peer can put into a frame."""

import random
from dataclasses import replace

import pytest

from troth_node.testing.actor import Actor
from troth_node.testing.samples import RULES, TOKEN
from troth_node.testing.stage import Mail, Stage
from troth_protocol.close.early import EARLY_PEER_MAX
from troth_protocol.close.pace import HOLD_MS, HOLDS_MAX
from troth_protocol.core import SUPPLY_MAX, Core, EpochOpened, PeerHello, Profile, Traded
from troth_protocol.effects import Persist
from troth_protocol.log.author import Finalized
from troth_protocol.log.entry import load_entry
from troth_protocol.log.keep import epoch_key
from troth_protocol.log.ops import Bond, Transfer
from troth_protocol.log.payee import Credited
from troth_protocol.log.vote import CERTIFICATE
from troth_protocol.wire.codec import Value, decode, encode
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import (
    MESSAGES,
    Ballot,
    Certified,
    Entries,
    Gone,
    Hello,
    Refuse,
    SealMsg,
    SealVote,
    StoredAck,
    Submit,
    Trade,
    VoteFor,
    Votes,
    WantCards,
)

ALMA, BRUNO, CARLA, DAVE, EMIL, FINN = range(6)
HUGE = 2**53 - 1


def pay(stage, agent=EMIL, to=ALMA):
    return stage.submit(agent, Transfer(stage.key(to), TOKEN, b""))


def alone(**profile):
    """A network of one witness, with this in its profile."""
    stage = Stage(1, 1)
    seat = stage.seats[ALMA]
    seat.core = Core(stage.genesis, seat.keys, seat.disk, Profile("x", (), "x", bytes(32), **profile))
    seat.core.start()
    stage.flush(ALMA)
    return stage


# Links


def test_peers_introduce_themselves(stage):
    hellos = {notice.hello.name for notice in stage.notices(EMIL, PeerHello)}
    assert hellos == {f"agent {agent}" for agent in range(4)}
    assert set(stage.core(EMIL).peers) == {stage.key(agent) for agent in range(4)}
    stage.core(EMIL).link_down(stage.key(ALMA))
    assert stage.key(ALMA) not in stage.core(EMIL).peers


def test_a_peer_of_another_network_is_at_fault(stage):
    stage.say(ALMA, EMIL, Hello("x", digest(b"other"), "x", (), 0))
    assert stage.faults(EMIL) == ["wrong_network"]


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


def test_an_entry_that_has_a_vote_is_answered_with_the_same_vote_again(stage):
    entry = stage.entry(EMIL, Transfer(stage.key(ALMA), TOKEN, b""))
    for _ in range(2):
        stage.say(EMIL, ALMA, Submit(entry.data))
    first, again = stage.mails(VoteFor, ALMA)
    assert (first.target, first.payload) == (again.target, again.payload) == (EMIL, first.payload)


def test_a_gateway_that_hands_in_entries_of_others_gets_its_batches_whole(stage):
    """Two entries reach each witness before it signs: the gateway's own becomes final by votes in one message."""
    number = pay(stage)
    stage.flush(EMIL)
    [data] = {mail.message.entry for mail in stage.mails(Submit, EMIL)}
    stage.lose()
    other = stage.entry(DAVE, Bond(1, "agent"))
    for witness in (ALMA, BRUNO, CARLA, DAVE):
        for entry in (data, other.data):
            stage.core(witness).frame(stage.key(EMIL), MESSAGES.encode(Submit(entry)))
        stage.flush(witness)
    assert not stage.mails(VoteFor)
    assert [(mail.source, mail.target) for mail in stage.mails(Votes)] == [
        (witness, EMIL) for witness in (ALMA, BRUNO, CARLA, DAVE)
    ]
    stage.settle()
    assert [event.number for event in stage.notices(EMIL, Finalized)] == [number]
    assert stage.faults(EMIL) == []


def test_a_bad_batch_of_votes_is_its_senders_fault_and_one_that_nobody_awaits_is_not(stage):
    entry = stage.entry(EMIL, Bond(1, "agent"))
    stage.say(ALMA, EMIL, Votes((entry.id, digest(b"x")), bytes(64)))
    assert stage.faults(EMIL) == []
    stage.submit(EMIL, Bond(1, "agent"))
    under_way = next(mail.message for mail in stage.mails(Submit, EMIL))
    stage.say(ALMA, EMIL, Votes((load_entry(under_way.entry, stage.genesis.network()).id,), bytes(64)))
    assert stage.faults(EMIL) == ["bad_signature"]


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
    entry = stage.entry(EMIL, Transfer(stage.key(BRUNO), 1, b""), epoch=2)
    for _ in range(EARLY_PEER_MAX + 10):
        stage.say(FINN - 1, ALMA, Submit(entry.data))
    stage.say(BRUNO, ALMA, Ballot(2, b"\xc0"))
    assert len(stage.core(ALMA)._early) == EARLY_PEER_MAX + 1
    stage.close()
    assert stage.faults(ALMA)[-1] == "nil"
    assert stage.epochs() == [2] * 5


def test_a_message_from_further_ahead_is_only_a_hint(stage):
    stage.say(BRUNO, ALMA, Ballot(HUGE, b"\xc0"))
    assert len(stage.core(ALMA)._early) == 0
    assert stage.faults(ALMA) == []


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
    stage.core(ALMA).pace.is_busy = lambda: True
    for _ in range(HOLDS_MAX):
        stage.fire("pace", ALMA)
        assert not stage.core(ALMA).witness.is_stopped
    stage.fire("pace", ALMA)
    assert stage.core(ALMA).witness.is_stopped


def test_a_patient_witness_holds_the_epoch_open_while_entries_keep_coming():
    stage = alone(is_patient=True)
    seat = stage.seats[ALMA]
    stage.put(0, Bond(1, "agent"))
    stage.fire("tick")
    stage.fire("pace")
    assert not seat.core.witness.is_stopped
    assert seat.timers["pace:1"] == min(stage.genesis.pacing.epoch_ms // 4, HOLD_MS)
    stage.fire("tick")
    stage.fire("pace")
    assert seat.core.witness.is_stopped


def test_a_network_started_for_a_while_comes_to_rest():
    stage = alone(last_epoch=1)
    seat = stage.seats[ALMA]
    stage.close()
    assert stage.epochs() == [2]
    stage.close()
    assert stage.epochs() == [2]
    assert not [name for name in seat.timers if name.startswith("pace:2")]


def test_ops_that_are_submitted_together_may_share_an_entry():
    stage = alone(linger_ms=5)
    seat = stage.seats[ALMA]
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


class Listening(Stage):
    """Notes whether the entries that somebody keeps may wait for a sync."""

    def __init__(self):
        super().__init__()
        self.kept = {}

    def carry_out(self, agent, effect):
        if isinstance(effect, Persist) and effect.table == "entries":
            self.kept[agent] = "lazily" if effect.lazy else "synced"
        super().carry_out(agent, effect)


def test_a_witness_that_follows_keeps_entries_synced_as_it_may_be_asked_to_acknowledge_them():
    stage = Listening()
    stage.start()
    stage.settle()
    pay(stage)
    stage.settle(but=lambda mail: mail.target == DAVE)
    (stored,) = stage.core(ALMA).chain.book.stored.values()
    stage.close(but=lambda mail: mail.target == DAVE)
    stage.lose()
    stage.say(ALMA, DAVE, stage.mails(SealMsg, ALMA)[0].message)
    stage.say(ALMA, DAVE, Entries(1, ((stored.entry.data, stored.certificate.data),)))
    assert stage.kept == {EMIL: "lazily", ALMA: "synced", BRUNO: "synced", CARLA: "synced", DAVE: "synced"}


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
    assert len(stage.faults(ALMA)) == 4
    assert len(stage.notices(ALMA, EpochOpened)) == 1
    assert stage.seats[ALMA].disk.scan("chain", epoch_key(1)) == []
