"""score.json: logarithms to the last bit, and questions scored to the unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from troth_protocol.insight.fixed import ceil_log2, floor_log2, floor_log2_ppm
from troth_protocol.insight.score import Wager, log_span, market_gain, score_question
from troth_protocol.wire.schema import PPM

from .common import TOKEN, Case, Json, cases, tried, valid

FRACTIONS: Final = (
    (1, 1),
    (1, 2),
    (3, 1),
    (1, 3),
    (PPM, 10_000),
    (999_999, PPM),
    (500_001, 500_000),
    (2**64 + 1, 2**64),
    (10**38 - 1, 10**38 - 2),
    (10**200, 7),
)
LARGEST: Final = 10**38 - 1
ALMA, BRUNO, CARLA = [600_000, 300_000, 100_000], [200_000, 500_000, 300_000], [300_000, 500_000, 200_000]
PRIOR: Final = CARLA
Row = tuple[str, int, list[int] | None]
FOUR: Final[list[Row]] = [
    ("alma", 40 * TOKEN, ALMA),
    ("bruno", 25 * TOKEN, BRUNO),
    ("carla", 10 * TOKEN, CARLA),
    ("dora", 5 * TOKEN, None),
]
SURE, LOST = [980_000, 10_000, 10_000], [10_000, 980_000, 10_000]
NEARLY: Final = [[333_333 + k, 333_334 - k, 333_333] for k in range(5)]
MANY: Final[list[Row]] = [
    (f"p{k}", 7**k % 1_000_003 * TOKEN + k, [10_000 + 97 * k, 400_000 - 31 * k, 590_000 - 66 * k])
    for k in range(16)
]


def _question(wagers: Sequence[Row], **other: Json) -> Case:
    """The arguments of a score: usual ones, unless others are named."""
    usual = {
        "check": "score",
        "prior_ppm": PRIOR,
        "emission": 100 * TOKEN,
        "house": 1_000 * TOKEN,
        "kappa_ppm": 500_000,
        "epsilon_ppm": 10_000,
        "outcome": 0,
        "wagers": [{"author": name, "wager": str(wager), "ppm": ppm} for name, wager, ppm in wagers],
    }
    asked = usual | other
    return asked | {name: str(asked[name]) for name in ("emission", "house")}


def _pair(
    first: list[int] | None, second: list[int] | None, wagers: tuple[int, int] = (TOKEN, TOKEN)
) -> list[Row]:
    return [("alma", wagers[0], first), ("bruno", wagers[1], second)]


def _bits(count: int, outcome: int) -> list[int]:
    """A forecast of many outcomes that prefers one."""
    rest = 15_000
    return [PPM - rest * (count - 1) if k == outcome else rest for k in range(count)]


QUESTIONS: Final[tuple[tuple[str, Case], ...]] = (
    ("four wagers, one of them unrevealed", _question(FOUR)),
    ("the same, another outcome", _question(FOUR, outcome=1)),
    ("one wager", _question(FOUR[:1])),
    ("one revealed wager beside an unrevealed one", _question([FOUR[0], FOUR[3]])),
    ("nobody revealed", _question([("alma", TOKEN, None), ("bruno", 7, None)])),
    ("no wagers", _question([])),
    ("wagers of nothing", _question(_pair(SURE, LOST, (0, 0)))),
    ("nothing wagered in a house of nothing", _question(_pair(SURE, LOST, (0, 0)), house=0)),
    ("repeating the prior wins and loses no emission", _question(_pair(PRIOR, ALMA))),
    ("all alike", _question(_pair(ALMA, ALMA))),
    (
        "near consensus, amounts that do not divide",
        _question([(f"p{k}", 10**k + 7, p) for k, p in enumerate(NEARLY)]),
    ),
    ("from one end to the other", _question(_pair(SURE, LOST))),
    ("the emission capped at half of wagers and house", _question(_pair(ALMA, BRUNO, (3, 4)), house=2)),
    (
        "one unit each: both halves of a loss round up, one is forgiven",
        _question(_pair(SURE, LOST, (1, 1)), house=0, outcome=1, prior_ppm=[600_000, 390_000, 10_000]),
    ),
    (
        "amounts as large as there are",
        _question(_pair(ALMA, BRUNO, (LARGEST, LARGEST)), emission=LARGEST, house=LARGEST),
    ),
    ("one giant, one of a unit", _question(_pair(BRUNO, ALMA, (LARGEST, 1)), house=0, emission=LARGEST)),
    ("no emission", _question(FOUR, emission=0)),
    ("no kappa: wagers return", _question(FOUR, kappa_ppm=0)),
    ("an odd kappa", _question(FOUR, kappa_ppm=333_333)),
    ("epsilon of 1 ppm", _question(_pair([1, 999_998, 1], [999_998, 1, 1]), epsilon_ppm=1)),
    (
        "an epsilon that leaves no choice",
        _question(_pair([500_000] * 2, [500_000] * 2), prior_ppm=[500_000] * 2, epsilon_ppm=500_000),
    ),
    ("64 outcomes", _question(_pair(_bits(64, 63), _bits(64, 0)), prior_ppm=[15_625] * 64, outcome=63)),
    ("16 wagers", _question(MANY, outcome=2)),
)


def _scored(name: str, asked: Case) -> Case:
    wagers = [Wager(w["author"].encode(), int(w["wager"]), _ppm(w["ppm"])) for w in asked["wagers"]]
    outcome, span = asked["outcome"], log_span(asked["epsilon_ppm"])
    amounts = int(asked["emission"]), int(asked["house"])
    scores = score_question(
        asked["prior_ppm"], *amounts, asked["kappa_ppm"], asked["epsilon_ppm"], wagers, outcome
    )
    revealed = [(one.wager, one.ppm[outcome]) for one in wagers if one.ppm is not None]
    total, pooled = sum(wager for wager, _ in revealed), sum(wager * ppm for wager, ppm in revealed)
    rows = []
    for one, row in zip(wagers, scores.rows, strict=True):
        shown: dict[str, Json] = {"author": one.author.decode()}
        if one.ppm is not None:
            shown["gain"] = market_gain(one.wager, one.ppm[outcome], total, pooled)
            shown["prior_gain"] = floor_log2_ppm(one.ppm[outcome], asked["prior_ppm"][outcome])
        amounts_of = {"back": row.back, "net": row.net, "net_for_record": row.net_for_record}
        rows.append(
            shown
            | {key: str(v) for key, v in amounts_of.items()}
            | {"g_ppm": row.g_ppm, "prior_g_ppm": row.G_ppm}
        )
    return valid(
        name,
        **asked,
        steps={"l": span, "w": str(total), "s": str(pooled), "e": str(scores.emission)},
        rows=rows,
        to_reserve=str(scores.to_reserve),
    )


def _ppm(ppm: list[int] | None) -> tuple[int, ...] | None:
    return None if ppm is None else tuple(ppm)


def _wager(**other: Json) -> dict[str, Json]:
    return {"wagers": [{"author": "alma", "wager": str(TOKEN), "ppm": ALMA} | other]}


def _bad() -> list[Case]:
    huge = str(LARGEST + 1)
    forecasts = [
        ("an outcome short", [600_000, 400_000]),
        ("an outcome too many", [600_000, 200_000, 100_000, 100_000]),
        ("none", []),
        ("one ppm too many", [600_000, 300_000, 100_001]),
        ("one ppm too few", [600_000, 300_000, 99_999]),
        ("one ppm below epsilon", [690_001, 300_000, 9_999]),
        ("a negative one", [700_001, 300_000, -1]),
    ]
    changes: list[tuple[str, str, dict[str, Json]]] = [
        *(("bad_probabilities", f"a forecast: {what}", _wager(ppm=ppm)) for what, ppm in forecasts),
        *(("bad_probabilities", f"the prior: {what}", {"prior_ppm": ppm}) for what, ppm in forecasts[2:]),
        ("bad_probabilities", "one outcome", {"prior_ppm": [PPM], "wagers": []}),
        ("bad_probabilities", "65 outcomes", {"prior_ppm": _uneven(65), "wagers": [], "epsilon_ppm": 1}),
        ("bad_parameter", "kappa above a half", {"kappa_ppm": 500_001}),
        ("bad_parameter", "a negative kappa", {"kappa_ppm": -1}),
        ("bad_parameter", "no epsilon", {"epsilon_ppm": 0}),
        ("bad_parameter", "a negative epsilon", {"epsilon_ppm": -1}),
        ("bad_parameter", "an epsilon that leaves no room", {"epsilon_ppm": 333_334}),
        ("bad_outcome", "behind the last", {"outcome": 3}),
        ("bad_outcome", "a negative one", {"outcome": -1}),
        ("duplicate", "one author twice", {"wagers": _question([FOUR[0], FOUR[0]])["wagers"]}),
        (
            "duplicate",
            "one author, revealed and not",
            {"wagers": _question([FOUR[0], ("alma", 1, None)])["wagers"]},
        ),
        ("bad_amount", "a negative emission", {"emission": "-1"}),
        ("bad_amount", "an emission of 10^38", {"emission": huge}),
        ("bad_amount", "a negative house", {"house": "-1"}),
        ("bad_amount", "a house of 10^38", {"house": huge}),
        ("bad_amount", "a negative wager", _wager(wager="-1")),
        ("bad_amount", "a wager of 10^38", _wager(wager=huge)),
        ("bad_amount", "an unrevealed wager below 0", _wager(wager="-1", ppm=None)),
    ]
    logarithm = {"check": "log2", "n": "1", "d": "1"}
    return tried(_question(FOUR), changes) + tried(
        logarithm,
        [
            ("bad_logarithm", "of zero", {"n": "0"}),
            ("bad_logarithm", "of a negative number", {"n": "-1"}),
            ("bad_logarithm", "of a fraction over zero", {"d": "0"}),
            ("bad_logarithm", "of a fraction over a negative number", {"d": "-1"}),
            ("bad_logarithm", "of two negative numbers", {"n": "-1", "d": "-1"}),
        ],
    )


def _uneven(count: int) -> list[int]:
    return [PPM - (count - 1), *[1] * (count - 1)]


def _log2(n: int, d: int) -> Case:
    name = f"log2 of {n}/{d}" if n < 10**9 else f"log2 of a fraction of {n.bit_length()} bits"
    return valid(name, check="log2", n=str(n), d=str(d), floor=floor_log2(n, d), ceil=ceil_log2(n, d))


def score() -> Json:
    """The file score.json."""
    return cases(
        "Logarithms in units of 2^-32 and the score of a question (05); amounts are decimal strings.",
        [*(_log2(*fraction) for fraction in FRACTIONS), *(_scored(*row) for row in QUESTIONS)],
        _bad(),
    )
