"""Real nodes find each other: who knows one peer learns of the others by their cards, and can say where they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from troth_node.testing.command import Command, troth
from troth_node.testing.samples import sample_genesis, seed
from troth_protocol.genesis import Pacing

#: The one witness seals an epoch every second.
PACING = Pacing(epoch_ms=1_000, grace_ms=100, slot_ms=500, slot_max_ms=3_000)


@pytest.fixture
def homes(tmp_path: Path) -> list[Path]:
    """A witness and two more nodes of one network."""
    genesis = tmp_path / "genesis.bin"
    genesis.write_bytes(sample_genesis(3, 1, pacing=PACING).encode())
    made = [tmp_path / name for name in ("alma", "bruno", "carla")]
    for number, home in enumerate(made):
        done = troth("init", str(home), "--genesis", str(genesis), "--seed", seed(number).hex())
        assert done.returncode == 0, done.stderr
    return made


def start(launch, home: Path, *arguments: str) -> Command:
    return launch("node", str(home), "--name", home.name, "--json", *arguments)


def place(node: Command) -> str:
    """Where it listens, as --peer wants it."""
    said = json.loads(node.until('"listening"'))
    return f"{said['key']}@{said['address']}"


def shown(home: Path, command: str) -> list[dict[str, object]]:
    done = troth(command, str(home), "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_node_that_knows_one_peer_finds_the_witness(launch, homes: list[Path], tmp_path: Path) -> None:
    alma = start(launch, homes[0])
    witness = place(alma)
    bruno = start(launch, homes[1], "--peer", witness)
    listed = tmp_path / "peers.txt"
    listed.write_text(f"# who can be dialled\n{place(bruno)}  # bruno\n")
    bruno.until('"epoch sealed"')
    carla = start(launch, homes[2], "--bootstrap", str(listed))
    assert witness.endswith(json.loads(carla.until('"peer known by its card"'))["address"])
    carla.until('"name": "alma"')
    carla.until('"epoch sealed"')
    for node in (carla, bruno, alma):
        node.process.terminate()
        node.finish()
        assert node.process.returncode == 0
    peers = shown(homes[2], "peers")
    assert {(peer["name"], peer["is_witness"]) for peer in peers} == {
        ("alma", True),
        ("bruno", False),
        ("carla", False),
    }
    assert {card["name"] for card in shown(homes[1], "cards")} == {"alma", "bruno", "carla"}
    assert troth("offers", str(homes[0])).stdout.startswith("no announcement")
    said = troth("cards", str(homes[0]), "carla").stdout
    assert "has earned 0.00 tokens" in said


def test_nodes_on_a_lan_find_each_other_when_they_are_told_to(launch, homes: list[Path]) -> None:
    alma = start(launch, homes[0], "--mdns")
    place(alma)
    bruno = start(launch, homes[1], "--mdns", "--no-exchange")
    bruno.until('"peer on the LAN"')
    bruno.until('"epoch sealed"')


def test_what_cannot_be_is_said_in_one_line(homes: list[Path]) -> None:
    for arguments, words in (
        (("node", str(homes[0]), "--endpoint", "here"), "not a TCP multiaddr"),
        (("node", str(homes[0]), "--bootstrap", str(homes[0] / "none")), "does not exist"),
        (("cards", str(homes[0]), "nobody"), "no card of 'nobody'"),
        (("peers", str(homes[0] / "none")), "troth: "),
    ):
        done = troth(*arguments)
        assert done.returncode != 0
        assert words in done.stderr
        assert "Traceback" not in done.stderr
