"""contributions.json: what commits and attestations seal, and what breaks a rule once it is opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from troth_protocol.insight.contribution import CONTRIBUTION, Contribution, content_key
from troth_protocol.log.sealed import attest_digest, commit_digest, commit_id, question_id
from troth_protocol.wire.codec import encode
from troth_protocol.wire.crypto import digest, preimage
from troth_protocol.wire.schema import PPM

from .common import (
    NETWORK,
    OTHER_NETWORK,
    Case,
    Json,
    cases,
    changed,
    hexed,
    invalid,
    keys,
    plain,
    tried,
    valid,
)

AUTHOR: Final = keys("alma").public
QUESTION: Final = question_id(NETWORK, "coin", 7)
OTHER_QUESTION: Final = question_id(NETWORK, "coin", 8)
SALT: Final = digest(b"salt")
OUTCOMES: Final = 3
EPSILON: Final = 10_000
PPM_LIST: Final = (600_000, 300_000, 100_000)
PAYLOAD: Final = digest(b"rain until five")


def _sources(*weights: int) -> tuple[tuple[bytes, int], ...]:
    return tuple((digest(b"source %d" % number), weight) for number, weight in enumerate(weights))


def _forecast(rationale: str = "because", citations: Sequence[tuple[bytes, int]] = ()) -> Contribution:
    return Contribution(QUESTION, rationale, tuple(citations), ppm=PPM_LIST)


def _setting() -> dict[str, Json]:
    return {"question": QUESTION.hex(), "outcomes": OUTCOMES, "epsilon_ppm": EPSILON}


def _good(name: str, item: Contribution) -> Case:
    data = CONTRIBUTION.encode(item)
    sealed = commit_digest(NETWORK, AUTHOR, QUESTION, SALT, data)
    key = content_key(item.ppm, item.payload)
    return valid(
        name,
        check="contribution",
        **_setting(),
        value=plain(CONTRIBUTION.dump(item)),
        bytes=hexed(data),
        content_key=key.hex() if key else None,
        network=NETWORK.hex(),
        author=AUTHOR.hex(),
        salt=SALT.hex(),
        preimage=hexed(preimage("troth/commit/1", NETWORK, AUTHOR + QUESTION + SALT + data)),
        digest=sealed.hex(),
        commit=commit_id(NETWORK, AUTHOR, QUESTION, sealed).hex(),
    )


def _attested(outcome: int) -> Case:
    payload = AUTHOR + QUESTION + SALT + bytes([outcome])
    return valid(
        f"a vote for outcome {outcome}",
        check="attest",
        network=NETWORK.hex(),
        author=AUTHOR.hex(),
        question=QUESTION.hex(),
        salt=SALT.hex(),
        outcome=outcome,
        preimage=preimage("troth/attest/1", NETWORK, payload).hex(),
        digest=attest_digest(NETWORK, AUTHOR, QUESTION, SALT, outcome).hex(),
    )


def _bad_bytes() -> list[tuple[str, str, bytes]]:
    data = CONTRIBUTION.encode(_forecast(citations=_sources(200_000, 100_000)))
    signal = CONTRIBUTION.encode(Contribution(QUESTION, "", (), payload=PAYLOAD))
    citations: list[tuple[str, str, Json]] = [
        ("bad_citations", "a source twice", _listed([*_sources(5), *_sources(6)])),
        ("bad_citations", "a weight of 0", _listed(_sources(5, 0))),
        ("bad_citations", "one ppm too many", _listed(_sources(PPM // 2, PPM // 2 + 1))),
        ("bad_field", "17 sources", _listed(_sources(*[1] * 17))),
        ("bad_field", "a source of more than everything", _listed(_sources(PPM + 1))),
        ("bad_field", "a source without a weight", [[digest(b"source 0")]]),
        ("bad_field", "an id of 31 bytes", [[bytes(31), 5]]),
    ]
    forecasts: list[tuple[str, str, Json]] = [
        ("bad_probabilities", "one ppm too many", [600_000, 300_000, 100_001]),
        ("bad_probabilities", "one ppm too few", [600_000, 300_000, 99_999]),
        ("bad_probabilities", "one ppm below epsilon", [690_001, 300_000, 9_999]),
        ("bad_probabilities", "an outcome short", [600_000, 400_000]),
        ("bad_probabilities", "an outcome too many", [600_000, 200_000, 100_000, 100_000]),
        ("bad_field", "one probability", [PPM]),
        ("bad_field", "65 probabilities", [PPM // 65] * 65),
        ("bad_field", "a negative one", [700_001, 300_000, -1]),
        ("bad_field", "a bool", [600_000, 400_000, False]),
    ]
    return [
        ("wrong_question", "to another question", changed(data, question=OTHER_QUESTION)),
        ("bad_contribution", "neither probabilities nor a payload", changed(data, ppm=None)),
        ("bad_contribution", "probabilities and a payload", changed(data, payload=PAYLOAD)),
        *((code, what, changed(data, citations=item)) for code, what, item in citations),
        *((code, what, changed(data, ppm=item)) for code, what, item in forecasts),
        ("bad_field", "a payload digest of 31 bytes", changed(signal, payload=PAYLOAD[:31])),
        ("bad_field", "a rationale of 8,193 bytes", changed(data, rationale="x" * 8_193)),
        ("bad_field", "a rationale of 4,097 letters and 8,194 bytes", changed(data, rationale="é" * 4_097)),
        ("bad_field", "a rationale of bytes", changed(data, rationale=b"because")),
        ("missing_field", "no citations, not even none", changed(data, citations=None)),
        ("missing_field", "no rationale, not even an empty one", changed(data, rationale=None)),
        ("unknown_field", "a signature", changed(data, signature=bytes(64))),
        ("bad_field", "a list", encode([])),
        ("float", "a probability as a fraction", _with_float(data)),
        ("trailing", "a byte after it", data + b"\x00"),
        ("empty", "no bytes", b""),
    ]


def _listed(citations: Sequence[tuple[bytes, int]]) -> list[Json]:
    return [[commit, weight] for commit, weight in citations]


def _with_float(data: bytes) -> bytes:
    """0.6 as a float where 600,000 stands."""
    return data.replace(encode(600_000), bytes.fromhex("cb3fe3333333333333"))


def _bad_openings() -> list[Case]:
    good = _good("", _forecast())
    opening = {key: good[key] for key in ("network", "author", "question", "salt", "bytes", "digest")}
    vote = {key: item for key, item in _attested(1).items() if key not in {"name", "preimage"}}
    other = CONTRIBUTION.encode(_forecast("because of something else"))
    return tried(
        opening | {"check": "open"},
        [
            ("bad_digest", "a copy of somebody's sealed digest", {"author": keys("bruno").public.hex()}),
            ("bad_digest", "another salt", {"salt": digest(b"other salt").hex()}),
            ("bad_digest", "another content", {"bytes": other.hex()}),
            ("bad_digest", "another question", {"question": OTHER_QUESTION.hex()}),
            ("bad_digest", "another network", {"network": OTHER_NETWORK.hex()}),
        ],
    ) + tried(
        vote,
        [
            ("bad_digest", "a copy of somebody's sealed vote", {"author": keys("bruno").public.hex()}),
            ("bad_digest", "another outcome than the sealed one", {"outcome": 0}),
            ("bad_digest", "a vote with another salt", {"salt": digest(b"other salt").hex()}),
            ("bad_digest", "a vote on another question", {"question": OTHER_QUESTION.hex()}),
        ],
    )


def contributions() -> Json:
    """The file contributions.json."""
    good = [
        _good("a forecast", _forecast()),
        _good("a forecast with sources", _forecast("rain", _sources(200_000, 100_000))),
        _good("all income promised to 16 sources", _forecast("", _sources(*[62_500] * 16))),
        _good("a rationale of 8,192 bytes", _forecast("x" * 8_192)),
        _good("a signal", Contribution(QUESTION, "measured at noon", (), payload=PAYLOAD)),
        _good("a signal with a source", Contribution(QUESTION, "", _sources(1), payload=PAYLOAD)),
        *map(_attested, (0, 1, 63)),
    ]
    bad = [
        invalid(code, what, check="contribution", **_setting(), bytes=hexed(data))
        for code, what, data in _bad_bytes()
    ]
    return cases(
        "Contributions, the digests that seal them and the attestations (02, 05).",
        good,
        [*bad, *_bad_openings()],
    )
