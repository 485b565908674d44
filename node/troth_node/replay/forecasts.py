"""Tables of real forecasts: read line by line, refused with one line that names file, line and column.

A table is CSV in UTF-8: a header with the columns `round, question, forecaster, outcome, p0, p1, ...` in any order,
then one record a line. Probabilities that add up to 1 within SUM_TOLERANCE are scaled to add up to it exactly, then
clamped to epsilon. A question is what has that name in that round.
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

from troth_protocol.errors import Invalid
from troth_protocol.genesis import BATCH_MAX, BATCHES_MAX, OUTCOMES_MAX
from troth_protocol.insight.prior import OUTCOMES_MIN, ppm_from_floats
from troth_protocol.wire.schema import PPM

LINE_MAX_BYTES: Final = 16_384
NAME_MAX_CHARS: Final = 128
ROWS_MAX: Final = 1_000_000
#: Rows times outcomes: what is kept of a table is four bytes for each of them, and some 250 bytes a row.
CELLS_MAX: Final = 16_000_000
FORECASTERS_MAX: Final = 1_000
#: How far probabilities may be from adding up to 1: two decimals of a few outcomes.
SUM_TOLERANCE: Final = 0.01
KEYS: Final = ("round", "question", "forecaster", "outcome")

_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_PROBABILITY = re.compile(r"p(0|[1-9]\d*)", re.ASCII)


class TableError(Exception):
    """A table that cannot be replayed; one line that says where and what to do."""


@dataclass(slots=True)
class Asked:
    """One question: its outcome, and what each forecaster (by number) said, in ppm of at least epsilon."""

    name: str
    outcome: int
    answers: dict[int, array[int]] = field(default_factory=dict)


@dataclass(slots=True)
class Round:
    """Questions that are open together, in the order in which the table first names them."""

    name: str
    questions: list[Asked]

    def answered_by(self, forecaster: int) -> list[tuple[int, array[int]]]:
        """What one forecaster said in this round: (place of the question in the round, ppm)."""
        return [
            (place, asked.answers[forecaster])
            for place, asked in enumerate(self.questions)
            if forecaster in asked.answers
        ]


@dataclass(slots=True)
class Table:
    """A whole table. `left_out` counts questions that too few have answered, `digest` is of the file's bytes."""

    outcomes: int
    forecasters: list[str]
    rounds: list[Round]
    rows: int
    left_out: int
    digest: bytes

    def batches(self) -> tuple[int, ...]:
        """How many questions each round has."""
        return tuple(len(round_.questions) for round_ in self.rounds)

    def asked(self, index: int) -> Asked:
        """The question of that number, counted through all rounds; IndexError if there is none."""
        round_, place = self.at(index)
        return round_.questions[place]

    def at(self, index: int) -> tuple[Round, int]:
        """The round of a question's number, and its place there; IndexError if there is none."""
        for round_ in self.rounds:
            if index < len(round_.questions):
                return round_, index
            index -= len(round_.questions)
        raise IndexError(index)

    def answers(self) -> int:
        """How many forecasts are to be replayed."""
        return sum(len(asked.answers) for round_ in self.rounds for asked in round_.questions)


def read_table(path: Path, epsilon_ppm: int, min_forecasters: int = 1) -> Table:
    """Read a table, in memory bounded by ROWS_MAX and CELLS_MAX; TableError names the first thing that is wrong."""
    try:
        with path.open("rb") as file:
            return _Reader(path, epsilon_ppm).read(file).finish(min_forecasters)
    except OSError as error:
        raise TableError(f"cannot read {path}: {error.strerror}") from None


@lru_cache(maxsize=1)
def shared_table(path: Path, epsilon_ppm: int, min_forecasters: int) -> Table:
    """`read_table`, once for a process and those that it forks; nobody changes what it returns."""
    return read_table(path, epsilon_ppm, min_forecasters)


class _Reader:
    """What is known of a table so far."""

    def __init__(self, path: Path, epsilon_ppm: int) -> None:
        self.path = path
        self.epsilon_ppm = epsilon_ppm
        self.line = 0
        self.rows = 0
        self.forecasters: dict[str, int] = {}
        self.rounds: dict[str, dict[str, Asked]] = {}
        self.hash = hashlib.sha256()
        self.places: dict[str, int] = {}
        self.probabilities: list[int] = []

    def fail(self, what: str, column: str | None = None) -> NoReturn:
        """Refuse the table."""
        where = f", column {column}" if column is not None else ""
        raise TableError(f"{self.path}, line {max(self.line, 1)}{where}: {what}")

    def read(self, file: BinaryIO) -> _Reader:
        """Take every line in."""
        records = self._records(file)
        header = next(records, None)
        if header is None:
            self.fail("the file is empty; begin with the header round,question,forecaster,outcome,p0,p1")
        self._header(header)
        for record in records:
            self._row(record)
        if not self.rows:
            self.fail("there is a header and no forecast; add a row")
        return self

    def _records(self, file: BinaryIO) -> Iterator[list[str]]:
        while data := file.readline(LINE_MAX_BYTES + 1):
            self.line += 1
            self.hash.update(data)
            if len(data) > LINE_MAX_BYTES:
                self.fail(f"the line is longer than {LINE_MAX_BYTES} bytes; shorten its names")
            record = self._split(data)
            if record:
                yield record

    def _split(self, data: bytes) -> list[str]:
        try:
            text = data.decode("utf-8-sig" if self.line == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            self.fail("not UTF-8 text; save the file as UTF-8")
        if "\0" in text:
            self.fail("a NUL character; save the file as plain CSV text")
        try:
            return next(csv.reader([text], strict=True), [])
        except csv.Error:
            self.fail("not a CSV record: a stray quote, one not closed on its line, or a carriage return")

    def _header(self, names: list[str]) -> None:
        names = [name.strip() for name in names]
        for name in names:
            if names.count(name) > 1:
                self.fail("this column is there twice; keep one", _shown(name))
            if name not in KEYS and not _PROBABILITY.fullmatch(name):
                self.fail(f"unknown column; the header is {','.join(KEYS)},p0,p1,...", _shown(name))
        count = len(names) - len(KEYS)
        for name in (*KEYS, *(f"p{k}" for k in range(max(count, OUTCOMES_MIN)))):
            if name not in names:
                self.fail(f"the header has no such column; it is {','.join(KEYS)},p0,p1,...", name)
        if count > OUTCOMES_MAX:
            self.fail(f"{count} probabilities; a question has at most {OUTCOMES_MAX} outcomes")
        if self.epsilon_ppm * count > PPM:
            self.fail(f"epsilon of {self.epsilon_ppm} ppm leaves no room for {count} outcomes; lower it")
        self.places = {name: place for place, name in enumerate(names)}
        self.probabilities = [self.places[f"p{k}"] for k in range(count)]

    def _row(self, record: list[str]) -> None:
        if len(record) != len(self.places):
            self.fail(f"{len(record)} columns where the header has {len(self.places)}; fill in or take away")
        self.rows += 1
        if self.rows > ROWS_MAX or self.rows * len(self.probabilities) > CELLS_MAX:
            self.fail(f"more than {ROWS_MAX} rows or {CELLS_MAX} probabilities; replay a part of the table")
        name, forecaster = self._name(record, "question"), self._forecaster(record)
        questions = self._round(self._name(record, "round"))
        outcome = self._outcome(record)
        asked = questions.get(name)
        if asked is None:
            if len(questions) == BATCH_MAX:
                self.fail(f"more than {BATCH_MAX} questions in one round; split the round", "question")
            asked = questions[name] = Asked(name, outcome)
        if asked.outcome != outcome:
            self.fail(f"{outcome}, but an earlier row of this question says {asked.outcome}", "outcome")
        if forecaster in asked.answers:
            self.fail(
                "this forecaster has answered this question of this round already; keep one row", "forecaster"
            )
        asked.answers[forecaster] = self._ppm(record)

    def _name(self, record: list[str], column: str) -> str:
        name = record[self.places[column]].strip()
        if not name:
            self.fail("it is empty; give it a name", column)
        if len(name) > NAME_MAX_CHARS or not name.isprintable():
            self.fail(f"a name has at most {NAME_MAX_CHARS} characters, all of them printable", column)
        return name

    def _forecaster(self, record: list[str]) -> int:
        name = self._name(record, "forecaster")
        number = self.forecasters.setdefault(name, len(self.forecasters))
        if number == FORECASTERS_MAX:
            self.fail(f"more than {FORECASTERS_MAX} forecasters; replay some of them", "forecaster")
        return number

    def _round(self, name: str) -> dict[str, Asked]:
        if name not in self.rounds and len(self.rounds) == BATCHES_MAX:
            self.fail(f"more than {BATCHES_MAX} rounds; join some", "round")
        return self.rounds.setdefault(name, {})

    def _outcome(self, record: list[str]) -> int:
        text = record[self.places["outcome"]].strip()
        count = len(self.probabilities)
        if not _WHOLE.fullmatch(text) or not 0 <= int(text) < count:
            self.fail(f"{_shown(text)} is none of the outcomes 0 to {count - 1}", "outcome")
        return int(text)

    def _ppm(self, record: list[str]) -> array[int]:
        values = [self._probability(record[place], k) for k, place in enumerate(self.probabilities)]
        total = math.fsum(values)
        if abs(total - 1) > SUM_TOLERANCE:
            last = len(values) - 1
            self.fail(
                f"the probabilities add up to {total:.6g}, not to 1 (within {SUM_TOLERANCE})", f"p0..p{last}"
            )
        try:
            return array("I", ppm_from_floats(values, self.epsilon_ppm))
        except Invalid as error:
            self.fail(error.detail, "p0")

    def _probability(self, text: str, number: int) -> float:
        text = text.strip()
        if not _NUMBER.fullmatch(text):
            self.fail(f"{_shown(text)} is not a number from 0 to 1", f"p{number}")
        value = float(text)
        if value > 1 + SUM_TOLERANCE:
            self.fail(f"{_shown(text)} is not a number from 0 to 1", f"p{number}")
        return value

    def finish(self, min_forecasters: int) -> Table:
        """The table, its rounds in order, without what too few have answered."""
        rounds, left_out = [], 0
        for name in self._order():
            asked = list(self.rounds[name].values())
            kept = [question for question in asked if len(question.answers) >= min_forecasters]
            left_out += len(asked) - len(kept)
            if kept:
                rounds.append(Round(name, kept))
        if not rounds:
            raise TableError(
                f"{self.path}: no question has answers of {min_forecasters} forecasters; lower --min-forecasters"
            )
        return Table(
            len(self.probabilities), list(self.forecasters), rounds, self.rows, left_out, self.hash.digest()
        )

    def _order(self) -> list[str]:
        """Rounds by number if all are whole numbers, else as they first appear."""
        names = list(self.rounds)
        return sorted(names, key=int) if all(map(_WHOLE.fullmatch, names)) else names


def _shown(text: str) -> str:
    """Text of a stranger, short and without anything that a terminal would obey."""
    return ascii(text if len(text) <= 40 else text[:40] + "...")
