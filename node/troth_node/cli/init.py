"""`troth init`: make a node's home directory."""

from __future__ import annotations

from pathlib import Path

import click

from troth_node.cli.failure import Failure, one_line


@click.command("init")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--genesis", required=True, type=click.Path(path_type=Path), help="The network's genesis document."
)
@click.option("--seed", help="Key seed, 64 hex digits; without it a fresh key is made.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(directory: Path, genesis: Path, seed: str | None, *, as_json: bool) -> None:
    """Make a home directory for a node: its key, its network's genesis, an empty store.

    \b
    Example, joining the network of a swarm that was kept with --keep run:
      troth init my-node --genesis run/alma/genesis.bin
    """
    import json  # noqa: PLC0415 - commands import what they need when they run

    from troth_node.storage.home import Home  # noqa: PLC0415
    from troth_node.storage.store import Store  # noqa: PLC0415
    from troth_protocol.effects import TABLES  # noqa: PLC0415
    from troth_protocol.genesis import load_genesis  # noqa: PLC0415

    with one_line():
        payload = genesis.read_bytes()
        load_genesis(payload)
        home = Home.create(directory, _seed(seed), payload)
        try:
            Store.open(home.store_path, TABLES).close()
            found = {
                "home": str(directory),
                "key": home.key.public.hex(),
                "network": load_genesis(payload).network().hex(),
            }
        finally:
            home.close()
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(f"Made {directory}. Public key {found['key']}, network {found['network'][:16]}…")


def _seed(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        seed = bytes.fromhex(text)
    except ValueError:
        seed = b""
    if len(seed) != 32:
        raise Failure("--seed takes 64 hex digits")
    return seed
