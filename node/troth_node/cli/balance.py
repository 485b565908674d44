"""`troth balance`: a balance proved by one seal and one branch."""

from __future__ import annotations

from pathlib import Path

import click

from troth_node.cli.failure import one_line, parse_key


@click.command("balance")
@click.argument("home", type=click.Path(path_type=Path))
@click.option("--key", help="Whose balance, 64 hex digits; without it the node's own.")
@click.option("--json", "as_json", is_flag=True, help="Print the account and its proof as JSON.")
def command(home: Path, key: str | None, *, as_json: bool) -> None:
    """Show a balance as a light client would check it: seals followed from genesis, then one Merkle branch.

    \b
    Example:
      troth balance run/alma
      troth balance run/alma --key 5f0c… --json
    """
    import json  # noqa: PLC0415

    from troth_node.inspection import prove_account  # noqa: PLC0415
    from troth_node.storage.home import Home  # noqa: PLC0415

    with one_line():
        opened = Home.open(home)
        try:
            wanted = opened.key.public if key is None else parse_key(key)
            proof = prove_account(opened.store_path, opened.genesis, wanted)
        finally:
            opened.close()
    if as_json:
        click.echo(json.dumps(proof.as_json(), indent=2))
        return
    account = proof.account
    click.echo(f"balance {account.balance / 10**9:,.9f} tokens at the seal of epoch {proof.epoch}")
    click.echo(
        f"bonds: witness {account.witness / 10**9:,.0f}, attester {account.attester / 10**9:,.0f}, "
        f"agent {account.agent / 10**9:,.0f}; log at entry {account.seq}, incarnation {account.incarnation}"
    )
    for role, amount, leaves in account.unbonding:
        click.echo(f"unbonding: {amount / 10**9:,.0f} as {role}, free at the close of epoch {leaves}")
    click.echo(
        f"proved by {proof.seals} seals and a branch of {proof.branch_length} hashes ({proof.size_bytes} bytes)"
    )
