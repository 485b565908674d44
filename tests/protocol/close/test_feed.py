"""What a witness stores it passes on to whoever asked, so that a seal finds a follower with nothing to fetch."""

import pytest

from troth_node.testing.samples import TOKEN
from troth_node.testing.stage import Stage
from troth_protocol.close import feed as module
from troth_protocol.core import PeerFault
from troth_protocol.log.ops import Transfer
from troth_protocol.wire.messages import MESSAGES, Entries, WantFeed, WantLog

ALMA, BRUNO, CARLA, DAVE, EMIL = range(5)


def pay(stage, times=1):
    for _ in range(times):
        stage.put(BRUNO, Transfer(stage.key(ALMA), TOKEN, b""))


def fed(stage, source=ALMA, target=EMIL):
    """What one agent fed another: at its start Emil has asked another witness than Alma."""
    return [mail.message for mail in stage.mails(Entries, source) if mail.target == target]


def test_a_follower_asks_one_witness_each_epoch_another_one(stage):
    stage.close()
    asked = [mail.target for mail in stage.mails(WantFeed)]
    assert len(asked) == len(set(asked)) == 2
    assert {mail.source for mail in stage.mails(WantFeed)} == {EMIL}


def test_a_fed_follower_has_nothing_to_fetch_at_the_seal():
    stage, finn = Stage(6), 5
    stage.start()
    stage.settle()
    stage.close()
    pay(stage, 3)
    assert not stage.core(finn).chain.book.stored
    stage.tick(1)
    assert len(stage.core(finn).chain.book.stored) == 3
    stage.sent.clear()
    stage.close()
    assert stage.epochs() == [3] * 6
    assert not stage.mails(WantLog)


def test_a_feed_sends_everything_once_and_in_order(stage):
    stage.say(EMIL, ALMA, WantFeed(1))
    stage.say(EMIL, ALMA, WantFeed(1))
    pay(stage, 2)
    stage.tick(2)
    pay(stage)
    stage.tick(2)
    answers = fed(stage)
    assert [len(answer.items) for answer in answers] == [2, 1]
    stored = [item.entry.data for item in stage.core(ALMA).chain.book.stored.values()]
    assert [entry for answer in answers for entry, _ in answer.items] == stored


def test_nobody_is_fed_what_it_wrote_itself(stage):
    stage.say(EMIL, ALMA, WantFeed(1))
    stage.put(EMIL, Transfer(stage.key(ALMA), TOKEN, b""))
    stage.tick(1)
    assert not fed(stage)


def test_a_long_book_goes_in_several_answers(stage, monkeypatch):
    monkeypatch.setattr(module, "FEED_BYTES", 1)
    pay(stage, 3)
    stage.say(EMIL, ALMA, WantFeed(1))
    stage.tick(1)
    assert [len(answer.items) for answer in fed(stage)] == [1, 1, 1]


@pytest.mark.parametrize("epoch", [2, 7])
def test_the_feed_of_another_epoch_is_not_joined(stage, epoch):
    stage.say(EMIL, ALMA, WantFeed(epoch))
    pay(stage)
    stage.tick(1)
    assert not fed(stage)


def test_whoever_left_is_fed_no_more_and_who_is_no_witness_feeds_nobody(stage):
    stage.say(EMIL, ALMA, WantFeed(1))
    stage.core(ALMA).link_down(stage.key(EMIL))
    stage.say(ALMA, EMIL, WantFeed(1))
    pay(stage)
    stage.tick(1)
    assert not fed(stage)
    assert not fed(stage, EMIL, ALMA)


def test_what_is_fed_is_verified_and_only_a_witness_feeds(stage):
    stage.say(BRUNO, EMIL, Entries(1, ((b"x", b"y"),)))
    assert stage.faults(EMIL) == ["bad_field"]
    stage.core(EMIL).frame(bytes(32), MESSAGES.encode(Entries(1, ((b"x", b"y"),))))
    stage.flush(EMIL)
    assert len(stage.notices(EMIL, PeerFault)) == 1  # a stranger's are not even looked at
