"""A scripted agent for simulated nodes: it pays, locks, forecasts, votes and does its duties, by seed and state alone.

It remembers nothing that a crash could take away: salts and contents follow from the seed, what is due from the state.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from troth_protocol.core import Core
from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.ops import (
    AskOp,
    Attest,
    AttestReveal,
    Bond,
    CommitOp,
    LockOp,
    Op,
    Reveal,
    Sponsored,
    Transfer,
    Unbond,
    Unlock,
)
from troth_protocol.log.rows import Account, Attestation, Claim, Commit, Entrant, Lock, Question
from troth_protocol.log.sealed import attest_digest, commit_digest
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.schema import PPM


@dataclass(frozen=True, slots=True)
class Habits:
    """Chances of what an actor does in an epoch; amounts are in atomic units."""

    pay: float = 0.7
    lock: float = 0.3
    forecast: float = 0.6
    rebond: float = 0.1
    forget: float = 0.05
    ask: float = 0.0
    err: float = 0.1
    unit: int = 10**9


class Actor:
    """One agent's script. `act` is called when an epoch opens; what it returns is to be submitted, one entry each."""

    def __init__(self, seed: int, name: str, habits: Habits | None = None) -> None:
        self._seed = f"{seed}/{name}"
        self.habits = habits or Habits()

    def _rng(self, *about: object) -> random.Random:
        return random.Random(f"{self._seed}/{'/'.join(map(repr, about))}")

    def _secret(self, *about: object) -> bytes:
        return digest(f"{self._seed}/{about!r}".encode())

    def act(self, core: Core) -> list[tuple[Op, ...]]:
        """Everything to submit in the open epoch."""
        rng = self._rng("epoch", core.epoch)
        ops = [*self._pay(core, rng), *self._unlock(core), *self._ask(core)]
        for key, question in core.chain.state.items("questions", Question):
            ops += self._answer(core, key, question)
            ops += self._vote(core, key, question)
        return [(op,) for op in ops]

    # Money

    def _pay(self, core: Core, rng: random.Random) -> list[Op]:
        habits, out = self.habits, list[Op]()
        others = [key for key, _ in core.chain.state.items("accounts", Account) if key != core.keys.public]
        while rng.random() < habits.pay and len(out) < 3:
            out.append(Transfer(rng.choice(others), rng.randint(1, 3 * habits.unit), b"sim"))
        if rng.random() < habits.lock:
            to, until = rng.choice(others), core.epoch + rng.randint(2, 5)
            out.append(LockOp(to, rng.randint(1, habits.unit), digest(self._preimage(to, until)), until))
        if rng.random() < habits.rebond:
            role = rng.choice(("witness", "attester", "agent"))
            make = Bond if rng.random() < 0.6 else Unbond
            out.append(make(rng.randint(1, 10 * habits.unit), role))
        return out

    def _ask(self, core: Core) -> list[Op]:
        """Sometimes a question for a few tokens."""
        rng = self._rng("ask", core.epoch)
        if rng.random() >= self.habits.ask:
            return []
        text, prior = f"What of {core.epoch}?", (300_000, 700_000)
        asked = Sponsored("sim", text, ("this", "that"), prior, core.epoch + rng.randint(1, 2), 1, 2, 2, 2)
        return [AskOp(asked, rng.randint(2, 9) * self.habits.unit)]

    def _preimage(self, to: bytes, until: int) -> bytes:
        return digest(to + until.to_bytes(8, "big") + b"preimage")

    def _unlock(self, core: Core) -> list[Op]:
        """Claim about half of what is locked for this node."""
        state, me = core.chain.state, core.keys.public
        return [
            Unlock(key, self._preimage(me, lock.until))
            for key, lock in state.items("locks", Lock)
            if lock.to == me
            and lock.until >= core.epoch
            and lock.hash == digest(self._preimage(me, lock.until))
            and state.find("claims", key, Claim) is None
            and self._rng("unlock", key).random() < 0.5
        ]

    # Knowledge

    def contribution(self, core: Core, key: bytes, question: Question) -> bytes:
        """What this node has to say about a question: the same whenever it is asked."""
        rng = self._rng("contribution", key)
        epsilon = core.genesis.rules.epsilon_ppm
        first = rng.randint(epsilon, PPM - epsilon * (len(question.prior) - 1))
        rest = PPM - first - epsilon * (len(question.prior) - 2)
        ppm = (first, *[epsilon] * (len(question.prior) - 2), rest)
        return CONTRIBUTION.encode(Contribution(key, "because", (), ppm))

    def _answer(self, core: Core, key: bytes, question: Question) -> list[Op]:
        state, me = core.chain.state, core.keys.public
        if self._rng("forecast", key).random() >= self.habits.forecast:
            return []
        salt, body = self._secret("salt", key), self.contribution(core, key, question)
        sealed = commit_digest(core.chain.network, me, key, salt, body)
        mine = [
            (commit_key, commit)
            for commit_key, commit in state.items("commits", Commit)
            if commit.question == key and commit.author == me
        ]
        has_entered = state.find("entrants", key + me, Entrant) is not None
        if question.is_commit_open(core.epoch) and not has_entered:
            wager = self._rng("wager", key).randint(core.genesis.rules.min_wager, 5 * self.habits.unit)
            return [CommitOp(key, sealed, wager)]
        if question.is_reveal_open(core.epoch) and self._rng("forget", key).random() >= self.habits.forget:
            return [Reveal(commit_key, salt, body) for commit_key, commit in mine if not commit.revealed]
        return []

    def _vote(self, core: Core, key: bytes, question: Question) -> list[Op]:
        state, me = core.chain.state, core.keys.public
        vote = state.find("attestations", key + me, Attestation)
        if vote is None:
            return []
        rng = self._rng("vote", key, question.round)
        truth = digest(key)[0] % len(question.prior)
        outcome = rng.randrange(len(question.prior)) if rng.random() < self.habits.err else truth
        salt = self._secret("vote", key, question.round)
        if question.is_attest_open(core.epoch) and vote.digest is None:
            return [Attest(key, attest_digest(core.chain.network, me, key, salt, outcome))]
        is_due = vote.digest is not None and vote.outcome is None
        if question.is_attest_reveal_open(core.epoch) and is_due and rng.random() >= self.habits.forget:
            return [AttestReveal(key, outcome, salt)]
        return []
