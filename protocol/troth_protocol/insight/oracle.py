"""Outcomes by bonded vote: what more than half of *all* attester bond says, or another vote, or none.

Theory of operation. Attesters seal a vote, then open it; none sees another's before. Round r = 0, 1, 2, ...
of `rounds`:

    more than 1/2 of all bond on one outcome       decided: it stands
    else, before the last round                    revote: everything again, at twice the penalty
    else, if at least 1/3 of all bond was opened
      and one outcome has more than any other      decided, by plurality
    else                                           void: wagers return less a charge

Coherent is who opened a vote for the outcome that stands, or, in a revote or void, for one that led (every
leader of a tie is spared: there is nothing to tell them apart by). Everybody else loses penalty_ppm * 2**r of
its bond *in every round*, so that neither delay nor voiding is free and attesting is a duty. Lost bond is not
shared among the coherent: a majority would profit from declaring others wrong.

What this does not do. A majority that lies together is coherent and loses nothing: the cost of a wrong
outcome is what its attesters *risk* by voting for it, penalty_ppm of the bond of a bare majority
(`majority_risk`), and the cap on a question's value (`value_limit`) is a fraction of that. The p + epsilon
bribe (Buterin 2015: "you get p + epsilon if you vote wrong and lose") costs its briber nothing if everybody
takes it; what it needs is a believable deposit of `bribe_deposit`, and with a value cap at fraction 1/f more
than f times what the question can pay the briber. That mitigates the bribe; it does not remove it. Example:
30 attesters with bonds of 1,000, a penalty of 5 % and a fee of 30: the majority risks 750, the deposit is
765, and at a fraction of 1/2 a question may be worth 375.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from troth_protocol.errors import Invalid
from troth_protocol.wire.schema import PPM

QUORUM_DIVISOR: Final = 3


class Decision(Enum):
    """What a tally says."""

    DECIDED = "decided"
    REVOTE = "revote"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A round's result. `outcome` is None unless decided; every bonded attester is in one of the groups."""

    decision: Decision
    outcome: int | None
    coherent: tuple[bytes, ...]
    incoherent: tuple[bytes, ...]
    unopened: tuple[bytes, ...]
    absent: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AttesterSettlement:
    """In atomic units: sum of `rewards` + `fee_left` = the fee; `penalties` are what the bonds lose."""

    penalties: Mapping[bytes, int]
    rewards: Mapping[bytes, int]
    fee_left: int


def tally(
    bonds: Mapping[bytes, int],
    votes: Mapping[bytes, int | None],
    round_index: int,
    rounds: int,
    outcomes: int,
) -> Verdict:
    """Count one round. `bonds`: all attester bond; `votes`: the opened outcome, None if sealed and not opened.

    Both are by key; votes without bond count for nothing. `round_index` counts from 0; the last is rounds - 1. Raises
    Invalid: bad_amount (a bond below 0), bad_outcome, bad_parameter (round).
    """
    _validate(bonds, votes, round_index, rounds, outcomes)
    opened = {key: vote for key in bonds if (vote := votes.get(key)) is not None}
    weights = [sum(bonds[key] for key, vote in opened.items() if vote == k) for k in range(outcomes)]
    most = max(weights)
    leaders = [k for k, weight in enumerate(weights) if weight == most > 0]
    decision = _decide(weights, len(leaders), sum(bonds.values()), round_index == rounds - 1)
    return Verdict(
        decision,
        leaders[0] if decision is Decision.DECIDED else None,
        coherent=_keys(key for key, vote in opened.items() if vote in leaders),
        incoherent=_keys(key for key, vote in opened.items() if vote not in leaders),
        unopened=_keys(key for key in bonds if key in votes and votes[key] is None),
        absent=_keys(key for key in bonds if key not in votes),
    )


def _keys(keys: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(sorted(keys))


def _decide(weights: list[int], leaders: int, total: int, is_last: bool) -> Decision:
    if 2 * max(weights) > total:
        return Decision.DECIDED
    if not is_last:
        return Decision.REVOTE
    is_quorate = QUORUM_DIVISOR * sum(weights) >= total
    return Decision.DECIDED if is_quorate and leaders == 1 else Decision.VOID


def settle_attesters(
    verdict: Verdict, bonds: Mapping[bytes, int], round_index: int, penalty_ppm: int, fee: int
) -> AttesterSettlement:
    """Charge and pay one round: whoever is not coherent loses penalty_ppm * 2**round_index of its bond.

    A penalty is rounded up and at most the bond. The fee is shared by coherent bond, rounded down, once an
    outcome stands; until then, and of a void, all of it is left. Raises Invalid("bad_parameter") for a
    negative fee or round, or a penalty outside 0 to 1,000,000 ppm.
    """
    if fee < 0 or not 0 <= penalty_ppm <= PPM or round_index < 0:
        raise Invalid("bad_parameter", "fee, penalty or round out of range")
    share_ppm = min(PPM, penalty_ppm << round_index)
    charged = (*verdict.incoherent, *verdict.unopened, *verdict.absent)
    penalties = {key: -(-bonds[key] * share_ppm // PPM) for key in charged}
    paid = verdict.coherent if verdict.decision is Decision.DECIDED else ()
    coherent_bond = sum(bonds[key] for key in paid)
    rewards = {key: fee * bonds[key] // coherent_bond for key in paid}
    return AttesterSettlement(penalties, rewards, fee - sum(rewards.values()))


def majority_risk(total_bond: int, penalty_ppm: int) -> int:
    """What a bare majority of bond stakes on a wrong outcome: its first penalty, should the others prevail."""
    return _majority(total_bond) * penalty_ppm // PPM


def bribe_deposit(total_bond: int, penalty_ppm: int, fee: int) -> int:
    """The p of a p + epsilon bribe, where the bribed break even: a majority's penalty and share of the fee."""
    return majority_risk(total_bond, penalty_ppm) + fee * _majority(total_bond) // max(total_bond, 1)


def _majority(total_bond: int) -> int:
    return total_bond // 2 + 1 if total_bond else 0


def value_limit(total_bond: int, penalty_ppm: int, fraction_ppm: int) -> int:
    """What a question (or an epoch) may be worth: `fraction_ppm` of `majority_risk`."""
    return majority_risk(total_bond, penalty_ppm) * fraction_ppm // PPM


def scale_amount(amount: int, total_value: int, limit: int) -> int:
    """`amount` * min(1, limit / total_value), rounded down.

    Scale the emission as well as the wagers: only then is what is left worth no more than the limit.
    """
    return amount if total_value <= limit else amount * limit // total_value


def scale_wagers(
    total_value: int, limit: int, wagers: Mapping[bytes, int]
) -> tuple[dict[bytes, int], dict[bytes, int]]:
    """The value cap: each wager pro rata -> (scaled, returned). `total_value` is all wagers + emission.

    Raises Invalid("bad_amount") for a negative amount, or a total below the sum of the wagers.
    """
    if limit < 0 or min(wagers.values(), default=0) < 0 or total_value < sum(wagers.values()):
        raise Invalid("bad_amount", "a value cap on amounts that cannot be")
    scaled = {key: scale_amount(wager, total_value, limit) for key, wager in wagers.items()}
    return scaled, {key: wager - scaled[key] for key, wager in wagers.items()}


def _validate(
    bonds: Mapping[bytes, int],
    votes: Mapping[bytes, int | None],
    round_index: int,
    rounds: int,
    outcomes: int,
) -> None:
    if min(bonds.values(), default=0) < 0:
        raise Invalid("bad_amount", "a bond below 0")
    if not 0 <= round_index < rounds or outcomes < 1:
        raise Invalid("bad_parameter", f"round {round_index} of {rounds}, {outcomes} outcomes")
    if not all(vote is None or 0 <= vote < outcomes for vote in votes.values()):
        raise Invalid("bad_outcome", f"a vote for none of {outcomes} outcomes")
