"""`troth cards`: what agents say of themselves, beside what they have earned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from troth_node.cli.failure import Failure, one_line

if TYPE_CHECKING:
    from troth_node.directory import Directory
    from troth_protocol.market.card import Card

ATOMS: Final = 10**9


@click.command("cards")
@click.argument("home", type=click.Path(path_type=Path))
@click.argument("who", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each card.")
def command(home: Path, who: str | None, *, as_json: bool) -> None:
    """List the agents whose cards a node holds, those who earned most first; with WHO (a name, or the first digits of a
    key) show those cards in full.

    A card is what its agent says. What it has earned is computed from sealed results, and shown beside it.

    \b
    Example:
      troth cards run/alma
      troth cards run/alma weather
      troth cards run/alma --json | jq .standing
    """
    found = open_directory(home)
    cards = found.ranked() if who is None else found.named(who)
    if who is not None and not cards:
        raise Failure(f"no card of {who!r} is held here: `troth cards {home}` lists them")
    if as_json:
        from troth_node.directory import card_as_json  # noqa: PLC0415

        for card in cards:
            click.echo(json.dumps(card_as_json(found, card)))
        return
    for card in cards:
        click.echo(_full(found, card) if who is not None else _line(found, card))
    click.echo(_foot(found) if cards else "no card is held here; nodes tell each other while they run")


def open_directory(home: Path) -> Directory:
    """What the node of a home knows of others; Failure in one line."""
    from troth_node.directory import read_directory  # noqa: PLC0415
    from troth_node.storage.home import Home  # noqa: PLC0415

    with one_line():
        opened = Home.open(home)
        try:
            return read_directory(opened.store_path, opened.genesis, opened.key.public)
        finally:
            opened.close()


def tokens(amount: int) -> str:
    """An amount of atomic units as tokens, for people."""
    return f"{amount / ATOMS:,.2f}"


def _line(found: Directory, card: Card) -> str:
    earned = found.standing(card.key)
    marks = " witness" * (card.key in found.witnesses) + " (this node)" * (card.key == found.own)
    convicted = f"  {sum(earned.offences.values())} offences" if earned.offences else ""
    return (
        f"{card.key.hex()[:16]}  {card.name:<16} {tokens(earned.net):>14} earned  {earned.forecasts:>5} forecasts  "
        f"{earned.deliveries:>5} citations{convicted}  sells {len(card.documents)}{marks}"
    )


def _full(found: Directory, card: Card) -> str:
    prices = {key: (price, weight) for key, price, weight in card.prices}
    lines = [
        f"{card.name or '(no name)'}  {card.key.hex()}",
        f"  says: {card.software or 'no software'}; from epoch {card.epoch} to {card.expires}",
        *(f"  topic {topic}" for topic in card.topics),
        *(f"  document {name} {key.hex()[:16]}{_price(prices.get(key))}" for name, key in card.documents),
        *(f"  endpoint {endpoint}" for endpoint in card.endpoints),
        *_standing(found, card),
    ]
    return "\n".join(lines)


def _price(price: tuple[int, int] | None) -> str:
    return "" if price is None else f" for {tokens(price[0])} tokens and {price[1]} ppm of citation"


def _standing(found: Directory, card: Card) -> list[str]:
    earned = found.standing(card.key)
    lines = [
        f"  has earned {tokens(earned.net)} tokens since epoch {found.since}:",
        f"    {earned.forecasts} forecasts: emissions of {tokens(earned.won)} won, {tokens(earned.lost)} lost",
        f"    {earned.deliveries} citations by {len(earned.payers)} others: {tokens(earned.income)} received",
        f"    {tokens(earned.paid)} paid on to those it cited",
        f"    {earned.votes} votes on outcomes: {tokens(earned.attested)} gained, {tokens(earned.penalty)} lost",
    ]
    lines += [f"    convicted of {kind}: {count}" for kind, count in sorted(earned.offences.items())]
    if earned.offences:
        lines.append(f"    slashed {tokens(earned.slashed)}")
    if earned.breaches:
        lines.append(f"    broken promises: {earned.breaches}, forfeited {tokens(earned.forfeited)}")
    return lines


def _foot(found: Directory) -> str:
    if not found.since:
        return "nothing is sealed here yet: nobody has earned anything"
    return f"what was earned: the sealed results of epochs {found.since} to {found.epoch}, in tokens"
