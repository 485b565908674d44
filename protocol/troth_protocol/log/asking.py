"""Sponsored questions in the logs: what can be asked, and for how much. Each rule refuses with `Invalid`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from troth_protocol.errors import Invalid
from troth_protocol.genesis import Rules
from troth_protocol.log.ops import AskOp, Sponsored
from troth_protocol.log.rows import Question
from troth_protocol.log.state import State
from troth_protocol.wire.schema import find_mark, is_distribution

#: A question opens at most so many epochs after its `ask`.
ASK_AHEAD_MAX_EPOCHS: Final = 1000
#: No shorter, so that one freeze makes no honest author miss its duty.
DUTY_MIN_EPOCHS: Final = 2


def make_question(op: AskOp, asker: bytes, epoch: int, rules: Rules) -> Question:
    """The row of a sponsored question; Invalid as the spec's rules on asking say.

    The pot can take all of the bounty but the attesters' fee.
    """
    if rules.min_bounty is None:
        raise Invalid("too_many", "this network takes no sponsored questions")
    if op.bounty < rules.min_bounty:
        raise Invalid("bad_amount", f"a bounty is at least {rules.min_bounty}")
    asked = op.question
    if not epoch < asked.opens <= epoch + ASK_AHEAD_MAX_EPOCHS:
        raise Invalid("bad_epoch", f"a question opens 1 to {ASK_AHEAD_MAX_EPOCHS} epochs after it is asked")
    _validate(asked, rules)
    return Question(
        topic=asked.topic,
        index=0,
        category=0,
        opens=asked.opens,
        commit=asked.commit,
        attest=asked.attest,
        reveal=asked.reveal,
        attest_reveal=asked.attest_reveal,
        prior=asked.prior,
        emission=op.bounty - rules.attest_fee,
        pot=0,
        round=0,
        attest_from=asked.opens + asked.commit,
        reveal_from=asked.opens + asked.commit + asked.attest + asked.reveal,
        asker=asker,
        bounty=op.bounty,
        text=asked.text,
        outcomes=asked.outcomes,
    )


def check_room(sealed: State, asked: Iterable[tuple[str, bytes]], rules: Rules) -> None:
    """Is there room for one more beside those that are sealed and those of the own log's rows? Invalid("too_many").

    Others may ask in the same epoch: the close keeps the highest bounties.
    """
    count = sum(row.asker is not None for _, row in sealed.rows("questions", Question))
    count += sum(table == "questions" for table, _ in asked)
    if count >= (rules.asks_max or 0):
        raise Invalid("too_many", f"{count} sponsored questions are under way; ask again when one has closed")


def _validate(asked: Sponsored, rules: Rules) -> None:
    """Its phases end before a bond can leave: whoever votes still has what it may lose when votes are counted."""
    if not asked.text or len(set(asked.outcomes)) != len(asked.outcomes):
        raise Invalid("bad_question", "a text, and outcomes that are distinct")
    if any(find_mark(words) for words in (asked.topic, asked.text, *asked.outcomes)):
        raise Invalid("bad_question", "a control character, or a mark that turns the direction of writing")
    if asked.commit < 1 or min(asked.attest, asked.reveal, asked.attest_reveal) < DUTY_MIN_EPOCHS:
        raise Invalid("bad_question", "attest, reveal and attest_reveal last at least 2 epochs")
    if asked.attest + asked.reveal + asked.attest_reveal > rules.evidence_epochs:
        raise Invalid("bad_question", f"from attest to the end at most {rules.evidence_epochs} epochs")
    if not is_distribution(asked.prior, len(asked.outcomes), rules.epsilon_ppm):
        raise Invalid("bad_probabilities", "the prior: one per outcome, epsilon or more, 1,000,000 together")
