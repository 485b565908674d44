"""Ops as tests write them on a ledger's bench, and what the rules say of them; agents are named by their number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from troth_node.testing.ledger import Ledger
from troth_protocol.errors import Invalid
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.agreement import AGREEMENT, Agreement, Receipt, agreement_id, sign_agreement
from troth_protocol.log.evaluate import Delta
from troth_protocol.log.ops import Agree, Attest, AuctionOp, BidOp, BidReveal, CommitOp, LockOp, Op, Transfer
from troth_protocol.log.sealed import attest_digest, auction_id, bid_digest, commit_digest, commit_id
from troth_protocol.market.trades import sign
from troth_protocol.wire.crypto import digest

SALT: Final = digest(b"salt")
PREIMAGE: Final = b"preimage"


def taken(net: Ledger, agent: int, *ops: Op, deps: Iterable[bytes] = ()) -> Delta:
    """What an entry of these ops changes; raises Invalid if it is refused."""
    return net.book.evaluate(net.entry(agent, *ops, deps=deps))


def refused(net: Ledger, agent: int, *ops: Op, deps: Iterable[bytes] = ()) -> str:
    """The code with which an entry of these ops is refused."""
    try:
        taken(net, agent, *ops, deps=deps)
    except Invalid as error:
        return error.code
    raise AssertionError(f"taken, not refused: {ops}")


def wait(net: Ledger, epoch: int) -> None:
    """Empty closes until an epoch opens."""
    while net.epoch < epoch:
        net.close()


def pay(net: Ledger, to: int, amount: int = 5) -> Transfer:
    """A transfer to an agent."""
    return Transfer(net.key(to), amount, b"")


def lock(net: Ledger, to: int, amount: int = 5, until: int = 3, preimage: bytes = PREIMAGE) -> LockOp:
    """A hash-locked payment to an agent."""
    return LockOp(net.key(to), amount, digest(preimage), until)


def contribution(net: Ledger, index: int = 0) -> bytes:
    """A forecast for a question of the coin."""
    return CONTRIBUTION.encode(Contribution(net.question(index), "because", (), ppm=(600_000, 400_000)))


def commit(net: Ledger, agent: int, wager: int = 0, content: bytes | None = None, index: int = 0) -> CommitOp:
    """A commit of that content, or of the forecast above."""
    question = net.question(index)
    sealed = contribution(net, index) if content is None else content
    return CommitOp(question, commit_digest(net.network, net.key(agent), question, SALT, sealed), wager)


def name_of(net: Ledger, agent: int, op: CommitOp) -> bytes:
    """The commit's id in an agent's log."""
    return commit_id(net.network, net.key(agent), op.question, op.digest)


def attest(net: Ledger, agent: int, outcome: int = 1) -> Attest:
    """A sealed vote on the first question."""
    question = net.question()
    return Attest(question, attest_digest(net.network, net.key(agent), question, SALT, outcome))


def agree(
    net: Ledger,
    buyer: int,
    seller: int,
    weight: int = 400_000,
    index: int = 0,
    signers: Sequence[int] = (),
    *,
    min_wager: int = 0,
    floor: int = 0,
    deliver: int = 1,
) -> Agree:
    """A citation promised from buyer to seller, signed by both or by whoever is named."""
    agreement = Agreement(
        net.key(buyer),
        net.key(seller),
        net.question(index),
        digest(b"doc"),
        weight,
        min_wager,
        floor,
        0,
        deliver,
        digest(b"transcript"),
    )
    data = AGREEMENT.encode(agreement)
    by = [sign_agreement(net.keys[agent], net.network, data) for agent in signers or (buyer, seller)]
    return Agree(data, *by)


def receipted(net: Ledger, op: Agree, buyer: int, commit: bytes) -> Agree:
    """The seller's record of a promise with its buyer's receipt for a commit."""
    receipt = Receipt(digest(b"deliver"), agreement_id(net.network, op.agreement), commit, digest(b"payload"))
    signed = sign(net.keys[buyer], net.network, receipt).trade
    return replace(op, receipt=signed.body, receipt_signature=signed.signature)


def sale_of(net: Ledger, seller: int) -> bytes:
    """The id of the auction of an agent's commit of the forecast above, under the usual preimage."""
    key = net.key(seller)
    return auction_id(net.network, key, name_of(net, seller, commit(net, seller)), digest(PREIMAGE))


def auction(net: Ledger, seller: int, units: int = 1, cap: int = 100, reserve: int = 1) -> AuctionOp:
    """An auction of that commit, its reserve price sealed."""
    sealed = bid_digest(net.network, net.key(seller), sale_of(net, seller), SALT, reserve)
    return AuctionOp(name_of(net, seller, commit(net, seller)), units, sealed, cap, digest(PREIMAGE))


def bid(net: Ledger, bidder: int, seller: int, amount: int, salt: bytes = SALT) -> BidOp:
    """A sealed bid in an agent's auction."""
    key = sale_of(net, seller)
    return BidOp(key, bid_digest(net.network, net.key(bidder), key, salt, amount))


def open_bid(net: Ledger, seller: int, amount: int, salt: bytes = SALT) -> BidReveal:
    """The opening of whatever its author sealed in an agent's auction."""
    return BidReveal(sale_of(net, seller), amount, salt)
