"""The vectors of cards, read from their JSON alone: who says what, signed, and where it is posted."""

from __future__ import annotations

from vector_kit import cases, judge, unhex, value

from troth_protocol.market.card import ANNOUNCEMENT, CARD, check_signature, load_posting, place
from troth_protocol.wire.messages import AnnounceMsg, CardMsg

MESSAGES = {"card": (CardMsg, CARD), "announcement": (AnnounceMsg, ANNOUNCEMENT)}


def check_posting(case):
    make, record = MESSAGES[case["kind"]]
    message = make(unhex(case["bytes"]), unhex(case["signature"]))
    item = load_posting(message)
    check_signature(message, item, unhex(case["network"]))
    assert record.dump(item) == value(case["value"])
    assert place(item).hex() == case["place"]


@cases("cards.json")
def test_cards(name, case):
    judge({"posting": check_posting}, case)
