"""The agent: the strategy of a node. Override what your agent knows better; everything else has a default.

The runtime calls one method at a time, in a worker thread, in this order: `open` once; then for every question `wants`,
`prefer`, `quote`, `consider` and `bid` while it is negotiated, `produce` (then `auction`) or `forecast` followed by
`allocate` while commits are open, `attest` when its event is over, `observe` when its outcome is sealed; `bonds` and
`asks` when an epoch opens; `report` at the end. A method may take tens of milliseconds. Given the same options (the
seed among them) and the same calls, an agent does the same again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from troth_node.documents import shipped_text
from troth_node.weights import MultiplicativeWeights, split_ppm
from troth_protocol.insight.standing import Earned
from troth_protocol.wire.codec import Value
from troth_protocol.wire.schema import PPM

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


@dataclass(frozen=True, slots=True)
class QuestionView:
    """A question as an agent sees it: `subject` is what it asks about, such as "JFK 2013-09-05T15:00".

    Commits are open from epoch `opens` to `commit_last`; `prior_ppm` is one probability per outcome, in ppm. A
    sponsored one has the key of its `asker` and the `bounty` that is left; `topic` and `subject` are the asker's words.
    """

    id: bytes
    topic: str
    index: int
    subject: str
    text: str
    outcomes: tuple[str, ...]
    prior_ppm: tuple[int, ...]
    opens: int
    commit_last: int
    asker: bytes | None = None
    bounty: int = 0


@dataclass(frozen=True, slots=True)
class Means:
    """An agent's own account when an epoch opens, amounts in atomic units.

    `balance` is what it can spend now; `bonds` are by role, `unbonding` is what has yet to leave. `is_witness` tells of
    the open epoch, `is_left_out` that its witness bond carries no weight because it was silent for too long. `asking`
    are the texts of its own questions that are under way.
    """

    epoch: int
    balance: int
    bonds: Mapping[str, int]
    unbonding: int
    is_witness: bool
    is_left_out: bool
    asking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to sponsor: gains are paid from the `bounty`, losses flow into it, and the rest returns.

    It opens `ahead` epochs from now. Without `prior_ppm` all outcomes are alike. Whoever knows no more than the prior
    is paid nothing, so a prior that says what the asker knows already buys the most. Phases are in epochs.
    """

    text: str
    outcomes: tuple[str, ...]
    bounty: int
    prior_ppm: tuple[int, ...] | None = None
    topic: str = ""
    ahead: int = 3
    commit: int = 2
    attest: int = 2
    reveal: int = 2
    attest_reveal: int = 2


@dataclass(frozen=True, slots=True)
class Want:
    """What an agent would like to buy: a document, what it offers to cite at least, and from whom (None: anyone).

    `document` is a name, or the 64 hex digits of one text's id. What is wanted `at_auction` is not asked for: whoever
    puts it up is bid for.
    """

    document: str
    min_weight_ppm: int
    seller: str | None = None
    at_auction: bool = False


@dataclass(frozen=True, slots=True)
class Seller:
    """Somebody on a link who sells what this agent wants: by its card, offers and hello, which are its own words.

    `price` (atomic units) and `weight_ppm` are what it asks to begin with, 0 where it says nothing; `standing` is what
    sealed results say it has earned, and of what it was convicted. `is_silent`: it gave no document when it was asked.
    """

    name: str
    key: bytes
    document: bytes
    price: int
    weight_ppm: int
    standing: Earned
    is_silent: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A buyer asks this agent for a document. `round` counts from 0; a counter of the buyer's is the next round.

    `price` is what a counter offers, in atomic units.
    """

    buyer: str
    buyer_key: bytes
    question: QuestionView
    document: str
    min_weight_ppm: int
    round: int = 0
    price: int = 0


@dataclass(frozen=True, slots=True)
class Quote:
    """What this agent sells for: the smallest citation weight, and a fixed price in atomic units; either may be 0.

    What has a price is paid by fair exchange, and only up to the agent bond of its seller at a time.
    """

    min_weight_ppm: int
    price: int = 0


@dataclass(frozen=True, slots=True)
class Offer:
    """A seller's answer to a request of this agent: its quote, and the round that it answers."""

    seller: str
    seller_key: bytes
    question: QuestionView
    document: str
    min_weight_ppm: int
    round: int = 0
    price: int = 0


@dataclass(frozen=True, slots=True)
class Accept:
    """Take the offer as it is."""


@dataclass(frozen=True, slots=True)
class Counter:
    """Ask again, with this weight and price (None: the price of the offer)."""

    min_weight_ppm: int
    price: int | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """Do without."""


Decision: TypeAlias = Accept | Counter | Reject


@dataclass(frozen=True, slots=True)
class Lot:
    """A signal put up for auction: so many units, the least price, and the deposit, which no bid exceeds.

    Amounts in atomic units, 1 <= reserve <= cap. The seller deposits the cap as well, until it has opened its reserve.
    """

    units: int
    reserve: int
    cap: int


@dataclass(frozen=True, slots=True)
class Auction:
    """Something that this agent wants is up for auction: the highest `units` bids win, and pay the first that loses."""

    seller: str
    seller_key: bytes
    question: QuestionView
    document: str
    units: int
    cap: int


@dataclass(frozen=True, slots=True)
class Signal:
    """A delivered signal: who committed what, the weight that its citation must have at least, and what it has cost."""

    seller: str
    seller_key: bytes
    commit: bytes
    document: str
    payload: Value
    weight_ppm: int
    price: int = 0

    @property
    def source(self) -> str:
        """The name under which an agent learns what a signal is worth: document and seller."""
        return f"{self.document}@{self.seller}"


@dataclass(frozen=True, slots=True)
class Production:
    """What a seller commits and delivers. The payload is a canonical value: no floats, map keys [a-z][a-z0-9_]*."""

    document: str
    payload: Value
    rationale: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """Probabilities in ppm (one per outcome, adding up to 1,000,000), why, and the share of free balance to wager.

    With `parts` the wager is one of so many even parts of what was free when the questions whose commits are open
    opened, rounded down: whoever answers n of them puts an n-th on each.
    """

    ppm: tuple[int, ...]
    rationale: str
    wager_ppm: int
    parts: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """How a question ended for this agent; amounts in atomic units.

    `outcome` is None when the oracle voided the question. `income` is its net emission (negative if it lost) and what
    others paid to cite it, `paid` what it paid to those it cites, `wager` and `back` what it staked and got back;
    `net` = income − paid + back − wager. `sold` is what its signal was bought for, `bought` what signals have cost it,
    by fixed prices and at auctions. `returned` is what came back of the bounty, if it was this agent that asked.
    """

    question: QuestionView
    outcome: int | None
    forecast_ppm: tuple[int, ...] | None
    signals: tuple[Signal, ...]
    income: int
    paid: int
    wager: int
    back: int
    net: int
    sold: int = 0
    bought: int = 0
    returned: int = 0


class Agent:
    """The base class. With nothing overridden it is a valid agent that sells, buys, forecasts and attests nothing.

    Class attributes to set: `documents`, the names of what it sells; `topics`, what its card says that it deals in
    (default: all that the network has); `ask_ppm`, the citation weight that its card and offers ask for (0: none is
    said; what binds is `quote`); `cite_ppm`, how much of its income it cites in
    all (the rest is retained); `pay_ppm`, the largest weight that it promises for one signal; `price`, what it asks
    for one; `budget`, what it spends on prices in all, promises, bids and what is locked included: its node sees to
    that; `pay`, the highest price that it pays for one (None: whatever the budget allows), all three in atomic
    units; `rate`, the learning rate of the default `allocate`, per nat; `is_quick`, whether its methods answer within
    a few milliseconds, so that they need no worker thread (a node whose agent says so and then waits for a network
    misses votes).
    """

    documents: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    ask_ppm: int = 0
    cite_ppm: int = 800_000
    pay_ppm: int = 200_000
    budget: int = 0
    pay: int | None = None
    price: int = 0
    rate: float = 1.0
    is_quick: bool = False

    @classmethod
    def prepare(cls) -> None:
        """Load what all nodes of a machine can share: a swarm calls it once, before it forks them. Default: nothing."""

    def __init__(self) -> None:
        self.name = ""
        self.seed = 0
        self.worth = MultiplicativeWeights(self.rate)

    def open(self, options: Mapping[str, Json]) -> None:
        """Load data and fit models, before the first question. The options are the scenario's, plus `name`, `seed`."""
        self.name = str(options.get("name", ""))
        self.seed = int(str(options.get("seed", 0)))

    def describe(self, document: str) -> str | None:
        """The text of a signal document by its name: what a payload means, with its schema; None if it ships none.

        Without a text it sells by this class's docstring, and any payload. Default: the file documents/NAME.md in the
        folder of its class's file or in the one above.
        """
        return shipped_text(type(self), document)

    def understands(self, document: str, text: str) -> bool:
        """Whether to buy by this text, which a seller means by that name. Default: yes, unless it ships another one."""
        own = self.describe(document)
        return own is None or own == text

    def bonds(self, means: Means) -> Mapping[str, int]:
        """The bonds that it wants to hold now, by role ("witness", "attester", "agent"), in atomic units.

        Called when an epoch opens; the difference is bonded or unbonded, and a role that is not named stays as it is.
        A bond carries weight from the epoch after next on; what is unbonded is free once no evidence of it counts any
        more. Default: none is named.
        """
        return {}

    def asks(self, means: Means) -> list[Ask]:
        """Questions to sponsor now, called when an epoch opens. Default: none."""
        return []

    def wants(self, question: QuestionView) -> list[Want]:
        """What to buy for this question. Default: nothing."""
        return []

    def prefer(self, want: Want, sellers: Sequence[Seller]) -> list[Seller]:
        """Whom to ask for what it wants, the best first; whoever is left out is not asked.

        Default: who answers, then who was never convicted, then by name.
        """
        return sorted(
            sellers, key=lambda seller: (seller.is_silent, bool(seller.standing.offences), seller.name)
        )

    def quote(self, request: Request) -> Quote | None:
        """What a document costs, or None to refuse. Default: the weight that the buyer offers, and `price`."""
        return Quote(request.min_weight_ppm, self.price) if request.document in self.documents else None

    def consider(self, offer: Offer) -> Decision:
        """Whether to take an offer. Default: up to `pay_ppm`; above it, one counter with `pay_ppm`, then no.

        A price above `pay` is refused.
        """
        if offer.price > (self.budget if self.pay is None else self.pay):
            return Reject()
        if offer.min_weight_ppm <= self.pay_ppm:
            return Accept()
        return Counter(self.pay_ppm) if offer.round == 0 else Reject()

    def auction(self, question: QuestionView, production: Production) -> Lot | None:
        """Whether to auction what was just made, instead of selling it to whoever asks. Default: no.

        It is sold by auction alone: `quote` is not called for it. Only a signal of a seller of one document can be.
        """
        return None

    def bid(self, auction: Auction) -> int | None:
        """The most that it would pay for what it wants at auction, in atomic units; None: no bid. Default: `pay`.

        What winners pay does not depend on their own bids, so the best bid is what the signal is worth. A bid is cut
        to the cap, and is made only if the budget has room for the cap, which is deposited.
        """
        return self.pay

    def produce(self, question: QuestionView, signals: Sequence[Signal]) -> Production | None:
        """The signal it sells for this question, made from what it bought. Default: none."""
        return None

    def forecast(self, question: QuestionView, signals: Sequence[Signal]) -> Forecast | None:
        """Its forecast of this question. Default: none."""
        return None

    def allocate(
        self, question: QuestionView, signals: Sequence[Signal], output: Production | Forecast
    ) -> dict[bytes, int]:
        """Citation weights in ppm by commit: promised minimum at least, 1,000,000 together at most.

        Default: `cite_ppm`, split by multiplicative weights over what `credit` found in past rounds.
        """
        shares = self.worth.shares([signal.source for signal in signals])
        weights = split_ppm(self.cite_ppm, shares, [signal.weight_ppm for signal in signals])
        return {signal.commit: ppm for signal, ppm in zip(signals, weights, strict=True) if ppm > 0}

    def credit(self, result: Result) -> dict[str, float]:
        """What each signal's source was worth in one round, in nats. Default: nothing is known, so nothing is learnt.

        Override it with a measure of contribution, such as the Shapley value of the log score.
        """
        return {}

    def attest(self, question: QuestionView) -> int | None:
        """The outcome as this agent saw it, or None if it does not know. Default: None."""
        return None

    def observe(self, result: Result) -> None:
        """Learn from a sealed outcome. Default: `credit` feeds the weights of `allocate`."""
        self.worth.learn(self.credit(result))

    def report(self) -> dict[str, Json]:
        """What the final report should say of this agent. Default: the shares that it has learnt, in ppm."""
        return {
            "shares_ppm": {source: round(PPM * share) for source, share in self.worth.all_shares().items()}
        }
