"""The commits of a question as the nodes of its flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from troth_protocol.insight.contribution import content_key
from troth_protocol.insight.fixed import floor_log2_ppm
from troth_protocol.insight.flow import FlowNode
from troth_protocol.insight.score import log_span
from troth_protocol.log.rows import Commit, Question
from troth_protocol.wire.schema import PPM


@dataclass(frozen=True, slots=True)
class Graph:
    """What a commit gained against the prior, and earned, under the outcome."""

    question: Question
    outcome: int
    epsilon_ppm: int

    def node(self, key: bytes, commit: Commit, incomes: Mapping[bytes, int]) -> FlowNode:
        """A commit's node; `incomes` are those of the authors of wagers, in atomic units."""
        gain = 0
        if commit.revealed and commit.ppm is not None:
            log2 = floor_log2_ppm(commit.ppm[self.outcome], self.question.prior[self.outcome])
            gain = log2 * PPM // log_span(self.epsilon_ppm)
        return FlowNode(
            commit=key,
            author=commit.author,
            epoch=commit.epoch,
            revealed=commit.revealed,
            content_key=content_key(commit.ppm, commit.payload) if commit.revealed else None,
            G_ppm=gain,
            income=incomes.get(commit.author, 0) if commit.wager else 0,
            citations=commit.citations,
        )
