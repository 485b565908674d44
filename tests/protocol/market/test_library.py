"""The library on whole cores: documents come from whoever sells by them, and from a hostile server nothing does."""

import pytest

from troth_node.testing.stage import Stage
from troth_protocol.market.document import compose_document
from troth_protocol.market.library import (
    ANSWERS_MAX,
    ASKS_MAX,
    CACHE_MAX,
    PATIENCE_TICKS,
    REPEAT_TICKS,
    TABLE,
    Fetched,
    NotFetched,
)
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import DocumentMsg, WantDocument

ALMA, BRUNO, EMIL = 0, 1, 4


def made(name="flights/weather", prose="Thousandths of a °F."):
    fields = {"name": name, "version": "1", "description": "A signal.", "multiround": "false"}
    return compose_document(fields, prose, {"type": "object"})


WEATHER, TIP = made(), made("flights/tip")


@pytest.fixture
def stage():
    """Alma sells by two documents; Emil would like to read them."""
    found = Stage()
    found.documents[ALMA] = (WEATHER, TIP)
    found.start()
    found.settle()
    return found


def want(stage, document=WEATHER, seller=ALMA):
    stage.core(EMIL).library.want(stage.key(seller), document.id)
    stage.flush(EMIL)


def held(stage, agent=EMIL, document=WEATHER):
    return stage.core(agent).library.find(document.id)


def ticks(stage, times):
    for _ in range(times):
        stage.fire("tick", EMIL)
        stage.settle()


def failures(stage):
    return [(event.document, event.reason) for event in stage.notices(EMIL, NotFetched)]


def test_a_seller_announces_what_it_sells_by(stage):
    hello = stage.core(EMIL).peers[stage.key(ALMA)]
    assert hello.documents == (("flights/weather", WEATHER.id), ("flights/tip", TIP.id))
    assert stage.core(EMIL).peers[stage.key(BRUNO)].documents == ()
    library = stage.core(ALMA).library
    assert library.named("flights/tip") == TIP
    assert library.named("flights/lies") is None


def test_a_document_is_fetched_verified_and_kept(stage):
    want(stage)
    assert held(stage) is None
    stage.settle()
    assert held(stage) == WEATHER
    assert [event.document for event in stage.notices(EMIL, Fetched)] == [WEATHER]
    assert stage.seats[EMIL].disk.find(TABLE, WEATHER.id) == WEATHER.data


def test_it_is_there_after_a_restart_and_served_to_others(stage):
    want(stage)
    stage.settle()
    stage.crash(EMIL, ALMA)
    stage.start(EMIL)
    stage.settle()
    assert held(stage) == WEATHER
    stage.core(BRUNO).library.want(stage.key(EMIL), WEATHER.id)
    stage.flush(BRUNO)
    stage.settle()
    assert held(stage, BRUNO) == WEATHER


@pytest.mark.parametrize("damage", [b"rot", TIP.data])
def test_a_damaged_row_is_forgotten_and_fetched_again(stage, damage):
    want(stage)
    stage.settle()
    stage.seats[EMIL].disk.tables[TABLE][WEATHER.id] = damage
    stage.crash(EMIL)
    stage.start(EMIL)
    stage.settle()
    assert held(stage) is None
    assert stage.seats[EMIL].disk.find(TABLE, WEATHER.id) is None
    want(stage)
    stage.settle()
    assert held(stage) == WEATHER


def test_who_does_not_hold_it_says_so(stage):
    want(stage, seller=BRUNO)
    stage.settle()
    assert failures(stage) == [(WEATHER.id, "it does not hold it")]
    want(stage)
    stage.settle()
    assert held(stage) == WEATHER


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (TIP.data, "bad_digest"),
        (WEATHER.data + b" ", "bad_digest"),
        (b"", "bad_digest"),
        (bytes(32_768), "bad_digest"),
    ],
)
def test_a_server_that_gives_another_text_is_at_fault_and_asked_no_more(stage, text, refused):
    want(stage, seller=BRUNO)
    stage.lose()
    stage.say(BRUNO, EMIL, DocumentMsg(WEATHER.id, text))
    assert stage.faults(EMIL) == [refused]
    assert [key for key, _ in failures(stage)] == [WEATHER.id]
    assert held(stage) is None
    ticks(stage, PATIENCE_TICKS)
    assert len(stage.mails(WantDocument)) == 1
    want(stage)  # an honest seller is asked, and served as ever
    stage.settle()
    assert held(stage) == WEATHER


def test_a_text_that_is_no_document_is_refused_although_its_hash_is_right(stage):
    stage.core(EMIL).library.want(stage.key(ALMA), digest(b"prose"))
    stage.flush(EMIL)
    stage.lose()
    stage.say(ALMA, EMIL, DocumentMsg(digest(b"prose"), b"prose"))
    assert stage.faults(EMIL) == ["bad_document"]
    assert stage.core(EMIL).library.find(digest(b"prose")) is None


def test_an_oversized_text_does_not_even_become_a_message(stage):
    want(stage)
    stage.lose()
    name = digest(bytes(32_769))
    stage.core(EMIL).frame(stage.key(ALMA), b"\x83\xa2id\xc4\x20" + name + b"\xa4text\xc5\x80\x01" + bytes(32_769)
                           + b"\xa4type\xa8document")  # fmt: skip
    stage.flush(EMIL)
    assert stage.faults(EMIL) == ["bad_field"]


def test_what_was_not_asked_for_or_of_another_is_dropped(stage):
    stage.say(BRUNO, EMIL, DocumentMsg(WEATHER.id, WEATHER.data))
    want(stage)
    stage.lose()
    stage.say(BRUNO, EMIL, DocumentMsg(WEATHER.id, WEATHER.data))
    stage.say(BRUNO, EMIL, DocumentMsg(WEATHER.id))
    assert held(stage) is None
    assert (stage.faults(EMIL), failures(stage)) == ([], [])


def test_a_lost_ask_is_repeated(stage):
    want(stage)
    stage.lose()
    ticks(stage, REPEAT_TICKS)
    assert held(stage) == WEATHER


def test_a_server_that_never_answers_is_given_up(stage):
    want(stage, seller=BRUNO)
    for _ in range(PATIENCE_TICKS):
        stage.lose()
        stage.fire("tick", EMIL)
    stage.lose()
    assert failures(stage) == [(WEATHER.id, "no answer")]
    assert len(stage.mails(WantDocument)) == PATIENCE_TICKS // REPEAT_TICKS
    want(stage)
    stage.settle()
    assert held(stage) == WEATHER


def test_asks_end_with_the_link(stage):
    want(stage)
    want(stage, TIP, BRUNO)
    stage.lose()
    stage.crash(ALMA)
    assert failures(stage) == [(WEATHER.id, "the link is gone")]


def test_one_peer_at_a_time_is_asked_for_a_document(stage):
    want(stage, seller=BRUNO)
    want(stage)
    assert [mail.target for mail in stage.mails(WantDocument)] == [BRUNO]


def test_asks_are_bounded(stage):
    library = stage.core(EMIL).library
    for number in range(ASKS_MAX + 1):
        library.want(stage.key(BRUNO), digest(bytes([number])))
    stage.flush(EMIL)
    assert failures(stage) == [(digest(bytes([ASKS_MAX])), "too many documents are asked for already")]
    assert len(stage.mails(WantDocument)) == ASKS_MAX


def test_answers_are_bounded_until_the_next_tick(stage):
    for _ in range(ANSWERS_MAX + 5):
        stage.say(BRUNO, ALMA, WantDocument(TIP.id))
    assert len(stage.mails(DocumentMsg)) == ANSWERS_MAX
    stage.fire("tick", ALMA)
    stage.say(BRUNO, ALMA, WantDocument(TIP.id))
    assert len(stage.mails(DocumentMsg)) == ANSWERS_MAX + 1


def test_the_oldest_leave_when_there_are_too_many(stage):
    library, seller = stage.core(EMIL).library, stage.key(ALMA)
    documents = [made(prose=f"Number {number}.") for number in range(CACHE_MAX + 1)]
    for document in documents:
        library.want(seller, document.id)
        library.received(seller, DocumentMsg(document.id, document.data))
    stage.flush(EMIL)
    assert library.find(documents[0].id) is None
    assert library.find(documents[1].id) == documents[1]
    assert len(stage.seats[EMIL].disk.tables[TABLE]) == CACHE_MAX
