"""Models that can do without any of their inputs, so that what each input adds can be measured.

An input is a block of columns. Whatever a coalition of inputs leaves out is NaN to the model. A model predicts for all
2**n coalitions of its n inputs at a time: row i of a prediction uses input b iff bit b of i is set. Given several rows,
it returns those of coalition 0 first, then those of coalition 1, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from flights_table import Floats, Ints
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

Features: TypeAlias = Callable[[Sequence[Floats]], Floats]
OUTCOMES = 3
ONE_THREAD = ThreadpoolController()


class Model(Protocol):
    """What a learner needs of a model."""

    def fit(self, blocks: Sequence[Floats], outcomes: Ints) -> None:
        """Fit on one row per outcome."""

    def coalitions(self, blocks: Sequence[Floats]) -> Floats:
        """One row of inputs to 2**n × 3 probabilities, one row per coalition."""


class LinearModels:
    """A multinomial logistic regression for every coalition (quick and hard to overfit; for few inputs only)."""

    def __init__(self, features: Features = np.hstack) -> None:
        self._features = features
        self._sample: tuple[Sequence[Floats], Ints] = ([], np.array([], dtype=np.int64))
        self._fitted: dict[int, _Linear] = {}

    def fit(self, blocks: Sequence[Floats], outcomes: Ints) -> None:
        self._sample = blocks, outcomes

    def coalitions(self, blocks: Sequence[Floats]) -> Floats:
        return np.vstack([self.informed(blocks, i) for i in range(2 ** (len(blocks) - 1))])

    def informed(self, blocks: Sequence[Floats], coalition: int) -> Floats:
        """Probabilities for any number of rows, given one coalition's inputs; its model is fitted when first used."""
        if coalition not in self._fitted:
            sample, outcomes = self._sample
            self._fitted[coalition] = _Linear(self._features(_masked(sample, coalition)), outcomes)
        return self._fitted[coalition].predict(self._features(_masked(blocks, coalition)))


class MaskedTrees:
    """Gradient-boosted trees fitted once, with inputs hidden at random from half of the rows.

    With no input at all the answer is each airport's frequencies, which trees would only approximate.
    """

    def __init__(self, seed: int, features: Features = np.hstack) -> None:
        self._seed = seed
        self._features = features
        self._trees = HistGradientBoostingClassifier(
            max_iter=50, learning_rate=0.1, max_leaf_nodes=6, min_samples_leaf=100, l2_regularization=20.0,
            early_stopping=False, random_state=seed,
        )  # fmt: skip

    def fit(self, blocks: Sequence[Floats], outcomes: Ints) -> None:
        inputs, rows = len(blocks) - 1, len(outcomes)
        shown = np.random.default_rng(self._seed).random((inputs, rows)) < 0.5
        shown[:, ::2] = True
        hidden = [
            np.where(show[:, None], block, np.nan) for show, block in zip(shown, blocks[1:], strict=True)
        ]
        self._frequencies = blocks[0].T @ np.eye(OUTCOMES)[outcomes] / blocks[0].sum(axis=0)[:, None]
        with ONE_THREAD.limit(limits=1):
            self._trees.fit(self._features([blocks[0], *hidden]), outcomes)

    def coalitions(self, blocks: Sequence[Floats]) -> Floats:
        rows = [self._features(_masked(blocks, i)) for i in range(1, 2 ** (len(blocks) - 1))]
        with ONE_THREAD.limit(limits=1):
            informed = self._trees.predict_proba(np.vstack(rows))
        return np.vstack([blocks[0] @ self._frequencies, informed])


class _Linear:
    """One logistic regression on standardised columns; missing numbers become the mean."""

    def __init__(self, rows: Floats, outcomes: Ints) -> None:
        self._kept = ~np.isnan(rows).all(axis=0)
        kept = rows[:, self._kept]
        self._mean, self._scale = np.nanmean(kept, axis=0), np.nanstd(kept, axis=0) + 1e-9
        with ONE_THREAD.limit(limits=1):
            self._model = LogisticRegression(C=0.05, max_iter=200).fit(self._standard(rows), outcomes)

    def predict(self, rows: Floats) -> Floats:
        return np.asarray(self._model.predict_proba(self._standard(rows)))

    def _standard(self, rows: Floats) -> Floats:
        return np.asarray(np.nan_to_num((rows[:, self._kept] - self._mean) / self._scale))


def _masked(blocks: Sequence[Floats], coalition: int) -> list[Floats]:
    """The blocks with every input outside the coalition hidden; block 0 (the airport) is everybody's."""
    inputs = enumerate(blocks[1:])
    return [blocks[0], *(block if coalition >> i & 1 else np.full_like(block, np.nan) for i, block in inputs)]
