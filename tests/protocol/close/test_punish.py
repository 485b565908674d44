"""Each offence is punished once, within its window; the reporter's part is capped and the rest burns."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth_node.testing.ledger import Ledger, copy_state
from troth_node.testing.samples import RULES, TOKEN, sample_fork
from troth_protocol.close.ballots import (
    CANDIDATE,
    DOMAINS,
    FINALIZE,
    NOTARIZE,
    SKIP,
    Instance,
    Signed,
    Statement,
    propose,
)
from troth_protocol.close.findings import Findings
from troth_protocol.close.punish import is_due, offence_key, punish
from troth_protocol.close.seal import SEAL, Seal, sign_seal
from troth_protocol.evidence import (
    ENTRY_FORK,
    EVIDENCE,
    FinalizeFork,
    FinalizeSkip,
    NotarizeFork,
    Proof,
    ProposalFork,
    SealFork,
    SeenVote,
    SignedPayload,
    VoteFork,
    ballot_fork,
    entry_fork,
    seal_fork,
)
from troth_protocol.genesis import REPORTER_MAX_PPM, load_genesis
from troth_protocol.log.ops import Accuse, Bond, Transfer, Unbond
from troth_protocol.log.rows import Offence
from troth_protocol.log.vote import sign_votes
from troth_protocol.wire.crypto import KeyPair, digest, preimage

ALMA, BRUNO, CARLA, DAVE, EMIL, FINN = range(6)
PPM = 1_000_000


@pytest.fixture
def ledger():
    ledger = Ledger()
    ledger.put(EMIL, Bond(100 * TOKEN, "agent"))
    ledger.close()
    return ledger


def fork(ledger, agent=EMIL, epoch=None, incarnation=None):
    halves = [
        ledger.entry(agent, Transfer(ledger.key(FINN), n, b""), epoch=epoch, incarnation=incarnation).signed
        for n in (1, 2)
    ]
    return entry_fork(*halves)


def vote_fork(ledger, agent=ALMA):
    seen = []
    for n in (1, 2):
        entry = ledger.entry(EMIL, Transfer(ledger.key(FINN), n, b""))
        (vote,) = sign_votes(ledger.keys[agent], ledger.network, ledger.epoch, ledger.committee, [entry.id])
        seen.append(SeenVote(entry.signed, vote))
    seen.sort(key=lambda half: half.header.header)
    return EVIDENCE.encode(VoteFork(ledger.key(agent), ledger.committee.digest, *seen))


def with_evidence(*evidence):
    findings = Findings()
    for data in evidence:
        findings.add_evidence(data)
    return findings


def test_a_fork_in_a_report_freezes_the_log_and_burns_a_part_of_the_bond(ledger):
    burned = ledger.state.totals().burned
    closed = ledger.close(with_evidence(fork(ledger)))
    ((key, offence),) = closed.offences
    assert key == offence_key(ENTRY_FORK, ledger.key(EMIL))
    assert offence == Offence(ENTRY_FORK, ledger.key(EMIL), 2, 2, 10 * TOKEN)
    account = ledger.account(EMIL)
    assert (account.agent, account.frozen, account.offences) == (90 * TOKEN, True, 1)
    assert ledger.state.totals().burned == burned + 10 * TOKEN
    assert ledger.state.is_conserved()


def test_a_witness_that_voted_twice_loses_half_and_its_seat(ledger):
    closed = ledger.close(with_evidence(vote_fork(ledger)))
    assert [offence.kind for _, offence in closed.offences] == ["vote_fork"]
    account = ledger.account(ALMA)
    assert (account.witness, account.attester, account.frozen) == (50_000 * TOKEN, 50_000 * TOKEN, False)
    assert closed.committee.index(ledger.key(ALMA)) is None
    assert len(closed.committee.members) == 3


def test_whoever_accuses_gets_a_capped_part(ledger):
    evidence = vote_fork(ledger)
    before = ledger.account(FINN).balance
    ledger.put(FINN, Accuse(evidence))
    ledger.close()
    part = min(100_000 * TOKEN * RULES.reporter_ppm // PPM, RULES.reporter_max)
    assert part == RULES.reporter_max
    assert ledger.account(FINN).balance == before + part - RULES.fee


def test_of_two_accusers_the_first_in_key_order_is_paid(ledger):
    evidence = vote_fork(ledger)
    first, second = sorted((EMIL, FINN), key=ledger.key)
    ledger.put(first, Accuse(evidence))
    ledger.put(second, Accuse(evidence))
    before = ledger.account(second).balance
    closed = ledger.close()
    assert len(closed.offences) == 1
    assert ledger.account(second).balance == before - RULES.fee


def test_accusing_oneself_pays_nothing(ledger):
    evidence = fork(ledger)
    balance = ledger.account(EMIL).balance
    ledger.put(EMIL, Accuse(evidence))
    ledger.close()
    assert ledger.account(EMIL).balance == balance - RULES.fee
    assert ledger.account(EMIL).agent == 90 * TOKEN


def test_what_is_unbonding_is_slashed_too(ledger):
    ledger.put(EMIL, Unbond(100 * TOKEN, "agent"))
    ledger.close()
    ledger.close(with_evidence(fork(ledger)))
    ((_, amount, _),) = ledger.account(EMIL).unbonding
    assert amount == 90 * TOKEN


def test_everything_up_to_the_first_punishment_is_one_offence(ledger):
    early, late = fork(ledger), fork(ledger, epoch=3)
    assert len(ledger.close(with_evidence(early)).offences) == 1
    assert ledger.close(with_evidence(early)).offences == (), "the same again"
    assert len(ledger.close(with_evidence(late)).offences) == 1, "a pair from a later epoch is a second one"
    assert ledger.account(EMIL).offences == 2


def test_two_pieces_about_one_offence_in_one_cut_count_once(ledger):
    other = fork(ledger, incarnation=1)
    closed = ledger.close(with_evidence(fork(ledger), other))
    assert len(closed.offences) == 1


def test_a_fork_of_a_log_and_a_double_vote_are_two_offences(ledger):
    closed = ledger.close(with_evidence(vote_fork(ledger, DAVE), fork(ledger, DAVE)))
    assert len(closed.offences) == 2
    assert ledger.account(DAVE).offences == 2


@pytest.mark.parametrize("age", [0, 1, 2, 3])
def test_evidence_has_an_age(age):
    ledger = Ledger(rules=replace(RULES, evidence_epochs=2))
    evidence = fork(ledger)
    for _ in range(age):
        ledger.close()
    assert bool(ledger.close(with_evidence(evidence)).offences) == (age <= 2)


def test_evidence_from_the_future_waits():
    ledger = Ledger()
    assert ledger.close(with_evidence(fork(ledger, epoch=2))).offences == ()


def test_noise_is_passed_over(ledger):
    ledger.put(FINN, Accuse(b"noise"), Accuse(b""))
    closed = ledger.close(with_evidence(b"\xc0", fork(ledger)[:-1]))
    assert closed.offences == ()


def test_a_key_without_an_account_has_nothing_to_lose_and_gets_no_row(ledger):
    stranger = KeyPair.from_seed(bytes(32))
    closed = ledger.close(with_evidence(sample_fork(stranger, ledger.network, epoch=2)))
    assert closed.offences == ()
    assert ledger.state.find("accounts", stranger.public, Offence) is None


def test_due_is_what_is_new_and_young(ledger):
    proof = Proof(ENTRY_FORK, ledger.key(EMIL), 2)
    assert is_due(ledger.state, RULES, 2, proof)
    assert not is_due(ledger.state, RULES, 2 + RULES.evidence_epochs + 1, proof)
    ledger.close(with_evidence(fork(ledger)))
    assert not is_due(ledger.state, RULES, 3, proof)
    assert is_due(ledger.state, RULES, 3, replace(proof, epoch=3))


# Every kind of offence, and whom it pays


def close_fork(ledger, make, agent=ALMA):
    """Evidence of one kind against a witness of a close."""
    keys, parts = ledger.keys[agent], []
    if make is SealFork:
        for number in (1, 2):
            roots = [digest(bytes([number]))] * 6
            payload = SEAL.encode(Seal(ledger.network, ledger.epoch, *roots, 1))
            parts.append(SignedPayload(payload, sign_seal(keys, ledger.network, payload)))
        return seal_fork(keys.public, *parts)
    instance = Instance(ledger.network, ledger.epoch, ledger.committee)
    for kind, candidate in zip(BALLOTS[make], (b"one", b"two"), strict=True):
        vote = Statement(kind, 4, b"" if kind == SKIP else digest(candidate)).payload(instance)
        payload = propose(instance, 4, candidate, None) if kind == CANDIDATE else vote
        parts.append(Signed(kind, payload, keys.sign(preimage(DOMAINS[kind], ledger.network, payload))))
    return ballot_fork(keys.public, *parts)


BALLOTS = {
    ProposalFork: (CANDIDATE, CANDIDATE),
    NotarizeFork: (NOTARIZE, NOTARIZE),
    FinalizeFork: (FINALIZE, FINALIZE),
    FinalizeSkip: (FINALIZE, SKIP),
}
OF_CLOSE = [*BALLOTS, SealFork]


@pytest.mark.parametrize("make", OF_CLOSE)
def test_whoever_contradicts_itself_in_a_close_loses_half_and_its_seat(ledger, make):
    closed = ledger.close(with_evidence(close_fork(ledger, make)))
    ((_, offence),) = closed.offences
    assert (offence.offender, offence.slashed) == (ledger.key(ALMA), 100_000 * TOKEN)
    account = ledger.account(ALMA)
    assert (account.witness, account.offences, account.frozen) == (50_000 * TOKEN, 1, False)
    assert closed.committee.index(ledger.key(ALMA)) is None
    assert ledger.close(with_evidence(close_fork(ledger, make))).offences != (), (
        "a later epoch, a second offence"
    )


@pytest.mark.parametrize("make", OF_CLOSE)
@pytest.mark.parametrize("age", [0, 2, 3])
def test_evidence_of_a_close_has_the_same_age(make, age):
    ledger = Ledger(rules=replace(RULES, evidence_epochs=2))
    evidence = close_fork(ledger, make)
    for _ in range(age):
        ledger.close()
    assert bool(ledger.close(with_evidence(evidence)).offences) == (age <= 2)
    assert ledger.close(with_evidence(evidence)).offences == ()


def test_the_bond_stays_until_no_evidence_is_admitted_any_more():
    """A witness unbonds everything and offends in the last epoch in which it still weighs."""
    ledger = Ledger(rules=replace(RULES, evidence_epochs=2))
    ledger.put(ALMA, Unbond(100_000 * TOKEN, "witness"))
    ledger.close()
    assert ledger.committee.index(ledger.key(ALMA)) is not None
    evidence = close_fork(ledger, NotarizeFork)
    for _ in range(2):
        ledger.close()
    ((_, offence),) = ledger.close(with_evidence(evidence)).offences
    assert offence.slashed == 100_000 * TOKEN, "half of what it attests with, and half of what is leaving"


shares = st.integers(0, PPM)
bonds = st.integers(0, 10**18)


@settings(max_examples=200)
@given(
    slashes=st.tuples(shares, shares),
    reporter=st.tuples(st.integers(0, REPORTER_MAX_PPM), st.integers(0, 10**18)),
    held=st.tuples(bonds, bonds, bonds, bonds),
    accusations=st.lists(
        st.tuples(st.sampled_from(range(6)), st.sampled_from([ALMA, EMIL, FINN, None])), max_size=8
    ),
)
def test_accusing_oneself_never_pays_whoever_does_it(slashes, reporter, held, accusations):
    """The offender and two accounts of its own together lose at least half of whatever is taken, under all rules."""
    rules = replace(
        RULES,
        slash_author_ppm=slashes[0],
        slash_witness_ppm=slashes[1],
        reporter_ppm=reporter[0],
        reporter_max=reporter[1],
    )
    load_genesis(replace(OFFENDED.genesis, rules=rules).encode())
    witness, attester, agent, leaving = held
    state = copy_state(OFFENDED.state)
    gang = [OFFENDED.key(number) for number in (ALMA, EMIL, FINN)]
    unbonding = (("agent", leaving, 99),)
    bonded = {"witness": witness, "attester": attester, "agent": agent, "unbonding": unbonding}
    state.put("accounts", gang[0], replace(state.account(gang[0]), **bonded))

    def worth():
        return sum(state.account(key).worth() for key in gang)

    before, burned = worth(), state.totals().burned
    told = [(None if by is None else OFFENDED.key(by), EVIDENCES[number]) for number, by in accusations]
    offences = punish(state, rules, OFFENDED.network, 1, told)
    taken = sum(offence.slashed for _, offence in offences)
    lost = before - worth()
    assert 2 * lost >= taken
    assert lost == state.totals().burned - burned, "what the gang lost is gone"
    assert len(offences) == len({number for number, _ in accusations}), "each offence once"


OFFENDED = Ledger()
EVIDENCES = [fork(OFFENDED, ALMA), *(close_fork(OFFENDED, make) for make in OF_CLOSE)]
