"""The board on whole cores: a card reaches everybody, what is over goes, and a hostile peer fills nothing."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth_node.testing.samples import seed
from troth_node.testing.stage import Stage
from troth_protocol.effects import Effects
from troth_protocol.market import board as board_module
from troth_protocol.market.board import (
    BOARD_TABLE,
    BOARDS_MAX,
    LIFE_EPOCHS,
    RENEW_EPOCHS,
    Board,
    Posted,
    read_posting,
)
from troth_protocol.market.card import RENEWALS_MAX, SLOTS_MAX, Announcement, Card, sign_posting
from troth_protocol.wire.codec import encode
from troth_protocol.wire.crypto import KeyPair, digest
from troth_protocol.wire.messages import AnnounceMsg, CardMsg, WantCards

ALMA, BRUNO, CARLA, DORA, EMIL = range(5)
CARD = Card("alma", "troth/1", topics=("coin",), endpoints=("/ip4/192.0.2.1/tcp/4001",))
WANT = Announcement("want", "coin", "coin/tip", weight_ppm=50_000)


class Line(Stage):
    """The same cores, each linked to the next one only."""

    def start(self, *agents, is_restored=False):
        super().start(*agents, is_restored=is_restored)
        for one in self.up():
            for other in self.up():
                if abs(one - other) > 1:
                    self.core(one).link_down(self.key(other))
        self.lose(lambda mail: abs(mail.source - mail.target) > 1)


@pytest.fixture
def line():
    made = Line()
    made.start()
    made.settle()
    made.sent.clear()
    return made


def publish(stage, agent=ALMA, card=CARD):
    stage.core(agent).board.publish(card)
    stage.flush(agent)


def announce(stage, agent=ALMA, item=WANT):
    done = stage.core(agent).board.announce(item)
    stage.flush(agent)
    return done


def known(stage, agent, of=ALMA):
    return stage.core(agent).board.card(stage.key(of))


def wants(stage, agent, of=ALMA):
    return [item.document for item in stage.core(agent).board.announcements(stage.key(of))]


def posted(stage, agent):
    return [event.item for event in stage.notices(agent, Posted)]


def stranger(number):
    return KeyPair.from_seed(digest(b"stranger" + number.to_bytes(4, "big")))


def card_of(stage, keys, **fields):
    card = replace(CARD, name="x", key=keys.public, epoch=1, expires=9)
    return sign_posting(keys, stage.network, replace(card, **fields))


def say(stage, message, source=ALMA, target=EMIL):
    stage.say(source, target, message)


def test_a_card_goes_from_link_to_link_to_everybody_once(line):
    publish(line)
    line.settle()
    expected = replace(CARD, key=line.key(ALMA), epoch=1, expires=1 + LIFE_EPOCHS)
    assert [known(line, agent) for agent in range(5)] == [expected] * 5
    assert posted(line, EMIL) == [expected]
    sent = Counter((mail.source, mail.target) for mail in line.mails(CardMsg))
    assert sent == {(0, 1): 1, (1, 2): 1, (2, 3): 1, (3, 4): 1}


def test_an_announcement_follows_its_card(line):
    assert not announce(line), "nobody would know whose it is"
    publish(line)
    assert announce(line)
    line.settle()
    assert [wants(line, agent) for agent in range(5)] == [["coin/tip"]] * 5
    assert line.core(EMIL).board.announcements()[0].weight_ppm == 50_000


def test_the_same_is_not_said_twice_until_it_is_half_over(line):
    publish(line)
    announce(line)
    line.settle()
    line.sent.clear()
    publish(line)
    assert not announce(line)
    line.settle()
    assert line.sent == []
    chain = line.core(ALMA).chain
    chain.epoch += RENEW_EPOCHS
    line.core(ALMA).board.opened()
    assert announce(line)
    assert (known(line, ALMA).epoch, known(line, ALMA).seq) == (1 + RENEW_EPOCHS, 0)


def test_what_changes_is_renewed_at_once_but_not_for_ever(line):
    for number in range(RENEWALS_MAX + 3):
        publish(line, card=replace(CARD, name=f"alma {number}"))
    line.settle()
    assert (known(line, EMIL).name, known(line, EMIL).seq) == (f"alma {RENEWALS_MAX}", RENEWALS_MAX)
    line.core(ALMA).chain.epoch += 1
    line.core(ALMA).board.opened()
    assert known(line, ALMA).name == f"alma {RENEWALS_MAX + 2}"


def test_slots_are_free_again_when_nobody_renews_what_was_there(line):
    publish(line)
    done = [announce(line, item=replace(WANT, document=f"tip {number}")) for number in range(SLOTS_MAX + 1)]
    assert done == [True] * SLOTS_MAX + [False]
    line.settle()
    assert len(wants(line, EMIL)) == SLOTS_MAX
    line.core(ALMA).chain.epoch += LIFE_EPOCHS + 1
    line.core(ALMA).board.opened()
    assert wants(line, ALMA) == []
    assert announce(line)


def test_other_terms_are_announced_at_once(line):
    publish(line)
    announce(line)
    assert announce(line, item=replace(WANT, weight_ppm=60_000))
    line.settle()
    assert [item.weight_ppm for item in line.core(EMIL).board.announcements()] == [60_000]


def test_a_new_link_asks_for_what_is_held(stage):
    publish(stage)
    announce(stage)
    stage.settle()
    stage.crash(EMIL)
    stage.seats[EMIL].disk.tables.clear()
    stage.crash(ALMA, BRUNO, CARLA)
    stage.start(EMIL)
    stage.settle()
    assert known(stage, EMIL).name == "alma"
    assert wants(stage, EMIL) == ["coin/tip"]


def test_it_is_there_after_a_restart_unless_it_was_damaged(stage):
    publish(stage)
    announce(stage)
    stage.settle()
    rows = stage.seats[EMIL].disk.tables[BOARD_TABLE]
    stage.crash(*range(5))
    stage.start(EMIL)
    assert wants(stage, EMIL) == ["coin/tip"]
    stage.crash(EMIL)
    rows[stage.key(ALMA)] = b"rot"
    stage.start(EMIL)
    assert known(stage, EMIL) is None
    assert rows == {}, "an announcement without a card goes with it"


@pytest.mark.parametrize("row", [encode([]), encode(["a", "b"]), encode([b"", b"", "card"])])
def test_a_row_of_another_form_is_refused(stage, row):
    with pytest.raises(board_module.Invalid, match="bad_row"):
        read_posting(row, stage.network)


def test_what_is_over_is_dropped_when_an_epoch_opens(stage):
    keys = stage.seats[ALMA].keys
    say(stage, card_of(stage, keys, expires=1))
    assert known(stage, EMIL) is not None
    stage.close()
    assert known(stage, EMIL) is None
    assert stage.seats[EMIL].disk.find(BOARD_TABLE, keys.public) is None
    say(stage, card_of(stage, keys, expires=1))
    assert known(stage, EMIL) is None
    assert stage.faults(EMIL) == [], "it may have been good when it was sent"


def test_what_is_ahead_is_asked_for_when_its_epoch_is_here(stage):
    keys = stage.seats[ALMA].keys
    say(stage, card_of(stage, keys, epoch=3, expires=9))
    say(stage, card_of(stage, keys, epoch=2**50, expires=2**50), source=BRUNO)
    assert known(stage, EMIL) is None
    stage.sent.clear()
    stage.close()
    assert [mail.target for mail in stage.mails(WantCards, EMIL)] == [ALMA]
    stage.core(EMIL).link_down(stage.key(BRUNO))


def test_older_news_changes_nothing(stage):
    keys = stage.seats[ALMA].keys
    say(stage, card_of(stage, keys, seq=2, name="new"))
    say(stage, card_of(stage, keys, seq=1, name="old"), source=BRUNO)
    assert known(stage, EMIL).name == "new"
    assert stage.faults(EMIL) == []


def test_garbage_costs_its_sender_a_hearing(stage):
    good = card_of(stage, stage.seats[ALMA].keys)
    say(stage, CardMsg(b"garbage", bytes(64)), source=BRUNO)
    say(stage, good, source=BRUNO)
    assert (stage.faults(EMIL), known(stage, EMIL)) == (["trailing"], None)
    say(stage, good, source=CARLA)
    assert known(stage, EMIL) is not None, "honest peers are still heard"
    stage.close()
    say(stage, card_of(stage, stage.seats[ALMA].keys, seq=1), source=BRUNO)
    assert known(stage, EMIL).seq == 1


@pytest.mark.parametrize("message", ["forged", "foreign"])
def test_forged_and_foreign_cards_are_refused_and_not_passed_on(stage, message):
    keys, other = stage.seats[ALMA].keys, stage.seats[BRUNO].keys
    card = replace(CARD, key=keys.public, epoch=1, expires=9)
    bad = {
        "forged": sign_posting(other, stage.network, card),
        "foreign": sign_posting(keys, digest(b"other network"), card),
    }[message]
    stage.sent.clear()
    say(stage, bad, source=BRUNO)
    assert stage.faults(EMIL) == ["bad_signature"]
    assert known(stage, EMIL) is None
    assert stage.sent == []


def test_a_flood_of_strangers_is_bounded_and_the_rest_is_heard(stage, monkeypatch):
    monkeypatch.setattr(board_module, "STRANGERS_MAX", 3)
    monkeypatch.setattr(board_module, "STRANGERS_TAKEN_MAX", 5)
    monkeypatch.setattr(board_module, "TAKEN_MAX", 8)
    for number in range(20):
        say(stage, card_of(stage, stranger(number)), source=BRUNO)
    assert len(stage.core(EMIL).board.cards()) == 3
    say(stage, card_of(stage, stage.seats[ALMA].keys), source=BRUNO)
    assert known(stage, EMIL) is None, "it has said too much in this epoch"
    say(stage, card_of(stage, stage.seats[ALMA].keys), source=CARLA)
    assert known(stage, EMIL) is not None


def test_where_it_is_full_the_poorest_gives_way(stage, monkeypatch):
    monkeypatch.setattr(board_module, "CARDS_MAX", 2)
    say(stage, card_of(stage, stranger(1)))
    announcement = replace(WANT, key=stranger(1).public, epoch=1, expires=9)
    say(stage, sign_posting(stranger(1), stage.network, announcement))
    say(stage, card_of(stage, stage.seats[ALMA].keys))
    say(stage, card_of(stage, stranger(2)))
    say(stage, card_of(stage, stage.seats[BRUNO].keys))
    say(stage, card_of(stage, stage.seats[CARLA].keys))
    assert {card.key for card in stage.core(EMIL).board.cards()} == {stage.key(ALMA), stage.key(BRUNO)}
    assert stage.core(EMIL).board.announcements() == []
    publish(stage, EMIL)
    assert known(stage, EMIL, EMIL) is not None, "its own card has a place of its own"


def test_an_announcement_without_a_card_is_dropped(stage):
    announcement = replace(WANT, key=stage.key(ALMA), epoch=1, expires=9)
    say(stage, sign_posting(stage.seats[ALMA].keys, stage.network, announcement))
    assert stage.core(EMIL).board.announcements() == []


def test_what_is_shown_is_bounded(stage, monkeypatch):
    monkeypatch.setattr(board_module, "SHOWN_MAX", 2)
    for number in range(4):
        publish(stage, card=replace(CARD, name=str(number)))
    stage.settle()
    assert known(stage, EMIL).name == "1"


def test_a_board_is_shown_so_often_and_no_larger_than_this(stage, monkeypatch):
    publish(stage)
    stage.settle()
    stage.sent.clear()
    for _ in range(BOARDS_MAX + 2):
        stage.say(EMIL, BRUNO, WantCards(1))
    shown = stage.mails(CardMsg)
    assert 0 < len(shown) <= BOARDS_MAX
    stage.close()
    stage.sent.clear()
    monkeypatch.setattr(board_module, "BOARD_BYTES", 10)
    stage.say(EMIL, BRUNO, WantCards(1))
    assert not stage.mails(CardMsg)


def test_whoever_lost_its_disk_goes_beyond_what_it_had_said(stage):
    for number in range(3):
        publish(stage, card=replace(CARD, name=str(number)))
    stage.settle()
    stage.crash(ALMA)
    stage.seats[ALMA].disk.tables.clear()
    stage.start(ALMA)
    publish(stage, card=replace(CARD, name="again"))
    stage.settle()
    assert (known(stage, EMIL).name, known(stage, EMIL).seq) == ("again", 3)


def test_its_own_card_from_somewhere_else_stays_if_it_says_nothing_itself(stage):
    say(stage, card_of(stage, stage.seats[EMIL].keys))
    assert known(stage, EMIL, EMIL).name == "x"


class Books:
    """A ledger in which the first four keys own something."""

    network = digest(b"net")
    epoch = 5

    def __init__(self, keys):
        self._rich = {key.public: 10 * (n + 1) for n, key in enumerate(keys[:4])}
        self.state = self

    def account(self, key):
        return type("A", (), {"worth": lambda _: self._rich.get(key, 0)})()


KEYS = [KeyPair.from_seed(seed(number)) for number in range(8)]
POSTINGS = st.builds(
    lambda who, epoch, seq, life, slot: (who, epoch, seq, epoch + life, slot),
    *(st.integers(0, 7), st.integers(0, 7), st.integers(0, 3), st.integers(0, 9)),
    st.none() | st.integers(0, 7),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(POSTINGS, max_size=30))
def test_in_whatever_order_they_come_the_newest_stays_and_what_is_stored_is_what_is_held(items):
    books, out = Books(KEYS), Effects()
    board = Board(
        KeyPair.from_seed(digest(b"own")), books, type("R", (), {"scan": lambda *_: ()})(), out, set()
    )
    for who, epoch, seq, expires, slot in items:
        dates = {"key": KEYS[who].public, "epoch": epoch, "seq": seq, "expires": expires}
        item = replace(CARD, **dates) if slot is None else replace(WANT, slot=slot, **dates)
        board.received(b"peer", sign_posting(KEYS[who], books.network, item))
    timely = [
        (who, epoch, seq) for who, epoch, seq, end, slot in items if slot is None and epoch <= 6 and end >= 5
    ]
    for card in board.cards():
        who = next(n for n, keys in enumerate(KEYS) if keys.public == card.key)
        assert (card.epoch, card.seq) == max((epoch, seq) for w, epoch, seq in timely if w == who)
    assert {item.key for item in board.announcements()} <= {card.key for card in board.cards()}
    assert len(board.cards()) == len({who for who, *_ in timely})


def test_an_announcement_that_is_garbage_is_a_fault_too(stage):
    say(stage, AnnounceMsg(b"", bytes(64)))
    assert stage.faults(EMIL) == ["empty"]
