"""What a replay of a table must come to by the score alone: no log, no close, no network."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from troth_node.replay.forecasts import read_table
from troth_protocol.insight.prior import compute_prior
from troth_protocol.insight.rules import Participant, share_pot
from troth_protocol.insight.score import Wager, score_question
from troth_protocol.wire.schema import PPM


@dataclass
class Books:
    """What one forecaster should have."""

    stake: int
    emission: int = 0
    questions: int = 0
    unfunded: int = 0
    sum: int = 0
    high: int = 0
    income: int = 0

    def take(self, wager, back, net):
        """A settled question."""
        self.stake += back + net - wager
        self.emission += net
        self.questions += 1
        self.sum += net
        self.income += max(self.sum - self.high, 0)
        self.high = max(self.high, self.sum)


def settle(settings, prior, wagers, outcome):
    """(back, net) by author: one question by the score alone."""
    pot = (sum(item.wager for item in wagers) + settings.house) * settings.emission_ppm // PPM
    if settings.rule is None:
        scores = score_question(
            prior, pot, settings.house, settings.kappa_ppm, settings.epsilon_ppm, wagers, outcome
        )
        return {row.author: (row.back, row.net) for row in scores.rows}
    people = [Participant(item.author, item.wager, item.ppm) for item in wagers]
    shares, _ = share_pot(settings.rule, pot, people, outcome, settings.epsilon_ppm)
    return {item.author: (item.wager, shares[item.author]) for item in wagers}


def recompute(path, settings):
    """The books of every forecaster by name, from the table and the score alone: no log, no close, no network."""
    table = read_table(path, settings.epsilon_ppm, settings.min_forecasters)
    books = {name: Books(settings.stake) for name in table.forecasters}
    counts = [0] * table.outcomes
    for round_ in table.rounds:
        prior = compute_prior(
            [0] * table.outcomes if settings.prior == "uniform" else counts,
            [1] * table.outcomes,
            settings.epsilon_ppm,
        )
        numbers = [number for asked in round_.questions for number in asked.answers]
        wager = {
            number: books[name].stake // max(numbers.count(number), 1)
            for number, name in enumerate(table.forecasters)
        }
        for asked in round_.questions:
            wagers = [Wager(bytes([n]), wager[n], tuple(ppm)) for n, ppm in asked.answers.items() if wager[n]]
            for number in asked.answers:
                books[table.forecasters[number]].unfunded += not wager[number]
            for author, (back, net) in settle(settings, prior, wagers, asked.outcome).items():
                books[table.forecasters[author[0]]].take(wager[author[0]], back, net)
        for asked in round_.questions:
            counts[asked.outcome] += 1
    return books


def exact_log_score(path, settings, name):
    """The product of what a forecaster gave the outcomes, as a fraction: its logarithm is the log score."""
    table = read_table(path, settings.epsilon_ppm, settings.min_forecasters)
    number, product = table.forecasters.index(name), Fraction(1)
    for asked in (asked for round_ in table.rounds for asked in round_.questions):
        if number in asked.answers:
            product *= Fraction(asked.answers[number][asked.outcome], PPM)
    return product
