"""`troth swarm`: launch a local network of real nodes, watch it, and audit what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import click

from troth_node.cli.failure import Failure, one_line

DEFAULT_SCENARIO = Path("examples/scenarios/flights.toml")


@click.command("swarm")
@click.argument("scenario", type=click.Path(path_type=Path), default=DEFAULT_SCENARIO)
@click.option(
    "--nodes", type=click.IntRange(1, 200), help="How many node processes (default: the scenario's)."
)
@click.option("--epochs", type=click.IntRange(1), help="How many epochs (default: until all is settled).")
@click.option("--seed", type=click.IntRange(0), help="Seed of keys and agents (default: the scenario's).")
@click.option(
    "--add", "added", multiple=True, metavar="FILE:CLASS", help="Add an agent of yours; repeatable."
)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the nodes' homes in this new directory.")
@click.option(
    "--json", "json_file", metavar="FILE", help="Write the whole report as JSON (- for standard output)."
)
@click.option("--quiet", is_flag=True, help="No progress, no tables: only the verdict.")
def command(
    scenario: Path,
    nodes: int | None,
    epochs: int | None,
    seed: int | None,
    added: tuple[str, ...],
    keep: Path | None,
    json_file: str | None,
    *,
    quiet: bool,
) -> None:
    """Launch a local network: real node processes that trade signals, forecast, settle and get paid.

    \b
    Examples:
      troth swarm                                   the flights scenario, 12 nodes
      troth swarm --nodes 16 --epochs 30            more nodes, fewer epochs
      troth swarm --keep run --json report.json     keep stores and report
      troth swarm --add examples/agents/first.py:First   with an agent of your own
    """
    from troth_node.swarm.run import run_swarm  # noqa: PLC0415

    with one_line():
        ok = run_swarm(
            scenario,
            nodes=nodes,
            epochs=epochs,
            seed=seed,
            keep=keep,
            json_file=json_file,
            quiet=quiet,
            added=added,
        )
    if not ok:
        raise Failure("the audit failed")
