"""What a node remembers of others' signatures: who contradicts it is accused, and nobody else."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from troth_node.testing.ledger import Ledger
from troth_node.testing.stage import Stage
from troth_protocol.close.ballots import DOMAINS, MESSAGES, Instance, Statement, VoteMsg
from troth_protocol.close.docket import Accusation
from troth_protocol.close.seal import SEAL, SIGNED_SEAL, SignedSeal, sign_seal
from troth_protocol.close.watch import PLACES_MAX, Watch
from troth_protocol.evidence import Proof, verify_evidence
from troth_protocol.log.entry import make_entry
from troth_protocol.log.ops import Bond, Transfer
from troth_protocol.log.rows import NO_HEAD
from troth_protocol.log.vote import CERTIFICATE, Certificate, sign_votes
from troth_protocol.wire.codec import encode
from troth_protocol.wire.crypto import KeyPair, digest, preimage
from troth_protocol.wire.messages import Ballot, Certified, SealMsg, SealVote, Submit

ALMA, BRUNO, CARLA, DAVE, EMIL, FINN = range(6)


class Memory:
    """A watch over a ledger's book; `found` is what it accuses."""

    def __init__(self):
        self.net = net = Ledger()
        self.found = []
        chain = SimpleNamespace(
            network=net.network, epoch=net.epoch, committee=net.committee, state=net.state, book=net.book
        )
        self.watch = Watch(chain, self.found.append)
        self.first, self.second = (net.entry(EMIL, Bond(amount, "agent")) for amount in (1, 2))

    def votes(self, entry, *agents):
        return self.net.certify(entry, agents).votes

    def guilty(self):
        """(kind, agent) of everything accused."""
        keys = [keys.public for keys in self.net.keys]
        proofs = [verify_evidence(data, self.net.network) for data in self.found]
        return [(proof.kind, keys.index(proof.offender)) for proof in proofs]


@pytest.fixture
def memory():
    return Memory()


# Entries and votes


def test_two_entries_at_one_place_convict_their_author(memory):
    memory.watch.entry(memory.first, ())
    memory.watch.entry(memory.second, ())
    assert memory.guilty() == [("entry_fork", EMIL)]


def test_whoever_voted_for_both_is_convicted_too(memory):
    memory.watch.entry(memory.first, memory.votes(memory.first, ALMA, BRUNO))
    memory.watch.entry(memory.second, memory.votes(memory.second, BRUNO, CARLA))
    assert memory.guilty() == [("entry_fork", EMIL), ("vote_fork", BRUNO)]


def test_votes_across_an_incarnation_convict_the_witness_alone(memory):
    later = memory.net.entry(EMIL, Bond(2, "agent"), incarnation=1)
    memory.watch.entry(memory.first, memory.votes(memory.first, ALMA))
    memory.watch.entry(later, memory.votes(later, ALMA))
    assert memory.guilty() == [("vote_fork", ALMA)]


def test_votes_for_one_entry_add_up(memory):
    for agent in (ALMA, BRUNO):
        memory.watch.entry(memory.first, memory.votes(memory.first, agent))
    memory.watch.entry(memory.second, memory.votes(memory.second, ALMA, BRUNO, CARLA))
    assert memory.guilty()[1:] == [("vote_fork", ALMA), ("vote_fork", BRUNO)]


def test_what_is_stored_was_there_first(memory):
    memory.net.book.add(memory.first, memory.net.certify(memory.first, (ALMA, BRUNO, CARLA)))
    memory.watch.entry(memory.second, memory.votes(memory.second, CARLA, DAVE))
    assert memory.guilty() == [("entry_fork", EMIL), ("vote_fork", CARLA)]


def test_a_vote_that_the_stored_certificate_lacks_counts(memory):
    memory.net.book.add(memory.first, memory.net.certify(memory.first, (ALMA, BRUNO, CARLA)))
    memory.watch.entry(memory.first, memory.votes(memory.first, DAVE))
    memory.watch.entry(memory.second, memory.votes(memory.second, DAVE))
    assert memory.guilty() == [("entry_fork", EMIL), ("vote_fork", DAVE)]


def test_a_stored_certificate_that_is_shown_again_is_not_remembered(memory):
    certificate = memory.net.certify(memory.first, (ALMA, BRUNO, CARLA))
    memory.net.book.add(memory.first, certificate)
    memory.watch.entry(memory.first, certificate.votes)
    memory.watch.entry(memory.first, ())
    assert memory.watch._entries == {}


def test_junk_votes_convict_nobody(memory):
    memory.watch.entry(memory.first, memory.votes(memory.first, ALMA, BRUNO, CARLA, DAVE))
    good = memory.votes(memory.second, ALMA, BRUNO, CARLA)
    for junk in (
        [replace(v, signature=bytes(64)) for v in good],
        [replace(v, root=bytes(32)) for v in good],
        [replace(v, member=63) for v in good],
        [replace(v, member=(v.member + 1) % 4) for v in good],
        memory.votes(memory.first, ALMA, BRUNO),
        sign_votes(memory.net.keys[ALMA], memory.net.network, 2, memory.net.committee, [memory.second.id]),
    ):
        memory.watch.entry(memory.second, junk)
    assert set(memory.guilty()) == {("entry_fork", EMIL)}


def test_junk_that_came_first_hides_nothing(memory):
    junk = [replace(v, signature=bytes(64)) for v in memory.votes(memory.first, ALMA, BRUNO)]
    memory.watch.entry(memory.first, junk)
    memory.watch.entry(memory.first, memory.votes(memory.first, ALMA))
    shown = [replace(v, signature=bytes(64)) for v in memory.votes(memory.second, ALMA)]
    memory.watch.entry(memory.second, [*shown, *memory.votes(memory.second, ALMA)])
    assert ("vote_fork", ALMA) in memory.guilty()


def test_other_epochs_and_strangers_are_not_remembered(memory):
    memory.watch.entry(memory.net.entry(EMIL, Bond(1, "agent"), epoch=2), ())
    stranger = make_entry(
        KeyPair.from_seed(bytes(32)),
        memory.net.network,
        incarnation=0,
        epoch=1,
        seq=1,
        prev=NO_HEAD,
        deps=[],
        ops=[Transfer(memory.net.key(EMIL), 1, b"")],
    )
    memory.watch.entry(stranger, ())
    assert memory.watch._entries == {}


def test_the_oldest_places_are_forgotten(memory, monkeypatch):
    assert PLACES_MAX > 2
    monkeypatch.setattr("troth_protocol.close.watch.PLACES_MAX", 2)
    memory.watch.entry(memory.first, ())
    for agent in (DAVE, FINN):
        memory.watch.entry(memory.net.entry(agent, Bond(1, "agent")), ())
    memory.watch.entry(memory.second, ())
    assert memory.guilty() == []
    assert len(memory.watch._entries) == 2


@pytest.mark.parametrize("observer", [ALMA, EMIL])
def test_what_contradicts_an_entry_of_a_sealed_epoch_convicts_as_well(stage, observer):
    stage.put(FINN, Transfer(stage.key(ALMA), 1, b""))
    chain = stage.core(ALMA).chain
    sealed = stage.core(ALMA).chain.book.stored[chain.book.head(stage.key(FINN))[1]]
    other = stage.entry(FINN, Bond(1, "agent"), seq=1)
    signer = next(a for a in range(4) if stage.place(a) in {v.member for v in sealed.certificate.votes})
    (vote,) = sign_votes(stage.seats[signer].keys, stage.network, 1, chain.committee, [other.id])
    stage.close()
    stage.close()
    shown = CERTIFICATE.encode(Certificate(other.id, 1, (vote,)))
    own = CERTIFICATE.encode(sealed.certificate)
    stage.say(FINN, observer, Certified(own, sealed.entry.data))
    assert accusations(stage, observer) == []
    stage.say(FINN, observer, Certified(shown, other.data))
    stage.say(FINN, observer, Certified(shown))
    kinds = [(proof.kind, stage.number(proof.offender)) for proof in accusations(stage, observer)]
    assert kinds == [("entry_fork", FINN), ("vote_fork", signer)]


def test_entries_of_which_nothing_is_stored_convict_nobody(stage):
    stage.close()
    for epoch in (1, 2, 3):
        entry = stage.entry(FINN, Bond(1, "agent"), epoch=epoch, seq=7)
        stage.say(FINN, EMIL, Submit(entry.data))
        stage.core(EMIL).watch.late(entry, ())
    assert accusations(stage, EMIL) == []


# Ballots, before whoever is no witness


@pytest.fixture
def stage():
    stage = Stage(agents=6)
    stage.start()
    stage.settle()
    return stage


def vote(stage, agent, candidate, kind="notarize", slot=0):
    """A ballot of the open epoch, signed by an agent."""
    chain = stage.core(EMIL).chain
    instance = Instance(stage.network, chain.epoch, chain.committee)
    payload = Statement(kind, slot, digest(candidate)).payload(instance)
    signature = stage.seats[agent].keys.sign(preimage(DOMAINS[kind], stage.network, payload))
    return Ballot(chain.epoch, encode(MESSAGES.dump(VoteMsg(kind, payload, stage.place(agent), signature))))


def accusations(stage, agent):
    """What an agent noticed itself."""
    return [a.proof for a in stage.notices(agent, Accusation) if a.peer is None]


def test_an_agent_that_is_shown_two_ballots_accuses(stage):
    for candidate in (b"one", b"two"):
        stage.say(DAVE, EMIL, vote(stage, DAVE, candidate))
    assert accusations(stage, EMIL) == [Proof("notarize_fork", stage.key(DAVE), 1, (("slot", 0),))]
    assert stage.faults(EMIL) == []


def test_an_observer_keeps_silent(stage):
    for agent in (ALMA, BRUNO, CARLA):
        stage.say(agent, EMIL, vote(stage, agent, b"one"))
    assert stage.post == [], "it holds a certificate, which a member would relay"


def test_ballots_come_from_members_and_are_signed(stage):
    stage.say(FINN, EMIL, vote(stage, DAVE, b"one"))
    forged = replace(vote(stage, DAVE, b"one"), ballot=vote(stage, CARLA, b"two").ballot[:-1] + b"\x00")
    stage.say(DAVE, EMIL, forged)
    assert stage.faults(EMIL)[0] == "not_a_member"
    assert accusations(stage, EMIL) == []


def test_a_new_epoch_begins_with_an_empty_memory(stage):
    first, second = vote(stage, DAVE, b"one"), vote(stage, DAVE, b"two")
    stage.say(DAVE, EMIL, first)
    stage.close()
    stage.say(DAVE, EMIL, second)
    assert accusations(stage, EMIL) == []


# Seals


def seal_vote(stage, agent, epoch=None, network=None, **changes):
    """A seal of an epoch that is nobody's result, signed by an agent."""
    held = stage.core(FINN).chain.seal(1)
    true = SEAL.decode(held[0].payload)
    fields = {"epoch": stage.core(FINN).epoch if epoch is None else epoch, **changes}
    payload = SEAL.encode(replace(true, network=network or true.network, **fields))
    return SealVote(payload, sign_seal(stage.seats[agent].keys, stage.network, payload))


@pytest.fixture
def later(stage):
    """Epoch 3 is open; seals 1 and 2 are signed by all whose votes were in time."""
    stage.close()
    stage.close()
    return stage


@pytest.mark.parametrize("observer", [EMIL, ALMA])
def test_two_seals_of_the_open_epoch_convict(later, observer):
    for number in (1, 2):
        later.say(DAVE, observer, seal_vote(later, DAVE, state=digest(bytes([number]))))
    assert accusations(later, observer) == [Proof("seal_fork", later.key(DAVE), 3)]


@pytest.mark.parametrize("epoch", [1, 2])
def test_another_seal_of_a_sealed_epoch_convicts_whoever_signed_ours(later, epoch):
    signed = later.core(EMIL).chain.seal(epoch)[0]
    places = dict(signed.signatures)
    signer = next(agent for agent in range(4) if later.place(agent) in places)
    later.say(signer, EMIL, seal_vote(later, signer, epoch, state=digest(b"other")))
    assert accusations(later, EMIL) == [Proof("seal_fork", later.key(signer), epoch)]


def test_late_votes_are_compared_with_each_other(stage):
    """Whoever signs too late to be under the seal is remembered for an epoch."""
    for _ in range(2):
        stage.close(but=lambda mail: mail.source == DAVE and isinstance(mail.message, SealVote | SealMsg))
        stage.lose()
    for number in (1, 2):
        for epoch in (1, 2):
            changes = {"state": digest(bytes([number]))}
            stage.say(DAVE, EMIL, seal_vote(stage, DAVE, epoch, **changes))
    assert accusations(stage, EMIL) == [Proof("seal_fork", stage.key(DAVE), 2)]


def test_the_same_seal_again_convicts_nobody(later):
    for epoch in (1, 2):
        payload = later.core(EMIL).chain.seal(epoch)[0].payload
        for agent in range(4):
            own = SealVote(payload, sign_seal(later.seats[agent].keys, later.network, payload))
            later.say(agent, EMIL, own)
    assert accusations(later, EMIL) == []
    assert later.faults(EMIL) == []


def test_a_seal_that_is_not_ours_convicts_its_signers(later):
    chain = later.core(EMIL).chain
    true = chain.seal(2)[0]
    false = SEAL.encode(replace(SEAL.decode(true.payload), state=digest(b"false")))
    keys = {later.place(agent): later.seats[agent].keys for agent in range(4)}
    places = [place for place, _ in true.signatures]
    signatures = tuple((place, sign_seal(keys[place], later.network, false)) for place in places)
    shown = SIGNED_SEAL.encode(SignedSeal(false, (*signatures, (63, bytes(64)))))
    later.say(FINN, EMIL, SealMsg(shown, chain.committee.encode()))
    assert {proof.offender for proof in accusations(later, EMIL)} == {keys[place].public for place in places}


def test_strangers_the_future_and_other_networks_are_not_remembered(later):
    later.say(FINN, EMIL, seal_vote(later, FINN))
    later.say(DAVE, EMIL, seal_vote(later, DAVE, epoch=9))
    later.say(DAVE, EMIL, seal_vote(later, DAVE, network=digest(b"elsewhere")))
    forged = replace(seal_vote(later, DAVE), signature=bytes(64))
    later.say(DAVE, EMIL, forged)
    assert later.faults(EMIL) == ["wrong_network", "bad_signature"]
    assert later.core(EMIL).watch._seals.keys() <= {(2, later.key(agent)) for agent in range(4)}
