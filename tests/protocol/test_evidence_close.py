"""Evidence against witnesses of a close: what nobody honest ever signs twice convicts, and everything else does not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_protocol.close.ballots import (
    CANDIDATE,
    DOMAINS,
    EXCLUDES,
    FINALIZE,
    NOTARIZE,
    SKIP,
    VALUE_MAX_BYTES,
    Instance,
    Signed,
    Statement,
    propose,
)
from troth_protocol.close.seal import SEAL, Seal, sign_seal
from troth_protocol.errors import Invalid
from troth_protocol.evidence import (
    BY_NAME,
    EVIDENCE,
    CloseFork,
    EntryFork,
    FinalizeFork,
    FinalizeSkip,
    NotarizeFork,
    Proof,
    ProposalFork,
    SealFork,
    SignedPayload,
    VoteFork,
    ballot_fork,
    seal_fork,
    verify_evidence,
)
from troth_protocol.log.committee import Committee, Member
from troth_protocol.log.ops import EVIDENCE_MAX_BYTES
from troth_protocol.market.exchange import Misdelivered
from troth_protocol.wire.crypto import KeyPair, digest, preimage

NETWORK, OTHER_NETWORK = digest(b"network"), digest(b"another network")
ALMA, BRUNO = (KeyPair.from_seed(digest(name)) for name in (b"alma", b"bruno"))
SET = Committee(tuple(Member(keys.public, 1) for keys in sorted((ALMA, BRUNO), key=lambda keys: keys.public)))
AT = Instance(NETWORK, 7, SET)
ONE, TWO = digest(b"one"), digest(b"two")
PAIRS = [
    (CANDIDATE, CANDIDATE),
    (NOTARIZE, NOTARIZE),
    (FINALIZE, FINALIZE),
    (FINALIZE, SKIP),
    (SKIP, FINALIZE),
]
KINDS = ["proposal_fork", "notarize_fork", "finalize_fork", "finalize_skip", "finalize_skip"]


def said(kind, what=ONE, slot=4, *, signer=ALMA, at=AT):
    """One statement in a slot: a candidate with the value `what`, or a vote for the candidate `what`."""
    if kind == CANDIDATE:
        payload = propose(at, slot, what, None)
    else:
        payload = Statement(kind, slot, b"" if kind == SKIP else what).payload(at)
    return Signed(kind, payload, signer.sign(preimage(DOMAINS[kind], at.network, payload)))


def sealed(state=ONE, epoch=7, *, network=NETWORK, signed_for=NETWORK, signer=ALMA):
    """A signed seal."""
    payload = SEAL.encode(Seal(network, epoch, ONE, state, ONE, ONE, ONE, ONE, 1))
    return SignedPayload(payload, sign_seal(signer, signed_for, payload))


def code(data, network=NETWORK):
    with pytest.raises(Invalid) as refusal:
        verify_evidence(data, network)
    return refusal.value.code


def halves(make, first, second, signer=ALMA):
    """Evidence of any two statements, in the order given."""
    parts = (SignedPayload(part.payload, part.signature) for part in (first, second))
    return EVIDENCE.encode(make(signer.public, *parts))


# What convicts


@pytest.mark.parametrize(("pair", "kind"), list(zip(PAIRS, KINDS, strict=True)))
def test_two_statements_that_exclude_each_other_convict(pair, kind):
    data = ballot_fork(ALMA.public, said(pair[0], ONE), said(pair[1], TWO))
    assert verify_evidence(data, NETWORK) == Proof(kind, ALMA.public, 7, (("slot", 4),))


def test_two_seals_of_one_epoch_convict():
    data = seal_fork(ALMA.public, sealed(ONE), sealed(TWO))
    assert verify_evidence(data, NETWORK) == Proof("seal_fork", ALMA.public, 7)


def test_everybody_writes_the_same_evidence():
    for first, second in PAIRS:
        pair = (said(first, ONE), said(second, TWO))
        assert ballot_fork(ALMA.public, *pair) == ballot_fork(ALMA.public, *pair[::-1])
    assert seal_fork(ALMA.public, sealed(ONE), sealed(TWO)) == seal_fork(
        ALMA.public, sealed(TWO), sealed(ONE)
    )


def test_what_the_agreement_forbids_is_what_evidence_is_made_of():
    made = {tuple(sorted(pair)) for pair in PAIRS}
    assert made == {tuple(sorted((kind, other))) for kind in EXCLUDES for other in EXCLUDES[kind]}


def test_a_seal_on_another_chain_convicts_as_well():
    other = SEAL.encode(replace(SEAL.decode(sealed().payload), prev=TWO))
    part = SignedPayload(other, sign_seal(ALMA, NETWORK, other))
    assert verify_evidence(seal_fork(ALMA.public, sealed(), part), NETWORK).offender == ALMA.public


def test_the_largest_evidence_fits():
    pair = [said(CANDIDATE, byte * VALUE_MAX_BYTES) for byte in (b"a", b"b")]
    data = ballot_fork(ALMA.public, *pair)
    assert len(data) < EVIDENCE_MAX_BYTES
    assert verify_evidence(data, NETWORK).kind == "proposal_fork"


# What does not


HONEST = [
    said(CANDIDATE, ONE),
    said(NOTARIZE, ONE),
    said(FINALIZE, ONE),
    said(NOTARIZE, ONE, 5),
    said(SKIP, slot=5),
    said(CANDIDATE, ONE, 6),
]


@pytest.mark.parametrize("make", [ProposalFork, NotarizeFork, FinalizeFork, FinalizeSkip, SealFork])
def test_no_two_things_that_an_honest_member_signs_convict_it(make):
    for first in [*HONEST, sealed()]:
        for second in [*HONEST, sealed(), sealed(epoch=8)]:
            code(halves(make, first, second))


@pytest.mark.parametrize("make", [ProposalFork, NotarizeFork, FinalizeFork])
def test_saying_the_same_again_is_no_offence(make):
    kind = {ProposalFork: CANDIDATE, NotarizeFork: NOTARIZE, FinalizeFork: FINALIZE}[make]
    assert code(halves(make, said(kind), said(kind))) == "not_evidence"
    assert code(halves(SealFork, sealed(), sealed())) == "not_evidence"


@pytest.mark.parametrize("pair", PAIRS[:4])
def test_two_slots_epochs_or_sets_convict_nobody(pair):
    first = said(pair[0], ONE)
    later, elsewhere = replace(AT, epoch=8), replace(AT, committee=Committee(SET.members[:1]))
    for other in (said(pair[1], TWO, 5), said(pair[1], TWO, at=later), said(pair[1], TWO, at=elsewhere)):
        assert code(ballot_fork(ALMA.public, first, other)) == "not_evidence"


def test_seals_of_two_epochs_convict_nobody():
    assert code(seal_fork(ALMA.public, sealed(epoch=7), sealed(epoch=8))) == "not_evidence"


@pytest.mark.parametrize("pair", PAIRS[:4])
def test_nobody_is_framed_with_what_somebody_else_signed(pair):
    mine, other = said(pair[0], ONE), said(pair[1], TWO, signer=BRUNO)
    assert code(ballot_fork(ALMA.public, mine, other)) == "bad_signature"
    assert code(ballot_fork(BRUNO.public, mine, said(pair[1], TWO))) == "bad_signature"
    assert code(seal_fork(ALMA.public, sealed(), sealed(TWO, signer=BRUNO))) == "bad_signature"


def test_a_signature_counts_for_its_own_kind_only():
    notarize, finalize = (said(kind, what) for kind, what in ((NOTARIZE, ONE), (FINALIZE, TWO)))
    pair = sorted((notarize, finalize), key=lambda part: part.payload)
    for make in (NotarizeFork, FinalizeFork):
        assert code(halves(make, *pair)) == "bad_signature"


def test_nothing_from_another_network_convicts_here():
    there = replace(AT, network=OTHER_NETWORK)
    data = ballot_fork(ALMA.public, said(NOTARIZE, ONE, at=there), said(NOTARIZE, TWO, at=there))
    assert code(data) == "bad_signature"
    assert verify_evidence(data, OTHER_NETWORK).kind == "notarize_fork"
    seals = [sealed(state, network=OTHER_NETWORK, signed_for=OTHER_NETWORK) for state in (ONE, TWO)]
    assert code(seal_fork(ALMA.public, *seals)) == "wrong_network"
    assert verify_evidence(seal_fork(ALMA.public, *seals), OTHER_NETWORK).kind == "seal_fork"
    mixed = [sealed(ONE), sealed(TWO, signed_for=OTHER_NETWORK)]
    assert code(seal_fork(ALMA.public, *mixed)) == "bad_signature"


def test_the_statements_stand_in_one_order():
    for kind, make in ((CANDIDATE, ProposalFork), (NOTARIZE, NotarizeFork), (FINALIZE, FinalizeFork)):
        pair = sorted((said(kind, ONE), said(kind, TWO)), key=lambda part: part.payload)
        assert code(halves(make, *pair[::-1])) == "bad_order"
    assert code(halves(FinalizeSkip, said(SKIP), said(FINALIZE))) == "bad_field"
    seals = sorted((sealed(ONE), sealed(TWO)), key=lambda part: part.payload)
    assert code(halves(SealFork, *seals[::-1])) == "bad_order"


@given(st.data())
def test_spoilt_evidence_proves_nothing(data):
    pair = data.draw(st.sampled_from(PAIRS))
    whole = ballot_fork(ALMA.public, said(pair[0], ONE), said(pair[1], TWO))
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    for spoilt in (flipped, whole[:at], whole + b"\x00"):
        code(spoilt)


# The table


def test_every_kind_has_its_row():
    kinds = {EntryFork, VoteFork, Misdelivered, *CloseFork.__subclasses__()}
    assert len(BY_NAME) == len(kinds) == 8
    assert {record.name for record in EVIDENCE.records.values()} == set(BY_NAME)
    assert [name for name, row in BY_NAME.items() if row.is_freezing] == ["entry_fork"]
