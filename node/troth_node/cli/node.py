"""`troth node`: run one node until it is told to stop."""

from __future__ import annotations

from pathlib import Path

import click

from troth_node.cli.failure import Failure, one_line, parse_key


@click.command("node")
@click.argument("home", type=click.Path(path_type=Path))
@click.option(
    "--agent", "reference", help="The agent to run, as path/to/file.py:Class (default: none, a plain node)."
)
@click.option(
    "--option", "options", multiple=True, metavar="KEY=VALUE", help="An option for the agent; repeatable."
)
@click.option("--name", default="", help="The name that peers are shown.")
@click.option(
    "--listen", default="/ip4/127.0.0.1/tcp/0", show_default=True, help="The TCP multiaddr to listen on."
)
@click.option(
    "--peer", "peers", multiple=True, metavar="KEY@ADDRESS", help="Keep connected to this node; repeatable."
)
@click.option(
    "--restored", is_flag=True, help="This store was restored from a backup: sign nothing for two epochs."
)
@click.option("--json", "as_json", is_flag=True, help="Log as JSON lines.")
def command(
    home: Path,
    reference: str | None,
    options: tuple[str, ...],
    name: str,
    listen: str,
    peers: tuple[str, ...],
    *,
    restored: bool,
    as_json: bool,
) -> None:
    """Run one node: follow the network, play an agent's part, witness and attest if bonded. Ctrl-C ends it.

    \b
    Example:
      troth init my-node --genesis run/alma/genesis.bin
      troth node my-node --agent examples/agents/weather.py:Weather \
          --peer 1f3a…@/ip4/127.0.0.1/tcp/4001
    """
    from troth_node.single import NodeSettings, run_single  # noqa: PLC0415 - libp2p takes a second to import

    settings = NodeSettings(
        home=home,
        reference=reference,
        options=dict(_pair(option, "--option") for option in options),
        name=name,
        listen=listen,
        peers=tuple(_peer(peer) for peer in peers),
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


def _peer(text: str) -> tuple[bytes, str]:
    key, at, address = text.partition("@")
    if not at:
        raise Failure(f"--peer takes KEY@ADDRESS, such as 1f3a…@/ip4/127.0.0.1/tcp/4001, not {text!r}")
    return parse_key(key), address
