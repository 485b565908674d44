"""What can be taken of an agent's bond: what stands first, then what is leaving, the last to leave first."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from troth_protocol.log.rows import Account

_ROLE: Final = "agent"


def agent_bond(account: Account) -> int:
    """The bond as agent with what of it is unbonding, in atomic units."""
    return account.agent + sum(amount for role, amount, _ in account.unbonding if role == _ROLE)


def take_agent_bond(account: Account, owed: int) -> Account:
    """What is left when `owed`, no more than there is, was taken."""
    agent = max(0, account.agent - owed)
    owed -= account.agent - agent
    left = []
    for role, amount, leaves in reversed(account.unbonding):
        part = min(amount, owed) if role == _ROLE else 0
        owed -= part
        left.append((role, amount - part, leaves))
    return replace(account, agent=agent, unbonding=tuple(reversed(left)))
