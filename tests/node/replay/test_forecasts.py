"""Reading a table: what it says is taken as it is, and what is wrong is named with its line and column."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_node.replay import forecasts
from troth_node.replay.forecasts import TableError, read_table
from troth_protocol.wire.schema import PPM

HEADER = "round,question,forecaster,outcome,p0,p1"
GOOD = f"{HEADER}\n1,q,alma,0,0.7,0.3\n"
EPSILON = 10_000


@pytest.fixture
def table(tmp_path):
    """Write a file and read it."""

    def read(content, **options):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, **{"epsilon_ppm": EPSILON} | options)

    return read


def refusal(table, content, **options):
    with pytest.raises(TableError) as refused:
        table(content, **options)
    text = str(refused.value)
    assert "\n" not in text
    assert text.isprintable()
    return text.partition("t.csv")[2]


def with_row(row):
    return f"{GOOD}{row}\n"


def answers(asked):
    return {number: tuple(ppm) for number, ppm in asked.answers.items()}


# What is taken


def test_rows_become_questions_and_answers(table):
    found = table(
        f"{HEADER}\n1,q,alma,0,0.7,0.3\n1,q,bruno,0,0.2,0.8\n1,r,bruno,1,0.5,0.5\n2,q,carla,1,0.25,0.75\n"
    )
    assert found.forecasters == ["alma", "bruno", "carla"]
    assert found.batches() == (2, 1)
    assert answers(found.asked(0)) == {0: (700_000, 300_000), 1: (200_000, 800_000)}
    assert answers(found.asked(1)) == {1: (500_000, 500_000)}
    assert [found.asked(index).outcome for index in range(3)] == [0, 1, 1]
    assert (found.rows, found.answers(), found.outcomes, found.left_out) == (4, 4, 2, 0)
    with pytest.raises(IndexError):
        found.asked(3)


def test_a_question_belongs_to_its_round(table):
    found = table(f"{HEADER}\n1,q,alma,0,0.7,0.3\n2,q,alma,1,0.7,0.3\n")
    assert [found.asked(index).outcome for index in range(2)] == [0, 1]


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["10", "9", "-1"], ["-1", "9", "10"]),
        (["b", "a", "10", "9"], ["b", "a", "10", "9"]),
        (["2.5", "1"], ["2.5", "1"]),
    ],
)
def test_rounds_go_by_number_if_all_are_numbers_and_else_as_they_come(table, names, order):
    rows = "".join(f"{name},q,alma,0,0.7,0.3\n" for name in names)
    assert [round_.name for round_ in table(f"{HEADER}\n{rows}").rounds] == order


def test_columns_come_in_any_order(table):
    found = table("p1,outcome,p0,forecaster,question,round\n0.3,0,0.7,alma,q,1\n")
    assert answers(found.asked(0)) == {0: (700_000, 300_000)}


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.strip().encode(),
        GOOD.replace("\n", "\n\n").encode(),
        GOOD.replace("alma", ' "alma"').replace(' "', '"').encode(),
        GOOD.replace(",", " , ").encode(),
    ],
    ids=["byte order mark", "dos", "no last newline", "blank lines", "quotes", "spaces"],
)
def test_dialects_of_csv_say_the_same(table, content):
    found = table(content)
    assert found.forecasters == ["alma"]
    assert answers(found.asked(0)) == {0: (700_000, 300_000)}
    assert found.digest == hashlib.sha256(content).digest()


@pytest.mark.parametrize(
    ("said", "ppm"),
    [
        ("0.333,0.666", (333_333, 666_667)),
        ("1,0", (990_000, 10_000)),
        ("1e-9,.999999999", (10_000, 990_000)),
        ("0.5,0.505", (497_512, 502_488)),
    ],
)
def test_probabilities_are_scaled_to_one_and_clamped(table, said, ppm):
    assert answers(table(with_row(f"2,q,alma,0,{said}")).asked(1)) == {0: ppm}


@given(st.lists(st.floats(0, 1), min_size=2, max_size=64).filter(any), st.integers(1, 15_625))
def test_whatever_is_read_is_a_valid_forecast(tmp_path_factory, raw, epsilon):
    total = sum(raw)
    row = ",".join(repr(value / total) for value in raw)
    path = tmp_path_factory.mktemp("given") / "t.csv"
    header = ",".join(f"p{k}" for k in range(len(raw)))
    path.write_text(f"round,question,forecaster,outcome,{header}\n1,q,alma,0,{row}\n")
    ppm = read_table(path, epsilon).asked(0).answers[0]
    assert sum(ppm) == PPM
    assert min(ppm) >= epsilon


def test_questions_that_too_few_answered_are_left_out(table):
    rows = "1,q,alma,0,0.7,0.3\n1,q,bruno,0,0.7,0.3\n2,q,alma,0,0.7,0.3\n3,q,alma,0,0.7,0.3\n3,q,carla,0,0.7,0.3\n"
    found = table(f"{HEADER}\n{rows}", min_forecasters=2)
    assert [round_.name for round_ in found.rounds] == ["1", "3"]
    assert (found.left_out, found.rows, found.answers()) == (1, 5, 4)
    assert "lower --min-forecasters" in refusal(table, f"{HEADER}\n{rows}", min_forecasters=3)


# What is refused


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ", line 1: the file is empty"),
        ("\n\n", ", line 2: the file is empty"),
        (HEADER, ", line 1: there is a header and no forecast"),
        ("round,question,forecaster,p0,p1\n", ", line 1, column outcome: the header has no such column"),
        ("round,question,forecaster,outcome,p0\n", ", line 1, column p1: the header has no such column"),
        ("round,question,forecaster,outcome,p0,p2\n", ", line 1, column p1: the header has no such column"),
        ("round,question,forecaster,outcome,p0,p1,note\n", ", line 1, column 'note': unknown column"),
        ("round,question,forecaster,outcome,p0,p1,p1\n", ", line 1, column 'p1': this column is there twice"),
        ("round,question,forecaster,outcome,p0,p1,\x1b[2J\n", ", line 1, column '\\x1b[2J': unknown column"),
        ("1,q,alma,0,0.7,0.3\n", ", line 1, column '1': unknown column"),
        (GOOD.encode() + b"\xff,q,alma,0,0.7,0.3\n", ", line 3: not UTF-8 text"),
        (GOOD.encode() + b"1,q\0,alma,0,0.7,0.3\n", ", line 3: a NUL character"),
        (with_row('"1,q,alma,0,0.7,0.3'), ", line 3: not a CSV record"),
        (with_row('"1"x,q,alma,0,0.7,0.3'), ", line 3: not a CSV record"),
        (with_row("1,q,bruno,0,0.7,0.3\r2,q,bruno,0,0.7,0.3"), ", line 3: not a CSV record"),
        (with_row("1,q,bruno,0,0.7"), ", line 3: 5 columns where the header has 6"),
        (with_row("1,q,bruno,0,0.7,0.2,0.1"), ", line 3: 7 columns where the header has 6"),
        (with_row("1,,bruno,0,0.7,0.3"), ", line 3, column question: it is empty"),
        (with_row(",q,bruno,0,0.7,0.3"), ", line 3, column round: it is empty"),
        (with_row("1,q,\x1b[31m,0,0.7,0.3"), ", line 3, column forecaster: a name has at most"),
        (with_row(f"1,q,{'b' * 129},0,0.7,0.3"), ", line 3, column forecaster: a name has at most"),
        (with_row("1,q,bruno,2,0.7,0.3"), ", line 3, column outcome: '2' is none of the outcomes 0 to 1"),
        (with_row("1,q,bruno,-1,0.7,0.3"), ", line 3, column outcome: '-1' is none"),
        (with_row("1,q,bruno,0.0,0.7,0.3"), ", line 3, column outcome: '0.0' is none"),
        (with_row(f"1,q,bruno,{'9' * 5_000},0.7,0.3"), ", line 3, column outcome: '9999"),
        (with_row("1,q,bruno,1,0.7,0.3"), ", line 3, column outcome: 1, but an earlier row"),
        (with_row("1,q,alma,0,0.6,0.4"), ", line 3, column forecaster: this forecaster has answered"),
        (with_row("1,q,bruno,0,0.7,0.2"), ", line 3, column p0..p1: the probabilities add up to 0.9,"),
        (with_row("1,q,bruno,0,70,30"), ", line 3, column p0: '70' is not a number from 0 to 1"),
        (with_row("1,q,bruno,0,-0.1,1.1"), ", line 3, column p0: '-0.1' is not a number"),
        (with_row("1,q,bruno,0,0.5,nan"), ", line 3, column p1: 'nan' is not a number"),
        (with_row("1,q,bruno,0,inf,0.5"), ", line 3, column p0: 'inf' is not a number"),
        (with_row("1,q,bruno,0,1e999,0.5"), ", line 3, column p0: '1e999' is not a number"),
        (with_row("1,q,bruno,0,0_1,0.5"), ", line 3, column p0: '0_1' is not a number"),
        (with_row("1,q,bruno,0,,1"), ", line 3, column p0: '' is not a number"),
        (with_row("1,q,bruno,0,0,0"), ", line 3, column p0..p1: the probabilities add up to 0,"),
        (with_row(f"1,q,bruno,0,0.7,{'3' * 20_000}"), ", line 3: the line is longer than 16384 bytes"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_column(table, content, said):
    assert refusal(table, content).startswith(said)


def test_65_outcomes_are_too_many(table):
    names = ",".join(f"p{k}" for k in range(65))
    assert "at most 64 outcomes" in refusal(
        table, f"round,question,forecaster,outcome,{names}\n", epsilon_ppm=1
    )


def test_an_epsilon_that_leaves_no_room_is_refused(table):
    assert "leaves no room for 2 outcomes" in refusal(table, GOOD, epsilon_ppm=500_001)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(TableError, match="No such file"):
        read_table(tmp_path / "none.csv", EPSILON)


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("ROWS_MAX", "more than 1 rows"),
        ("FORECASTERS_MAX", "more than 1 forecasters"),
        ("BATCH_MAX", "more than 1 questions in one round"),
        ("BATCHES_MAX", "more than 1 rounds"),
    ],
)
def test_a_table_has_its_limits(table, monkeypatch, limit, said):
    monkeypatch.setattr(forecasts, limit, 1)
    if limit == "ROWS_MAX":
        monkeypatch.setattr(forecasts, "CELLS_MAX", 3)
    rows = {"FORECASTERS_MAX": "1,q,bruno,0,0.7,0.3", "BATCH_MAX": "1,r,alma,0,0.7,0.3"}
    assert said in refusal(table, with_row(rows.get(limit, "2,q,alma,0,0.7,0.3")))


def test_a_line_without_end_is_not_read_whole(tmp_path):
    path = tmp_path / "t.csv"
    with path.open("wb") as file:
        file.truncate(10**9)  # a hole: it takes no room, and no newline comes
    with pytest.raises(TableError, match="longer than 16384 bytes"):
        read_table(path, EPSILON)
