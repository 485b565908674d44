"""What outlives the process reads back as it was written, or is refused as damaged."""

import pytest

from troth_node.testing.ledger import Ledger, persisted
from troth_protocol.effects import Effects
from troth_protocol.errors import Invalid
from troth_protocol.log.book import Missing
from troth_protocol.log.keep import (
    epoch_key,
    keep,
    pack_stored,
    pack_vote,
    place_key,
    unpack_stored,
    unpack_vote,
)
from troth_protocol.log.ops import Bond
from troth_protocol.log.vote import VOTE as VOTE_RECORD
from troth_protocol.log.vote import sign_votes
from troth_protocol.wire.codec import encode

ledger = Ledger(5, 4)
ENTRY = ledger.entry(0, Bond(5, "agent"))
CERTIFICATE = ledger.certify(ENTRY)
VOTE = sign_votes(ledger.keys[0], ledger.network, 1, ledger.committee, [ENTRY.id])[0]


def test_keys_sort_by_epoch_author_and_seq():
    places = [
        (1, b"a" * 32, 2),
        (1, b"a" * 32, 300),
        (1, b"b" * 32, 1),
        (2, b"a" * 32, 1),
        (300, b"a" * 32, 1),
    ]
    keys = [place_key(*place) for place in places]
    assert keys == sorted(keys)
    assert all(key.startswith(epoch_key(epoch)) for key, (epoch, _, _) in zip(keys, places, strict=True))


def test_a_certified_entry_there_and_back():
    assert unpack_stored(pack_stored(ENTRY, CERTIFICATE), ledger.network) == (ENTRY, CERTIFICATE)


def test_a_vote_there_and_back():
    assert unpack_vote(pack_vote(ENTRY, VOTE_RECORD.encode(VOTE)), ledger.network) == (ENTRY, VOTE)


@pytest.mark.parametrize("unpack", [unpack_stored, unpack_vote])
@pytest.mark.parametrize("value", [[], [b"", b"", b""], ["a", b""], [b"", 1], {}, 1])
def test_another_row_is_refused(unpack, value):
    with pytest.raises(Invalid) as refusal:
        unpack(encode(value), ledger.network)
    assert refusal.value.code == "bad_row"


def test_every_flipped_bit_is_noticed():
    for data, unpack in (
        (pack_stored(ENTRY, CERTIFICATE), unpack_stored),
        (pack_vote(ENTRY, VOTE_RECORD.encode(VOTE)), unpack_vote),
    ):
        whole = unpack(data, ledger.network)
        for at in range(0, 8 * len(data), 37):
            flipped = bytearray(data)
            flipped[at // 8] ^= 1 << at % 8
            try:
                found = unpack(bytes(flipped), ledger.network)
            except Invalid:
                continue
            # A bit of a vote: its signature is verified when the book takes the certificate in.
            assert found[0] == whole[0]
            assert found[1] != whole[1]


def test_what_is_kept_is_in_the_book_and_on_disk_once():
    book, out = ledger.new_book(), Effects()
    assert keep(book, out, ENTRY, CERTIFICATE)
    assert not keep(book, out, ENTRY, CERTIFICATE)
    rows = persisted(out.drain(), "entries")
    assert [(row.key, row.value) for row in rows] == [
        (place_key(1, ledger.key(0), 1), pack_stored(ENTRY, CERTIFICATE))
    ]


def test_what_the_book_refuses_is_not_on_disk():
    book, out = ledger.new_book(), Effects()
    orphan = ledger.entry(0, Bond(5, "agent"), seq=2, prev=ENTRY.id)
    with pytest.raises(Missing):
        keep(book, out, orphan, ledger.certify(orphan))
    with pytest.raises(Invalid):
        keep(book, out, ENTRY, ledger.certify(ENTRY, [0]))
    assert out.drain() == []
