"""A ledger on which questions are sponsored: asked by op, answered, attested and settled. Agents 0 to 3 attest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from troth_node.testing.ledger import Ledger
from troth_node.testing.moves import SALT
from troth_node.testing.samples import RULES, TOKEN
from troth_protocol.close.execute import Closed
from troth_protocol.genesis import Rules, Topic
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.insight.results import Settlement
from troth_protocol.log.ops import AskOp, Attest, AttestReveal, CommitOp, Reveal, Sponsored
from troth_protocol.log.sealed import asked_id, attest_digest, commit_digest, commit_id

PATRON_RULES: Final = replace(RULES, asks_max=3, min_bounty=2 * TOKEN)
BOUNTY: Final = 50 * TOKEN
#: Opens in epoch 2, closes in epoch 8.
RAIN: Final = Sponsored("weather", "Does it rain tomorrow?", ("yes", "no"), (300_000, 700_000), 2, 1, 2, 2, 2)


class Patronage(Ledger):
    """A network without standing topics, unless it is given some."""

    def __init__(
        self, agents: int = 7, *, rules: Rules = PATRON_RULES, topics: tuple[Topic, ...] = ()
    ) -> None:
        super().__init__(agents, 4, rules=rules, topics=topics)

    def ask(self, agent: int = 4, bounty: int = BOUNTY, asked: Sponsored = RAIN) -> bytes:
        """Ask; returns the question's id."""
        return asked_id(self.put(agent, AskOp(asked, bounty)).id, 0)

    def advance(self, epoch: int) -> Closed | None:
        """Close until this epoch is open; returns the last close. The books balance after each."""
        closed = None
        while self.epoch < epoch:
            closed = self.close()
            assert self.state.is_conserved()
        return closed

    def bet(
        self,
        question: bytes,
        agent: int,
        ppm: Sequence[int],
        wager: int,
        citations: Sequence[tuple[bytes, int]] = (),
    ) -> tuple[int, bytes, bytes]:
        """Commit a forecast with a wager; returns what `reveal` wants."""
        body = CONTRIBUTION.encode(Contribution(question, "", tuple(citations), tuple(ppm)))
        sealed = commit_digest(self.network, self.key(agent), question, SALT, body)
        self.put(agent, CommitOp(question, sealed, wager))
        return agent, commit_id(self.network, self.key(agent), question, sealed), body

    def hold(
        self, question: bytes, votes: Mapping[int, int], reveals: Sequence[tuple[int, bytes, bytes]] = ()
    ) -> Settlement:
        """One round: attesters seal, contributions open, attesters open; returns what the close made of it."""
        row = self.state.question(question)
        self.advance(row.attest_from)
        for agent, outcome in votes.items():
            self.put(
                agent, Attest(question, attest_digest(self.network, self.key(agent), question, SALT, outcome))
            )
        if not row.round:
            self.advance(row.opens + row.commit + row.attest)
            for agent, commit, body in reveals:
                self.put(agent, Reveal(commit, SALT, body))
        self.advance(row.reveal_from)
        for agent, outcome in votes.items():
            self.put(agent, AttestReveal(question, outcome, SALT))
        closed = self.advance(row.closes() + 1)
        assert closed is not None
        return next(item for item in closed.settlements if item.question == question)

    def worth(self, *agents: int) -> int:
        """What these agents own together."""
        return sum(self.account(agent).worth() for agent in agents)
