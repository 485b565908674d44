"""Claims: backed by the seller's bond, pending for two closes, undone by the proof of a misdelivery."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth_node.testing.ledger import Ledger
from troth_node.testing.samples import RULES, TOKEN, sample_misdelivery
from troth_protocol.close.claims import slash_seller
from troth_protocol.close.findings import Findings
from troth_protocol.evidence import MISDELIVERY
from troth_protocol.log.ops import Accuse, Bond, LockOp, Unbond
from troth_protocol.log.rows import Account, Claim, Lock
from troth_protocol.log.sealed import lock_id
from troth_protocol.wire.crypto import digest

ALMA, BRUNO, CARLA, DAVE, BUYER, SELLER = range(6)
PPM = 1_000_000


class Shop(Ledger):
    """A ledger on which agent 5 sells junk to agent 4, under a bond of 20 tokens."""

    def __init__(self, bond=20 * TOKEN):
        super().__init__()
        if bond:
            self.put(SELLER, Bond(bond, "agent"))
            self.close()

    def key_of(self, number):
        return digest(b"key" + bytes([number]))

    def evidence(self, number=0, buyer=BUYER):
        return sample_misdelivery(
            self.keys[SELLER],
            self.network,
            self.key(buyer),
            self.key_of(number),
            question=self.question(),
        )

    def lock(self, number=0, amount=5 * TOKEN, buyer=BUYER, until=60):
        op = LockOp(self.key(SELLER), amount, digest(self.key_of(number)), self.epoch + until)
        return lock_id(self.put(buyer, op).id, 0)

    def claim(self, *locks):
        """Close with claims in a report: (lock, number of its key)."""
        return self.close(Findings(claims={key: self.key_of(number) for key, number in locks}))

    def balances(self):
        return [self.account(agent).balance // TOKEN for agent in (BUYER, SELLER)]

    def backed(self, key):
        return self.state.find("claims", key, Claim).backed


def accused(shop, *evidence, reporter=BUYER):
    for data in evidence:
        shop.put(reporter, Accuse(data))
    return shop.close()


# Accusations


def test_an_accusation_returns_the_price_and_the_bond_pays_it_again():
    shop = Shop()
    key = shop.lock()
    shop.claim((key, 0))
    before, burned = shop.account(BUYER).balance, shop.state.totals().burned
    closed = accused(shop, shop.evidence())
    part = 5 * TOKEN * RULES.reporter_ppm // PPM
    assert shop.account(BUYER).balance == before + 5 * TOKEN + part - RULES.fee
    assert shop.account(SELLER).agent == 15 * TOKEN
    assert shop.state.totals().burned == burned + 5 * TOKEN - part + RULES.fee
    assert shop.state.find("locks", key, Lock) is None
    assert shop.state.find("claims", key, Claim) is None
    ((_, offence),) = closed.offences
    assert (offence.kind, offence.offender, offence.slashed) == (MISDELIVERY, shop.key(SELLER), 5 * TOKEN)
    assert shop.account(SELLER).offences == 1
    assert not shop.account(SELLER).frozen


@pytest.mark.parametrize("late", [0, 1])
def test_the_accusation_may_come_until_the_close_that_would_pay(late):
    shop = Shop()
    shop.claim((shop.lock(), 0))
    for _ in range(late):
        shop.close()
    assert accused(shop, shop.evidence()).offences


def test_after_the_payment_it_is_too_late():
    shop = Shop()
    shop.claim((shop.lock(), 0))
    shop.close()
    shop.close()
    assert shop.balances() == [994, 984]
    assert accused(shop, shop.evidence()).offences == ()


def test_a_claim_can_be_accused_at_the_close_that_records_it():
    shop = Shop()
    key = shop.lock()
    shop.put(BUYER, Accuse(shop.evidence()))
    assert shop.claim((key, 0)).offences
    assert shop.balances()[0] == 1_000


def test_without_a_claim_there_is_nothing_to_undo():
    shop = Shop()
    key = shop.lock()
    assert accused(shop, shop.evidence()).offences == ()
    assert shop.state.find("locks", key, Lock) is not None
    assert shop.account(SELLER).agent == 20 * TOKEN


def test_terms_for_another_buyer_touch_nobody_elses_lock():
    shop = Shop()
    shop.claim((shop.lock(), 0))
    assert accused(shop, shop.evidence(buyer=DAVE)).offences == ()


def test_a_stranger_may_report_and_is_paid_its_part_while_the_buyer_gets_the_price():
    shop = Shop()
    shop.claim((shop.lock(), 0))
    before = shop.account(DAVE).balance
    accused(shop, shop.evidence(), reporter=DAVE)
    assert shop.account(DAVE).balance == before + 5 * TOKEN * RULES.reporter_ppm // PPM - RULES.fee
    assert shop.balances()[0] == 999


def test_accusing_oneself_pays_nothing():
    shop = Shop()
    shop.claim((shop.lock(), 0))
    worth = shop.account(SELLER).worth()
    accused(shop, shop.evidence(), reporter=SELLER)
    assert shop.account(SELLER).worth() == worth - 5 * TOKEN - RULES.fee


def test_evidence_in_a_report_undoes_it_too_and_all_of_the_slash_burns():
    shop = Shop()
    key = shop.lock()
    shop.claim((key, 0))
    burned = shop.state.totals().burned
    findings = Findings()
    findings.add_evidence(shop.evidence())
    assert shop.close(findings).offences
    assert shop.balances() == [999, 979]
    assert shop.state.totals().burned == burned + 5 * TOKEN


def test_one_lock_is_undone_once_and_two_are_one_offence_that_costs_twice():
    shop = Shop()
    first, second = shop.lock(0), shop.lock(1, buyer=DAVE)
    shop.claim((first, 0), (second, 1))
    closed = accused(shop, shop.evidence(0), shop.evidence(0), shop.evidence(1, buyer=DAVE))
    assert len({key for key, _ in closed.offences}) == 2
    assert shop.account(SELLER).agent == 10 * TOKEN
    assert shop.account(SELLER).offences == 1
    assert shop.account(DAVE).balance == 1_000 * TOKEN - 3 * RULES.fee


def test_a_misdelivery_after_the_first_was_punished_is_a_second_offence():
    shop = Shop()
    shop.claim((shop.lock(0), 0))
    accused(shop, shop.evidence(0))
    shop.claim((shop.lock(1), 1))
    accused(shop, shop.evidence(1))
    assert shop.account(SELLER).offences == 2


def test_two_locks_under_one_hash_are_one_row():
    shop = Shop()
    first, second = shop.lock(), shop.lock()
    shop.claim((first, 0), (second, 0))
    ((_, offence),) = accused(shop, shop.evidence()).offences
    assert offence.slashed == 10 * TOKEN
    assert shop.account(SELLER).offences == 1


def test_a_claim_from_before_the_punishment_belongs_to_the_first_offence():
    shop = Shop()
    first, second = shop.lock(0), shop.lock(1)
    shop.claim((first, 0), (second, 1))
    accused(shop, shop.evidence(0))
    accused(shop, shop.evidence(1))
    assert shop.account(SELLER).offences == 1
    assert shop.account(SELLER).agent == 10 * TOKEN


# The slash


def test_a_small_price_costs_the_share_of_any_other_offence():
    left = slash_seller(Account(agent=1_000), 1, RULES)
    assert left.agent == 900


def test_what_is_unbonding_pays_after_the_bond_and_never_more_than_there_is():
    account = Account(agent=10, unbonding=(("agent", 5, 70), ("witness", 9, 70), ("agent", 5, 71)))
    assert slash_seller(account, 12, RULES).unbonding == (
        ("agent", 5, 70),
        ("witness", 9, 70),
        ("agent", 3, 71),
    )
    assert slash_seller(account, 99, RULES).worth() == 9


def test_a_seller_that_unbonds_after_its_claim_still_pays():
    shop = Shop()
    shop.claim((shop.lock(), 0))
    shop.put(SELLER, Unbond(20 * TOKEN, "agent"))
    shop.close()
    accused(shop, shop.evidence())
    ((_, amount, _),) = shop.account(SELLER).unbonding
    assert amount == 15 * TOKEN


# What the bond backs


def test_claims_above_the_bond_queue_until_others_are_paid():
    shop = Shop()
    keys = [shop.lock(number, 12 * TOKEN) for number in (0, 1)]
    shop.claim((keys[0], 0))
    shop.claim((keys[1], 1))
    assert [shop.backed(key) for key in keys] == [2, None]
    shop.close()
    assert shop.state.find("locks", keys[0], Lock) is None, "paid"
    assert shop.backed(keys[1]) == 4, "and the next one is taken in at the same close"
    shop.close()
    shop.close()
    assert shop.balances() == [975, 1_003]


def test_of_one_epoch_the_smaller_lock_id_goes_first():
    shop = Shop()
    numbers = {shop.lock(number, 12 * TOKEN): number for number in range(3)}
    shop.claim(*numbers.items())
    assert [shop.backed(key) for key in sorted(numbers)] == [2, None, None]


def test_what_does_not_fit_holds_up_nothing_that_does():
    shop = Shop()
    large, small = shop.lock(0, 30 * TOKEN), shop.lock(1, 5 * TOKEN)
    shop.claim((large, 0))
    shop.claim((small, 1))
    assert (shop.backed(large), shop.backed(small)) == (None, 3)


def test_without_a_bond_a_claim_waits_for_one():
    shop = Shop(bond=0)
    key = shop.lock(until=2)
    shop.claim((key, 0))
    for _ in range(5):
        shop.close()
    assert shop.backed(key) is None
    shop.put(SELLER, Bond(5 * TOKEN, "agent"))
    shop.close()
    assert shop.backed(key) == 7


def test_a_queued_claim_can_be_accused_too():
    shop = Shop(bond=0)
    shop.claim((shop.lock(), 0))
    for _ in range(4):
        shop.close()
    assert accused(shop, shop.evidence()).offences
    assert shop.balances()[0] == 999


def test_an_unbond_backs_no_new_claim():
    shop = Shop()
    shop.put(SELLER, Unbond(18 * TOKEN, "agent"))
    key = shop.lock()
    shop.claim((key, 0))
    assert shop.backed(key) is None


MOVES = st.lists(
    st.tuples(st.sampled_from(["lock", "claim", "accuse", "close", "bond", "unbond"]), st.integers(0, 3)),
    max_size=16,
)


@settings(max_examples=40, deadline=None)
@given(MOVES)
def test_pending_claims_stay_below_the_bond_and_the_books_balance(moves):
    shop = Shop()
    locks = {}
    for what, number in moves:
        if what == "lock" and number not in locks:
            locks[number] = shop.lock(number, (number + 1) * 4 * TOKEN, until=3)
        elif what == "claim" and number in locks:
            shop.claim((locks[number], number))
        elif what == "accuse":
            shop.put(BUYER, Accuse(shop.evidence(number)))
        elif what == "bond":
            shop.put(SELLER, Bond(4 * TOKEN, "agent"))
        elif what == "unbond" and shop.account(SELLER).agent > 8 * TOKEN and not shop.book.moved():
            shop.put(SELLER, Unbond(4 * TOKEN, "agent"))
        else:
            shop.close()
        assert shop.state.is_conserved()
        fresh = [
            shop.state.find("locks", key, Lock).amount
            for key, claim in shop.state.items("claims", Claim)
            if claim.backed == shop.epoch - 1
        ]
        if fresh:
            pending = sum(
                shop.state.find("locks", key, Lock).amount
                for key, claim in shop.state.items("claims", Claim)
                if claim.backed is not None
            )
            assert pending <= shop.account(SELLER).agent
