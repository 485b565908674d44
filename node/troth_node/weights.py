"""Weights that an agent learns, and their division into whole parts per million that never exceed the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from troth_protocol.insight.credit import multiplicative_update
from troth_protocol.wire.schema import PPM

SHARING = 0.01


class MultiplicativeWeights:
    """Hedge with fixed shares (Freund and Schapire 1997; Herbster and Warmuth 1998).

    After a round, each source's weight is multiplied by exp(rate · credit), credit in nats; then a small part of all
    weights is shared out evenly, so that a source which was worthless for long can still come back.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._weights: dict[str, float] = {}

    def start(self, source: str, weight: float) -> None:
        """Give a source that is not known yet a weight to begin with, above zero, relative to all others."""
        self._weights.setdefault(source, weight)

    def learn(self, credit: Mapping[str, float]) -> None:
        """Apply one round's credit; sources that took no part keep their share of the whole."""
        sources = sorted(credit)
        if not sources:
            return
        before = [self._weights.setdefault(source, self._mean()) for source in sources]
        after = multiplicative_update(before, [credit[source] for source in sources], self._rate)
        for source, share in zip(sources, after, strict=True):
            self._weights[source] = sum(before) * ((1 - SHARING) * share + SHARING / len(sources))

    def shares(self, sources: Sequence[str]) -> list[float]:
        """The shares of these sources among themselves, adding up to 1; a new one starts with the mean weight."""
        weights = [self._weights.get(source, self._mean()) for source in sources]
        return [weight / sum(weights) for weight in weights]

    def all_shares(self) -> dict[str, float]:
        """The share of every source that was ever credited."""
        names = sorted(self._weights)
        return dict(zip(names, self.shares(names), strict=True))

    def _mean(self) -> float:
        return sum(self._weights.values()) / len(self._weights) if self._weights else 1.0


def split_ppm(whole_ppm: int, shares: Sequence[float], floors_ppm: Sequence[int]) -> list[int]:
    """Divide `whole_ppm` by shares that add up to 1, each part at least its floor, all together at most 1,000,000.

    The floors must leave room: ValueError if their sum exceeds 1,000,000.
    """
    room = PPM - sum(floors_ppm)
    if room < 0:
        raise ValueError(f"promised weights exceed the whole by {-room} ppm")
    above = [max(0, int(whole_ppm * share) - floor) for share, floor in zip(shares, floors_ppm, strict=True)]
    scale = min(1.0, room / max(1, sum(above)))
    return [floor + int(more * scale) for floor, more in zip(floors_ppm, above, strict=True)]
