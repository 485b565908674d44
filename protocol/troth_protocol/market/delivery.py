"""Is what a seller sends what was agreed on? Openly it opens a commit; under a key its terms are the agreement's."""

from __future__ import annotations

from typing import Final

from troth_protocol.errors import Invalid
from troth_protocol.insight.contribution import load_contribution
from troth_protocol.log.sealed import commit_digest, commit_id
from troth_protocol.market.exchange import load_terms, validate_ciphertext
from troth_protocol.market.trades import Deliver, Sealed
from troth_protocol.wire.crypto import digest

_NO_FORECAST: Final = 0  # outcomes: a delivered contribution has a payload, no probabilities


def validate_open(network: bytes, seller: bytes, question: bytes, body: Deliver) -> None:
    """A delivery as it is.

    Raises Invalid: bad_digest if contribution, payload and commit do not fit together, and as `load_contribution`.
    """
    contribution = load_contribution(body.contribution, question, _NO_FORECAST, epsilon_ppm=0)
    if contribution.payload != digest(body.payload):
        raise Invalid("bad_digest", "the payload is not what the contribution names")
    sealed = commit_digest(network, seller, question, body.salt, body.contribution)
    if body.commit != commit_id(network, seller, question, sealed):
        raise Invalid("bad_digest", "the contribution does not open the commit")


def validate_under_key(
    network: bytes, agreed: tuple[bytes, bytes, bytes, int], deliver: int, body: Sealed
) -> None:
    """A sealed delivery; `agreed` are seller, buyer, question and price, `deliver` is the last epoch.

    Raises Invalid: changed_terms, bad_terms if the key may come too late, bad_digest, and as `load_terms`.
    """
    terms = load_terms(body.terms, body.signature, network)
    if (terms.seller, terms.buyer, terms.question, terms.price) != agreed:
        raise Invalid("changed_terms", "the exchange is not what was agreed")
    if terms.until >= deliver:
        raise Invalid("bad_terms", "the key may come too late to be of use")
    validate_ciphertext(terms, body.ciphertext)
