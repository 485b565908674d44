"""Income and citations: emission that lasted flows from each forecast to what informed it, to the leaves.

Income is the rise of an author's high-water mark of cumulative net emission in a topic: whoever sold to it is
paid from insight that lasted, and never owes. A cited contribution k of a node with means x (own income +
received) gets

    pay_k = floor(x * c_k * (1 + G_k) / 2)     c_k: its weight; G_k: its score against the prior (signals: 0)

whatever its siblings are, so a shill cannot shrink an honest seller; what is not paid stays with the node. At
every node own income + received = paid out + retained, to the unit.

Three cases the formula leaves open. Citing one's own commit pays like any citation (so an author's signal
still pays *its* sources) and the payment is marked `own`: seen by author, it is retained. A commit that is
cited but unknown or unrevealed gets nothing. Of the revealed contributions with one content key that anybody
on the question cites, only the earliest by (epoch, commit id) is paid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from troth_protocol.errors import Invalid
from troth_protocol.insight.contribution import validate_citations
from troth_protocol.log.rows import CITATIONS_MAX
from troth_protocol.wire.schema import PPM


@dataclass(frozen=True, slots=True)
class Record:
    """An author's emission in one topic: the sum of its nets (may be negative), and its highest ever."""

    cumulative: int = 0
    high: int = 0


def rise(record: Record, net: int) -> tuple[Record, int]:
    """The record after one more `net_for_record`, and the income: the rise of its high-water mark, 0 or more."""
    cumulative = record.cumulative + net
    high = max(record.high, cumulative)
    return Record(cumulative, high), high - record.high


@dataclass(frozen=True, slots=True)
class FlowNode:
    """One commit of the question; `income` is its own high-water income (0 for signals), in atomic units.

    `content_key` identifies the payload digest or the probabilities, None while unrevealed; `G_ppm` is 0 for
    payload signals, and is held within -1,000,000 and 1,000,000; `citations` are (commit, weight ppm), and
    those of an unrevealed node count for nothing.
    """

    commit: bytes
    author: bytes
    epoch: int
    revealed: bool
    content_key: bytes | None
    G_ppm: int
    income: int
    citations: tuple[tuple[bytes, int], ...] = ()

    def open_citations(self) -> tuple[tuple[bytes, int], ...]:
        return self.citations if self.revealed else ()

    def identity(self) -> tuple[bool, bytes]:
        """Equal for two nodes of one content; unknown content is like no other."""
        return (False, self.commit) if self.content_key is None else (True, self.content_key)


@dataclass(frozen=True, slots=True)
class Payment:
    """An edge of the graph that was paid; `own` if both ends belong to one author."""

    frm_commit: bytes
    to_commit: bytes
    amount: int
    own: bool = False


@dataclass(frozen=True, slots=True)
class FlowResult:
    """Per commit, in atomic units: own income + received = paid_out + retained.

    `payments` are in an order in which whoever pays has been paid before, so no balance dips on the way.
    """

    received: Mapping[bytes, int]
    paid_out: Mapping[bytes, int]
    retained: Mapping[bytes, int]
    payments: tuple[Payment, ...]


def flow(nodes: Sequence[FlowNode]) -> FlowResult:
    """Let the incomes of one question's commits flow along their citations.

    Raises Invalid: duplicate (two nodes of one commit), bad_amount (income below 0), bad_citations (weights,
    number, or a cycle, which no honest graph can have: a hash cannot name what does not exist yet).
    """
    by_commit = {node.commit: node for node in nodes}
    _validate(nodes, by_commit)
    payable = _payable(nodes, by_commit)
    means = {node.commit: node.income for node in nodes}
    paid_out = dict.fromkeys(by_commit, 0)
    payments: list[Payment] = []
    for node in _citing_first(nodes, by_commit):
        for payment in _payments(node, means[node.commit], payable):
            means[payment.to_commit] += payment.amount
            paid_out[node.commit] += payment.amount
            payments += [payment] if payment.amount else []
    return FlowResult(
        received={node.commit: means[node.commit] - node.income for node in nodes},
        paid_out=paid_out,
        retained={commit: means[commit] - paid for commit, paid in paid_out.items()},
        payments=tuple(payments),
    )


def _payments(node: FlowNode, means: int, payable: Mapping[bytes, FlowNode]) -> Iterator[Payment]:
    for commit, weight_ppm in node.open_citations():
        if commit in payable:
            cited = payable[commit]
            amount = means * weight_ppm * (PPM + _clip(cited.G_ppm)) // (2 * PPM * PPM)
            yield Payment(node.commit, commit, amount, cited.author == node.author)


def _clip(gain_ppm: int) -> int:
    return max(-PPM, min(PPM, gain_ppm))


def _payable(nodes: Sequence[FlowNode], by_commit: Mapping[bytes, FlowNode]) -> dict[bytes, FlowNode]:
    """The revealed nodes that somebody cites, less all but the earliest of those with the same content."""
    cited = {commit for node in nodes for commit, _ in node.open_citations()}
    revealed = [by_commit[commit] for commit in cited if commit in by_commit and by_commit[commit].revealed]
    earliest: dict[tuple[bool, bytes], FlowNode] = {}
    for node in sorted(revealed, key=lambda node: (node.epoch, node.commit)):
        earliest.setdefault(node.identity(), node)
    return {node.commit: node for node in earliest.values()}


def _citing_first(nodes: Sequence[FlowNode], by_commit: Mapping[bytes, FlowNode]) -> Iterator[FlowNode]:
    """Topological order (Kahn 1962), of several the one with the lowest commits: citers before the cited."""
    waiting = dict.fromkeys(by_commit, 0)
    for node in nodes:
        for commit in _known(node, by_commit):
            waiting[commit] += 1
    ready = [commit for commit, citers in waiting.items() if not citers]
    heapify(ready)
    done = 0
    while ready:
        node = by_commit[heappop(ready)]
        done += 1
        yield node
        for commit in _known(node, by_commit):
            waiting[commit] -= 1
            if not waiting[commit]:
                heappush(ready, commit)
    if done < len(nodes):
        raise Invalid("bad_citations", "a cycle")


def _known(node: FlowNode, by_commit: Mapping[bytes, FlowNode]) -> list[bytes]:
    return [commit for commit, _ in node.open_citations() if commit in by_commit]


def _validate(nodes: Sequence[FlowNode], by_commit: Mapping[bytes, FlowNode]) -> None:
    if len(by_commit) != len(nodes):
        raise Invalid("duplicate", "two nodes of one commit")
    for node in nodes:
        if node.income < 0:
            raise Invalid("bad_amount", "an income below 0")
        if len(node.citations) > CITATIONS_MAX or any(weight < 0 for _, weight in node.citations):
            raise Invalid("bad_citations", f"at most {CITATIONS_MAX}, none negative")
        validate_citations(node.citations)
