"""What a newcomer gets wrong: each mistake is one clear line and a non-zero status."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import apsw
import pytest

from troth_node.cli.main import COMMANDS
from troth_node.storage.store import Store
from troth_node.testing.command import troth
from troth_protocol.effects import TABLES, Persist

ROOT = Path(__file__).parents[2]
Kept = tuple[Path, dict[str, object], str]


def said(*arguments: str) -> str:
    """The one line that a failing command says."""
    done = troth(*arguments)
    assert done.returncode != 0, done.stdout
    lines = (done.stderr + done.stdout).strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("troth: ")
    assert "Traceback" not in lines[0]
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["swarm", "--bogus"], "No such option"),
        (["swarm", "--nodes", "many"], "not a valid integer"),
        (["swarm", "--nodes", "3"], "needs at least 10 nodes"),
        (["swarm", "--epochs", "2"], "needs at least"),
        (["swarm", "nowhere.toml"], "No such file"),
        (["swarm", "README.md"], "is not TOML"),
        (["swarm", "--add", "nowhere.py:X"], "there is no file"),
        (["swarm", "--add", "examples/agents/first.py:Nobody"], "has no class Nobody"),
        (["swarm", "--keep", "tests"], "not an empty directory"),
        (["verify", "nowhere"], "no such directory"),
        (["balance", "nowhere"], "no such directory"),
        (["evidence", "list", "nowhere"], "no such directory"),
        (["init", "somewhere", "--genesis", "nowhere"], "No such file"),
        (["init", "somewhere", "--genesis", "README.md"], ""),
        (["node", "nowhere", "--peer", "x"], "KEY@ADDRESS"),
        (["frobnicate"], "No such command"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], expected: str) -> None:
    assert expected in said(*arguments)


def test_a_scenario_with_a_wrong_field_names_it(tmp_path: Path) -> None:
    text = (ROOT / "examples/scenarios/flights.toml").read_text()
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text.replace("epoch_ms = ", "epoch_milliseconds = "))
    assert "epoch_" in said("swarm", str(wrong))


def test_a_corrupt_store_says_so(kept: Kept, tmp_path: Path) -> None:
    home = tmp_path / "alma"
    shutil.copytree(kept[0] / "alma", home)
    store = home / "store.sqlite"
    data = bytearray(store.read_bytes())
    data[4096:40960] = bytes(36864)
    store.write_bytes(bytes(data))
    assert "store.sqlite" in said("verify", str(home))


def test_a_changed_byte_in_a_store_is_found(kept: Kept, tmp_path: Path) -> None:
    home = tmp_path / "bruno"
    shutil.copytree(kept[0] / "bruno", home)
    connection = apsw.Connection(str(home / "store.sqlite"))
    key, value = connection.execute("select key, value from entries limit 1").fetchone()
    twisted = bytes([*value[:-1], value[-1] ^ 1])
    connection.execute("update entries set value = ? where key = ?", (twisted, key))
    connection.close()
    for line in (said("verify", str(home)), said("node", str(home))):
        assert f"entries[{key.hex()}] is not what was written" in line
        assert "the node rebuilds it from its peers" in line


def test_a_forged_row_in_a_store_is_found(kept: Kept, tmp_path: Path) -> None:
    home = tmp_path / "carla"
    shutil.copytree(kept[0] / "carla", home)
    with Store.open(home / "store.sqlite", TABLES) as store:
        key, value = next(store.scan("entries"))
        store.apply([Persist("entries", key, bytes([*value[:-1], value[-1] ^ 1]))])
    done = troth("verify", str(home))
    assert done.returncode != 0
    assert "problems, the first: entry" in done.stderr


def test_a_port_in_use_is_one_line(kept: Kept, tmp_path: Path) -> None:
    home = tmp_path / "new"
    made = troth("init", str(home), "--genesis", str(kept[0] / "alma" / "genesis.bin"))
    assert made.returncode == 0, made.stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = troth("node", str(home), "--listen", f"/ip4/127.0.0.1/tcp/{port}")
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert str(port) in done.stderr


def test_every_command_has_help_with_an_example() -> None:
    for name in COMMANDS:
        done = troth(name, "--help")
        assert done.returncode == 0
        assert "Example" in done.stdout
