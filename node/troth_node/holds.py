"""What the purse holds is for: once an epoch the logs tell what each promise and bid has come to."""

from __future__ import annotations

from troth_node.auctions import OwnBid
from troth_node.trader import PROMISED, Trader
from troth_protocol.core import EpochOpened
from troth_protocol.log.rows import Bid, Claim
from troth_protocol.market.sale import BidLine
from troth_protocol.market.transcript import BUYER


class Holds:
    """Settles the holds of one node's purse. Whoever could not see what became of one counts it as spent."""

    def __init__(self, trader: Trader) -> None:
        self.trader = trader
        self._epoch = trader.core.epoch

    def settle(self, event: EpochOpened) -> None:
        """An epoch opened: look at everything that is held."""
        purse, closed = self.trader.purse, event.closed
        is_jump = closed is None and event.epoch > self._epoch
        self._epoch = event.epoch
        me = self.trader.core.keys.public
        sales = () if closed is None else closed.sales
        lines = {sale.auction: line for sale in sales for line in sale.bids if line.bidder == me}
        bids = self.trader.auctions.bids
        for key in purse.open():
            if is_jump:
                purse.spend(key)
            elif key in lines:
                self._end_bid(key, lines[key])
            elif key in bids:
                self._settle_bid(bids[key])
            else:
                self._settle_price(key)

    def _end_bid(self, key: bytes, line: BidLine) -> None:
        """The close has ended an auction: a winner's price is locked, an unopened deposit is gone."""
        purse = self.trader.purse
        if line.burned:
            purse.spend(key, line.burned)
        elif line.paid:
            purse.shrink(key, line.paid)
        else:
            purse.release(key)

    def _settle_bid(self, bid: OwnBid) -> None:
        trader = self.trader
        state, auctions = trader.core.chain.state, trader.auctions
        locks = auctions.locks_of(bid)
        if any(state.find("claims", key, Claim) is not None for key in locks):
            trader.purse.spend(bid.id)
        elif not locks and not (auctions.is_due(bid) or self._is_sealed(bid)):
            trader.purse.release(bid.id)

    def _is_sealed(self, bid: OwnBid) -> bool:
        core = self.trader.core
        return core.chain.state.find("bids", bid.id + core.keys.public, Bid) is not None

    def _settle_price(self, key: bytes) -> None:
        """A promised price: paid once the key is out, never paid if nothing can be locked any more."""
        trader = self.trader
        purchase = trader.exchanges.purchases.get(key)
        if purchase is None:
            if not any(
                each.id == key and each.role == BUYER and each.state in PROMISED for each in trader.desk
            ):
                trader.purse.release(key)
        elif purchase.key is not None:
            trader.purse.spend(key)
        elif not trader.exchanges.is_alive(purchase):
            trader.purse.release(key)
