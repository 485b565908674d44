"""`troth replay`: real forecasts from elsewhere drive a swarm."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import click

from troth_node.cli.failure import Failure, one_line

HALF_PPM = 500_000


class _Tokens(click.ParamType[int]):
    """An amount in tokens, exact to the atomic unit; converts to atomic units."""

    name = "tokens"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Atomic units of a decimal number of tokens."""
        if isinstance(value, int):
            return value
        from troth_node.swarm.scenario import ScenarioError, atoms  # noqa: PLC0415

        try:
            amount = Decimal(str(value))
            if not amount.is_finite() or amount.adjusted() > 20:
                self.fail(f"{value!s} is no amount of tokens", param, ctx)
            return atoms(amount)
        except (ArithmeticError, ScenarioError):
            self.fail(f"{value!s} is no amount of tokens (to 9 decimals, none negative)", param, ctx)


TOKENS = _Tokens()


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--sim/--nodes", "is_sim", default=True, help="In memory (default), or by real node processes.")
@click.option(
    "--rule",
    type=click.Choice(["kelly", "nawm", "posterior", "wswm"]),
    default="kelly",
    show_default=True,
    help="How questions are scored.",
)
@click.option(
    "--emission-ppm",
    type=click.IntRange(0, HALF_PPM),
    default=100_000,
    show_default=True,
    help="A question's emission, in parts per million of all its wagers and the house together.",
)
@click.option(
    "--house", type=TOKENS, default="1000", show_default=True, help="H, the prior's weight in tokens."
)
@click.option(
    "--kappa-ppm",
    type=click.IntRange(0, HALF_PPM),
    default=HALF_PPM,
    show_default=True,
    help="The part of a wager that moves between forecasters.",
)
@click.option(
    "--stake",
    type=TOKENS,
    default="1000",
    show_default=True,
    help="What each forecaster begins with, in tokens.",
)
@click.option(
    "--epsilon-ppm",
    type=click.IntRange(1, HALF_PPM),
    default=10_000,
    show_default=True,
    help="Probabilities are clamped to at least this.",
)
@click.option(
    "--prior",
    type=click.Choice(["frequency", "uniform"]),
    default="frequency",
    show_default=True,
    help="What emissions are measured against: outcomes of earlier rounds, each count plus one, or 1/n.",
)
@click.option(
    "--min-forecasters",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Leave out questions that fewer have answered.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of keys and network."
)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the nodes' homes in this new directory.")
@click.option(
    "--json", "json_file", metavar="FILE", help="Write the outcome as JSON (- for standard output)."
)
@click.option("--quiet", is_flag=True, help="No progress, no table: only the verdict.")
def command(
    file: Path,
    is_sim: bool,
    rule: str,
    emission_ppm: int,
    house: int,
    kappa_ppm: int,
    stake: int,
    epsilon_ppm: int,
    prior: str,
    min_forecasters: int,
    seed: int,
    keep: Path | None,
    json_file: str | None,
    quiet: bool,
) -> None:
    """Replay real forecasts: every forecaster of FILE becomes an agent that wagers what it has.

    FILE is CSV with the columns round, question, forecaster, outcome (0, 1, …), p0, p1, … and a header. A round's
    questions are open together; each forecaster splits its stake evenly over those it answers and carries what comes
    back into the next round. The forecasts pass through sealed commits, reveals, attested outcomes and closes, and
    the audit verifies all of it again from the stored bytes.

    With nawm, posterior and wswm a wager is a weight: it returns whole, and the emission is a pot that is shared.

    \b
    Examples:
      troth replay examples/data/flights_forecasts.csv
      troth replay forecasts.csv --rule posterior --json report.json
      troth replay forecasts.csv --prior uniform --keep run && troth verify run/witness-1
    """
    from troth_node.replay.forecasts import TableError  # noqa: PLC0415
    from troth_node.replay.network import Settings  # noqa: PLC0415
    from troth_node.replay.run import run_replay  # noqa: PLC0415

    settings = Settings(
        rule=None if rule == "kelly" else rule,  # type: ignore[arg-type] # click has checked the word
        emission_ppm=emission_ppm,
        house=house,
        kappa_ppm=kappa_ppm,
        stake=stake,
        epsilon_ppm=epsilon_ppm,
        prior=prior,  # type: ignore[arg-type] # as rule
        min_forecasters=min_forecasters,
        seed=seed,
    )
    with one_line():
        try:
            ok = run_replay(file, settings, nodes=not is_sim, keep=keep, json_file=json_file, quiet=quiet)
        except TableError as error:
            raise Failure(str(error)) from None
    if not ok:
        raise Failure("the audit failed")
