"""The player: carries an agent through the life of every question, and tells the core what it decides.

One job at a time, in order; a slow agent's methods run in a worker thread, everything else on the node's own task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import structlog
import trio

from troth_node.agent import Agent, Forecast, Json, Production, QuestionView, Result, Signal
from troth_node.dealings import Dealings
from troth_node.duties import Duties
from troth_node.payload import validate_payload
from troth_node.presence import announce_wants
from troth_node.runtime import Runtime
from troth_node.stakes import Stakes, sponsored_view
from troth_protocol.core import EpochOpened, PeerHello, Ticked, Traded
from troth_protocol.errors import Invalid
from troth_protocol.insight.contribution import RATIONALE_MAX_BYTES, Contribution
from troth_protocol.insight.prior import validate_ppm
from troth_protocol.insight.results import Settlement
from troth_protocol.log.author import Finalized, Refused
from troth_protocol.log.payee import Credited
from troth_protocol.log.rows import Commit, Question
from troth_protocol.market.library import Fetched, NotFetched
from troth_protocol.wire.codec import encode
from troth_protocol.wire.crypto import digest
from troth_protocol.wire.schema import PPM

T = TypeVar("T")
Job = Callable[[], Awaitable[None]]

#: Sellers that buy answer at the latest this many epochs before the commit phase ends; forecasters in its last one.
PRODUCE_SLACK_EPOCHS: Final = 1

log = structlog.get_logger()


@dataclass
class Play:
    """One question as this node plays it."""

    view: QuestionView
    signals: dict[bytes, Signal] = field(default_factory=dict)
    is_answered: bool = False
    forecast: Forecast | None = None
    wager: int = 0


class Player:
    """Runs one agent on one node."""

    def __init__(self, runtime: Runtime, agent: Agent, bonds: Mapping[str, int] | None = None) -> None:
        """`bonds` are held whatever the agent says of those roles."""
        self.runtime = runtime
        self.core = runtime.core
        self.agent = agent
        self.duties = Duties(self.core)
        self.duties.on_refused = self._refused
        self.dealings = Dealings(runtime, agent, self.duties, self.call)
        self.stakes = Stakes(self.core, agent, self.call, bonds or {})
        self.plays: dict[bytes, Play] = {}
        self._jobs: deque[Job] = deque()
        self._is_working = False
        self.core.pace.is_busy = self.is_busy
        self._more = trio.Event()

    async def call(self, method: Callable[..., T], *arguments: object) -> T:
        """Run one of the agent's methods, in a worker thread unless it says that it is quick."""
        if self.agent.is_quick:
            return method(*arguments)
        return await trio.to_thread.run_sync(partial(method, *arguments))

    def notice(self, event: object) -> None:
        """The core says something: most of it becomes a job."""
        match event:
            case Finalized():
                self.duties.notice(event)
                self.stakes.notice(event)
                self.dealings.step()
                self._add(self._deliver)
            case Credited():
                self.dealings.exchanges.credited(event)
            case Refused():
                self.duties.notice(event)
                self.stakes.notice(event)
            case Ticked():
                if self.dealings.step():
                    self._add(self._collect)
            case PeerHello():
                self.dealings.greet(event.peer)
                self._add(self.dealings.meet)
            case EpochOpened():
                self.duties.advance()  # what is owed does not wait for an agent that is behind
                self.dealings.notice(event)
                self._add(partial(self._epoch, event))
            case Traded():
                self._add(partial(self._trade, event))
            case Fetched() | NotFetched():
                self._add(partial(self._fetched, event))
            case _:
                pass

    def _refused(self, event: Refused) -> None:
        if event.code not in ("duplicate", "wrong_phase", "lock_over"):
            log.warning("op refused", code=event.code, detail=event.detail)

    def _add(self, job: Job) -> None:
        self._jobs.append(job)
        self._more.set()

    async def run(self) -> None:
        """Until cancelled: one job after the other."""
        while True:
            while self._jobs:
                self._is_working = True
                await self._guarded(self._jobs.popleft())
                self.runtime.kick()
                await trio.lowlevel.checkpoint()
            self._is_working = False
            self._more = trio.Event()
            await self._more.wait()

    def is_busy(self) -> bool:
        """Is there work of this epoch that is not done?"""
        return self._is_working or bool(self._jobs) or not self.core.author.is_idle()

    async def _guarded(self, job: Job) -> None:
        """An agent's mistake costs it this job; the node goes on."""
        try:
            await job()
        except Invalid as error:
            log.warning("refused", code=error.code, detail=error.detail)
        except Exception:
            log.exception("the agent failed")

    async def _epoch(self, event: EpochOpened) -> None:
        if event.epoch != self.core.epoch:
            return  # a later epoch is open already: its own notice follows
        self.dealings.expire()
        for key, question in self.core.chain.state.items("questions", Question):
            if question.is_commit_open(event.epoch) and key not in self.plays:
                await self._guarded(partial(self._open, key, question))  # what anybody asks may be strange
        await self.dealings.advance({key: play.view for key, play in self.plays.items()})
        await self._deliver()
        await self._collect()
        await self._attest()
        for settlement in event.closed.settlements if event.closed else ():
            await self._guarded(partial(self._observe, settlement))
        await self._guarded(self.stakes.advance)
        self.runtime.kick()
        for key in [key for key in self.plays if key not in self.core.chain.state.tables["questions"].rows]:
            del self.plays[key]  # settled while this node was away

    async def _collect(self) -> None:
        """Take in what the logs have opened, then answer what waits for nothing more."""
        for bought_for, signal in await self.dealings.opened():
            if bought_for in self.plays:
                self.plays[bought_for].signals[signal.commit] = signal
        for play in list(self.plays.values()):
            await self._guarded(partial(self._answer, play))  # a bad answer costs no other question

    async def _open(self, key: bytes, question: Question) -> None:
        view = self._view(key, question)
        play = self.plays[key] = Play(view, is_answered=self.duties.has_answered(key))
        if play.is_answered or view.opens != self.core.epoch:
            return
        wants = await self.call(self.agent.wants, view)
        await self.dealings.ask(view, wants, is_reseller=bool(self.agent.documents))
        announce_wants(self.core, view.topic, wants)
        self.runtime.kick()

    def _view(self, key: bytes, question: Question) -> QuestionView:
        if question.asker is not None:
            return sponsored_view(key, question)
        topic = self.core.genesis.topic(question.topic)
        return QuestionView(
            id=key,
            topic=question.topic,
            index=question.index,
            subject=f"{question.topic} {topic.slot(question.index)}",
            text=topic.question_text(question.index),
            outcomes=topic.outcomes,
            prior_ppm=question.prior,
            opens=question.opens,
            commit_last=question.commit_last(),
        )

    async def _trade(self, event: Traded) -> None:
        views = {key: play.view for key, play in self.plays.items()}
        signal = await self.dealings.receive(event.peer, event.trade, views)
        if signal is not None:
            question, item = signal
            play = self.plays.get(question)
            if play is not None:
                play.signals[item.commit] = item
                await self._answer(play)

    async def _fetched(self, event: Fetched | NotFetched) -> None:
        await self.dealings.fetched(event)
        for play in list(self.plays.values()):
            await self._answer(play)  # what could not be fetched is waited for no more

    async def _answer(self, play: Play) -> None:
        """Produce and forecast once everything agreed has arrived, or when the time for it is over."""
        epoch, view = self.core.epoch, play.view
        if play.is_answered or not view.opens <= epoch <= view.commit_last:
            return
        if self.dealings.is_waiting(view.id) and epoch < self._deadline(view):
            return
        play.is_answered = True
        self.dealings.buying.stop(view.id)
        signals = sorted(play.signals.values(), key=lambda signal: (signal.document, signal.seller))
        if self.agent.documents:
            await self._produce(play, signals)
        forecast = await self.call(self.agent.forecast, view, signals)
        if forecast is not None:
            await self._forecast(play, signals, forecast)

    def _deadline(self, view: QuestionView) -> int:
        return view.commit_last - (PRODUCE_SLACK_EPOCHS if self.agent.documents else 0)

    async def _produce(self, play: Play, signals: Sequence[Signal]) -> None:
        production = await self.call(self.agent.produce, play.view, signals)
        if production is None or not await self._is_as_described(production):
            return
        payload = encode(production.payload)
        citations = await self._citations(play, signals, production)
        contribution = Contribution(
            play.view.id, _cut(production.rationale), citations, payload=digest(payload)
        )
        own = self.duties.commit(contribution, 0, production.document, payload)
        await self.dealings.selling.put_up(play.view, production, own)
        self.runtime.kick()
        await self._deliver()

    async def _is_as_described(self, production: Production) -> bool:
        """Is the payload what its own document says? A buyer would drop it otherwise."""
        document = self.core.library.named(production.document)
        if document is None:
            log.warning("not committed: a signal without a document", document=production.document)
            return False
        try:
            await self.call(validate_payload, document, production.payload)
        except Invalid as error:
            log.warning(
                "not committed: not what the document says", document=document.name, detail=error.detail
            )
            return False
        return True

    async def _forecast(self, play: Play, signals: Sequence[Signal], forecast: Forecast) -> None:
        if not self._can_open(play, forecast):
            return
        citations = await self._citations(play, signals, forecast)
        contribution = Contribution(play.view.id, _cut(forecast.rationale), citations, ppm=forecast.ppm)
        play.forecast = forecast
        play.wager = self._wager(forecast)
        self.duties.commit(contribution, play.wager)
        self.runtime.kick()

    def _can_open(self, play: Play, forecast: Forecast) -> bool:
        """Are these probabilities? Sealed they look like any others, and their wager would be lost when they open."""
        try:
            validate_ppm(forecast.ppm, len(play.view.outcomes), self.core.genesis.rules.epsilon_ppm)
        except Invalid as error:
            log.warning("not committed: no probabilities", subject=play.view.subject, detail=error.detail)
            return False
        return True

    def _wager(self, forecast: Forecast) -> int:
        """A share of what is free now; at least the least wager if that can be paid, else none."""
        free = self.core.chain.book.view(self.core.keys.public).balance
        free -= self.dealings.reserved()
        least = self.core.genesis.rules.min_wager
        if forecast.parts is not None:
            wager = self._stake() // max(forecast.parts, 1)
        else:
            wager = max(free * forecast.wager_ppm // PPM, least)
        return wager if least <= wager <= free else 0

    def _stake(self) -> int:
        """The sealed balance, with what is sealed of wagers on questions that still take commits."""
        state, me = self.core.chain.state, self.core.keys.public
        wagered = sum(
            commit.wager
            for _, commit in state.rows("commits", Commit)
            if commit.author == me and state.question(commit.question).is_commit_open(self.core.epoch)
        )
        return state.account(me).balance + wagered

    async def _citations(
        self, play: Play, signals: Sequence[Signal], output: Production | Forecast
    ) -> tuple[tuple[bytes, int], ...]:
        if not signals:
            return ()
        weights = await self.call(self.agent.allocate, play.view, signals, output)
        return tuple(sorted((commit, ppm) for commit, ppm in weights.items() if ppm > 0))

    async def _deliver(self) -> None:
        self.dealings.deliver()
        self.runtime.kick()

    async def _attest(self) -> None:
        for key in self.duties.due_votes():
            await self._guarded(partial(self._vote, key))

    async def _vote(self, key: bytes) -> None:
        play = self.plays.get(key)
        view = play.view if play else self._view(key, self.core.chain.state.question(key))
        outcome = await self.call(self.agent.attest, view)
        question = self.core.chain.state.find("questions", key, Question)
        if outcome is not None and question is not None and question.is_attest_open(self.core.epoch):
            self.duties.attest(key, outcome)
            self.runtime.kick()

    async def _observe(self, settlement: Settlement) -> None:
        if settlement.revote:
            return
        play = self.plays.pop(settlement.question, None)
        sold = self.dealings.forget(settlement.question)
        if play is not None:
            await self.call(self.agent.observe, self._result(play, settlement, sold))

    def _result(self, play: Play, settlement: Settlement, sold: int) -> Result:
        me = self.core.keys.public
        mine = [row for row in settlement.forecasts if row.author == me]
        paid = sum(line.amount for line in settlement.payments if line.payer == me)
        received = sum(line.amount for line in settlement.payments if line.payee == me)
        income = received + sum(row.net for row in mine)
        wager, back = sum(row.wager for row in mine), sum(row.back for row in mine)
        return Result(
            question=play.view,
            outcome=settlement.outcome,
            forecast_ppm=play.forecast.ppm if play.forecast else None,
            signals=tuple(play.signals.values()),
            income=income,
            paid=paid,
            wager=wager,
            back=back,
            net=income - paid + back - wager,
            sold=sold,
            bought=sum(signal.price for signal in play.signals.values()),
            returned=settlement.returned if settlement.asker == me else 0,
        )

    def report(self) -> dict[str, Json]:
        """The agent's own report, for the end of a run."""
        return self.agent.report()


def _cut(text: str) -> str:
    return text.encode()[:RATIONALE_MAX_BYTES].decode(errors="ignore")
