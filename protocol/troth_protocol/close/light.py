"""The light client: follow seals from a trusted one, then check one row with one branch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from troth_protocol.close.seal import Seal, SignedSeal, seal_id, verify_seal
from troth_protocol.errors import Invalid
from troth_protocol.genesis import Genesis
from troth_protocol.log.committee import Committee, Member, load_committee
from troth_protocol.log.rows import Row
from troth_protocol.log.state import verify_row
from troth_protocol.wire.codec import Value


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a light client trusts: the newest seal's id and the witness set of the epoch after it."""

    network: bytes
    epoch: int
    prev: bytes
    committee: Committee
    seal: Seal | None = None

    def advance(self, signed: SignedSeal, next_committee: bytes) -> Checkpoint:
        """One step along the chain; raises what verify_seal raises, or Invalid("wrong_set")."""
        seal = verify_seal(signed, self.network, self.prev, self.epoch + 1, self.committee)
        committee = load_committee(next_committee)
        if committee.digest != seal.next_set:
            raise Invalid("wrong_set", "the witness set is not the one that the seal names")
        return Checkpoint(self.network, seal.epoch, seal_id(self.network, signed.payload), committee, seal)

    def follow(self, seals: Iterable[tuple[SignedSeal, bytes]]) -> Checkpoint:
        """Many steps."""
        at = self
        for signed, committee in seals:
            at = at.advance(signed, committee)
        return at

    def verify(self, proof: Value) -> tuple[str, bytes, Row]:
        """Check one row's proof under the newest seal; Invalid("bad_branch")."""
        if self.seal is None:
            raise Invalid("bad_branch", "no seal followed yet")
        return verify_row(self.seal.state, proof)


def genesis_committee(genesis: Genesis) -> Committee:
    """The witness set of epoch 1: every witness bond of the genesis document, largest first up to the limit."""
    bonded = sorted((-holder.witness, holder.key) for holder in genesis.holders if holder.witness)
    chosen = sorted((key, -weight) for weight, key in bonded[: genesis.rules.witnesses_max])
    return Committee(tuple(Member(key, weight) for key, weight in chosen))


def genesis_checkpoint(genesis: Genesis) -> Checkpoint:
    """Where every chain starts: epoch 0, whose id is the network id."""
    network = genesis.network()
    return Checkpoint(network, 0, network, genesis_committee(genesis))
