"""What settled questions leave behind: each author's record in a topic, and the outcomes that make its prior."""

from __future__ import annotations

from troth_protocol.genesis import Genesis
from troth_protocol.insight.flow import Record, rise
from troth_protocol.insight.score import Score
from troth_protocol.log.rows import Question, Standing, TopicRow
from troth_protocol.log.state import State


def take_in(state: State, question: Question, row: Score) -> int:
    """An author's income, which moves its record in a standing topic; a sponsored question pays for itself alone."""
    if question.asker is not None:
        return rise(Record(), row.net_for_record)[1]
    return _record(state, question.topic, row)


def _record(state: State, topic: str, row: Score) -> int:
    """Move an author's high-water mark; returns its income."""
    place = topic.encode() + b"/" + row.author
    old = state.find("standings", place, Standing) or Standing()
    record, income = rise(Record(old.won - old.lost, old.high), row.net_for_record)
    won, lost = max(row.net_for_record, 0), max(-row.net_for_record, 0)
    state.put("standings", place, Standing(old.won + won, old.lost + lost, record.high))
    return income


def count(state: State, genesis: Genesis, question: Question, outcome: int) -> None:
    """A sealed outcome enters the topic's prior; a sponsored question has none."""
    if question.asker is not None:
        return
    topic = genesis.topic(question.topic)
    key = topic.name.encode()
    empty = tuple((0,) * len(counts) for counts in topic.prior)
    counts = [list(row) for row in (state.find("topics", key, TopicRow) or TopicRow(empty)).counts]
    counts[question.category][outcome] += 1
    state.put("topics", key, TopicRow(tuple(map(tuple, counts))))
