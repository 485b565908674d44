"""prior.json and flow.json: priors from past outcomes, and incomes that flow along citations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from troth_protocol.insight.flow import FlowNode, Record, flow, rise
from troth_protocol.insight.prior import clamp_ppm, compute_prior
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.schema import PPM

from .common import Case, Json, cases, invalid, keys, valid

COUNTS: Final[tuple[tuple[str, list[int], list[int], int], ...]] = (
    ("nothing known", [0, 0], [5, 5], 10_000),
    ("Laplace's rule", [7, 2, 0], [1, 1, 1], 10_000),
    ("one outcome below epsilon", [0, 3, 996], [1, 1, 1], 10_000),
    ("raising one pushes another below epsilon", [0, 102, 898], [0, 0, 0], 100_000),
    ("one unit left over goes to the lower index", [0, 0, 0], [1, 1, 1], 1),
    ("five units left over", [0] * 7, [1] * 7, 1),
    ("remainders decide before indices", [1, 2, 4], [0, 0, 0], 1),
    ("epsilon leaves no choice", [9, 1], [0, 0], 500_000),
    ("64 outcomes", list(range(64)), [1] * 64, 10_000),
    ("64 outcomes, one ever seen", [1_000_000, *[0] * 63], [1] * 64, 15_625),
    ("counts beyond 64 bits", [10**30, 1], [1, 10**9], 1),
)
FORECASTS: Final[tuple[tuple[str, list[int], int, int], ...]] = (
    ("two outcomes", [600_000, 400_000], 2, 10_000),
    ("as low as epsilon", [10_000, 990_000], 2, 10_000),
    ("64 outcomes that leave no choice", [15_625] * 64, 64, 15_625),
)
BAD_FORECASTS: Final[tuple[tuple[str, str, list[int], int, int], ...]] = (
    ("bad_probabilities", "one ppm too many", [600_000, 400_001], 2, 10_000),
    ("bad_probabilities", "one ppm too few", [600_000, 399_999], 2, 10_000),
    ("bad_probabilities", "one ppm below epsilon", [990_001, 9_999], 2, 10_000),
    ("bad_probabilities", "a negative one", [1_000_001, -1], 2, 1),
    ("bad_probabilities", "an outcome short", [600_000, 400_000], 3, 10_000),
    ("bad_probabilities", "an outcome too many", [500_000, 400_000, 100_000], 2, 10_000),
    ("bad_probabilities", "none", [], 2, 10_000),
)
BAD_COUNTS: Final[tuple[tuple[str, str, list[int], list[int], int], ...]] = (
    ("bad_probabilities", "fewer pseudo-counts than counts", [1, 1], [1], 10_000),
    ("bad_probabilities", "a negative count", [-1, 5], [2, 2], 10_000),
    ("bad_probabilities", "nothing but zeros", [0, 0], [0, 0], 10_000),
    ("bad_probabilities", "one outcome", [1], [1], 10_000),
    ("bad_probabilities", "65 outcomes", [1] * 65, [1] * 65, 1),
    ("bad_parameter", "no epsilon", [1, 1], [1, 1], 0),
    ("bad_parameter", "a negative epsilon", [1, 1], [1, 1], -1),
    ("bad_parameter", "an epsilon that leaves no room", [1, 1], [1, 1], 500_001),
)


def prior() -> Json:
    """The file prior.json."""
    good = [
        valid(
            name,
            check="prior",
            counts=[str(count) for count in counts],
            pseudo_counts=pseudo,
            epsilon_ppm=epsilon,
            prior=list(compute_prior(counts, pseudo, epsilon)),
        )
        for name, counts, pseudo, epsilon in COUNTS
    ]
    again = clamp_ppm([0, 3, 996], 10_000)
    good.append(_forecast("what a prior gave is valid as it is", list(again), 3, 10_000))
    good += [_forecast(*row) for row in FORECASTS]
    bad = [
        invalid(
            code,
            what,
            check="prior",
            counts=[str(c) for c in counts],
            pseudo_counts=pseudo,
            epsilon_ppm=epsilon,
        )
        for code, what, counts, pseudo, epsilon in BAD_COUNTS
    ]
    bad += [
        invalid(
            code, f"a forecast: {what}", check="forecast", ppm=ppm, outcomes=outcomes, epsilon_ppm=epsilon
        )
        for code, what, ppm, outcomes, epsilon in BAD_FORECASTS
    ]
    return cases("Priors from counts of past outcomes (05), and probabilities in ppm (01).", good, bad)


def _forecast(name: str, ppm: list[int], outcomes: int, epsilon: int) -> Case:
    return valid(name, check="forecast", ppm=ppm, outcomes=outcomes, epsilon_ppm=epsilon)


# Flow: commits are named by a word, their ids are digests of it.


def _id(name: str) -> bytes:
    return digest(b"commit " + name.encode())


def _node(
    name: str,
    author: str,
    income: int = 0,
    *,
    gain: int = 0,
    cites: Mapping[str, int] | None = None,
    epoch: int = 1,
    content: str | None = None,
    is_revealed: bool = True,
) -> FlowNode:
    content_key = digest((content or name).encode()) if is_revealed else None
    citations = tuple((_id(to), weight) for to, weight in (cites or {}).items())
    return FlowNode(_id(name), keys(author).public, epoch, is_revealed, content_key, gain, income, citations)


Graph = Sequence[FlowNode]


def _twice(*weights: int) -> FlowNode:
    """A node that cites one source several times."""
    return replace(_node("a", "alma", 5), citations=tuple((_id("b"), weight) for weight in weights))


CIRCLE: Final = [
    _node("a", "alma", cites={"b": 1}),
    _node("b", "bruno", cites={"c": 1}),
    _node("c", "carla", cites={"a": 1}),
]
CHAIN: Final = [
    _node("top", "alma", 1_000_000, gain=500_000, cites={"mid": 400_000, "data": 100_000}),
    _node("mid", "bruno", gain=200_000, cites={"data": 500_000, "raw": 500_000}),
    _node("data", "carla"),
    _node("raw", "dora", gain=-1_000_000),
]
GRAPHS: Final[tuple[tuple[str, Graph], ...]] = (
    ("nobody", []),
    ("one who cites nobody keeps all", [_node("a", "alma", 7)]),
    ("to the leaves", CHAIN),
    ("all of it to one", [_node("a", "alma", 999, cites={"b": PPM}), _node("b", "bruno", gain=PPM)]),
    ("a loser gets nothing", [_node("a", "alma", 999, cites={"b": PPM}), _node("b", "bruno", gain=-PPM)]),
    (
        "a gain beyond its range counts as its range",
        [_node("a", "alma", 999, cites={"b": 500_000}), _node("b", "bruno", gain=2 * PPM)],
    ),
    (
        "rounding stays with the citer",
        [_node("a", "alma", 3, cites={"b": 333_333, "c": 333_333}), _node("b", "bruno"), _node("c", "carla")],
    ),
    (
        "an unrevealed source gets nothing",
        [_node("a", "alma", 100, cites={"b": PPM}), _node("b", "bruno", is_revealed=False)],
    ),
    ("an unknown source gets nothing", [_node("a", "alma", 100, cites={"gone": PPM})]),
    ("whoever did not reveal closes no circle", [*CIRCLE[:2], replace(CIRCLE[2], revealed=False, income=8)]),
    (
        "an unrevealed citer pays nothing",
        [_node("a", "alma", 100, cites={"b": PPM}, is_revealed=False), _node("b", "bruno")],
    ),
    (
        "one's own signal pays its sources",
        [
            _node("a", "alma", 10**6, cites={"own": PPM}),
            _node("own", "alma", cites={"b": PPM}),
            _node("b", "bruno"),
        ],
    ),
    (
        "of two with one content the earlier epoch",
        [
            _node("a", "alma", 10**6, cites={"late": 500_000, "early": 500_000}),
            _node("late", "bruno", epoch=2, content="same"),
            _node("early", "carla", content="same"),
        ],
    ),
    (
        "of two in one epoch the lower id",
        [
            _node("a", "alma", 10**6, cites={"x": 500_000, "y": 500_000}),
            _node("x", "bruno", content="same"),
            _node("y", "carla", content="same"),
        ],
    ),
    (
        "an earlier twin that nobody cites does not matter",
        [
            _node("a", "alma", 10**6, cites={"late": PPM}),
            _node("late", "bruno", epoch=2, content="same"),
            _node("early", "carla", content="same"),
        ],
    ),
    (
        "two who cite one",
        [
            _node("a", "alma", 10**6, cites={"s": 10_000}),
            _node("b", "bruno", 10**9, cites={"s": 1}),
            _node("s", "carla"),
        ],
    ),
    (
        "16 sources of an amount beyond 64 bits",
        [
            _node("a", "alma", 10**38 - 1, cites={f"s{i}": 62_500 for i in range(16)}),
            *(_node(f"s{i}", "bruno") for i in range(16)),
        ],
    ),
)
BAD_GRAPHS: Final[tuple[tuple[str, str, Graph], ...]] = (
    ("duplicate", "one commit twice", [_node("a", "alma"), _node("a", "alma")]),
    (
        "duplicate",
        "one commit of two authors",
        [_node("a", "alma"), _node("b", "carla"), _node("a", "bruno")],
    ),
    (
        "duplicate",
        "one commit, revealed and not",
        [_node("a", "alma"), _node("a", "alma", is_revealed=False)],
    ),
    ("bad_amount", "an income of -1", [_node("a", "alma", -1)]),
    (
        "bad_amount",
        "an income below 0 of one who is cited",
        [_node("a", "alma", 9, cites={"b": 1}), _node("b", "bruno", -9)],
    ),
    (
        "bad_amount",
        "an income below 0 of one who did not reveal",
        [_node("a", "alma", -1, is_revealed=False)],
    ),
    ("bad_citations", "17 sources", [_node("a", "alma", cites={f"s{i}": 1 for i in range(17)})]),
    ("bad_citations", "64 sources", [_node("a", "alma", cites={f"s{i}": 1 for i in range(64)})]),
    ("bad_citations", "a weight of 0", [_node("a", "alma", cites={"b": 0})]),
    ("bad_citations", "a weight of 0 among others", [_node("a", "alma", cites={"b": 5, "c": 0, "d": 5})]),
    ("bad_citations", "a negative weight", [_node("a", "alma", cites={"b": -1})]),
    (
        "bad_citations",
        "a negative weight that makes room",
        [_node("a", "alma", cites={"b": PPM, "c": 9, "d": -9})],
    ),
    ("bad_citations", "one ppm too many to one", [_node("a", "alma", cites={"b": PPM + 1})]),
    ("bad_citations", "one ppm too many to two", [_node("a", "alma", cites={"b": 600_000, "c": 400_001})]),
    ("bad_citations", "a source twice", [_twice(1, 1)]),
    ("bad_citations", "a source twice with two weights", [_twice(1, 2)]),
    ("bad_citations", "of one who did not reveal", [_node("a", "alma", cites={"b": 0}, is_revealed=False)]),
    ("bad_citations", "oneself", [_node("a", "alma", 9, cites={"a": 1})]),
    (
        "bad_citations",
        "a circle of two",
        [_node("a", "alma", cites={"b": 1}), _node("b", "bruno", cites={"a": 1})],
    ),
    ("bad_citations", "a circle behind a good start", [_node("t", "dora", 9, cites={"a": 1}), *CIRCLE]),
    ("bad_citations", "a circle beside a good node", [_node("t", "dora", 9), *CIRCLE]),
)
#: What enters an author's record, in order.
ENTERED: Final[tuple[tuple[str, list[int]], ...]] = (
    ("rises, falls, rises", [300, -200, 150, 400]),
    ("never above zero", [-5, 4, 1]),
    ("large amounts", [10**37, -(10**37), 10**37 + 1]),
)


def _shown(node: FlowNode) -> Json:
    return {
        "commit": node.commit.hex(),
        "author": node.author.hex(),
        "epoch": node.epoch,
        "revealed": node.revealed,
        "content_key": node.content_key.hex() if node.content_key else None,
        "gain_ppm": node.G_ppm,
        "income": str(node.income),
        "citations": [[commit.hex(), weight] for commit, weight in node.citations],
    }


def _flows(name: str, nodes: Graph) -> Case:
    result = flow(nodes)
    payments = [[p.frm_commit.hex(), p.to_commit.hex(), str(p.amount)] for p in result.payments]
    return valid(
        name,
        check="flow",
        nodes=[_shown(node) for node in nodes],
        payments=payments,
        received={node.commit.hex(): str(result.received[node.commit]) for node in nodes},
        kept={node.commit.hex(): str(result.retained[node.commit]) for node in nodes},
    )


def _record(name: str, nets: list[int]) -> Case:
    record, rows = Record(), []
    for net in nets:
        record, income = rise(record, net)
        rows.append([str(net), str(record.cumulative), str(record.high), str(income)])
    return valid(name, check="record", entered_sum_high_income=rows)


def flow_file() -> Json:
    """The file flow.json."""
    bad = [
        invalid(code, what, check="flow", nodes=[_shown(node) for node in nodes])
        for code, what, nodes in BAD_GRAPHS
    ]
    return cases(
        "Incomes from records, and their way along citations (05): conserved at every node.",
        [*(_record(*row) for row in ENTERED), *(_flows(*row) for row in GRAPHS)],
        bad,
    )
