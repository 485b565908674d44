"""What came of a replay, by forecaster: every amount is read from settlements that the audit executed again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from troth_node.agent import Json
from troth_node.audit import History, StoreAudit
from troth_node.replay.network import Replay
from troth_node.swarm.scenario import ATOMS
from troth_protocol.insight.results import Settlement
from troth_protocol.wire.schema import PPM


@dataclass(slots=True)
class ForecasterResult:
    """One forecaster: amounts in atomic units, `log_score` the sum of ln p(outcome) in nats, of what was settled.

    `unfunded` are forecasts of the table that its stake, down to a few units, no longer paid a wager for.
    """

    name: str
    questions: int = 0
    emission: int = 0
    income: int = 0
    wagered: int = 0
    returned: int = 0
    stake_end: int = 0
    log_score: float = 0.0
    prior_log_score: float = 0.0
    unfunded: int = 0

    def as_json(self) -> dict[str, Json]:
        """For machines: amounts in tokens, and to the unit in `atoms`; scores are means over its questions."""
        count = max(self.questions, 1)
        return {
            "name": self.name,
            "questions": self.questions,
            "emission": self.emission / ATOMS,
            "emission_per_question": self.emission / count / ATOMS,
            "income": self.income / ATOMS,
            "stake_end": self.stake_end / ATOMS,
            "log_score": self.log_score / count,
            "prior_log_score": self.prior_log_score / count,
            "wagered": self.wagered / ATOMS,
            "returned": self.returned / ATOMS,
            "unfunded": self.unfunded,
            "atoms": {
                "emission": str(self.emission),
                "income": str(self.income),
                "stake_end": str(self.stake_end),
            },
        }


@dataclass(slots=True)
class Outcome:
    """A whole replay; `problems` is what does not hold, empty if all does."""

    replay: Replay
    mode: str
    forecasters: list[ForecasterResult]
    audits: Sequence[StoreAudit]
    problems: list[str]
    timing: Mapping[str, float]
    entries: int
    settled: int

    @property
    def is_ok(self) -> bool:
        """Does everything hold?"""
        return not self.problems

    def audit(self) -> dict[str, Json]:
        """The audit's verdicts, and over how much."""
        wrong = self.problems
        return {
            "ok": self.is_ok,
            "supply_conserved": bool(self.audits) and all(audit.is_conserved for audit in self.audits),
            "state_roots_equal": len({audit.state_root for audit in self.audits}) == 1,
            "certificates_verified": not any(": entry" in problem for problem in wrong),
            "seals_verified": not any(": seal" in problem for problem in wrong),
            "stores": len(self.audits),
            "seals": max((audit.seals for audit in self.audits), default=0),
            "entries": self.entries,
            "votes": sum(audit.votes for audit in self.audits),
            "problems": list[Json](wrong),
        }

    def as_json(self) -> dict[str, Json]:
        """The whole outcome for machines."""
        table, settings = self.replay.table, self.replay.settings
        return {
            "mode": self.mode,
            "rule": settings.rule or "kelly",
            "forecasters": [line.as_json() for line in self.forecasters],
            "table": {
                "rows": table.rows,
                "replayed": table.answers(),
                "rounds": len(table.rounds),
                "questions": sum(table.batches()),
                "settled": self.settled,
                "left_out": table.left_out,
                "outcomes": table.outcomes,
                "sha256": table.digest.hex(),
            },
            "settings": {
                "emission_ppm": settings.emission_ppm,
                "house": settings.house / ATOMS,
                "kappa_ppm": settings.kappa_ppm,
                "stake": settings.stake / ATOMS,
                "epsilon_ppm": settings.epsilon_ppm,
                "prior": settings.prior,
                "min_forecasters": settings.min_forecasters,
            },
            "audit": self.audit(),
            "timing": dict(self.timing),
        }


def collect(replay: Replay, history: History) -> tuple[list[ForecasterResult], int]:
    """Every forecaster's books, best emission first, and how many questions were settled."""
    names = replay.table.forecasters
    lines = {
        keys.public: ForecasterResult(name, stake_end=history.state.account(keys.public).balance)
        for keys, name in zip(replay.forecasters, names, strict=True)
    }
    settled = _settled(history)
    for item in settled:
        _add(lines, item)
    for (_, forecaster), answers in _ruined(replay, history).items():
        lines[replay.forecasters[forecaster].public].unfunded += answers
    return sorted(lines.values(), key=lambda line: (-line.emission, line.name)), len(settled)


def _settled(history: History) -> list[Settlement]:
    items = [item for closed in history.closes for item in closed.settlements]
    return [item for item in items if item.outcome is not None and not item.revote]


def _add(lines: Mapping[bytes, ForecasterResult], item: Settlement) -> None:
    outcome = item.outcome
    for row in item.forecasts:
        line = lines[row.author]
        line.emission += row.net
        line.income += row.income
        line.wagered += row.wager
        line.returned += row.back
        if row.ppm is not None and outcome is not None:
            line.questions += 1
            line.log_score += math.log(row.ppm[outcome] / PPM)
            line.prior_log_score += math.log(item.prior[outcome] / PPM)


def find_problems(
    replay: Replay, history: History, audits: Sequence[StoreAudit], *, is_whole: bool
) -> list[str]:
    """What an audit finds, and whether the network settled the table: each forecast, each outcome, nothing else.

    Unless `is_whole`, the run was interrupted, and what is not settled yet is no problem.
    """
    found = [f"{audit.name}: {problem}" for audit in audits for problem in audit.problems]
    roots = {audit.state_root for audit in audits}
    if len(roots) != 1:
        found.append("state roots differ between the stores")
    if history.state.root() not in roots:
        found.append("executing every close again gives another state")
    return found + _differences(replay, history, is_whole=is_whole)


def _differences(replay: Replay, history: History, *, is_whole: bool) -> list[str]:
    """Settled questions beside the table."""
    numbers = {keys.public: number for number, keys in enumerate(replay.forecasters)}
    settled = {item.index: item for item in _settled(history)}
    ruined = _ruined(replay, history)
    wrong = []
    first = 0
    for round_number, round_ in enumerate(replay.table.rounds):
        for place, asked in enumerate(round_.questions):
            item = settled.get(first + place)
            if item is None and not is_whole:
                continue
            rows = item.forecasts if item is not None else ()
            said = {numbers[row.author]: row.ppm for row in rows if row.ppm is not None}
            wanted = {
                number: tuple(ppm)
                for number, ppm in asked.answers.items()
                if (round_number, number) not in ruined
            }
            if item is None or item.outcome != asked.outcome or said != wanted:
                wrong.append(f"round {round_.name}, question {asked.name}")
        first += len(round_.questions)
    if not wrong:
        return []
    return [f"{len(wrong)} questions are not settled as the table has them, the first: {wrong[0]}"]


def _ruined(replay: Replay, history: History) -> dict[tuple[int, int], int]:
    """(round, forecaster) whose stake at the round's opening was below one unit a question: how many it answered."""
    found = {}
    for number, round_ in enumerate(replay.table.rounds):
        before = replay.opens(number) - 2  # the close whose state the round opens on, counted from 0
        if before < len(history.closes):
            state = history.closes[before].state
            for forecaster, keys in enumerate(replay.forecasters):
                answers = len(round_.answered_by(forecaster))
                if state.account(keys.public).balance < answers:
                    found[number, forecaster] = answers
    return found
