"""The audit reads a store's bytes and nothing else: what holds, what does not, and what can't be told from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from store_kit import store_of

from troth_node.audit import Pruned, audit_store, replay
from troth_node.storage.store import Store
from troth_node.testing.samples import RULES, TOKEN
from troth_node.testing.stage import Stage
from troth_protocol.close.chain import PRUNE_LAG_EPOCHS
from troth_protocol.effects import TABLES, Erase, Persist
from troth_protocol.log.keep import epoch_key
from troth_protocol.log.ops import Transfer

ALMA, EMIL = 0, 4
SHORT = replace(RULES, evidence_epochs=3)


def played(epochs: int, rules=RULES) -> Stage:
    """Emil pays Alma in every epoch."""
    stage = Stage(rules=rules)
    stage.start()
    stage.settle()
    for _ in range(epochs):
        stage.put(EMIL, Transfer(stage.key(ALMA), TOKEN, b""))
        stage.close()
    return stage


def change(path: Path, *writes: Persist | Erase) -> None:
    with Store.open(path, TABLES) as store:
        store.apply(writes)


def test_what_holds(tmp_path: Path) -> None:
    stage = played(3)
    path = store_of(stage, ALMA, tmp_path)
    found, history = audit_store(path, stage.genesis, "alma"), replay(path, stage.genesis)
    assert found.is_ok, found.problems
    assert (found.epoch, found.seals, found.entries, found.votes) == (3, 3, 3, 9)
    assert (found.is_conserved, found.notes) == (True, [])
    assert history.state.root() == found.state_root
    assert (len(history.closes), history.entries) == (3, 3)


def test_a_row_of_the_state_that_was_changed_is_found(tmp_path: Path) -> None:
    stage = played(2)
    path = store_of(stage, ALMA, tmp_path)
    with Store.open(path, TABLES) as store:
        key, _ = next(iter(store.scan("state", b"accounts/")))
    change(path, Erase("state", key))
    found = audit_store(path, stage.genesis, "alma")
    assert "the state is not the one sealed in epoch 2" in found.problems
    assert "supply is not conserved" in found.problems


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_flipped_bit_in_an_entry_is_found(tmp_path: Path, place: int) -> None:
    stage = played(2)
    path = store_of(stage, ALMA, tmp_path)
    with Store.open(path, TABLES) as store:
        key, value = next(iter(store.scan("entries")))
    spoilt = bytearray(value)
    spoilt[place] ^= 1
    change(path, Persist("entries", key, bytes(spoilt)))
    found = audit_store(path, stage.genesis, "alma")
    assert len(found.problems) == 1
    assert found.problems[0].startswith("entry ")


def test_seals_of_another_network_do_not_hold(tmp_path: Path) -> None:
    stage, other = played(1), Stage(6)
    found = audit_store(store_of(stage, ALMA, tmp_path), other.genesis, "alma")
    assert any(problem.startswith("seal 1: ") for problem in found.problems)


def test_a_store_that_has_forgotten_its_first_epochs_says_so(tmp_path: Path) -> None:
    stage = played(SHORT.evidence_epochs + PRUNE_LAG_EPOCHS + 2, SHORT)
    path = store_of(stage, ALMA, tmp_path)
    found = audit_store(path, stage.genesis, "alma")
    assert found.is_ok, found.problems
    with pytest.raises(Pruned, match="not executed again"):
        replay(path, stage.genesis)


def test_a_store_that_began_with_a_snapshot_says_what_it_takes_on_trust(tmp_path: Path) -> None:
    stage = played(4)
    path = store_of(stage, ALMA, tmp_path)
    change(path, *(Erase("seals", epoch_key(epoch)) for epoch in (1, 2)))
    change(path, *(Erase("entries", key) for key, _ in stage.seats[ALMA].disk.scan("entries", epoch_key(1))))
    change(path, *(Erase("entries", key) for key, _ in stage.seats[ALMA].disk.scan("entries", epoch_key(2))))
    change(path, *(Erase("entries", key) for key, _ in stage.seats[ALMA].disk.scan("entries", epoch_key(3))))
    found = audit_store(path, stage.genesis, "alma")
    assert found.is_ok, found.problems
    assert found.notes == [
        "joined by a snapshot: the seal of epoch 3 is taken as it is, those after it are verified"
    ]


def test_a_store_that_its_node_had_no_time_to_fill_is_no_damage(tmp_path: Path) -> None:
    Store.open(tmp_path / "store.sqlite", TABLES).close()
    found = audit_store(tmp_path / "store.sqlite", Stage().genesis, "alma")
    assert found.is_ok
    assert found.notes == ["nothing was written here before the node ended"]


def test_a_store_whose_state_is_gone_is_damaged(tmp_path: Path) -> None:
    stage = played(1)
    path = store_of(stage, ALMA, tmp_path)
    with Store.open(path, TABLES) as store:
        keys = [key for key, _ in store.scan("state")]
    change(path, *(Erase("state", key) for key in keys))
    found = audit_store(path, stage.genesis, "alma")
    assert "the state is not the one sealed in epoch 1" in found.problems
