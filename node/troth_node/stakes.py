"""What an agent does with its own account when an epoch opens: the bonds that it holds, the questions that it sponsors.

Bonds are a target, not an order: whatever a crash has interrupted, the next epoch's difference makes up for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from troth_node.agent import Agent, Ask, Means, QuestionView
from troth_protocol.core import Core
from troth_protocol.insight.prior import clamp_ppm
from troth_protocol.log.author import Finalized, Refused
from troth_protocol.log.ops import AskOp, Bond, Op, Sponsored, Unbond
from troth_protocol.log.rows import ROLES, Attendance, Question

#: A witness that was left out returns by bonding anew, however little.
RETURN_ATOMS: Final = 1


class Stakes:
    """The bonds and bounties of one agent; `fixed` bonds are held whatever the agent says of their roles."""

    def __init__(
        self,
        core: Core,
        agent: Agent,
        call: Callable[..., Awaitable[object]],
        fixed: Mapping[str, int],
    ) -> None:
        self._core = core
        self._agent = agent
        self._call = call
        self._fixed = fixed
        self._pending: set[int] = set()

    def notice(self, event: Finalized | Refused) -> None:
        """A submission became final, or can't be signed."""
        self._pending.discard(event.number)

    async def advance(self) -> None:
        """An epoch opened: ask the agent what it wants to hold and to ask, and submit the difference."""
        if self._pending:
            return  # what was asked for is not sealed yet
        means = self.means()
        wanted = await self._call(self._agent.bonds, means)
        targets = {**wanted, **self._fixed} if isinstance(wanted, Mapping) else dict(self._fixed)
        asks = await self._call(self._agent.asks, means)
        for op in (*self._bonding(means, targets), *self._asking(asks)):
            self._pending.add(self._core.submit((op,)))

    def means(self) -> Means:
        """The account as the last seal and the own entries since have left it."""
        core = self._core
        me, state = core.keys.public, core.chain.state
        account = state.account(me)
        row = state.find("attendance", me, Attendance)
        asked = [row for _, row in state.items("questions", Question) if row.asker == me]
        return Means(
            epoch=core.epoch,
            balance=core.chain.book.view(me).balance,
            bonds={role: account.bond(role) + self._moved(role) for role in ROLES},
            unbonding=sum(amount for _, amount, _ in account.unbonding),
            is_witness=core.is_witness(),
            is_left_out=row is not None and row.left_out,
            asking=tuple(row.text or "" for row in asked),
        )

    def _moved(self, role: str) -> int:
        """What own entries of the open epoch have bonded in a role, less what they have unbonded."""
        book, me = self._core.chain.book, self._core.keys.public
        seq, _ = book.head(me)
        deltas = [stored.delta for stored in book.log(me, seq)]
        bonded = sum(amount for delta in deltas for where, amount in delta.bonded if where == role)
        return bonded - sum(amount for delta in deltas for where, amount in delta.unbonded if where == role)

    def _bonding(self, means: Means, targets: Mapping[str, int]) -> Iterable[Op]:
        for role, target in targets.items():
            held = means.bonds[role]
            if target > held:
                yield Bond(target - held, role)
            elif role == "witness" and means.is_left_out and target:
                yield Bond(RETURN_ATOMS, role)
            elif held - target > (RETURN_ATOMS if target else 0):
                yield Unbond(held - target, role)

    def _asking(self, asks: object) -> Iterable[Op]:
        for item in asks if isinstance(asks, list) else ():
            if isinstance(item, Ask):
                yield self._ask(item)

    def _ask(self, item: Ask) -> AskOp:
        epsilon_ppm = self._core.genesis.rules.epsilon_ppm
        prior = item.prior_ppm or clamp_ppm([1] * len(item.outcomes), epsilon_ppm)
        opens = self._core.epoch + item.ahead
        phases = (item.commit, item.attest, item.reveal, item.attest_reveal)
        asked = Sponsored(item.topic, item.text, tuple(item.outcomes), tuple(prior), opens, *phases)
        return AskOp(asked, item.bounty)


def sponsored_view(key: bytes, question: Question) -> QuestionView:
    """A sponsored question as an agent sees it."""
    text = question.text or ""
    return QuestionView(
        id=key,
        topic=question.topic,
        index=question.index,
        subject=text,
        text=text,
        outcomes=question.outcomes or (),
        prior_ppm=question.prior,
        opens=question.opens,
        commit_last=question.commit_last(),
        asker=question.asker,
        bounty=(question.bounty or 0) + question.pot,
    )
