"""Transcripts outside a node: what its store holds of negotiations, and what a file amounts to, which proves itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from troth_node.deals import TABLE, read_items
from troth_node.storage.store import Store
from troth_protocol.effects import TABLES
from troth_protocol.errors import TrothError
from troth_protocol.log.agreement import AGREEMENT
from troth_protocol.market.exchange import Contents, Misdelivery
from troth_protocol.market.transcript import Transcript, verify_transcript
from troth_protocol.market.transcript_file import load_transcript
from troth_protocol.wire.codec import MAX_FRAME_BYTES

if TYPE_CHECKING:
    from troth_node.agent import Json

ATOMS: Final = 10**9  # to the token
_ID_BYTES: Final = 32


def stored(path: Path, network: bytes) -> list[Transcript]:
    """The negotiations that a store holds, by id, each verified; StoreError, or Invalid on damage."""
    with Store.open(path, TABLES) as store:
        rows = list(store.scan(TABLE))
    return [verify_transcript(network, items) for items in _gather(rows).values()]


def _gather(rows: Iterable[tuple[bytes, bytes]]) -> dict[bytes, list[tuple[bytes, bytes]]]:
    found: dict[bytes, list[tuple[bytes, bytes]]] = {}
    for key, row in rows:
        found.setdefault(key[:_ID_BYTES], []).extend(read_items(row))
    return found


def find(transcripts: list[Transcript], prefix: str) -> Transcript:
    """The one whose id begins with these hex digits; TrothError says if there is none, or several."""
    found = [item for item in transcripts if prefix and item.id.hex().startswith(prefix.lower())]
    if not found:
        raise TrothError(f"no negotiation {prefix!r} here; `troth transcript list` shows all")
    if len(found) > 1:
        raise TrothError(f"{len(found)} negotiations begin with {prefix!r}; give more digits")
    return found[0]


def read_transcript(path: Path) -> Transcript:
    """Judge a file. Raises OSError, and Invalid as `load_transcript`."""
    with path.open("rb") as file:
        return load_transcript(file.read(MAX_FRAME_BYTES + 1))


def as_json(transcript: Transcript) -> dict[str, Json]:
    """What it amounts to: ids and keys in hex, amounts in atomic units."""
    request, agreement = transcript.request, transcript.agreement
    facts: dict[str, Json] = {
        "id": transcript.id.hex(),
        "network": transcript.network.hex(),
        "buyer": request.buyer.hex(),
        "seller": request.seller.hex(),
        "question": request.question.hex(),
        "document": request.document.hex(),
        "state": transcript.state,
        "messages": [f"{said.who}: {said.signed.name}" for said in transcript.said],
        "rounds": transcript.rounds,
        "agreement": None if agreement is None else _agreement(agreement.agreement),
        "commit": None if transcript.commit is None else transcript.commit.hex(),
        "payload_bytes": None if transcript.payload is None else len(transcript.payload),
        "opened": _opened(transcript.opening),
    }
    return facts


def _agreement(data: bytes) -> dict[str, Json]:
    terms = AGREEMENT.decode(data)
    return {
        "min_weight_ppm": terms.min_weight_ppm,
        "min_wager": str(terms.min_wager),
        "floor": str(terms.floor),
        "price": str(terms.price),
        "deliver": terms.deliver,
    }


def _opened(opening: Contents | Misdelivery | None) -> Json:
    """What a key showed of a sealed signal, if there was one."""
    if opening is None:
        return None
    return "as promised" if isinstance(opening, Contents) else f"misdelivery: {opening.reason}"


def lines(transcript: Transcript) -> list[str]:
    """The same for people."""
    request = transcript.request
    told = [
        f"negotiation {transcript.id.hex()}",
        f"network     {transcript.network.hex()}",
        f"buyer       {request.buyer.hex()}",
        f"seller      {request.seller.hex()}",
        f"question    {request.question.hex()}",
        f"said        {', '.join(f'{said.signed.name} by the {said.who}' for said in transcript.said)}",
        f"state       {transcript.state}",
    ]
    agreement = transcript.agreement
    if agreement is not None:
        terms = AGREEMENT.decode(agreement.agreement)
        told.append(
            f"agreed      {terms.price / ATOMS:,.9g} tokens, {terms.min_weight_ppm} ppm of citation "
            f"(at least {terms.floor / ATOMS:,.9g} tokens), delivery by epoch {terms.deliver}; signed by both"
        )
    if transcript.payload is not None:
        told.append(f"delivered   {len(transcript.payload)} bytes")
    opened = _opened(transcript.opening)
    return told if opened is None else [*told, f"opened      {opened}"]
