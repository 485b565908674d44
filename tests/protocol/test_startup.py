"""A start: nothing is signed before the witnesses were heard, and nothing that an old disk does not know of."""

import pytest

from troth_node.testing.samples import RULES, TOKEN
from troth_node.testing.stage import Stage
from troth_protocol.core import Restoring
from troth_protocol.errors import TrothError
from troth_protocol.log.author import Finalized
from troth_protocol.log.keep import place_key
from troth_protocol.log.ops import Bond, Transfer
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import Certified, Chunk, Gone, Head, Refuse, Submit, VoteFor, WantHead

ALMA, BRUNO, CARLA, DAVE, EMIL, FINN = range(6)
HUGE = 2**53 - 1


def pay(stage, agent=EMIL, to=ALMA):
    return stage.submit(agent, Transfer(stage.key(to), TOKEN, b""))


def made(stage, agent, *, seq=1, amount=1, **place):
    """An entry signed with an agent's key behind its back."""
    return stage.entry(agent, Transfer(stage.key(BRUNO), amount, b""), seq=seq, **place)


# Starting


def test_nothing_is_signed_before_two_thirds_have_answered():
    stage = Stage()
    stage.start()
    hold = lambda mail: isinstance(mail.message, Head) and mail.source in (ALMA, BRUNO, CARLA)  # noqa: E731
    pay(stage)
    stage.settle(but=hold)
    assert not stage.core(EMIL).check.is_cleared
    assert not stage.mails(Submit, EMIL)
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
    signed = len(stage.mails(VoteFor, DAVE))
    stage.settle(but=lambda mail: isinstance(mail.message, Chunk))
    assert not stage.core(DAVE).check.is_cleared, "answers from a later epoch do not clear an old one"
    stage.say(EMIL, DAVE, Submit(made(stage, EMIL, epoch=1).data))
    assert len(stage.mails(VoteFor, DAVE)) == signed
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
    assert len({mail.payload for mail in stage.mails(Submit, EMIL)}) == 1, "the same bytes again"
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
    assert not [mail for mail in stage.mails(Submit, EMIL) if mail.message.entry == other.data]
    assert stage.notices(EMIL, Restoring), "and the witnesses know one that the disk does not"


# Restoring


def restored(stage, agent, backup, *, is_declared=False):
    """The agent's disk is replaced by a backup, which nobody tells it unless it `is_declared`."""
    stage.crash(agent)
    stage.seats[agent].disk = backup
    stage.start(agent, is_restored=is_declared)
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
    restored(stage, DAVE, backup, is_declared=True)
    before = len(stage.mails(VoteFor, DAVE))
    assert stage.core(DAVE).witness is None
    for epoch in (2, 3):
        stage.say(EMIL, DAVE, Submit(made(stage, EMIL, seq=2).data))
        stage.close()
        assert stage.core(DAVE).epoch == epoch
    assert len(stage.mails(VoteFor, DAVE)) == before
    assert stage.core(DAVE).witness is not None, "the restore is over"
    pay(stage)
    stage.settle()
    assert len(stage.mails(VoteFor, DAVE)) > before


def test_the_silence_of_a_restore_begins_where_the_network_is(stage):
    """The backup is epochs old: two epochs from *its* epoch would be over before they began."""
    backup = stage.seats[EMIL].disk.copy()
    for _ in range(4):
        stage.close()
    pay(stage)
    stage.settle()
    restored(stage, EMIL, backup, is_declared=True)
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
