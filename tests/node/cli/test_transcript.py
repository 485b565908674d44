"""`troth transcript` and `troth verify FILE`: a negotiation leaves the node, and is judged by its bytes alone."""

import json

import pytest
from click.testing import CliRunner
from store_kit import fill

from troth_node.cli.failure import Failure
from troth_node.cli.transcript import command
from troth_node.cli.verify import command as verify
from troth_node.storage.home import Home
from troth_node.testing.bazaar import PRICE, Bazaar
from troth_node.testing.samples import seed
from troth_protocol.wire.codec import decode, encode


@pytest.fixture(scope="module")
def bazaar():
    bazaar = Bazaar()
    bazaar.run(epochs=4)
    return bazaar


@pytest.fixture(scope="module")
def home(bazaar, tmp_path_factory):
    """The buyer's disk as a node's home."""
    made = Home.create(
        tmp_path_factory.mktemp("homes") / "buyer", seed(bazaar.buyer), bazaar.genesis.encode()
    )
    fill(made.store_path, bazaar.seats[bazaar.buyer].disk.tables)
    made.close()
    return made.path


def run(what, *arguments):
    done = CliRunner().invoke(what, [str(argument) for argument in arguments], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


@pytest.fixture
def file(home, tmp_path):
    [facts] = [json.loads(line) for line in run(command, "list", home, "--json").splitlines()]
    path = tmp_path / "deal.transcript"
    run(command, "export", home, facts["id"][:8], "--out", path)
    return path


def test_a_negotiation_is_listed_exported_and_verified_elsewhere(home, file):
    assert "messages" in run(command, "list", home)
    facts = json.loads(run(verify, file, "--json"))
    assert facts["ok"]
    assert facts["messages"][0] == "buyer: request"
    assert facts["agreement"]["price"] == str(PRICE)
    told = run(verify, file)
    assert "signed by both" in told
    assert told.endswith("everything holds\n")


def test_a_changed_byte_or_a_message_left_out_is_found(file):
    value = decode(file.read_bytes())
    body, signature = value["items"][1]
    forgeries = [
        value | {"items": [value["items"][0], [body, bytes(64)]]},
        value | {"items": value["items"][1:]},
        value | {"items": value["items"][:1] + value["items"][2:]},
        value | {"items": []},
        value | {"items": [[signature]]},
        value | {"network": bytes(32)},
        value | {"network": bytes(31)},
    ]
    for forged in forgeries:
        file.write_bytes(encode(forged))
        with pytest.raises(Failure, match="no transcript that holds"):
            run(verify, file)
        with pytest.raises(Failure, match="no transcript that holds"):
            run(verify, file, "--json")


def test_what_is_no_transcript_is_said_in_one_line(home, file, tmp_path):
    file.write_bytes(b"hello")
    with pytest.raises(Failure, match=r"deal.transcript: no transcript that holds"):
        run(verify, file)
    for negotiation in ("zz", ""):
        with pytest.raises(Failure, match="troth transcript list"):
            run(command, "export", home, negotiation, "--out", tmp_path / "new")


def test_a_file_is_never_overwritten(home, file):
    negotiation = json.loads(run(verify, file, "--json"))["id"]
    with pytest.raises(Failure, match="exists"):
        run(command, "export", home, negotiation, "--out", file)


def test_a_node_that_negotiated_nothing_holds_nothing(bazaar, tmp_path):
    made = Home.create(tmp_path / "witness", seed(0), bazaar.genesis.encode())
    fill(made.store_path, bazaar.seats[0].disk.tables)
    made.close()
    assert run(command, "list", made.path) == "no negotiation is held here\n"
