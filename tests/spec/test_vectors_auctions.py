"""The vectors of auctions, read from their JSON alone, each award found a second way."""

from __future__ import annotations

import hashlib

from vector_kit import cases, judge, unhex, value

from troth_node.testing.samples import sample_genesis
from troth_protocol.close.auctions import advance_auctions
from troth_protocol.log.bidding import open_bid
from troth_protocol.log.ops import BidReveal
from troth_protocol.log.rows import Account, Auction, Bid, Lock
from troth_protocol.log.sealed import auction_id, bid_digest
from troth_protocol.log.state import genesis_state
from troth_protocol.market.auction import Offer, compute_winners
from troth_protocol.market.sale import sale_leaves, sale_rows
from troth_protocol.wire.codec import encode
from troth_protocol.wire.merkle import leaf_hash, root

ANY = bytes(32)


def check_award(case):
    offers = [Offer(b["bidder"].encode(), int(b["amount"]), unhex(b["rank"])) for b in case["bids"]]
    award = compute_winners(offers, case["units"], int(case["reserve"]))
    assert [name.decode() for name in award.winners] == case["winners"]
    assert award.price == int(case["price"])
    check_price(case)


def check_price(case):
    """From the JSON alone: a winner's least winning bid is the price, found by trying."""
    amounts = sorted((int(b["amount"]) for b in case["bids"]), reverse=True)
    sold = sum(amount >= int(case["reserve"]) for amount in amounts[: case["units"]])
    assert len(case["winners"]) == sold
    losing = [amount for amount in amounts[sold:] if amount >= int(case["reserve"])]
    assert int(case["price"]) == max([int(case["reserve"]), *losing])


def check_bid(case):
    network, author, auction = (unhex(case[name]) for name in ("network", "author", "auction"))
    op = BidReveal(auction, int(case["amount"]), unhex(case["salt"]))
    row = Auction(ANY, ANY, 1, int(case["cap"]), ANY, 1)
    opened = open_bid(row, Bid(unhex(case["digest"]), row.cap), network, author, op, row.closes())
    assert (opened.amount, opened.salt) == (op.amount, op.salt)
    signed = b"\x0btroth/bid/1" + network + author + auction + op.salt + case["amount"].encode()
    assert signed == unhex(case["preimage"])
    assert hashlib.sha256(signed).digest() == unhex(case["digest"])
    named = auction_id(network, unhex(case["seller"]), unhex(case["commit"]), unhex(case["hashlock"]))
    assert named == auction


def check_sale(case):
    network, key = unhex(case["network"]), unhex(case["auction"])
    state, row = sold_state(case), value(case["row"])
    held = state.supply()
    (sale,) = advance_auctions(state, network, case["epoch"])
    assert list(sale_rows(sale)) == value(case["lines"])
    leaves = [leaf_hash(encode(line)) for line in value(case["lines"])]
    assert root(leaves) == unhex(case["emissions"]) == root(sale_leaves([sale]))
    locks = list(state.items("locks", Lock))
    found = [[name.hex(), lock.payer.hex(), str(lock.amount), lock.until] for name, lock in locks]
    assert found == case["locks"]
    assert all((lock.to, lock.hash) == (row["seller"], row["hashlock"]) for _, lock in locks)
    domain = b"\x0ctroth/lock/1" + network + key
    for name, lock in locks:
        assert hashlib.sha256(domain + lock.payer + case["epoch"].to_bytes(8, "big")).digest() == name
    balances = {unhex(author): int(amount) for author, amount in case["balances"].items()}
    assert {author: state.find("accounts", author, Account).balance for author in balances} == balances
    assert state.totals().burned == int(case["burned"])
    assert held == state.supply() + int(case["burned"])


def sold_state(case):
    state, row = genesis_state(sample_genesis(1, 1)), value(case["row"])
    state.put(
        "auctions", unhex(case["auction"]), Auction(**row, units=case["units"], cap=int(case["cap"]), opens=3)
    )
    for author, deposit, *opened in case["bids"]:
        amount, salt = (int(opened[0]), unhex(opened[1])) if opened else (None, None)
        sealed = bid_digest(ANY, unhex(author), ANY, ANY, 1)  # a close does not look at what was sealed
        state.put("bids", unhex(case["auction"]) + unhex(author), Bid(sealed, int(deposit), amount, salt))
    return state


@cases("auctions.json")
def test_auctions(name, case):
    judge({"award": check_award, "bid": check_bid, "sale": check_sale}, case)
