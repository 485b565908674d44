"""Who pays for a question: the reserve for a standing one, for a sponsored one its bounty, and the asker gets the rest.

What attesters lose, and the charge of a void, burns on a sponsored question: asking what has no answer must not pay.
"""

from __future__ import annotations

from dataclasses import replace

from troth_protocol.genesis import EMISSION_MAX_PPM, Genesis, Rules
from troth_protocol.insight.results import Settlement
from troth_protocol.log.rows import Question
from troth_protocol.log.state import TOTALS_KEY, State
from troth_protocol.wire.schema import PPM


def admit_questions(state: State, sealed: State, rules: Rules) -> None:
    """Keep the highest bounties, for which there is room, of the questions asked in this epoch; the rest return.

    Ties go to the smaller id.
    """
    rows = state.rows("questions", Question)
    asked = {key: (row.asker, row.bounty or 0) for key, row in rows if row.asker is not None}
    new = [key for key in asked if key not in sealed.tables["questions"].rows]
    room = max((rules.asks_max or 0) - (len(asked) - len(new)), 0)
    for key in sorted(new, key=lambda key: (-asked[key][1], key))[room:]:
        return_bounty(state, key, asked[key][0])
        state.drop("questions", key)


def turn(item: tuple[bytes, Question]) -> tuple[bool, int, str, int, bytes]:
    """The order of questions at a close: no sponsored one takes the room of a standing one under the value cap."""
    key, row = item
    return (row.asker is not None, row.opens, row.topic, row.index, key)


def most(genesis: Genesis, question: Question, staked: int) -> int:
    """Most that a question pays for wagers of so much in all; nothing without any."""
    if not staked:
        return 0
    if question.asker is None:
        return genesis.topic(question.topic).pot(staked, genesis.rules.house)
    return min(question.emission, (staked + genesis.rules.house) * EMISSION_MAX_PPM // PPM)


def purse(state: State, key: bytes) -> int:
    """What a question is paid from."""
    question = state.question(key)
    return state.totals().reserve if question.bounty is None else question.bounty


def to_purse(state: State, key: bytes, amount: int) -> None:
    """Put an amount back to where a question is paid from; a negative one is taken."""
    question = state.question(key)
    if question.bounty is not None:
        state.put("questions", key, replace(question, bounty=question.bounty + amount))
        return
    books = state.totals()
    state.put("totals", TOTALS_KEY, replace(books, reserve=books.reserve + amount))


def forfeit(state: State, key: bytes, amount: int) -> None:
    """What attesters lose and voids charge: to the reserve, or burned where an asker would gain it."""
    books = state.totals()
    if state.question(key).asker is None:
        state.put("totals", TOTALS_KEY, replace(books, reserve=books.reserve + amount))
    else:
        state.put("totals", TOTALS_KEY, replace(books, burned=books.burned + amount))


def return_bounty(state: State, key: bytes, asker: bytes) -> int:
    """Give an asker what is left of its bounty; returns it. The question is about to leave the state."""
    left = purse(state, key)
    account = state.account(asker)
    state.put("accounts", asker, replace(account, balance=account.balance + left))
    return left


def close_sponsored(state: State, key: bytes, settlement: Settlement) -> Settlement:
    """A settlement with what its asker gets back, which it gets now; a standing question's as it is."""
    asker = state.question(key).asker
    if asker is None:
        return settlement
    return replace(settlement, asker=asker, returned=return_bounty(state, key, asker))
