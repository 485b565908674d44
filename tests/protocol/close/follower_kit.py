"""What the dialogues about catching up share: a stage on which somebody comes late, and seals to show."""

from dataclasses import replace

from troth_node.testing.samples import RULES, TOKEN
from troth_node.testing.stage import Stage
from troth_protocol.close.seal import SEAL, Seal, sign_seal
from troth_protocol.log.ops import Transfer
from troth_protocol.wire.codec import decode, encode
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.messages import SealMsg, WantLog

ALMA, BRUNO, DAVE, EMIL, FINN, GUSTAV = 0, 1, 3, 4, 5, 6
HUGE = 2**50
SHORT = replace(RULES, evidence_epochs=2)


def stage_without(*absent, agents=6, rules=RULES):
    """A stage on which these agents have not started yet."""
    stage = Stage(agents, 4, rules=rules)
    stage.start(*[agent for agent in range(agents) if agent not in absent])
    stage.settle()
    return stage


def closes(stage, count, *, amount=TOKEN):
    """Epochs with a payment each."""
    for _ in range(count):
        stage.put(EMIL, Transfer(stage.key(ALMA), amount, b""))
        stage.close()


def follower(stage, agent=FINN):
    return stage.core(agent).follower


def asked(stage, kind, agent=FINN):
    """What an agent's frames in the post ask for, and of whom."""
    return [(m.target, m.message) for m in stage.post if m.source == agent and isinstance(m.message, kind)]


def seal_of(stage, epoch):
    (signed, committee) = decode(dict(stage.seats[ALMA].disk.scan("seals", b""))[epoch.to_bytes(8, "big")])
    return SealMsg(signed, committee)


def made_up(stage, epoch, signer=GUSTAV):
    """A seal that one agent signed alone."""
    noise = digest(b"noise")
    payload = SEAL.encode(Seal(stage.network, epoch, noise, noise, noise, noise, noise, noise, 1))
    signature = sign_seal(stage.seats[signer].keys, stage.network, payload)
    return SealMsg(encode({"payload": payload, "signatures": [[0, signature]]}), encode([]))


def half_way(rules=RULES):
    """Finn knows the seal of epoch 1 and its cut, and has asked for the entries."""
    stage = stage_without(FINN, rules=rules)
    closes(stage, 3)
    stage.start(FINN)
    stage.settle(but=lambda mail: isinstance(mail.message, WantLog))
    assert follower(stage).is_behind()
    return stage
