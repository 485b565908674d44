"""A settlement is lines, each a leaf: any number of them fits, and none can change without the root changing."""

from dataclasses import replace

import pytest

from troth_protocol.insight.results import (
    AttesterLine,
    ForecastLine,
    PaymentLine,
    Settlement,
    emission_leaves,
    settlement_rows,
)
from troth_protocol.wire.codec import MAX_FRAME_BYTES, encode
from troth_protocol.wire.merkle import branch, leaf_hash, root, root_from_branch

Q, A, B, C = (bytes([n]) * 32 for n in (1, 2, 3, 4))
FORECAST = ForecastLine(A, C, (600_000, 400_000), wager=10, back=12, net=-3, income=0)
SETTLEMENT = Settlement(
    question=Q,
    topic="coin",
    index=7,
    round=1,
    outcome=0,
    revote=False,
    prior=(500_000, 500_000),
    forecasts=(FORECAST, replace(FORECAST, author=B, ppm=None, net=5)),
    payments=(PaymentLine(A, B, C, Q, 4),),
    attesters=(AttesterLine(A, 1, -2), AttesterLine(B, None, 2)),
)


def test_the_rows_of_a_settlement():
    assert list(settlement_rows(SETTLEMENT)) == [
        [
            "settlement",
            Q,
            {"topic": "coin", "index": 7, "round": 1, "revote": False, "prior": [500_000] * 2, "outcome": 0},
        ],
        [
            "forecast",
            Q,
            {
                "author": A,
                "commit": C,
                "wager": "10",
                "back": "12",
                "net": ["0", "3"],
                "income": "0",
                "ppm": [600_000, 400_000],
            },
        ],
        [
            "forecast",
            Q,
            {"author": B, "commit": C, "wager": "10", "back": "12", "net": ["5", "0"], "income": "0"},
        ],
        ["payment", Q, [A, B, C, Q, "4"]],
        ["attester", Q, [A, [1], ["0", "2"]]],
        ["attester", Q, [B, [], ["2", "0"]]],
    ]


def test_a_void_has_no_outcome():
    head = next(iter(settlement_rows(replace(SETTLEMENT, outcome=None))))
    assert "outcome" not in head[2]


def test_one_line_is_proved_by_one_branch():
    leaves = emission_leaves([SETTLEMENT, replace(SETTLEMENT, question=A)])
    rows = [row for item in (SETTLEMENT, replace(SETTLEMENT, question=A)) for row in settlement_rows(item)]
    mine = leaf_hash(encode(rows[1]))
    assert root_from_branch(mine, 1, len(leaves), branch(leaves, 1)) == root(leaves)


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": 1},
        {"outcome": None},
        {"revote": True},
        {"forecasts": (FORECAST,)},
        {"payments": ()},
        {"attesters": ()},
        {"question": A},
    ],
)
def test_no_line_can_change_without_the_root(change):
    assert root(emission_leaves([replace(SETTLEMENT, **change)])) != root(emission_leaves([SETTLEMENT]))


def test_however_many_forecast_each_line_fits_a_frame():
    crowd = tuple(replace(FORECAST, author=n.to_bytes(32, "big"), ppm=(15_625,) * 64) for n in range(3_000))
    busy = replace(SETTLEMENT, forecasts=crowd)
    assert sum(len(encode(row)) for row in settlement_rows(busy)) > MAX_FRAME_BYTES
    assert len(emission_leaves([busy])) == 3_000 + 4
