"""trades.json: whole negotiations, word by word, and transcripts that nobody should believe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from troth_protocol.insight.contribution import CONTRIBUTION, Contribution
from troth_protocol.log.agreement import AGREEMENT, agreement_id, sign_agreement
from troth_protocol.market.trades import BODIES, Accept, Counter, Offer, Reject, Signed, Withdraw, sign
from troth_protocol.market.transcript import verify_transcript
from troth_protocol.market.transcript_file import pack_transcript
from troth_protocol.wire.codec import decode, encode
from troth_protocol.wire.crypto import KeyPair, digest, preimage

from .common import (
    NETWORK,
    OTHER_NETWORK,
    TOKEN,
    Case,
    Json,
    cases,
    changed,
    flipped,
    hexed,
    invalid,
    plain,
    raised_s,
    valid,
)
from .sales import floored, handed, misdelivered_talk, refused_talks, sold
from .talks import (
    BUYER,
    OTHER_QUESTION,
    QUESTION,
    REQUEST,
    SELLER,
    STRANGER,
    TERMS,
    Talk,
    agreed,
    agreement_of,
    delivery,
    opening,
)


def _items(said: Sequence[Signed]) -> list[Json]:
    return [{"body": hexed(one.trade.body), "signature": one.trade.signature.hex()} for one in said]


def _told(name: str, talk: Talk) -> Case:
    """A transcript with all that follows from it, message by message."""
    verdict = verify_transcript(NETWORK, [(one.trade.body, one.trade.signature) for one in talk.said])
    agreement = verdict.agreement
    case = valid(
        name,
        check="transcript",
        network=NETWORK.hex(),
        buyer=BUYER.public.hex(),
        seller=SELLER.public.hex(),
        messages=[_message(one) for one in talk.said],
        negotiation=talk.said[0].id.hex(),
        state=verdict.state,
    )
    if agreement is not None:
        shown = AGREEMENT.load(decode(agreement.agreement))
        case["agreement"] = {
            "value": plain(AGREEMENT.dump(shown)),
            "bytes": agreement.agreement.hex(),
            "id": agreement_id(NETWORK, agreement.agreement).hex(),
            "buyer_signature": agreement.buyer_signature.hex(),
            "seller_signature": agreement.seller_signature.hex(),
        }
    return case


def _message(one: Signed) -> Json:
    return {
        "type": one.name,
        "value": plain(BODIES.dump(one.body)),
        "body": hexed(one.trade.body),
        "preimage": hexed(preimage(f"troth/{one.name}/1", NETWORK, one.trade.body)),
        "id": one.id.hex(),
        "signature": one.trade.signature.hex(),
    }


def _good() -> list[Case]:
    priced = Talk().offer(price=5 * TOKEN, floor=2 * TOKEN, min_weight_ppm=0)
    countered = Talk().offer().counter(min_weight_ppm=150_000)
    haggled = Talk().offer().counter(min_weight_ppm=1).offer(min_weight_ppm=3).counter(min_weight_ppm=2)
    crossed = Talk().offer()
    return [
        _told("a signal asked for, agreed, delivered, received", agreed().deliver().receipt()),
        _told("a signal sold for a price", handed(sold()).receipt()),
        _told("a sealed signal", sold()),
        _told("a signal sealed for a floor", handed(floored()).receipt()),
        _told("a key that opens something else", misdelivered_talk()),
        _told("a request alone", Talk()),
        _told("an offer", Talk().offer()),
        _told("accepted by the buyer", Talk().offer().accept(BUYER)),
        _told(
            "a counter that the seller accepts and the buyer confirms", countered.accept(SELLER).accept(BUYER)
        ),
        _told("four rounds", haggled.accept(SELLER).accept(BUYER)),
        _told("a price and a floor", priced.accept(BUYER).accept(SELLER)),
        _told("no from the seller", Talk().say(SELLER, Reject(Talk().last, "busy"))),
        _told("no after the first accept", _then(Talk().offer().accept(BUYER), SELLER, Reject)),
        _told("the request withdrawn", _then(Talk(), BUYER, Withdraw)),
        _told(
            "the request withdrawn while the offer was on its way",
            crossed.say(BUYER, Withdraw(crossed.said[0].id, "")),
        ),
        _told("a payload of nothing", agreed().deliver(payload=b"", named=b"").receipt(b"")),
    ]


def _then(talk: Talk, who: KeyPair, make: type[Reject | Withdraw]) -> Talk:
    """One message more that answers (or takes back) the last one."""
    return talk.say(who, make(talk.last, "no"))


def _forged(talk: Talk, place: int, twist: Callable[[Signed], tuple[bytes, bytes]]) -> list[Json]:
    """A transcript of which one message's body and signature are others."""
    items = _items(talk.said)
    body, signature = twist(talk.said[place])
    items[place] = {"body": hexed(body), "signature": signature.hex()}
    return items


def _order_refusals() -> list[tuple[str, str, Talk]]:
    """Messages that have no place where they stand."""
    offered, accepted = Talk().offer(), Talk().offer().accept(BUYER)
    half = Talk().offer().counter().offer().counter()
    return [
        ("out_of_state", "a delivery of what nobody agreed on", Talk().deliver()),
        ("out_of_state", "an accept of nothing", Talk().say(BUYER, Accept(Talk().last, b"", bytes(64)))),
        ("out_of_state", "a receipt before the delivery", agreed().receipt()),
        ("out_of_state", "terms after an accept", accepted.copy().counter()),
        ("out_of_state", "a word after the end", _then(_then(Talk(), SELLER, Reject), SELLER, Reject)),
        ("out_of_state", "a rejection of what is agreed", _then(agreed(), BUYER, Reject)),
        ("wrong_party", "a withdrawal by who has signed", _then(accepted.copy(), BUYER, Withdraw)),
        ("wrong_party", "an offer by the buyer", Talk().say(BUYER, Offer(prev=Talk().last, **TERMS))),
        ("wrong_party", "the seller's own offer accepted by it", offered.copy().accept(SELLER)),
        ("wrong_party", "the second accept by who gave the first", accepted.copy().accept(BUYER)),
        ("wrong_party", "a delivery by the buyer", agreed().say(BUYER, delivery(agreed().last))),
        ("wrong_party", "a request to oneself", Talk(replace(REQUEST, seller=BUYER.public))),
        ("wrong_prev", "an offer that names nothing", Talk().say(SELLER, Offer(prev=bytes(32), **TERMS))),
        (
            "wrong_prev",
            "a counter that skips the offer",
            offered.copy().say(BUYER, Counter(prev=Talk().last, **TERMS)),
        ),
        ("wrong_prev", "a withdrawal of the other's message", _then(Talk().offer(), BUYER, Withdraw)),
        ("wrong_prev", "an offer that does not name the counter", _stale_offer()),
        ("wrong_prev", "a delivery that names the offer", agreed().say(SELLER, delivery(offered.last))),
        ("too_many_rounds", "a fifth statement of terms", half.offer()),
        ("bad_terms", "an offer that expires after the delivery", Talk().offer(expires=17)),
        ("bad_terms", "a request that expires after the delivery", Talk(replace(REQUEST, expires=17))),
        ("bad_signature", "an offer of a stranger", Talk().say(STRANGER, Offer(prev=Talk().last, **TERMS))),
        ("bad_signature", "an accept by a stranger", Talk().offer().accept(STRANGER)),
    ]


def _stale_offer() -> Talk:
    return Talk().offer().counter().say(SELLER, Offer(prev=Talk().last, **TERMS))


def _content_refusals() -> list[tuple[str, str, Talk]]:
    """Messages in their place that say what they must not."""
    offered = Talk().offer()
    elsewhere = agreement_of(replace(REQUEST, question=OTHER_QUESTION), TERMS, offered.last)
    signature = sign_agreement(BUYER, NETWORK, elsewhere)
    other_talk = Talk(replace(REQUEST, nonce=b"m" * 16)).offer()
    stale = agreement_of(REQUEST, TERMS, other_talk.last)
    forecast = CONTRIBUTION.encode(Contribution(QUESTION, "", (), ppm=(600_000, 400_000)))
    nothing = CONTRIBUTION.encode(Contribution(QUESTION, "", ()))
    other = delivery(agreed().last)
    return [
        ("changed_terms", "a smaller weight", offered.copy().accept(BUYER, min_weight_ppm=199_999)),
        ("changed_terms", "a price", offered.copy().accept(BUYER, price=1)),
        ("changed_terms", "a later delivery", offered.copy().accept(BUYER, deliver=17)),
        (
            "changed_terms",
            "another question",
            offered.copy().say(BUYER, Accept(offered.last, elsewhere, signature)),
        ),
        (
            "changed_terms",
            "of another negotiation",
            offered.copy().say(BUYER, Accept(offered.last, stale, sign_agreement(BUYER, NETWORK, stale))),
        ),
        (
            "changed_terms",
            "the second accept of other bytes",
            offered.copy().accept(BUYER).accept(SELLER, floor=1),
        ),
        ("bad_signature", "an agreement signed by a stranger", offered.copy().accept(BUYER, signer=STRANGER)),
        (
            "bad_signature",
            "an agreement signed for another network",
            offered.copy().accept(BUYER, network=OTHER_NETWORK),
        ),
        (
            "bad_digest",
            "a payload that the contribution does not name",
            agreed().deliver(payload=b"sunshine"),
        ),
        (
            "bad_digest",
            "a contribution that does not open the commit",
            agreed().say(SELLER, replace(other, commit=digest(b"commit"))),
        ),
        ("bad_digest", "another salt", agreed().say(SELLER, replace(other, salt=digest(b"salt")))),
        ("bad_digest", "a receipt for another payload", agreed().deliver().receipt(b"sunshine")),
        ("bad_digest", "a receipt for another commit", agreed().deliver().receipt(commit=digest(b"c"))),
        ("wrong_agreement", "a receipt under another", agreed().deliver().receipt(agreement=digest(b"a"))),
        ("wrong_question", "a contribution to another question", agreed().deliver(question=OTHER_QUESTION)),
        (
            "bad_contribution",
            "neither forecast nor signal",
            agreed().say(SELLER, opening(agreed().last, nothing)),
        ),
        ("bad_probabilities", "a forecast", agreed().say(SELLER, opening(agreed().last, forecast))),
        ("bad_citations", "a source of no weight", agreed().deliver(citations=((digest(b"source"), 0),))),
        ("truncated", "half a contribution", agreed().say(SELLER, opening(agreed().last, nothing[:-9]))),
    ]


def _form_refusals() -> list[tuple[str, str, list[Json]]]:
    """Bodies and signatures that were spoiled."""
    talk = agreed().deliver().receipt()
    request = talk.said[0]
    first = BODIES.dump(request.body)
    foreign = sign(BUYER, OTHER_NETWORK, REQUEST)
    if not isinstance(first, dict):
        raise TypeError("no map")

    def spoiled(**fields: Json) -> list[Json]:
        return _forged(talk, 0, lambda one: (changed(one.trade.body, **fields), one.trade.signature))

    return [
        ("empty", "nothing said", []),
        ("out_of_state", "no request first", _items(talk.said[1:])),
        ("out_of_state", "the request twice", _items([request, *talk.said])),
        ("bad_signature", "the request of another network", _items([foreign, *talk.said[1:]])),
        ("bad_signature", "the request with another weight", spoiled(min_weight_ppm=1)),
        ("bad_signature", "the request signed by its seller", _items([sign(SELLER, NETWORK, REQUEST)])),
        (
            "bad_signature",
            "a bit of the receipt's signature",
            _forged(talk, 5, lambda o: (o.trade.body, flipped(o.trade.signature, 0))),
        ),
        (
            "bad_signature",
            "S + L for S",
            _forged(talk, 1, lambda o: (o.trade.body, raised_s(o.trade.signature))),
        ),
        ("bad_signature", "an offer signed as a counter", _forged(talk, 1, _under_another_domain)),
        ("unknown_kind", "a type that does not exist", spoiled(type="haggle")),
        ("missing_field", "a request without a nonce", spoiled(nonce=None)),
        ("unknown_field", "a request with a price", spoiled(price="5")),
        ("bad_field", "a nonce of 15 bytes", spoiled(nonce=b"n" * 15)),
        ("bad_field", "a weight of more than everything", spoiled(min_weight_ppm=1_000_001)),
        ("bad_field", "a document of 31 bytes", spoiled(document=b"d" * 31)),
        ("unknown_kind", "a list", _forged(talk, 0, lambda one: (encode([]), one.trade.signature))),
        (
            "trailing",
            "a byte after the request",
            _forged(talk, 0, lambda o: (o.trade.body + b"\x00", o.trade.signature)),
        ),
    ]


def _under_another_domain(one: Signed) -> tuple[bytes, bytes]:
    return one.trade.body, SELLER.sign(preimage("troth/counter/1", NETWORK, one.trade.body))


def _agreements() -> tuple[list[Case], list[Case]]:
    """Agreements alone, as a buyer's log records them."""
    data = agreement_of(REQUEST, TERMS, digest(b"offer"))
    one, two = sign_agreement(BUYER, NETWORK, data), sign_agreement(SELLER, NETWORK, data)
    oneself = agreement_of(replace(REQUEST, seller=BUYER.public), TERMS, digest(b"offer"))
    self_signed = sign_agreement(BUYER, NETWORK, oneself)

    def case(agreement: bytes, buyer: bytes, seller: bytes) -> dict[str, Json]:
        signatures = {"buyer_signature": buyer.hex(), "seller_signature": seller.hex()}
        return {"check": "agreement", "network": NETWORK.hex(), "bytes": agreement.hex(), **signatures}

    good = [
        valid("an agreement", **case(data, one, two), id=agreement_id(NETWORK, data).hex()),
    ]
    bad = [
        invalid("bad_agreement", "with oneself", **case(oneself, self_signed, self_signed)),
        invalid("bad_signature", "the signatures exchanged", **case(data, two, one)),
        invalid("bad_signature", "the buyer's twice", **case(data, one, one)),
        invalid("bad_signature", "an agreement that was changed", **case(changed(data, floor="1"), one, two)),
        invalid("missing_field", "an agreement without a price", **case(changed(data, price=None), one, two)),
        invalid("bad_amount", "a price that is a number", **case(changed(data, price=5), one, two)),
    ]
    return good, bad


def _files() -> tuple[list[Case], list[Case]]:
    """Transcripts as files, right and spoiled."""
    talk = agreed().deliver().receipt()
    file = _file(talk)
    items = [[one.trade.body, one.trade.signature] for one in talk.said]

    def case(data: bytes) -> dict[str, Json]:
        return {"check": "file", "bytes": hexed(data)}

    good = [
        valid(f"a file of {what}", **case(_file(told)), items=_items(told.said), network=NETWORK.hex())
        for what, told in (("a whole negotiation", talk), ("a sale", handed(sold()).receipt()))
    ]
    bad = [
        invalid("empty", "a file without messages", **case(changed(file, items=[]))),
        invalid("bad_signature", "a file of another network", **case(changed(file, network=OTHER_NETWORK))),
        invalid("out_of_state", "a file whose request is missing", **case(changed(file, items=items[1:]))),
        invalid("missing_field", "a file that names no network", **case(changed(file, network=None))),
        invalid("unknown_field", "a file with a date", **case(changed(file, date="today"))),
        invalid("bad_field", "a network of 31 bytes", **case(changed(file, network=b"n" * 31))),
        invalid("bad_field", "17 messages", **case(changed(file, items=items[:1] * 17))),
        invalid("bad_field", "a message without its signature", **case(changed(file, items=[items[0][:1]]))),
        invalid("trailing", "a byte after a file", **case(file + b"\x00")),
        invalid("truncated", "a file without its last byte", **case(file[:-1])),
    ]
    return good, bad


def _file(talk: Talk) -> bytes:
    return pack_transcript(
        verify_transcript(NETWORK, [(one.trade.body, one.trade.signature) for one in talk.said])
    )


def trades() -> Json:
    """The file trades.json."""
    good, bad = _agreements()
    files, spoiled = _files()
    talks = [*_order_refusals(), *_content_refusals(), *refused_talks()]
    told = [(code, what, _items(talk.said)) for code, what, talk in talks] + _form_refusals()
    refused = [
        invalid(code, what, check="transcript", network=NETWORK.hex(), messages=items)
        for code, what, items in told
    ]
    return cases(
        "Negotiations (06): every message signed, each naming the one before it.",
        [*_good(), *good, *files],
        [*refused, *bad, *spoiled],
    )
