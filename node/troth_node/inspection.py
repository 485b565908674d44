"""Looking into a stored node without running it: a proved balance, the entries of a log."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from troth_node.agent import Json
from troth_node.storage.store import Store
from troth_protocol.close.light import genesis_checkpoint
from troth_protocol.close.seal import SIGNED_SEAL, SignedSeal
from troth_protocol.effects import TABLES
from troth_protocol.errors import Invalid
from troth_protocol.genesis import Genesis, load_genesis
from troth_protocol.log.keep import epoch_key, unpack_stored
from troth_protocol.log.ops import OPS
from troth_protocol.log.rows import Account, Question
from troth_protocol.log.state import State, load_row
from troth_protocol.wire.codec import Value, decode, encode


@dataclass(frozen=True, slots=True)
class AccountProof:
    """An account with what proves it; amounts in atomic units."""

    key: bytes
    account: Account
    epoch: int
    seals: int
    proof: Value

    @property
    def size_bytes(self) -> int:
        """Bytes of the row and its branch."""
        return len(encode(self.proof))

    @property
    def branch_length(self) -> int:
        """Hashes in the branch."""
        match self.proof:
            case {"branch": list(branch), "top": list(top)}:
                return len(branch) + len(top)
            case _:
                return 0

    def as_json(self) -> dict[str, Json]:
        """For machines: amounts as decimal strings of atomic units, the proof as canonical msgpack in hex."""
        account = self.account
        return {
            "key": self.key.hex(),
            "balance": str(account.balance),
            "bonds": {role: str(account.bond(role)) for role in ("witness", "attester", "agent")},
            "unbonding": [
                {"role": role, "amount": str(amount), "leaves": leaves}
                for role, amount, leaves in account.unbonding
            ],
            "seq": account.seq,
            "head": account.head.hex(),
            "incarnation": account.incarnation,
            "epoch": self.epoch,
            "seals_verified": self.seals,
            "proof": encode(self.proof).hex(),
        }


def read_state(store: Store) -> State:
    """The sealed state that a store holds, unverified; Invalid on damage."""
    state = State()
    for _, data in store.scan("state"):
        match decode(data):
            case [table, key, value]:
                load_row(state, table, key, value)
            case _:
                raise Invalid("bad_row", "state row")
    return state


def read_seal(data: bytes) -> tuple[SignedSeal, bytes]:
    """A stored seal with the witness set that it names; Invalid on damage."""
    match decode(data):
        case [bytes(signed), bytes(committee)]:
            return SIGNED_SEAL.decode(signed), committee
        case _:
            raise Invalid("bad_row", "seal row")


def prove_account(path: Path, genesis: bytes, key: bytes) -> AccountProof:
    """Prove one account the way a light client checks it: follow the seals, then verify one branch.

    Raises StoreError, or Invalid if the store proves nothing (no seal yet, no such account, damage).
    """
    with Store.open(path, TABLES) as store:
        seals = [read_seal(data) for _, data in store.scan("seals")]
        if not seals:
            raise Invalid("no_seal", "this node has not seen an epoch sealed yet")
        checkpoint = genesis_checkpoint(load_genesis(genesis)).follow(seals)
        proof = read_state(store).prove("accounts", key)
    _, _, row = checkpoint.verify(proof)
    if not isinstance(row, Account):
        raise Invalid("bad_branch", "the proof is not of an account")
    return AccountProof(key, row, checkpoint.epoch, len(seals), proof)


class OpenQuestion(TypedDict):
    """A question under way as `troth questions` shows it; `asker` is None for a standing one.

    Amounts are in atomic units; of a bounty the `pot` is set aside for what forecasts earn.
    """

    id: str
    topic: str
    text: str
    outcomes: list[str]
    prior_ppm: list[int]
    opens: int
    closes: int
    round: int
    phase: str
    pot: str
    asker: str | None
    bounty: str


def open_questions(path: Path, genesis: bytes) -> list[OpenQuestion]:
    """The questions of the newest sealed state, by the epoch that closes them; StoreError or Invalid on damage."""
    document = load_genesis(genesis)
    with Store.open(path, TABLES) as store:
        state = read_state(store)
    if not state.tables["totals"].rows:
        raise Invalid("no_seal", "this node has not run yet")
    epoch = state.totals().epoch + 1
    rows = sorted(state.items("questions", Question), key=lambda item: (item[1].closes(), item[0]))
    return [_shown(document, key, row, epoch) for key, row in rows]


def _shown(genesis: Genesis, key: bytes, row: Question, epoch: int) -> OpenQuestion:
    topic = genesis.topic(row.topic) if row.asker is None else None
    return OpenQuestion(
        id=key.hex(),
        topic=row.topic,
        text=(row.text or "") if topic is None else topic.question_text(row.index),
        outcomes=list((row.outcomes or ()) if topic is None else topic.outcomes),
        prior_ppm=list(row.prior),
        opens=row.opens,
        closes=row.closes(),
        round=row.round,
        phase=_phase(row, epoch),
        pot=str(row.pot),
        asker=None if row.asker is None else row.asker.hex(),
        bounty="0" if row.bounty is None else str(row.bounty + row.pot),
    )


def _phase(row: Question, epoch: int) -> str:
    if epoch < row.opens:
        return "asked"
    for name, is_open in (
        ("commit", row.is_commit_open(epoch)),
        ("attest", row.is_attest_open(epoch)),
        ("reveal", row.is_reveal_open(epoch)),
    ):
        if is_open:
            return name
    return "attest-reveal"


class LoggedEntry(TypedDict):
    """One certified entry as `troth log` shows it."""

    epoch: int
    seq: int
    incarnation: int
    id: str
    prev: str
    votes: int
    ops: dict[str, int]


def log_entries(path: Path, genesis: bytes, author: bytes, epoch: int | None) -> list[LoggedEntry]:
    """The certified entries of one log, in order; StoreError or Invalid on damage."""
    network = load_genesis(genesis).network()
    prefix = b"" if epoch is None else epoch_key(epoch)
    found: list[LoggedEntry] = []
    with Store.open(path, TABLES) as store:
        for key, data in store.scan("entries", prefix):
            if key[8:40] != author:
                continue
            entry, certificate = unpack_stored(data, network)
            header = entry.header
            found.append(
                LoggedEntry(
                    epoch=header.epoch,
                    seq=header.seq,
                    incarnation=header.incarnation,
                    id=entry.id.hex(),
                    prev=header.prev.hex(),
                    votes=len(certificate.votes),
                    ops=dict(Counter(OPS.name_of(op) for op in entry.ops)),
                )
            )
    return found
