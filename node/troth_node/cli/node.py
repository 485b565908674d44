"""`troth node`: run one node until it is told to stop."""

from __future__ import annotations

from pathlib import Path

import click

from troth_node.cli.failure import Failure, one_line, parse_key
from troth_node.transport.settings import OTHERS


@click.command("node")
@click.argument("home", type=click.Path(path_type=Path))
@click.option(
    "--agent", "reference", help="The agent to run, as path/to/file.py:Class (default: none, a plain node)."
)
@click.option(
    "--option", "options", multiple=True, metavar="KEY=VALUE", help="An option for the agent; repeatable."
)
@click.option(
    "--budget",
    metavar="TOKENS",
    help="What the agent may spend on prices in all, promises, bids and earlier runs included "
    "(default: as its class says).",
)
@click.option("--name", default="", help="The name that peers are shown.")
@click.option(
    "--listen", default="/ip4/127.0.0.1/tcp/0", show_default=True, help="The TCP multiaddr to listen on."
)
@click.option(
    "--peer", "peers", multiple=True, metavar="KEY@ADDRESS", help="Keep connected to this node; repeatable."
)
@click.option(
    "--bootstrap",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file of such peers, one a line, as `troth peers` prints them; # begins a comment.",
)
@click.option(
    "--exchange/--no-exchange",
    default=True,
    show_default=True,
    help="Learn endpoints from cards, and keep connected to the witnesses and a few others.",
)
@click.option(
    "--others",
    type=click.IntRange(0, 256),
    default=OTHERS,
    show_default=True,
    help="So many others than witnesses at most.",
)
@click.option("--mdns", is_flag=True, help="Find nodes of the network on the LAN, and be found there.")
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    metavar="ADDRESS",
    help="A multiaddr that the node's card names (default: where it listens); repeatable.",
)
@click.option(
    "--bond",
    "bonds",
    multiple=True,
    metavar="ROLE=TOKENS",
    help="Hold a bond of so much as witness, attester or agent: what is missing is bonded, what is too much"
    " unbonded, 0 leaves; repeatable.",
)
@click.option(
    "--restored", is_flag=True, help="This store was restored from a backup: sign nothing for two epochs."
)
@click.option("--json", "as_json", is_flag=True, help="Log as JSON lines.")
def command(
    home: Path,
    reference: str | None,
    options: tuple[str, ...],
    budget: str | None,
    name: str,
    listen: str,
    peers: tuple[str, ...],
    bootstrap: Path | None,
    others: int,
    endpoints: tuple[str, ...],
    bonds: tuple[str, ...],
    *,
    exchange: bool,
    mdns: bool,
    restored: bool,
    as_json: bool,
) -> None:
    """Run one node: follow the network, play an agent's part, witness and attest if bonded. Ctrl-C ends it.

    \b
    Example:
      troth init my-node --genesis run/alma/genesis.bin
      troth node my-node --agent examples/agents/weather.py:Weather \
          --peer 1f3a…@/ip4/127.0.0.1/tcp/4001
      troth node my-node --agent my_buyer.py:MyBuyer --budget 2.5 --peer 1f3a…@/ip4/127.0.0.1/tcp/4001
      troth peers run/alma > peers.txt
      troth node my-node --bootstrap peers.txt --listen /ip4/0.0.0.0/tcp/4001 \
          --endpoint /ip4/192.0.2.7/tcp/4001
      troth node my-node --bootstrap peers.txt --bond witness=5000
    """
    from troth_node.single import NodeSettings, run_single  # noqa: PLC0415 - libp2p takes a second to import

    settings = NodeSettings(
        home=home,
        reference=reference,
        options=dict(_pair(option, "--option") for option in options),
        budget=None if budget is None else _budget(budget),
        name=name,
        listen=listen,
        peers=tuple(_peer(peer) for peer in (*peers, *_listed(bootstrap))),
        endpoints=endpoints,
        is_exchanging=exchange,
        others=others,
        is_on_lan=mdns,
        bonds=dict(_bond(bond) for bond in bonds),
        is_restored=restored,
        is_json=as_json,
    )
    with one_line():
        run_single(settings)


def _pair(text: str, option: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise Failure(f"{option} takes KEY=VALUE, not {text!r}")
    return key, value


def _budget(text: str) -> int:
    return _atoms(text, f"--budget takes tokens, such as 2.5, with at most nine decimals, not {text!r}")


def _bond(text: str) -> tuple[str, int]:
    from troth_protocol.log.rows import ROLES  # noqa: PLC0415

    role, amount = _pair(text, "--bond")
    if role not in ROLES:
        raise Failure(f"--bond takes ROLE=TOKENS with a role of {', '.join(ROLES)}, not {text!r}")
    return role, _atoms(amount, f"--bond takes ROLE=TOKENS such as witness=5000, not {text!r}")


def _atoms(tokens: str, otherwise: str) -> int:
    """Tokens in atomic units, or a failure that says otherwise."""
    from decimal import Decimal  # noqa: PLC0415

    from troth_node.swarm.scenario import ScenarioError, atoms  # noqa: PLC0415

    try:
        return atoms(Decimal(tokens))
    except (ArithmeticError, ValueError, ScenarioError):
        raise Failure(otherwise) from None


def _listed(file: Path | None) -> list[str]:
    """The peers of a bootstrap file."""
    if file is None:
        return []
    with one_line():
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return [peer for line in lines if (peer := line.partition("#")[0].strip())]


def _peer(text: str) -> tuple[bytes, str]:
    key, at, address = text.partition("@")
    if not at:
        raise Failure(f"--peer takes KEY@ADDRESS, such as 1f3a…@/ip4/127.0.0.1/tcp/4001, not {text!r}")
    return parse_key(key), address
