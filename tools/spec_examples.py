"""Fills the computed blocks of spec/*.md from the code: worked examples, and tables that the registry or the code has.

A block stands between `<!-- computed: name -->` and `<!-- end -->`; the tests compare each with what is computed anew.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from troth_node.transport.address import peer_id_text
from troth_protocol.genesis import Genesis, Holder, Pacing, Rules
from troth_protocol.insight.fixed import ceil_log2, floor_log2_ppm
from troth_protocol.insight.flow import FlowNode, FlowResult, Payment, Record, flow, rise
from troth_protocol.insight.oracle import settle_attesters, tally, value_limit
from troth_protocol.insight.prior import compute_prior
from troth_protocol.insight.promises import Ended, find_breach
from troth_protocol.insight.score import Wager, log_span, market_gain, score_question
from troth_protocol.log.entry import make_entry
from troth_protocol.log.ops import Transfer
from troth_protocol.log.rows import Commit, Promise
from troth_protocol.log.sealed import (
    attest_digest,
    auction_id,
    bid_digest,
    commit_digest,
    commit_id,
    lock_id,
    question_id,
    won_lock_id,
)
from troth_protocol.log.state import TOTALS_KEY, State, genesis_state
from troth_protocol.market.agora import agora_names
from troth_protocol.market.auction import Offer, compute_winners
from troth_protocol.market.document import compose_document
from troth_protocol.market.transcript import REQUESTED, TABLE
from troth_protocol.wire.codec import Value, encode
from troth_protocol.wire.crypto import KeyPair
from troth_protocol.wire.merkle import branch, leaf_hash, root
from troth_protocol.wire.schema import PPM

ROOT = Path(__file__).parent.parent
SPEC = ROOT / "spec"
BLOCK = re.compile(r"(<!-- computed: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
HEX_COLUMNS = 96
TOKEN = 10**9

NETWORK = bytes([0x11]) * 32
SEED = bytes(range(32))
SALT = bytes([0x22]) * 32


def load_tool(name: str) -> ModuleType:
    """A program of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_block(lines: Iterable[str]) -> str:
    """Lines as a fenced block."""
    return "```text\n" + "".join(f"{line.rstrip()}\n" for line in lines) + "```\n"


def labelled(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Labels in a column; values that are too long go on below each other."""
    width = max(len(label) for label, _ in rows) + 2
    out = []
    for label, value in rows:
        parts = [value[at : at + HEX_COLUMNS] for at in range(0, len(value), HEX_COLUMNS)] or [""]
        out += [label.ljust(width) + parts[0], *(" " * width + part for part in parts[1:])]
    return out


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in lines)


# 01 and 02


def values() -> str:
    """Values and their bytes."""
    examples: list[tuple[str, Value]] = [
        ("{}", {}),
        ("[0, 127, 128, -32, -33]", [0, 127, 128, -32, -33]),
        ("9007199254740991", 2**53 - 1),
        ('"é"', "é"),
        ('{"b": bin 00ff, "a": true}', {"b": b"\x00\xff", "a": True}),
        ("amount of 1.5 tokens", str(3 * TOKEN // 2)),
    ]
    return text_block(labelled([(name, encode(value).hex()) for name, value in examples]))


def tree() -> str:
    """A tree of three leaves."""
    leaves = [leaf_hash(data) for data in (b"a", b"b", b"c")]
    rows = [("leaves", '"a", "b", "c"'), ("root", root(leaves).hex())]
    for index in (0, 2):
        hashes = [item.hex() for item in branch(leaves, index)]
        rows += [(f"branch of {index}", hashes[0]), *(("", item) for item in hashes[1:])]
    return text_block(labelled(rows))


def identity() -> str:
    """A key and its peer id."""
    keys = KeyPair.from_seed(SEED)
    return text_block(
        labelled(
            [("seed", SEED.hex()), ("public key", keys.public.hex()), ("peer id", peer_id_text(keys.public))]
        )
    )


def ids() -> str:
    """The derived names of one author's doings."""
    author = KeyPair.from_seed(SEED).public
    question = question_id(NETWORK, "coin", 7)
    sealed = commit_digest(NETWORK, author, question, SALT, b"contribution")
    rows = [
        ("network id", NETWORK.hex()),
        ("author", author.hex()),
        ('question 7 of "coin"', question.hex()),
        ("salt", SALT.hex()),
        ('sealed digest of "contribution"', sealed.hex()),
        ("commit id", commit_id(NETWORK, author, question, sealed).hex()),
        ("sealed digest of outcome 1", attest_digest(NETWORK, author, question, SALT, 1).hex()),
        ("lock of op 3 of entry 33…33", lock_id(bytes([0x33]) * 32, 3).hex()),
    ]
    return text_block(labelled(rows))


# 03 and 04


def entry() -> str:
    """The first entry of a log."""
    keys, payee = KeyPair.from_seed(SEED), KeyPair.from_seed(bytes(32))
    transfer = Transfer(payee.public, 5 * TOKEN, b"hi")
    made = make_entry(keys, NETWORK, incarnation=0, epoch=1, seq=1, prev=bytes(32), deps=(), ops=(transfer,))
    rows = [
        ("author, network", "as in 02"),
        ("op", f"transfer of {transfer.amount} to the key of seed 00…00, ref 6869"),
        ("ops", encode([_op(transfer)]).hex()),
        ("deps", encode([]).hex()),
        ("header", made.signed.header.hex()),
        ("entry id", made.id.hex()),
        ("signature", made.signed.signature.hex()),
    ]
    return text_block(labelled(rows))


def _op(transfer: Transfer) -> Value:
    return {"op": "transfer", "to": transfer.to, "amount": str(transfer.amount), "ref": transfer.ref}


def state() -> str:
    """A state of one account."""
    made = genesis_state(_one_holder())
    key = KeyPair.from_seed(SEED).public
    totals = made.prove("totals", TOTALS_KEY)
    account = made.prove("accounts", key)
    rows = [
        ("account", "balance 10, bond as witness 5, nothing else; reserve 100; epoch 0"),
        ("leaf of accounts", _row_bytes(key, account)),
        ("leaf of totals", _row_bytes(TOTALS_KEY, totals)),
        ("root of accounts", made.tables["accounts"].root().hex()),
        ("root of totals", made.tables["totals"].root().hex()),
        ("root of the others", State().tables["locks"].root().hex()),
        ("state root", made.root().hex()),
    ]
    return text_block(labelled(rows))


def _row_bytes(key: bytes, proof: Value) -> str:
    assert isinstance(proof, dict)  # noqa: S101 - what prove returns
    return encode([key, proof["row"]]).hex()


def _one_holder() -> Genesis:
    zeros = dict.fromkeys(Rules.__dataclass_fields__, 0)
    holder = Holder(KeyPair.from_seed(SEED).public, 10, 5, 0, 0)
    return Genesis(1, "one", Pacing(0, 0, 0, 0), Rules(**zeros), (holder,), (), 100)


# 05

EPSILON, KAPPA, HOUSE = 10_000, 500_000, 1_000 * TOKEN
PRIOR = (300_000, 500_000, 200_000)


def prior() -> str:
    """Two priors: one plain, one that epsilon holds up."""
    lines = [f"epsilon {EPSILON}"]
    for counts, pseudo in (((7, 2, 0), (1, 1, 1)), ((0, 3, 996), (1, 1, 1))):
        found = compute_prior(counts, pseudo, EPSILON)
        lines.append(f"counts {list(counts)}, pseudo-counts {list(pseudo)}: prior {list(found)}")
    return text_block(lines)


_NAMES = ("alma", "bruno", "carla", "dora")
_WAGERS = (
    Wager(b"alma", 40 * TOKEN, (600_000, 300_000, 100_000)),
    Wager(b"bruno", 25 * TOKEN, (200_000, 500_000, 300_000)),
    Wager(b"carla", 10 * TOKEN, PRIOR),
    Wager(b"dora", 5 * TOKEN, None),
)
_POT = 100 * TOKEN
_OUTCOME = 0


def score() -> str:
    """Four wagers: one better informed than the prior, one worse, one that repeats it, one unrevealed."""
    done = score_question(PRIOR, _POT, HOUSE, KAPPA, EPSILON, _WAGERS, _OUTCOME)
    shown = [w for w in _WAGERS if w.ppm is not None]
    total = sum(w.wager for w in shown)
    pooled = sum(w.wager * w.ppm[_OUTCOME] for w in shown if w.ppm is not None)
    lines = [
        f"prior {list(PRIOR)}, outcome {_OUTCOME}, epsilon {EPSILON}, kappa {KAPPA}, house {HOUSE}, pot {_POT}",
        f"L = {log_span(EPSILON)}   W = {total}   S = {pooled}   E = {done.emission}",
        "",
        f"{'':6}{'wager':>12}  {'forecast':24}{'gain':>12}{'Gain':>12}{'back':>12}{'net':>12}{'record':>12}",
    ]
    for name, wager, row in zip(_NAMES, _WAGERS, done.rows, strict=True):
        gains = ("", "")
        if wager.ppm is not None:
            p = wager.ppm[_OUTCOME]
            gain = market_gain(wager.wager, p, total, pooled)
            gains = (str(gain), str(floor_log2_ppm(p, PRIOR[_OUTCOME])))
        forecast = "unrevealed" if wager.ppm is None else str(list(wager.ppm))
        lines.append(
            f"{name:6}{wager.wager:>12}  {forecast:24}{gains[0]:>12}{gains[1]:>12}"
            f"{row.back:>12}{row.net:>12}{row.net_for_record:>12}"
        )
    left = _POT - done.net()
    lines += ["", f"to the reserve: {done.to_reserve} of the wagers, {left} of the pot"]
    lines.append(
        f"lg↓(600000 / 10^6) = {floor_log2_ppm(600_000)}   lg↑(10^6 / 10000) = {ceil_log2(PPM, EPSILON)}"
    )
    return text_block(lines)


def income() -> str:
    """A record over four questions."""
    lines, at = [f"{'entered':>8}{'sum':>8}{'high':>8}{'income':>8}"], Record()
    for net in (300, -200, 150, 400):
        at, gained = rise(at, net)
        lines.append(f"{net:>8}{at.cumulative:>8}{at.high:>8}{gained:>8}")
    return text_block(lines)


def flow_example() -> str:
    """One forecast that cites a signal and a forecast, which cites the signal too."""
    ids_ = {name: bytes([number]) * 32 for number, name in enumerate(("top", "nowcast", "data", "copy"), 1)}
    gain = floor_log2_ppm(450_000, PRIOR[_OUTCOME]) * PPM // log_span(EPSILON)
    key = bytes([0xAA]) * 32

    def node(
        name: str, epoch: int, content: bytes | None, g: int, own: int, cites: Mapping[str, int]
    ) -> FlowNode:
        citations = tuple((ids_[cited], ppm) for cited, ppm in cites.items())
        return FlowNode(ids_[name], name.encode(), epoch, True, content, g, own, citations)

    nodes = [
        node("top", 3, ids_["top"], 0, 1_000_000, {"nowcast": 300_000, "data": 100_000, "copy": 100_000}),
        node("nowcast", 2, ids_["nowcast"], gain, 0, {"data": 500_000}),
        node("data", 1, key, 0, 0, {}),
        node("copy", 2, key, 0, 0, {}),
    ]
    done = flow(nodes)
    names = {value: name for name, value in ids_.items()}
    lines = [
        "top has an income of 1000000 and cites nowcast 300000, data 100000, copy 100000",
        f"nowcast is a forecast of 450000 ppm (G = {gain}) and cites data 500000",
        "data and copy are signals with one payload digest; data committed first",
        "",
        *(f"{names[p.frm_commit]} pays {names[p.to_commit]} {p.amount}" for p in done.payments),
        "kept: " + ", ".join(f"{names[key]} {amount}" for key, amount in done.retained.items()),
    ]
    return text_block(lines)


def promises_example() -> str:
    """One promise, kept or not, in four ways."""
    buyer, seller, question, sold, top = (bytes([number]) * 32 for number in range(1, 6))
    promise = Promise(question, buyer, seller, 200_000, 50, 30, 9, commit=sold, bound=True)
    signal = Commit(seller, question, sold, 0, 1, revealed=True, payload=sold)
    lines = ["promised: 200000 ppm in a wager of 50, floor 30; the forecast's means are 1000"]
    for told, wager, weight, means in (
        ("cited with 200000 in 50", 50, 200_000, 1_000),
        ("cited with 100000 in 50", 50, 100_000, 1_000),
        ("cited with 200000 in 49", 49, 200_000, 1_000),
        ("nothing revealed       ", 0, 0, 0),
    ):
        forecast = Commit(
            buyer, question, top, wager, 2, bool(means), (600_000, 400_000), None, ((sold, weight),)
        )
        paid = (Payment(top, sold, means * weight // (2 * PPM)),) if means else ()
        kept = FlowResult({}, {top: 0, sold: 0}, {top: means, sold: 0}, paid)
        found = find_breach(promise, Ended({top: forecast, sold: signal}, kept))
        cost = "kept" if found is None else f"damages {found.damages}, penalty {found.penalty}"
        lines.append(f"{told}: paid {sum(p.amount for p in paid)}, {cost}")
    return text_block(lines)


def outcome() -> str:
    """Three attesters in a first round, and the value that they can carry."""
    bonds = {b"alma": 600, b"bruno": 301, b"carla": 200}
    votes: dict[bytes, int | None] = {b"alma": 1, b"bruno": 0}
    verdict = tally(bonds, votes, 0, 3, 2)
    done = settle_attesters(verdict, bonds, 0, 50_000, 30)
    lines = [
        "bonds alma 600, bruno 301, carla 200; attest_penalty_ppm 50000, attest_fee 30, value_ppm 500000"
    ]
    lines.append("alma opens 1, bruno opens 0, carla is absent")
    lines.append(f"outcome {verdict.outcome} stands")
    lines += [f"{key.decode()} loses {amount}" for key, amount in done.penalties.items()]
    lines += [f"{key.decode()} gets {amount}" for key, amount in done.rewards.items()]
    lines.append(f"limit on the value of the questions of one close: {value_limit(1101, 50_000, 500_000)}")
    return text_block(lines)


# 12


def auction() -> str:
    """Four bids for two units, at three reserve prices."""
    bids = {"alma": 70, "bruno": 40, "carla": 70, "dora": 55}
    offers = [
        Offer(name.encode(), amount, bytes([place])) for place, (name, amount) in enumerate(bids.items())
    ]
    lines = ["2 units; bids " + ", ".join(f"{name} {amount}" for name, amount in bids.items())]
    for reserve in (50, 60, 71):
        award = compute_winners(offers, 2, reserve)
        winners = " and ".join(name.decode() for name in award.winners)
        lines.append(f"reserve price {reserve}: {winners or 'nobody'}" + f" at {award.price}" * bool(winners))
    key, seller = bytes([0x44]) * 32, KeyPair.from_seed(SEED).public
    rows = [
        ("network, author, salt", "as in 02"),
        ("auction of commit 44…44, hashlock 44…44", auction_id(NETWORK, seller, key, key).hex()),
        ("sealed digest of 55 in auction 44…44", bid_digest(NETWORK, seller, key, SALT, 55).hex()),
        ("its lock at the close of epoch 9", won_lock_id(NETWORK, key, seller, 9).hex()),
    ]
    return text_block([*lines, "", *labelled(rows)])


# 06 to 09


def negotiation() -> str:
    """The state table as a diagram."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {REQUESTED}: buyer request"]
    for name, rows in TABLE.items():
        for who, found in rows.items():
            for message, to in found.items():
                said = message if message == "silence" else f"{who} {message}"
                lines.append(f"    {name} --> {to}: {said}")
    return "\n".join([*lines, "```", ""])


def document() -> str:
    """A signal document, and the names of its text."""
    schema: dict[str, Value] = {"type": "object", "properties": {"temp": {"type": "integer"}}}
    fields = {
        "name": "flights/weather",
        "version": "1",
        "description": "Weather at an airport.",
        "multiround": "false",
    }
    found = compose_document(fields, "`temp` is the temperature in thousandths of a °F.", schema)
    names = agora_names(found.data)
    rows = [
        ("id (SHA-256)", found.id.hex()),
        ("Agora, sha1 hex", names.sha1_hex),
        ("Agora, sha1 base64", names.sha1_base64),
        ("values in its schema", str(found.weight)),
    ]
    return f"````text\n{found.text}````\n\n" + text_block(labelled(rows))


def catalogue(name: str, first: str) -> Callable[[], str]:
    """A catalogue of the registry as a table."""

    def render() -> str:
        found = load_tool("registry").load()[name]
        rows = ([f"`{key}`", row["meaning"], _fields(row["fields"])] for key, row in found.items())
        return table([first, "meaning", "fields"], rows)

    return render


def postings() -> str:
    """The records of cards and announcements."""
    found = load_tool("registry").load()["objects"]
    rows = (
        [f"`{name}`", found[name]["meaning"], _fields(found[name]["fields"])]
        for name in ("card", "announcement")
    )
    return table(["record", "meaning", "fields"], rows)


def _fields(fields: Mapping[str, str]) -> str:
    return ", ".join(f"`{name}` {kind}" for name, kind in fields.items())


def errors() -> str:
    """Every code."""
    found = load_tool("registry").load()["errors"]
    rows = ([f"`{code}`", row["meaning"], ", ".join(row["raised_by"])] for code, row in found.items())
    return table(["code", "meaning", "who refuses"], rows)


def constants() -> str:
    """The constants that must be the same everywhere."""
    found = load_tool("registry").load()["constants"]
    rows = (
        [f"`{name}`", f"{row['value']}", row["unit"], row["meaning"]]
        for name, row in found.items()
        if row["scope"] == "agreed"
    )
    return table(["name", "value", "unit", "meaning"], rows)


BLOCKS: Mapping[str, Callable[[], str]] = {
    "values": values,
    "tree": tree,
    "identity": identity,
    "ids": ids,
    "entry": entry,
    "state": state,
    "prior": prior,
    "score": score,
    "income": income,
    "flow": flow_example,
    "promises": promises_example,
    "outcome": outcome,
    "auction": auction,
    "negotiation": negotiation,
    "document": document,
    "trades": catalogue("trades", "body"),
    "messages": catalogue("messages", "message"),
    "ballots": catalogue("ballots", "ballot"),
    "evidence": catalogue("evidence", "kind"),
    "postings": postings,
    "errors": errors,
    "constants": constants,
}


def fill(text: str) -> str:
    """A document with every block computed anew."""
    return BLOCK.sub(lambda match: match[1] + BLOCKS[match[2]]() + match[4], text)


if __name__ == "__main__":
    for document in sorted(SPEC.glob("*.md")):
        document.write_text(fill(document.read_text(encoding="utf-8")), encoding="utf-8")
        print(document.relative_to(ROOT))
